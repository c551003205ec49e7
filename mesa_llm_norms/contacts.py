"""A graph compiled for drawing: who may meet whom, as arrays and as tuples."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.draws import thresholds
from mesa_llm_norms.errors import GraphError
from mesa_llm_norms.topologies import is_directed

Pair = tuple[int, int]


class Contacts:
    """A graph compiled for drawing: nodes by index, and each one's neighbours.

    ``nodes[i]`` is the id of node i. Those it may meet when it is drawn first (its successors, if
    the graph is directed) are ``indices[indptr[i]:indptr[i + 1]]``, in the order of ``nodes``, not
    in that in which edges were added, which a copy of a networkx graph does not keep. Edge weights,
    where there are any, say how much more often one contact is drawn than another.

    ``graph`` is a networkx graph, without the nodes in ``absent``, or a scipy sparse array, whose
    nodes are 0 to n - 1. Whether the game can be played on it, ``topologies.check_graph`` says.

    Compiled loops read the arrays. ``neighbours``, ``initiators``, ``edges``, ``weights`` and
    ``edge_weights`` say the same in tuples, made when first asked for.
    """

    def __init__(self, graph: Any, absent: Iterable[Hashable] = ()) -> None:
        self.nodes: Sequence[Hashable]
        self.indptr: NDArray[np.int64]
        self.indices: NDArray[np.int32]
        if isinstance(graph, nx.Graph):
            self.directed = graph.is_directed()
            self.nodes, self.indptr, self.indices, strengths = _read_networkx(graph, set(absent))
        else:
            self.directed = is_directed(graph)
            self.nodes = range(graph.shape[0])
            self.indptr = graph.indptr.astype(np.int64)
            self.indices = graph.indices.astype(np.int32, copy=False)
            strengths = graph.data.astype(np.float64) if (graph.data != 1).any() else None
        self.strengths = strengths
        """The weight of every entry of ``indices``, or None where all are one."""
        if not len(self.indices):
            raise GraphError("no edge joins two agents", "Add an edge.", self.nodes)

    def __len__(self) -> int:
        return len(self.nodes)

    def joins(self, pair: Any) -> bool:
        """Whether ``pair`` is two indices of which the first may meet the second."""
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            return False
        a, b = pair
        if not isinstance(a, (int, np.integer)) or not isinstance(b, (int, np.integer)):
            return False
        return bool(0 <= a < len(self)) and b in self.neighbours[a]

    @property
    def is_complete(self) -> bool:
        """Whether everybody may meet everybody else."""
        return len(self.indices) == len(self) * (len(self) - 1)

    @cached_property
    def starts(self) -> NDArray[np.int32]:
        """The nodes with somebody to meet, in order: those that can be drawn first."""
        return np.flatnonzero(np.diff(self.indptr)).astype(np.int32)

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """How many edges each node has, in and out where the graph is directed."""
        out = np.diff(self.indptr)
        return out + np.bincount(self.indices, minlength=len(self)) if self.directed else out

    @cached_property
    def entries(self) -> NDArray[np.int64]:
        """The place in ``indices`` of every edge, once; of an undirected one, its earlier node's.

        In a directed graph that is every place.
        """
        if self.directed:
            return np.arange(len(self.indices))
        return np.flatnonzero(self._origins < self.indices)

    @cached_property
    def tails(self) -> NDArray[np.int32]:
        """The first node of every edge in ``entries``."""
        return self._origins[self.entries]

    @cached_property
    def heads(self) -> NDArray[np.int32]:
        """The second node of every edge in ``entries``."""
        return self.indices[self.entries]

    @cached_property
    def edge_strengths(self) -> NDArray[np.float64] | None:
        """The weight of every edge in ``entries``, or None where all are one."""
        return None if self.strengths is None else self.strengths[self.entries]

    @cached_property
    def neighbour_thresholds(self) -> NDArray[np.int64]:
        """For a weighted graph, each node's thresholds over its neighbours, along ``indices``."""
        found = np.zeros(0 if self.strengths is None else len(self.indices), np.int64)
        if self.strengths is not None:
            for first, end in pairwise(self.indptr.tolist()):
                if end > first:
                    found[first:end] = thresholds(self.strengths[first:end])
        return found

    @cached_property
    def edge_thresholds(self) -> NDArray[np.int64]:
        """For a weighted graph, the thresholds over the edges in ``entries``."""
        given = self.edge_strengths
        return np.array([] if given is None else thresholds(given), np.int64)

    @cached_property
    def index(self) -> dict[Hashable, int]:
        """The place of every node."""
        return {node: place for place, node in enumerate(self.nodes)}

    @cached_property
    def neighbours(self) -> tuple[tuple[int, ...], ...]:
        """For each node, the indices of those it may meet."""
        return self._by_node(self.indices)

    @cached_property
    def weights(self) -> tuple[tuple[float, ...], ...] | None:
        """For each node, the weights of its edges, or None where all are one."""
        return None if self.strengths is None else self._by_node(self.strengths)

    @cached_property
    def initiators(self) -> tuple[int, ...]:
        """The nodes with somebody to meet."""
        return tuple(self.starts.tolist())

    @cached_property
    def edges(self) -> tuple[Pair, ...]:
        """Every edge once; an undirected one from its earlier to its later node."""
        return tuple(zip(self.tails.tolist(), self.heads.tolist(), strict=True))

    @cached_property
    def shares(self) -> tuple[tuple[int, ...], ...]:
        """For a weighted graph, each node's thresholds over its neighbours."""
        return () if self.strengths is None else self._by_node(self.neighbour_thresholds)

    @cached_property
    def edge_shares(self) -> list[int]:
        """For a weighted graph, the thresholds over ``edges``."""
        shares: list[int] = self.edge_thresholds.tolist()
        return shares

    @cached_property
    def _origins(self) -> NDArray[np.int32]:
        """The node that each entry of ``indices`` is a neighbour of."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.indptr))

    def _by_node(self, values: NDArray[Any]) -> tuple[tuple[Any, ...], ...]:
        every, ends = values.tolist(), self.indptr.tolist()
        return tuple(tuple(every[first:end]) for first, end in pairwise(ends))


def _read_networkx(
    graph: nx.Graph[Any], absent: set[Hashable]
) -> tuple[tuple[Hashable, ...], NDArray[np.int64], NDArray[np.int32], NDArray[np.float64] | None]:
    nodes = tuple(node for node in graph.nodes if node not in absent)
    index = {node: place for place, node in enumerate(nodes)}
    indptr, indices, strengths = [0], list[int](), list[float]()
    weighted = False
    for node in nodes:
        found = {index[v]: data for v, data in graph.adj[node].items() if v in index}
        for place in sorted(found):
            indices.append(place)
            weight = found[place].get("weight", 1)
            strengths.append(weight)
            weighted = weighted or weight != 1
        indptr.append(len(indices))
    return (
        nodes,
        np.array(indptr, np.int64),
        np.array(indices, np.int32),
        np.array(strengths, np.float64) if weighted else None,
    )
