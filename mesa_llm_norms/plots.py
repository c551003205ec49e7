"""Figures of a run, of an ensemble, and of a network, drawn without pyplot or a screen.

Colours are those of Okabe and Ito, which people with any colour vision tell apart; a pool of more
than eight names goes on with lighter shades, and lines with dashes. A name's colour depends on its
place in the pool alone, so that it is the same in every figure of a run.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import networkx as nx
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from mesa_llm_norms.metrics import Round

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
INK = "#222222"
LEADING = 8
"""How many names are told apart in a figure over time."""
MOST_NODES = 2_000
"""Networks larger than this are not drawn."""

_SHADES = (0.0, 0.5, 0.28, 0.68)
_DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
_HATCHES = ("", "///", "...", "xxx")
_LABELLED = 400
_MANY_EDGES = 3_000
_SMALL = 100
_LARGEST_CIRCLE = 60

Positions = Mapping[Hashable, tuple[float, float]]


def name_colours(pool: Sequence[str]) -> dict[str, str]:
    """Return the colour of each name of ``pool``, by its place; after 32 names they come again."""
    return {name: _shade(place) for place, name in enumerate(pool)}


def plot_rounds(rounds: Sequence[Round], pool: Sequence[str]) -> Figure:
    """Return the success rate (top) and the share of each leading name (below) by round of a run.

    The eight names that were ever played most are told apart, the others are grey.
    """
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    x = np.array([one.number + 1 for one in rounds])
    marker = "o" if len(x) <= 40 else ""
    success = [one.success_rate for one in rounds]
    upper.plot(x, success, color=INK, linewidth=2, marker=marker, markersize=4, clip_on=False)
    shares = {name: np.array([one.shares[name] for one in rounds]) for name in pool}
    leading, others = _leading(shares)
    for name in others:
        lower.plot(x, shares[name], color=GREY, linewidth=1)
    lines = {}
    for name in reversed(leading):
        (lines[name],) = lower.plot(
            x, shares[name], **_line(pool, name), marker=marker, markersize=4, clip_on=False
        )
    _label_ends(lower, {name: shares[name] for name in leading}, x)
    _legend(
        lower,
        [*((lines[name], name) for name in leading), *_other(others)],
        title="name",
        loc="upper left",
        bbox_to_anchor=(1.05, 1.02),
    )
    _share_axis(upper, "success rate")
    _share_axis(lower, "share of names played")
    lower.set_xlabel("population round")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(x):
        lower.set_xlim(x[0] - 0.2, max(x[-1], x[0] + 1))
    return figure


def plot_ensemble(runs: pd.DataFrame, rounds: pd.DataFrame, pool: Sequence[str]) -> Figure:
    """Return success rate by round, interactions to convergence, and winners, over many runs.

    ``runs`` and ``rounds`` are those of an ``Ensemble``. A run that ended counts on with the
    success rate it ended with, so that the median is over all runs at every round. Histogram and
    winners are of the runs that converged; where none did, of all.
    """
    figure = Figure(figsize=(12, 3.9), layout="constrained")
    success, histogram, winners = figure.subplots(1, 3, width_ratios=(4, 4, 3))
    _plot_success(success, rounds)
    done = runs[runs["converged"]]
    _plot_interactions(histogram, runs if done.empty else done, len(runs), done.empty)
    _plot_winners(winners, runs if done.empty else done, pool, done.empty)
    return figure


def plot_network(
    graph: nx.Graph[Any],
    names: Mapping[Hashable, str | None],
    pool: Sequence[str],
    committed: Mapping[Hashable, str] | None = None,
) -> Figure:
    """Return the network, each node coloured by the name it holds and labelled with it.

    Nodes without a name are grey, committed ones (node -> name) square. The layout depends on the
    graph alone; see ``layout``. Labels are left out above 400 nodes.
    """
    committed = committed or {}
    figure = Figure(figsize=(8.2, 7), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    places = layout(graph)
    size = _node_size(places)
    _draw_edges(axes, graph, places)
    colours = name_colours(pool)
    for square in (False, True):
        nodes = [node for node in graph if (node in committed) is square]
        if nodes:
            x, y = np.array([places[node] for node in nodes]).T
            axes.scatter(
                x,
                y,
                s=size * (1.25 if square else 1),
                c=[colours.get(names.get(node) or "", GREY) for node in nodes],
                marker="s" if square else "o",
                edgecolors=INK if square else "white",
                linewidths=max(0.4, math.sqrt(size) / (14 if square else 25)),
                zorder=2,
            )
    if len(graph) <= _LABELLED:
        for node in graph:
            _label_node(axes, places[node], names.get(node), colours, math.sqrt(size))
    _legend(
        axes,
        _network_entries(graph, names, pool, committed),
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
    axes.margins(0.08)
    return figure


def plot_graph(graph: nx.Graph[Any]) -> Figure:
    """Return the bare network, in the layout of ``plot_network``, node ids as labels if few."""
    figure = Figure(figsize=(7, 7), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    places = layout(graph)
    size = _node_size(places)
    _draw_edges(axes, graph, places)
    x, y = np.array([places[node] for node in graph]).T
    axes.scatter(x, y, s=size, c=OKABE_ITO[4], edgecolors="white", zorder=2)
    if len(graph) <= _SMALL:
        for node in graph:
            _write(axes, places[node], str(node), "black", math.sqrt(size))
    axes.margins(0.08)
    return figure


def save_figure(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write ``path`` as .png and as .svg, these added to its name; return the two paths."""
    both = path.with_name(path.name + ".png"), path.with_name(path.name + ".svg")
    for one in both:
        write_figure(figure, one)
    return both


