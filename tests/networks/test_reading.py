"""Graphs from files."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import random
import warnings
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from strategies import bad_graph_files, graph_files, graphs

from mesa_llm_norms.errors import FileFormatError, GraphError, GraphWarning, TopologyError
from mesa_llm_norms.networks import reading as files
from mesa_llm_norms.networks.adjacency import graph_size
from mesa_llm_norms.networks.kinds import FORMATS, KINDS, OPTIONS
from mesa_llm_norms.networks.reading import (
    GraphFile,
    graph_file,
    names_file,
    read_file,
    read_graph,
    with_options,
)
from mesa_llm_norms.networks.validation import check_graph

DIRECTED = [".graphml", ".xml", ".gexf", ".gml", ".json"]
UNDIRECTED = [".edgelist", ".edges", ".txt", ".csv", ".tsv", ".ncol"]
NUMBERED = [".net", ".paj", ".mtx", ".adjlist", ".g6", ".s6", ".graph6", ".sparse6"]
NUMBERED += [".dimacs", ".col", ".clq", ".gr", ".dl", ".npz"]


def written(folder: Path, name: str, contents: str | bytes) -> Path:
    """Return the path of a new file with these contents."""
    path = folder / name
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return path


def refusal(path: Path) -> FileFormatError:
    """Return the error that a file is refused with."""
    with pytest.raises(FileFormatError) as raised:
        read_file(path)
    assert raised.value.path == path
    return raised.value


def edges_of(graph: Any) -> set[Any]:
    """Return the edges with their weights, without direction unless directed."""
    kind = tuple if graph.is_directed() else frozenset
    return {(kind((u, v)), data.get("weight")) for u, v, data in graph.edges(data=True)}


def test_every_suffix_is_tested_here() -> None:
    """Those whose nodes are numbered have tests of their own."""
    assert sorted(FORMATS) == sorted([*DIRECTED, *UNDIRECTED, *NUMBERED])


@pytest.mark.parametrize("suffix", DIRECTED)
@given(graph=graphs(nodes=st.integers(0, 99)))
@settings(max_examples=20, deadline=None)
def test_formats_with_directions_give_back_nodes_edges_weights_and_direction(
    suffix: str, graph: nx.Graph[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ids that are all whole numbers come back as such."""
    path = written(tmp_path_factory.getbasetemp(), f"graph{suffix}", graph_files(graph)[suffix])
    again = read_file(path)
    check_graph(again)
    assert type(again) is type(graph)
    assert list(again) == list(graph)
    assert edges_of(again) == edges_of(graph)


