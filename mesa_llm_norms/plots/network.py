"""Figures of a network: bare, or with the names its nodes hold."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Affine2D
from numpy.typing import NDArray

from mesa_llm_norms.networks.drawing import (
    GREY,
    INK,
    OKABE_ITO,
    Positions,
    ink_on,
    layout,
    name_colors,
    node_size,
)
from mesa_llm_norms.plots.style import add_legend, plain, shorten

MOST_NODES = 2_000
"""Networks larger than this are not drawn."""

_MOST_NAMES = 400

_MANY_EDGES = 3_000

_WIDTHS = (0.5, 4.0)
"""In points, of edges of weight 0 and of the largest weight; between them by the square root."""

_LABEL_SIZE = 7.0
"""In points, of labels beside nodes; those inside are at least ``_SMALLEST``."""

_SMALLEST = 5.0

_LONGEST = 18
"""Characters of a label beside a node, at most."""


def plot_network(
    graph: nx.Graph[Any],
    names: Mapping[Hashable, str | None],
    pool: Sequence[str],
    committed: Mapping[Hashable, str] | None = None,
) -> Figure:
    """Draw the network, each node colored and labelled by the name it holds.

    Nodes without a name are grey. The layout depends only on the graph; see ``layout``. Edges have
    an arrowhead where they have a direction, and widths where they have weights. Nodes whose ids
    are text have them beside, where there is room. Above 400 nodes nothing is labelled.

    Parameters
    ----------
    graph : networkx.Graph
        The network.
    names : mapping of node to str or None
        The name of each node, as in ``NamingGame.names_held``.
    pool : sequence of str
        The names, whose order gives their colors.
    committed : mapping of node to str, optional
        Nodes that are committed, drawn as squares.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    committed = committed or {}
    figure = Figure(figsize=(8.2, 7), layout="constrained")
    axes, places = _draw_network(figure, graph)
    size = node_size(places)
    colors = name_colors(pool)
    for square in (False, True):
        nodes = [node for node in graph if (node in committed) is square]
        if nodes:
            x, y = np.array([places[node] for node in nodes]).T
            axes.scatter(
                x,
                y,
                s=size * (1.25 if square else 1),
                c=[colors.get(names.get(node) or "", GREY) for node in nodes],
                marker="s" if square else "o",
                edgecolors=INK if square else "white",
                linewidths=max(0.4, math.sqrt(size) / (14 if square else 25)),
                zorder=2,
            )
    if len(graph) <= _MOST_NAMES:
        for node in graph:
            _label_node(axes, places[node], names.get(node), colors, math.sqrt(size))
    axes.margins(0.08)
    add_legend(
        axes,
        _network_entries(graph, names, pool, committed),
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
    if len(graph) <= _MOST_NAMES and any(isinstance(node, str) for node in graph):
        _label_beside(figure, axes, places, graph, {node: str(node) for node in graph})
    return figure


def plot_graph(graph: nx.Graph[Any]) -> Figure:
    """Draw the bare network in the layout of ``plot_network``.

    Parameters
    ----------
    graph : networkx.Graph
        The network; up to 400 nodes are labelled with their ids, inside or beside them, where there
        is room.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes, places = _draw_network(figure, graph)
    size = node_size(places)
    x, y = np.array([places[node] for node in graph]).T
    axes.scatter(x, y, s=size, c=OKABE_ITO[4], edgecolors="white", zorder=2)
    axes.margins(0.08)
    weights = _weights(graph)
    if weights is not None:
        add_legend(axes, _weight_entries(weights), loc="center left", bbox_to_anchor=(1.0, 0.5))
    labels = {node: str(node) for node in graph} if len(graph) <= _MOST_NAMES else {}
    beside = {
        node: label
        for node, label in labels.items()
        if _size_inside(label, math.sqrt(size)) < _SMALLEST
    }
    for node, label in labels.items():
        if node not in beside:
            _write(axes, places[node], label, "black", math.sqrt(size))
    _label_beside(figure, axes, places, graph, beside)
    return figure


def _draw_network(figure: Figure, graph: nx.Graph[Any]) -> tuple[Axes, Positions]:
    """Draw the edges, and return where the nodes belong."""
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    places = layout(graph)
    _draw_edges(axes, graph, places)
    return axes, places


def _draw_edges(axes: Axes, graph: nx.Graph[Any], places: Positions) -> None:
    many = graph.number_of_edges()
    ends = np.array([(places[u], places[v]) for u, v in graph.edges]).reshape(-1, 2, 2)
    weights = _weights(graph)
    plain = 1.1 if many < 500 else 0.6
    widths = np.full(many, plain) if weights is None else _widths(weights) * plain / 1.1
    alpha = float(np.clip(30 / math.sqrt(many + 1) / 5, 0.06, 0.45))
    how: dict[str, Any] = {"rasterized": many > _MANY_EDGES, "zorder": 1}
    axes.add_collection(
        LineCollection(list(ends), colors=INK, alpha=alpha, linewidths=widths, **how)
    )
    if graph.is_directed() and many:
        heads = _heads(ends, widths, math.sqrt(node_size(places)))
        shown: Any = axes.figure
        points = Affine2D().scale(1 / 72) + shown.dpi_scale_trans
        arrows = PolyCollection(
            list(heads),
            offsets=ends[:, 1],
            offset_transform=axes.transData,
            facecolors=INK,
            linewidths=0,
            alpha=min(1.0, 2 * alpha),
            **how,
        )
        arrows.set_transform(points)
        axes.add_collection(arrows, autolim=False)


def _weights(graph: nx.Graph[Any]) -> NDArray[np.float64] | None:
    """Return the weights of the edges, None where all are the same or some are no numbers."""
    try:
        found = np.array([float(weight) for *_, weight in graph.edges(data="weight", default=1)])
    except (TypeError, ValueError):
        return None
    differ = len(found) > 0 and np.isfinite(found).all() and found.min() < found.max()
    return found if differ and found.min() >= 0 else None


def _widths(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the widths of edges in points."""
    thin, thick = _WIDTHS
    widths: NDArray[np.float64] = thin + (thick - thin) * np.sqrt(weights / weights.max())
    return widths


def _heads(
    ends: NDArray[np.float64], widths: NDArray[np.float64], diameter: float
) -> NDArray[np.float64]:
    """Return the corners of arrowheads in points from the nodes whose borders they touch."""
    along = ends[:, 1] - ends[:, 0]
    along /= np.maximum(np.hypot(*along.T), 1e-12)[:, None]
    across = along[:, ::-1] * (-1, 1)
    length = (np.clip(0.45 * diameter, 3, 8) + widths)[:, None]
    tip = -along * (0.5 * diameter)
    back, side = tip - along * length, across * length * 0.42
    return np.stack([tip, back + side, back - side], axis=1)


def _label_beside(
    figure: Figure,
    axes: Axes,
    places: Positions,
    graph: nx.Graph[Any],
    labels: Mapping[Hashable, str],
) -> None:
    """Write labels next to nodes, those with most neighbors first, where they cover nothing."""
    if not labels:
        return
    with warnings.catch_warnings():  # whether fonts have all letters is said once, in the end
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.draw_without_rendering()  # only now is it known where nodes are in points
    nodes = list(graph)
    scale, radius = 72 / figure.dpi, math.sqrt(node_size(places)) / 2
    at = axes.transData.transform([places[node] for node in nodes]) * scale
    taken = np.hstack([at - radius, at + radius])
    frame = np.array(axes.get_window_extent().extents) * scale
    gap = radius + 1.5
    order = sorted(range(len(nodes)), key=lambda place: -len(graph[nodes[place]]))
    for place in order:
        label = shorten(labels.get(nodes[place], ""), _LONGEST)
        if not label:
            continue
        width = _LABEL_SIZE * sum(1.0 if ord(letter) > 0x2E7F else 0.62 for letter in label)
        height, (x, y) = 1.25 * _LABEL_SIZE, at[place]
        for dx, dy, ha, va in (
            (gap, 0, "left", "center"),
            (-gap, 0, "right", "center"),
            (0, gap, "center", "bottom"),
            (0, -gap, "center", "top"),
        ):
            left = x + dx - {"left": 0, "right": width, "center": width / 2}[ha]
            bottom = y + dy - {"bottom": 0, "top": height, "center": height / 2}[va]
            box = np.array([left, bottom, left + width, bottom + height])
            overlaps = ((taken[:, :2] < box[2:]) & (taken[:, 2:] > box[:2])).all(axis=1)
            if overlaps.any() or (box[:2] < frame[:2]).any() or (box[2:] > frame[2:]).any():
                continue
            taken = np.vstack([taken, box])
            how: dict[str, Any] = {"ha": ha, "va": va, "fontsize": _LABEL_SIZE, "color": INK}
            how["path_effects"] = [withStroke(linewidth=1.5, foreground="white")]
            axes.annotate(
                plain(label),
                places[nodes[place]],
                (dx, dy),
                textcoords="offset points",
                zorder=4,
                **how,
            ).set_in_layout(False)
            break


def _label_node(
    axes: Axes,
    place: tuple[float, float],
    name: str | None,
    colors: Mapping[str, str],
    diameter: float,
) -> None:
    if name is not None:
        color = colors.get(name, GREY)
        _write(axes, place, name, ink_on(color), diameter)


def _write(axes: Axes, place: tuple[float, float], text: str, color: str, diameter: float) -> None:
    """Write a text inside a node, smaller the longer it is, and cut short where it is too long."""
    size = _size_inside(text, diameter)
    text = shorten(text, 8)
    axes.annotate(
        plain(text),
        place,
        ha="center",
        va="center_baseline",
        color=color,
        fontsize=size,
        fontweight="bold",
        zorder=3,
    )


def _size_inside(text: str, diameter: float) -> float:
    """Return the size in points at which a text, cut short, fits into a node."""
    return diameter * min(0.55, 1.25 / max(1, len(shorten(text, 8))))


def _weight_entries(weights: NDArray[np.float64]) -> list[tuple[Any, str]]:
    two = np.array([weights.min(), weights.max()])
    return [
        (Line2D([], [], color=INK, alpha=0.45, linewidth=width), f"weight {weight:,g}")
        for width, weight in zip(_widths(np.array(two)), two.tolist(), strict=True)
    ]


def _network_entries(
    graph: nx.Graph[Any],
    names: Mapping[Hashable, str | None],
    pool: Sequence[str],
    committed: Mapping[Hashable, str],
) -> list[tuple[Any, str]]:
    held = [names.get(node) for node in graph]
    counts = {name: held.count(name) for name in pool if name in held}
    colors = name_colors(pool)
    order = sorted(counts, key=lambda name: -counts[name])
    entries: list[tuple[Any, str]] = [
        (_dot(colors[name]), f"{shorten(name)}  {counts[name]}") for name in order[:14]
    ]
    if len(order) > 14:
        entries.append((_dot("white"), f"and {len(order) - 14} more names"))
    if None in held:
        entries.append((_dot(GREY), f"not played yet  {held.count(None)}"))
    if committed:
        entries.append((_dot("white", "s", INK), f"committed  {len(committed)}"))
    weights = _weights(graph)
    return entries if weights is None else [*entries, *_weight_entries(weights)]


def _dot(color: str, marker: str = "o", edge: str = "white") -> Line2D:
    return Line2D(
        [], [], linestyle="", marker=marker, color=color, markeredgecolor=edge, markersize=11
    )
