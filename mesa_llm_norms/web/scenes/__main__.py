"""``python -m mesa_llm_norms.web.scenes``: how often each answer of each scene comes true."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.web.scenes import Measured, Scene, measure, read_scenes


def report(scene: Scene, measured: Measured) -> str:
    """Return how often the answers of a scene came true, and the line for its file."""
    lines = [f"{scene.key}: {scene.question}"]
    lines += [
        f"  {share:6.1%}  {answer.text}"
        for answer, share in zip(scene.answers, measured.shares, strict=True)
    ]
    if scene.promise is not None:
        found = sum(measured.shares[answer] for answer in scene.promise.answers)
        named = " or ".join(str(answer + 1) for answer in scene.promise.answers)
        kept = "kept" if found >= scene.promise.at_least else "NOT kept"
        lines.append(f"  promised: answer {named} in {scene.promise.at_least:.0%} of runs, {kept}")
    return "\n".join([*lines, f"  {measured.line}"])


def _show(bar: Progress, task: TaskID, done: int, total: int) -> None:
    bar.update(task, completed=done, total=total)


def main() -> None:
    """Measure scenes, and print each result as soon as it is there."""
    parser = argparse.ArgumentParser(
        prog="python -m mesa_llm_norms.web.scenes",
        description="Measure how often each answer of each scene comes true.",
    )
    parser.add_argument("keys", nargs="*", metavar="SCENE", help="scenes to measure (default: all)")
    parser.add_argument("--runs", type=int, default=400, help="runs of each scene (default: 400)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the runs (default: 1)")
    parser.add_argument("--scenes", type=Path, metavar="FOLDER", help="folder of additional scenes")
    given = parser.parse_args()
    try:
        scenes = read_scenes(given.scenes)
        if unknown := [key for key in given.keys if key not in scenes]:
            parser.error(f"there is no scene {unknown[0]!r}; choose from {', '.join(scenes)}")
        console = Console(stderr=True)
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            for key in given.keys or scenes:
                task = bar.add_task(key)
                shown = partial(_show, bar, task)
                measured = measure(scenes[key], given.runs, given.seed, progress=shown)
                bar.remove_task(task)
                print(report(scenes[key], measured), flush=True)
    except NormsError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
