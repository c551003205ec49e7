"""The protocol with recorded minds, and without any: all of it, shared out to processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from mesa_llm_norms.course import Goal
from mesa_llm_norms.minds import load_mind
from mesa_llm_norms.reproduction.protocol import (
    CLASSICAL,
    TEN,
    TWO,
    Experiment,
    Played,
    Report,
    critical_mass,
    play,
    play_classical,
)
from mesa_llm_norms.reproduction.recorded import LASTING, Recorded
from mesa_llm_norms.workers import answers

COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15, 16, 17, 18, 20)
"""How many of 24 are committed; once nearly all runs flip, more are not tried."""
SURELY = 0.99
SIZE = 200
CLASSICAL_RUNS = 50_000
"""Enough to tell .610, exact for 3 of 24 committed, from .600, the nearest said to be possible: at
the level of .05 for six rows that is missed in 2 of 100 cases; with 3,000 runs in most."""


class Task(NamedTuple):
    """Experiments that one process plays one after the other, with one mind, by its name."""

    mind: str
    experiments: tuple[Experiment, ...]


def emergence(recorded: Recorded, model: str, scale: float = 1) -> list[Experiment]:
    """Return the conditions in which a model was recorded from empty memories, for its mind."""
    return [
        Experiment(
            part="emergence",
            names=one.names,
            agents=one.agents,
            runs=_scaled(500 if len(one.names) == 2 else 200, scale),
        )
        for one in recorded.emergence
        if one.model == model
    ]


def stability(recorded: Recorded, model: str, scale: float = 1) -> list[Experiment]:
    """Return the conditions in which all of a model's agents were made to remember one name."""
    return [
        Experiment(
            part="stability",
            names=one.names,
            agents=one.agents,
            runs=_scaled(200, scale),
            incumbent=one.names[0],
            goal=Goal(None),
            rounds=LASTING,
        )
        for one in recorded.stability
        if one.model == model
    ]


def large(scale: float = 1) -> list[Experiment]:
    """Return the runs of 200 agents, and of 48 with a single one committed."""
    settled = Goal("converged", threshold=0.95)
    return [
        Experiment(part="size", names=TWO, agents=SIZE, runs=_scaled(40, scale), goal=settled),
        Experiment(part="size", names=TEN, agents=SIZE, runs=_scaled(8, scale), goal=settled),
        *(
            replace(one, agents=48)
            for names in (TWO, TWO[::-1])
            for one in critical_mass(names, (1,), _scaled(200, scale))
        ),
    ]


def tasks(recorded: Recorded, models: Iterable[str], scale: float = 1) -> list[Task]:
    """Return all that is played with recorded minds, and the classical game; longest first."""
    runs = _scaled(200, scale)
    found = []
    for model in models:
        kinds = [
            *([one] for one in emergence(recorded, model, scale)),
            stability(recorded, model, scale),
            critical_mass(TWO, COUNTS, runs),
            critical_mass(TWO[::-1], COUNTS, runs),
            *([one] for one in large(scale)),
        ]
        found += [Task(model, tuple(kind)) for kind in kinds if kind]
    classical = [
        Experiment(part="emergence", names=TEN, runs=_scaled(500, scale)),
        *critical_mass(TWO, COUNTS, _scaled(CLASSICAL_RUNS, scale)),
    ]
    found.append(Task(CLASSICAL, tuple(classical)))
    return sorted(found, key=lambda task: -max(len(one.names) * one.agents for one in task[1]))


def play_tasks(
    todo: Sequence[Task], seed: int, workers: int = 1, report: Report = lambda *_: None
) -> list[Played]:
    """Play everything, in so many processes; the results are the same for any number."""
    report("", 0, len(todo))
    found: dict[int, list[Played]] = {}
    with closing(answers(play_task, ((task, seed) for task in todo), workers)) as done:
        for answer in done:
            found[answer.number] = answer.result
            task = todo[answer.number]
            report(f"{task.mind}, {task.experiments[0].part}", len(found), len(todo))
    return [played for number in sorted(found) for played in found[number]]


def play_task(task: Task, seed: int) -> list[Played]:
    """Play the experiments of a task, in this process or another."""
    if task.mind == CLASSICAL:
        return list(_without_needless(task.experiments, lambda one: play_classical(one, seed)))
    mind = load_mind(task.mind)
    return list(_without_needless(task.experiments, lambda one: play(one, mind, seed)[0]))


def _without_needless(
    experiments: Iterable[Experiment], player: Callable[[Experiment], Played]
) -> Iterator[Played]:
    """Play experiments, but no more committed agents where nearly all runs flip with fewer."""
    sure = 0
    for experiment in experiments:
        if experiment.part == "critical mass" and sure == 2:
            continue
        played = player(experiment)
        sure += experiment.part == "critical mass" and played.runs["flipped"].mean() >= SURELY
        yield played


def _scaled(runs: int, scale: float) -> int:
    return max(4, round(runs * scale))
