"""An audit as a figure: what individuals choose, what groups settle on, and how size matters."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from mesa_llm_norms.audits.nulls import DRIFT, FIRST, collective
from mesa_llm_norms.audits.result import Audit
from mesa_llm_norms.audits.sizes import SizeCurve
from mesa_llm_norms.palette import GREY, INK, OKABE_ITO, name_colours
from mesa_llm_norms.plots.style import (
    add_legend,
    line_style,
    plain,
    share_axis,
    shorten,
)
from mesa_llm_norms.statistics import Estimate

MOST_NAMES = 26
"""How many names are drawn side by side; of more, those that won most often."""
MOST_LINES = 4
"""How many names have a line in the curve by size."""
_INDIVIDUAL, _EXPLAINED, _DRIFT, _GROUP = (OKABE_ITO[n] for n in (0, 1, 2, 3))


def plot_audit(audit: Audit) -> Figure:
    """Return a panel with shares by name and, if sizes were played, one with shares by size."""
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
    for null, label, marker, colour in (
        (FIRST, "null: first choices", "s", _EXPLAINED),
        (DRIFT, "null: classical drift", "D", _DRIFT),
    ):
        for one in audit.comparisons:
            if one.null == null:
                played = collective(one.played, 1 - audit.level)
                points = [played.of(it).share for it in names]
                rows.append((label, marker, colour, points))
    if winners is not None and audit.played is not None:
        label = f"winners, {audit.played.agents:,} agents"
        rows.append((label, "^", _GROUP, [winners.of(it).share for it in names]))
    fair = 1 / len(audit.individual.pool)
    axes.axhline(fair, color=GREY, linewidth=1.2, zorder=0)
    entries = []
    for place, (label, marker, colour, points) in enumerate(rows):
        shift = 0.16 * (place - (len(rows) - 1) / 2)
        x = [number + shift for number in range(len(names))]
        _dots(axes, x, points, marker, colour)
        entries.append((Line2D([], [], color=colour, marker=marker, linestyle=""), label))
    entries.append((Line2D([], [], color=GREY), "equal shares"))
    axes.set_xticks(range(len(names)), [plain(shorten(name)) for name in names])
    axes.set_xlim(-0.6, len(names) - 0.4)
    share_axis(axes, "share")
    axes.set_title("By name", loc="left", color=INK)
    add_legend(axes, entries, loc="best", fontsize=8)


def _dots(
    axes: Axes, x: Sequence[float], points: Sequence[Estimate], marker: str, colour: str
) -> None:
    values = [point.value for point in points]
    below = [max(0.0, point.value - point.low) for point in points]
    above = [max(0.0, point.high - point.value) for point in points]
    axes.errorbar(
        x,
        values,
        yerr=[below, above],
        fmt=marker,
        color=colour,
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
        color=name_colours(pool)[curve.strong],
        linestyle=(0, (1, 1)),
        linewidth=1.4,
    )
    entries.append(
        (
            Line2D([], [], color=name_colours(pool)[curve.strong], linestyle=(0, (1, 1))),
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
