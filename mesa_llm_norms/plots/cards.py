"""Figures of mind cards: one mind, or several side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from mesa_llm_norms.experiments.cards import MindCard
from mesa_llm_norms.experiments.cards.card import InfinitePopulation
from mesa_llm_norms.experiments.cards.measures import HEARD, Reaction, reaction_alone
from mesa_llm_norms.networks.drawing import GREY, INK, OKABE_ITO
from mesa_llm_norms.plots.style import add_legend, bare_axes, plain, share_axis, shorten

_COLORS = OKABE_ITO[:6] + OKABE_ITO[7:]
_MARKERS = "osD^vPX<*p"

MOST_CARDS = 8
"""How many minds a figure tells apart."""

_WHEN = ("after one", "after two", "one, in a\nconvention", "two, in a\nconvention")


def plot_cards(cards: Sequence[MindCard]) -> Figure:
    """Draw the response, the reactions to misses, the winners by size and the critical masses.

    A panel is left out where none of the minds has what it shows.

    Parameters
    ----------
    cards : sequence of MindCard
        At most eight cards of minds that play the same names.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    panels: list[Callable[[Axes, Sequence[MindCard]], None]] = [_draw_reactions]
    if any(isinstance(card.infinite, InfinitePopulation) for card in cards):
        panels = [_draw_responses, _draw_reactions, _draw_critical]
    if any(card.audit.sizes is not None for card in cards):
        panels.insert(2, _draw_sizes)
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5.2 * columns, 3.7 * rows))
    figure.set_layout_engine("constrained", h_pad=0.12, w_pad=0.1)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for draw, one in zip(panels, axes, strict=False):
        draw(one, cards)
    for one in axes[len(panels) :]:
        one.remove()
    keys = [
        (Line2D([], [], color=_COLORS[place], marker=_MARKERS[place], markersize=5), card.mind)
        for place, card in enumerate(cards)
    ]
    legend = figure.legend(
        [key for key, _ in keys],
        [plain(shorten(label, 34)) for _, label in keys],
        loc="outside upper left",
        ncols=min(len(keys), 2 * columns if columns > 1 else 1, 3),
        frameon=False,
    )
    legend.set_in_layout(True)
    return figure


def _draw_responses(axes: Axes, cards: Sequence[MindCard]) -> None:
    pool = cards[0].pool
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, zorder=0)
    for place, card in enumerate(cards):
        if isinstance(card.infinite, str):
            continue
        found = card.infinite.conformity
        at = np.linspace(0, 1, 200)
        axes.plot(at, found.fitted(at), color=_COLORS[place], linewidth=1, linestyle=(0, (2, 1.5)))
        axes.plot(
            HEARD,
            found.response,
            color=_COLORS[place],
            marker=_MARKERS[place],
            markersize=3,
            markevery=2,
            linewidth=1.6,
        )
    share_axis(axes, f"plays {plain(shorten(pool[0]))}")
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel(f"partners who play {plain(shorten(pool[0]))}")
    axes.set_title("Long-run response", loc="left", color=INK)
    styles = [
        (Line2D([], [], color=INK, linewidth=1.6), "the mind"),
        (Line2D([], [], color=INK, linewidth=1, linestyle=(0, (2, 1.5))), "fitted: beta and h"),
    ]
    add_legend(axes, styles, loc="upper left", fontsize=8)


def _draw_reactions(axes: Axes, cards: Sequence[MindCard]) -> None:
    width = 0.8 / len(cards)
    for place, card in enumerate(cards):
        individual = card.audit.individual
        found: list[Reaction | None] = [
            *(reaction_alone(individual, misses) for misses in (1, 2)),
            *card.convention,
        ]
        at = [
            (number + (place - (len(cards) - 1) / 2) * width, one)
            for number, one in enumerate(found)
            if one is not None
        ]
        x = [where for where, _ in at]
        keep = np.array([one.keep for _, one in at])
        color = _COLORS[place]
        axes.bar(x, keep, width=0.86 * width, color=color)
        copied = [one.copy for _, one in at]
        axes.bar(x, copied, width=0.86 * width, bottom=keep, color=color, alpha=0.3)
    share_axis(axes, "decisions")
    axes.set_xticks(range(len(_WHEN)), _WHEN, fontsize=8)
    axes.set_title("After a miss: keeps (full), copies (pale)", loc="left", color=INK)


def _draw_sizes(axes: Axes, cards: Sequence[MindCard]) -> None:
    sizes: list[int] = []
    strong = {card.audit.sizes.strong for card in cards if card.audit.sizes is not None}
    for place, card in enumerate(cards):
        curve = card.audit.sizes
        if curve is None:
            continue
        sizes = [point.played.agents for point in curve.points]
        name = sorted(strong)[0] if len(card.pool) == 2 and len(strong) == 1 else curve.strong
        shares = [point.preference.of(name).share for point in curve.points]
        color = _COLORS[place]
        values = [one.value for one in shares]
        axes.plot(sizes, values, color=color, marker=_MARKERS[place], markersize=4, linewidth=1.6)
        axes.fill_between(
            sizes,
            [one.low for one in shares],
            [one.high for one in shares],
            color=color,
            alpha=0.12,
            linewidth=0,
        )
        first = card.audit.individual.first.of(name).share.value
        axes.axhline(first, color=color, linestyle=(0, (1, 1)), linewidth=1.2)
        if len(strong) > 1:
            axes.annotate(
                plain(shorten(name)),
                (sizes[-1], values[-1]),
                (4, 0),
                textcoords="offset points",
                va="center",
                fontsize=8,
                color=color,
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    share_axis(axes, "populations won")
    axes.set_xlabel("agents (dotted: first choices of one)")
    wins = f"{plain(shorten(min(strong)))} wins" if len(strong) == 1 else "The strong name wins"
    axes.set_title(f"{wins}, by size", loc="left", color=INK)


def _draw_critical(axes: Axes, cards: Sequence[MindCard]) -> None:
    pool = cards[0].pool
    ways = ((pool[0], pool[1]), (pool[1], pool[0]))
    width = 0.8 / len(cards)
    most = 0.0
    for place, card in enumerate(cards):
        if isinstance(card.infinite, str):
            continue
        found = {(one.incumbent, one.challenger): one.share for one in card.infinite.critical}
        at = [number + (place - (len(cards) - 1) / 2) * width for number in range(2)]
        shares = [found[way] for way in ways]
        most = max(most, *shares)
        axes.barh(at, shares, height=0.86 * width, color=_COLORS[place])
        for where, share in zip(at, shares, strict=True):
            axes.annotate(
                f"{share:.1%}",
                (share, where),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=7,
            )
    axes.set_yticks(
        range(2),
        [f"{plain(shorten(one))} falls\nto {plain(shorten(other))}" for one, other in ways],
        fontsize=8,
    )
    axes.set_ylim(1.5, -0.5)
    axes.set_xlim(0, min(1.12, max(1.15 * most, 0.1)))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlabel("share of agents committed")
    axes.set_title("Critical mass, infinite population", loc="left", color=INK)
    bare_axes(axes)
