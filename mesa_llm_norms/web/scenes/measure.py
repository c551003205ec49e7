"""How often each answer of a scene comes true: many runs, played as the page plays one.

``python -m mesa_llm_norms.viz.scenes``: how often each answer of each scene comes true.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import Progress as ProgressBar
from rich.progress import TaskID

from mesa_llm_norms.errors import NormsError, SpecError
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.networks.adjacency import Graph, to_networkx
from mesa_llm_norms.simulation.ensemble import Progress, run_ensemble
from mesa_llm_norms.web.scenes.answers import Result, communities, read_result
from mesa_llm_norms.web.scenes.scene import Measured, Scene, read_scenes
from mesa_llm_norms.web.setting import Setting


def measure(
    scene: Scene,
    runs: int,
    seed: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Return in how many runs of a seed each answer came true.

    ``progress`` is called with what is done, and how much there is in all. Raises ``SpecError`` for
    a scene with live minds, for that would cost.
    """
    times = [0] * len(scene.answers)
    settings = scene.settings(seed)

    def of_all(place: int) -> Progress | None:
        if progress is None:
            return None
        return lambda done, _: progress(place * runs + done, len(settings) * runs)

    played = [
        play_setting(setting, scene.stop, runs, of_all(place))
        for place, setting in enumerate(settings)
    ]
    for results in zip(*played, strict=True):
        answer = scene.came_true(results)
        assert answer is not None, "answers are checked to cover all that can happen"
        times[answer] += 1
    return Measured(runs, tuple(times))


def play_setting(
    setting: Setting,
    stop: str | None,
    runs: int,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """Play runs of a setting for its rounds, or to where they stop, and yield their results."""
    spec = setting.spec()
    if spec.live:
        raise SpecError("mind", setting.mind, "live minds are not measured", "Use recorded minds.")
    arguments = {field.name: getattr(spec, field.name) for field in fields(spec)}
    ensemble = run_ensemble(
        rng=arguments.pop("seed"),
        runs=runs,
        rounds=setting.rounds,
        until=stop,
        progress=progress,
        **arguments,
    )
    graph: Graph | None = None
    groups: list[list[Hashable]] = []
    table = ensemble.runs
    played = table["rounds"].tolist(), table["interactions"].tolist(), table["converged"].tolist()
    for run, (held, rounds, interactions, converged) in enumerate(
        zip(ensemble.held, *played, strict=True)
    ):
        initial = spec.initial_state(run)
        if initial.graph is not graph:
            graph, groups = initial.graph, communities(to_networkx(initial.graph))
        nodes, pool = initial.neighbors.nodes, initial.game.pool
        names = [pool[code] if code >= 0 else None for code in held.tolist()]
        minds = initial.minds_by_node.items()
        yield read_result(
            groups,
            pool,
            dict(zip(nodes, names, strict=True)),
            {node: mind.name for node, mind in minds if isinstance(mind, CommittedMind)},
            rounds=rounds,
            interactions=interactions,
            converged=converged,
        )


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


def _show(bar: ProgressBar, task: TaskID, done: int, of: int) -> None:
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
        with ProgressBar(console=console, transient=True, disable=not console.is_terminal) as bar:
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
