"""The classical game's convergence time, peak words and tipping point, with what is published."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mesa_llm_norms.palette import INK, OKABE_ITO
from mesa_llm_norms.plots.style import add_legend, bare_axes, share_axis

MARKERS = "osD^v"
_COLOURS = (OKABE_ITO[0], OKABE_ITO[3], OKABE_ITO[2], OKABE_ITO[5], OKABE_ITO[1])


def plot_classical(points: pd.DataFrame, shares: pd.DataFrame) -> Figure:
    """Return convergence time and peak words by size, and consensus by committed share.

    ``points`` has one row per graph and size with the columns graph, agents, time, peak; power laws
    are fitted through them. ``shares`` has the columns share, consensus, low and high.
    """
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    time, peak, tipping = figure.subplots(1, 3)
    _plot_powers(time, points, "time", "Interactions to consensus (median)")
    _plot_powers(peak, points, "peak", "Most words at a time (mean)")
    _plot_shares(tipping, shares)
    return figure


def power_law(x: pd.Series[float], y: pd.Series[float]) -> tuple[float, float]:
    """Return exponent and factor of the power law through points, by least squares of logs."""
    exponent, constant = np.polyfit(np.log(x), np.log(y), 1)
    return float(exponent), float(np.exp(constant))


def _plot_powers(axes: Axes, points: pd.DataFrame, column: str, title: str) -> None:
    entries = []
    looks = zip(points.groupby("graph", sort=False), MARKERS, _COLOURS, strict=False)
    for (graph, rows), marker, colour in looks:
        exponent, factor = power_law(rows["agents"], rows[column])
        x = np.array([rows["agents"].min() / 1.3, rows["agents"].max() * 1.3])
        axes.plot(x, factor * x**exponent, color=colour, linewidth=1.2)
        axes.plot(rows["agents"], rows[column], marker, color=colour, markersize=5)
        handle = Line2D([], [], color=colour, marker=marker, linewidth=1.2, markersize=5)
        entries.append((handle, f"{graph}: N^{exponent:.2f}"))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("agents N")
    axes.set_title(title, loc="left", color=INK)
    add_legend(axes, entries, loc="upper left", fontsize=8)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.35)  # room for the legend
    bare_axes(axes)


def _plot_shares(axes: Axes, shares: pd.DataFrame) -> None:
    error = [shares["consensus"] - shares["low"], shares["high"] - shares["consensus"]]
    axes.errorbar(
        shares["share"],
        shares["consensus"],
        yerr=error,
        color=OKABE_ITO[0],
        marker="o",
        markersize=5,
        linewidth=1.2,
        clip_on=False,
    )
    axes.axvline(0.098, color=INK, linestyle=(0, (5, 1.5)), linewidth=1.2)
    axes.annotate(
        "published\n9.8%",
        (0.098, 0.06),
        xytext=(6, 0),
        textcoords="offset points",
        color=INK,
        fontsize=8,
    )
    share_axis(axes, "runs that flip in 1,000 rounds")
    axes.set_xlabel("committed share of 2,000 agents")
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    axes.set_title("Consensus on the committed word", loc="left", color=INK)
