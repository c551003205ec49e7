"""GraphML, GEXF, GML and JSON as many programs write them, where only the network matters."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs

from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.networks.reading import open_file, read_file

Edges = dict[tuple[Any, Any], float | None]


def read(folder: Path, name: str, text: str, **options: Any) -> tuple[bool, Edges]:
    """Return whether a file is directed, and its edges with their weights."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    graph: Any = open_file(path, **options)[0]
    return graph.is_directed(), {(u, v): it for u, v, it in graph.edges(data="weight")}


def refusal(folder: Path, name: str, text: str, **options: Any) -> FileFormatError:
    with pytest.raises(FileFormatError) as raised:
        read(folder, name, text, **options)
    return raised.value


def graphml(inside: str, about: str = "", attributes: str = "") -> str:
    return f"<graphml {about}><graph {attributes}>{inside}</graph></graphml>"


def gexf(edges: str, about: str = "", before: str = "", nodes: str = "") -> str:
    nodes = nodes or '<node id="a"/><node id="b"/><node id="c"/>'
    return (
        f"<gexf {about}><graph>{before}<nodes>{nodes}</nodes><edges>{edges}</edges></graph></gexf>"
    )


NODES = '<node id="a"/><node id="b"/><node id="c"/>'
PATH = '<edge source="a" target="b"/><edge source="b" target="c"/>'
PLAIN: Edges = {("a", "b"): None, ("b", "c"): None}


@pytest.mark.parametrize(
    "about",
    [
        "",
        'xmlns="http://graphml.graphdrawing.org/xmlns"',
        'xmlns="http://graphml.graphdrawing.org/xmlns/graphml" version="9"',
        'xmlns="urn:anything" xmlns:x="http://www.w3.org/2001/XMLSchema-instance" x:y="z"',
    ],
)
def test_xml_may_have_any_namespace_or_none(about: str, tmp_path: Path) -> None:
    assert read(tmp_path, "a.graphml", graphml(NODES + PATH, about)) == (False, PLAIN)
    assert read(tmp_path, "a.gexf", gexf(PATH, about)) == (False, PLAIN)
    prefixed = graphml(NODES + PATH).replace("</", "</g:").replace("<", "<g:")
    prefixed = prefixed.replace("<g:/", "</").replace("<g:graphml", '<g:graphml xmlns:g="urn:x"')
    assert read(tmp_path, "a.graphml", prefixed) == (False, PLAIN)


@pytest.mark.parametrize(
    "value", ["String", "listString", "bigdecimal", "", " double ", "List[1., 2.]", "&#233;"]
)
def test_attributes_of_any_type_and_contents_do_not_matter(value: str, tmp_path: Path) -> None:
    key = (
        f'<key id="k" for="node" attr.name="x" attr.type="{value}"><default>{value}</default></key>'
    )
    node = f'<node id="a"><data key="k">{value}</data><data key="none">{value}</data></node>'
    text = graphml(node + NODES[len('<node id="a"/>') :] + PATH)
    assert read(tmp_path, "a.graphml", text.replace("<graph ", f"{key}<graph ")) == (False, PLAIN)
    declared = f'<attributes class="node"><attribute id="0" title="x" type="{value}"/></attributes>'
    given = f'<attvalues><attvalue for="0" value="{value}"/><attvalue/></attvalues>'
    nodes = f'<node id="a" label="{value}">{given}</node><node id="b"/><node id="c"/>'
    assert read(tmp_path, "a.gexf", gexf(PATH, "", declared, nodes)) == (False, PLAIN)
    text = f'graph [ x NaN y {{}} node [ id 1 l [ id 9 x "{value}" ] ] node [ id 2 ] z -Inf'
    assert read(tmp_path, "a.gml", f"{text} edge [ source 1 target 2 ] ]") == (
        False,
        {(1, 2): None},
    )


