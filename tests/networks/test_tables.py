"""Edge lists, adjacency matrices and adjacency lists, once the rule is found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs

from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.networks import tables
from mesa_llm_norms.networks.reading import open_file, read_file

Edges = dict[tuple[Any, Any], float | None]


def read(folder: Path, text: str, name: str = "graph.csv", **options: Any) -> tuple[bool, Edges]:
    """Return whether a file is directed, and its edges with their weights."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    graph: Any = open_file(path, **options)[0]
    return graph.is_directed(), {(u, v): it for u, v, it in graph.edges(data="weight")}


@pytest.mark.parametrize(
    ("first", "right"),
    [
        ("% sym unweighted", (False, {(1, 2): None, (2, 3): None})),
        ("% asym positive", (True, {(1, 2): None, (2, 3): None})),
        (
            "% bip unweighted\n% 2 2 2",
            (False, {("left 1", "right 2"): None, ("left 2", "right 3"): None}),
        ),
    ],
)
def test_a_file_of_konect_says_whether_it_is_directed(
    first: str, right: tuple[bool, Edges], tmp_path: Path
) -> None:
    assert read(tmp_path, f"{first}\n1 2\n2 3\n", "out.friends") == right


def test_times_in_a_file_of_konect_are_no_weights(tmp_path: Path) -> None:
    text = "% sym positive\n1 2 1 1082040961\n2 3 4 1082155839\n"
    assert read(tmp_path, text, "out.friends") == (False, {(1, 2): 1, (2, 3): 4})


def test_an_edge_list_is_directed_on_request(tmp_path: Path) -> None:
    text = "a,b\nb,a\nb,c\n"
    assert read(tmp_path, text) == (False, {("a", "b"): None, ("b", "c"): None})
    right = (True, {("a", "b"): None, ("b", "a"): None, ("b", "c"): None})
    assert read(tmp_path, text, directed=True) == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (",a,b,c\na,0,1,1\nb,1,0,0\nc,1,0,0", (False, {("a", "b"): None, ("a", "c"): None})),
        (",a,b,c\na,0,2,\nb,,0,1\nc,,,0", (True, {("a", "b"): 2, ("b", "c"): 1})),
        ("x;a;b\na;0;0,5\nb;0,5;0", (False, {("a", "b"): 0.5})),
        ("a b c\na 0 1 1\nb 1 0 0\nc 1 0 0", (False, {("a", "b"): None, ("a", "c"): None})),
        (",7,8\n7,0,1\n8,1,0", (False, {(7, 8): None})),
        (
            "0 1 0 1\n1 0 1 0\n0 1 0 0\n1 0 0 0",
            (False, {(0, 1): None, (0, 3): None, (1, 2): None}),
        ),
        ("a,b,c,d\n0,1,0,0\n0,0,1,0\n0,0,0,1\n0,0,0,0", None),
    ],
)
def test_a_square_with_the_same_nodes_as_rows_and_columns_is_a_matrix(
    text: str, right: tuple[bool, Edges] | None, tmp_path: Path
) -> None:
    path = (True, {("a", "b"): None, ("b", "c"): None, ("c", "d"): None})
    assert read(tmp_path, text) == (right or path)


def test_three_rows_of_three_numbers_may_be_a_matrix_or_weighted_edges(tmp_path: Path) -> None:
    text = "0,1,1\n1,0,0\n1,0,0\n"
    with pytest.raises(FileFormatError) as raised:
        read(tmp_path, text)
    assert "format=matrix or format=edges" in raised.value.remedy
    assert read(tmp_path, text, format="matrix") == (False, {(0, 1): None, (0, 2): None})
    assert read(tmp_path, "0,1,2\n1,2,3\n2,0,1\n")[1] == {(0, 1): 2, (1, 2): 3, (0, 2): 1}
    with pytest.raises(FileFormatError, match="not a square of numbers"):
        read(tmp_path, "0,1,2\n", format="matrix")


