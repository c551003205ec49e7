"""The classical game's convergence time, peak words and tipping point, with what is published.

The figures of a reproduction.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.networks.drawing import GREY, INK, OKABE_ITO
from mesa_llm_norms.plots.style import add_legend, bare_axes, plain, share_axis
from mesa_llm_norms.reproduction.protocol import CLASSICAL, TEN, Played
from mesa_llm_norms.reproduction.recorded import ROUNDS, Recorded
from mesa_llm_norms.reproduction.results import WHO_WINS, Flips, flips
from mesa_llm_norms.reproduction.rows import Judged

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


HERE, BEFORE = OKABE_ITO[3], OKABE_ITO[7]


_MIND_COLOURS = (*OKABE_ITO[:6], INK)


def success_figure(played: Sequence[Played], recorded: Recorded, against: dict[str, str]) -> Figure:
    """Return the success rate by round with ten names: here, recorded, and the classical game."""
    curves = [
        one
        for one in played
        if one.experiment.part == "emergence" and set(one.experiment.names) == set(TEN)
    ]
    minds = [one for one in curves if one.mind != CLASSICAL]
    figure = Figure(figsize=(3.4 * max(1, len(minds)), 3.2), layout="constrained")
    panels = figure.subplots(1, max(1, len(minds)), squeeze=False, sharey=True)[0]
    rounds = np.arange(1, ROUNDS + 1)
    for axes, one in zip(panels, minds, strict=False):
        for classical in curves:
            if classical.mind == CLASSICAL:
                axes.plot(rounds, classical.success.mean(axis=0), color=GREY, linewidth=1.6)
        low, high = np.quantile(one.success, [0.05, 0.95], axis=0)
        axes.fill_between(rounds, low, high, color=HERE, alpha=0.15, linewidth=0)
        axes.plot(rounds, one.success.mean(axis=0), color=HERE, linewidth=2)
        for known in recorded.emergence:
            model = against.get(one.mind, one.mind)
            if known.model == model and set(known.names) == set(TEN):
                axes.plot(rounds, known.success, color=BEFORE, linestyle=(0, (4, 2)), linewidth=1.6)
        share_axis(axes, "success rate" if axes is panels[0] else "")
        axes.set_xlabel("population round")
        axes.set_title(plain(one.mind), loc="left", fontsize=10, color=INK)
    entries = [
        (Line2D([], [], color=HERE, linewidth=2), "here (90% of runs)"),
        (Line2D([], [], color=BEFORE, linestyle=(0, (4, 2))), "recorded"),
        (Line2D([], [], color=GREY), "classical game"),
    ]
    add_legend(panels[0], entries, loc="lower right", fontsize=8)
    return figure


def winners_figure(judged: Sequence[Judged]) -> Figure:
    """Return the share of populations that the recorded favourite wins, recorded and here."""
    rows = [one.row for one in judged if one.row.part == WHO_WINS]
    figure = Figure(figsize=(7.5, 0.34 * max(3, len(rows)) + 1), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        for known, colour, shift in ((row.recorded, BEFORE, 0.14), (row.here, HERE, -0.14)):
            if known is not None:
                axes.plot([known.low, known.high], [place + shift] * 2, color=colour, linewidth=1.4)
                axes.plot(known.value, place + shift, "o", color=colour, markersize=4)
    axes.set_yticks(
        range(len(rows)), [plain(f"{row.mind}  {row.what}") for row in reversed(rows)], fontsize=8
    )
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of populations, with 95% intervals")
    axes.spines[["top", "right"]].set_visible(False)
    entries = [
        (Line2D([], [], color=BEFORE, marker="o"), "recorded"),
        (Line2D([], [], color=HERE, marker="o"), "here"),
    ]
    add_legend(axes, entries, loc="upper left", fontsize=8)
    return figure


def critical_figure(played: Sequence[Played]) -> Figure:
    """Return the share of runs that flip by committed share, a panel for each direction."""
    found = [one for one in flips(played) if len(one.counts) > 1]
    directions = sorted({one.direction for one in found})
    figure = Figure(figsize=(4.2 * max(1, len(directions)) + 2, 3.4), layout="constrained")
    panels = figure.subplots(1, max(1, len(directions)), squeeze=False, sharey=True)[0]
    minds = sorted({one.mind for one in found}, key=lambda mind: (mind == CLASSICAL, mind))
    for axes, direction in zip(panels, directions, strict=False):
        entries = []
        for mind, colour in zip(minds, _MIND_COLOURS, strict=False):
            for one in found:
                if (one.mind, one.direction) == (mind, direction):
                    _plot_flips(axes, one, GREY if mind == CLASSICAL else colour)
            shown = GREY if mind == CLASSICAL else colour
            entries.append((Line2D([], [], color=shown, marker="o", markersize=4), mind))
        share_axis(axes, "runs that flip in 30 rounds" if axes is panels[0] else "")
        axes.set_xlabel("committed share of 24 agents")
        axes.set_title(plain(direction), loc="left", fontsize=10, color=INK)
    beside = {"loc": "center left", "bbox_to_anchor": (1.02, 0.5)}
    add_legend(panels[-1], entries if found else [], fontsize=8, **beside)
    return figure


def agreement_figure(agreed: pd.DataFrame, tipped: pd.DataFrame) -> Figure:
    """Return which networks agree, and which conventions are overturned, with what people did."""
    figure = Figure(figsize=(11, 3.8), layout="constrained")
    left, *right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    minds = list(dict.fromkeys(agreed["mind"]))
    places = list(dict.fromkeys(zip(agreed["network"], agreed["agents"], strict=True)))
    for number, mind in enumerate(minds):
        rows = agreed[agreed["mind"] == mind]
        x = [places.index(place) for place in zip(rows["network"], rows["agents"], strict=True)]
        error = [rows["agree"] - rows["low"], rows["high"] - rows["agree"]]
        left.errorbar(
            np.array(x) + 0.12 * (number - 1.5),
            rows["agree"],
            yerr=error,
            fmt="o",
            color=_MIND_COLOURS[number % len(_MIND_COLOURS)],
            markersize=4,
            linewidth=1.2,
        )
    labels = [f"{network.split(',')[0].split(':')[0]}\n{agents}" for network, agents in places]
    left.set_xticks(range(len(places)), labels, fontsize=8)
    share_axis(left, "groups that agree")
    left.set_ylim(-0.03, 1.03)
    directions = list(dict.fromkeys(tipped["direction"]))
    for axes, direction in zip(right, directions, strict=False):
        axes.axvspan(0.1, 0.21, color=GREY, alpha=0.25, linewidth=0)
        axes.axvline(0.25, color=INK, linestyle=(0, (4, 2)), linewidth=1)
        for number, mind in enumerate(minds):
            rows = tipped[(tipped["mind"] == mind) & (tipped["direction"] == direction)]
            axes.plot(
                rows["share"],
                rows["overturned"],
                "o-",
                color=_MIND_COLOURS[number % len(_MIND_COLOURS)],
                markersize=4,
                clip_on=False,
            )
        share_axis(axes, "conventions overturned" if axes is right[0] else "")
        axes.set_xlabel("committed share (people: grey 0 of 5,\nfrom the dashed line on 5 of 5)")
        axes.set_title(plain(direction), loc="left", fontsize=10, color=INK)
        axes.set_xlim(0.1, 0.36)
    entries = [
        (
            Line2D([], [], color=_MIND_COLOURS[n % len(_MIND_COLOURS)], marker="o", markersize=4),
            mind,
        )
        for n, mind in enumerate(minds)
    ]
    add_legend(left, entries, loc="upper left", fontsize=8)
    return figure


def _plot_flips(axes: Axes, one: Flips, colour: str) -> None:
    x = np.array(one.counts) / one.agents
    shares = np.array(one.flipped) / one.runs
    low, high = wilson_interval(one.flipped, one.runs)
    axes.plot(x, shares, "o-", color=colour, markersize=3.5, linewidth=1.6, clip_on=False)
    axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
