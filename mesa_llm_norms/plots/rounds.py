"""One run over its population rounds: the success rate, and the share of each name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mesa_llm_norms.metrics import Round
from mesa_llm_norms.palette import GREY, INK
from mesa_llm_norms.plots.style import add_legend, line_style, plain, share_axis, shorten

LEADING = 8
"""How many names are told apart in a figure over time."""


def plot_rounds(rounds: Sequence[Round], pool: Sequence[str]) -> Figure:
    """Return the success rate (top) and the share of each leading name (below) by round of a run.

    The eight names that were ever played most are told apart, the others are grey.
    """
    figure = Figure(figsize=(9, 5.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
    x = np.array([one.number + 1 for one in rounds])
    marker = "o" if len(x) <= 40 else ""
    success = [one.success_rate for one in rounds]
    upper.plot(x, success, color=INK, linewidth=2, marker=marker, markersize=4, clip_on=False)
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
    share_axis(upper, "success rate")
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
    """Write the names that end with a share worth telling beside the ends of their lines."""
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
