"""Graphs as sparse arrays (how they are read and checked, their files) and compiled neighbors."""

from __future__ import annotations

import io
import math
import pickle
import random
import warnings
import zipfile
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from strategies import graphs

from mesa_llm_norms.errors import FileFormatError, GraphError, GraphWarning, TopologyError
from mesa_llm_norms.networks import kinds, reading
from mesa_llm_norms.networks.adjacency import (
    Neighbors,
    graph_size,
    is_directed,
    is_sparse,
    read_adjacency,
)
from mesa_llm_norms.networks.reading import read_file, read_graph
from mesa_llm_norms.networks.validation import check_edges, check_graph, components

FORMATS = ["csr", "csc", "coo", "lil", "dok", "dia", "bsr"]


def read(graph: Any) -> Any:
    """Return what a ``graph=`` argument stands for."""
    return read_graph(graph, random.Random(1))


def array(*rows: list[Any], dtype: Any = None) -> Any:
    """Return a sparse array of these rows."""
    return sparse.csr_array(np.array(rows, dtype=dtype))


def neighbors(graph: Any) -> dict[tuple[int, int], float]:
    """Return who may meet whom with which weight."""
    if isinstance(graph, nx.Graph):
        both = graph.to_directed()
        return {(u, v): float(weight) for u, v, weight in both.edges(data="weight", default=1)}
    found = graph.tocoo()
    return {
        (int(u), int(v)): float(weight)
        for u, v, weight in zip(found.row, found.col, found.data, strict=True)
    }


def refusal(graph: Any) -> GraphError:
    """Return the error that a graph is refused with."""
    with pytest.raises(GraphError) as raised:
        check_graph(graph)
    return raised.value


@given(graph=graphs(), kind=st.sampled_from(FORMATS), as_matrix=st.booleans())
@settings(max_examples=60)
def test_a_sparse_adjacency_is_read_as_networkx_would_read_it(
    graph: nx.Graph[Any], kind: Any, as_matrix: bool
) -> None:
    """Neighbors, weights, directions, sizes, components; any format, and the argument untouched."""
    named: nx.Graph[Any] = nx.convert_node_labels_to_integers(graph)
    to_array: Any = nx.to_scipy_sparse_array
    given_array: Any = to_array(named, format="coo", dtype=float)
    given_array = (sparse.coo_matrix if as_matrix else sparse.coo_array)(given_array).asformat(kind)
    before = pickle.dumps(given_array.tocoo().toarray())
    found = read(given_array)
    assert pickle.dumps(given_array.tocoo().toarray()) == before
    assert type(found) is sparse.csr_array
    assert found.has_canonical_format
    assert neighbors(found) == neighbors(named)
    assert (found.dtype == np.uint8) == (set(neighbors(named).values()) == {1.0})
    both_ways = all(neighbors(named).get((v, u)) == w for (u, v), w in neighbors(named).items())
    assert is_directed(found) != both_ways
    if is_directed(found) == named.is_directed():
        assert graph_size(found) == graph_size(named)
    assert components(found) == components(named)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_graph(found)
        check_graph(given_array)


def test_duplicates_add_up_and_stored_zeros_are_no_edges() -> None:
    """Also where the sum would not fit the type given."""
    rows, columns = [0, 1, 0, 1, 1, 2], [1, 0, 1, 0, 2, 1]
    values = np.array([200, 200, 100, 100, 0, 0], np.uint8)
    given_array = sparse.coo_array((values, (rows, columns)), shape=(3, 3))
    found = read(given_array)
    assert neighbors(found) == {(0, 1): 300.0, (1, 0): 300.0}
    assert given_array.nnz == 6
    many = sparse.coo_array((np.ones(512, bool), ([0, 1] * 256, [1, 0] * 256)), shape=(2, 2))
    assert neighbors(read(many)) == {(0, 1): 1.0, (1, 0): 1.0}


def test_what_is_already_in_form_is_not_copied_and_what_is_not_is_left_as_it_is() -> None:
    """Unsorted indices are sorted in a copy."""
    inside = sparse.csr_array(
        (np.ones(4), np.array([2, 1, 0, 0]), np.array([0, 2, 3, 4])), shape=(3, 3)
    )
    found = read(inside)
    assert inside.indices.tolist() == [2, 1, 0, 0]
    assert found.indices.tolist() == [1, 2, 0, 0]
    assert read(found) is found


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32, np.longdouble])
def test_values_of_any_real_type_that_are_all_one_are_no_weights(dtype: Any) -> None:
    """An array of bytes comes back."""
    assert read(array([0, 1], [1, 0], dtype=dtype)).dtype == np.uint8


@pytest.mark.parametrize("thing", [[(0, None)], [(None, None)], {0: [1, None]}, [([], 1)]])
def test_what_networkx_takes_for_no_node_makes_no_graph(thing: Any) -> None:
    with pytest.raises(TopologyError, match="is not a graph"):
        read_graph(thing, random.Random(1))


