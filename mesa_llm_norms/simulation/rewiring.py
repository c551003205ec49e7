"""Adaptive networks: edges along which agents miss again and again give way to new ones.

An edge is dropped once its last ``misses`` interactions in a row failed to match, with the
probability ``rate``; if not, again after the next miss. One of its two agents, drawn by a coin (in
a directed graph the one that the edge leads from), makes a new edge to an agent drawn uniformly
among those it has none to, with the weight of the old one. So the number of edges stays the same.
An edge stays where there is nobody to turn to, and where the other agent would lose its only edge.

The network changes between population rounds alone. What happens is a function of the rows and of
draws keyed by the interaction of the last miss: the same rows give the same networks.

Gradwohl, Strandburg-Peshkin and Giese (2023) let people choose with whom to coordinate. Theirs is
not this rule: their players rather turned to those who disagreed.

References
----------
N. Gradwohl, A. Strandburg-Peshkin and H. Giese, "Humans strategically avoid connecting to others
who agree and avert the emergence of network polarization in a coordination task", Scientific
Reports 13, 11299 (2023).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import Row
from mesa_llm_norms.core.limits import read_number, read_whole
from mesa_llm_norms.core.randomness import UNIT, RandomStream, index_of
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.networks.adjacency import Neighbors

Rewire: TypeAlias = tuple[int, float]
"""The misses in a row after which an edge is dropped, and the probability that it then is."""


class Change(NamedTuple):
    """An edge that is dropped, and the one that takes its place; nodes by index.

    In an undirected graph ``agent``, who keeps an edge, is one of the two ends of the old one.
    """

    agent: int
    dropped: int
    made: int


def read_rewire(value: Any) -> Rewire | None:
    """Return what ``rewire=`` stands for: misses, or misses and a rate, also as text ``3:0.5``.

    Raises ``SpecError`` if they are not numbers in range.
    """
    if value is None or (isinstance(value, str) and value in ("", "none")):
        return None
    parts = value.split(":") if isinstance(value, str) else value
    parts = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    try:
        if isinstance(value, str):
            parts = [int(parts[0]), *map(float, parts[1:])]
        misses, rate = parts if len(parts) == 2 else (*parts, 1.0)
    except ValueError:
        raise SpecError(
            "rewire",
            value,
            f"{shown(value)} is not a number of misses, or that and a rate",
            "Write rewire=3, or rewire=(3, 0.5) to drop it with probability 0.5; as text 3:0.5.",
        ) from None
    return (
        read_whole("rewire", misses, limits.MISSES),
        float(read_number("rewire", rate, limits.REWIRING_RATE)),
    )


class Rewiring:
    """Follows a run's rows, and says how the network changes before the next round.

    Parameters
    ----------
    rule : tuple of int and float
        Misses in a row after which an edge is dropped, and the probability that it then is.
    stream : RandomStream
        All random draws of the run.
    directed : bool
        Whether edges have a direction.
    """

    def __init__(self, rule: Rewire, stream: RandomStream, directed: bool) -> None:
        self._misses_allowed, rate = rule
        self._below = round(rate * UNIT)
        self._stream = stream
        self._directed = directed
        self._misses: dict[Any, int] = {}
        self._due: dict[Any, tuple[int, Hashable, Hashable]] = {}

    def saw(self, row: Row, success: bool) -> None:
        """Take in an interaction of two, and whether it was a success."""
        a, b = pair = row.nodes
        edge = pair if self._directed else frozenset(pair)
        if success:
            self._misses.pop(edge, None)
            self._due.pop(edge, None)
            return
        self._misses[edge] = self._misses.get(edge, 0) + 1
        if self._misses[edge] >= self._misses_allowed:
            self._due.pop(edge, None)
            self._due[edge] = row.interaction, a, b

    def changes(self, neighbors: Neighbors) -> list[Change]:
        """Return what changes before the next round, and begin to count anew along it."""
        due, self._due = self._due, {}
        network, found = _Network(neighbors), list[Change]()
        for edge, (interaction, *pair) in due.items():
            if not all(node in neighbors.index for node in pair):
                continue
            a, b = (neighbors.index[node] for node in pair)
            if not neighbors.joins((a, b)) or self._draw(interaction, 0) >= self._below:
                continue
            if not self._directed and self._draw(interaction, 1) % 2:
                a, b = b, a
            others = network.strangers(a)
            if not others or network.degrees[b] == 1:
                continue
            change = Change(a, b, others[index_of(self._draw(interaction, 2), len(others))])
            network.apply(change)
            found.append(change)
            del self._misses[edge]
        return found

    def _draw(self, interaction: int, which: int) -> int:
        """Return 32 bits for one of the decisions about an edge after its last miss."""
        return self._stream.of("rewire", interaction, which) >> 32


class _Network:
    """Who has an edge to whom while edges change, one after the other."""

    def __init__(self, neighbors: Neighbors) -> None:
        self._neighbors = neighbors
        self._known: dict[int, set[int]] = {}
        self.degrees = neighbors.degrees.tolist()

    def strangers(self, node: int) -> list[int]:
        """Return whom a node has no edge to, in order."""
        near = self._of(node)
        return [other for other in range(len(self.degrees)) if other != node and other not in near]

    def apply(self, change: Change) -> None:
        """Take over a change."""
        self._of(change.agent).discard(change.dropped)
        self._of(change.agent).add(change.made)
        if not self._neighbors.directed:
            self._of(change.dropped).discard(change.agent)
            self._of(change.made).add(change.agent)
        self.degrees[change.dropped] -= 1
        self.degrees[change.made] += 1

    def _of(self, node: int) -> set[int]:
        return self._known.setdefault(node, set(self._neighbors.of(node)))


def rewired(neighbors: Neighbors, changes: Sequence[Change]) -> Neighbors:
    """Return a graph after changes, of edges that all were in it before.

    Parameters
    ----------
    neighbors : Neighbors
        The graph, which is left as it is.
    changes : sequence of Change
        What is dropped and made.

    Returns
    -------
    Neighbors
        The same as of a graph that was made so.
    """
    origins = np.repeat(np.arange(len(neighbors), dtype=np.int32), np.diff(neighbors.indptr))
    indices = neighbors.indices.copy()

    def entry(node: int, other: int) -> int:
        first, end = neighbors.indptr[node], neighbors.indptr[node + 1]
        return int(first + np.searchsorted(neighbors.indices[first:end], other))

    for agent, dropped, made in changes:
        indices[entry(agent, dropped)] = made
        if not neighbors.directed:
            origins[entry(dropped, agent)] = made
    order = np.lexsort((indices, origins))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(origins, minlength=len(neighbors)))])
    weights = None if neighbors.weights is None else neighbors.weights[order]
    return neighbors.with_rows(indptr, indices[order], weights)
