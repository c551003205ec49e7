"""Figures of runs: one round by round, many at once, and several sizes beside their limit.

One run: the success rate, and the share of each name. Many runs: their success rate, interactions
to convergence, and winners. Sizes: populations beside the mean field that they tend to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.mean_field.dynamics import MeanField
from mesa_llm_norms.networks.drawing import GREY, INK, OKABE_ITO, name_colors
from mesa_llm_norms.plots.style import (
    add_legend,
    bare_axes,
    hatch,
    line_style,
    plain,
    share_axis,
    shorten,
)

LEADING = 8
"""How many names are distinguished in a figure over time."""


def plot_rounds(
    rounds: Sequence[Round], pool: Sequence[str], success: str = "success rate"
) -> Figure:
    """Draw the success rate (top) and the shares of names (bottom) by population round of a run.

    The eight names that were ever played most are distinguished, the others are grey.

    Parameters
    ----------
    rounds : sequence of Round
        The rounds of a run.
    pool : sequence of str
        The names, whose order gives their colors.
    success : str, default "success rate"
        What the rate of successes is called; see ``core.game.success_label``.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    x = np.array([one.number + 1 for one in rounds])
    marker = "o" if len(x) <= 40 else ""
    rates = [one.success_rate for one in rounds]
    upper.plot(x, rates, color=INK, linewidth=2, marker=marker, markersize=4, clip_on=False)
    shares = {name: np.array([one.shares[name] for one in rounds]) for name in pool}
    leading, others = _leading(shares)
    for name in others:
        lower.plot(x, shares[name], color=GREY, linewidth=1)
    lines = {}
    for name in reversed(leading):
        (lines[name],) = lower.plot(
            x, shares[name], **line_style(pool, name), marker=marker, markersize=4, clip_on=False
        )
    _label_ends(lower, {name: shares[name] for name in leading}, x)
    add_legend(
        lower,
        [*((lines[name], name) for name in leading), *_other(others)],
        title="name",
        loc="upper left",
        bbox_to_anchor=(1.05, 1.02),
    )
    share_axis(upper, success)
    share_axis(lower, "share of names played")
    lower.set_xlabel("population round")
    lower.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(x):
        lower.set_xlim(x[0] - 0.2, max(x[-1], x[0] + 1))
    return figure


def _leading(shares: Mapping[str, NDArray[np.float64]]) -> tuple[list[str], list[str]]:
    """Return the names played most, most at the end first, and the others that were ever played."""
    played = [name for name, values in shares.items() if values.any()]
    by_sum = sorted(played, key=lambda name: -float(shares[name].sum()))
    leading = sorted(by_sum[:LEADING], key=lambda name: -float(shares[name][-1]))
    return leading, by_sum[LEADING:]


