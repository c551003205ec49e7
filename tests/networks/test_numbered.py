"""Pajek, UCINET DL, DIMACS, MatrixMarket and graph6."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import io as scipy_io
from scipy import sparse
from strategies import graphs

from mesa_llm_norms.errors import FileFormatError, GraphError, GraphWarning
from mesa_llm_norms.networks import numbered
from mesa_llm_norms.networks.adjacency import Neighbors, is_sparse
from mesa_llm_norms.networks.descriptors import describe_network
from mesa_llm_norms.networks.reading import open_file, open_table, read_file
from mesa_llm_norms.networks.validation import EdgeTable

Edges = dict[tuple[Any, Any], float | None]
PATH: Edges = {("ann", "bo"): None, ("bo", "cy"): None}


def read(folder: Path, name: str, text: str, **options: Any) -> tuple[bool, Edges]:
    """Return whether a file is directed, and its edges with their weights."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    graph: Any = open_file(path, **options)[0]
    return graph.is_directed(), {(u, v): it for u, v, it in graph.edges(data="weight")}


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('*Vertices 3\n1 "ann" 0.1 0.2\n2 "bo"\n3 cy\n*Edges\n1 2\n2 3\n', (False, PATH)),
        ("*vertices 3\r\n1 ann\r\n2 bo\r\n3 cy\r\n*arcs\r\n1 2\r\n2 3\r\n", (True, PATH)),
        ("*Vertices 3\n*Arcs\n*Edges\n1 2 2.5\n2 3\n", (False, {(1, 2): 2.5, (2, 3): None})),
        ("*Vertices 3\n*Arcslist\n1 2 3\n", (True, {(1, 2): None, (1, 3): None})),
        ("*Vertices 2\n1 a\n2 b\n*Matrix\n0 2\n2 0\n", (False, {("a", "b"): 2})),
        (
            '*Network x\n*Vertices 2\n*Edges :1 "t"\n1 2 1 c Red\n*Partition p\n*Vertices 2\n1\n',
            (False, {(1, 2): 1}),
        ),
        ('*Vertices 2\n1 "x"\n2 "x"\n*Edges\n1 2\n', (False, {(1, 2): None})),
    ],
)
def test_pajek_networks_are_read(text: str, right: tuple[bool, Edges], tmp_path: Path) -> None:
    assert read(tmp_path, "a.net", text) == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (
            "dl n=3 format=fullmatrix\nlabels:\nann,bo,cy\ndata:\n0 1 0\n1 0 1\n0 1 0\n",
            (False, PATH),
        ),
        ("DL N = 3\nLABELS: ann bo cy\nDATA:\n0 1 0\n0 0 1\n0 0 0\n", (True, PATH)),
        ("dl n=2 data: 0 3 3 0", (False, {(1, 2): 3})),
        ("dl n=3 format=edgelist1\nlabels:\nann\nbo\ncy\ndata:\n1 2\n2 3\n", (True, PATH)),
        (
            "dl n=3 format = edgelist1\nlabels embedded\ndata:\nann bo 2\nbo ann 2\n",
            (False, {("ann", "bo"): 2}),
        ),
        (
            "dl n=3 format=nodelist1\ndata:\n1 2 3\n2 1\n3 1\n",
            (False, {(1, 2): None, (1, 3): None}),
        ),
        ("dl n=3 diagonal=absent data: 1 0 1 1 0 1", (False, {(1, 2): None, (2, 3): None})),
    ],
)
def test_ucinet_files_are_read(text: str, right: tuple[bool, Edges], tmp_path: Path) -> None:
    assert read(tmp_path, "a.dl", text) == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("c x\np edge 3 2\ne 1 2\ne 2 3\n", (False, {(1, 2): None, (2, 3): None})),
        ("p col 2 2\ne 1 2\ne 2 1\n", (False, {(1, 2): None})),
        ("p sp 3 2\na 1 2 5\na 2 3 1\n", (True, {(1, 2): 5, (2, 3): 1})),
    ],
)
def test_dimacs_files_are_read(text: str, right: tuple[bool, Edges], tmp_path: Path) -> None:
    assert read(tmp_path, "a.dimacs", text) == right


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.net", "hello", "line 1 belongs to no section"),
        ("a.net", "*Vertices 2\n*Edges\n1 9\n", "not listed: '9'"),
        ("a.net", "*Vertices many\n", "does not say how many"),
        ("a.net", "*Vertices 999999999999\n", "more than 1,000,000 nodes"),
        ("a.net", "*Vertices 2\n*Edges\n1 2 1 [1-3]\n", "line 3: edges have lifetimes"),
        ("a.net", "*Vertices 2\n*Matrix\n0 1\n", "not a square"),
        ("a.dl", "0 1", 'does not begin with "dl"'),
        ("a.dl", "dl n=3 data: 0 1", "2 numbers, not 3 times 3"),
        ("a.dl", "dl n=3 format=blockmatrix data: 0 1", "format is blockmatrix"),
        ("a.dimacs", "e 1 2\n", "no line says"),
        ("a.dimacs", "p edge 2 1\nhello\n", "line 2 is not a line of a DIMACS file"),
        ("a.mtx", "1 2 3", "not those of a MatrixMarket file"),
        ("a.mtx", "%%MatrixMarket matrix coordinate pattern general\n2 3 1\n1 2\n", "not square"),
        ("a.mtx", "%%MatrixMarket matrix coordinate complex general\n2 2 1\n1 2 1 1\n", "complex"),
        ("a.mtx", "%%MatrixMarket matrix array real general\n90000 90000\n1\n", "5,000,000 edges"),
        (
            "a.mtx",
            f"%%MatrixMarket matrix coordinate pattern general\n{10**12} {10**12} 1\n1 2\n",
            "nodes",
        ),
        ("a.s6", ":~~~~~~~~@@@@", "more than 1,000,000 nodes"),
        ("a.g6", "hello", "bits"),
    ],
)
def test_what_is_not_of_its_format_is_refused_before_memory_is_taken(
    name: str, text: str, problem: str, tmp_path: Path
) -> None:
    with pytest.raises(FileFormatError) as raised:
        read(tmp_path, name, text)
    assert problem in raised.value.problem
    assert raised.value.remedy


