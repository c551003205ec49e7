"""The experiments of a reproduction, and playing them.

All experiments are played with recorded minds and with the classical game, in as many processes as
wanted. The main ones can be played with live minds, forecast first and within one budget.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.classical.ensemble import run_classical
from mesa_llm_norms.core.randomness import RandomStream, mix
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.experiments.cost_forecast.estimate import forecast
from mesa_llm_norms.experiments.cost_forecast.result import Part
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.recorded import DEPTH, RecordedMind
from mesa_llm_norms.minds.registry import load_mind, model_of
from mesa_llm_norms.reproduction.observed import LAST
from mesa_llm_norms.reproduction.recorded import LASTING, ROUNDS, Names, Recorded
from mesa_llm_norms.simulation.backends import choose_backend
from mesa_llm_norms.simulation.ensemble import TYPICAL_ROUNDS, Ensemble, play_ensemble
from mesa_llm_norms.simulation.kernel import worthwhile
from mesa_llm_norms.simulation.spec import Spec

if TYPE_CHECKING:
    from mesa_llm_norms.llm.journal.rows import Totals
    from mesa_llm_norms.llm.provider import LiveMind

CLASSICAL = "classical"
"""Stands for the naming game without minds where a mind is named."""

TWO: Names = ("Q", "M")
TEN: Names = tuple("QMXYFJPRCD")
LETTERS: Names = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
GROWING: Names = tuple(f"name{number}" for number in range(1, 65))
"""About as many names as 48 people used; no recorded mind prefers any of them."""

CONVERGED = Goal("converged")
FLIP_ROUNDS = 30

COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 15, 16, 17, 18, 20)
"""How many of 24 are committed; once nearly all runs flip, larger counts are not tried."""

LIVE_COUNTS = (2, 6, 12)
SURELY = 0.99
SIZE = 200

CLASSICAL_RUNS = 50_000
"""Enough to see a share that is .01 off the exact one: at the level of .05 for six rows that is
missed in 2 of 100 cases; with 3,000 runs in most."""

JOURNALS = "journals"
"""The folder of the journals in that of a reproduction, with one folder for each experiment."""

QUICK = 0.1
"""The share of the runs that a quick reproduction plays."""

Report = Callable[[str, int, int], None]
"""Called with what was played last, the experiments done, and the experiments in total."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Runs that differ only by chance.

    All agents start with empty memories or remember ``incumbent``; ``committed`` of them, placed at
    random, are committed to the last of ``names``. ``runs`` is how many are played. With the pool
    ``GROWING`` minds take up new names as ``growing`` says. ``noted`` are the interactions after
    which the share of the name that leads in the end is noted.
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
    noted: tuple[int, ...] = ()

    @property
    def key(self) -> str:
        """What distinguishes it from the others."""
        parts = (self.part, self.topology, self.pairing, "".join(self.names), self.committed)
        return " ".join(map(str, parts))

    @property
    def topology(self) -> str:
        """The graph with its number of nodes."""
        return self.graph.format(n=self.agents)

    @property
    def followed(self) -> str | None:
        """The name whose share is followed round by round: the committed, or the incumbent."""
        return self.names[-1] if self.committed else self.incumbent

    def seed(self, label: str, seed: int) -> int:
        """Return the seed of its runs with this mind, which no other experiment shares."""
        return mix(mix(seed) + zlib.crc32(f"{label} {self.key}".encode()))

    def spec(self, mind: Mind, seed: int) -> Spec:
        """Return the spec of its runs."""
        return Spec(
            graph=self.topology,
            names=self.names,
            mind=growing(mind) if self.names == GROWING else mind,
            pairing=self.pairing,
            incumbent=self.incumbent,
            committed={self.names[-1]: self.committed} if self.committed else None,
            seed=self.seed(mind.label, seed),
        )


def growing(mind: Mind) -> Mind:
    """Return a recorded mind for which all names are new, and new names few.

    Its first choice is any name of a large pool. After that a name it never met is, all such names
    together, about as likely as with ten names in the pool: each weighs 9 / 63 of what it would.
    """
    if not isinstance(mind, RecordedMind):
        raise MindError("mind", mind.label, "its pool cannot grow", "Use a recorded mind.")
    fewer = math.log((len(TEN) - 1) / (len(GROWING) - 1))
    met = mind.weights["met"]
    rarer = {f"{held} no": met.get(f"{held} no", 0.0) + fewer for held in range(1, DEPTH + 1)}
    return RecordedMind(
        mind.label,
        {**mind.weights, "met": {**met, **rarer}},
        provenance=mind.provenance,
        refits=None if mind.refits is None else mind.refits.of_weights(),
    )


class Task(NamedTuple):
    """Experiments that one process plays one after the other, with one mind, by its name."""

    mind: str
    experiments: tuple[Experiment, ...]


