"""A run under way: rounds played one after the other until its goal; and runs as tables."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.core.game import Game, GameInteraction, GameRules, Interaction, Row
from mesa_llm_norms.core.metrics import Round, Tally, count
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.core.stopping import (
    Goal,
    Outcome,
    Recent,
    RecentGroups,
    Stop,
    agreeing,
    check_goal,
    converging,
    count_holders,
    flipping,
    window_size,
)
from mesa_llm_norms.simulation.run_record import NodeSums

if TYPE_CHECKING:
    from mesa_llm_norms.simulation.engine import Engine
    from mesa_llm_norms.simulation.kernel import Kernel
    from mesa_llm_norms.simulation.run_record import NodeHistory, Rows, RowSink


class Run:
    """Plays rounds on an engine, keeps the last few in view, and knows when a goal is reached.

    Parameters
    ----------
    engine
        What plays the rounds: in plain Python, or compiled.
    committed_names
        The names that agents are committed to; one of them must take over in a flip.
    goal
        The goal that ``reached`` is about until ``play_to`` or ``each_round`` sets another.
    """

    def __init__(
        self, engine: Engine | Kernel, committed_names: Sequence[str], goal: Goal | None = None
    ) -> None:
        self.engine = engine
        self.committed_names: tuple[str, ...] = tuple(committed_names)
        self.goal: Goal = goal or Goal()
        self.last_round: Round | None = None
        """The last round in which something was played."""
        self.rows: list[Any] = []
        """The interactions kept by the last call of ``play``, also where a mind failed in it."""
        self.heard: list[Any] | None = None
        """What gets the interactions of every round besides, while somebody listens."""
        self._stopping = False
        self._referee = Referee(engine.game)
        self._recent = no_interactions(self._window(), self._referee)

    def play_to(self, goal: Goal, rounds: int, keep: bool | RowSink = False) -> Tally:
        """Play until a goal is reached, or for so many rounds, in one go.

        Parameters
        ----------
        goal : Goal
            When to stop; it stays the run's goal.
        rounds : int
            The most population rounds to play.
        keep : bool or RowSink, default False
            Whether ``rows`` keeps the interactions, or what takes them instead.

        Returns
        -------
        Tally
            The rounds played, counted.

        Raises
        ------
        SpecError
            If the goal is not a valid stopping rule or cannot be reached.
        """
        with self._aiming(goal):
            return self.play(rounds, keep)

    def each_round(
        self,
        goal: Goal,
        rounds: int,
        keep: bool | RowSink = True,
        step: Callable[[], object] | None = None,
        ahead: bool = True,
    ) -> Iterator[Round | None]:
        """Play as ``play_to`` does, round by round.

        Parameters
        ----------
        goal : Goal
            When to stop; it stays the run's goal.
        rounds : int
            The most population rounds to play.
        keep : bool or RowSink, default True
            Whether ``rows`` keeps the interactions of the round, or what takes them instead.
        step : callable, optional
            Plays one round instead, by calling ``play`` in the end.
        ahead : bool, default True
            Whether interactions of rounds to come may be decided while one is played.

        Yields
        ------
        Round or None
            The round just played in numbers, None if all of its interactions were skipped.

        Raises
        ------
        SpecError
            If the goal is not a valid stopping rule or cannot be reached.
        """
        speculating = self.engine.speculating(rounds) if ahead else nullcontext()
        with self._aiming(goal), speculating:
            for _ in range(rounds):
                before = self.last_round
                if step is None:
                    self.play(1, keep)
                else:
                    step()
                yield self.last_round if self.last_round is not before else None
                if self.reached:
                    return

    def play(self, rounds: int = 1, keep: bool | RowSink = True) -> Tally:
        """Play so many population rounds and return their counts; ``rows`` keeps interactions.

        They go to ``keep`` instead if that takes them.
        """
        tally = self._tally()
        self.rows = []
        stop = self._stop(self.goal.until) if self._stopping else Stop()
        try:
            kept: Rows | None = self.rows if keep is True else keep or None
            while (some := self.engine.let_go(rounds)) > 0:
                self.engine.play(some, self._recent, stop, tally, kept)
                rounds -= some
                if rounds and self._stopping and self.reached:
                    break
        finally:
            self.last_round = tally.last or self.last_round
            if self.heard is not None:
                self.heard += self.rows
        return tally

    def follow(self, round_: Iterable[Row]) -> Iterator[Row]:
        """Pass on the interactions of a round that the engine plays one by one, and count them."""
        indices = {name: index for index, name in enumerate(self.engine.game.pool)}
        tally = self._tally()
        line = tally.begin_round()
        self.rows = []
        try:
            for row in round_:
                names = [indices[name] for name in row.names]
                self.rows.append(row)
                if self.heard is not None:
                    self.heard.append(row)
                self._recent.add(*names)
                count(line, names, self._referee.success(row.names))
                yield row
        finally:
            self.last_round = tally.last or self.last_round

    def resize(self) -> None:
        """Fit the window to the neighbors and the goal, after they changed."""
        self._recent = self._recent.resized(self._window())

    @property
    def interactions(self) -> int:
        """How many interactions have been played, without skipped ones."""
        return self.engine.interactions - self.engine.skipped

    @property
    def reached(self) -> bool:
        """Whether the goal is reached.

        ``converged``: of the last ``window`` times N interactions, at least ``threshold`` matched.
        ``agreed``: 95% of the names played in them are one name, which 95% of the nodes hold.
        ``flipped``: 95% of the names played in them are one committed name.
        """
        return self.goal.until is not None and self._reaches(self.goal.until)

    @property
    def converged(self) -> bool:
        """Whether the last interactions, as many as the window holds, matched."""
        return self._reaches("converged")

    @property
    def agreed(self) -> bool:
        """Whether 95% of the nodes hold one name, and 95% of what the window holds is that name."""
        return self._reaches("agreed")

    @property
    def flipped(self) -> bool:
        """Whether a committed name has taken over."""
        return self._reaches("flipped")

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
            self.agreed,
            sum(holders > 0 for holders in self._holders()),
        )

    @property
    def shares(self) -> dict[str, float]:
        """Of the names played in the window, the share of each name of the pool."""
        pool = self.engine.game.pool
        return {name: self._recent.share(index) for index, name in enumerate(pool)}

    @property
    def names_held(self) -> dict[Hashable, str | None]:
        """The name each node's agent played last, None where it has not played."""
        pool, nodes = self.engine.game.pool, self.engine.neighbors.nodes
        held = self.engine.names_held.tolist()
        return {
            node: pool[name] if name >= 0 else None for node, name in zip(nodes, held, strict=True)
        }

    @contextmanager
    def _aiming(self, goal: Goal) -> Iterator[None]:
        """Within the block, rounds stop at this goal."""
        check_goal(goal, self.committed_names)
        self.goal = goal
        self.resize()
        self._stopping = True
        try:
            yield
        finally:
            self._stopping = False

    def _tally(self) -> Tally:
        return Tally(self.engine.game.pool, self.engine.next_round, self.interactions)

    def _reaches(self, until: str) -> bool:
        stop = self._stop(until)
        return self._recent.reaches(stop) and (
            not stop.holders or self._recent.reaches(stop, self._holders())
        )

    def _holders(self) -> list[int]:
        return count_holders(self.engine.names_held, len(self.engine.game.pool))

    def _stop(self, until: str | None) -> Stop:
        pool = self.engine.game.pool
        if until == "converged":
            return converging(self._recent.size, self.goal.threshold)
        if until == "agreed":
            return agreeing(self._recent.size, len(pool), len(self.engine.neighbors))
        if until == "flipped":
            return flipping(self._recent.size, [pool.index(name) for name in self.committed_names])
        return Stop()

    def _window(self) -> int:
        return window_size(self.goal, len(self.engine.neighbors))


