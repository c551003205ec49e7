"""Figures of a network: bare, or with the names its nodes hold."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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

_MOST_IDS = 100

_MANY_EDGES = 3_000


def plot_network(
    graph: nx.Graph[Any],
    names: Mapping[Hashable, str | None],
    pool: Sequence[str],
    committed: Mapping[Hashable, str] | None = None,
) -> Figure:
    """Draw the network, each node colored and labelled by the name it holds.

    Nodes without a name are grey. The layout depends only on the graph; see ``layout``. Labels are
    omitted above 400 nodes.

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
    add_legend(
        axes,
        _network_entries(graph, names, pool, committed),
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
    axes.margins(0.08)
    return figure


def plot_graph(graph: nx.Graph[Any]) -> Figure:
    """Draw the bare network in the layout of ``plot_network``.

    Parameters
    ----------
    graph : networkx.Graph
        The network; up to 100 nodes are labelled with their ids.

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
    if len(graph) <= _MOST_IDS:
        for node in graph:
            _write(axes, places[node], str(node), "black", math.sqrt(size))
    axes.margins(0.08)
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
    axes.add_collection(
        LineCollection(
            [(places[u], places[v]) for u, v in graph.edges],
            colors=INK,
            alpha=float(np.clip(30 / math.sqrt(many + 1) / 5, 0.06, 0.45)),
            linewidths=1.1 if many < 500 else 0.6,
            rasterized=many > _MANY_EDGES,
            zorder=1,
        )
    )


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
    text = text if len(text) <= 8 else text[:7] + "…"
    size = diameter * min(0.55, 1.25 / max(1, len(text)))
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
    return entries


def _dot(color: str, marker: str = "o", edge: str = "white") -> Line2D:
    return Line2D(
        [], [], linestyle="", marker=marker, color=color, markeredgecolor=edge, markersize=11
    )