@pytest.mark.parametrize("name", ["weight", "Weight", "Edge Weight", "value", "count"])
def test_the_weight_is_found_by_its_name(name: str, tmp_path: Path) -> None:
    edge = '<edge source="a" target="b"><data key="w">2.5</data></edge>'
    text = graphml(NODES + edge + '<edge source="b" target="c"/>')
    key = f'<key id="w" for="all" attr.name="{name}"/>'
    right = {("a", "b"): 2.5, ("b", "c"): None}
    assert read(tmp_path, "a.graphml", text.replace("<graph ", f"{key}<graph ")) == (False, right)
    given = (
        '<edge source="a" target="b"><attvalues><attvalue for="w" value="2,5"/></attvalues></edge>'
    )
    declared = f'<attributes class="edge"><attribute id="w" title="{name}"/></attributes>'
    edges = given + '<edge source="b" target="c"/>'
    assert read(tmp_path, "a.gexf", gexf(edges, "", declared)) == (False, right)
    links = [{"source": "a", "target": "b", name: "2.5"}, {"source": "b", "target": "c"}]
    data = {"nodes": [{"id": it} for it in "abc"], "links": links}
    assert read(tmp_path, "a.json", json.dumps(data)) == (False, right)


def test_another_attribute_may_be_chosen_as_weight_or_none(tmp_path: Path) -> None:
    text = "graph [ node [ id 1 ] node [ id 2 ] edge [ source 1 target 2 weight 2 trust 5 ] ]"
    for weight, right in (("trust", 5), ("weight", 2), ("none", None)):
        assert read(tmp_path, "a.gml", text, weight=weight) == (False, {(1, 2): right})
    error = refusal(tmp_path, "a.gml", text, weight="love")
    assert "no edge has the attribute 'love'" in error.problem
    assert "'trust'" in error.remedy


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.graphml", graphml(NODES + PATH, "", 'edgedefault="directed"')),
        ("a.graphml", graphml(NODES + PATH.replace("<edge", '<edge directed="true"'))),
        ("a.gexf", gexf(PATH).replace("<graph>", '<graph defaultedgetype="directed">')),
        ("a.gexf", gexf(PATH.replace("<edge", '<edge type="directed"'))),
        ("a.json", '{"directed": 1, "nodes": ["a", "b", "c"], "edges": [["a", "b"], ["b", "c"]]}'),
    ],
)
def test_a_direction_is_read_of_the_graph_or_of_all_edges(
    name: str, text: str, tmp_path: Path
) -> None:
    assert read(tmp_path, name, text) == (True, PLAIN)
    assert read(tmp_path, name, text, directed=False) == (False, PLAIN)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.graphml", graphml(NODES + PATH)),
        ("a.gexf", gexf(PATH)),
        ("a.json", '{"nodes": ["a", "b", "c"], "links": [["a", "b"], ["b", "c"]]}'),
        ("a.json", '[["a", "b"], ["b", "c"]]'),
    ],
)
def test_a_file_that_says_nothing_of_directions_is_directed_on_request(
    name: str, text: str, tmp_path: Path
) -> None:
    assert read(tmp_path, name, text) == (False, PLAIN)
    assert read(tmp_path, name, text, directed=True) == (True, PLAIN)
    said = graphml(NODES + PATH, "", 'edgedefault="undirected"')
    assert "no direction" in refusal(tmp_path, "said.graphml", said, directed=True).problem


MIXED = [
    ("a.graphml", graphml(NODES + PATH.replace("<edge", '<edge directed="true"', 1))),
    ("a.gexf", gexf(PATH.replace("<edge", '<edge type="directed"', 1))),
    ("a.net", "*Vertices 3\n1 a\n2 b\n3 c\n*Arcs\n1 2\n*Edges\n2 3\n"),
    ("a.csv", "Source,Target,Type\na,b,Directed\nb,c,Undirected\n"),
]


@pytest.mark.parametrize(("name", "text"), MIXED)
def test_edges_with_and_without_direction_are_asked_about(
    name: str, text: str, tmp_path: Path
) -> None:
    assert "directed=true or directed=false" in refusal(tmp_path, name, text).remedy
    assert read(tmp_path, name, text, directed=False) == (False, PLAIN)
    both = {("a", "b"): None, ("b", "c"): None, ("c", "b"): None}
    assert read(tmp_path, name, text, directed=True) == (True, both)


def test_a_mutual_edge_leads_both_ways(tmp_path: Path) -> None:
    edges = PATH.replace("<edge", '<edge type="mutual"', 1).replace(
        "<edge s", '<edge type="directed" s'
    )
    both = {("a", "b"): None, ("b", "a"): None, ("b", "c"): None}
    assert read(tmp_path, "a.gexf", gexf(edges)) == (True, both)