def no_interactions(size: int, referee: Referee) -> Recent:
    """Return a window over so many interactions of a game, before the first of them."""
    pool, success = referee.game.pool, referee.success
    if referee.game.seats == 2:
        return Recent(size, len(pool), referee.successes)
    return RecentGroups(size, len(pool), lambda names: success(tuple(pool[name] for name in names)))


class RunResult(NamedTuple):
    """One run of an ensemble, played.

    Parameters
    ----------
    run
        Its number.
    outcome
        How it ended.
    local_agreement, clusters, largest_cluster
        How the names held at the end lie on the network; see ``Ensemble``.
    tally
        Its population rounds, counted.
    held
        For each node the index in the pool of the name played last, -1 for none, shape (nodes,).
    rows
        Every interaction, if they were asked for.
    discarded
        Interactions decided speculatively, beyond the end; not counted anywhere else.
    skipped
        Interactions without an outcome; not counted anywhere else.
    history
        What its nodes did, if that was asked for.
    """

    run: int
    outcome: Outcome
    local_agreement: float
    clusters: int
    largest_cluster: float
    tally: Tally
    held: NDArray[np.int16]
    rows: list[Any]
    discarded: int
    skipped: int
    history: NodeHistory | None = None

    @property
    def rounds(self) -> list[Round]:
        """The population rounds in numbers."""
        return self.tally.to_rounds()


