"""Populations of several sizes beside the limit that they tend to."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from mesa_llm_norms.mean_field import MeanField
from mesa_llm_norms.palette import INK, OKABE_ITO
from mesa_llm_norms.plots.style import add_legend, share_axis

BAND = (0.1, 0.9)
"""Between which shares of the runs the band lies."""


def plot_mean_field(field: MeanField, populations: Mapping[str, pd.DataFrame], name: str) -> Figure:
    """Return the share of ``name`` (left) and the success rate (right) by population round.

    ``populations`` are the rounds of ensembles, by label, up to eight. A line is the mean of all
    runs and its band holds the middle 80% of them; the dashed line is the limit.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for axes, column in ((left, f"share_{name}"), (right, "success_rate")):
        for colour, rounds in zip(OKABE_ITO, populations.values(), strict=False):
            _plot_runs(axes, rounds, column, colour)
        x = field.rounds["round"] + 1
        axes.plot(x, field.rounds[column], color=INK, linewidth=2, linestyle=(0, (4, 1.5)))
        axes.set_xlabel("population round")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    share_axis(left, f"share of {name}".replace("$", r"\$"))
    share_axis(right, "success rate")
    entries = [
        (Line2D([], [], color=colour, linewidth=2), label)
        for colour, label in zip(OKABE_ITO, populations, strict=False)
    ]
    limit = Line2D([], [], color=INK, linewidth=2, linestyle=(0, (4, 1.5)))
    add_legend(right, [*entries, (limit, "infinitely many")], title="agents", loc="best")
    return figure


def _plot_runs(axes: Axes, rounds: pd.DataFrame, column: str, colour: str) -> None:
    """Draw the mean and the middle of some runs."""
    by_round = rounds.groupby("round")[column]
    mean = by_round.mean()
    low, high = (by_round.quantile(edge) for edge in BAND)
    x = mean.index.to_numpy() + 1
    axes.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.plot(x, mean, color=colour, linewidth=2)