def write_figure(figure: Figure, path: Path) -> None:
    """Write a .png or .svg file; the same figure gives the same bytes, with no date in them."""
    kind = path.suffix.lower().removeprefix(".")
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "mesa_llm_norms"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, format=kind, dpi=150, metadata=metadata, facecolor="white")


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
    if len(plain) <= _SMALL and nx.is_connected(plain):
        found = nx.kamada_kawai_layout(plain)
    else:
        found = nx.spring_layout(plain, seed=1, k=1.6 / math.sqrt(len(plain)), iterations=120)
    return {node: (float(x), float(y)) for node, (x, y) in found.items()}


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


def _node_size(places: Positions) -> float:
    """Return the size of nodes (points squared) so that near ones hardly touch."""
    points: NDArray[np.float64] = np.array(list(places.values()))
    span = max(float(np.ptp(points, axis=0).max()), 1e-9)
    sample = points[:: max(1, len(points) // 400)]
    apart = np.hypot(*(sample[:, None, :] - points[None, :, :]).transpose(2, 0, 1))
    apart[apart <= 1e-9 * span] = np.inf
    nearest = float(np.quantile(apart.min(axis=1), 0.25)) / span
    diameter = 0.85 * 430 * nearest if math.isfinite(nearest) else 30
    return float(np.clip(diameter, 5, 34)) ** 2


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
    colours: Mapping[str, str],
    diameter: float,
) -> None:
    if name is not None:
        colour = colours.get(name, GREY)
        red, green, blue = to_rgb(colour)
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        _write(axes, place, name, "white" if dark else "black", diameter)


def _write(axes: Axes, place: tuple[float, float], text: str, colour: str, diameter: float) -> None:
    """Write a text inside a node, smaller the longer it is, and cut short where it is too long."""
    text = text if len(text) <= 8 else text[:7] + "…"
    size = diameter * min(0.55, 1.25 / max(1, len(text)))
    axes.annotate(
        _plain(text),
        place,
        ha="center",
        va="center_baseline",
        color=colour,
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
    colours = name_colours(pool)
    order = sorted(counts, key=lambda name: -counts[name])
    entries: list[tuple[Any, str]] = [
        (_dot(colours[name]), f"{_short(name)}  {counts[name]}") for name in order[:14]
    ]
    if len(order) > 14:
        entries.append((_dot("white"), f"and {len(order) - 14} more names"))
    if None in held:
        entries.append((_dot(GREY), f"not played yet  {held.count(None)}"))
    if committed:
        entries.append((_dot("white", "s", INK), f"committed  {len(committed)}"))
    return entries


def _dot(colour: str, marker: str = "o", edge: str = "white") -> Line2D:
    return Line2D(
        [], [], linestyle="", marker=marker, color=colour, markeredgecolor=edge, markersize=11
    )


def _plot_success(axes: Axes, rounds: pd.DataFrame) -> None:
    table = rounds.pivot_table(index="round", columns="run", values="success_rate").ffill()
    x = table.index.to_numpy() + 1
    low, middle, high = (table.quantile(q, axis=1).to_numpy() for q in (0.1, 0.5, 0.9))
    axes.fill_between(x, low, high, color=OKABE_ITO[4], alpha=0.35, linewidth=0)
    axes.plot(x, middle, color=OKABE_ITO[0], linewidth=2.2)
    _legend(
        axes,
        [
            (Line2D([], [], color=OKABE_ITO[0], linewidth=2.2), "median"),
            (Patch(color=OKABE_ITO[4], alpha=0.35, linewidth=0), "10 to 90% of runs"),
        ],
        loc="lower right",
    )
    _share_axis(axes, "success rate")
    axes.set_xlabel("population round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title("Success rate", loc="left", color=INK)


def _plot_interactions(axes: Axes, runs: pd.DataFrame, total: int, none: bool) -> None:
    values = runs["interactions"].to_numpy()
    bins = int(np.clip(round(math.sqrt(len(values)) * 1.5), 5, 40))
    axes.hist(values, bins=bins, color=OKABE_ITO[4], edgecolor="white", linewidth=0.6)
    median = float(np.median(values))
    axes.axvline(median, color=INK, linewidth=1.6)
    axes.annotate(
        f"median {median:,.0f}",
        (median, 1),
        xycoords=("data", "axes fraction"),
        xytext=(5, -4),
        textcoords="offset points",
        va="top",
        color=INK,
    )
    axes.set_ylabel("runs")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("interactions")
    what = "Interactions, none converged" if none else "Interactions to convergence"
    counted = "" if len(runs) == total or none else f" ({len(runs)} of {total} runs)"
    axes.set_title(what + counted, loc="left", color=INK)
    _bare(axes)


def _plot_winners(axes: Axes, runs: pd.DataFrame, pool: Sequence[str], none: bool) -> None:
    counts = {name: int((runs["winner"] == name).sum()) for name in pool}
    order = sorted((name for name in pool if counts[name]), key=lambda name: -counts[name])
    shown, rest = order[:10], order[10:]
    values = [counts[name] / len(runs) for name in shown]
    labels = [_plain(_short(name)) for name in shown]
    colours = [name_colours(pool)[name] for name in shown]
    hatches = [_HATCHES[_step(pool, name)] for name in shown]
    if rest:
        values.append(sum(counts[name] for name in rest) / len(runs))
        labels.append(f"{len(rest)} others")
        colours.append(GREY)
        hatches.append("")
    places = np.arange(len(values))
    axes.barh(places, values, color=colours, hatch=hatches, edgecolor="white", height=0.78)
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            f"{value:.0%}",
            (value, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            color=INK,
        )
    axes.set_yticks(places, labels)
    axes.set_ylim(max(len(values), 4) - 0.4, -0.6)
    axes.set_xlim(0, max([*values, 0.05]) * 1.18)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.set_xlabel("of all runs" if none else "of the runs that converged")
    axes.set_title("Played most at the end" if none else "Winners", loc="left", color=INK)
    _bare(axes)


def _share_axis(axes: Axes, label: str) -> None:
    axes.set_ylim(0, 1)
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _leading(shares: Mapping[str, NDArray[np.float64]]) -> tuple[list[str], list[str]]:
    """Return the names played most, most at the end first, and the others that were ever played."""
    played = [name for name, values in shares.items() if values.any()]
    by_sum = sorted(played, key=lambda name: -float(shares[name].sum()))
    leading = sorted(by_sum[:LEADING], key=lambda name: -float(shares[name][-1]))
    return leading, by_sum[LEADING:]


def _label_ends(
    axes: Axes, shares: Mapping[str, NDArray[np.float64]], x: NDArray[np.int64]
) -> None:
    """Write the names that end with a share worth telling beside the ends of their lines."""
    ends = sorted(
        (float(values[-1]), name) for name, values in shares.items() if values[-1] >= 0.04
    )
    height = -1.0
    for share, name in ends:
        height = max(share, height + 0.075)
        axes.annotate(
            _plain(_short(name, 6)),
            (float(x[-1]), height),
            xytext=(8, 0),
            textcoords="offset points",
            va="center",
            fontweight="bold",
            fontsize=11,
            color=INK,
            annotation_clip=False,
        )


def _other(others: Sequence[str]) -> list[tuple[Any, str]]:
    if not others:
        return []
    return [
        (
            Line2D([], [], color=GREY, linewidth=1),
            f"{len(others)} other name" + "s" * (len(others) > 1),
        )
    ]


def _legend(axes: Axes, entries: Sequence[tuple[Any, str]], **options: Any) -> None:
    """Put a legend on; labels are set afterwards, for matplotlib hides those that begin with _."""
    if not entries:
        return
    handles = [handle for handle, _ in entries]
    legend = axes.legend(handles, ["x"] * len(entries), frameon=False, **options)
    for text, (_, label) in zip(legend.get_texts(), entries, strict=True):
        text.set_text(_plain(_short(label, 24)))


def _line(pool: Sequence[str], name: str) -> dict[str, Any]:
    return {
        "color": name_colours(pool)[name],
        "linestyle": _DASHES[_step(pool, name)],
        "linewidth": 2.2,
    }


def _step(pool: Sequence[str], name: str) -> int:
    return list(pool).index(name) // len(OKABE_ITO) % len(_SHADES)


def _shade(place: int) -> str:
    base = OKABE_ITO[place % len(OKABE_ITO)]
    towards_white = _SHADES[place // len(OKABE_ITO) % len(_SHADES)]
    red, green, blue = (channel + (1 - channel) * towards_white for channel in to_rgb(base))
    return to_hex((red, green, blue))


def _short(text: str, length: int = 14) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _plain(text: str) -> str:
    """Keep a dollar sign in a name from being read as mathematics."""
    return text.replace("$", r"\$")
