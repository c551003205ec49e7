"""Whether the game can be played on a graph, and what to do when it cannot.

``check_graph`` refuses a graph that is not played on, with a remedy. For graphs in files the
remedies are options, which ``clean`` carries out on the edges as the file lists them.
"""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from mesa_llm_norms.core.formatting import plural
from mesa_llm_norms.errors import GraphError, GraphWarning, shown, some
from mesa_llm_norms.networks.adjacency import (
    Adjacency,
    Graph,
    component_numbers,
    is_sparse,
    read_adjacency,
)

_COMPONENTS_NAMED = 3
_AT_A_TIME = 50_000


def check_graph(graph: Graph) -> None:
    """Check that the game can be played on a graph.

    In a directed graph the edge u -> v lets u, drawn first, meet v; a node with only in-edges is
    met and never drawn first, which is fine. Warns ``GraphWarning`` when the graph has more than
    one connected component (directions ignored, as both sides of an interaction learn from it).

    Parameters
    ----------
    graph : networkx.Graph or scipy sparse array
        Nodes may be anything hashable. The nodes of a sparse array are 0 to n - 1, and the value in
        row u and column v is the weight of u -> v. The edge attribute ``weight`` is 1 where absent.

    Raises
    ------
    GraphError
        For fewer than two nodes, a multigraph, a self-loop, a node without any edge, or weights
        that are not positive finite numbers; it names the nodes. Also for a sparse array that is
        not square or does not hold real numbers.
    """
    checked = _read(graph)
    _check_size(checked)
    _check_multigraph(checked)
    _check_self_loops(checked)
    _check_isolated(checked)
    _check_weights(checked)
    kind = checked.is_directed() if isinstance(checked, nx.Graph) else None
    warn_components(components(checked), kind)


def check_edges(graph: Graph) -> None:
    """Check only what ``check_graph`` checks of edges: no self-loops, and weights that are usable.

    Parameters
    ----------
    graph : networkx.Graph or scipy sparse array
        As in ``check_graph``.

    Raises
    ------
    GraphError
        For a self-loop, or weights that are not positive finite numbers.
    """
    checked = _read(graph)
    _check_self_loops(checked)
    _check_weights(checked)


def components(graph: Graph) -> list[list[Any]]:
    """Return the connected components of a graph, directions ignored.

    Parameters
    ----------
    graph : networkx.Graph or scipy sparse array
        The graph.

    Returns
    -------
    list of list
        The nodes of each component in the order of the graph, the largest component first.
    """
    graph = _read(graph)
    if not isinstance(graph, nx.Graph):
        numbers = component_numbers(graph)
        ends = np.cumsum(np.bincount(numbers))
        found = np.split(np.argsort(numbers, kind="stable"), ends[:-1])
        in_order = sorted(nodes.tolist() for nodes in found if len(nodes))
        return sorted(in_order, key=len, reverse=True)
    split: Any = nx.weakly_connected_components if graph.is_directed() else nx.connected_components
    number_of = {node: number for number, nodes in enumerate(split(graph)) for node in nodes}
    members: dict[int, list[Hashable]] = {}
    for node in graph:
        members.setdefault(number_of[node], []).append(node)
    return sorted(members.values(), key=len, reverse=True)


def _read(graph: Any) -> Graph:
    if is_sparse(graph):
        return read_adjacency(graph)
    if isinstance(graph, nx.Graph):
        return graph
    raise GraphError(
        f"a {type(graph).__name__} is neither a networkx graph nor a scipy sparse array",
        "Give nx.Graph(...), nx.DiGraph(...) or what read_graph makes of a string.",
    )


def _check_size(graph: Graph) -> None:
    nodes = list(graph) if isinstance(graph, nx.Graph) else range(graph.shape[0])
    if len(nodes) < 2:
        raise GraphError(
            f"a graph with {'one node' if nodes else 'no nodes'} has no pair to play",
            "Give at least two nodes and an edge, such as nx.complete_graph(24).",
            nodes,
        )


def _check_multigraph(graph: Graph) -> None:
    if not isinstance(graph, nx.Graph) or not graph.is_multigraph():
        return
    simple = "nx.DiGraph(multigraph)" if graph.is_directed() else "nx.Graph(multigraph)"
    parallel = [
        (node, neighbor)
        for node, neighbors in graph.adj.items()
        for neighbor, keys in neighbors.items()
        if len(keys) > 1
    ]
    nodes = list(dict.fromkeys(node for pair in parallel for node in pair))
    between = f", with parallel edges between {some(nodes)}" if nodes else ""
    raise GraphError(
        f"a multigraph{between}",
        f"{option_remedy('parallel=sum', 'parallel=first', 'parallel=max')} In Python keep one "
        f'edge of each pair with {simple}; to count them, add them up as its "weight".',
        nodes,
    )