@given(graph=graphs(nodes=st.integers(0, 99), min_nodes=5))
@settings(max_examples=25, deadline=None)
def test_what_numpy_writes_as_matrix_comes_back(
    graph: nx.Graph[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    matrix = nx.to_numpy_array(graph)
    path = tmp_path_factory.getbasetemp() / "matrix.txt"
    np.savetxt(path, matrix)
    again: Any = read_file(path, format="matrix")
    assert np.allclose(nx.to_numpy_array(again), matrix)
    nx.to_pandas_adjacency(graph).to_csv(path.with_suffix(".csv"))
    labeled: Any = read_file(path.with_suffix(".csv"))
    assert list(labeled) == list(graph)
    assert np.allclose(nx.to_numpy_array(labeled), matrix)


@given(graph=graphs(nodes=st.text("abcé-'_#\"%", min_size=1, max_size=3).map("x{}y".format)))
@settings(max_examples=50, deadline=None)
def test_what_pandas_writes_as_edges_comes_back(
    graph: nx.Graph[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "edges.csv"
    table = nx.to_pandas_edgelist(graph)
    for separator in (",", ";", "\t"):
        table.to_csv(path, sep=separator, index=False)
        again: Any = read_file(path, directed=graph.is_directed())
        assert nx.utils.edges_equal(
            again.edges(data="weight"), graph.edges(data="weight"), directed=graph.is_directed()
        )


@given(graph=graphs(nodes=st.integers(0, 99), directed=False, weighted=False))
@settings(max_examples=25, deadline=None)
def test_what_networkx_writes_as_adjacency_list_comes_back(
    graph: nx.Graph[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "graph.adjlist"
    nx.write_adjlist(graph, path)
    again: Any = read_file(path)
    assert set(again) == set(graph)
    assert nx.utils.edges_equal(again.edges, graph.edges)


@pytest.mark.parametrize(
    ("texts", "right"),
    [
        (("1,5", "2"), (1.5, 2)),
        (("1,500", "0,5"), (1.5, 0.5)),
        ((" 2 ", "1e3"), (2, 1000)),
        (("", "2"), (None, 2)),
        (("NA", "2"), (None, 2)),
    ],
)
def test_numbers_are_read_as_people_write_them(
    texts: tuple[str, str], right: tuple[float, float], tmp_path: Path
) -> None:
    text = "source;target;weight\n" + "".join(f"a{it};b{it};{it}\n" for it in texts)
    rows = "source;target;weight\nx;y;{}\ny;z;{}\n".format(*texts)
    assert tuple(read(tmp_path, rows)[1].values()) == right
    assert len(read(tmp_path, text)[1]) == 2


@pytest.mark.parametrize("text", ["1,000", "x", "1.2.3", "--"])
def test_what_is_not_a_number_is_refused_with_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError) as raised:
        read(tmp_path, f"source;target;weight\nx;y;2\n\ny;z;{text}\n")
    assert f"line 4 has the weight '{text}'" in raised.value.problem
    assert "--read weight=none" in raised.value.remedy


def test_weights_that_are_missing_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "graph.csv"
    path.write_text("source,target,weight\na,b,2\nb,c,\n")
    with pytest.warns(match="1 of 2 edges have no weight, and count as 1"):
        graph: Any = read_file(path)
    assert dict(graph.edges) == {("a", "b"): {"weight": 2}, ("b", "c"): {}}


WORDS = st.sampled_from(["0", "1", "2", "17", "007", "1.0", "-3", "2.5", "0.5", ".5", "1,5", ""])
BREAKS = st.sampled_from(["\n", "\n", "\n", "\n\n", " \n", "\r\n"])


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    start=st.sampled_from(["", "", "# by hand\n", "source{0}target\n", "u{0}v{0}weight\n"]),
    separator=st.sampled_from([" ", "\t", ",", ";", "  "]),
)
def test_files_of_numbers_are_read_the_same_at_both_speeds(
    data: st.DataObject, start: str, separator: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    width = data.draw(st.sampled_from([2, 2, 3, 3, 4]))
    node = st.integers(0, 9).map(str)
    usual = st.tuples(*[node] * width)
    odd = st.one_of(usual, usual, st.lists(WORDS, min_size=1, max_size=4))
    rows = data.draw(st.lists(odd if data.draw(st.booleans()) else usual, min_size=1, max_size=12))
    text = start.format(separator)
    text += "".join(separator.join(row) + data.draw(BREAKS) for row in rows)
    folder, found = tmp_path_factory.mktemp("both"), list[Any]()
    with pytest.MonkeyPatch.context() as patch:
        for _ in range(2):
            try:
                table = open_file_of(folder, text)
                found.append((table.nodes, table.ends.tolist(), str(table.weights), str(table)))
            except FileFormatError as error:
                found.append(str(error))
            patch.setattr(tables, "_read_numbers", lambda *_: None)
    assert found[0] == found[1]


def open_file_of(folder: Path, text: str) -> Any:
    """Return what was read of a file with this text."""
    path = folder / "graph.txt"
    path.write_text(text, encoding="utf-8", newline="")
    return open_file(path)[1]
