"""What an experiment is, and playing one: with a recorded mind, a live one, or none at all."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.classical import run_classical
from mesa_llm_norms.course import Goal
from mesa_llm_norms.draws import mix
from mesa_llm_norms.ensemble import Ensemble, play_ensemble
from mesa_llm_norms.minds import Mind
from mesa_llm_norms.minds.live import Calls
from mesa_llm_norms.reproduction.recorded import ROUNDS, Names
from mesa_llm_norms.spec import Spec

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
    experiment: Experiment, mind: Mind, seed: int, calls: Calls | None = None
) -> tuple[Played, Ensemble]:
    """Play an experiment with a mind; a live one makes its calls as ``calls`` says."""
    spec = experiment.spec(mind, seed)
    ensemble = play_ensemble(
        spec,
        runs=experiment.runs,
        goal=experiment.goal,
        rounds=experiment.rounds,
        keep_interactions=spec.live,
        calls=calls,
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
