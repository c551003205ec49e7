"""Where the nodes of a network are drawn, how large, and in which color each name is shown.

A name has the same color in every figure and on the page, which depends on its place in the pool
alone. The first eight colors are those of Okabe and Ito (Color Universal Design, 2008), which
people with any color vision can tell apart. A larger pool continues with lighter and darker shades
of them, and letters, dashes or patterns tell these from the first eight.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.formatting import json_text

Positions: TypeAlias = Mapping[Hashable, tuple[float, float]]
"""For each node, where it is drawn: x to the right, y upwards, on any scale."""

OKABE_ITO = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#009E73",  # green
    "#D55E00",  # vermillion
    "#56B4E9",  # sky
    "#CC79A7",  # purple
    "#F0E442",  # yellow
    "#000000",  # black
)

GREY = "#B8B8B8"
"""The color of agents that have not played yet."""

INK = "#222222"

SPAN = 1_000
"""The longer side of a drawing, in its own units."""

NODE_SIZES = 12, 80
"""The smallest and the largest diameter of a node, in units of the drawing."""

WIDTHS = 5
"""Number of widths that edges of different weights are drawn in."""

CROWDED = 5_000
"""Edges that join nearly everybody are not drawn where there are more."""

_SHADES = (
    *("#4C4C4C", "#6A2F00", "#002E47", "#8F5575", "#BBE1F6", "#EEBF99", "#00507D", "#401C00"),
    *("#006F50", "#954200", "#3D2432", "#4C9CC9", "#99C7E0", "#003F2E", "#4CBB9D", "#346C8C"),
    *("#F0D7E5", "#7A4964", "#DBA1C1", "#005F45", "#F5D999", "#22485D", "#523043", "#552600"),
)
"""Each is, among the shades of the first eight, the one farthest (CIEDE2000) from all before it.

