"""How often each answer of a scene comes true: many runs, played as the page plays one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import fields

from mesa_llm_norms.ensemble import Progress, run_ensemble
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.committed import CommittedMind
from mesa_llm_norms.topologies import Graph, to_networkx
from mesa_llm_norms.viz.scenes.result import Result, communities, read_result
from mesa_llm_norms.viz.scenes.scene import Measured, Scene
from mesa_llm_norms.viz.setting import Setting


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
        seating = spec.seat(run)
        if seating.graph is not graph:
            graph, groups = seating.graph, communities(to_networkx(seating.graph))
        nodes, pool = seating.contacts.nodes, seating.game.pool
        names = [pool[code] if code >= 0 else None for code in held.tolist()]
        minds = seating.minds.items()
        yield read_result(
            groups,
            pool,
            dict(zip(nodes, names, strict=True)),
            {node: mind.name for node, mind in minds if isinstance(mind, CommittedMind)},
            rounds=rounds,
            interactions=interactions,
            converged=converged,
        )
