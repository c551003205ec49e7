"""Graphs as the package works on them: networkx graphs, sparse arrays, and compiled neighbors.

A graph is a networkx graph or, where it is large, a scipy sparse array whose nodes are 0 to n - 1;
the functions here answer the same questions about both. ``Neighbors`` is a graph compiled for
drawing pairs: nodes by index and who may meet whom, as arrays and as tuples.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.core.randomness import cumulative_weights
from mesa_llm_norms.errors import GraphError

if TYPE_CHECKING:
    from mesa_llm_norms.networks.contacts import Moments

CONTACTS = "contacts"
"""The graph attribute of a networkx graph that holds its ``Contacts``."""

GROUPS = "groups"
"""The graph attribute of a networkx graph that lists who meet in groups."""

Adjacency: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"
"""Row u holds the nodes that u may meet when drawn first: column v has the weight of u -> v."""

Graph: TypeAlias = "nx.Graph[Any] | Adjacency"
"""What agents live on: a networkx graph, or the adjacency of one whose nodes are 0 to n - 1."""

Pair: TypeAlias = tuple[int, int]
"""Two indices into ``Neighbors.nodes``, the node drawn first in front."""


class Neighbors:
    """A graph compiled for drawing pairs: nodes by index, and the neighbors of each.

    Neighbors are listed in the order of ``nodes``, not in that in which edges were added (which a
    copy of a networkx graph does not keep). Pairing rules in Python use ``of``, ``initiators`` and
    ``edges``; compiled loops read the arrays. Whether the game can be played on a graph is for
    ``check_graph`` to say.

    Parameters
    ----------
    graph : networkx.Graph or scipy.sparse.csr_array
        A networkx graph, or an adjacency as ``read_adjacency`` returns it.
    absent : iterable of hashable, default ()
        Nodes of a networkx graph to leave out.

    Attributes
    ----------
    nodes : sequence of hashable
        The id of each node; everything else refers to nodes by their index in this sequence.
    directed : bool
        Whether an edge u -> v lets only u, drawn first, meet v.
    indptr, indices : numpy.ndarray of int64 and of int32
        The neighbors of node i (its successors, if directed) are
        ``indices[indptr[i]:indptr[i + 1]]``.
    weights : numpy.ndarray of float64, or None
        The weight of each entry of ``indices``; None where all weights are one.
    contacts : Moments or None
        Who met when, in time order; None where the graph does not say.
    blocks : numpy.ndarray of int64, or None
        The number of each node's block, where every node of a networkx graph has a ``block``.

    Raises
    ------
    GraphError
        If no edge joins two of the nodes.
    """

    nodes: Sequence[Hashable]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float64] | None
    contacts: Moments | None = None
    blocks: NDArray[np.int64] | None = None

    def __init__(self, graph: Any, absent: Iterable[Hashable] = ()) -> None:
        if isinstance(graph, nx.Graph):
            self.directed: bool = graph.is_directed()
            self._read_networkx(graph, set(absent))
        else:
            self.directed = is_directed(graph)
            self.nodes = range(graph.shape[0])
            self.indptr = graph.indptr.astype(np.int64)
            self.indices = graph.indices.astype(np.int32, copy=False)
            self.weights = graph.data.astype(np.float64) if (graph.data != 1).any() else None
        if not len(self.indices):
            raise GraphError("no edge joins two agents", "Add an edge.", self.nodes)

    @classmethod
    def of_rows(cls, indptr: NDArray[np.int64], indices: NDArray[np.int32]) -> Neighbors:
        """Return an undirected graph without weights, given its arrays, which are not checked.

        Parameters
        ----------
        indptr, indices : numpy.ndarray of int64 and of int32
            The attributes of these names; each node's neighbors in ascending order.

        Returns
        -------
        Neighbors
            The graph, whose nodes are 0 to n - 1.
        """
        made = object.__new__(cls)
        made.directed, made.weights = False, None
        made.nodes, made.indptr, made.indices = range(len(indptr) - 1), indptr, indices
        return made

    def with_rows(
        self,
        indptr: NDArray[np.int64],
        indices: NDArray[np.int32],
        weights: NDArray[np.float64] | None,
    ) -> Neighbors:
        """Return another graph of the same nodes and kind, given its arrays, which are not checked.

        Parameters
        ----------
        indptr, indices, weights : numpy.ndarray of int64, of int32, and of float64 or None
            The attributes of these names; each node's neighbors in ascending order.

        Returns
        -------
        Neighbors
            The graph.
        """
        made = object.__new__(Neighbors)
        made.directed, made.nodes = self.directed, self.nodes
        made.indptr, made.indices, made.weights = indptr, indices, weights
        return made

    def __len__(self) -> int:
        return len(self.nodes)

    def of(self, node: int) -> tuple[int, ...]:
        """Return the neighbors of a node.

        Parameters
        ----------
        node : int
            The node's index.

        Returns
        -------
        tuple of int
            The indices of the nodes it may meet when it is drawn first, in ascending order.
        """
        return self._lists[node]

    def joins(self, pair: Any) -> bool:
        """Return whether a pair is one that may meet.

        Parameters
        ----------
        pair : object
            What a pairing rule drew.

        Returns
        -------
        bool
            True for two indices of which the second is among the neighbors of the first.
        """
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            return False
        a, b = pair
        if not isinstance(a, (int, np.integer)) or not isinstance(b, (int, np.integer)):
            return False
        return bool(0 <= a < len(self)) and b in self._lists[a]

    @cached_property
    def initiators(self) -> tuple[int, ...]:
        """The nodes with at least one neighbor, in order: those that can be drawn first."""
        return tuple(self.starts.tolist())

    @cached_property
    def edges(self) -> tuple[Pair, ...]:
        """Every edge once; an undirected one from its earlier to its later node."""
        return tuple(zip(self.tails.tolist(), self.heads.tolist(), strict=True))

    @cached_property
    def index(self) -> dict[Hashable, int]:
        """The index of every node id."""
        return {node: place for place, node in enumerate(self.nodes)}

    @property
    def is_complete(self) -> bool:
        """Whether every node may meet every other."""
        return len(self.indices) == len(self) * (len(self) - 1)

    @cached_property
    def degrees(self) -> NDArray[np.int64]:
        """How many edges each node has, in and out where the graph is directed."""
        out = np.diff(self.indptr)
        return out + np.bincount(self.indices, minlength=len(self)) if self.directed else out

    @cached_property
    def undirected(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """``indptr`` and ``indices`` with every edge both ways."""
        if not self.directed:
            return self.indptr, self.indices
        ones = np.ones(len(self.indices), np.int8)
        one_way = sparse.csr_array((ones, self.indices, self.indptr), shape=(len(self),) * 2)
        both = (one_way + one_way.T).tocsr()
        both.sort_indices()
        return both.indptr.astype(np.int64), both.indices.astype(np.int32)

    @cached_property
    def starts(self) -> NDArray[np.int32]:
        """``initiators`` as an array."""
        return np.flatnonzero(np.diff(self.indptr)).astype(np.int32)

    @cached_property
    def tails(self) -> NDArray[np.int32]:
        """The first node of every edge, in the order of ``edges``."""
        return self._origins[self._entries]

    @cached_property
    def heads(self) -> NDArray[np.int32]:
        """The second node of every edge, in the order of ``edges``."""
        return self.indices[self._entries]

    @cached_property
    def edge_weights(self) -> NDArray[np.float64] | None:
        """The weight of every edge, in the order of ``edges``; None where all are one."""
        return None if self.weights is None else self.weights[self._entries]

    @cached_property
    def cumulative_weights(self) -> NDArray[np.int64]:
        """Each node's cumulative weights over its neighbors, along ``indices``; empty unweighted.

        Those of one node turn a 32-bit draw into one of its neighbors.
        """
        if self.weights is None:
            return np.zeros(0, np.int64)
        found = np.zeros(len(self.indices), np.int64)
        for first, end in pairwise(self.indptr.tolist()):
            if end > first:
                found[first:end] = cumulative_weights(self.weights[first:end])
        return found

    @cached_property
    def cumulative_edge_weights(self) -> NDArray[np.int64]:
        """The cumulative weights over ``edges``, for drawing one; empty if unweighted."""
        weights = self.edge_weights
        return np.array([] if weights is None else cumulative_weights(weights), np.int64)

    def cumulative_weights_of(self, node: int) -> tuple[int, ...]:
        """Return the part of ``cumulative_weights`` that belongs to a node.

        Parameters
        ----------
        node : int
            The node's index.

        Returns
        -------
        tuple of int
            One number per neighbor, the last one 2**32; empty if the graph has no weights.
        """
        return self._cumulative_lists[node]

    @cached_property
    def _lists(self) -> tuple[tuple[int, ...], ...]:
        return self._by_node(self.indices)

    @cached_property
    def _cumulative_lists(self) -> tuple[tuple[int, ...], ...]:
        return self._by_node(self.cumulative_weights)

    def _by_node(self, values: NDArray[Any]) -> tuple[tuple[int, ...], ...]:
        every = values.tolist()
        return tuple(tuple(every[first:end]) for first, end in pairwise(self.indptr.tolist()))

    @cached_property
    def _origins(self) -> NDArray[np.int32]:
        """The node that each entry of ``indices`` is a neighbor of."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.indptr))

    @cached_property
    def _entries(self) -> NDArray[np.int64]:
        """Where in ``indices`` every edge is, once: an undirected one at its earlier node."""
        if self.directed:
            return np.arange(len(self.indices))
        return np.flatnonzero(self._origins < self.indices)

    def _read_networkx(self, graph: nx.Graph[Any], absent: set[Hashable]) -> None:
        self.nodes = tuple(node for node in graph.nodes if node not in absent)
        index, counts, heads, found = self.index, array("q"), array("i"), list[float]()
        for node, adjacent in graph.adjacency():
            if node in index:
                there = [it for it in adjacent if it in index] if absent else adjacent
                counts.append(len(there))
                heads.extend([index[it] for it in there])
                found.extend([adjacent[it].get("weight", 1) for it in there])
        weighted = any(weight != 1 for weight in found)
        self.indptr = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        unsorted = np.array(heads, np.int32)
        tails = np.repeat(np.arange(len(counts)), counts)
        order = np.argsort(tails * len(counts) + unsorted, kind="stable")
        self.indices = unsorted[order]
        self.weights = np.array(found, np.float64)[order] if weighted else None
        if self.nodes and "block" in graph.nodes[self.nodes[0]]:
            blocks = [graph.nodes[node].get("block") for node in self.nodes]
            if None not in blocks:
                self.blocks = np.unique(list(map(str, blocks)), return_inverse=True)[1]
        if CONTACTS in graph.graph:
            joined = self._origins.astype(np.int64) * len(self) + self.indices
            self.contacts = graph.graph[CONTACTS].among(self.index, joined, self.directed)