class Batch(NamedTuple):
    """Runs of one spec, played, as columns; see ``Ensemble.runs`` for their meaning.

    ``winner`` is the index of a name in ``pool``, -1 for none. ``counts`` has the rounds of one run
    after the other as in ``Tally.counts``, as many as ``rounds`` says of each, and ``held`` what
    ``RunResult`` has. ``later`` is the index of the name played most at the end of a second phase,
    -1 where a run had none; None where no run could have one.
    """

    pool: tuple[str, ...]
    run: NDArray[np.int64]
    interactions: NDArray[np.int64]
    rounds: NDArray[np.int64]
    converged: NDArray[np.bool_]
    winner: NDArray[np.int64]
    share: NDArray[np.float64]
    flipped: NDArray[np.bool_]
    agreed: NDArray[np.bool_]
    names_left: NDArray[np.int64]
    local_agreement: NDArray[np.float64]
    clusters: NDArray[np.int64]
    largest_cluster: NDArray[np.float64]
    counts: NDArray[np.int64]
    held: Sequence[NDArray[np.int16]]
    rows: Sequence[Row] = ()
    discarded: int = 0
    skipped: int = 0
    later: NDArray[np.int64] | None = None
    nodes: NodeSums | None = None

    @classmethod
    def of(cls, results: Sequence[RunResult]) -> Batch:
        """Return runs that were played one by one; at least one."""
        pool = results[0].tally.pool
        counts = [one.tally.counts for one in results]
        index: dict[str | None, int] = {name: place for place, name in enumerate(pool)}
        index[None] = -1
        return cls(
            pool,
            np.array([one.run for one in results]),
            np.array([one.outcome.interactions for one in results]),
            np.array([len(lines) for lines in counts]),
            np.array([one.outcome.converged for one in results]),
            np.array([index[one.outcome.winner] for one in results]),
            np.array([one.outcome.share for one in results]),
            np.array([one.outcome.flipped for one in results]),
            np.array([one.outcome.agreed for one in results]),
            np.array([one.outcome.names_left for one in results]),
            np.array([one.local_agreement for one in results]),
            np.array([one.clusters for one in results]),
            np.array([one.largest_cluster for one in results]),
            np.concatenate(counts),
            [one.held for one in results],
            [row for one in results for row in one.rows],
            sum(one.discarded for one in results),
            sum(one.skipped for one in results),
            nodes=NodeSums.of([(one.history, index[one.outcome.winner]) for one in results]),
        )


def joined(batches: Sequence[Batch], order: NDArray[np.int64]) -> Batch:
    """Return the runs of several batches, played without rows, as one, in ``order``.

    ``order`` has places among all runs, batch after batch.
    """
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in batches])[order]
        for name in (*_PLAYED, *_LEFT)
    }
    counts = [
        lines for one in batches for lines in np.split(one.counts, np.cumsum(one.rounds)[:-1])
    ]
    held = [nodes for one in batches for nodes in one.held]
    later = None
    if batches[0].later is not None:
        later = np.concatenate([one.later for one in batches])[order]
    nodes = batches[0].nodes
    for one in batches[1:]:
        nodes = nodes if nodes is None or one.nodes is None else nodes.plus(one.nodes)
    return Batch(
        pool=batches[0].pool,
        **columns,
        counts=np.concatenate([counts[place] for place in order]),
        held=[held[place] for place in order],
        later=later,
        nodes=nodes,
    )


