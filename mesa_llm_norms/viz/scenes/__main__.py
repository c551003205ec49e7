"""``python -m mesa_llm_norms.viz.scenes``: how often each answer of each scene comes true."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, TaskID

from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.viz.scenes.measuring import measure
from mesa_llm_norms.viz.scenes.reading import read_scenes
from mesa_llm_norms.viz.scenes.scene import Measured, Scene


def report(scene: Scene, measured: Measured) -> str:
    """Return the lines that tell how often the answers of a scene came true."""
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


def _show(bar: Progress, task: TaskID, done: int, of: int) -> None:
    bar.update(task, completed=done, total=of)


def main() -> None:
    """Measure every scene, print what was found as it is found, and exit."""
    parser = argparse.ArgumentParser(
        prog="python -m mesa_llm_norms.viz.scenes",
        description="Measure how often each answer of each scene comes true.",
    )
    parser.add_argument("keys", nargs="*", metavar="SCENE", help="which (default: all)")
    parser.add_argument("--runs", type=int, default=400, help="runs of each scene (400)")
    parser.add_argument("--seed", type=int, default=1, help="their seed (1)")
    parser.add_argument("--scenes", type=Path, metavar="FOLDER", help="scenes of your own, too")
    given = parser.parse_args()
    try:
        scenes = read_scenes(given.scenes)
        if unknown := [key for key in given.keys if key not in scenes]:
            parser.error(f"there is no scene {unknown[0]!r}; there are {', '.join(scenes)}")
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