@pytest.mark.parametrize("field", ["pattern", "real"])
@given(graph=graphs(nodes=st.integers(0, 99)))
@settings(max_examples=25, deadline=None)
def test_what_scipy_writes_as_matrix_market_comes_back(
    field: str, graph: nx.Graph[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    array: Any = nx.to_scipy_sparse_array(graph).astype(float)
    if field == "pattern":
        array.data[:] = 1
    path = tmp_path_factory.getbasetemp() / "graph.mtx"
    write: Any = scipy_io.mmwrite
    write(path, sparse.coo_array(array), field=field)
    again: Any = read_file(path)
    assert list(again) == list(range(1, len(graph) + 1))
    found = nx.to_numpy_array(again)
    assert np.allclose(found, array.toarray())


@pytest.mark.parametrize("kind", ["graph6", "sparse6"])
@given(graph=graphs(nodes=st.integers(0, 99), directed=False))
@settings(max_examples=25, deadline=None)
def test_what_networkx_writes_as_graph6_comes_back(
    kind: str, graph: nx.Graph[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    numbered = nx.convert_node_labels_to_integers(graph)
    path = tmp_path_factory.getbasetemp() / f"graph.{kind}"
    getattr(nx, f"write_{kind}")(numbered, path)
    again: Any = read_file(path)
    assert list(again) == list(numbered)
    assert nx.utils.edges_equal(again.edges, numbered.edges)


@given(graph=graphs(nodes=st.text("abcé ", min_size=1, max_size=3).map(lambda it: f"x{it}y")))
@settings(max_examples=25, deadline=None)
def test_what_networkx_writes_as_pajek_comes_back(
    graph: nx.Graph[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "graph.net"
    nx.write_pajek(graph, path)
    again: Any = read_file(path)
    assert list(again) == list(graph)
    assert again.is_directed() == graph.is_directed()
    right = [(u, v, {"weight": it}) for u, v, it in graph.edges(data="weight", default=1)]
    assert nx.utils.edges_equal(list(again.edges(data=True)), right)


def test_a_cleaned_sparse_array_stays_one(tmp_path: Path) -> None:
    array = sparse.csr_array(
        np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], np.uint8)
    )
    sparse.save_npz(tmp_path / "a.npz", array)
    graph: Any = read_file(tmp_path / "a.npz")
    assert graph.shape == (4, 4)
    with pytest.warns(match="dropped 1 edge from a node to itself; dropped 2 nodes without"):
        graph = read_file(tmp_path / "a.npz", loops="drop", isolated="drop")
    assert graph.toarray().tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize("directed", [False, True])
def test_a_large_file_is_measured_as_a_small_one_is(
    directed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "graph.csv"
    path.write_text("u,v,weight\nb,a,2\nb,c,\nx,y,1\nc,a,3\nc,b,\n")
    told, measured = [], []
    for at, least in enumerate((10, 4)):
        monkeypatch.setattr(numbered, "_LARGE", least)
        with pytest.warns(GraphWarning, match="2 components .*such as 'b', 'a'") as caught:
            graph = numbered.check_table(table(path, directed=directed))
        assert is_sparse(graph) == bool(at)
        told.append([str(it.message) for it in caught])
        found = Neighbors(graph)
        weights = found.weights
        assert weights is not None
        measured.append((found.indices.tolist(), weights.tolist(), describe_network(found)))
    assert told[0] == told[1]
    assert measured[0] == measured[1]


@pytest.mark.parametrize(
    ("text", "said"), [("a,b\nb,b\n", "from a node to itself"), ("a,b,1\nb,c,0\n", "weights")]
)
def test_a_large_file_is_refused_by_the_names_of_its_nodes(
    text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numbered, "_LARGE", 1)
    path = tmp_path / "graph.csv"
    path.write_text(text)
    with pytest.raises(GraphError, match=f"{said}.*b"):
        numbered.check_table(table(path))


def table(path: Path, **options: Any) -> EdgeTable:
    """Return the edges that a file lists."""
    found = open_table(path, **options)
    assert isinstance(found, EdgeTable)
    return found