@dataclass(frozen=True, eq=False)
class Played:
    """The outcome of an experiment with one mind.

    Attributes
    ----------
    experiment, mind
        What was played, and the mind's label.
    runs
        The table of runs of the ensemble.
    success
        Success rates: a row per run, a column for each of the first ``ROUNDS`` rounds; 1 after a
        run ended.
    followed
        The share of the name that is followed, a column for each round the experiment may have; nan
        after a run ended. Where the leading name is noted, its share at each of these times.
    firsts
        What agents chose with nothing remembered, counted, where the interactions were kept.
    refits
        Which refit of the mind played each run; all 0 for a mind without.
    """

    experiment: Experiment
    mind: str
    runs: pd.DataFrame
    success: NDArray[np.float64]
    followed: NDArray[np.float64]
    firsts: dict[str, int]
    refits: NDArray[np.int64]


def emergence(recorded: Recorded, model: str, scale: float = 1) -> list[Experiment]:
    """Return the conditions in which a model was recorded from empty memories."""
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
    """Return the conditions in which all of a model's agents started remembering one name."""
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


def large(scale: float = 1) -> list[Experiment]:
    """Return the runs of 200 agents, and of 48 with a single committed one."""
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


def live_experiments(runs: int) -> list[Experiment]:
    """Return what is played with a live mind: the main conditions, each this many times."""
    return [
        Experiment(part="emergence", names=TEN, runs=runs, rounds=60),
        Experiment(part="emergence", names=TWO, runs=runs, rounds=60),
        *critical_mass(TWO, LIVE_COUNTS, runs),
        *critical_mass(TWO[::-1], LIVE_COUNTS, runs),
    ]


def tasks(recorded: Recorded, models: Iterable[str], scale: float = 1) -> list[Task]:
    """Return all that is played with recorded minds and with the classical game, longest first.

    Parameters
    ----------
    recorded : Recorded
        The conditions that were recorded.
    models : iterable of str
        The recorded minds that play.
    scale : float
        The share of the runs to play, at least four of each experiment. Default 1.
    """
    runs = _scaled(200, scale)
    found = []
    for model in models:
        kinds = [
            *([one] for one in emergence(recorded, model_of(model), scale)),
            stability(recorded, model_of(model), scale),
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


def _scaled(runs: int, scale: float) -> int:
    return max(4, round(runs * scale))


def play_tasks(
    todo: Sequence[Task], seed: int, workers: int = 1, report: Report = lambda *_: None
) -> list[Played]:
    """Play all tasks in a number of processes, which does not change the results."""
    report("", 0, len(todo))
    found: dict[int, list[Played]] = {}
    backend = choose_backend(workers=workers)
    every = [one for task in todo for one in task.experiments]
    typical = sum(one.runs * one.agents * min(one.rounds, TYPICAL_ROUNDS) for one in every)
    engine = "kernel" if worthwhile(typical) else "auto"  # which each by itself may not be
    with closing(backend.play(play_task, ((task, seed, engine) for task in todo))) as done:
        for answer in done:
            found[answer.number] = answer.result
            task = todo[answer.number]
            report(f"{task.mind}, {task.experiments[0].part}", len(found), len(todo))
    return [played for number in sorted(found) for played in found[number]]


def play_task(task: Task, seed: int, engine: str = "auto") -> list[Played]:
    """Play the experiments of a task, in this process or another, with this engine."""
    if task.mind == CLASSICAL:
        return list(_without_needless(task.experiments, lambda one: play_classical(one, seed)))
    mind = load_mind(task.mind)
    return list(
        _without_needless(task.experiments, lambda one: play(one, mind, seed, engine=engine)[0])
    )


def _without_needless(
    experiments: Iterable[Experiment], player: Callable[[Experiment], Played]
) -> Iterator[Played]:
    """Play experiments, but no larger committed minority once nearly all runs flip."""
    sure = 0
    for experiment in experiments:
        if experiment.part == "critical mass" and sure == 2:
            continue
        played = player(experiment)
        sure += experiment.part == "critical mass" and played.runs["flipped"].mean() >= SURELY
        yield played


def foresee(
    minds: Sequence[LiveMind], experiments: Sequence[Experiment], seed: int, llm: LLMSettings
) -> list[Part]:
    """Return what each experiment with each mind will take, without calling a provider."""
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
    report: Report = lambda *_: None,
) -> tuple[list[Played], Totals | None]:
    """Play all experiments with each mind, one after the other.

    Parameters
    ----------
    minds, experiments : sequence
        Who plays what.
    seed : int
        The seed of all runs.
    llm : LLMSettings
        How to make calls; its budgets hold for everything together.
    folder : pathlib.Path
        Where the journals go, one for each experiment. What a journal there already holds is taken
        from it and not asked again.
    report : callable, optional
        Called with what is played, the experiments done, and the experiments in total.

    Returns
    -------
    tuple of list of Played, and Totals or None
        The outcomes, and what the calls used.

    Raises
    ------
    BudgetError
        At the call that could exceed a budget, with all replies so far on record.
    """
    played: list[Played] = []
    budget = SharedBudget(replace(llm, folder=folder / JOURNALS, resume=True))
    todo = [(mind, one) for mind in minds for one in experiments]
    for number, (mind, one) in enumerate(todo):
        report(f"{mind.label}, {one.key}", number, len(todo))
        done, ensemble = play(one, mind, seed, budget.settings_for(f"{number:02}"))
        played.append(done)
        budget.add(ensemble.usage)
    report("", len(todo), len(todo))
    return played, budget.used