@pytest.mark.parametrize("thing", [np.ones(3), np.ones((2, 3)), [[0, 1, 1], [1, 0, 1, 1]]])
def test_a_dense_matrix_is_no_graph(thing: Any) -> None:
    """The message names sparse arrays."""
    assert not is_sparse(thing)
    with pytest.raises(TopologyError, match="scipy sparse array"):
        read(thing)
    assert "scipy sparse array" in str(refusal(thing))


@pytest.mark.parametrize(
    ("graph", "problem"),
    [
        (sparse.csr_array((2, 3)), "(2, 3) is not square"),
        (sparse.coo_array(np.ones(3)), "(3,) is not square"),
        (array([0, 1j], [1j, 0]), "of type complex128"),
    ],
)
def test_an_array_that_is_no_adjacency_is_refused_when_read(graph: Any, problem: str) -> None:
    """As by the check."""
    for use in (read, check_graph, check_edges, read_adjacency):
        with pytest.raises(GraphError) as raised:
            use(graph)
        assert problem in raised.value.problem


@pytest.mark.parametrize(
    ("indices", "indptr"),
    [([5, 0], [0, 1, 2]), ([-1, 0], [0, 1, 2]), ([1, 0], [0, 2, 1]), ([1, 0], [0, 1, 1])],
)
def test_an_array_with_indices_out_of_bounds_is_refused_or_read_within_them(
    indices: list[int], indptr: list[int]
) -> None:
    """Compiled code would otherwise read what is not there."""
    graph = sparse.csr_array((2, 2))
    graph.data = np.ones(2)
    graph.indices, graph.indptr = np.array(indices, np.int32), np.array(indptr, np.int32)
    if indptr[-1] == 1 and indptr[1] == 1:
        assert neighbors(read(graph)) == {(0, 1): 1.0}
    else:
        assert "not valid" in refusal(graph).problem


@given(
    rows=st.integers(0, 5).flatmap(
        lambda n: st.lists(
            st.lists(
                st.sampled_from([0, 0, 1, 1, 2.5, -1, math.nan, math.inf]), min_size=n, max_size=n
            ),
            min_size=n,
            max_size=n,
        )
    )
)
def test_a_sparse_array_is_refused_for_what_a_networkx_graph_is_refused_for(
    rows: list[list[float]],
) -> None:
    """The same problem, in the same words, with the same nodes; the same warnings."""
    matrix = np.array(rows, dtype=float).reshape(len(rows), len(rows))
    graph: nx.DiGraph[Any] = nx.DiGraph()
    graph.add_nodes_from(range(len(rows)))
    graph.add_weighted_edges_from(
        (u, v, rows[u][v]) for u in graph for v in graph if rows[u][v] != 0
    )
    said = []
    for it in (graph, sparse.csr_array(matrix)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", GraphWarning)
            try:
                check_graph(it)
            except GraphError as error:
                said.append((error.problem.partition("(")[0], set(error.nodes)))
            else:
                said.append(("", {str(one.message).partition(". No")[0] for one in caught}))
    assert said[0] == said[1]


def test_remedies_for_sparse_arrays_work() -> None:
    """Carried out, each leaves a graph that passes."""
    names = {"numpy": np, "scipy": sparse, "components": components}
    loops = array([1, 1, 0], [1, 0, 1], [0, 1, 3])
    error = refusal(loops)
    assert error.nodes == (0, 2)
    remedy = error.remedy.partition("with ")[2].rstrip(".").replace("scipy.sparse", "scipy")
    check_graph(eval(remedy, {**names, "graph": loops}))

    lonely = array([0, 0, 0, 2], [0, 0, 0, 0], [0, 0, 0, 0], [2, 0, 0, 0])
    error = refusal(lonely)
    assert error.nodes == (1, 2)
    kept = error.remedy.partition("kept = ")[2].partition(", or")[0]
    names["kept"] = eval(kept, {**names, "graph": lonely})
    check_graph(eval("graph[kept][:, kept]", {**names, "graph": lonely}))

    heavy = array([0, -2.0], [-2.0, 0])
    error = refusal(heavy)
    assert error.nodes == (0, 1)
    assert "0 to 1: -2.0" in error.problem
    check_graph(heavy.astype(bool))
    assert "too large to add up" in str(refusal(array([0, 1e308], [1e308, 0])))

    apart = sparse.block_diag([array([0, 1], [1, 0]), array([0, 1, 1], [1, 0, 1], [1, 1, 0])])
    with pytest.warns(GraphWarning, match="2 components") as caught:
        check_graph(read(apart))
    assert caught[0].filename == __file__
    assert "an edge between 2 and 0" in str(caught[0].message)
    graph = read(apart)
    part = components(graph)[0]
    assert part == [2, 3, 4]
    check_graph(graph[part][:, part])


@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "dia", "bsr"])
@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_of_a_sparse_array_gives_it_back(
    kind: str, compressed: bool, tmp_path: Path
) -> None:
    """As scipy writes it."""
    graph = array([0, 2.5, 0], [2.5, 0, 1], [0, 1, 0])
    path = tmp_path / "friends.npz"
    sparse.save_npz(path, graph.asformat(kind), compressed=compressed)
    for found in (read_file(path), read(str(path)), read(path)):
        assert neighbors(found) == neighbors(graph)
        check_graph(found)


