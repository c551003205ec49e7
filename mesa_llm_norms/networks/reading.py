"""Graphs as they are given: by name, in a file, or as an object of networkx or scipy.

::

    read_graph("watts_strogatz(n=24, k=4, p=0.1)", rng)
    read_graph("friendships.graphml", rng)
    read_graph(nx.path_graph(5), rng)
    read_graph(scipy.sparse.csr_array([[0, 1], [1, 0]]), rng)

The suffix of a file says its format: GraphML, GEXF, GML, node-link JSON, an edge list, or a scipy
sparse array.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import networkx as nx
from scipy import sparse

from mesa_llm_norms.core import limits
from mesa_llm_norms.errors import FileFormatError, TopologyError, some
from mesa_llm_norms.networks.adjacency import Adjacency, Graph, is_sparse, read_adjacency
from mesa_llm_norms.networks.registry import check_size, find_topology, read_topology

MAX_BYTES = limits.GRAPH_FILE.high
MAX_SPARSE_BYTES = limits.SPARSE_FILE.high

_HEADERS = {("source", "target"), ("from", "to")}


def read_graph(graph: Any, rng: random.Random) -> Graph:
    """Return the graph that a ``graph=`` argument stands for.

    ``check_graph`` says whether the game can be played on it.

    Parameters
    ----------
    graph : networkx.Graph, scipy sparse array, str or pathlib.Path
        A networkx graph is returned as it is, not copied. In a sparse array or matrix the value in
        row u and column v is the weight of u -> v; it is undirected if symmetric. A path is a file.
        A string is a file if it has a suffix of ``FORMATS``, else a topology if it starts with the
        name of one (``"ring"``, ``"ring(n=12, k=4)"``), else a file if one is there.
    rng : random.Random
        Where random topologies get their draws: the same state gives the same graph.

    Returns
    -------
    networkx.Graph or scipy.sparse.csr_array
        The graph; sparse arrays as ``read_adjacency`` returns them.

    Raises
    ------
    TopologyError
        If the argument stands for no graph.
    FileFormatError
        If a file cannot be read.
    GraphError
        If a sparse array is not an adjacency.
    """
    if isinstance(graph, nx.Graph):
        return graph
    if is_sparse(graph):
        return read_adjacency(graph)
    if names_file(graph):
        return read_file(Path(graph))
    if isinstance(graph, str):
        return read_topology(graph, rng)
    raise TopologyError(
        "graph",
        graph,
        f"a {type(graph).__name__} is not a graph",
        'Give a networkx graph, a scipy sparse array, a topology such as "ring(n=24)", or the path '
        "of a graph file.",
    )


def names_file(graph: Any) -> bool:
    """Return whether a ``graph=`` argument means a file, by the rule of ``read_graph``."""
    if isinstance(graph, Path):
        return True
    if not isinstance(graph, str):
        return False
    if Path(graph).suffix.lower() in FORMATS:
        return True
    try:
        return find_topology(graph) is None and bool(graph) and Path(graph).exists()
    except (OSError, ValueError):
        return False


def is_random(graph: Any) -> bool:
    """Return whether a ``graph=`` argument means another graph each time it is read."""
    if not isinstance(graph, str) or names_file(graph):
        return False
    kind = find_topology(graph)
    return kind is not None and kind.takes_rng


def read_file(path: Path) -> Graph:
    """Return the graph in a file.

    GraphML, GEXF, GML and JSON may be directed; an edge list is not. GML nodes are identified by
    label where they have one. Parallel edges are kept, in a multigraph, for ``check_graph`` to
    refuse. Nothing in an ``.npz`` file is unpickled.

    Parameters
    ----------
    path : pathlib.Path
        The file, with a suffix of ``FORMATS``. It is UTF-8, or UTF-16 with a byte order mark, and
        at most 100 MB; an ``.npz`` file at most 1 GB, packed and unpacked.

    Returns
    -------
    networkx.Graph or scipy.sparse.csr_array
        Node ids are strings, or ints if all of them are whole numbers (JSON states the type
        itself). The ``weight`` of an edge is a number where it reads as one.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, too large, not text or not of its format, or is XML that
        declares a document type or entities, which can expand without bound.
    """
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise FileFormatError(
            path,
            f"the suffix {path.suffix!r} is of no known format",
            f"Known are {', '.join(FORMATS)}.",
        )
    data = _contents(path, MAX_BYTES if kind.is_text else MAX_SPARSE_BYTES)
    contents = _text(path, data) if kind.is_text else data
    try:
        return _finished(kind.read(contents))
    except Exception as error:  # On bad input networkx and expat raise nearly every kind there is.
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        raise FileFormatError(
            path,
            f"cannot be read as {kind.name} ({' '.join(reason.split())[:200]})",
            f"Check that the file is complete and has the right suffix; {kind.write} writes one.",
        ) from error


def _contents(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file, at most ``most``."""
    try:
        regular = path.is_file() or not path.exists()
        data = _first_bytes(path, most + 1) if regular else b""
    except FileNotFoundError as error:
        raise FileFormatError(
            path, "no such file", "Check the path; it starts from the folder you run in."
        ) from error
    except (OSError, ValueError) as error:
        raise FileFormatError(
            path, f"cannot be opened ({error})", "Check the path and its permissions."
        ) from error
    if not regular:
        raise FileFormatError(path, "not a regular file", "Give the path of a graph file.")
    if len(data) > most:
        raise FileFormatError(
            path,
            f"larger than {most // 1_000_000:,} MB",
            "Read it yourself and give the graph itself.",
        )
    return data


