"""Which memories agents can come to have, found by following them from where they start.

What an agent plays depends on its memory, and what it remembers next on that and on what it hears.
All memories that begin alike and end in the same name played are reached from the same ones, so
they are a *group*: an agent's choice says which group it goes to, its partner's which member.

How a population spreads over memories, as arrays: one encounter, and where many lead to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, gcrotmk, splu

from mesa_llm_norms.core.game import Memory, Remembered
from mesa_llm_norms.errors import SpecError

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


CLOSE = 1e-13
"""How exactly the spread that stays is solved for."""


Floats = NDArray[np.float64]


class States:
    """The states of ``memories``, and the arrays of how they follow one another.

    A *spread* is how many agents are in each state, as shares of all agents; ``heard`` is how
    likely each name of the pool is to be what a partner plays, and ``chances`` how likely it is to
    be played in each state.
    """

    def __init__(self, memories: Memories, chances: Floats) -> None:
        self.memories = memories
        self.chances = shares_of(chances)
        self.played = np.array(memories.played, np.int64)
        """The places in the pool of the names that may be played."""
        self.groups = memories.groups
        sources, names, ends = memories.links
        self._links = sp.csr_array(
            (self.chances[sources, names], sources, ends), shape=(self.groups, len(memories))
        )
        self._in_groups = self.groups * len(self.played)

    def __len__(self) -> int:
        return len(self.memories)

    @cached_property
    def marks(self) -> Floats:
        """For each mind 1 where the state is one of its own."""
        seats = np.empty(len(self), np.int64)
        seats[self.memories.places] = [seat for seat, _ in self.memories.known]
        marks: Floats = (seats == np.arange(self.memories.minds)[:, None]).astype(float)
        return marks

    def arriving(self, spread: Floats) -> Floats:
        """Return how many agents go to each group."""
        return np.asarray(self._links @ spread)

    def hear(self, arriving: Floats, heard: Floats) -> Floats:
        """Return the spread of those who go to groups, once they have heard a partner."""
        after = np.zeros(len(self))
        np.multiply(heard[self.played, None], arriving, out=self.by_partner(after))
        return after

    def by_partner(self, spread: Floats) -> Floats:
        """Return the part of a spread that is in groups: a row for each name of ``played``."""
        return spread[: self._in_groups].reshape(len(self.played), self.groups)

    def meet(self, spread: Floats, heard: Floats) -> Floats:
        """Return the spread after everybody has met one partner."""
        return self.hear(self.arriving(spread), heard)

    def settle(self, heard: Floats, weights: Floats, guess: Floats | None = None) -> Floats:
        """Return the spread that stays where partners always play by ``heard``.

        ``weights`` are the shares of the minds. Nothing else stays, unless ``divided``. It is
        solved for by groups, for a spread that stays has heard what is played.
        """
        leads, size = self._leads(heard), self.groups
        marks = self.marks[:, :size]  # those of a group's first state are the group's
        even = marks.T / marks.sum(axis=1)

        def leave(arriving: Floats) -> Floats:
            left: Floats = arriving - leads @ arriving + even @ (marks @ arriving)
            return left

        found, failed = gcrotmk(
            LinearOperator((size, size), matvec=leave, dtype=float),
            even @ weights,
            x0=None if guess is None else self.arriving(guess),
            rtol=0,
            atol=CLOSE,
            maxiter=5,
            m=min(size, 100),
            k=0,
        )
        if failed:
            found = _settle_directly(leads, marks, weights)
        return self.hear(np.clip(found, 0, None), heard)

    @property
    def divided(self) -> bool:
        """Whether agents of one mind can be where they will never meet the memories of others.

        What they play in the long run then depends on where they began, whatever they hear.
        """
        leads = self._leads(np.ones(self.chances.shape[1]))
        leads.sum_duplicates()  # or connected_components may never end
        count, part = connected_components(leads, connection="strong")
        arrival, departure = leads.nonzero()
        left = part[departure[part[arrival] != part[departure]]]
        return count - len(np.unique(left)) > self.memories.minds

    def _leads(self, heard: Floats) -> sp.csr_array:
        """Return which share of each group, in columns, goes to each other, having ``heard`` so."""
        inner = self._links[:, : self._in_groups]
        partners, groups = np.divmod(inner.indices, self.groups)
        chances = inner.data * heard[self.played][partners]
        return sp.csr_array((chances, groups, inner.indptr), shape=(self.groups, self.groups))


def _settle_directly(leads: sp.csr_array, marks: Floats, weights: Floats) -> Floats:
    """Solve by elimination, with the mass of each mind in the place of one equation."""
    system = sp.lil_array(sp.eye_array(leads.shape[0]) - leads)
    wanted = np.zeros(leads.shape[0])
    for mark, weight in zip(marks, weights, strict=True):
        place = int(np.flatnonzero(mark)[-1])
        system[place, :] = mark
        wanted[place] = weight
    found: Floats = splu(system.tocsc()).solve(wanted)
    return found


def shares_of(amounts: Floats) -> Floats:
    """Return amounts as shares of their sum, in every row."""
    shares: Floats = amounts / amounts.sum(axis=-1, keepdims=True)
    return shares
