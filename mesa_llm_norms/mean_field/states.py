"""How a population spreads over memories, as arrays: one encounter, and where many lead to."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, gcrotmk, splu

from mesa_llm_norms.mean_field.memories import Memories

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
