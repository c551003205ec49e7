"""Files that users sent in, which are not part of this repository: each read right, or refused."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mesa_llm_norms.errors import FileFormatError, GraphError, GraphWarning
from mesa_llm_norms.networks.kinds import OPTIONS
from mesa_llm_norms.networks.reading import open_file
from mesa_llm_norms.networks.validation import check_graph

SHARED = Path(__file__).parents[3] / "shared"
FOLDERS = (SHARED / "faults" / "graphs", SHARED / "networks" / "files")

pytestmark = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"the files are in {SHARED}, which is not here"
)


class Read(NamedTuple):
    """What a file holds: nodes, edges, and some of its edges with their weights."""

    nodes: int
    edges: int
    some: dict[tuple[Any, Any], float | None]
    directed: bool = False


TRIANGLE = Read(3, 3, {("ann", "bo"): None, ("cy", "ann"): None})
PAIR = Read(2, 1, {("a", "b"): None})

RIGHT = {
    "g01-gephi-edges.csv": Read(3, 3, {("ann", "bo"): 2, ("cy", "ann"): 1}),
    "g02-name-header.csv": TRIANGLE,
    "g03-numeric-header.csv": Read(3, 3, {(0, 1): None, (2, 0): None}),
    "g05-third-col-year.csv": TRIANGLE,
    "g06-konect-4col.tsv": Read(3, 3, {(1, 2): 1, (3, 1): 1}),
    "g11-weighted-spaces-in-names.txt": Read(3, 2, {("Ann Lee", "Bo Kim"): None}),
    "g13-weight-decimal-comma.csv": Read(3, 2, {("ann", "bo"): 0.5, ("bo", "cy"): 1.5}),
    "g15-index-col.csv": Read(3, 3, {("ann", "bo"): 1, ("bo", "cy"): 2}),
    "g18-missing-weight.csv": Read(3, 2, {("ann", "bo"): 2, ("bo", "cy"): None}),
    "g19-tuple-nodes.edgelist": Read(3, 2, {("(0, 0)", "(0, 1)"): None}),
    "g20-crlf-bom.csv": Read(3, 2, {("ann", "bo"): 1}),
    "g22-utf16.csv": Read(3, 2, {("José", "Zoë"): None}),
    "g23-padded-ids.csv": Read(3, 3, {("001", "002"): None}),
    "g24-float-ids.csv": Read(3, 3, {("1.0", "2.0"): None}),
    "g25-edge-attrs.edgelist": Read(3, 2, {(0, 1): 2, (1, 2): 1}),
    "g26-hash-in-name.csv": Read(3, 2, {("user #1", "user #2"): None}),
    "g27-matrix.csv": TRIANGLE,
    "g28-no-weight-col-name-mismatch.csv": Read(3, 2, {("ann", "bo"): 3, ("bo", "cy"): 1}),
    "g30-mtx.txt": Read(3, 3, {(1, 2): None, (3, 2): None}),
    "g31-from-to-extra.csv": Read(3, 2, {("ann", "bo"): None}),
    "g32-quotes.csv": Read(3, 2, {("Roe, Cy", "Lee, Ann"): 2}),
    "g34-single-quoted.gml": PAIR,
    "g35-hashtags.csv": Read(4, 3, {("#python", "#ai"): None, ("#ai", "ml"): None}),
    "g37-quoted-hash.csv": Read(3, 2, {("user #1", "user #2"): None}),
    "g38-iri.txt": Read(3, 2, {("http://x.org/a#B", "http://x.org/c#D"): None}),
    "g40-comment-end.txt": Read(3, 2, {("a", "b"): 1, ("b", "c"): 2}),
    "g41.tsv": Read(2, 1, {("a", "b"): 2}),
    "g42-pipe.txt": Read(3, 2, {("a", "b"): None, ("b", "c"): None}),
    "g47-semicolon-with-commas.csv": Read(3, 2, {("Lee, Ann", "Kim, Bo"): None}),
    "g49-tab-one-comma.tsv": Read(3, 3, {("Lee, Ann", "Bo"): None, ("Cy", "Lee, Ann"): None}),
    "j01-d3-index.json": Read(3, 2, {(0, 1): 8, (1, 2): 1}),
    "j02-links.json": Read(2, 1, {("a", "b"): 2}),
    "j03-cytoscape.json": PAIR,
    "j04-tuple-ids.json": Read(2, 1, {((0, 0), (0, 1)): None}),
    "j06-adjacency.json": Read(2, 1, {(1, 2): None}),
    "j07-key-name.json": PAIR,
    "j08-mixed-id-types.json": Read(2, 1, {(1, 2): None}),
    "j10-directed-int.json": PAIR,
    "j11-list-of-edges.json": Read(3, 2, {("a", "b"): None, ("b", "c"): None}),
    "j12-dict-adj.json": Read(3, 2, {("a", "b"): None, ("b", "c"): None}),
    "j13-multi-no-key.json": PAIR,
    "j14-graphology.json": Read(2, 1, {("ann", "bo"): 2}),
    "x01-no-namespace.graphml": Read(3, 2, {(1, 2): 2, (2, 3): 1}),
    "x02-cytoscape-keys-for-node.graphml": Read(2, 1, {(62, 63): 2}, directed=True),
    "x03-key-without-type.graphml": Read(2, 1, {("a", "b"): 2.5}),
    "x04-undeclared-key.graphml": PAIR,
    "x05-mathematica.graphml": Read(2, 1, {(1, 2): 1.23}),
    "x06-nondefault-ns.graphml": Read(3, 2, {(1, 0): None, (2, 1): None}),
    "x07-netlogo-ns.graphml": Read(3, 2, {("turtle 0", "turtle 1"): None}),
    "x08-bool-spaces.graphml": PAIR,
    "x10-edge-ids-same.graphml": Read(3, 3, {("1n", "2n"): None}, directed=True),
    "x11-latin1-declared.graphml": Read(2, 1, {("José", "b"): None}),
    "x12-doctype.graphml": PAIR,
    "x14-no-edgedefault.graphml": PAIR,
    "x15-labels-weight-attr-name.graphml": Read(3, 2, {("a", "b"): 9, ("b", "c"): 1}),
    "x18-hyperedge-port.graphml": PAIR,
    "x19-neo4j-labels.graphml": Read(2, 1, {("n0", "n1"): None}, directed=True),
    "x20-weight-string-comma.graphml": Read(2, 1, {("a", "b"): 1.5}),
    "x21-attr-type-list.graphml": PAIR,
    "y01-gexf13-gephi.gexf": Read(3, 2, {(0, 1): 2, (1, 2): None}),
    "y02-liststring.gexf": PAIR,
    "y04-mixed-types.gexf": Read(2, 1, {(1, 2): None}),
    "y06-hierarchy-no-mode.gexf": Read(3, 2, {("b", "c"): None, ("a", "b"): None}, directed=True),
    "y07-mutual.gexf": Read(
        3, 3, {("a", "b"): None, ("b", "a"): None, ("b", "c"): None}, directed=True
    ),
    "y09-comma-float.gexf": Read(2, 1, {("a", "b"): 1.5}),
    "y11-11draft-gephi-org.gexf": Read(2, 1, {(0, 1): None}),
    "y12-null-attvalue.gexf": PAIR,
    "z02-unquoted-label.gml": Read(2, 1, {("n1", "n2"): None}),
    "z03-multiline-label.gml": Read(2, 1, {("Ann Lee", "Bo"): None}),
    "z04-cytoscape.gml": Read(2, 1, {("ann", "bo"): None}),
    "z05-duplicate-labels.gml": Read(3, 2, {(1, 2): None, (2, 3): None}),
    "z06-value-weight.gml": Read(3, 2, {("a", "b"): 9, ("b", "c"): 1}),
    "z07-entities-umlaut.gml": Read(2, 1, {("Jörg", "b"): None}),
    "z08-raw-umlaut.gml": Read(2, 1, {("Jörg", "b"): None}),
    "z09-numeric-labels.gml": Read(2, 1, {(101, 102): None}),
    "z11-comment-hash.gml": PAIR,
    "z12-nan.gml": PAIR,
    "first_line_n_m.txt": Read(34, 78, {(0, 1): None, (32, 33): None}),
    "first_line_n_m_from_one.txt": Read(34, 78, {(1, 2): None, (33, 34): None}),
    "gephi_export.csv": Read(4, 3, {("Ann", "Bo"): 2, ("Cy", "Di"): 1}),
    "header_node1.csv": Read(3, 3, {("Ann", "Bo"): None, ("Cy", "Ann"): None}),
    "les_miserables.gexf": Read(77, 254, {("2.0", "0.0"): 8, ("1.0", "0.0"): None}, directed=True),
    "newman_value.gml": Read(3, 2, {("A", "B"): 99, ("A", "C"): 1}),
    "no_edgetype.gexf": Read(3, 2, {(0, 1): None, (0, 2): None}),
    "value.json": Read(3, 2, {("A", "B"): 99, ("A", "C"): 1}),
}

REFUSED = {
    # What the message says, an option that helps, and what is read with it.
    "g07-node-table.csv": ("table of nodes", None, None),
    "g09-both-directions-different-weight.csv": (
        "parallel edges",
        "parallel=sum",
        Read(3, 2, {("ann", "bo"): 8, ("bo", "cy"): 1}),
    ),
    "g10-date-third.txt": ("line 1 has the weight '10-10-2016'", "weight=none", TRIANGLE),
    "g12-adjlist.txt": ("line 1", "format=adjlist", Read(4, 5, {(0, 3): None, (2, 3): None})),
    "g16-repeated-pairs.csv": (
        "parallel edges",
        "parallel=sum",
        Read(3, 2, {("ann", "bo"): 2, ("bo", "cy"): 1}),
    ),
    "g21-latin1.csv": ("not UTF-8 text", "encoding=latin-1", Read(3, 2, {("José", "Zoë"): None})),
    "g29-mixed-missing-node.csv": ("line 3 is not two nodes", None, None),
    "g33-unquoted-names-with-spaces.txt": ("4 fields", None, None),
    "g39-newline-in-quotes.csv": (
        "may be a header",
        "header=false",
        Read(4, 2, {("multi\nline", "c"): None}),
    ),
    "g43-arrow.txt": ("line 1 is not two nodes", None, None),
    "g45-zero-weight.txt": (
        "1 to 2: 0.0",
        "nonpositive=drop",
        Read(3, 2, {(0, 1): 0.5, (2, 0): 1}),
    ),
    "j09-nan.json": ("weight nan", "weight=none", PAIR),
    "x13-nested-yed.graphml": (
        "without any edge",
        "isolated=drop",
        Read(3, 2, {("n1", "n0::n0"): None}, directed=True),
    ),
    "x16-mixed-direction.graphml": (
        "some have none",
        "directed=false",
        Read(3, 2, {("a", "b"): None, ("b", "c"): None}),
    ),
    "x17-two-graphs.graphml": ("more than one graph", "graph=2", Read(2, 1, {("c", "d"): None})),
    "y08-parallel-kinds.gexf": (
        "parallel edges",
        "parallel=first",
        Read(3, 2, {("a", "b"): None, ("b", "c"): None}),
    ),
    "z01-newman-multi.gml": (
        "parallel edges",
        "parallel=sum",
        Read(3, 2, {("a.com", "b.com"): 2}, directed=True),
    ),
    "adjlist_as.txt": ("line 2", "format=adjlist", Read(6, 6, {(0, 1): None, (0, 5): None})),
    "duplicate_edges.gml": (
        "parallel edges",
        "parallel=sum",
        Read(2, 2, {("A", "B"): 2, ("B", "A"): 1}, directed=True),
    ),
    "lifetimes.gexf": ("lifetimes", "times=ignore", Read(3, 2, {(0, 1): None, (1, 2): None})),
    "timestamps.txt": ("may be a time", "weight=none", Read(4, 4, {(1, 2): None, (4, 1): None})),
}


def found(path: Path, **options: Any) -> Read:
    """Return what is read from a file that can be played on."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GraphWarning)
        graph: Any = open_file(path, **options)[0]
        check_graph(graph)
    weights = {(u, v): weight for u, v, weight in graph.edges(data="weight")}
    if not graph.is_directed():
        weights |= {(v, u): weight for (u, v), weight in weights.items()}
    return Read(len(graph), graph.number_of_edges(), weights, graph.is_directed())