def _label_ends(
    axes: Axes, shares: Mapping[str, NDArray[np.float64]], x: NDArray[np.int64]
) -> None:
    """Label the lines of names that end with a share of at least 4%."""
    ends = sorted(
        (float(values[-1]), name) for name, values in shares.items() if values[-1] >= 0.04
    )
    height = -1.0
    for share, name in ends:
        height = max(share, height + 0.075)
        axes.annotate(
            plain(shorten(name, 6)),
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


def plot_ensemble(
    runs: pd.DataFrame,
    rounds: pd.DataFrame,
    pool: Sequence[str],
    event: str = "converged",
    success: str = "success rate",
) -> Figure:
    """Draw success rate by round, interactions to convergence, and winners, over many runs.

    A run that ended keeps the success rate it ended with, so that the median is over all runs at
    every round. Histogram and winners are of the runs that converged; where none did, of all. Where
    more than one name is left in some of the runs, the figure says in how many, and in how many
    clusters.

    Parameters
    ----------
    runs, rounds : pandas.DataFrame
        Those of an ``Ensemble``.
    pool : sequence of str
        The names, whose order gives their colors.
    event : str, default "converged"
        ``"converged"`` or ``"agreed"``: what runs were played until.
    success : str, default "success rate"
        What the rate of successes is called; see ``core.game.success_label``.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    figure = Figure(figsize=(12, 3.9), layout="constrained")
    left, histogram, winners = figure.subplots(1, 3, width_ratios=(4, 4, 3))
    _plot_success(left, rounds, success)
    done = runs[runs[event]]
    counted = runs if done.empty else done
    none = f", none {event}" if done.empty else ""
    _plot_interactions(histogram, counted, len(runs), none, _UNTIL[event])
    _plot_winners(winners, counted, pool, "of all runs" if none else f"of the runs that {event}")
    if runs["names_left"].max() > 1:
        _add_names_left(figure, runs)
    return figure


_UNTIL = {"converged": "to convergence", "agreed": "to agreement"}


def _add_names_left(figure: Figure, runs: pd.DataFrame) -> None:
    left = runs[["names_left", "clusters", "largest_cluster"]].mean()
    figure.supxlabel(
        f"{runs['one_name'].sum():,} of {len(runs):,} runs ended with one name. Left on average: "
        f"{left['names_left']:.1f} names in {left['clusters']:.1f} clusters, the largest with "
        f"{left['largest_cluster']:.0%} of the agents.",
        x=0.01,
        ha="left",
        fontsize="medium",
        color=INK,
    )


def _plot_success(axes: Axes, rounds: pd.DataFrame, success: str) -> None:
    table = rounds.pivot_table(index="round", columns="run", values="success_rate").ffill()
    x = table.index.to_numpy() + 1
    low, middle, high = (table.quantile(q, axis=1).to_numpy() for q in (0.1, 0.5, 0.9))
    axes.fill_between(x, low, high, color=OKABE_ITO[4], alpha=0.35, linewidth=0)
    axes.plot(x, middle, color=OKABE_ITO[0], linewidth=2.2)
    add_legend(
        axes,
        [
            (Line2D([], [], color=OKABE_ITO[0], linewidth=2.2), "median"),
            (Patch(color=OKABE_ITO[4], alpha=0.35, linewidth=0), "10 to 90% of runs"),
        ],
        loc="lower right",
    )
    share_axis(axes, success)
    axes.set_xlabel("population round")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(success[:1].upper() + success[1:], loc="left", color=INK)


def _plot_interactions(axes: Axes, runs: pd.DataFrame, total: int, none: str, until: str) -> None:
    values = runs["interactions"].to_numpy()
    bins = int(np.clip(round(math.sqrt(len(values)) * 1.5), 5, 40))
    only = (0, 1.5 * max(1, values.max())) if values.min() == values.max() else None
    axes.hist(values, bins=bins, range=only, color=OKABE_ITO[4], edgecolor="white", linewidth=0.6)
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
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    what = f"Interactions{none or ' ' + until}"
    counted = "" if len(runs) == total or none else f" ({len(runs)} of {total} runs)"
    axes.set_title(what + counted, loc="left", color=INK)
    bare_axes(axes)


def _plot_winners(axes: Axes, runs: pd.DataFrame, pool: Sequence[str], counted: str) -> None:
    counts = {name: int((runs["winner"] == name).sum()) for name in pool}
    order = sorted((name for name in pool if counts[name]), key=lambda name: -counts[name])
    shown, rest = order[:10], order[10:]
    values = [counts[name] / len(runs) for name in shown]
    labels = [plain(shorten(name)) for name in shown]
    colors = [name_colors(pool)[name] for name in shown]
    hatches = [hatch(pool, name) for name in shown]
    if rest:
        values.append(sum(counts[name] for name in rest) / len(runs))
        labels.append(f"{len(rest)} others")
        colors.append(GREY)
        hatches.append("")
    places = np.arange(len(values))
    axes.barh(places, values, color=colors, hatch=hatches, edgecolor="white", height=0.78)
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
    axes.set_xlabel(counted)
    won = runs["one_name"].all() or runs["agreed"].all()
    axes.set_title("Winners" if won else "Played most at the end", loc="left", color=INK)
    bare_axes(axes)


BAND = (0.1, 0.9)
"""The quantiles of runs that bound the band."""


def plot_mean_field(field: MeanField, populations: Mapping[str, pd.DataFrame], name: str) -> Figure:
    """Draw the share of a name (left) and the success rate (right) by population round.

    Parameters
    ----------
    field : MeanField
        The limit of infinitely many agents, a dashed line.
    populations : mapping of str to pandas.DataFrame
        The rounds of up to eight ensembles, by label: lines are means, bands the middle 80% of
        runs.
    name : str
        The name.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    figure = Figure(figsize=(11, 4), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    for axes, column in ((left, f"share_{name}"), (right, "success_rate")):
        for color, rounds in zip(OKABE_ITO, populations.values(), strict=False):
            _plot_runs(axes, rounds, column, color)
        x = field.rounds["round"] + 1
        axes.plot(x, field.rounds[column], color=INK, linewidth=2, linestyle=(0, (4, 1.5)))
        axes.set_xlabel("population round")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    share_axis(left, f"share of {name}".replace("$", r"\$"))
    share_axis(right, "success rate")
    entries = [
        (Line2D([], [], color=color, linewidth=2), label)
        for color, label in zip(OKABE_ITO, populations, strict=False)
    ]
    limit = Line2D([], [], color=INK, linewidth=2, linestyle=(0, (4, 1.5)))
    add_legend(right, [*entries, (limit, "infinitely many")], title="agents", loc="best")
    return figure


def _plot_runs(axes: Axes, rounds: pd.DataFrame, column: str, color: str) -> None:
    """Draw the mean and the middle of some runs."""
    by_round = rounds.groupby("round")[column]
    mean = by_round.mean()
    low, high = (by_round.quantile(edge) for edge in BAND)
    x = mean.index.to_numpy() + 1
    axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    axes.plot(x, mean, color=color, linewidth=2)