def saved(**arrays: Any) -> bytes:
    """Return the bytes of a file of arrays."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


GOOD: dict[str, Any] = {
    "format": np.array(b"csr"),
    "shape": np.array([3, 3]),
    "data": np.ones(4),
    "indices": np.array([1, 0, 2, 1], np.int32),
    "indptr": np.array([0, 1, 3, 4], np.int32),
}


@pytest.mark.parametrize(
    "contents",
    [
        b"",
        b"PK\x03\x04",
        saved(data=np.ones(3)),
        saved(**{**GOOD, "format": np.array(b"csr_array.__class__")}),
        saved(**{**GOOD, "indices": np.array([1, 0, 900, 1])}),
        saved(**{**GOOD, "indptr": np.array([0, 1, -3, 4])}),
        saved(**{**GOOD, "shape": np.array([3, 4])}),
        saved(**{**GOOD, "data": np.ones(4) * 1j}),
        saved(**{**GOOD, "data": np.array([{}, {}, {}, {}], dtype=object)}),
        saved(
            format=np.array(b"coo"),
            shape=np.array([10**9, 10**9]),
            data=np.ones(1),
            row=np.array([0]),
            col=np.array([1]),
        ),
    ],
    ids=range(10),
)
def test_a_damaged_file_of_a_sparse_array_is_refused(contents: bytes, tmp_path: Path) -> None:
    """One kind of error, saying what writes a good one; nothing is unpickled."""
    path = tmp_path / "friends.npz"
    path.write_bytes(contents)
    with pytest.raises(FileFormatError, match="scipy sparse array") as raised:
        read_file(path)
    assert "save_npz" in raised.value.remedy


def test_a_file_of_a_sparse_array_has_limits_packed_and_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is small on disk may be large in memory."""
    for module in kinds, reading:
        monkeypatch.setattr(module, "MAX_SPARSE_BYTES", 1_000_000)
    path = tmp_path / "friends.npz"
    path.write_bytes(saved(**{**GOOD, "data": np.zeros(10**6)}))
    assert path.stat().st_size < 100_000
    with pytest.raises(FileFormatError, match="unpacked it is larger than 1 MB"):
        read_file(path)
    path.write_bytes(b"a" * 1_000_001)
    with pytest.raises(FileFormatError, match="larger than 1 MB"):
        read_file(path)


@given(data=st.data())
def test_any_damage_to_a_file_gives_a_graph_or_an_error_of_this_package(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Bits flipped in the arrays themselves, the archive around them being sound."""
    file = io.BytesIO()
    kind = data.draw(st.sampled_from(["csr", "csc", "coo", "dia", "bsr"]))
    sparse.save_npz(file, nx.to_scipy_sparse_array(nx.path_graph(6), format=kind))
    changed = io.BytesIO()
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(changed, "w") as damaged:
        for name in archive.namelist():
            contents = bytearray(archive.read(name))
            if data.draw(st.booleans()):
                contents[data.draw(st.integers(0, len(contents) - 1))] ^= data.draw(
                    st.integers(1, 255)
                )
            damaged.writestr(name, bytes(contents))
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(changed.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            graph = read_file(path)
            check_graph(graph)
        except (FileFormatError, GraphError):
            return
    assert graph_size(graph)[0] >= 2


# Neighbors


@given(graphs())
def test_neighbors_are_the_graph_by_index(graph: nx.Graph[Any]) -> None:
    neighbors = Neighbors(graph)
    assert neighbors.nodes == tuple(graph)
    assert {
        (neighbors.nodes[a], neighbors.nodes[b])
        for a in range(len(neighbors))
        for b in neighbors.of(a)
    } == {(u, v) for u in graph for v in graph.adj[u]}
    assert len(neighbors.edges) == graph.number_of_edges()
    for a, b in neighbors.edges:
        assert graph.has_edge(neighbors.nodes[a], neighbors.nodes[b])


@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_in_which_edges_were_added_does_not_matter(
    graph: nx.Graph[Any], chance: Any
) -> None:
    edges = list(graph.edges(data=True))
    chance.shuffle(edges)
    other = graph.__class__()
    other.add_nodes_from(graph)
    other.add_edges_from(edges)
    one, shuffled = Neighbors(graph), Neighbors(other)
    assert np.array_equal(shuffled.indptr, one.indptr)
    assert np.array_equal(shuffled.indices, one.indices)
    assert np.array_equal(shuffled.cumulative_weights, one.cumulative_weights)
    assert Neighbors(graph.copy()).edges == one.edges


def test_absent_nodes_are_left_out_with_their_edges() -> None:
    neighbors = Neighbors(nx.path_graph(4), absent=[1])
    assert neighbors.nodes == (0, 2, 3)
    assert [neighbors.of(place) for place in range(3)] == [(), (2,), (1,)]
    assert neighbors.initiators == (1, 2)


def test_neighbors_without_an_edge_are_refused() -> None:
    with pytest.raises(GraphError, match="no edge"):
        Neighbors(nx.path_graph(3), absent=[1])
