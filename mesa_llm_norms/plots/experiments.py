"""Figures of audits, tipping points and interventions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.experiments.audits.populations import DRIFT, FIRST, SizeCurve, collective
from mesa_llm_norms.experiments.audits.verdict import Audit
from mesa_llm_norms.experiments.tipping import Comparison, Tipping, TippingPoint
from mesa_llm_norms.networks.drawing import GREY, INK, OKABE_ITO, name_colors
from mesa_llm_norms.plots.style import add_legend, bare_axes, line_style, plain, share_axis, shorten

MOST_NAMES = 26
"""How many names are drawn: of more, those that won most often."""

MOST_LINES = 4
"""How many names have a line in the curve by size."""

_INDIVIDUAL, _EXPLAINED, _DRIFT, _GROUP = (OKABE_ITO[n] for n in (0, 1, 2, 3))


def plot_audit(audit: Audit) -> Figure:
    """Draw shares by name (left) and, if sizes were played, by the size of the group (right).

    Parameters
    ----------
    audit : Audit
        The audit.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    panels = 1 if audit.sizes is None else 2
    figure = Figure(figsize=(6.4 * panels, 4.4), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _draw_names(axes[0], audit)
    if audit.sizes is not None:
        _draw_sizes(axes[1], audit, audit.sizes)
    return figure


def _draw_names(axes: Axes, audit: Audit) -> None:
    first, winners = audit.individual.first, audit.winners
    ranked = sorted(first.names, key=lambda one: -one.share.value)
    if winners is not None:
        ranked = sorted(ranked, key=lambda one: -winners.of(one.name).share.value)
    names = [one.name for one in ranked[:MOST_NAMES]]
    rows: list[tuple[str, str, str, list[Estimate]]] = [
        ("first choices", "o", _INDIVIDUAL, [first.of(it).share for it in names])
    ]
    for null, label, marker, color in (
        (FIRST, "null: first choices", "s", _EXPLAINED),
        (DRIFT, "null: classical drift", "D", _DRIFT),
    ):
        for one in audit.comparisons:
            if one.null == null:
                played = collective(one.played, 1 - audit.level)
                points = [played.of(it).share for it in names]
                rows.append((label, marker, color, points))
    if winners is not None and audit.played is not None:
        label = f"winners, {audit.played.agents:,} agents"
        rows.append((label, "^", _GROUP, [winners.of(it).share for it in names]))
    fair = 1 / len(audit.individual.pool)
    axes.axhline(fair, color=GREY, linewidth=1.2, zorder=0)
    entries = []
    for place, (label, marker, color, points) in enumerate(rows):
        shift = 0.16 * (place - (len(rows) - 1) / 2)
        x = [number + shift for number in range(len(names))]
        _dots(axes, x, points, marker, color)
        entries.append((Line2D([], [], color=color, marker=marker, linestyle=""), label))
    entries.append((Line2D([], [], color=GREY), "equal shares"))
    axes.set_xticks(range(len(names)), [plain(shorten(name)) for name in names])
    axes.set_xlim(-0.6, len(names) - 0.4)
    share_axis(axes, "share")
    axes.set_title("By name", loc="left", color=INK)
    add_legend(axes, entries, loc="best", fontsize=8)


def _dots(
    axes: Axes, x: Sequence[float], points: Sequence[Estimate], marker: str, color: str
) -> None:
    values = [point.value for point in points]
    below = [max(0.0, point.value - point.low) for point in points]
    above = [max(0.0, point.high - point.value) for point in points]
    axes.errorbar(
        x,
        values,
        yerr=[below, above],
        fmt=marker,
        color=color,
        markersize=5,
        linewidth=1.2,
        clip_on=False,
    )


def _draw_sizes(axes: Axes, audit: Audit, curve: SizeCurve) -> None:
    pool = audit.individual.pool
    sizes = [point.played.agents for point in curve.points]
    won = {
        name: sum(point.preference.of(name).chosen or 0 for point in curve.points) for name in pool
    }
    names = sorted(pool, key=lambda name: -won[name])[: MOST_LINES if len(pool) > 2 else 1]
    axes.axhline(1 / len(pool), color=GREY, linewidth=1.2, zorder=0)
    entries = []
    for name in names:
        shares = [point.preference.of(name).share for point in curve.points]
        style = line_style(pool, name)
        axes.plot(sizes, [one.value for one in shares], marker="o", markersize=4, **style)
        axes.fill_between(
            sizes,
            [one.low for one in shares],
            [one.high for one in shares],
            color=style["color"],
            alpha=0.15,
            linewidth=0,
        )
        entries.append((Line2D([], [], marker="o", markersize=4, **style), f"{name} wins"))
    axes.axhline(
        curve.individual,
        color=name_colors(pool)[curve.strong],
        linestyle=(0, (1, 1)),
        linewidth=1.4,
    )
    entries.append(
        (
            Line2D([], [], color=name_colors(pool)[curve.strong], linestyle=(0, (1, 1))),
            f"{curve.strong}, first choice",
        )
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("agents")
    share_axis(axes, "share of populations")
    axes.set_title("By size of the group", loc="left", color=INK)
    add_legend(axes, entries, loc="best", fontsize=8)


_COLORS = OKABE_ITO[:6] + OKABE_ITO[7:]

_MARKERS = "osD^vPX<*p"

_APART, _SPREAD = 3, 10
"""Points between the marks of neighboring conditions, and of all, at most."""

_REMARK: dict[str, Any] = {"va": "center", "fontsize": 8, "color": "#555555"}


def plot_tipping(found: Tipping) -> Figure:
    """Draw the flip probability by the share committed, and the critical share, by condition.

    Points are shares of runs with exact intervals, slightly offset, and curves the fits. Below,
    lines are the intervals of the critical share, with an arrow where they have no end, and grey
    bars what is sure without a curve. The marks there are the key to those above.

    Parameters
    ----------
    found : Tipping
        The result of ``tip``.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    named = found.labels
    rows = len(found.points)
    figure = Figure(figsize=(8.4, 5.0 + 0.3 * rows), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3.6, 0.6 + 0.3 * rows))
    most = max(_end(point) for point in found.points)
    step = min(_APART, _SPREAD / rows)
    for number, point in enumerate(found.points):
        _draw_curve(above, point, number, step * (number - (rows - 1) / 2))
        _draw_mass(below, point, number, most)
    for axes in (above, below):
        axes.set_xlim(-0.01 * most, 1.01 * most)
        axes.xaxis.set_major_formatter(FuncFormatter(_percent))
    share_axis(above, "runs that flip")
    above.set_ylim(-0.02, 1.02)
    above.set_xlabel("share of the agents that is committed")
    below.set_yticks(range(rows), [plain(shorten(label, 44)) for label in named], fontsize=8)
    below.set_ylim(rows - 0.4, -0.6)
    level = found.points[0].curve.level
    below.set_xlabel(f"critical share ({_percent(level)} interval)")
    bare_axes(below)
    return figure


def plot_interventions(found: Comparison) -> Figure:
    """Draw how often every intervention works, and how long the alternative needs.

    Parameters
    ----------
    found : Comparison
        The result of ``compare_interventions``.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    table = found.table.iloc[::-1].reset_index(drop=True)
    figure = Figure(figsize=(9.4, 1.6 + 0.36 * len(table)))
    figure.set_layout_engine("constrained", wspace=0.04)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
    _bars(left, table, "worked", 1)
    left.set_xlim(-0.02, 1.02)
    left.xaxis.set_major_formatter(FuncFormatter(_percent))
    done = "undone" if found.goal == "undo" else "prevented"
    left.set_xlabel(f"runs in which {plain(shorten(found.convention))} is {done}")
    left.set_yticks(range(len(table)), [plain(shorten(it, 40)) for it in table["intervention"]])
    left.set_ylim(-0.6, len(table) - 0.4)
    times = table[["rounds", "rounds_high"]].to_numpy(float)
    most = 1.1 * float(np.max(times[np.isfinite(times)], initial=1))
    _bars(right, table, "rounds", most)
    for place in np.flatnonzero(~np.isfinite(times[:, 0])).tolist():
        right.text(0.02 * most, place, "in fewer than half of the runs", in_layout=False, **_REMARK)
    right.set_xlim(0, most)
    right.set_xlabel(f"rounds until {plain(shorten(found.alternative))} has taken over\n(median)")
    for axes in (left, right):
        bare_axes(axes)
        axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure


def _draw_curve(axes: Axes, point: TippingPoint, number: int, aside: float) -> None:
    """Draw a condition, its marks moved ``aside`` points to the right."""
    table, agents = point.table, point.question.agents
    table = table[table["committed_share"] <= _end(point)]
    color = _COLORS[number % len(_COLORS)]
    share = table["flip_share"].to_numpy()
    spread = np.array([share - table["flip_low"], table["flip_high"] - share]).clip(0)
    figure = cast(Figure, axes.figure)
    axes.errorbar(
        table["committed_share"],
        share,
        spread,
        color=color,
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=5,
        linestyle="none",
        elinewidth=1,
        clip_on=False,
        transform=axes.transData + ScaledTranslation(aside / 72, 0, figure.dpi_scale_trans),
    )
    if point.curve.slope:
        at = np.linspace(0, _end(point) * agents, 400)
        axes.plot(at / agents, point.curve.probability(at), color=color, linewidth=1.4)


def _draw_mass(axes: Axes, point: TippingPoint, number: int, most: float) -> None:
    """Draw the critical share of a condition, on an axis that ends at ``most``."""
    color, agents = _COLORS[number % len(_COLORS)], point.question.agents
    below, above = point.curve.bracket
    sure = max(0, below) / agents, min(above / agents, most)
    axes.barh(
        number, sure[1] - sure[0], left=sure[0], height=0.5, color=GREY, alpha=0.5, linewidth=0
    )
    value, low, high = point.critical_share
    mark: dict[str, Any] = {"color": color, "markersize": 6, "clip_on": False}
    mark["marker"] = _MARKERS[number % len(_MARKERS)]
    if np.isinf(value):
        tried = point.table["committed_share"].max()
        axes.plot(tried, number, **mark)
        axes.annotate(
            "more than", (tried, number), (-7, 0), textcoords="offset points", ha="right", **_REMARK
        )
        return
    axes.plot([low, min(high, most)], [number, number], color=color, linewidth=2)
    axes.plot(value, number, **mark)
    if high > most:
        axes.plot(most, number, **mark | {"marker": ">"})


def _bars(axes: Axes, table: pd.DataFrame, column: str, most: float) -> None:
    """Draw a column with its intervals, an arrow at ``most`` where they have no end."""
    value = table[column].to_numpy(float)
    low, high = (table[f"{column}_{end}"].to_numpy(float) for end in ("low", "high"))
    places = np.flatnonzero(np.isfinite(value))
    value, low, high = value[places], low[places], high[places]
    axes.errorbar(
        value,
        places,
        xerr=np.array([value - low, np.minimum(high, most) - value]).clip(0),
        marker="o",
        markersize=5,
        linestyle="none",
        color=OKABE_ITO[0],
    )
    for place in places[np.isinf(high)].tolist():
        axes.plot(most, place, ">", color=OKABE_ITO[0], clip_on=False)


def _end(point: TippingPoint) -> float:
    """Return the share at which the curve may be cut off: a little beyond where all runs flip."""
    table = point.table
    full = table.loc[table["flip_share"] >= 0.99, "committed_share"]
    end = 1.4 * full.min() if len(full) else table["committed_share"].max()
    return float(min(1.0, max(end, 2 / point.question.agents)))


def _percent(share: float, _: object = None) -> str:
    return f"{round(100 * share, 6):g}%"