@pytest.mark.parametrize(
    "edges",
    [
        PATH.replace("<edge", '<edge start="1" end="2"', 1),
        PATH.replace("/>", "><spells><spell start='1'/></spells></edge>", 1),
    ],
)
def test_lifetimes_are_not_passed_over_in_silence(edges: str, tmp_path: Path) -> None:
    error = refusal(tmp_path, "a.gexf", gexf(edges))
    assert "edges have lifetimes" in error.problem
    assert "times=ignore" in error.remedy
    assert read(tmp_path, "a.gexf", gexf(edges), times="ignore") == (False, PLAIN)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.graphml", graphml(NODES + PATH).replace("</graph>", "</graph><graph></graph>")),
        ("a.gml", "graph [ node [ id 1 ] ] graph [ node [ id 2 ] ]"),
        ("a.g6", "A_\nA_\n"),
    ],
)
def test_a_file_of_several_graphs_is_not_read_as_its_first(
    name: str, text: str, tmp_path: Path
) -> None:
    assert "graph=1" in refusal(tmp_path, name, text).remedy
    read(tmp_path, name, text, graph=1)
    assert "2 graphs" in refusal(tmp_path, name, text, graph=3).problem


def test_nodes_may_go_by_their_labels(tmp_path: Path) -> None:
    labeled = "".join(f'<node id="{it}" label="N{it}"/>' for it in "abc")
    right = {("Na", "Nb"): None, ("Nb", "Nc"): None}
    assert read(tmp_path, "a.gexf", gexf(PATH, nodes=labeled), nodes="label") == (False, right)
    named = "".join(f'<node id="{it}"><data key="k">N{it}</data></node>' for it in "abc")
    text = graphml(named + PATH).replace("<graph ", '<key id="k" attr.name="name"/><graph ')
    assert read(tmp_path, "a.graphml", text, nodes="label") == (False, right)
    assert read(tmp_path, "a.graphml", text) == (False, PLAIN)
    error = refusal(tmp_path, "a.graphml", text.replace("Nb", "Na"), nodes="label")
    assert "the same label: 'Na'" in error.problem
    assert "no label: 'a'" in refusal(tmp_path, "a.gexf", gexf(PATH), nodes="label").problem
    gml = 'graph [ node [ id 1 label "x" ] node [ id 2 label "y" ] edge [ source 1 target 2 ] ]'
    assert read(tmp_path, "a.gml", gml, nodes="id") == (False, {(1, 2): None})


@pytest.mark.parametrize("encoding", ["iso-8859-1", "windows-1252", "utf-8", "utf-16"])
def test_xml_is_decoded_as_it_says(encoding: str, tmp_path: Path) -> None:
    text = graphml('<node id="José"/><node id="Zoë"/><edge source="José" target="Zoë"/>')
    path = tmp_path / "a.graphml"
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>{text}'.encode(encoding))
    assert list(read_file(path)) == ["José", "Zoë"]


def test_a_document_type_elsewhere_is_not_fetched(tmp_path: Path) -> None:
    doctype = '<!DOCTYPE graphml SYSTEM "http://localhost:1/graphml.dtd">'
    assert read(tmp_path, "a.graphml", doctype + graphml(NODES + PATH)) == (False, PLAIN)
    inside = doctype.replace(">", ' [<!ENTITY a "b">]>')
    assert "refused" in refusal(tmp_path, "a.graphml", inside + graphml(NODES + PATH)).problem