def run_table(batches: Sequence[Batch]) -> pd.DataFrame:
    """Return runs as a table with a row for each; the columns are those of ``Ensemble.runs``."""

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(batch, name) for batch in batches])

    names = [*batches[0].pool, None]
    found: dict[str, Any] = {name: column(name) for name in _PLAYED}
    found["winner"] = [names[index] for index in found["winner"].tolist()]
    found["one_name"] = column("names_left") == 1
    return pd.DataFrame(found | {name: column(name) for name in _LEFT})


_PLAYED = ("run", "interactions", "rounds", "converged", "winner", "share", "flipped", "agreed")
_LEFT = ("names_left", "local_agreement", "clusters", "largest_cluster")

RUN_COLUMNS = (*_PLAYED, "one_name", *_LEFT)
"""The columns of a table of runs."""


def mean_left(runs: pd.DataFrame) -> dict[str, float]:
    """Return means over runs: names held at the end, clusters, and the share of the largest."""
    return {name: float(runs[name].mean()) for name in _LEFT if name != "local_agreement"}


def tally_table(batches: Sequence[Batch]) -> pd.DataFrame:
    """Return the rounds of runs as a table; see ``round_table``."""
    pool = batches[0].pool
    every = np.concatenate([batch.counts for batch in batches])
    lengths = np.concatenate([batch.rounds for batch in batches])
    before = np.repeat(np.cumsum(lengths) - lengths, lengths)
    so_far = np.concatenate([[0], np.cumsum(every[:, 0])])
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = every[:, 2:] / every[:, 2:].sum(axis=1, keepdims=True)
        entropy = -np.where(shares > 0, shares * np.log2(shares), 0).sum(axis=1) + 0.0
    fixed = {
        "run": np.repeat(np.concatenate([batch.run for batch in batches]), lengths),
        "round": np.arange(len(every)) - before,
        "interactions": so_far[1:] - so_far[before],
        "success_rate": every[:, 1] / every[:, 0],
        "distinct_names": (shares > 0).sum(axis=1),
        "entropy": entropy,
    }
    by_name = {f"share_{name}": shares[:, index] for index, name in enumerate(pool)}
    return pd.DataFrame(fixed | by_name)


def round_table(pool: Sequence[str], rounds: Iterable[tuple[int, Round]]) -> pd.DataFrame:
    """Return ``(run, round)`` pairs as a table; the columns are those of ``Ensemble.rounds``."""
    fixed = ["run", "round", "interactions", "success_rate", "distinct_names", "entropy"]
    lines = [
        (run, *one[:3], one.distinct_names, one.entropy, *one.shares.values())
        for run, one in rounds
    ]
    return pd.DataFrame(lines, columns=[*fixed, *(f"share_{name}" for name in pool)])


def interaction_columns(game: GameRules | None = None) -> tuple[str, ...]:
    """Return the columns of a table of interactions; see ``interaction_table``."""
    if game is None or isinstance(game, Game):
        return Interaction._fields
    fixed, by_seat = GameInteraction._fields[:3], GameInteraction._fields[3:]
    if game.seats != 2:
        return (*fixed, *by_seat, "outcome")
    return (*fixed, *(f"{field[:-1]}_{seat}" for field in by_seat for seat in "ab"), "outcome")


def interaction_table(rows: Iterable[Row], game: GameRules | None = None) -> pd.DataFrame:
    """Return interactions as a table, by default of the naming game; node ids keep their type.

    Those of the naming game have a column for each field of ``Interaction``. Those of other games
    have ``node_a``, ``node_b``, ``name_a``, ``name_b``, ``payoff_a`` and ``payoff_b`` where two
    meet, and otherwise ``nodes``, ``names`` and ``payoffs``, each a list by seat; ``outcome`` is
    what the game calls the moves.
    """
    columns = list(interaction_columns(game))
    if game is None or isinstance(game, Game):
        return pd.DataFrame.from_records(list(rows), columns=columns)
    lines: list[Any] = [
        (*row[:3], *row.nodes, *row.names, *row.payoffs, game.outcome(*row.names))
        if game.seats == 2
        else (*row[:3], [*row.nodes], [*row.names], [*row.payoffs], game.outcome(*row.names))
        for row in rows
    ]
    return pd.DataFrame.from_records(lines, columns=columns)
