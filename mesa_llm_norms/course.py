"""A run under way: rounds played one after the other, and when to stop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.execution import Engine, Player
from mesa_llm_norms.game import Interaction, read_whole
from mesa_llm_norms.metrics import Recent, Round, check_stopping, summarise
from mesa_llm_norms.pairing import Contacts

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


class Course:
    """Plays rounds on an engine, keeps the last few in sight, and knows when a goal is reached."""

    def __init__(self, engine: Engine, committed_names: Sequence[str]) -> None:
        self.engine = engine
        self.committed_names = tuple(committed_names)
        self.goal = Goal()
        self.last_round: Round | None = None
        self.rows: list[Interaction] = []
        """The interactions of the last round played, or begun where a mind failed in it."""
        self._recent = Recent(self._size())

    def aim(self, until: str | None, window: float, threshold: float) -> None:
        """Stop at this goal from now on; raises ``SpecError`` for one that cannot be reached."""
        check_stopping(until, window, threshold)
        if until == "flipped" and not self.committed_names:
            raise SpecError(
                "until",
                until,
                "nobody is committed, so no convention can be flipped",
                'Commit somebody, such as committed={"M": 5}, or run until="converged".',
            )
        self.goal = Goal(until, window, threshold)
        self._recent = self._recent.resized(self._size())

    def seat(self, contacts: Contacts, players: Sequence[Player]) -> None:
        """Go on with other players or contacts."""
        self.engine.seat(contacts, players)
        self._recent = self._recent.resized(self._size())

    def play_round(self) -> list[Interaction]:
        """Play one population round, less if the goal is reached in it, and return its rows."""
        rows = self.rows = []
        try:
            for row in self.engine.round():
                rows.append(row)
                self._recent.add(row.name_a, row.name_b)
                if self.goal.until is not None and self.reached:
                    break
        finally:
            if rows:
                self.last_round = summarise(rows, self.engine.game.pool)
        return rows

    @property
    def reached(self) -> bool:
        """Whether the goal is reached.

        ``converged``: of the last ``window`` times N interactions, at least ``threshold`` matched.
        ``flipped``: 95% of the names played in them are one committed name.
        """
        if self.goal.until == "converged":
            return self.converged
        return self.goal.until == "flipped" and self.flipped

    @property
    def converged(self) -> bool:
        """Whether the last interactions, as many as the window holds, matched."""
        return self._recent.converged(self.goal.threshold)

    @property
    def flipped(self) -> bool:
        """Whether a committed name has taken over."""
        return self._recent.flipped(self.committed_names)

    @property
    def outcome(self) -> Outcome:
        """How the run stands now."""
        winner = self._recent.leader(self.engine.game.pool)
        return Outcome(
            self.engine.interactions,
            self.engine.rounds,
            self.converged,
            self.flipped,
            winner,
            self._recent.share(winner) if winner is not None else 0.0,
            self._recent.success_rate,
        )

    def _size(self) -> int:
        return max(1, round(self.goal.window * len(self.engine.players)))


def read_rounds(rounds: int | None, until: str | None) -> int:
    """Return how many rounds may be played at most; ``SpecError`` if nothing would end the run."""
    if rounds is None:
        if until is None:
            raise SpecError(
                "rounds", rounds, "nothing says when to stop", "Give rounds= or until=."
            )
        return MAX_ROUNDS
    return read_whole("rounds", rounds, 0, MOST)
