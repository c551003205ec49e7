"""A run under way: rounds played one after the other, and when to stop.

Runs that have been played, as tables: a row per run, per population round, per interaction.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.core.game import Game, Interaction
from mesa_llm_norms.core.metrics import Round, Tally, count
from mesa_llm_norms.core.stopping import (
    Goal,
    Outcome,
    Recent,
    Stop,
    check_goal,
    converging,
    flipping,
)
from mesa_llm_norms.networks.adjacency import Neighbors


class RoundEngine(Protocol):
    """What plays the rounds of a course: the engine in plain Python, or the compiled kernel."""

    @property
    def game(self) -> Game:
        """The rules."""

    @property
    def neighbors(self) -> Neighbors:
        """Who may meet whom."""

    @property
    def interactions(self) -> int:
        """How many have been played, void ones included."""

    @property
    def skipped(self) -> int:
        """How many of them came to nothing."""

    @property
    def discarded(self) -> int:
        """How many were begun ahead of their turn, beyond the end, and are in no result."""

    @property
    def rounds(self) -> int:
        """How many have been begun."""

    @property
    def next_round(self) -> int:
        """The number of the round to be played next, or gone on with."""

    @property
    def names_held(self) -> NDArray[np.int16]:
        """For each node the place in the pool of the name played last, -1 for none."""

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: list[Interaction] | None
    ) -> None:
        """Play rounds until the stop is reached, and count them; see ``Engine.play``."""

    def looking_ahead(self, rounds: int) -> AbstractContextManager[None]:
        """Within the block, interactions may be begun ahead; see ``Engine.looking_ahead``."""


class Course:
    """Plays rounds on an engine, keeps the last few in sight, and knows when a goal is reached."""

    def __init__(self, engine: RoundEngine, committed_names: Sequence[str]) -> None:
        self.engine = engine
        self.committed_names = tuple(committed_names)
        self.goal = Goal()
        self.last_round: Round | None = None
        """The last round that was played, in numbers."""
        self.rows: list[Interaction] = []
        """What the last call of ``play`` kept, also where a mind failed in it."""
        self._recent = Recent(self._size(), len(engine.game.pool))

    def aim(self, goal: Goal) -> None:
        """Stop at this goal from now on; raises ``SpecError`` for one that cannot be reached."""
        check_goal(goal, self.committed_names)
        self.goal = goal
        self.resize()

    def resize(self) -> None:
        """Fit the window to the neighbors, after they changed."""
        self._recent = self._recent.resized(self._size())

    def play(self, rounds: int, keep: bool = True) -> Tally:
        """Play so many population rounds, fewer if the goal is reached, and return their counts."""
        engine = self.engine
        tally = Tally(engine.game.pool, engine.next_round, self.interactions)
        self.rows = []
        stop = self._stop(self.goal.until)
        try:
            engine.play(rounds, self._recent, stop, tally, self.rows if keep else None)
        finally:
            self.last_round = tally.last or self.last_round
        return tally

    def follow(self, round_: Iterable[Interaction]) -> Iterator[Interaction]:
        """Pass on the interactions of a round as they are played elsewhere, and count them."""
        engine = self.engine
        places = {name: place for place, name in enumerate(engine.game.pool)}
        tally = Tally(engine.game.pool, engine.next_round, self.interactions)
        line = tally.begin_round()
        self.rows = []
        try:
            for row in round_:
                name_a, name_b = places[row.name_a], places[row.name_b]
                self.rows.append(row)
                self._recent.add(name_a, name_b)
                count(line, name_a, name_b)
                yield row
        finally:
            self.last_round = tally.last or self.last_round

    @property
    def interactions(self) -> int:
        """How many interactions have been played; void ones were not."""
        return self.engine.interactions - self.engine.skipped

    @property
    def reached(self) -> bool:
        """Whether the goal is reached.

        ``converged``: of the last ``window`` times N interactions, at least ``threshold`` matched.
        ``flipped``: 95% of the names played in them are one committed name.
        """
        return self.goal.until is not None and self._recent.reaches(self._stop(self.goal.until))

    @property
    def converged(self) -> bool:
        """Whether the last interactions, as many as the window holds, matched."""
        return self._recent.reaches(self._stop("converged"))

    @property
    def flipped(self) -> bool:
        """Whether a committed name has taken over."""
        return self._recent.reaches(self._stop("flipped"))

    @property
    def outcome(self) -> Outcome:
        """How the run stands now."""
        leader = self._recent.leader()
        return Outcome(
            self.interactions,
            self.engine.rounds,
            self.converged,
            self.flipped,
            self.engine.game.pool[leader] if leader is not None else None,
            self._recent.share(leader) if leader is not None else 0.0,
            self._recent.success_rate,
        )

    @property
    def shares(self) -> dict[str, float]:
        """Of the names played in the last rounds, the share of each name of the pool."""
        pool = self.engine.game.pool
        return {name: self._recent.share(place) for place, name in enumerate(pool)}

    @property
    def names_held(self) -> dict[Hashable, str | None]:
        """The name each node's agent played last, None where it has not played."""
        pool, nodes = self.engine.game.pool, self.engine.neighbors.nodes
        held = self.engine.names_held.tolist()
        return {
            node: pool[name] if name >= 0 else None for node, name in zip(nodes, held, strict=True)
        }

    def _stop(self, until: str | None) -> Stop:
        if until == "converged":
            return converging(self._recent.size, self.goal.threshold)
        if until == "flipped":
            pool = self.engine.game.pool
            return flipping(self._recent.size, [pool.index(name) for name in self.committed_names])
        return Stop()

    def _size(self) -> int:
        return max(1, round(self.goal.window * len(self.engine.neighbors)))


