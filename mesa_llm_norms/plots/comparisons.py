"""Figures that compare results with what is known: classical game, study, people, validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import (
    LogLocator,
    MaxNLocator,
    NullLocator,
    PercentFormatter,
    ScalarFormatter,
)
from scipy import stats

from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.classical.published import power_law
from mesa_llm_norms.core.formatting import p_value
from mesa_llm_norms.networks.drawing import GREY, INK, OKABE_ITO
from mesa_llm_norms.plots.style import add_legend, bare_axes, plain, share_axis
from mesa_llm_norms.reproduction.observed import People
from mesa_llm_norms.reproduction.papers.paper import Panel
from mesa_llm_norms.reproduction.people import Attack, Floats, attacks, emergences
from mesa_llm_norms.reproduction.protocol import CLASSICAL, TEN, Played
from mesa_llm_norms.reproduction.recorded import ROUNDS, Recorded
from mesa_llm_norms.reproduction.results import WHO_WINS, Flips, flips
from mesa_llm_norms.reproduction.rows import Judged
from mesa_llm_norms.study.validate import Validated

HERE, BEFORE = OKABE_ITO[3], OKABE_ITO[7]
RECORDED, SIMULATED = "#000000", "#D55E00"

_DASHED = (0, (4, 2))
_LOOKS = tuple(zip("osD^v", (OKABE_ITO[n] for n in (0, 3, 2, 5, 1)), strict=True))
_MIND_COLORS = (*OKABE_ITO[:6], INK)
_PANELS = 4

_BAND = (0.05, 0.95)
_PEOPLE = "#000000"
_SERIES = (OKABE_ITO[0], OKABE_ITO[3], OKABE_ITO[2])
_WIDE, _HIGH = 1.75, 1.75


def plot_classical(points: pd.DataFrame, shares: pd.DataFrame) -> Figure:
    """Plot convergence time and peak words by size, and consensus by committed share.

    Parameters
    ----------
    points : pandas.DataFrame
        One row per graph and size with the columns graph, agents, time and peak; power laws are
        fitted through them.
    shares : pandas.DataFrame
        One row per committed share with the columns share, consensus, low and high.

    Returns
    -------
    matplotlib.figure.Figure
        Three panels.
    """
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    time, peak, tipping = figure.subplots(1, 3)
    _plot_powers(time, points, "time", "Interactions to consensus (median)")
    _plot_powers(peak, points, "peak", "Most words at a time (mean)")
    _plot_shares(tipping, shares)
    return figure


def _plot_powers(axes: Axes, points: pd.DataFrame, column: str, title: str) -> None:
    entries = []
    for (graph, rows), look in zip(points.groupby("graph", sort=False), _LOOKS, strict=False):
        marker, color = look
        exponent, factor = power_law(rows["agents"].to_numpy(float), rows[column].to_numpy(float))
        x = np.array([rows["agents"].min() / 1.3, rows["agents"].max() * 1.3])
        axes.plot(x, factor * x**exponent, color=color, linewidth=1.2)
        axes.plot(rows["agents"], rows[column], marker, color=color, markersize=5)
        handle = Line2D([], [], color=color, marker=marker, linewidth=1.2, markersize=5)
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
    axes.errorbar(
        shares["share"],
        shares["consensus"],
        yerr=[shares["consensus"] - shares["low"], shares["high"] - shares["consensus"]],
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


def success_figure(played: Sequence[Played], recorded: Recorded, against: dict[str, str]) -> Figure:
    """Plot the success rate by round with ten names: here, recorded, and in the classical game."""
    curves = [
        one
        for one in played
        if one.experiment.part == "emergence" and set(one.experiment.names) == set(TEN)
    ]
    minds = [one for one in curves if one.mind != CLASSICAL]
    panels = max(1, len(minds))
    figure = Figure(figsize=(3.4 * panels, 3.2), layout="constrained")
    every = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
    rounds = np.arange(1, ROUNDS + 1)
    for axes, one in zip(every, minds, strict=False):
        for classical in curves:
            if classical.mind == CLASSICAL:
                axes.plot(rounds, classical.success.mean(axis=0), color=GREY, linewidth=1.6)
        low, high = np.quantile(one.success, [0.05, 0.95], axis=0)
        axes.fill_between(rounds, low, high, color=HERE, alpha=0.15, linewidth=0)
        axes.plot(rounds, one.success.mean(axis=0), color=HERE, linewidth=2)
        for known in recorded.emergence:
            model = against.get(one.mind, one.mind)
            if known.model == model and set(known.names) == set(TEN):
                axes.plot(rounds, known.success, color=BEFORE, linestyle=_DASHED, linewidth=1.6)
        share_axis(axes, "success rate" if axes is every[0] else "")
        axes.set_xlabel("population round")
        axes.set_title(plain(one.mind), loc="left", fontsize=10, color=INK)
    entries = [
        (Line2D([], [], color=HERE, linewidth=2), "here (90% of runs)"),
        (Line2D([], [], color=BEFORE, linestyle=_DASHED), "recorded"),
        (Line2D([], [], color=GREY), "classical game"),
    ]
    add_legend(every[0], entries, loc="lower right", fontsize=8)
    return figure


def winners_figure(judged: Sequence[Judged]) -> Figure:
    """Plot the share of populations that the recorded favorite wins, recorded and here."""
    rows = [one.row for one in judged if one.row.part == WHO_WINS][::-1]
    figure = Figure(figsize=(7.5, 0.34 * max(3, len(rows)) + 1), layout="constrained")
    axes = figure.subplots()
    for place, row in enumerate(rows):
        for known, color, shift in ((row.recorded, BEFORE, 0.14), (row.here, HERE, -0.14)):
            if known is not None:
                axes.plot([known.low, known.high], [place + shift] * 2, color=color, linewidth=1.4)
                axes.plot(known.value, place + shift, "o", color=color, markersize=4)
    labels = [plain(f"{row.mind}  {row.what}") for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=8)
    axes.set_xlim(-0.02, 1.02)
    axes.set_xlabel("share of populations, with 95% intervals")
    bare_axes(axes)
    entries = [(_dots(BEFORE), "recorded"), (_dots(HERE), "here")]
    add_legend(axes, entries, loc="upper left", fontsize=8)
    return figure


def critical_figure(played: Sequence[Played]) -> Figure:
    """Plot the share of runs that flip by committed share, a panel for each direction."""
    found = [one for one in flips(played) if len(one.counts) > 1]
    directions = sorted({one.direction for one in found})
    panels = max(1, len(directions))
    figure = Figure(figsize=(4.2 * panels + 2, 3.4), layout="constrained")
    every = figure.subplots(1, panels, squeeze=False, sharey=True)[0]
    minds = sorted({one.mind for one in found}, key=lambda mind: (mind == CLASSICAL, mind))
    colors = dict(zip(minds, _MIND_COLORS, strict=False)) | {CLASSICAL: GREY}
    for axes, direction in zip(every, directions, strict=False):
        for one in found:
            if one.direction == direction:
                _plot_flips(axes, one, colors[one.mind])
        share_axis(axes, "runs that flip in 30 rounds" if axes is every[0] else "")
        axes.set_xlabel("committed share of 24 agents")
        axes.set_title(plain(direction), loc="left", fontsize=10, color=INK)
    entries = [(_dots(colors[mind], 4), mind) for mind in minds]
    add_legend(every[-1], entries, fontsize=8, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def _plot_flips(axes: Axes, one: Flips, color: str) -> None:
    x = np.array(one.counts) / one.agents
    shares = np.array(one.flipped) / one.runs
    low, high = wilson_interval(one.flipped, one.runs)
    axes.plot(x, shares, "o-", color=color, markersize=3.5, linewidth=1.6, clip_on=False)
    axes.fill_between(x, low, high, color=color, alpha=0.2, linewidth=0)


def groups_figure(played: Sequence[Played], people: People) -> Figure:
    """Plot the share of the alternative by round: a row for each mind, a column for each group."""
    found = attacks(played, people)
    minds = list(dict.fromkeys(one.mind for one in found))
    directions = list(dict.fromkeys(one.direction for one in found))
    rows, columns = max(1, len(minds)), max(1, len(people.groups))
    figure = Figure(figsize=(_WIDE * columns, _HIGH * rows + 1), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for number, (mind, row) in enumerate(zip(minds, panels, strict=False)):
        for group, axes in zip(people.groups, row, strict=True):
            for one in found:
                if one.mind == mind and one.group == group:
                    _plot_band(axes, one.curves, _SERIES[directions.index(one.direction) % 3])
            axes.plot(group.alternative, color=_PEOPLE, linewidth=1.3)
            axes.axhline(0.5, color=GREY, linewidth=0.7)
            _rounds_panel(axes, plain(mind) if axes is row[0] else "", group.rounds, 3, 7)
            if number == 0:
                title = f"{group.number}: {group.committed} of {group.agents}"
                axes.set_title(title, loc="left", fontsize=9, color=INK)
        if number == rows - 1:
            row[columns // 2].set_xlabel("rounds played", fontsize=9)
    figure.suptitle(
        "Share of the uncommitted who choose the alternative, by group of people", fontsize=11
    )
    _legend_below(figure, [(_SERIES[at % 3], name) for at, name in enumerate(directions)])
    return figure


def survival_figure(played: Sequence[Played], people: People) -> Figure:
    """Plot the share of conventions still held by a majority (Kaplan and Meier, 1958), by round."""
    found = attacks(played, people)
    minds = list(dict.fromkeys(one.mind for one in found))
    directions = list(dict.fromkeys(one.direction for one in found))
    columns = max(1, len(minds))
    figure = Figure(figsize=(2.6 * columns + 1, 3.2), layout="constrained")
    row = figure.subplots(1, columns, squeeze=False, sharey=True)[0]
    lengths = np.array([group.rounds for group in people.groups])
    seen = [group.rounds if group.majority is None else group.majority for group in people.groups]
    for mind, axes in zip(minds, row, strict=False):
        for at, direction in enumerate(directions):
            side = [one for one in found if (one.mind, one.direction) == (mind, direction)]
            if side:
                _plot_survival(axes, *_lifetimes(side), _SERIES[at % 3])
        _plot_survival(axes, np.array(seen), lengths, _PEOPLE)
        share_axis(axes, "conventions that last" if axes is row[0] else "")
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel("rounds played")
        axes.set_title(plain(mind), loc="left", fontsize=10, color=INK)
    _legend_below(figure, [(_SERIES[at % 3], name) for at, name in enumerate(directions)])
    return figure


def networks_figure(played: Sequence[Played], people: People) -> Figure:
    """Plot the leading name's share by round: a row for each mind, a column for each network."""
    found = emergences(played, people)
    minds = sorted({one.mind for one in found})
    pools = list(dict.fromkeys(one.pool for one in found))
    rows, columns = max(1, len(minds)), max(1, len(people.networks))
    figure = Figure(figsize=(3.4 * columns, 2.1 * rows + 1), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
    for number, (mind, row) in enumerate(zip(minds, panels, strict=False)):
        for network, axes in zip(people.networks, row, strict=True):
            for one in found:
                if one.mind == mind and one.network == network:
                    _plot_band(axes, one.curves, _SERIES[pools.index(one.pool) % 3])
            axes.plot(network.leading, color=_PEOPLE, linewidth=1.4)
            axes.plot(network.reported, color=_PEOPLE, linewidth=0.9, linestyle=(0, (1, 1.5)))
            axes.plot(network.missing, color=GREY, linewidth=1.1, linestyle=(0, (4, 2)))
            rounds = max(len(network.leading), len(network.reported))
            _rounds_panel(axes, plain(mind) if axes is row[0] else "", rounds, 5, 8)
            if number == 0:
                axes.set_title(network.short, loc="left", fontsize=10, color=INK)
            if number == rows - 1:
                axes.set_xlabel("rounds of 24 pairs", fontsize=9)
    figure.suptitle("Share of the leading name, 48 people and 48 minds", fontsize=11)
    other = [
        (Line2D([], [], color=_PEOPLE, linestyle=(0, (1, 1.5))), "people, as reported"),
        (Line2D([], [], color=GREY, linestyle=(0, (4, 2))), "people: no answer"),
    ]
    _legend_below(figure, [(_SERIES[at % 3], name) for at, name in enumerate(pools)], other)
    return figure


def _rounds_panel(axes: Axes, label: str, rounds: int, ticks: int, size: int) -> None:
    """Lay out a small panel of shares by round, with so many numbers of this size below it."""
    share_axis(axes, label)
    axes.set_xlim(0, rounds - 1)
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    axes.tick_params(labelsize=size)


def _legend_below(
    figure: Figure,
    series: Sequence[tuple[str, str]],
    others: Sequence[tuple[Line2D, str]] = (),
) -> None:
    """Add a legend under the panels: people's line, and a color for each series of minds."""
    entries = [(Line2D([], [], color=_PEOPLE, linewidth=1.4), "people"), *others]
    bands = [(Patch(color=color, alpha=0.5), f"minds, {plain(name)}") for color, name in series]
    handles, labels = zip(*entries, *bands, strict=True)
    figure.legend(
        handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9
    )


def _plot_band(axes: Axes, curves: Floats, color: str) -> None:
    """Plot the median and the middle 90% of populations."""
    low, high = np.quantile(curves, _BAND, axis=0)
    rounds = np.arange(curves.shape[1])
    axes.fill_between(rounds, low, high, color=color, alpha=0.22, linewidth=0)
    axes.plot(rounds, np.median(curves, axis=0), color=color, linewidth=1.1)


def _lifetimes(side: Sequence[Attack]) -> tuple[np.ndarray, np.ndarray]:
    lengths = [np.full(len(one.times), one.group.rounds) for one in side]
    return np.concatenate([one.times for one in side]), np.concatenate(lengths)


def _plot_survival(axes: Axes, times: np.ndarray, lengths: np.ndarray, color: str) -> None:
    found = stats.ecdf(stats.CensoredData.right_censored(times, times == lengths)).sf
    x = np.concatenate([[0], found.quantiles])
    axes.step(x, np.concatenate([[1], found.probabilities]), where="post", color=color, lw=1.6)


def validation_figure(found: Sequence[Validated]) -> Figure:
    """Plot the share of runs converged in a panel per condition, and the calibration of all."""
    rows = -(-(len(found) + 1) // _PANELS)
    figure = Figure(figsize=(3.2 * _PANELS, 2.5 * rows), layout="constrained")
    panels = figure.subplots(rows, _PANELS, squeeze=False).flatten()
    for axes, one in zip(panels, found, strict=False):
        _plot_times(axes, one)
    _plot_calibration(panels[len(found)], found)
    for axes in panels[len(found) + 1 :]:
        axes.set_axis_off()
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _plot_times(axes: Axes, one: Validated) -> None:
    for label, runs, color in (
        ("recorded", one.recorded, RECORDED),
        ("simulated", one.simulated, SIMULATED),
    ):
        axes.ecdf(runs.interactions.to_numpy(), color=color, lw=1.6, label=label)
    condition, test = one.condition, p_value(one.time_p_value)
    axes.set_title(f"{condition.model}\n{condition.names}   {test}", fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=6))
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("interactions needed", fontsize=8)
    axes.set_ylabel("share of runs", fontsize=8)
    axes.tick_params(labelsize=7, which="both")
    bare_axes(axes)


def _plot_calibration(axes: Axes, found: Sequence[Validated]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, lw=1)
    for one in found:
        bins = one.calibration[one.calibration["cases"] >= 100]
        axes.plot(bins["given"], bins["chosen"], ".", color=SIMULATED, alpha=0.6, ms=5)
    axes.set_title("calibration, all conditions", fontsize=8)
    axes.set_xlabel("probability given", fontsize=8)
    axes.set_ylabel("share chosen", fontsize=8)
    axes.set_xticks(np.linspace(0, 1, 5))
    axes.tick_params(labelsize=7)
    bare_axes(axes)


def _dots(color: str, size: float | None = None) -> Line2D:
    """Return the sign of a series of points in a legend."""
    return Line2D([], [], color=color, marker="o", markersize=size)


_COLORS = (*OKABE_ITO[:4], *OKABE_ITO[5:8], INK)
_MARKERS = "osD^vP*X"
_COLUMNS = 4


def draw_panels(panels: Sequence[Panel]) -> Figure:
    """Draw the panels of a paper.

    Parameters
    ----------
    panels : sequence of Panel
        What to draw, four in a row.

    Returns
    -------
    matplotlib.figure.Figure
        The figure; below each panel with several series stands a legend.
    """
    columns = min(len(panels), _COLUMNS)
    rows = math.ceil(len(panels) / columns)
    figure = Figure(figsize=(4.6 * columns + 0.4, 4.6 * rows), layout="constrained")
    every = figure.subplots(rows, columns, squeeze=False).flat
    for axes, panel in zip(every, panels, strict=False):
        _draw(axes, panel)
    for axes in list(every)[len(panels) :]:
        axes.set_axis_off()
    return figure


def _draw(axes: Axes, panel: Panel) -> None:
    entries = []
    for number, series in enumerate(panel.series):
        color = _COLORS[number % len(_COLORS)]
        look: dict[str, Any] = {"color": color, "markersize": 4.5, "linewidth": 1.3}
        if len(series.x) <= 30 or not series.line:
            look["marker"] = _MARKERS[number % len(_MARKERS)]
        if not series.line:
            look |= {"linestyle": "none", "markerfacecolor": "none", "markersize": 8}
        (line,) = axes.plot(series.x, series.y, **look)
        if series.low is not None and series.high is not None:
            axes.vlines(series.x, series.low, series.high, color=color, linewidth=1)
        entries.append((line, series.label))
    for where, draw in ((panel.upright, axes.axvline), (panel.level, axes.axhline)):
        if where is not None:
            draw(where, color=GREY, linestyle=(0, (4, 2)), linewidth=1)
    if panel.shares:
        share_axis(axes, panel.y_label)
    else:
        axes.set_ylabel(panel.y_label)
        bare_axes(axes)
    if panel.log_x:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(ScalarFormatter())
    elif panel.ticks:
        axes.set_xticks(range(len(panel.ticks)), panel.ticks, rotation=30, ha="right")
    else:
        whole = all(float(x).is_integer() for series in panel.series for x in series.x)
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=whole))
    if panel.x_label.endswith("share"):
        axes.xaxis.set_major_formatter(PercentFormatter(1))
    if panel.log_y:
        axes.set_yscale("log")
    axes.set_xlabel(panel.x_label)
    axes.set_title(panel.title, loc="left", color=INK, fontsize=11)
    if len(entries) == 1:
        return
    add_legend(axes, entries, loc="upper center", bbox_to_anchor=(0.5, -0.16), fontsize=8, ncols=2)