Distances are those seen with the eye that sees the least difference: without a defect, or without
one of its three kinds of cones (Machado et al., IEEE TVCG 2009). The first ten colors are at least
10.9 apart, the first 26 at least 5.1.
"""

_COLORS = (*OKABE_ITO, *_SHADES)
_MOST_EXACT = 100
_LARGEST_CIRCLE = 60


def layout(graph: nx.Graph[Any]) -> Positions:
    """Return where each node is drawn; the same graph gives the same places.

    Rings, and small worlds and complete graphs of up to 60 nodes (recognized by edges that join
    nodes near in order), are drawn as a circle, from the top clockwise. Other graphs of up to 100
    nodes get the layout of Kamada and Kawai, larger ones springs.

    Parameters
    ----------
    graph : networkx.Graph
        The graph. If all nodes have an attribute ``pos`` (two numbers), that is where they are.

    Returns
    -------
    dict
        Node to (x, y), on any scale.

    References
    ----------
    T. Kamada, S. Kawai, Information Processing Letters 31, 7 (1989); T. Fruchterman, E. Reingold,
    Software: Practice and Experience 21, 1129 (1991).
    """
    given = {node: read_position(pos) for node, pos in graph.nodes(data="pos")}
    if all(given.values()):
        return {node: pos for node, pos in given.items() if pos}
    if _is_round(graph):
        turn = math.tau / len(graph)
        return {
            node: (math.sin(turn * place), math.cos(turn * place))
            for place, node in enumerate(graph)
        }
    plain: nx.Graph[Any] = nx.Graph()
    plain.add_nodes_from(graph)
    plain.add_edges_from(graph.edges)
    if len(plain) <= _MOST_EXACT and nx.is_connected(plain):
        found = nx.kamada_kawai_layout(plain)
    else:
        found = _springs(plain)
    return {node: (float(x), float(y)) for node, (x, y) in found.items()}


def layout_further(graph: nx.Graph[Any], places: Positions) -> Positions:
    """Return where each node is drawn once there are more: those that are placed stay there.

    A new node is placed outside the drawing, in the direction of its neighbors, where it touches
    no other.

    Parameters
    ----------
    graph : networkx.Graph
        The graph as it is now.
    places : Positions
        Where nodes were drawn before; those no longer in the graph are dropped.

    Returns
    -------
    dict
        Node to (x, y), on the scale of ``places``.
    """
    found = {node: places[node] for node in graph if node in places}
    if len(found) == len(graph):
        return found
    if not found:
        return layout(graph)
    middle = np.mean(list(found.values()), axis=0)
    radius = max(math.dist(middle, place) for place in found.values()) or 1.0
    undirected = graph.to_undirected(as_view=True)
    for number, node in enumerate([node for node in graph if node not in found]):
        near = [found[other] for other in undirected[node] if other in found]
        x, y = np.mean(near, axis=0) - middle if near else (0.0, 0.0)
        # Where neighbors surround the middle they have no direction; the golden angle is as good.
        towards = math.atan2(y, x) if math.hypot(x, y) > 1e-6 * radius else 2.4 * number
        found[node] = next(
            place
            for place in _outside(middle, radius, towards)
            if all(math.dist(place, other) > 0.12 * radius for other in found.values())
        )
    return {node: found[node] for node in graph}


def node_size(places: Positions) -> float:
    """Return the size of nodes (in points squared) at which near ones hardly touch."""
    near = nearest(places)
    diameter = 0.85 * 430 * float(np.quantile(near, 0.25)) if len(near) else 30
    return float(np.clip(diameter, 5, 34)) ** 2


def nearest(places: Positions) -> NDArray[np.float64]:
    """Return how far nodes (a sample, if many) are from the nearest other, as a share of the width.

    The width is the longer side of the drawing. Nodes that lie upon all others are left out.
    """
    points: NDArray[np.float64] = np.array(list(places.values()))
    span = max(float(np.ptp(points, axis=0).max()), 1e-9)
    sample = points[:: max(1, len(points) // 400)]
    apart = np.hypot(*(sample[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
    apart[apart <= 1e-9 * span] = np.inf
    found: NDArray[np.float64] = apart.min(axis=1) / span
    return found[np.isfinite(found)]


def name_colors(pool: Sequence[str]) -> dict[str, str]:
    """Return the color of each name, by its place in the pool.

    Parameters
    ----------
    pool : sequence of str
        The names. After 32 of them, colors repeat.

    Returns
    -------
    dict
        Name to color, such as "#0072b2".
    """
    return {name: _COLORS[place % len(_COLORS)].lower() for place, name in enumerate(pool)}


def shade_step(place: int) -> int:
    """Return which eight of the 32 colors the color of a place in the pool is in: 0 to 3."""
    return place % len(_COLORS) // len(OKABE_ITO)


def ink_on(color: str) -> str:
    """Return black or white, whichever contrasts more with a color, by the measure of WCAG 2.2.

    The contrast is 4.5 or more with any color.
    """
    channels = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in channels
    )
    luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def _outside(
    middle: NDArray[np.float64], radius: float, towards: float
) -> Iterator[tuple[float, float]]:
    """Yield places around a drawing, those in one direction first, ring by ring, without end."""
    for ring in itertools.count(1):
        far = (1 + 0.15 * ring) * radius
        for turn in range(41):
            angle = towards + (turn + 1) // 2 * (-1) ** turn * 0.15
            yield middle[0] + far * math.cos(angle), middle[1] + far * math.sin(angle)


def _springs(graph: nx.Graph[Any], iterations: int = 100) -> dict[Hashable, NDArray[np.float64]]:
    """Return places by force-directed placement, as networkx does it.

    The implementation of networkx takes ten times as long from 500 nodes on.
    """
    n = len(graph)
    apart = 1.6 / math.sqrt(n)
    edges = nx.to_numpy_array(graph).astype(np.float32)
    at = np.random.default_rng(1).random((n, 2), dtype=np.float32)
    for step in np.linspace(0.1, 0.0, iterations, endpoint=False, dtype=np.float32):
        x, y = (at[:, None, axis] - at[None, :, axis] for axis in (0, 1))
        distance = np.maximum(np.sqrt(x * x + y * y), 0.01)
        force = apart * apart / (distance * distance) - edges * distance / apart
        moved = np.stack([(x * force).sum(1), (y * force).sum(1)], axis=1)
        length = np.maximum(np.hypot(*moved.T), 0.01)[:, None]
        at += moved / length * step
    return dict(zip(graph, at.astype(float), strict=True))


def _is_round(graph: nx.Graph[Any]) -> bool:
    """Return whether nodes are joined to those near in their order, all along it.

    This holds for a ring proper and, up to 60 nodes, for one in which four in ten of the edges of
    any length may lead elsewhere. Larger small worlds look better with springs, which tie large
    rings into knots.
    """
    n, edges = len(graph), graph.number_of_edges()
    if not edges or n > (300 if edges <= 2 * n else _LARGEST_CIRCLE):
        return False
    reach = max(1, round(edges / n))
    place = {node: number for number, node in enumerate(graph)}
    lengths = Counter(
        min((place[u] - place[v]) % n, (place[v] - place[u]) % n) for u, v in graph.edges
    )
    enough = 0.6 if n <= _LARGEST_CIRCLE else 1
    return all(
        lengths[length] >= enough * (n / 2 if 2 * length == n else n)
        for length in range(1, min(reach, n // 2) + 1)
    )


def read_position(pos: Any) -> tuple[float, float] | None:
    """Return a node's ``pos`` attribute as two finite numbers, or None if it is not that."""
    try:
        x, y = (float(value) for value in pos)
    except (TypeError, ValueError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None


def drawing_text(
    graph: nx.Graph[Any], pool: Sequence[str], positions: Positions | None = None
) -> str:
    """Encode a network, without the names its nodes hold, for ``NetworkView``.

    Nodes are referred to by their index in ``graph``, and drawn at ``positions``, by default those
    of its layout. The y axis points up there and down in the drawing. ``widths`` has a width from 1
    to ``WIDTHS`` for each edge, and is empty where weights do not differ. Where edges are many and
    join nearly everybody, they are left out: ``unseen`` is their number.
    """
    places = layout(graph) if positions is None else positions
    columns, rows = zip(*(places[node] for node in graph), strict=True)
    span = max(max(columns) - min(columns), max(rows) - min(rows), 1e-9)
    index = {node: i for i, node in enumerate(graph)}
    colors = [name_colors(pool)[name] for name in pool]
    near = nearest(places)
    # Most nodes do not touch their nearest neighbor.
    size = 0.85 * SPAN * float(np.median(near)) if len(near) else max(NODE_SIZES)
    crowded = graph.number_of_edges() > CROWDED and nx.density(graph) > 0.9
    drawn = [] if crowded else list(graph.edges(data="weight", default=1))
    return json_text(
        {
            "x": _centered(columns, span),
            "y": [SPAN - y for y in _centered(rows, span)],
            "edges": [[index[u], index[v]] for u, v, _ in drawn],
            "unseen": graph.number_of_edges() if crowded else 0,
            "widths": _widths([weight for *_, weight in drawn]),
            "directed": graph.is_directed(),
            "ids": [str(node) for node in graph],
            "names": list(pool),
            "colors": colors,
            "inks": [ink_on(color) for color in colors],
            "size": round(float(np.clip(size, *NODE_SIZES)), 1),
            "degrees": [degree for _, degree in graph.degree],
        },
        separators=(",", ":"),
        ensure_ascii=True,
    )


def _widths(weights: Sequence[float]) -> list[int]:
    """Return widths whose areas grow with the weights; none where all are the same."""
    heaviest = max(weights, default=0)
    if heaviest <= 0 or min(weights) == heaviest:
        return []
    return [max(1, math.ceil(WIDTHS * math.sqrt(max(0, it) / heaviest))) for it in weights]


def _centered(values: Sequence[float], span: float) -> list[int]:
    """Scale coordinates to the drawing and center them in it."""
    middle = (min(values) + max(values)) / 2
    return [round(SPAN / 2 + (value - middle) / span * SPAN) for value in values]