def path_of(name: str) -> Path:
    return next(folder / name for folder in FOLDERS if (folder / name).exists())


def agrees(read: Read, right: Read) -> bool:
    shared = {edge: read.some.get(edge, "missing") for edge in right.some}
    return read._replace(some=shared) == right  # type: ignore[arg-type]


def test_every_file_is_here() -> None:
    names = {path.name for folder in FOLDERS for path in folder.iterdir()}
    assert names - {"weights_lesmis.toml"} == RIGHT.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", RIGHT)
def test_a_file_is_read_as_the_network_it_is(name: str) -> None:
    assert agrees(found(path_of(name)), RIGHT[name])


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_played_on_as_it_is_is_refused_naming_the_option_that_helps(
    name: str,
) -> None:
    problem, option, right = REFUSED[name]
    with pytest.raises((FileFormatError, GraphError)) as raised:
        found(path_of(name))
    refused: Any = raised
    assert problem in refused.value.problem
    if option is None or right is None:
        return
    key, _, value = option.partition("=")
    assert re.search(rf"--read {key}=", refused.value.remedy)
    typed: Any = {"true": True, "false": False}.get(value, int(value) if value.isdigit() else value)
    assert key in OPTIONS
    assert agrees(found(path_of(name), **{key: typed}), right)
