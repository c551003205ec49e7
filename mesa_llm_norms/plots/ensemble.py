"""Many runs at once: their success rate, interactions to convergence, and winners."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mesa_llm_norms.palette import GREY, INK, OKABE_ITO, name_colours
from mesa_llm_norms.plots.style import add_legend, bare_axes, hatch, plain, share_axis, shorten


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


def _plot_success(axes: Axes, rounds: pd.DataFrame) -> None:
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
    share_axis(axes, "success rate")
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
    bare_axes(axes)


def _plot_winners(axes: Axes, runs: pd.DataFrame, pool: Sequence[str], none: bool) -> None:
    counts = {name: int((runs["winner"] == name).sum()) for name in pool}
    order = sorted((name for name in pool if counts[name]), key=lambda name: -counts[name])
    shown, rest = order[:10], order[10:]
    values = [counts[name] / len(runs) for name in shown]
    labels = [plain(shorten(name)) for name in shown]
    colours = [name_colours(pool)[name] for name in shown]
    hatches = [hatch(pool, name) for name in shown]
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
    bare_axes(axes)
