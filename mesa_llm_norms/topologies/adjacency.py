"""What is asked of any graph, be it a networkx graph or, as large ones are, a sparse array."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

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