def _check_self_loops(graph: Graph) -> None:
    if isinstance(graph, nx.Graph):
        nodes = list(nx.nodes_with_selfloops(graph))
        remedy = "graph.remove_edges_from(list(nx.selfloop_edges(graph)))"
    else:
        nodes = np.flatnonzero(graph.diagonal()).tolist()
        remedy = "graph - scipy.sparse.diags_array(graph.diagonal(), dtype=graph.dtype)"
    if nodes:
        raise GraphError(
            f"an edge from a node to itself, but no agent plays alone: {some(nodes)}",
            f"{option_remedy('loops=drop')} In Python remove such edges with {remedy}.",
            nodes,
        )


def _check_isolated(graph: Graph) -> None:
    if isinstance(graph, nx.Graph):
        nodes = [node for node, degree in graph.degree if degree == 0]
        remedy = "In Python remove them with graph.remove_nodes_from(list(nx.isolates(graph)))"
    else:
        alone = np.diff(graph.indptr) == 0
        alone[graph.indices] = False
        nodes = np.flatnonzero(alone).tolist()
        remedy = (
            "In Python keep the others with graph[kept][:, kept], where kept = "
            "numpy.flatnonzero(graph.sum(axis=0) + graph.sum(axis=1))"
        )
    if nodes:
        raise GraphError(
            f"nodes without any edge never meet anyone: {some(nodes)}",
            f"{option_remedy('isolated=drop')} {remedy}, or add edges.",
            nodes,
        )


def _check_weights(graph: Graph) -> None:
    if isinstance(graph, nx.Graph):
        total, bad = 0.0, []
        weighted = any("weight" in it for _, near in graph.adjacency() for it in near.values())
        edges: Any = graph.edges(data="weight", default=1) if weighted else ()
        for node, neighbor, weight in edges:
            number = _number(weight)
            total += number
            if not 0 < number < math.inf:
                bad.append((node, neighbor, weight))
        remedy = 'nx.set_edge_attributes(graph, 1, "weight")'
    else:
        total, bad = _adjacency_weights(graph)
        remedy = "graph.astype(bool)"
    if bad:
        named = some([f"{node!r} to {neighbor!r}: {weight!r}" for node, neighbor, weight in bad])
        low = all(-math.inf < _number(weight) <= 0 for _, _, weight in bad)
        helping = ("nonpositive=drop", "weight=none") if low else ("weight=none",)
        raise GraphError(
            f"edge weights that are not positive finite numbers ({named})",
            f"{option_remedy(*helping)} In Python set them, or make all edges equal with {remedy}.",
            dict.fromkeys(node for edge in bad for node in edge[:2]),
        )
    if total == math.inf:
        raise GraphError(
            "edge weights too large to add up",
            "Divide them all by the largest; only their proportions count.",
        )


def _adjacency_weights(graph: Adjacency) -> tuple[float, list[tuple[Hashable, Hashable, Any]]]:
    """Return the total weight and the bad edges; one that is bad both ways is named once."""
    if graph.dtype == np.uint8:
        return float(graph.nnz), []
    with np.errstate(over="ignore", invalid="ignore"):
        total = float(graph.data.sum())
    places = np.flatnonzero(~((graph.data > 0) & (graph.data < math.inf)))
    rows = np.searchsorted(graph.indptr, places, side="right") - 1
    bad: dict[frozenset[int], tuple[Hashable, Hashable, Any]] = {}
    for row, place in zip(rows.tolist(), places.tolist(), strict=True):
        column = int(graph.indices[place])
        bad.setdefault(frozenset((row, column)), (row, column, float(graph.data[place])))
    return total, list(bad.values())


def _number(weight: object) -> float:
    """Return ``weight`` as a float; infinity, which is refused, for what is not a number."""
    if isinstance(weight, bool) or not isinstance(weight, Real):
        return math.inf
    try:
        return float(weight)
    except OverflowError:
        return math.inf


