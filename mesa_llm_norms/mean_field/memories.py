"""Which memories agents can come to have, found by following them from where they start.

What an agent plays depends on its memory, and what it remembers next on that and on what it hears.
All memories that begin alike and end in the same name played are reached from the same ones, so
they are a *group*: an agent's choice says which group it goes to, its partner's which member.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.memory import Memory, Remembered

MOST = 100_000
"""How many memories there may be: with more, a trajectory would take minutes."""

State: TypeAlias = tuple[int, Memory]
"""What one mind, by its place in the roster, remembers."""
Plays: TypeAlias = Callable[[Sequence[State]], NDArray[np.bool_]]
"""Says of some states, in rows, which names of the pool are ever played in them."""
Places: TypeAlias = NDArray[np.int64]


class Links(NamedTuple):
    """Which states lead to each group, and by which names: group by group, in rows of arrays.

    The row of group g is from ``ends[g]`` to ``ends[g + 1]``, as in a compressed sparse array.
    """

    states: Places
    names: Places
    ends: Places


class Memories:
    """What agents may remember of games with ``pool`` and a memory of ``length``, from ``starts``.

    ``heard`` are the names that are heard even if nobody plays them. States are numbered by partner
    and group: those in which the first name of ``played`` (places in the pool of the names that
    may ever be played) was heard last, in order of their groups, then those with the second, and at
    the end those that no state leads to. ``known`` are all states as they were found, ``places``
    their numbers, and ``generations`` where in ``known`` those begin that follow from the ones
    before alone.
    """

    def __init__(
        self,
        pool: tuple[str, ...],
        length: int,
        minds: int,
        starts: Iterable[Memory],
        heard: Iterable[str],
        plays: Plays,
    ) -> None:
        self.pool, self.length, self.minds = pool, length, minds
        self.known: list[State] = []
        self.played = [pool.index(name) for name in dict.fromkeys(heard)]
        self.generations = [0]
        self._numbers: dict[State, int] = {}
        self._pairs = [[Remembered(own, partner) for partner in pool] for own in pool]
        self._groups: list[tuple[int, Memory, int]] = []
        self._leading: dict[State, dict[int, int]] = {}
        self._members: list[tuple[int, int, int]] = []
        links: list[tuple[int, int, int]] = []
        for start, seat in product(starts, range(minds)):
            self._number((seat, start))
        while self.generations[-1] < len(self.known):
            first = self.generations[-1]
            self.generations.append(len(self.known))
            links += self._follow(first, plays(self.known[first:]))
        self.places = self._arrange()
        self.links = self._sort(links)

    def __len__(self) -> int:
        return len(self.known)

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self._groups)

    def number(self, seat: int, memory: Memory) -> int:
        """Return the number of a state."""
        return int(self.places[self._numbers[seat, memory]])

    def _follow(self, first: int, plays: NDArray[np.bool_]) -> list[tuple[int, int, int]]:
        """Find what states lead to, from number ``first`` on; return group, state and name."""
        links = []
        for row, own in np.argwhere(plays).tolist():
            seat, memory = self.known[first + row]
            kept = memory if len(memory) < self.length else memory[1:]
            leading = self._leading.setdefault((seat, kept), {})
            if own not in leading:
                leading[own] = self._add_group(seat, kept, own)
            links.append((leading[own], first + row, own))
        return links

    def _add_group(self, seat: int, kept: Memory, own: int) -> int:
        self._groups.append((seat, kept, own))
        if own not in self.played:
            self.played.append(own)
            for group in range(len(self._groups) - 1):
                self._add_member(group, own)
        for partner in self.played:
            self._add_member(len(self._groups) - 1, partner)
        return len(self._groups) - 1

    def _add_member(self, group: int, partner: int) -> None:
        seat, kept, own = self._groups[group]
        state = self._number((seat, (*kept, self._pairs[own][partner])))
        self._members.append((state, partner, group))

    def _number(self, state: State) -> int:
        number = self._numbers.setdefault(state, len(self.known))
        if number == len(self.known):
            if number == MOST:
                raise SpecError(
                    "memory",
                    self.length,
                    f"with {len(self.pool)} names and a memory of {self.length}, agents "
                    f"can remember more than {MOST:,} different things",
                    "Take fewer names or a shorter memory, or play populations with run_ensemble.",
                )
            self.known.append(state)
        return number

    def _arrange(self) -> Places:
        """Return the number of each state, in the order in which they were found."""
        found, partners, groups = np.array(self._members, np.int64).T
        ranks = np.zeros(len(self.pool), np.int64)
        ranks[self.played] = np.arange(len(self.played))
        places = np.full(len(self.known), -1)
        places[found] = ranks[partners] * self.groups + groups
        alone = places < 0
        places[alone] = len(found) + np.arange(alone.sum())
        return places

    def _sort(self, links: list[tuple[int, int, int]]) -> Links:
        groups, found, names = np.array(links, np.int64).T
        order = np.argsort(groups, kind="stable")
        ends = np.searchsorted(groups[order], np.arange(self.groups + 1))
        return Links(self.places[found[order]], names[order], ends)
