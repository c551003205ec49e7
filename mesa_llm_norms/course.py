"""A run under way: rounds played one after the other, and when to stop."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.contacts import Contacts
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import Game, Interaction, read_whole
from mesa_llm_norms.metrics import Round, Tally, count
from mesa_llm_norms.window import Recent, Stop, check_stopping, converging, flipping

WINDOW = 3
MOST = 10**9
"""The largest number of rounds, or runs, that may be asked for."""
MAX_ROUNDS = 1_000
"""How many rounds a run may take when only ``until`` says when to stop."""


class Goal(NamedTuple):
    """When a run stops: ``until`` is ``converged``, ``flipped`` or None; see ``Course.reached``."""

    until: str | None = None
    window: float = WINDOW
    threshold: float = 1.0


class Outcome(NamedTuple):
    """How a run stands."""

    interactions: int
    rounds: int
    converged: bool
    flipped: bool
    winner: str | None
    """The name played most in the last rounds (the window), None before the first interaction."""
    share: float
    """The winner's share of the names played in them."""
    success_rate: float
    """Share of their interactions that matched."""


class RoundEngine(Protocol):
    """What plays the rounds of a course: the engine in plain Python, or the compiled kernel."""

    @property
    def game(self) -> Game:
        """The rules."""

    @property
    def contacts(self) -> Contacts:
        """Who may meet whom."""

    @property
    def interactions(self) -> int:
        """How many have been played, void ones included."""

    @property
    def voided(self) -> int:
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
        """Fit the window to the contacts, after they changed."""
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
        return self.engine.interactions - self.engine.voided

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
        pool, nodes = self.engine.game.pool, self.engine.contacts.nodes
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
        return max(1, round(self.goal.window * len(self.engine.contacts)))


def check_goal(goal: Goal, committed_names: Sequence[str]) -> None:
    """Raise ``SpecError`` for a goal that means nothing, or that nothing could reach."""
    check_stopping(*goal)
    if goal.until == "flipped" and not committed_names:
        raise SpecError(
            "until",
            goal.until,
            "nobody is committed, so no convention can be flipped",
            'Commit somebody, such as committed={"M": 5}, or run until="converged".',
        )


def read_rounds(rounds: int | None, until: str | None) -> int:
    """Return how many rounds may be played at most; ``SpecError`` if nothing would end the run."""
    if rounds is None:
        if until is None:
            raise SpecError(
                "rounds", rounds, "nothing says when to stop", "Give rounds= or until=."
            )
        return MAX_ROUNDS
    return read_whole("rounds", rounds, 0, MOST)