def warn_components(separate: Sequence[Sequence[Any]], directed: bool | None) -> None:
    """Warn of components, whose nodes are given, if there are several.

    ``directed`` says whether a networkx graph is, and is None for a sparse array.
    """
    if len(separate) == 1:
        return
    named = "; ".join(
        f"{len(nodes)} nodes, such as {some(nodes[:2])}" for nodes in separate[:_COMPONENTS_NAMED]
    )
    others = len(separate) - _COMPONENTS_NAMED
    more = f"; and {others} more" if others > 0 else ""
    if directed is not None:
        kind = "weakly_connected_components" if directed else "connected_components"
        join = f"graph.add_edge({separate[0][0]!r}, {separate[1][0]!r})"
        largest = f"graph.subgraph(max(nx.{kind}(graph), key=len)).copy()"
    else:
        join = f"an edge between {separate[0][0]} and {separate[1][0]}"
        largest = "graph[part][:, part], where part = components(graph)[0]"
    warnings.warn(
        f"graph: {len(separate)} components with no edge between them ({named}{more}). No "
        "convention can pass from one to another, so consensus across them cannot happen except "
        f"by chance. {option_remedy('part=largest')} In Python join them with {join}, or play on "
        f"the largest with {largest}.",
        GraphWarning,
        stacklevel=3,
    )


# The edges that a file lists, and cleaning them

_FEWEST_TIMED = 10


class UnreadableError(ValueError):
    """What a graph file holds cannot be read, or can be read in two ways.

    Attributes
    ----------
    problem, remedy : str
        What was found and where, and what to do about it; the remedy may be empty.
    """

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy


def option_remedy(*options: str, what: str = "", lower: bool = False) -> str:
    """Return the sentence that says which options of a graph file help, and how to give one.

    Parameters
    ----------
    *options : str
        The options to choose from, such as ``"loops=drop"``.
    what : str, default ""
        What they do.
    lower : bool, default False
        Whether the sentence continues another.
    """
    name, _, value = options[0].partition("=")
    literal = value if value in ("true", "false") or value.isdecimal() else f'"{value}"'
    return (
        f"{'give' if lower else 'Give'} {' or '.join(options)}{what and f' {what}'}, as in "
        f'file("NAME", {name}={literal}) or --read {options[0]}.'
    )


def check_untimed(rows: Sequence[Sequence[str]]) -> None:
    """Refuse lines that seem to begin with a time, which would be read as a node.

    That is where the first fields are whole numbers that never fall, the second and third are of
    the same nodes, and the first are no nodes, or lines would repeat a pair or join a node to
    itself if they were.

    Parameters
    ----------
    rows : sequence of sequences of str
        The fields of the first lines of a file.

    Raises
    ------
    UnreadableError
        If they are, in ten lines or more.
    """
    if len(rows) < _FEWEST_TIMED or not all(
        len(row) >= 3 and row[0].isdecimal() and "" not in row[1:3] for row in rows
    ):
        return
    times = [int(row[0]) for row in rows]
    sources, targets = ({row[at] for row in rows} for at in (1, 2))
    nodes, moments = sources | targets, {row[0] for row in rows}
    alike = len(sources & targets) >= 0.3 * len(nodes)
    strange = len(nodes & moments) <= 0.1 * len(moments)
    pairs = [frozenset(row[:2]) for row in rows]
    faulty = len(set(pairs)) < len(pairs) or any(len(it) == 1 for it in pairs)
    faulty = faulty and all(row[1] != row[2] for row in rows)
    if alike and (strange or faulty) and times == sorted(times) and times[0] < times[-1]:
        raise UnreadableError(
            f"its lines, such as {shown(' '.join(rows[0]), 40)}, may be a time and the two nodes "
            "that met, or two nodes and a weight",
            option_remedy("format=contacts", "weight=3", what="(for two nodes and a weight)"),
        )


