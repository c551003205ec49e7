"""Whether the game can be played on a graph, and what to do when it cannot."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable
from numbers import Real
from typing import Any

import networkx as nx
import numpy as np

from mesa_llm_norms.errors import GraphError, GraphWarning, some
from mesa_llm_norms.networks.adjacency import (
    Adjacency,
    Graph,
    component_numbers,
    is_sparse,
    read_adjacency,
)

_COMPONENTS_NAMED = 3


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
    _warn_components(checked)


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
        f'Keep one edge of each pair with {simple}; to count them, add them up as its "weight".',
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
            f"Remove such edges with {remedy}.",
            nodes,
        )


def _check_isolated(graph: Graph) -> None:
    if isinstance(graph, nx.Graph):
        nodes = [node for node, degree in graph.degree if degree == 0]
        remedy = "Remove them with graph.remove_nodes_from(list(nx.isolates(graph)))"
    else:
        alone = np.diff(graph.indptr) == 0
        alone[graph.indices] = False
        nodes = np.flatnonzero(alone).tolist()
        remedy = (
            "Keep the others with graph[kept][:, kept], where kept = "
            "numpy.flatnonzero(graph.sum(axis=0) + graph.sum(axis=1))"
        )
    if nodes:
        raise GraphError(
            f"nodes without any edge never meet anyone: {some(nodes)}",
            f"{remedy}, or add edges.",
            nodes,
        )


def _check_weights(graph: Graph) -> None:
    if isinstance(graph, nx.Graph):
        total, bad = 0.0, []
        for node, neighbor, weight in graph.edges(data="weight", default=1):
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
        raise GraphError(
            f"edge weights that are not positive finite numbers ({named})",
            f"Set them, or make all edges equal with {remedy}.",
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


def _warn_components(graph: Graph) -> None:
    separate = components(graph)
    if len(separate) == 1:
        return
    named = "; ".join(
        f"{len(nodes)} nodes, such as {some(nodes[:2])}" for nodes in separate[:_COMPONENTS_NAMED]
    )
    others = len(separate) - _COMPONENTS_NAMED
    more = f"; and {others} more" if others > 0 else ""
    if isinstance(graph, nx.Graph):
        kind = "weakly_connected_components" if graph.is_directed() else "connected_components"
        join = f"graph.add_edge({separate[0][0]!r}, {separate[1][0]!r})"
        largest = f"graph.subgraph(max(nx.{kind}(graph), key=len)).copy()"
    else:
        join = f"an edge between {separate[0][0]} and {separate[1][0]}"
        largest = "graph[part][:, part], where part = components(graph)[0]"
    warnings.warn(
        f"graph: {len(separate)} components with no edge between them ({named}{more}). No "
        "convention can pass from one to another, so consensus across them cannot happen except "
        f"by chance. Join them with {join}, or play on the largest with {largest}.",
        GraphWarning,
        stacklevel=3,
    )