@pytest.mark.parametrize(
    "data",
    [
        {"nodes": [{"id": "a"}, {"id": "b"}], "links": [{"source": "a", "target": "b"}]},
        {"nodes": [{"key": "a"}, {"key": "b"}], "edges": [{"source": "a", "target": "b"}]},
        {"nodes": [{"name": "a"}, {"name": "b"}], "links": [{"source": "a", "target": "b"}]},
        {"nodes": [{"id": "a"}, {"id": "b"}], "edges": [{"from": "a", "to": "b"}]},
        {"nodes": ["a", "b"], "edges": [["a", "b"]]},
        {
            "nodes": [{"id": "a"}, {"id": "b"}],
            "links": [{"source": {"id": "a"}, "target": {"id": "b"}}],
        },
        {"graph": {"nodes": {"a": {}, "b": {}}, "edges": [{"source": "a", "target": "b"}]}},
        {
            "graph": 0,
            "nodes": [{"id": "a"}, {"id": "b"}],
            "links": [{"source": "a", "target": "b"}],
        },
        {
            "elements": {
                "nodes": [{"data": {"id": "a"}}, {"data": {"id": "b"}}],
                "edges": [{"data": {"id": "e", "source": "a", "target": "b"}}],
            }
        },
        {
            "elements": [
                {"data": {"id": "a"}},
                {"data": {"id": "b"}},
                {"data": {"source": "a", "target": "b"}},
            ]
        },
        [
            {"group": "nodes", "data": {"id": "a"}},
            {"group": "nodes", "data": {"id": "b"}},
            {"group": "edges", "data": {"source": "a", "target": "b"}},
        ],
        {
            "options": {"type": "undirected"},
            "attributes": {},
            "nodes": [{"key": "a"}, {"key": "b"}],
            "edges": [{"key": "0", "source": "a", "target": "b"}],
        },
        {
            "options": {"type": "mixed"},
            "nodes": [{"key": "a"}, {"key": "b"}],
            "edges": [{"source": "a", "target": "b", "undirected": True}],
        },
        {
            "graph": [],
            "nodes": [{"id": "a"}, {"id": "b"}],
            "adjacency": [[{"id": "b"}], [{"id": "a"}]],
        },
        {"a": ["b"], "b": ["a"]},
        {"a": {"b": {}}, "b": {"a": {}}},
        [["a", "b"]],
        [{"source": "a", "target": "b"}],
    ],
)
def test_json_is_read_in_the_forms_in_which_programs_write_graphs(
    data: Any, tmp_path: Path
) -> None:
    assert read(tmp_path, "a.json", json.dumps(data)) == (False, {("a", "b"): None})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"nodes": [{"id": "a"}], "links": [{"source": "a", "target": "x"}]}, "not listed: 'x'"),
        ({"nodes": [{"n": "a"}], "links": [{"source": "a", "target": "a"}]}, "nodes have 'n'"),
        ({"nodes": [{"id": "a"}], "links": [{"source": "a"}]}, 'edge 1 is {"source": "a"}'),
        ({"nodes": [{"id": "a"}], "links": ["a"]}, 'edge 1 is "a"'),
        ({"a": ["b"], "b": []}, "do not list them"),
        ({"nodes": [{"id": "a"}]}, 'no "edges" or "links"'),
        ({"vertices": 3}, "it has 'vertices'"),
        ({"a": [0.1, 0.2], "b": [0.3]}, "not list them"),
        ({"nodes": ["a", "b"], "links": [["a", "b", True]]}, "the weight True"),
    ],
)
def test_json_that_is_not_understood_is_refused_with_what_was_found(
    data: Any, problem: str, tmp_path: Path
) -> None:
    error = refusal(tmp_path, "a.json", json.dumps(data))
    assert problem in error.problem
    assert error.remedy


WRITERS: dict[str, Any] = {
    "a.graphml": lambda graph, path: nx.write_graphml(graph, path),
    "a.gexf": lambda graph, path: nx.write_gexf(graph, path),
    "a.gml": lambda graph, path: nx.write_gml(graph, path),
    "node-link.json": lambda graph, path: path.write_text(
        json.dumps(nx.node_link_data(graph, edges="links"))
    ),
    "adjacency.json": lambda graph, path: path.write_text(json.dumps(nx.adjacency_data(graph))),
    "cytoscape.json": lambda graph, path: path.write_text(json.dumps(nx.cytoscape_data(graph))),
}


@pytest.mark.parametrize("name", WRITERS)
@given(graph=graphs(nodes=st.text("abc é<&", min_size=1, max_size=3).map(lambda it: f"x{it}y")))
@settings(max_examples=25, deadline=None)
def test_what_networkx_writes_comes_back(
    name: str, graph: nx.Graph[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    WRITERS[name](graph, path)
    again: Any = read_file(path)
    assert type(again) is type(graph)
    assert list(again) == list(graph)
    assert nx.utils.edges_equal(again.edges(data="weight"), graph.edges(data="weight"))


def test_a_large_gml_file_is_read_without_recursion(tmp_path: Path) -> None:
    written = io.BytesIO()
    nx.write_gml(nx.path_graph(2_000), written)
    assert len(read(tmp_path, "a.gml", written.getvalue().decode())[1]) == 1_999
    assert "bracket" in refusal(tmp_path, "a.gml", "graph [ " + "x [ " * 5_000).problem