@dataclass(kw_only=True)
class EdgeTable:
    """The edges of a graph as a file lists them, before anything is left out or merged.

    Attributes
    ----------
    nodes : list of hashable
        Every node once, in the order of the file.
    ends : numpy.ndarray of int64, shape (edges, 2)
        The places in ``nodes`` that each edge leads from and to.
    weights : numpy.ndarray of float64, or None
        The weight of every edge, nan where it has none; None if no edge has one.
    directed : bool
        Whether u -> v is another edge than v -> u.
    weight_name : str
        The column or attribute that the weights were read from; empty if there are none.
    fixed : bool, default True
        Whether the file itself says if it is directed. If not, and it is undirected, v u after u v
        with the same weight is the same edge again.
    format : str
        The format of the file, in words.
    positions : dict
        Where some nodes are drawn, by node.
    skipped : int
        How many lines of the file were skipped as comments.
    ignored : list of str
        Columns or attributes of edges that were not read.
    notes : list of str
        What was found that a user might not expect.
    done : list of str
        What cleaning did.
    attributes : dict
        Attributes of the graph: contacts in time, or groups.
    """

    nodes: list[Hashable]
    ends: NDArray[np.int64]
    weights: NDArray[np.float64] | None = None
    directed: bool = False
    weight_name: str = ""
    fixed: bool = True
    format: str = ""
    positions: dict[Hashable, Any] = field(default_factory=dict)
    skipped: int = 0
    ignored: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def loops(self) -> NDArray[np.bool_]:
        """Which edges lead from a node to itself."""
        found: NDArray[np.bool_] = self.ends[:, 0] == self.ends[:, 1]
        return found

    @property
    def keys(self) -> NDArray[np.int64]:
        """A number for every edge, the same for parallel edges."""
        ends = self.ends if self.directed else np.sort(self.ends, axis=1)
        keys: NDArray[np.int64] = ends[:, 0] * len(self.nodes) + ends[:, 1]
        return keys

    @property
    def parallel(self) -> int:
        """How many edges join the same nodes as an earlier one, in its direction if it has one."""
        keys = np.sort(self.keys)
        return int(np.count_nonzero(keys[1:] == keys[:-1]))

    @property
    def isolated(self) -> NDArray[np.bool_]:
        """Which nodes have no edge."""
        alone: NDArray[np.bool_] = np.bincount(self.ends.ravel(), minlength=len(self.nodes)) == 0
        return alone

    def keep_edges(self, kept: NDArray[np.bool_]) -> None:
        """Leave out all other edges."""
        self.ends = self.ends[kept]
        self.weights = None if self.weights is None else self.weights[kept]

    def keep_nodes(self, kept: NDArray[np.bool_]) -> None:
        """Leave out all other nodes, and their edges."""
        self.keep_edges(kept[self.ends[:, 0]] & kept[self.ends[:, 1]])
        self.ends = (np.cumsum(kept) - 1)[self.ends]
        self.nodes = [node for node, it in zip(self.nodes, kept.tolist(), strict=True) if it]

    def merge_reversed(self) -> None:
        """Keep one of u v and v u where the weight is the same: an edge said from both sides."""
        if self.directed or not self.parallel:
            return
        weights = np.nan if self.weights is None else self.weights
        forward = self.ends[:, 0] <= self.ends[:, 1]
        edges = pd.DataFrame({"key": self.keys, "forward": forward, "weight": weights})
        edges["again"] = edges.groupby(["key", "forward"]).cumcount()
        self.keep_edges(~edges.duplicated(["key", "again", "weight"]).to_numpy())

    def graph(self) -> nx.Graph[Any]:
        """Return a networkx graph; a multigraph where there are parallel edges."""
        kinds: Any = (nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph)
        made: nx.Graph[Any] = kinds[self.directed + 2 * bool(self.parallel)]()
        collects = gc.isenabled()
        gc.disable()  # Looking for garbage among millions of new dictionaries doubles the time.
        try:
            made.add_nodes_from(self.nodes)
            if made.is_multigraph():
                made.add_edges_from(self._attributed())
            else:  # At a third of the time that add_edges_from takes.
                inner: Any = made
                tails, heads = inner._adj, inner._pred if self.directed else inner._adj
                for u, v, known in self._attributed():
                    tails[u][v] = heads[v][u] = known
        finally:
            if collects:
                gc.enable()
        for node, place in self.positions.items():
            if node in made:
                made.nodes[node]["pos"] = place
        made.graph.update(self.attributes)
        return made

    def _attributed(self) -> Iterator[tuple[Any, Any, dict[str, float]]]:
        """Yield the edges and their attributes; some at a time become Python's numbers."""
        nodes = self.nodes
        same: dict[float, float] = {}
        for first in range(0, len(self.ends), _AT_A_TIME):
            part = slice(first, first + _AT_A_TIME)
            tails, heads = self.ends[part].T.tolist()
            if self.weights is None:
                yield from ((nodes[u], nodes[v], {}) for u, v in zip(tails, heads, strict=True))
                continue
            for u, v, weight in zip(tails, heads, self.weights[part].tolist(), strict=True):
                known = {} if math.isnan(weight) else {"weight": same.setdefault(weight, weight)}
                yield nodes[u], nodes[v], known


