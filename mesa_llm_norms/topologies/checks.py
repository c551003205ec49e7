"""Whether the game can be played on a graph, and what to do when it cannot."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable
from numbers import Real
from typing import Any

import networkx as nx

from mesa_llm_norms.errors import GraphError, GraphWarning, some

_PARTS_NAMED = 3


def check_graph(graph: nx.Graph[Any]) -> None:
    """Raise ``GraphError`` for a graph on which the game cannot be played, and name the nodes.

    Refused: fewer than two nodes, multigraphs, self-loops, nodes without any edge, and edge weights
    (attribute ``weight``, 1 where absent) that are not positive finite numbers. In a directed graph
    the edge u -> v lets u, drawn first, meet v; a node with only in-edges is met and never drawn
    first, which is fine. Node ids may be anything hashable.

    Warns ``GraphWarning`` when the graph falls into parts with no edge between them (directions
    ignored, for both sides of an interaction learn from it).
    """
    if not isinstance(graph, nx.Graph):
        raise GraphError(
            f"a {type(graph).__name__} is not a networkx graph",
            "Give nx.Graph(...), nx.DiGraph(...) or what read_graph makes of a string.",
        )
    _check_size(graph)
    _check_multigraph(graph)
    _check_self_loops(graph)
    _check_isolated(graph)
    _check_weights(graph)
    _warn_parts(graph)


def check_edges(graph: nx.Graph[Any]) -> None:
    """Raise ``GraphError`` for self-loops and for weights that are not positive finite numbers."""
    _check_self_loops(graph)
    _check_weights(graph)


def parts(graph: nx.Graph[Any]) -> list[list[Hashable]]:
    """Return the nodes of each connected part, largest part first, nodes in the graph's order."""
    components = (
        nx.weakly_connected_components(graph)
        if isinstance(graph, nx.DiGraph)
        else nx.connected_components(graph)
    )
    part_of = {node: part for part, nodes in enumerate(components) for node in nodes}
    members: dict[int, list[Hashable]] = {}
    for node in graph:
        members.setdefault(part_of[node], []).append(node)
    return sorted(members.values(), key=len, reverse=True)


def _check_size(graph: nx.Graph[Any]) -> None:
    if len(graph) < 2:
        count = "one node" if len(graph) else "no nodes"
        raise GraphError(
            f"a graph with {count} has no pair to play",
            "Give at least two nodes and an edge, such as nx.complete_graph(24).",
            graph,
        )


def _check_multigraph(graph: nx.Graph[Any]) -> None:
    if not graph.is_multigraph():
        return
    simple = "nx.DiGraph(multigraph)" if graph.is_directed() else "nx.Graph(multigraph)"
    parallel = [
        (node, neighbour)
        for node, neighbours in graph.adj.items()
        for neighbour, keys in neighbours.items()
        if len(keys) > 1
    ]
    nodes = list(dict.fromkeys(node for pair in parallel for node in pair))
    between = f", with parallel edges between {some(nodes)}" if nodes else ""
    raise GraphError(
        f"a multigraph{between}",
        f'Keep one edge of each pair with {simple}; to count them, add them up as its "weight".',
        nodes,
    )


def _check_self_loops(graph: nx.Graph[Any]) -> None:
    nodes = list(nx.nodes_with_selfloops(graph))
    if nodes:
        raise GraphError(
            f"an edge from a node to itself, where nobody can play alone: {some(nodes)}",
            "Remove such edges with graph.remove_edges_from(list(nx.selfloop_edges(graph))).",
            nodes,
        )


def _check_isolated(graph: nx.Graph[Any]) -> None:
    nodes = [node for node, degree in graph.degree if degree == 0]
    if nodes:
        raise GraphError(
            f"nodes without any edge never meet anyone: {some(nodes)}",
            "Remove them with graph.remove_nodes_from(list(nx.isolates(graph))), or add edges.",
            nodes,
        )


def _check_weights(graph: nx.Graph[Any]) -> None:
    total = 0.0
    bad: list[tuple[Hashable, Hashable, Any]] = []
    for node, neighbour, weight in graph.edges(data="weight", default=1):
        number = _number(weight)
        total += number
        if not 0 < number < math.inf:
            bad.append((node, neighbour, weight))
    if bad:
        named = some([f"{node!r} to {neighbour!r}: {weight!r}" for node, neighbour, weight in bad])
        raise GraphError(
            f"edge weights that are not positive finite numbers ({named})",
            'Set them, or make all edges equal with nx.set_edge_attributes(graph, 1, "weight").',
            dict.fromkeys(node for edge in bad for node in edge[:2]),
        )
    if total == math.inf:
        raise GraphError(
            "edge weights too large to add up",
            "Divide them all by the largest; only their proportions count.",
        )


def _number(weight: object) -> float:
    """Return ``weight`` as a float; infinity, which is refused, for what is no number."""
    if isinstance(weight, bool) or not isinstance(weight, Real):
        return math.inf
    try:
        return float(weight)
    except OverflowError:
        return math.inf


def _warn_parts(graph: nx.Graph[Any]) -> None:
    separate = parts(graph)
    if len(separate) == 1:
        return
    named = "; ".join(
        f"{len(nodes)} nodes, such as {some(nodes[:2])}" for nodes in separate[:_PARTS_NAMED]
    )
    more = f"; and {len(separate) - _PARTS_NAMED} more" if len(separate) > _PARTS_NAMED else ""
    components = "weakly_connected_components" if graph.is_directed() else "connected_components"
    warnings.warn(
        f"graph: {len(separate)} parts with no edge between them ({named}{more}). No convention "
        "can pass from one part to another, so consensus across parts cannot happen other than "
        f"by chance. Join them with graph.add_edge({separate[0][0]!r}, {separate[1][0]!r}), or "
        f"play on the largest with graph.subgraph(max(nx.{components}(graph), key=len)).copy().",
        GraphWarning,
        stacklevel=3,
    )