def _first_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _text(path: Path, data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise FileFormatError(path, f"not {encoding[:6].upper()} text", "Save as UTF-8.") from error
    if "\0" in text:
        raise FileFormatError(path, "binary, not text", "Save it as UTF-8 text.")
    if not text.strip():
        raise FileFormatError(path, "empty", "Save the graph again.")
    return text


def _xml(read: Callable[[io.BytesIO], nx.Graph[Any]], text: str) -> nx.Graph[Any]:
    if re.search(r"<!(DOCTYPE|ENTITY)", text, re.IGNORECASE):
        raise ValueError("it declares a document type or entities, which is refused; remove them")
    # With this declaration in place of its own, the parser reads the very text that was searched.
    body = re.sub(r"\A\s*<\?xml\b[^>]*>", "", text).strip()
    document = f'<?xml version="1.0" encoding="utf-8"?>{body}'.encode()
    graph = read(io.BytesIO(document))
    listed = {
        element.get("id")
        for element in ElementTree.fromstring(document).iter()
        if element.tag.rpartition("}")[2] == "node"
    }
    unlisted = [node for node in graph if node not in listed]
    if unlisted:
        raise ValueError(f"edges lead to nodes that are not listed: {some(unlisted)}")
    return _with_whole_ids(graph)


def _gml(text: str) -> nx.Graph[Any]:
    try:
        graph = nx.parse_gml(text, label="label")
    except nx.NetworkXError:  # Labels are optional, and need not be unique.
        graph = nx.parse_gml(text, label="id")
    return _with_whole_ids(graph)


def _json(text: str) -> nx.Graph[Any]:
    data = json.loads(text)
    keys = [key for key in ("edges", "links") if isinstance(data, dict) and key in data]
    if len(keys) != 1 or not all(isinstance(data.get(key), list) for key in ("nodes", *keys)):
        raise ValueError('"nodes" and either "edges" or "links" must be lists')
    if not all(isinstance(data.get(key, False), bool) for key in ("directed", "multigraph")):
        raise ValueError('"directed" and "multigraph" must be true or false')
    graph = nx.node_link_graph(data, edges=keys[0])
    if len(graph) != len(data["nodes"]):
        raise ValueError("a node is listed twice, or an edge leads to a node that is not listed")
    return graph


def _edge_list(text: str) -> nx.Graph[Any]:
    """Read lines ``u v`` or ``u v weight``; ``v u`` with the same weight is the same edge again.

    A line is split at its commas, else semicolons, else tabs, else spaces. ``#`` starts a comment,
    a first line ``source,target`` is a header, and of the attributes networkx writes after an edge
    only the weight is read.
    """
    graph: nx.MultiGraph[str] = nx.MultiGraph()
    seen: dict[tuple[str, str], list[float]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        content = re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip()
        if not content or content.startswith("%"):
            continue
        fields = _fields(content)
        if not seen and tuple(field.lower() for field in fields[:2]) in _HEADERS:
            continue
        if len(fields) not in (2, 3) or not all(fields):
            raise ValueError(f"line {number} is not two nodes, or two nodes and a weight")
        u, v, *rest = fields
        try:
            weight = [float(field) for field in rest]
        except ValueError:
            raise ValueError(f"line {number} has the weight {rest[0]!r}, not a number") from None
        again = u != v and (u, v) not in seen and seen.get((v, u)) == weight
        seen[u, v] = weight
        if not again:
            graph.add_edge(u, v, **({"weight": weight[0]} if weight else {}))
    if not seen:
        raise ValueError("there is no line with an edge")
    return _with_whole_ids(graph)


def _fields(content: str) -> list[str]:
    content, brace, attributes = content.partition("{")
    content = content.rstrip(" ,;\t") if brace else content
    weight = re.search(r"""['"]weight['"]\s*:\s*([^\s,}]+)""", attributes)
    delimiter = next((mark for mark in ",;\t" if mark in content), None)
    row = content.split()
    if delimiter:
        content = re.sub(r"\t+", "\t", content)
        row = next(csv.reader([content], delimiter=delimiter, skipinitialspace=True))
    return [*(field.strip() for field in row), *(weight.groups() if weight else ())]


def _npz(data: bytes) -> Adjacency:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > MAX_SPARSE_BYTES:
        raise ValueError(f"unpacked it is larger than {MAX_SPARSE_BYTES // 1_000_000:,} MB")
    matrix: Any = sparse.load_npz(io.BytesIO(data))
    check_size(max(matrix.shape), matrix.nnz / 2, sparse=True)
    return read_adjacency(matrix)


def _with_whole_ids(graph: nx.Graph[Any]) -> nx.Graph[Any]:
    whole = {node: int(node) for node in graph if re.fullmatch(r"0|-?[1-9][0-9]{0,17}", str(node))}
    if len(set(whole.values())) < len(graph):
        return graph
    return nx.relabel_nodes(graph, whole)


def _finished(graph: Graph) -> Graph:
    """Return a graph with numeric weights; a multigraph without parallel edges as a simple one."""
    if not isinstance(graph, nx.Graph):
        return graph
    if graph.is_multigraph():
        simple: nx.Graph[Any] = nx.DiGraph(graph) if graph.is_directed() else nx.Graph(graph)
        graph = simple if simple.number_of_edges() == graph.number_of_edges() else graph
    for _, _, data in graph.edges(data=True):
        if isinstance(data.get("weight"), str):
            try:
                data["weight"] = float(data["weight"])
            except ValueError:
                continue
    return graph


class Format(NamedTuple):
    """A kind of graph file.

    Attributes
    ----------
    name : str
        What it is called in messages.
    read : callable
        Takes the decoded text, or the bytes of a file that is not text, and returns the graph.
    write : str
        The call that writes such a file.
    is_text : bool, default True
        Whether the file is text.
    """

    name: str
    read: Callable[[Any], Graph]
    write: str
    is_text: bool = True


_GRAPHML = Format(
    "GraphML", lambda text: _xml(nx.read_graphml, text), "nx.write_graphml(graph, path)"
)
_EDGES = Format("an edge list", _edge_list, 'nx.write_edgelist(graph, path, data=["weight"])')

FORMATS: Mapping[str, Format] = {
    ".graphml": _GRAPHML,
    ".xml": _GRAPHML,
    ".gexf": Format("GEXF", lambda text: _xml(nx.read_gexf, text), "nx.write_gexf(graph, path)"),
    ".gml": Format("GML", _gml, "nx.write_gml(graph, path)"),
    ".json": Format(
        "node-link JSON", _json, 'json.dump(nx.node_link_data(graph, edges="edges"), file)'
    ),
    ".edgelist": _EDGES,
    ".edges": _EDGES,
    ".txt": _EDGES,
    ".csv": _EDGES,
    ".tsv": _EDGES,
    ".npz": Format("a scipy sparse array", _npz, "scipy.sparse.save_npz(path, array)", False),
}
"""The format of a graph file, by its suffix."""
