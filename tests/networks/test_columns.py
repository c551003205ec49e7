"""The one rule by which the lines of a file are read, or why there is none."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from mesa_llm_norms.errors import FileFormatError, GraphWarning
from mesa_llm_norms.networks.adjacency import graph_size
from mesa_llm_norms.networks.reading import open_file, read_file

Edges = dict[tuple[Any, Any], float | None]


def read(folder: Path, text: str, name: str = "friends.csv", **options: Any) -> Edges:
    """Return the edges of a file with their weights, in the direction in which they are listed."""
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    graph: Any = open_file(path, **options)[0]
    return {(u, v): weight for u, v, weight in graph.edges(data="weight")}


def refusal(folder: Path, text: str, name: str = "friends.csv", **options: Any) -> FileFormatError:
    with pytest.raises(FileFormatError) as raised:
        read(folder, text, name, **options)
    return raised.value


NAMES: Edges = {("ann", "bo"): None, ("bo", "cy"): None}
NUMBERS: Edges = {(1, 2): None, (2, 3): None}
WEIGHTS: Edges = {("ann", "bo"): 2, ("bo", "cy"): 1}


@pytest.mark.parametrize(
    "header",
    [
        *("source,target", "Source,Target", "from,to", "ego,alter", "u,v", "src,dst", "i,j"),
        *("node1,node2", "Node 1,Node 2", "person_a,person_b", "id_1,id_2", "nodeA,nodeB"),
        *("FromNodeId,ToNodeId", "from_user,to_user", "actor,co_actor", "sender,receiver"),
        *("employee,manager", "follower,followee", "Person,Friend", '"source","target"'),
    ],
)
def test_a_first_line_that_names_columns_is_a_header(header: str, tmp_path: Path) -> None:
    assert read(tmp_path, f"{header}\nann,bo\nbo,cy\n") == NAMES
    assert read(tmp_path, f"{header}\n1,2\n2,3\n") == NUMBERS
    semicolons = header.replace(",", ";")
    assert read(tmp_path, f"{semicolons}\nann;bo\nbo;cy\n") == NAMES


@pytest.mark.parametrize("header", ["", "x,y,z\n", "what,ever,weight\n"])
def test_a_header_of_any_words_is_seen_by_a_weight_that_is_not_a_number(
    header: str, tmp_path: Path
) -> None:
    edges = read(tmp_path, f"{header}1,2,3\n2,3,1\n", weight=3)
    assert edges == {(1, 2): 3, (2, 3): 1}


def test_a_first_line_that_may_be_an_edge_is_neither_lost_nor_made_one(tmp_path: Path) -> None:
    text = "kim,lee\nann,bo\nbo,cy\n"
    error = refusal(tmp_path, text)
    assert "line 1 ('kim, lee') may be a header or the first edge" in error.problem
    assert "header=true or header=false" in error.remedy
    assert 'file("friends.csv", header=true)' in error.remedy
    assert read(tmp_path, text, header=True) == NAMES
    assert read(tmp_path, text, header=False) == {("kim", "lee"): None, **NAMES}
    assert read(tmp_path, "bo,kim\nann,bo\n") == {("bo", "kim"): None, ("bo", "ann"): None}


def test_a_node_that_is_called_like_a_column_is_asked_about(tmp_path: Path) -> None:
    assert "header" in refusal(tmp_path, "source,target\nann,bo\nbo,source\n").problem


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("id,source,target,weight\n0,ann,bo,2\n1,bo,cy,1", WEIGHTS),
        (",source,target,weight\n0,ann,bo,2\n1,bo,cy,1", WEIGHTS),
        ("value,source,target\n2,ann,bo\n1,bo,cy", WEIGHTS),
        ("Target,Source,Count\nbo,ann,2\ncy,bo,1", {("bo", "ann"): 2, ("bo", "cy"): 1}),
        ("source,target,weight,value\nann,bo,2,9\nbo,cy,1,9", WEIGHTS),
        ("source,target,relation\nann,bo,friend\nbo,cy,kin", NAMES),
        ("source,target,year\nann,bo,1998\nbo,cy,2004", NAMES),
        ("time,person1,person2\n10,ann,bo\n20,bo,cy", NAMES),
        ("who,whom,weeks\nann,bo,9\nbo,cy,9", NAMES),
        ('"" "from" "to"\n"1" "ann" "bo"\n"2" "bo" "cy"', NAMES),
        ('"from" "to" "weight"\n"1" "ann" "bo" 2\n"2" "bo" "cy" 1', WEIGHTS),
        ("Source\tTarget\tId\tLabel\tWeight\nann\tbo\t0\t\t2.0\nbo\tcy\t1\t\t1.0", WEIGHTS),
    ],
)
def test_columns_are_taken_by_name_and_only_those_that_mean_something(
    text: str, edges: Edges, tmp_path: Path
) -> None:
    found = read(tmp_path, text)
    turned = {(v, u): weight for (u, v), weight in found.items()}
    assert edges in (found, {edge: (found | turned)[edge] for edge in edges})
    assert len(found) == len(edges)


def test_a_column_of_numbers_that_is_not_read_is_noted(tmp_path: Path) -> None:
    path = tmp_path / "friends.csv"
    path.write_text("source,target,year\nann,bo,1998\nbo,cy,2004\n")
    with pytest.warns(GraphWarning, match="friends.csv: the column 'year' is not read as a weight"):
        read_file(path)
    assert read(tmp_path, path.read_text(), weight="year")["ann", "bo"] == 1998
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_file(path, weight="none")


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("Id,Label\n1,Ann\n2,Bo\n", "table of nodes", "Give the table of edges"),
        ("source,target,weight\nann,bo,2\nbo,cy\n", "line 3", "in the same way"),
        ("ann,bo,2,5\nbo,cy,1,7\n", "4 fields", "weight=3 or weight=none"),
        ("ann,bo,kin\nbo,cy,kin\n", "line 1 has the weight 'kin'", "weight=none"),
        ("kind,city,street,x\na,b,c,d\n", "fields", "weight="),
        ("a,b\nc\n", "line 2", "adjlist"),
        ("1 2 3\n2 4\n", "line 2", "format=groups"),
        ("ann bo\nbo,cy\n", "line 2", "Separate the fields of all lines in the same way"),
        ("ann, bo\nbo; cy\n", "line 2", "in the same way"),
        ('"ann,bo\nbo,cy\n', "unexpected end of data", "quotation marks"),
        ("source,target\nann,bo\nbo,\n", "line 3 is not two nodes", "remove the line"),
        ("1 2 1082040961\n2 3 1082155839\n", "may be a time or a weight", "weight=none"),
        ("a,b,1\n\n# so\n\nb,c,x\n", "line 5 has the weight 'x'", "weight=none"),
    ],
)
def test_a_file_without_one_rule_is_refused_saying_what_was_found_and_what_to_do(
    text: str, problem: str, remedy: str, tmp_path: Path
) -> None:
    error = refusal(tmp_path, text)
    assert problem in error.problem
    assert remedy in error.remedy


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("ann;bo;0,5\nbo;cy;1,5", {("ann", "bo"): 0.5, ("bo", "cy"): 1.5}),
        ("1 2 0,5\n2 3 1,5", {(1, 2): 0.5, (2, 3): 1.5}),
        ("1 2\t0.5\n2 3\t1.5", {(1, 2): 0.5, (2, 3): 1.5}),
        ("Lee, Ann\tKim, Bo\nKim, Bo\tRoe, Cy", {("Lee, Ann", "Kim, Bo"): None}),
        ("Lee, Ann;Kim, Bo\nKim, Bo;Roe, Cy", {("Lee, Ann", "Kim, Bo"): None}),
        ("x;1,y;2\ny;2,z;3", {("x;1", "y;2"): None}),
        ("ann|bo|2\nbo|cy|1", WEIGHTS),
        ("ann, bo\nbo, cy", NAMES),
        ("ann\t\tbo\nbo\t\tcy", NAMES),
        ("(0, 0) (0, 1) {}\n(0, 1) (1, 1) {'weight': 2}", {("(0, 0)", "(0, 1)"): None}),
        ("ann bo {'weight': 2, 'x': 1}\nbo cy {'weight': 1}", WEIGHTS),
        ("ann,bo\r\nbo,cy\r\n", NAMES),
        ("ann,bo,\n,,\nbo,cy,\n\n", NAMES),
        ("ann,bo\rbo,cy\r", NAMES),
    ],
)
def test_one_separator_is_found_for_the_whole_file(text: str, edges: Edges, tmp_path: Path) -> None:
    found = read(tmp_path, text, "friends.txt")
    assert {edge: found.get(edge, "missing") for edge in edges} == edges
    assert len(found) == 2


def test_a_separator_that_is_given_is_the_one_that_is_used(tmp_path: Path) -> None:
    text = "x;1|y\ny|z;2\n"
    assert set(read(tmp_path, text, separator="bar")) == {("x;1", "y"), ("y", "z;2")}
    assert "line 1" in refusal(tmp_path, "a b\nb c\n", separator="comma").problem


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("# by hand\n% and by machine\nann,bo\nbo,cy", NAMES),
        ("#source,target\nann,bo\nbo,cy", NAMES),
        ("source,target\n#ann,bo\nbo,#ann", {("#ann", "bo"): None}),
        ("source,target\nuser #1,user #2\nuser #2,user #3", {("user #1", "user #2"): None}),
        ('"#1","#2"\n"#2","#3"', {("#1", "#2"): None}),
        ("http://x.org/a#b http://x.org/c#d", {("http://x.org/a#b", "http://x.org/c#d"): None}),
        ("ann bo # friends\n# and\nbo cy", NAMES),
    ],
)
def test_comments_never_take_an_edge_away(text: str, edges: Edges, tmp_path: Path) -> None:
    found = read(tmp_path, text, "friends.txt")
    assert {edge: found.get(edge, "missing") for edge in edges} == edges


@pytest.mark.parametrize(
    "text",
    [
        "#ann,#bo\n#bo,cy\ncy,di",
        "ann,bo\n# bo,cy\ncy,di",
        "ann bo\n#bo #cy\nbo di",
        "#a\t#b\n#b\t#c",
    ],
)
def test_what_may_be_a_comment_or_an_edge_is_asked_about(text: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, text)
    assert "comments=none" in error.remedy
    assert len(read(tmp_path, text, comments="none")) == text.count("\n") + 1


def test_skipped_lines_are_counted_and_noted_where_they_may_not_be_comments(tmp_path: Path) -> None:
    path = tmp_path / "friends.csv"
    path.write_text("# made by hand\nann,bo\n#removed\nbo,cy\n# the end\n")
    _, found = open_file(path)
    assert found is not None
    assert found.skipped == 3
    assert found.notes == ["1 line that may not be comments are skipped as such"]


@pytest.mark.parametrize(
    "first", ["4 3", "4 4 3", "4", "9 3"], ids=["n m", "n n m", "n", "more nodes"]
)
def test_a_first_line_of_numbers_of_nodes_and_edges_is_not_an_edge(
    first: str, tmp_path: Path
) -> None:
    path = tmp_path / "graph.txt"
    path.write_text(f"{first}\n4 1\n1 2\n2 4\n" if first != "9 3" else f"{first}\n9 1\n1 2\n2 9\n")
    graph, found = open_file(path)
    assert found is not None
    assert graph_size(graph) == (3, 3)
    assert f"the first line, {first}, is taken for numbers" in found.notes[0]


def test_a_long_file_may_begin_with_its_numbers_too(tmp_path: Path) -> None:
    edges = [f"{at % 1000} {1000 + at // 1000 * 300 + at % 300}" for at in range(3_000)]
    assert len(read(tmp_path, "\n".join(["9000 3000", *edges]), "long.txt")) == 3_000
    assert len(read(tmp_path, "\n".join(["9000 2999", *edges]), "long.txt")) == 3_001


def test_numbers_of_nodes_and_edges_that_may_be_an_edge_are_asked_about(tmp_path: Path) -> None:
    text = "5 4\n1 2\n2 3\n3 4\n4 5\n"
    assert "header=true or header=false" in refusal(tmp_path, text, "path.txt").remedy
    assert len(read(tmp_path, text, "path.txt", header=True)) == 4
    assert len(read(tmp_path, "5 4\n1 2\n1 3\n1 4\n1 5\n", "star.txt", header=False)) == 5


def timed(*nodes: Any, first: int = 0) -> str:
    """Return pairs on a circle and when they met of nodes, three at a time."""
    lines = []
    for at in range(4 * len(nodes)):
        pair = nodes[at % len(nodes)], nodes[(at + 1) % len(nodes)]
        lines.append(" ".join(map(str, (first + 20 * (at // 3), *pair))))
    return "\n".join(lines)


@pytest.mark.parametrize("nodes", [(1148, 1613, 656, 1632), ("ann", "bo", "cy", "dee"), (7, 8, 9)])
def test_times_in_front_of_edges_are_not_read_as_nodes(
    nodes: tuple[Any, ...], tmp_path: Path
) -> None:
    text = timed(*nodes, first=100)
    for more in ("", " 1B 2A"):
        error = refusal(tmp_path, text.replace("\n", f"{more}\n") + more, "friends.txt")
        assert "may be a time and the two nodes that met" in error.problem
        assert "--read format=contacts" in error.remedy
    how = {"source": 2, "target": 3, "weight": "none", "parallel": "sum"}
    circle = {tuple(sorted(pair)) for pair in zip(nodes, (*nodes[1:], nodes[0]), strict=True)}
    assert {tuple(sorted(pair)) for pair in read(tmp_path, text, "friends.txt", **how)} == circle


def test_edges_with_whole_weights_are_not_taken_for_timed(tmp_path: Path) -> None:
    ring = "\n".join(f"{u} {(u + 1) % 30} {1 + u % 5}" for u in range(30))
    assert len(read(tmp_path, ring, "friends.txt")) == 30
    ratings = "\n".join(f"{1000 + u} {u * 7 % 40} {1 + u % 5}" for u in range(30))
    assert len(read(tmp_path, ratings, "friends.txt")) == 30


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nsource;target\nann;bo\nbo;cy\n",
        "sep=;,\nsource;target\nann;bo\nbo;cy\n",
        "\ufeffsep=,,\nsource,target\nann,bo\nbo,cy\n",
        "sep=\t\nsource\ttarget\tweight\nann\tbo\t1\nbo\tcy\t2\n",
    ],
)
def test_the_line_that_names_the_separator_for_excel_is_no_edge(tmp_path: Path, text: str) -> None:
    path = tmp_path / "friends.csv"
    path.write_text(text, encoding="utf-8")
    graph, found = open_file(path)
    assert sorted(graph) == ["ann", "bo", "cy"]
    assert found is not None
    assert found.skipped == 1


@pytest.mark.parametrize("name", ["friends.ncol", "friends.txt"])
@pytest.mark.parametrize(
    "text", ["a b\nb c 2\nc d 3\n", "1 2\n2 3 5\n3 4 6\n", "x y\na b 1\na c 2\n"]
)
def test_a_first_edge_without_a_weight_is_not_taken_for_a_header(
    tmp_path: Path, name: str, text: str
) -> None:
    with pytest.raises(FileFormatError):
        read(tmp_path, text, name)


def test_the_names_that_r_gives_to_rows_are_no_nodes(tmp_path: Path) -> None:
    text = "from to\n1 ann bo\n2 bo cy\n3 ann cy\n"
    assert sorted(map(sorted, read(tmp_path, text, "friends.txt"))) == [
        ["ann", "bo"],
        ["ann", "cy"],
        ["bo", "cy"],
    ]


def test_an_adjacency_list_over_several_lines_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "karate.adjlist"
    nx.write_multiline_adjlist(nx.karate_club_graph(), path)
    with pytest.raises(FileFormatError, match=r"a neighbor per line.*write_adjlist"):
        open_file(path)