def play(
    experiment: Experiment,
    mind: Mind,
    seed: int,
    llm: LLMSettings | None = None,
    engine: str = "auto",
) -> tuple[Played, Ensemble]:
    """Play an experiment with a mind; a live one is called as ``llm`` says."""
    spec = experiment.spec(mind, seed)
    ensemble = play_ensemble(
        spec,
        runs=experiment.runs,
        goal=experiment.goal,
        rounds=experiment.rounds,
        keep_interactions=spec.live,
        engine=engine,
        llm=llm,
    )
    return read_played(experiment, mind.label, ensemble), ensemble


def read_played(experiment: Experiment, label: str, ensemble: Ensemble) -> Played:
    """Return what the runs of an ensemble say about an experiment."""
    rounds, rows, followed = ensemble.rounds, ensemble.interactions, experiment.followed
    shares = np.zeros((0, ROUNDS))
    if experiment.noted:
        shares = leading_shares(rounds, experiment)
    elif followed is not None:
        shares = _by_round(
            rounds, f"share_{followed}", experiment.runs, np.nan, max(ROUNDS, experiment.rounds)
        )
    return Played(
        experiment,
        label,
        ensemble.runs,
        _by_round(rounds, "success_rate", experiment.runs, 1.0),
        shares,
        {} if rows is None else _first_choices(rows, experiment),
        _refits(ensemble.spec, experiment.runs),
    )


def _refits(spec: Spec, runs: int) -> NDArray[np.int64]:
    """Return which refit of the mind plays each run."""
    (mind,) = spec.minds
    if not isinstance(mind, RecordedMind) or mind.refits is None:
        return np.zeros(runs, np.int64)
    streams = (RandomStream(spec.seed, run) for run in range(runs))
    return np.array([mind.number_of_refit(stream) for stream in streams])


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
    return Played(
        experiment,
        CLASSICAL,
        runs,
        success,
        np.zeros((0, ROUNDS)),
        {},
        np.zeros(len(runs), np.int64),
    )


def leading_shares(rounds: pd.DataFrame, experiment: Experiment) -> NDArray[np.float64]:
    """Return the share of the name that leads in the last three rounds noted, a row for each run.

    A column is the round in which so many interactions were reached as the experiment notes, or the
    last one played.
    """
    shares = rounds[[f"share_{name}" for name in experiment.names]].to_numpy(float)
    played = rounds["interactions"].to_numpy()
    starts = np.searchsorted(rounds["run"].to_numpy(), np.arange(experiment.runs + 1))
    found = np.empty((experiment.runs, len(experiment.noted)))
    for run, (start, stop) in enumerate(pairwise(starts)):
        at = np.searchsorted(played[start:stop], experiment.noted).clip(max=stop - start - 1)
        noted = shares[start + at]
        found[run] = noted[:, noted[-LAST:].sum(axis=0).argmax()]
    return found


def _by_round(
    rounds: pd.DataFrame, column: str, runs: int, after: float, width: int = ROUNDS
) -> NDArray[np.float64]:
    """Return a column as runs by rounds, with ``after`` where nothing was played any more."""
    found = np.full((runs, width), after)
    early = rounds[rounds["round"] < width]
    found[early["run"].to_numpy(), early["round"].to_numpy()] = early[column].to_numpy(float)
    return found


def _first_choices(rows: pd.DataFrame, experiment: Experiment) -> dict[str, int]:
    """Return how often each name was the first choice of an agent that remembered nothing."""
    counts = dict.fromkeys(experiment.names, 0)
    if experiment.incumbent is not None:
        return counts
    sides = [rows[["run", "interaction", f"node_{side}", f"name_{side}"]] for side in "ab"]
    every: Any = pd.concat([side.set_axis(["run", "at", "node", "name"], axis=1) for side in sides])
    first = every.sort_values("at", kind="stable").drop_duplicates(["run", "node"])
    for name, count in first["name"].value_counts().items():
        counts[str(name)] = int(count)
    return counts
