"""Figures of people beside minds: ten groups, how long conventions last, three networks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from scipy import stats

from mesa_llm_norms.networks.drawing import GREY, INK, OKABE_ITO
from mesa_llm_norms.plots.style import plain, share_axis
from mesa_llm_norms.reproduction.observed import People
from mesa_llm_norms.reproduction.people import Attack, Floats, attacks, emergences
from mesa_llm_norms.reproduction.protocol import Played

_BAND = (0.05, 0.95)
_PEOPLE = "#000000"
_SERIES = (OKABE_ITO[0], OKABE_ITO[3], OKABE_ITO[2])
_WIDE, _HIGH = 1.75, 1.75


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
            share_axis(axes, plain(mind) if axes is row[0] else "")
            axes.set_xlim(0, group.rounds - 1)
            axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
            axes.tick_params(labelsize=7)
            if number == 0:
                title = f"{group.number}: {group.committed} of {group.agents}"
                axes.set_title(title, loc="left", fontsize=9, color=INK)
        if number == rows - 1:
            row[columns // 2].set_xlabel("rounds played", fontsize=9)
    figure.suptitle(
        "Share of the uncommitted who choose the alternative, by group of people", fontsize=11
    )
    _add_legend(figure, [(_SERIES[at % 3], name) for at, name in enumerate(directions)])
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
    _add_legend(figure, [(_SERIES[at % 3], name) for at, name in enumerate(directions)])
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
            share_axis(axes, plain(mind) if axes is row[0] else "")
            axes.set_xlim(0, max(len(network.leading), len(network.reported)) - 1)
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.tick_params(labelsize=8)
            if number == 0:
                axes.set_title(network.short, loc="left", fontsize=10, color=INK)
            if number == rows - 1:
                axes.set_xlabel("rounds of 24 pairs", fontsize=9)
    figure.suptitle("Share of the leading name, 48 people and 48 minds", fontsize=11)
    other = [
        (Line2D([], [], color=_PEOPLE, linestyle=(0, (1, 1.5))), "people, as reported"),
        (Line2D([], [], color=GREY, linestyle=(0, (4, 2))), "people: no answer"),
    ]
    _add_legend(figure, [(_SERIES[at % 3], name) for at, name in enumerate(pools)], other)
    return figure


def _add_legend(
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