@pytest.mark.parametrize("suffix", UNDIRECTED)
@given(graph=graphs(nodes=st.text("abcé-'_", min_size=1, max_size=3), directed=False))
@settings(max_examples=20, deadline=None)
def test_edge_lists_give_back_edges_and_weights_between_strings(
    suffix: str, graph: nx.Graph[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Undirected always."""
    path = written(tmp_path_factory.getbasetemp(), f"graph{suffix}", graph_files(graph)[suffix])
    again = read_file(path)
    check_graph(again)
    assert set(again) == set(graph)
    assert edges_of(again) == edges_of(graph)


@pytest.mark.parametrize("suffix", [*DIRECTED, ".GraphML", ".TXT"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_may_be_utf_8_or_utf_16_and_the_suffix_in_capitals(
    suffix: str, encoding: str, tmp_path: Path
) -> None:
    """What XML declares does not matter; the byte order mark does."""
    graph: nx.Graph[str] = nx.Graph([("Zoë", "Đura"), ("Đura", "三")])
    contents = graph_files(graph)[suffix.lower()].decode().encode(encoding)
    assert set(read_file(written(tmp_path, f"graph{suffix}", contents))) == set(graph)


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("1 2\n2 3", {(1, 2), (2, 3)}),
        ("-1 2", {(-1, 2)}),
        ("1 2\n2 c", {("1", "2"), ("2", "c")}),
        ("01 2", {("01", "2")}),
        ("1.0 2", {("1.0", "2")}),
        ("# a comment\n\na b # and here\n   # more\n% konect", {("a", "b")}),
        ("user#1 user#2", {("user#1", "user#2")}),
        ("New York,  Los Angeles", {("New York", "Los Angeles")}),
        ('"Smith, J";"Doe, A"', {("Smith, J", "Doe, A")}),
        ("New York\tLos Angeles", {("New York", "Los Angeles")}),
        ("a\t\tb", {("a", "b")}),
        ("a   b", {("a", "b")}),
        ("Source,Target\na,b", {("a", "b")}),
        ("from to weight\na b 2", {("a", "b")}),
        ("a,b,{'weight': 2}\nb,c,{}", {("a", "b"), ("b", "c")}),
        ("a b {}\r\nb c {'weight': 2, 'color': '#fff'}", {("a", "b"), ("b", "c")}),
    ],
)
def test_edge_lists_are_read_in_the_ways_people_write_them(
    text: str, edges: set[Any], tmp_path: Path
) -> None:
    """Delimiters, comments, headers, and what networkx appends."""
    graph: Any = read_file(written(tmp_path, "friends.edges", text.replace('";"', '","')))
    assert {frozenset(edge) for edge in graph.edges} == {frozenset(edge) for edge in edges}


@pytest.mark.parametrize("data", [True, False, ["weight"]])
def test_edge_lists_written_by_networkx_come_back_whole(data: Any, tmp_path: Path) -> None:
    """In each of its three forms."""
    graph = nx.karate_club_graph()
    nx.write_edgelist(graph, tmp_path / "karate.edgelist", data=data)
    again: Any = read_file(tmp_path / "karate.edgelist")
    if data is False:
        nx.set_edge_attributes(again, dict(graph.edges), "weight")
        assert {frozenset(edge) for edge in again.edges} == {frozenset(it) for it in graph.edges}
    else:
        assert edges_of(again) == edges_of(graph)


def test_an_edge_said_from_both_sides_is_one_edge(tmp_path: Path) -> None:
    """As in lists that repeat every undirected edge."""
    graph = read_file(written(tmp_path, "friends.txt", "a b 2\nb a 2.0\nb c 1\nc b 1"))
    check_graph(graph)
    assert edges_of(graph) == {(frozenset("ab"), 2.0), (frozenset("bc"), 1.0)}


@pytest.mark.parametrize("text", ["a b\na b\nb c", "a b 1\nb a 2\nb c 1", "a b\nb a\nb a"])
def test_parallel_edges_in_an_edge_list_are_left_for_the_check_to_refuse(
    text: str, tmp_path: Path
) -> None:
    """Whether to count or to drop them is the user's choice."""
    with pytest.raises(GraphError) as raised:
        check_graph(read_file(written(tmp_path, "friends.txt", text)))
    assert set(raised.value.nodes) == {"a", "b"}


@pytest.mark.parametrize("suffix", DIRECTED)
@pytest.mark.parametrize("kind", [nx.MultiGraph, nx.MultiDiGraph])
def test_a_multigraph_without_parallel_edges_is_read_as_the_simple_graph_it_is(
    suffix: str, kind: type[nx.MultiGraph[Any]], tmp_path: Path
) -> None:
    """True parallel edges are kept and refused by the check."""
    simple = kind([(0, 1), (1, 2)])
    path = written(tmp_path, f"graph{suffix}", graph_files(simple)[suffix])
    assert type(read_file(path)) is (nx.DiGraph if simple.is_directed() else nx.Graph)
    parallel = kind([(0, 1), (0, 1), (1, 2)])
    path = written(tmp_path, f"graph{suffix}", graph_files(parallel)[suffix])
    with pytest.raises(GraphError) as raised:
        check_graph(read_file(path))
    assert set(raised.value.nodes) == {0, 1}


@pytest.mark.parametrize("key", ["links", "edges"])
def test_node_link_json_may_call_its_edges_links(key: str, tmp_path: Path) -> None:
    """Both ways networkx and others write them."""
    graph: nx.DiGraph[Any] = nx.DiGraph([((0, "a"), "b"), ("b", 3)])
    path = written(tmp_path, "graph.json", json.dumps(nx.node_link_data(graph, edges=key)))
    assert nx.utils.graphs_equal(read_file(path), graph)


def test_json_keeps_the_types_of_ids(tmp_path: Path) -> None:
    """The string "1" is not the number 1."""
    data = {"nodes": [{"id": "1"}, {"id": "2"}], "links": [{"source": "1", "target": "2"}]}
    graph = read_file(written(tmp_path, "graph.json", json.dumps(data)))
    assert list(graph) == ["1", "2"]
    assert type(graph) is nx.Graph


def test_gml_nodes_go_by_label_or_by_id_where_labels_are_missing_or_shared(tmp_path: Path) -> None:
    """Labels that are not unique cannot name nodes."""
    for labels, expected in [
        (('label "Ann"', 'label "Bo"'), ["Ann", "Bo"]),
        (("", ""), [1, 2]),
        (('label "Ann"', 'label "Ann"'), [1, 2]),
    ]:
        text = "graph [ node [ id 1 {} ] node [ id 2 {} ] edge [ source 1 target 2 ] ]"
        path = written(tmp_path, "graph.gml", text.format(*labels))
        assert list(read_file(path)) == expected


def test_weights_that_are_written_as_text_become_numbers(tmp_path: Path) -> None:
    """What is not a number is named, with the option to ignore weights."""
    edges = [{"source": "a", "target": "b", "weight": "2.5"}, {"source": "b", "target": "c"}]
    data = {"nodes": [{"id": "a"}, {"id": "b"}, {"id": "c"}], "edges": edges}
    graph: Any = read_file(written(tmp_path, "graph.json", json.dumps(data)))
    assert graph.edges["a", "b"]["weight"] == 2.5
    edges[1]["weight"] = "heavy"
    path = written(tmp_path, "graph.json", json.dumps(data))
    assert "the edge from 'b' to 'c' has the weight 'heavy'" in refusal(path).problem
    assert "--read weight=none" in refusal(path).remedy
    assert edges_of(read_file(path, weight="none")) == {
        (frozenset("ab"), None),
        (frozenset("bc"), None),
    }


@pytest.mark.parametrize(
    ("name", "contents", "problem"),
    [
        ("a.pajek", "1 2", "suffix"),
        ("a", "1 2", "suffix"),
        ("a.graphml.gz", b"\x1f\x8b", "unpacked"),
        ("a.txt", "", "empty"),
        ("a.txt", " \n\n", "empty"),
        ("a.json", "\ufeff", "empty"),
        ("a.txt", b"\xff\xfe\x00", "not UTF-16"),
        ("a.txt", b"\xe9\xe8 b", "not UTF-8"),
        ("a.txt", b"a\0 b", "binary"),
        ("a.gexf", "<gexf/>".encode("utf-16-le"), "binary"),
        ("a.txt", "# nothing", "no line with an edge"),
        ("a.txt", "a b\nc", "line 2 is not two nodes"),
        ("a.txt", "a b 1 2", "4 fields"),
        ("a.csv", "a,", "not two nodes"),
        ("a.csv", "\n\na,b,heavy", "line 3 has the weight 'heavy'"),
        ("a.graphml", "<graphml", "GraphML"),
        ("a.graphml", "<html></html>", "GraphML"),
        ("a.gexf", "<gexf></gexf>", "GEXF"),
        ("a.gml", "graph [", "GML"),
        ("a.gml", "graph [ ] graph [ ]", "more than one graph"),
        ("a.json", "{", "JSON"),
        ("a.json", "[]", "no edge"),
        ("a.json", "null", "neither an object nor a list"),
        ("a.json", '{"nodes": []}', '"edges" or "links"'),
        ("a.json", '{"nodes": [], "edges": [], "links": []}', "both"),
        ("a.json", '{"nodes": 1, "edges": []}', "lists"),
        ("a.json", '{"nodes": [], "edges": [], "directed": "no"}', '"directed" is "no"'),
        ("a.json", '{"nodes": [{"id": 1}, {"id": 1}], "edges": []}', "listed twice"),
        ("a.json", '{"nodes": [{"id": {}}], "edges": []}', "not the id of a node"),
        ("a.json", '{"nodes": [{"id": null}], "edges": []}', "not the id of a node"),
        ("a.json", '{"nodes": [1, 1], "edges": []}', "listed twice"),
        ("a.json", "[" * 200_000, "JSON"),
        ("a.json", '{"nodes": [{"id": ' + "9" * 5000 + '}], "edges": []}', "JSON"),
        ("a.gml", "graph [ " * 20_000, "GML"),
        ("a.graphml", "<a>" * 20_000 + "</a>" * 20_000, "GraphML"),
    ],
    ids=range(35),
)
def test_a_file_that_is_not_what_it_should_be_is_refused_saying_why(
    name: str, contents: str | bytes, problem: str, tmp_path: Path
) -> None:
    """One kind of error for all, short, with a remedy."""
    error = refusal(written(tmp_path, name, contents))
    assert problem in error.problem
    assert error.remedy.endswith(".")
    assert len(error.problem) < 350


def test_what_a_reader_raised_is_the_cause(tmp_path: Path) -> None:
    """Nothing is hidden from who looks for it."""
    error = refusal(written(tmp_path, "a.json", "{")).__cause__
    assert error is not None
    assert isinstance(error.__cause__, json.JSONDecodeError)


def test_a_missing_file_or_a_folder_is_refused(tmp_path: Path) -> None:
    """Each in its own words."""
    error = refusal(tmp_path / "missing.gml")
    assert "no such file" in error.problem
    (tmp_path / "folder.gml").mkdir()
    assert refusal(tmp_path / "folder.gml").problem == "not a regular file"
    assert refusal(Path("nul\0.gml"))
    assert refusal(Path("x" * 5_000 + ".gml"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_named_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    """Opening one would block."""
    os.mkfifo(tmp_path / "pipe.gml")
    assert refusal(tmp_path / "pipe.gml").problem == "not a regular file"


@pytest.mark.skipif(os.name == "nt" or not os.getuid(), reason="everything can be read")
def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """With the reason of the operating system."""
    path = written(tmp_path, "a.gml", "graph [ ]")
    path.chmod(0)
    assert "cannot be opened" in refusal(path).problem


def test_a_huge_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is decoded or parsed."""
    monkeypatch.setattr(files, "MAX_BYTES", 1_000_000)
    assert "larger than 1 MB" in refusal(written(tmp_path, "a.txt", b"a" * 1_000_001)).problem


BOMB = """<?xml version="1.0" encoding="{encoding}"?>
<!DOCTYPE bomb [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><graph edgedefault="undirected">
<node id="&b;"/></graph></graphml>"""


@pytest.mark.parametrize("suffix", [".graphml", ".xml", ".gexf"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_xml_that_declares_entities_is_refused_unparsed(
    suffix: str, encoding: str, tmp_path: Path
) -> None:
    """In every encoding that is accepted."""
    contents = BOMB.format(encoding=encoding).encode(encoding)
    error = refusal(written(tmp_path, f"a{suffix}", contents))
    assert "document type or entities" in error.problem


@pytest.mark.parametrize("encoding", ["utf-7", "cp037", "utf-16-le", "utf-16-be", "utf-32"])
def test_no_other_encoding_smuggles_entities_in(encoding: str, tmp_path: Path) -> None:
    """What the document declares about its encoding is not believed."""
    refusal(written(tmp_path, "a.graphml", BOMB.format(encoding=encoding).encode(encoding)))


@pytest.mark.parametrize("before", ["<?xml?>", "\ufeff", "\ufeff\ufeff", " \n"])
def test_a_second_declaration_of_encoding_does_not_change_how_the_text_is_read(
    before: str, tmp_path: Path
) -> None:
    """Text that becomes entities in another encoding stays the text it was searched as."""
    declaration, _, hidden = BOMB.format(encoding="cp037").partition("?>")
    smuggled = hidden.encode("cp037").decode("latin-1")
    contents = f"{before}{declaration}?>{smuggled}".encode()
    assert "document type" not in refusal(written(tmp_path, "a.graphml", contents)).problem


def test_ids_that_would_be_the_same_number_stay_apart(tmp_path: Path) -> None:
    """GML tells the text "1" from the number 1."""
    text = 'graph [ node [ id 1 label "1" ] node [ id 2 label 1 ] edge [ source 1 target 2 ] ]'
    assert list(read_file(written(tmp_path, "a.gml", text))) == ["1", 1]


@pytest.mark.parametrize("suffix", [".graphml", ".gexf"])
def test_edges_to_nodes_that_are_not_listed_are_refused(suffix: str, tmp_path: Path) -> None:
    """A misspelt end would otherwise be a new agent."""
    contents = graph_files(nx.path_graph(3))[suffix].replace(b'target="2"', b'target="20"')
    assert "not listed: '20'" in refusal(written(tmp_path, f"a{suffix}", contents)).problem


@given(file=bad_graph_files())
@settings(max_examples=500, deadline=None)
def test_damaged_files_give_errors_of_this_package_or_a_graph(
    file: tuple[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Cut, flipped, repeated, renamed, recoded, or garbage: never another exception."""
    suffix, contents = file
    path = written(tmp_path_factory.getbasetemp(), f"damaged{suffix}", contents)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)
        try:
            graph = read_file(path)
            check_graph(graph)
        except (FileFormatError, GraphError):
            return
    assert graph_size(graph)[0] >= 2


def test_a_string_says_how_a_file_is_read_and_cleaned(tmp_path: Path) -> None:
    path = written(tmp_path, "a club.csv", "from,to,kg\nAnn,Bo,2\nBo,Ann,3\nCy,Cy,1\n")
    text = f'file("{path}", weight="kg", loops="drop", parallel="sum", part="largest")'
    with pytest.warns(GraphWarning, match="a club.csv: dropped 1 edge .*; kept the largest of 2"):
        graph: Any = read_graph(text, random.Random(0))
    assert edges_of(graph) == {(frozenset(("Ann", "Bo")), 5)}
    for form in (
        f"file('{path}',weight=kg,clean=true)",
        f' file ( "{path}" , weight = "kg" , clean = True , ) ',
    ):
        with pytest.warns(GraphWarning):
            assert edges_of(read_graph(form, random.Random(0))) == edges_of(graph)
        assert names_file(form)
        assert graph_file(form) == GraphFile(path, {"weight": "kg", "clean": True})
    assert str(graph_file(text)) == text
    assert str(graph_file(str(path))) == str(path)


@given(
    path=st.text("abc é./'-_()=,", min_size=1, max_size=9).filter(str.strip),
    options=st.fixed_dictionaries(
        {},
        optional={
            "weight": st.one_of(st.integers(1, 9), st.text("abc é=,'()", min_size=1, max_size=5)),
            "directed": st.booleans(),
            "part": st.just("largest"),
            "graph": st.integers(1, 99),
        },
    ),
)
def test_a_string_of_a_file_means_the_same_when_it_is_read_back(
    path: str, options: dict[str, Any]
) -> None:
    file = GraphFile(Path(path), options)
    assert graph_file(f"{file}") == file or not options


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("file()", "cannot read"),
        ('file("a.csv"', "parenthesis"),
        ('file("a.csv" part="largest")', "cannot read"),
        ('file("a.csv", part)', "cannot read"),
        ('file("a.csv", part="largest", part="largest")', "given twice"),
        ('file("a.csv", party="largest")', "no option of files is called 'party'"),
        ('file("a.csv", part="some")', "part='some' is not a value"),
        ('file("a.csv", part=1)', "part=1 is not a value"),
        ('file("a.csv", directed="yes")', "directed='yes' is not a value"),
        ('file("a.csv", weight="")', "weight='' is not a value"),
        ('file("a.csv", graph="x")', "graph='x' is not a value"),
        ('file("a.csv", nodes="label")', "the option nodes is not for an edge list"),
        ('file("a.csv", encoding="rot13")', "encoding='rot13' is not an encoding"),
        ('file("a.csv", x=' + "y" * 9_999 + ")", "cannot read"),
    ],
)
def test_a_string_that_is_not_understood_is_refused(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, "a.csv", "a,b\nb,c\n")
    with pytest.raises(TopologyError) as raised:
        read_graph(text, random.Random(0))
    assert problem in raised.value.problem
    assert raised.value.remedy.endswith((".", ")."))


def test_a_file_may_be_called_file(tmp_path: Path) -> None:
    path = written(tmp_path, "file (1).csv", "a,b\nb,c\n")
    assert graph_file("file (1).csv") == GraphFile(Path("file (1).csv"))
    assert graph_size(read_graph(f'file("{path}")', random.Random(0))) == (3, 2)


def test_options_that_are_typed_become_part_of_the_string() -> None:
    typed = {"part": "largest", "directed": "false", "weight": "3", "header": "true"}
    text = with_options("a.csv", typed)
    assert text == 'file("a.csv", part="largest", directed=false, weight=3, header=true)'
    assert with_options(text, {"weight": "none"}, clean=True) == (
        'file("a.csv", part="largest", directed=false, weight="none", header=true, clean=true)'
    )
    assert with_options("ring", {}) == "ring"
    with pytest.raises(TopologyError, match="'ring' is not a file"):
        with_options("ring", typed)


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
@pytest.mark.parametrize("name", ["a.csv", "a.graphml", "a.npz"])
def test_files_may_be_packed(suffix: str, pack: Any, name: str, tmp_path: Path) -> None:
    graph = nx.path_graph(5)
    if name == "a.npz":
        sparse.save_npz(tmp_path / name, nx.to_scipy_sparse_array(graph))
        contents = (tmp_path / name).read_bytes()
    else:
        contents = graph_files(graph)[Path(name).suffix]
    path = written(tmp_path, f"{name}{suffix}", pack(contents))
    assert names_file(str(path))
    assert graph_size(read_file(path)) == (5, 4)
    written(tmp_path, path.name, pack(contents)[:-9])
    assert "cannot be unpacked" in refusal(path).problem


def test_what_is_packed_is_unpacked_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_BYTES", 1_000_000)
    for pack in (gzip.compress, bz2.compress, lzma.compress):
        path = written(tmp_path, "a.csv.gz", pack(b"a,b\n" * 10_000_000))
        assert path.stat().st_size < 100_000
        assert "larger than 1 MB" in refusal(path).problem


def test_any_suffix_may_be_read_as_a_format_that_is_given(tmp_path: Path) -> None:
    path = written(tmp_path, "graph.dat", "1 2\n2 3\n")
    assert "format=edges" in refusal(path).remedy
    assert graph_size(read_file(path, format="edges")) == (3, 2)
    assert graph_size(read_file(path, format="adjlist")) == (3, 2)


def test_the_documentation_lists_all_formats_and_options() -> None:
    page = (Path(__file__).parents[2] / "docs" / "topologies.md").read_text(encoding="utf-8")
    for key, kind in KINDS.items():
        suffixes = ", ".join(f"`{it}`" for it, its in FORMATS.items() if its is kind)
        assert f"| {suffixes or f'`format={key}`'} | {kind.name} | {kind.reads} |\n" in page
    for name, option in OPTIONS.items():
        values = ", ".join(
            f"`{str(it).lower() if isinstance(it, bool) else it}`" for it in option.values
        )
        assert f"| `{name}` | {values or 'a name or a number'} | {option.about} |\n" in page