class Played(NamedTuple):
    """One run of an ensemble."""

    run: int
    outcome: Outcome
    local_agreement: float
    clusters: int
    largest_cluster: float
    tally: Tally
    held: NDArray[np.int16]
    """For each node the place in the pool of the name played last, -1 for none."""
    rows: list[Interaction]
    """Every interaction, where they were asked for."""
    discarded: int
    """How many were begun beyond the end, and are nowhere here."""
    skipped: int
    """How many were void, and are nowhere here either."""

    @property
    def rounds(self) -> list[Round]:
        """The population rounds in numbers."""
        return self.tally.to_rounds()


def run_table(played: Sequence[Played]) -> pd.DataFrame:
    """Return some runs as a table, a row for each."""
    return pd.DataFrame(
        {
            "run": [one.run for one in played],
            "interactions": [one.outcome.interactions for one in played],
            "rounds": [one.outcome.rounds for one in played],
            "converged": [one.outcome.converged for one in played],
            "winner": [one.outcome.winner for one in played],
            "share": [one.outcome.share for one in played],
            "flipped": [one.outcome.flipped for one in played],
            "local_agreement": [one.local_agreement for one in played],
            "clusters": [one.clusters for one in played],
            "largest_cluster": [one.largest_cluster for one in played],
        }
    )


def tally_table(tallies: Sequence[tuple[int, Tally]]) -> pd.DataFrame:
    """Return the population rounds of some runs, each with its run's number, as a table."""
    counts = [tally.counts for _, tally in tallies]
    lengths = [len(lines) for lines in counts]
    pool = tallies[0][1].pool
    every = np.concatenate(counts)
    shares = every[:, 2:] / (2 * every[:, :1])
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(shares > 0, shares * np.log2(shares), 0).sum(axis=1) + 0.0
    fixed = {
        "run": np.repeat([run for run, _ in tallies], lengths),
        "round": np.concatenate([np.arange(length) for length in lengths]),
        "interactions": np.concatenate([np.cumsum(lines[:, 0]) for lines in counts]),
        "success_rate": every[:, 1] / every[:, 0],
        "distinct_names": (shares > 0).sum(axis=1),
        "entropy": entropy,
    }
    by_name = {f"share_{name}": shares[:, place] for place, name in enumerate(pool)}
    return pd.DataFrame(fixed | by_name)


def round_table(pool: Sequence[str], rounds: Iterable[tuple[int, Round]]) -> pd.DataFrame:
    """Return population rounds, each with its run, as a table."""
    fixed = ["run", "round", "interactions", "success_rate", "distinct_names", "entropy"]
    return pd.DataFrame(
        [
            (
                run,
                r.number,
                r.interactions,
                r.success_rate,
                r.distinct_names,
                r.entropy,
                *r.shares.values(),
            )
            for run, r in rounds
        ],
        columns=[*fixed, *(f"share_{name}" for name in pool)],
    )


def interaction_table(rows: Iterable[Interaction]) -> pd.DataFrame:
    """Return interactions as a table; node ids keep their type."""
    return pd.DataFrame.from_records(list(rows), columns=list(Interaction._fields))
