"""Figures of tipping points and interventions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from mesa_llm_norms.palette import GREY, OKABE_ITO
from mesa_llm_norms.plots.style import (
    bare_axes,
    plain,
    share_axis,
    shorten,
)
from mesa_llm_norms.tipping import Comparison, Tipping, TippingPoint
from mesa_llm_norms.tipping.words import labels

_COLOURS = OKABE_ITO[:6] + OKABE_ITO[7:]
_MARKERS = "osD^vPX<>*"


def plot_tipping(found: Tipping) -> Figure:
    """Return the flip probability by the share committed, and the critical share, by condition.

    Points are shares of runs with exact intervals, curves the fits. Below, lines are the intervals
    of the critical share and grey bars what is sure without a curve.
    """
    named = labels(found)
    rows = len(found.points)
    figure = Figure(figsize=(8.4, 5.4 + 0.34 * rows), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3.4, 1.2 + 0.34 * rows))
    drawn = []
    for number, point in enumerate(found.points):
        drawn.append(_draw_curve(above, point, number))
        _draw_mass(below, point, number)
    most = max(_end(point) for point in found.points)
    for axes in (above, below):
        axes.set_xlim(-0.01 * most, most)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    share_axis(above, "runs that flip")
    above.set_ylim(-0.02, 1.02)
    above.set_xlabel("agents committed")
    if rows > 1:
        above.legend(
            drawn,
            [plain(shorten(label, 44)) for label in named],
            frameon=False,
            fontsize=8,
        )
    below.set_yticks(range(rows), [plain(shorten(label, 36)) for label in named], fontsize=8)
    below.set_ylim(rows - 0.4, -0.6)
    below.set_xlabel("critical share (95% interval)" if _usual(found) else "critical share")
    bare_axes(below)
    return figure


def plot_interventions(found: Comparison) -> Figure:
    """Return how often every intervention works, and how long the alternative needs."""
    table = found.table.iloc[::-1].reset_index(drop=True)
    figure = Figure(figsize=(9.4, 2.2 + 0.36 * len(table)), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(1.6, 1))
    places = np.arange(len(table))
    _bars(left, table, places, "worked")
    left.set_xlim(-0.02, 1.02)
    left.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.set_xlabel(f"runs in which it {'undoes' if found.goal == 'undo' else 'prevents'} it")
    left.set_yticks(places, [plain(shorten(label, 40)) for label in table["intervention"]])
    shown = table[np.isfinite(table["rounds"])]
    _bars(right, shown, places[shown.index], "rounds")
    right.set_xlim(left=0)
    right.set_xlabel("rounds until the other has taken over\n(median, where half of the runs do)")
    for axes in (left, right):
        bare_axes(axes)
        axes.grid(axis="x", color="#E6E6E6", linewidth=0.8)
    return figure


def _draw_curve(axes: Axes, point: TippingPoint, number: int) -> Any:
    table, agents = point.table, point.question.agents
    table = table[table["committed_share"] <= _end(point)]
    colour = _COLOURS[number % len(_COLOURS)]
    share = table["flip_share"].to_numpy()
    spread = np.array([share - table["flip_low"], table["flip_high"] - share]).clip(0)
    drawn = axes.errorbar(
        table["committed_share"],
        share,
        spread,
        color=colour,
        marker=_MARKERS[number % len(_MARKERS)],
        markersize=4,
        linestyle="none",
        elinewidth=1,
        clip_on=False,
    )
    if point.curve.slope:
        at = np.linspace(0, _end(point) * agents, 400)
        axes.plot(at / agents, point.curve.probability(at), color=colour, linewidth=1.4)
    return drawn


def _draw_mass(axes: Axes, point: TippingPoint, number: int) -> None:
    colour, agents = _COLOURS[number % len(_COLOURS)], point.question.agents
    end = _end(point)
    below, above = point.curve.bracket
    axes.barh(
        number,
        min(above / agents, end) - max(0, below) / agents,
        left=max(0, below) / agents,
        height=0.5,
        color=GREY,
        alpha=0.5,
        linewidth=0,
    )
    value, low, high = point.critical_share
    axes.plot([low, min(high, end)], [number, number], color=colour, linewidth=2)
    if np.isfinite(value):
        axes.plot(value, number, _MARKERS[number % len(_MARKERS)], color=colour, markersize=5)


def _bars(axes: Axes, table: pd.DataFrame, places: NDArray[np.int64], column: str) -> None:
    value = table[column].to_numpy(float)
    low, high = (table[f"{column}_{end}"].to_numpy(float) for end in ("low", "high"))
    high = np.where(np.isfinite(high), high, value)
    axes.errorbar(
        value,
        places,
        xerr=np.array([value - low, high - value]).clip(0),
        marker="o",
        markersize=5,
        linestyle="none",
        color=OKABE_ITO[0],
    )


def _end(point: TippingPoint) -> float:
    """Return up to which share there is something to see: a little beyond where all runs flip."""
    table = point.table
    full = table.loc[table["flip_share"] >= 0.99, "committed_share"]
    return float(min(1.0, 1.4 * full.min() if len(full) else table["committed_share"].max()))


def _usual(found: Tipping) -> bool:
    return all(point.curve.level == 0.95 for point in found.points)
