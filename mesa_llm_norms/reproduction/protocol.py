"""What an experiment is, and playing one: with a recorded mind, a live one, or none at all.

The protocol with recorded minds, and without any: all of it, shared out to processes.

The protocol with live minds: forecast first, then played within one budget for all of it.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.classical.ensemble import run_classical
from mesa_llm_norms.core.randomness import mix
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.experiments.cost_forecast.estimate import forecast
from mesa_llm_norms.experiments.cost_forecast.result import Part
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.mind import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.reproduction.recorded import LASTING, ROUNDS, Names, Recorded
from mesa_llm_norms.simulation.ensemble import Ensemble, play_ensemble
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.simulation.workers import answers

if TYPE_CHECKING:
    from mesa_llm_norms.llm.journal.tables import Totals


CLASSICAL = "classical"
"""Stands for the naming game without minds where a mind is named."""


TWO: Names = ("Q", "M")


TEN: Names = tuple("QMXYFJPRCD")


FLIP_ROUNDS = 30


LIVE_COUNTS = (2, 6, 12)


CONVERGED = Goal("converged")


Report = Callable[[str, int, int], None]
"""Called with what was played last, the experiments done, and the experiments in all."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Runs that differ only by chance.

    All agents begin with empty memories or remembering ``incumbent``; ``committed`` of them, placed
    at random, are committed to the last of ``names``. ``runs`` is how many are played.
    """

    part: str
    names: Names
    runs: int
    agents: int = 24
    graph: str = "complete(n={n})"
    pairing: str = "node"
    incumbent: str | None = None
    committed: int = 0
    goal: Goal = CONVERGED
    rounds: int = 300

    @property
    def key(self) -> str:
        """What tells it from the others."""
        parts = (self.part, self.topology, self.pairing, "".join(self.names), self.committed)
        return " ".join(map(str, parts))

    @property
    def topology(self) -> str:
        """Who may meet whom."""
        return self.graph.format(n=self.agents)

    @property
    def followed(self) -> str | None:
        """The name whose share is followed from round to round: the committed, or the incumbent."""
        return self.names[-1] if self.committed else self.incumbent

    def seed(self, label: str, seed: int) -> int:
        """Return the seed of its runs with this mind: no other experiment shares it."""
        return mix(mix(seed) + zlib.crc32(f"{label} {self.key}".encode()))

    def spec(self, mind: Mind, seed: int) -> Spec:
        """Return the spec of its runs."""
        return Spec(
            graph=self.topology,
            names=self.names,
            mind=mind,
            pairing=self.pairing,
            incumbent=self.incumbent,
            committed={self.names[-1]: self.committed} if self.committed else None,
            seed=self.seed(mind.label, seed),
        )


@dataclass(frozen=True, eq=False)
class Played:
    """What an experiment came to with one mind.

    ``runs`` is the table of the ensemble; ``success`` has a row per run and a column for each of
    the first ``ROUNDS`` rounds, all successes after a run ended; ``followed`` likewise has the
    share of the name that is followed, only of rounds that were played. ``firsts`` counts what
    agents chose with nothing remembered, where the interactions were kept.
    """

    experiment: Experiment
    mind: str
    runs: pd.DataFrame
    success: NDArray[np.float64]
    followed: NDArray[np.float64]
    firsts: dict[str, int]


def critical_mass(names: Names, counts: Sequence[int], runs: int) -> list[Experiment]:
    """Return the runs in which agents committed to the second name face the first."""
    return [
        Experiment(
            part="critical mass",
            names=names,
            runs=runs,
            incumbent=names[0],
            committed=count,
            goal=Goal("flipped"),
            rounds=FLIP_ROUNDS,
        )
        for count in counts
    ]


def live_experiments(runs: int) -> list[Experiment]:
    """Return what is played with a live mind: the main conditions, so many runs of each."""
    return [
        Experiment(part="emergence", names=TEN, runs=runs, rounds=60),
        Experiment(part="emergence", names=TWO, runs=runs, rounds=60),
        *critical_mass(TWO, LIVE_COUNTS, runs),
        *critical_mass(TWO[::-1], LIVE_COUNTS, runs),
    ]


def play(
    experiment: Experiment, mind: Mind, seed: int, llm: LLMSettings | None = None
) -> tuple[Played, Ensemble]:
    """Play an experiment with a mind; a live one makes its calls as ``calls`` says."""
    spec = experiment.spec(mind, seed)
    ensemble = play_ensemble(
        spec,
        runs=experiment.runs,
        goal=experiment.goal,
        rounds=experiment.rounds,
        keep_interactions=spec.live,
        llm=llm,
    )
    return read_played(experiment, mind.label, ensemble), ensemble


def read_played(experiment: Experiment, label: str, ensemble: Ensemble) -> Played:
    """Return what the runs of an ensemble say about an experiment."""
    followed = experiment.followed
    return Played(
        experiment,
        label,
        ensemble.runs,
        _by_round(ensemble.rounds, "success_rate", experiment.runs, 1.0),
        _by_round(ensemble.rounds, f"share_{followed}", experiment.runs, np.nan)
        if followed is not None
        else np.zeros((0, ROUNDS)),
        _first_choices(ensemble.interactions, experiment)
        if ensemble.interactions is not None
        else {},
    )


def play_classical(experiment: Experiment, seed: int) -> Played:
    """Play an experiment without minds: the classical naming game, a speaker and a hearer."""
    emerging = experiment.committed == 0
    found = run_classical(
        graph=experiment.topology,
        names=experiment.names,
        pairing="direct",
        incumbent=experiment.incumbent,
        committed={experiment.names[-1]: experiment.committed} if not emerging else None,
        rng=experiment.seed(CLASSICAL, seed),
        runs=experiment.runs,
        rounds=experiment.rounds,
        keep_rounds=emerging,
    )
    runs = found.runs.assign(flipped=found.runs["converged"] & (not emerging))
    success = _by_round(found.rounds, "success_rate", experiment.runs, 1.0)
    return Played(experiment, CLASSICAL, runs, success, np.zeros((0, ROUNDS)), {})


def _by_round(rounds: pd.DataFrame, column: str, runs: int, after: float) -> NDArray[np.float64]:
    """Return a column as runs by rounds, with ``after`` where nothing was played any more."""
    found = np.full((runs, ROUNDS), after)
    early = rounds[rounds["round"] < ROUNDS]
    found[early["run"].to_numpy(), early["round"].to_numpy()] = early[column].to_numpy(float)
    return found


def _first_choices(rows: pd.DataFrame, experiment: Experiment) -> dict[str, int]:
    """Return how often each name was the first choice of an agent that remembered nothing."""
    counts = dict.fromkeys(experiment.names, 0)
    if experiment.incumbent is not None:
        return counts
    seats = [rows[["run", "interaction", f"node_{seat}", f"name_{seat}"]] for seat in "ab"]
    every: Any = pd.concat([seat.set_axis(["run", "at", "node", "name"], axis=1) for seat in seats])
    first = every.sort_values("at", kind="stable").drop_duplicates(["run", "node"])
    for name, count in first["name"].value_counts().items():
        counts[str(name)] = int(count)
    return counts


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


JOURNALS = "journals"
"""Where the journals are in the folder of a reproduction, one folder for each experiment."""


def foresee(
    minds: Sequence[LiveMind], experiments: Sequence[Experiment], seed: int, llm: LLMSettings
) -> list[Part]:
    """Return what each experiment with each mind will take; nothing is asked of a server."""
    return [
        Part(
            f"{mind.label}, {one.key}",
            one.runs,
            (forecast(one.spec(mind, seed), one.goal, one.rounds, one.runs, llm),),
        )
        for mind in minds
        for one in experiments
    ]


def play_live(
    minds: Sequence[LiveMind],
    experiments: Sequence[Experiment],
    seed: int,
    llm: LLMSettings,
    folder: Path,
    report: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[list[Played], Totals | None]:
    """Play all experiments with each mind, one after the other, and return them and what they used.

    The budgets of ``calls`` are for everything together. Each experiment has a journal in
    ``folder``; where that is there already, what it holds is taken from it and not asked again.

    Raises ``BudgetError`` at the call that could pass a budget, with all that was answered on
    record, and whatever else play with live minds raises.
    """
    played: list[Played] = []
    accounts = SharedBudget(replace(llm, folder=folder / JOURNALS, resume=True))
    todo = [(mind, one) for mind in minds for one in experiments]
    for number, (mind, one) in enumerate(todo):
        report(f"{mind.label}, {one.key}", number, len(todo))
        done, ensemble = play(one, mind, seed, accounts.calls_for(f"{number:02}"))
        played.append(done)
        accounts.add(ensemble.usage)
    report("", len(todo), len(todo))
    return played, accounts.used
