"""Where the nodes of a network are drawn, and how large."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

Positions = Mapping[Hashable, tuple[float, float]]
"""For each node, where it is drawn: x to the right, y upwards, on any scale."""

_MOST_EXACT = 100
_LARGEST_CIRCLE = 60


def layout(graph: nx.Graph[Any]) -> Positions:
    """Return where each node is drawn; the same graph gives the same places.

    Places come from the node attribute ``pos`` (two numbers) if all nodes have one. Rings, and
    small worlds and complete graphs of up to 60 nodes, told by their edges joining near nodes in
    order, go on a circle from the top clockwise; other small graphs get the layout of Kamada and
    Kawai, the rest springs.
    """
    given = {node: _position(pos) for node, pos in graph.nodes(data="pos")}
    if all(given.values()):
        return {node: pos for node, pos in given.items() if pos}
    if _is_round(graph):
        angles = [math.tau * place / len(graph) for place in range(len(graph))]
        return {
            node: (math.sin(angle), math.cos(angle))
            for node, angle in zip(graph, angles, strict=True)
        }
    plain: nx.Graph[Any] = nx.Graph()
    plain.add_nodes_from(graph)
    plain.add_edges_from(graph.edges)
    if len(plain) <= _MOST_EXACT and nx.is_connected(plain):
        found = nx.kamada_kawai_layout(plain)
    else:
        found = nx.spring_layout(plain, seed=1, k=1.6 / math.sqrt(len(plain)), iterations=120)
    return {node: (float(x), float(y)) for node, (x, y) in found.items()}


def node_size(places: Positions) -> float:
    """Return the size of nodes (points squared) so that near ones hardly touch."""
    points: NDArray[np.float64] = np.array(list(places.values()))
    span = max(float(np.ptp(points, axis=0).max()), 1e-9)
    sample = points[:: max(1, len(points) // 400)]
    apart = np.hypot(*(sample[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
    apart[apart <= 1e-9 * span] = np.inf
    nearest = float(np.quantile(apart.min(axis=1), 0.25)) / span
    diameter = 0.85 * 430 * nearest if math.isfinite(nearest) else 30
    return float(np.clip(diameter, 5, 34)) ** 2


def _is_round(graph: nx.Graph[Any]) -> bool:
    """Whether three quarters of the edges join nodes that are near in the order of the nodes.

    Of larger graphs only rings proper, which springs would tie into knots.
    """
    n, edges = len(graph), graph.number_of_edges()
    if not edges or n > (300 if edges <= 2 * n else _LARGEST_CIRCLE):
        return False
    reach = max(1, round(edges / n))
    place = {node: number for number, node in enumerate(graph)}
    near = sum(
        min((place[u] - place[v]) % n, (place[v] - place[u]) % n) <= reach for u, v in graph.edges
    )
    return near >= (0.75 if n <= _LARGEST_CIRCLE else 1) * edges


def _position(pos: Any) -> tuple[float, float] | None:
    try:
        x, y = (float(value) for value in pos)
    except (TypeError, ValueError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None
