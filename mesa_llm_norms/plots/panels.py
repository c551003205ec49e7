"""The figure of a paper that was played again: its panels side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter, ScalarFormatter

from mesa_llm_norms.networks.drawing import GREY, INK, OKABE_ITO
from mesa_llm_norms.plots.style import add_legend, bare_axes, share_axis
from mesa_llm_norms.reproduction.papers.paper import Panel

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
