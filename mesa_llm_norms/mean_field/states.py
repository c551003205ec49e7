"""How a population spreads over memories, as arrays: one encounter, and where many lead to."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, gmres, splu

from mesa_llm_norms.mean_field.memories import Memories

CLOSE = 1e-13
"""How exactly the spread that stays is solved for."""

Floats = NDArray[np.float64]


class States:
    """The states of ``memories``, numbered, and the arrays of how they follow one another.

    A *spread* is how many agents are in each state, as shares of all agents; ``heard`` is how
    likely each name of the pool is to be what a partner plays.
    """

    def __init__(self, memories: Memories) -> None:
        self.memories = memories
        size, minds = len(memories.known), len(memories.roster)
        self.chances: Floats = np.array(memories.chances, float)
        self.marks: Floats = (np.array(memories.seats) == np.arange(minds)[:, None]).astype(float)
        """For each mind 1 where the state is one of its own."""
        names, states, groups = np.array(memories.links, np.int64).T
        nowhere = memories.group_count
        leads_to = np.full(self.chances.T.shape, nowhere)
        leads_to[names, states] = groups
        self._leads_to, self._places = leads_to.ravel(), nowhere + 1
        self._playing = np.ascontiguousarray(self.chances.T)
        self._groups = np.array(memories.groups, np.int64)  # -1 is the last, where nobody comes
        links = self.chances[states, names], (groups, states)
        self._links = sp.csr_array(links, shape=(nowhere + 1, size))
        self.partners = np.array(memories.partners, np.int64)
        """For each state, the place in the pool of the name heard last."""
        self._even: Floats = self.marks.T / self.marks.sum(axis=1)

    def __len__(self) -> int:
        return len(self.memories.known)

    def arriving(self, spread: Floats) -> Floats:
        """Return how many agents go to the group of each state."""
        playing = (self._playing * spread).ravel()
        by_group = np.bincount(self._leads_to, playing, self._places).astype(float, copy=False)
        return by_group[self._groups]

    def meet(self, spread: Floats, heard: Floats) -> Floats:
        """Return the spread after everybody has met one partner."""
        after: Floats = heard[self.partners] * self.arriving(spread)
        return after

    def settle(self, heard: Floats, weights: Floats, guess: Floats | None = None) -> Floats:
        """Return the spread that stays where partners always play by ``heard``.

        ``weights`` are the shares of the minds. Nothing else stays, unless ``divided``.
        """
        size = len(self)

        def leave(spread: Floats) -> Floats:
            left: Floats = spread - self.meet(spread, heard) + self._even @ (self.marks @ spread)
            return left

        wanted = self._even @ weights
        system = LinearOperator((size, size), matvec=leave, dtype=float)
        found, failed = gmres(
            system, wanted, x0=guess, rtol=0, atol=CLOSE, restart=min(size, 100), maxiter=5
        )
        if failed:
            found = self._settle_directly(heard, weights)
        return np.clip(found, 0, None)

    @property
    def divided(self) -> bool:
        """Whether agents of one mind can be where they will never meet the memories of others.

        What they play in the long run then depends on where they began, whatever they hear.
        """
        leads = sp.csr_array(self._links[self._groups])
        count, part = connected_components(leads, connection="strong")
        arrival, departure = leads.nonzero()
        left = part[departure[part[arrival] != part[departure]]]
        return count - len(np.unique(left)) > len(self.marks)

    def _settle_directly(self, heard: Floats, weights: Floats) -> Floats:
        """Do the same by elimination, the mass of each mind in the place of one equation."""
        leads = sp.diags_array(heard[self.partners]) @ self._links[self._groups]
        system = sp.lil_array(sp.eye_array(len(self)) - leads)
        wanted = np.zeros(len(self))
        for mark, weight in zip(self.marks, weights, strict=True):
            place = int(np.flatnonzero(mark)[-1])
            system[place, :] = mark
            wanted[place] = weight
        found: Floats = splu(system.tocsc()).solve(wanted)
        return found


def shares_of(amounts: Floats) -> Floats:
    """Return amounts as shares of their sum, in every row."""
    shares: Floats = amounts / amounts.sum(axis=-1, keepdims=True)
    return shares