CLEANING: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "directed": ((True, False), "whether edges have a direction"),
    "loops": (("drop",), "edges from a node to itself"),
    "nonpositive": (("drop",), "edges with a weight of 0 or less"),
    "parallel": (("sum", "first", "max"), "edges that join the same two nodes"),
    "isolated": (("drop",), "nodes without any edge"),
    "part": (("largest",), "parts with no edge between them"),
}
"""The options that clean a graph, in the order in which they are carried out.

For each its values, and what it is about.
"""


def clean(table: EdgeTable, options: Mapping[str, Any]) -> None:
    """Clean a graph as options say, and note what was done in ``table.done``.

    Parameters
    ----------
    table : EdgeTable
        The edges, which are changed.
    options : mapping
        Values of ``CLEANING``, each optional: ``directed=False`` ignores the directions,
        ``loops="drop"`` leaves out edges from a node to itself, ``nonpositive="drop"`` those with
        a weight of 0 or less, ``parallel`` makes one edge of parallel ones, with their ``"sum"`` as
        weight, the weight of the ``"first"`` or the ``"max"``, ``isolated="drop"`` leaves out nodes
        without any edge, and ``part="largest"`` all but the largest part.

    Raises
    ------
    UnreadableError
        If edges are to get a direction that the file says they do not have.
    """
    _set_direction(table, options)
    if "loops" in options:
        loops = table.loops
        table.keep_edges(~loops)
        _note(table, int(loops.sum()), "edge from a node to itself", "edges from a node to itself")
    if "nonpositive" in options and table.weights is not None:
        bad: NDArray[np.bool_] = np.less_equal(table.weights, 0)
        table.keep_edges(~bad)
        _note(
            table,
            int(bad.sum()),
            "edge with a weight of 0 or less",
            "edges with a weight of 0 or less",
        )
    if "parallel" in options and table.parallel:
        _merge_parallel(table, options["parallel"])
    if "isolated" in options:
        isolated = table.isolated
        table.keep_nodes(~isolated)
        _note(table, int(isolated.sum()), "node without any edge", "nodes without any edge")
    if "part" in options:
        _keep_largest_part(table)


def _note(table: EdgeTable, dropped: int, one: str, many: str) -> None:
    if dropped:
        table.done.append(f"dropped {plural(dropped, one, many)}")


def _set_direction(table: EdgeTable, options: Mapping[str, Any]) -> None:
    directed = options.get("directed", table.directed)
    if directed and not table.directed:
        raise UnreadableError(
            "it says that its edges have no direction", "Leave out directed=true."
        )
    if directed == table.directed:
        return
    table.directed = False
    if "parallel" not in options:
        table.merge_reversed()
    table.done.append("ignored the directions of the edges")


def _merge_parallel(table: EdgeTable, how: str) -> None:
    _, first, group = np.unique(table.keys, return_index=True, return_inverse=True)
    weights = np.ones(len(table.ends)) if table.weights is None else table.weights.copy()
    weights[np.isnan(weights)] = 1
    merged = len(table.ends) - len(first)
    if table.weights is None and how == "sum":
        table.weight_name = "numbers of edges"
    if how == "sum":
        table.weights = np.bincount(group, weights).astype(np.float64)
    elif how == "max":
        table.weights = np.full(len(first), -np.inf)
        np.maximum.at(table.weights, group, weights)
    else:
        table.weights = None if table.weights is None else table.weights[first]
    table.ends = table.ends[first]
    what = {"sum": "added their weights", "max": "kept the largest weight", "first": "kept one"}
    table.done.append(f"merged {plural(merged, 'parallel edge')} into others ({what[how]})")


def _keep_largest_part(table: EdgeTable) -> None:
    size = len(table.nodes)
    ones = np.ones(len(table.ends), np.uint8)
    joined = sparse.coo_array((ones, (table.ends[:, 0], table.ends[:, 1])), shape=(size, size))
    parts, number_of = csgraph.connected_components(joined, directed=False)
    if parts > 1:
        kept = number_of == np.argmax(np.bincount(number_of))
        table.keep_nodes(kept)
        table.done.append(
            f"kept the largest of {parts:,} parts, {len(table.nodes):,} of {size:,} nodes"
        )