def is_sparse(graph: object) -> bool:
    """Return whether a graph is given as a scipy sparse array or matrix, of whatever format.

    Parameters
    ----------
    graph : object
        Anything.

    Returns
    -------
    bool
        Whether it is sparse.
    """
    return bool(sparse.issparse(graph))


def read_adjacency(matrix: Any) -> Adjacency:
    """Return any scipy sparse array or matrix in the form this package works on.

    Parameters
    ----------
    matrix : scipy sparse array or matrix
        Square, of real numbers, in any format. It is left unchanged.

    Returns
    -------
    scipy.sparse.csr_array
        With sorted indices, duplicates added up and stored zeros dropped; the values are ``uint8``
        ones if all are one (or ``bool``), else weights as ``float64``. This is ``matrix`` itself
        where it has that form already.

    Raises
    ------
    GraphError
        If it is not square, its indices are out of bounds, or its values are not real numbers.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise GraphError(
            f"a sparse array of shape {matrix.shape} is not square",
            "Give one row and one column per node.",
        )
    if matrix.dtype.kind not in "buif":
        raise GraphError(
            f"edge weights that are not positive finite numbers (of type {matrix.dtype})",
            "Set them, or make all edges equal with graph.astype(bool).",
        )
    if isinstance(matrix, sparse.csr_array) and _is_canonical(matrix):
        return matrix
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            # On a copy that shares the arrays, because check_format repairs what it finds.
            type(matrix)(matrix).check_format()
        # A copy, and wide enough for sums of duplicates before they are added up.
        copied = matrix.astype(np.bool_ if matrix.dtype == bool else np.float64)
        made: Adjacency = sparse.csr_array(copied)
    except ValueError as error:
        raise GraphError(
            f"a sparse array that is not valid ({error})", "Build it again from its edges."
        ) from error
    made.sum_duplicates()
    made.eliminate_zeros()
    if (made.data == 1).all():
        made.data = np.ones(made.nnz, np.uint8)
    index = np.int32 if max(made.nnz, made.shape[0]) <= np.iinfo(np.int32).max else np.int64
    made.indices = made.indices.astype(index, copy=False)
    made.indptr = made.indptr.astype(index, copy=False)
    return made


def is_directed(graph: Graph) -> bool:
    """Return whether some edge leads one way only, or weighs more one way than the other.

    Parameters
    ----------
    graph : networkx.Graph or scipy.sparse.csr_array
        A networkx graph says so itself; a sparse array is directed unless it is symmetric.

    Returns
    -------
    bool
        Whether the graph is directed.
    """
    if isinstance(graph, nx.Graph):
        return graph.is_directed()
    turned = graph.T.tocsr()
    return not all(
        np.array_equal(getattr(graph, part), getattr(turned, part))
        for part in ("indptr", "indices", "data")
    )


def graph_size(graph: Graph) -> tuple[int, int]:
    """Return the numbers of nodes and of edges.

    Parameters
    ----------
    graph : networkx.Graph or scipy.sparse.csr_array
        The graph.

    Returns
    -------
    tuple of int
        Nodes and edges; an undirected edge counts once.
    """
    if isinstance(graph, nx.Graph):
        return len(graph), graph.number_of_edges()
    loops = np.count_nonzero(graph.diagonal())
    return graph.shape[0], int(graph.nnz if is_directed(graph) else (graph.nnz + loops) // 2)


def to_networkx(graph: Graph) -> nx.Graph[Any]:
    """Return a networkx graph: the one given, or a new one with the edges of a sparse array.

    Parameters
    ----------
    graph : networkx.Graph or scipy.sparse.csr_array
        The graph.

    Returns
    -------
    networkx.Graph or networkx.DiGraph
        Directed where the graph is.
    """
    if isinstance(graph, nx.Graph):
        return graph
    kind: Any = nx.DiGraph if is_directed(graph) else nx.Graph
    made: nx.Graph[Any] = nx.from_scipy_sparse_array(graph, create_using=kind)
    return made


def component_numbers(graph: Adjacency) -> NDArray[np.int32]:
    """Return for each node the number of its connected component (directions ignored), from 0."""
    from scipy.sparse import csgraph

    # In a symmetric array strong and weak components agree; strong ones need no transposed copy.
    kind: Literal["weak", "strong"] = "weak" if is_directed(graph) else "strong"
    numbers: NDArray[np.int32] = csgraph.connected_components(graph, connection=kind)[1]
    return numbers


def is_connected(graph: Graph) -> bool:
    """Return whether there is only one connected component, directions ignored."""
    if not isinstance(graph, nx.Graph):
        return not component_numbers(graph).any()
    if isinstance(graph, nx.DiGraph):
        return nx.is_weakly_connected(graph)
    return nx.is_connected(graph)


def _is_canonical(matrix: Any) -> bool:
    """Return whether a ``csr_array`` has the form of ``read_adjacency`` already."""
    data, index = matrix.data, matrix.indices.dtype
    if data.dtype not in (np.uint8, np.float64) or (index, matrix.indptr.dtype) != (np.int32,) * 2:
        return False
    ones = bool((data == 1).all())
    if ones != (data.dtype == np.uint8) or not data.all() or len(data) != matrix.indptr[-1]:
        return False
    try:
        type(matrix)(matrix).check_format()
    except ValueError:
        return False
    return bool(matrix.has_canonical_format)
