"""What is asked of any graph, be it a networkx graph or, as large ones are, a sparse array.

A graph compiled for drawing: who may meet whom, as arrays and as tuples.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.core.randomness import cumulative_weights
from mesa_llm_norms.errors import GraphError

Adjacency: TypeAlias = "sparse.csr_array[Any, tuple[int, int]]"
"""Row u holds whom u, drawn first, may meet: in column v is the weight of u -> v."""


Graph: TypeAlias = "nx.Graph[Any] | Adjacency"
"""What agents live on: a networkx graph, or the adjacency of one whose nodes are 0 to n - 1."""


def is_sparse(graph: object) -> bool:
    """Whether ``graph`` is a scipy sparse array or matrix, of whatever format."""
    return bool(sparse.issparse(graph))


def read_adjacency(matrix: Any) -> Adjacency:
    """Return any scipy sparse array or matrix as the ``csr_array`` this package works on.

    Indices are sorted, duplicates added up, stored zeros dropped. Values are ``uint8`` ones when
    all are one (or ``bool``), else weights as ``float64``. The argument is left as it is, and is
    itself the answer when it is all that already.

    Raises ``GraphError`` for what is not square, whose indices are out of bounds, or whose values
    are no real numbers.
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
    if isinstance(matrix, sparse.csr_array) and _is_read(matrix):
        return matrix
    try:
        if matrix.format in ("csr", "csc", "bsr"):
            type(matrix)(matrix).check_format()  # On a copy that shares the arrays, for it mends.
        # A copy, and wide enough for sums of duplicates before there are any.
        copied = matrix.astype(np.bool_ if matrix.dtype == bool else np.float64)
        made: Adjacency = sparse.csr_array(copied)
    except ValueError as error:
        raise GraphError(
            f"a sparse array that is not sound ({error})", "Make it again from its edges."
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
    """Whether some edge leads one way only, or weighs more one way than the other.

    A networkx graph says so itself; a sparse array is directed unless it is symmetric.
    """
    if isinstance(graph, nx.Graph):
        return graph.is_directed()
    turned = graph.T.tocsr()
    return not all(
        np.array_equal(getattr(graph, part), getattr(turned, part))
        for part in ("indptr", "indices", "data")
    )


def size(graph: Graph) -> tuple[int, int]:
    """Return the numbers of nodes and of edges, an undirected edge counted once."""
    if isinstance(graph, nx.Graph):
        return len(graph), graph.number_of_edges()
    loops = np.count_nonzero(graph.diagonal())
    return graph.shape[0], int(graph.nnz if is_directed(graph) else (graph.nnz + loops) // 2)


def to_networkx(graph: Graph) -> nx.Graph[Any]:
    """Return a networkx graph: the one given, or a new one with the edges of a sparse array."""
    if isinstance(graph, nx.Graph):
        return graph
    kind: Any = nx.DiGraph if is_directed(graph) else nx.Graph
    made: nx.Graph[Any] = nx.from_scipy_sparse_array(graph, create_using=kind)
    return made


def part_numbers(graph: Adjacency) -> NDArray[np.int32]:
    """Return for each node the number of its connected part (directions ignored), from 0."""
    from scipy.sparse import csgraph

    # Of a symmetric array, strong and weak parts are the same, and need no transposed copy.
    kind: Literal["weak", "strong"] = "weak" if is_directed(graph) else "strong"
    numbers: NDArray[np.int32] = csgraph.connected_components(graph, connection=kind)[1]
    return numbers


def is_connected(graph: Graph) -> bool:
    """Whether there is but one part, directions ignored."""
    if not isinstance(graph, nx.Graph):
        return not part_numbers(graph).any()
    if isinstance(graph, nx.DiGraph):
        return nx.is_weakly_connected(graph)
    return nx.is_connected(graph)


def _is_read(matrix: Any) -> bool:
    """Whether ``read_adjacency`` has nothing to do."""
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


Pair = tuple[int, int]


class Neighbors:
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
    def neighbor_weights(self) -> NDArray[np.int64]:
        """For a weighted graph, each node's thresholds over its neighbours, along ``indices``."""
        found = np.zeros(0 if self.strengths is None else len(self.indices), np.int64)
        if self.strengths is not None:
            for first, end in pairwise(self.indptr.tolist()):
                if end > first:
                    found[first:end] = cumulative_weights(self.strengths[first:end])
        return found

    @cached_property
    def edge_weights(self) -> NDArray[np.int64]:
        """For a weighted graph, the thresholds over the edges in ``entries``."""
        given = self.edge_strengths
        return np.array([] if given is None else cumulative_weights(given), np.int64)

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
        return () if self.strengths is None else self._by_node(self.neighbor_weights)

    @cached_property
    def edge_shares(self) -> list[int]:
        """For a weighted graph, the thresholds over ``edges``."""
        shares: list[int] = self.edge_weights.tolist()
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
