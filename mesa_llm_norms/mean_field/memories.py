"""Which memories agents can come to have, found by following them from where they start.

What an agent plays depends on its memory, and what it remembers next on that and on what it hears.
All memories that begin alike and end in the same name played are reached from the same ones, so
they are a *group*: an agent's choice says which group it goes to, its partner's which member.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.execution import chances_of
from mesa_llm_norms.game import Game
from mesa_llm_norms.memory import Memory, remember
from mesa_llm_norms.minds.mind import Policy

MOST = 100_000
"""How many memories there may be: with more, a trajectory would take minutes."""


class Memories:
    """What the agents with the minds of ``roster`` may remember, from ``starts`` on.

    ``heard`` are names that are heard even if no mind plays them. A state is a seat of the roster
    and a memory. By number of state: ``seats``, ``known`` (memories), ``chances`` (of each name of
    the pool), ``groups`` (-1 where none leads there) and ``partners`` (the place of the name heard
    last). ``links`` are the place of a name, a state that
    plays it, and the group that this leads to.
    """

    def __init__(
        self, game: Game, roster: Sequence[Policy], starts: Iterable[Memory], heard: Iterable[str]
    ) -> None:
        self.game = game
        self.roster = roster
        self.seats: list[int] = []
        self.known: list[Memory] = []
        self.chances: list[Sequence[float]] = []
        self.groups: list[int] = []
        self.partners: list[int] = []
        self.links: list[tuple[int, int, int]] = []
        self.numbers: dict[tuple[int, Memory], int] = {}
        self.played = [game.pool.index(name) for name in dict.fromkeys(heard)]
        """The places in the pool of the names that may ever be played."""
        self._places: dict[tuple[int, Memory, int], int] = {}
        for start in starts:
            for seat in range(len(roster)):
                self._number(seat, start)
        while len(self.chances) < len(self.known):
            self._explore(len(self.chances))

    @property
    def group_count(self) -> int:
        """How many groups there are."""
        return len(self._places)

    def _explore(self, state: int) -> None:
        """Find what this state leads to."""
        seat, memory = self.seats[state], self.known[state]
        chances = chances_of(self.roster[seat], memory, self.game)
        self.chances.append(chances)
        for own, chance in enumerate(chances):
            if chance > 0:
                self.links.append((own, state, self._group(seat, memory, own)))

    def _group(self, seat: int, memory: Memory, own: int) -> int:
        if own not in self.played:
            self.played.append(own)
            for group, (its_seat, kept, its_own) in enumerate(list(self._places)):
                self._reach(group, its_seat, kept, its_own, own)
        name = self.game.pool[own]
        kept = remember(memory, name, name, self.game.memory)[:-1]
        key = (seat, kept, own)
        if key not in self._places:
            self._places[key] = len(self._places)
            for partner in self.played:
                self._reach(self._places[key], *key, partner)
        return self._places[key]

    def _reach(self, group: int, seat: int, kept: Memory, own: int, partner: int) -> None:
        pool = self.game.pool
        state = self._number(seat, remember(kept, pool[own], pool[partner], self.game.memory))
        self.groups[state], self.partners[state] = group, partner

    def _number(self, seat: int, memory: Memory) -> int:
        number = self.numbers.setdefault((seat, memory), len(self.known))
        if number == len(self.known):
            if number == MOST:
                raise SpecError(
                    "memory",
                    self.game.memory,
                    f"with {len(self.game.pool)} names and a memory of {self.game.memory}, agents "
                    f"can remember more than {MOST:,} different things",
                    "Take fewer names or a shorter memory, or play populations with run_ensemble.",
                )
            self.seats.append(seat)
            self.known.append(memory)
            self.groups.append(-1)
            self.partners.append(0)
        return number
