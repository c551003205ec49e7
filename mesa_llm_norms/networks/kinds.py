"""The kinds of graph files, by suffix and by name, and the options that say how to read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mesa_llm_norms.core import limits
from mesa_llm_norms.networks.adjacency import Adjacency
from mesa_llm_norms.networks.columns import NONE, SEPARATORS, Options
from mesa_llm_norms.networks.contacts import read_contacts
from mesa_llm_norms.networks.formats import read_gexf, read_gml, read_graphml, read_json
from mesa_llm_norms.networks.hypergraphs import read_groups
from mesa_llm_norms.networks.numbered import (
    read_dimacs,
    read_graph6,
    read_matrix_market,
    read_npz,
    read_pajek,
    read_ucinet,
)
from mesa_llm_norms.networks.tables import read_adjacency_list, read_edge_list, read_matrix
from mesa_llm_norms.networks.validation import CLEANING, EdgeTable

MAX_SPARSE_BYTES = limits.SPARSE_FILE.high


class Option(NamedTuple):
    """What an option of graph files decides, and its values; none stand for any text or number."""

    about: str
    values: tuple[Any, ...] = ()


def _npz(data: bytes, _: Options) -> Adjacency:
    return read_npz(data, MAX_SPARSE_BYTES)


def _edges(text: str, options: Options) -> EdgeTable:
    if text.startswith("%%MatrixMarket") and "format" not in options:
        return read_matrix_market(text, options)
    return read_edge_list(text, options)


@dataclass(frozen=True)
class Format:
    """A kind of graph file.

    Attributes
    ----------
    name : str
        What it is called in messages.
    read : callable
        Takes the text, or the bytes of a file that is not text, and options; returns the edges, or
        a sparse array.
    write : str
        The call that writes such a file, or the program.
    reads : str
        What of it is read.
    options : tuple of str
        The options that say how to read it, of ``OPTIONS``.
    is_text, is_xml : bool
        Whether the file is text (default True), and XML (default False).
    """

    name: str
    read: Callable[[Any, Options], EdgeTable | Adjacency]
    write: str
    reads: str
    options: tuple[str, ...] = ("encoding", "weight")
    is_text: bool = True
    is_xml: bool = False


_LINES = ("encoding", "separator", "comments", "weight")

KINDS: Mapping[str, Format] = {
    "graphml": Format(
        "GraphML",
        read_graphml,
        "nx.write_graphml(graph, path)",
        "`id` of nodes; `edgedefault` and `directed`; the edges' data named `weight` or `value`, "
        "whatever the namespace; nested graphs as one",
        ("encoding", "weight", "nodes", "graph"),
        is_xml=True,
    ),
    "gexf": Format(
        "GEXF",
        read_gexf,
        "nx.write_gexf(graph, path)",
        "`id` of nodes; `defaultedgetype` and `type`; `weight` of edges; any version",
        ("encoding", "weight", "nodes", "graph", "times"),
        is_xml=True,
    ),
    "gml": Format(
        "GML",
        read_gml,
        "nx.write_gml(graph, path)",
        "`label` of nodes if all have one of their own, else `id`; `directed`; `weight` or `value`",
        ("encoding", "weight", "nodes", "graph"),
    ),
    "json": Format(
        "JSON",
        read_json,
        'json.dump(nx.node_link_data(graph, edges="edges"), file)',
        "node-link (`nodes` with `edges` or `links`, also of D3, vis.js and graphology), "
        "Cytoscape's `elements`, `adjacency`, an object of neighbors, or a list of edges",
        ("encoding", "weight", "nodes"),
    ),
    "edges": Format(
        "an edge list",
        _edges,
        'nx.write_edgelist(graph, path, data=["weight"])',
        "two nodes on each line, and a weight if there is a third field or a column `weight`, "
        "`value` or `count`; KONECT's first line and Gephi's `Type` say the direction; a square "
        "with the same nodes as rows and columns is an adjacency matrix",
        (*_LINES, "header", "source", "target"),
    ),
    "matrix": Format(
        "an adjacency matrix",
        read_matrix,
        "numpy.savetxt(path, nx.to_numpy_array(graph))",
        "a row of weights on each line, perhaps with the nodes as first row and column",
        ("encoding", "separator", "weight"),
    ),
    "adjlist": Format(
        "an adjacency list",
        read_adjacency_list,
        "nx.write_adjlist(graph, path)",
        "on each line a node and its neighbors",
        ("encoding", "separator", "comments"),
    ),
    "contacts": Format(
        "a contact sequence",
        read_contacts,
        'table[["t", "u", "v"]].to_csv(path, index=False)',
        "a time and the two who met on each line, perhaps a duration; only with "
        "`format=contacts`; see [networks in time](networks-in-time.md)",
        (*_LINES, "header", "source", "target", "time", "duration", "step"),
    ),
    "groups": Format(
        "groups",
        read_groups,
        "the members of a group on each line",
        "the members of a group on each line; only with `format=groups`; see [networks in "
        "time](networks-in-time.md)",
        _LINES,
    ),
    "pajek": Format(
        "Pajek",
        read_pajek,
        "nx.write_pajek(graph, path)",
        "labels of `*Vertices` if all have one of their own, else numbers; `*Arcs`, `*Edges`, "
        "their lists, and `*Matrix`",
        ("encoding", "weight", "nodes", "times"),
    ),
    "mtx": Format(
        "MatrixMarket",
        read_matrix_market,
        "scipy.io.mmwrite(path, array)",
        "numbers of rows as nodes, from 1; values as weights; no direction if symmetric",
    ),
    "graph6": Format(
        "graph6 or sparse6",
        read_graph6,
        "nx.write_graph6(graph, path)",
        "the numbers 0 to n - 1 as nodes",
        ("encoding", "graph"),
    ),
    "dimacs": Format(
        "DIMACS",
        read_dimacs,
        "the program the graph comes from",
        "the numbers 1 to n of the `p` line as nodes; `e` lines as edges, `a` lines as directed "
        "ones with a weight",
    ),
    "dl": Format(
        "UCINET DL",
        read_ucinet,
        "UCINET",
        "labels, else numbers from 1; `fullmatrix`, `edgelist1` and `nodelist1`; no direction if "
        "symmetric",
    ),
    "npz": Format(
        "a scipy sparse array",
        _npz,
        "scipy.sparse.save_npz(path, array)",
        "the numbers 0 to n - 1 as nodes; values as weights; no direction if symmetric",
        (),
        is_text=False,
    ),
}
"""The formats of graph files, by the value of the option ``format``."""

_SUFFIXES = {
    "graphml": (".graphml", ".xml"),
    "gexf": (".gexf",),
    "gml": (".gml",),
    "json": (".json",),
    "edges": (".edgelist", ".edges", ".txt", ".csv", ".tsv", ".ncol"),
    "adjlist": (".adjlist",),
    "pajek": (".net", ".paj"),
    "mtx": (".mtx",),
    "graph6": (".g6", ".s6", ".graph6", ".sparse6"),
    "dimacs": (".dimacs", ".col", ".clq", ".gr"),
    "dl": (".dl",),
    "npz": (".npz",),
}

FORMATS: Mapping[str, Format] = {
    suffix: KINDS[kind] for kind, suffixes in _SUFFIXES.items() for suffix in suffixes
}
"""The format of a graph file, by its suffix; ``.gz``, ``.bz2`` or ``.xz`` may follow."""

CLEAN: Mapping[str, Any] = {
    "loops": "drop",
    "nonpositive": "drop",
    "parallel": "sum",
    "isolated": "drop",
    "part": "largest",
}
"""What the option ``clean`` stands for."""

OPTIONS: Mapping[str, Option] = {
    "format": Option("what the file is, whatever its suffix says", tuple(KINDS)),
    "encoding": Option("the encoding of the text, such as latin-1"),
    "separator": Option("what is between the fields of a line", tuple(SEPARATORS)),
    "header": Option("whether the first line names the columns", (True, False)),
    "comments": Option("the mark that begins a comment", ("#", "%", NONE)),
    "source": Option("the column of the first node: its name or number"),
    "target": Option("the column of the second node: its name or number"),
    "weight": Option("the column or attribute that is the weight, or none"),
    "time": Option("the column of the time of a contact: its name or number"),
    "duration": Option("the column that says how long a contact lasts"),
    "step": Option("the units of time that a contact makes one interaction of"),
    "nodes": Option("whether nodes go by id or by label", ("id", "label")),
    "graph": Option("which graph of a file that holds several, from 1"),
    "times": Option("whether edges that exist at times are there all the time", ("ignore",)),
    **{name: Option(about, values) for name, (values, about) in CLEANING.items()},
    "clean": Option("the last five options at once, parallel edges added up", (True,)),
}
"""The options of graph files: how they are read, and how they are cleaned."""
