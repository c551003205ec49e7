"""The figure of a sweep: how long, how often, and which names, over the axes of its grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.networks.drawing import GREY, INK, OKABE_ITO, name_colors
from mesa_llm_norms.plots.style import bare_axes, hatch, line_style, plain, share_axis, shorten

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.sweeps import Sweep

MOST_KINDS = 8

MOST_COLUMNS = 12

MOST_NAMES = 12

MOST_LINES = 4
"""How many names are drawn along a numeric axis: those that won most."""

_MARKERS = "osD^vPX*"

# Names have the colors of Okabe and Ito from blue on; these begin elsewhere.
_COLORS = tuple(OKABE_ITO[place] for place in (7, 3, 2, 5, 4, 0, 1, 6))


class Dimension(NamedTuple):
    """An axis of the grid: its column, its labels, and these as numbers where they are some."""

    column: str
    labels: tuple[Any, ...]
    numbers: tuple[float, ...] | None
    unit: str


class Arrangement(NamedTuple):
    """Which axis goes where; None where there are no more that vary."""

    x: Dimension
    kind: Dimension | None
    columns: Dimension | None
    rows: Dimension | None


def plot_sweep(sweep: Sweep) -> Figure:
    """Draw interactions to the goal, the share of runs that reached it, and the names that won.

    The x-axis is a numeric axis of the grid, else the one with the most values; the next axis is
    shown by color and marker, and up to two more by panels. A median beyond what was played is an
    open triangle at the top. What is empty in all panels, such as times where runs had no goal, and
    panels without cells are left out.

    Parameters
    ----------
    sweep : Sweep
        A sweep with at least one finished cell.

    Returns
    -------
    matplotlib.figure.Figure
        The figure.

    Raises
    ------
    SpecError
        For a grid with more axes or values than can be shown, and where nothing was played.
    """
    cells = sweep.cells
    if cells.empty:
        raise SpecError("sweep", sweep, "nothing was played yet", "Play it first.")
    arranged = arrange([_dimension(axis) for axis in sweep.record["axes"]])
    columns = arranged.columns.labels if arranged.columns else (None,)
    rows = arranged.rows.labels if arranged.rows else (None,)
    pool = [str(name)[4:] for name in cells.columns if str(name).startswith("won_")]
    names = _winners(cells, pool, MOST_NAMES if arranged.x.numbers is None else MOST_LINES)
    timed = bool(cells["median"].notna().any())
    kinds = 1 + timed + bool(names)
    width = min(16.0, max(4.2, 1.8 + _crowd(arranged) * 0.16))
    figure = Figure(
        figsize=(min(40.0, width * len(columns) + 2.4), 2.7 * kinds * len(rows) + 1.2),
        layout="constrained",
    )
    grid: Any = figure.subplots(kinds * len(rows), len(columns), squeeze=False, sharex=True)
    for place, row in enumerate(rows):
        here = _where(cells, arranged.rows, row)
        times = _times(here)
        for side, column in enumerate(columns):
            some = _where(here, arranged.columns, column)
            panels = list(grid[kinds * place : kinds * (place + 1), side])
            if some.empty:
                for axes in panels:
                    axes.set_visible(False)
                continue
            panels[0].set_title(_title(arranged, row, column), loc="left", color=INK)
            if timed:
                _plot_times(panels.pop(0), some, arranged, times)
            _plot_shares(panels.pop(0), some, arranged)
            if names:
                _plot_names(panels.pop(0), some, arranged, pool, names)
    for line in grid:
        for axes in [axes for axes in line if axes.get_visible()][1:]:
            axes.set_ylabel("")
            axes.tick_params(labelleft=False, which="both")
    for line in grid.T:
        lowest = [axes for axes in line if axes.get_visible()][-1:]
        for axes in lowest:
            _label_x(axes, arranged)
            axes.set_xlabel(plain(arranged.x.unit or arranged.x.column))
            axes.tick_params(labelbottom=True)
    _add_legends(figure, arranged, names, pool, _others(cells, pool, names))
    return figure


def arrange(dimensions: Sequence[Dimension]) -> Arrangement:
    """Return which axis goes where."""
    left = [one for one in dimensions if len(one.labels) > 1]
    if not left:
        return Arrangement(Dimension("", ("",), None, ""), None, None, None)
    numeric = [one for one in left if one.numbers is not None and len(one.labels) > 2]
    x = max(numeric or left, key=lambda one: len(one.labels))
    left.remove(x)
    left.sort(key=lambda one: -len(one.labels))
    kind = next((one for one in left if len(one.labels) <= MOST_KINDS), None)
    if kind is not None:
        left.remove(kind)
    columns = left.pop(0) if left else None
    rows = left.pop(0) if left else None
    many = columns is not None and len(columns.labels) > MOST_COLUMNS
    if left or many or (rows is not None and len(rows.labels) > MOST_KINDS):
        raise SpecError(
            "grid",
            len(dimensions),
            "there are more axes, or more values on them, than a figure can show",
            f"Four axes can be shown, the smaller ones of up to {MOST_KINDS} values.",
        )
    return Arrangement(x, kind, columns, rows)


def _dimension(axis: Any) -> Dimension:
    numbers = axis["numbers"]
    return Dimension(
        axis["column"],
        tuple(axis["labels"]),
        None if numbers is None else tuple(numbers),
        axis["unit"],
    )


def _crowd(arranged: Arrangement) -> int:
    """Return how many marks stand side by side in a panel."""
    kinds = len(arranged.kind.labels) if arranged.kind else 1
    if arranged.x.numbers is not None:
        return 2 * len(arranged.x.labels)
    return len(arranged.x.labels) * max(2, kinds)


def _where(cells: pd.DataFrame, dimension: Dimension | None, label: Any) -> pd.DataFrame:
    return cells if dimension is None else cells[cells[dimension.column] == label]


def _series(
    cells: pd.DataFrame, arranged: Arrangement
) -> Iterator[tuple[int, str, pd.DataFrame, Any]]:
    """Yield each kind's number, color, rows in the order of x, and where on x they stand."""
    kinds = arranged.kind.labels if arranged.kind else (None,)
    order = {label: place for place, label in enumerate(arranged.x.labels)}
    for number, label in enumerate(kinds):
        some = _where(cells, arranged.kind, label)
        if arranged.x.column:
            places = some[arranged.x.column].map(order).to_numpy(dtype=int)
        else:
            places = np.zeros(len(some), dtype=int)
        if arranged.x.numbers is None:
            x = places + (number - (len(kinds) - 1) / 2) * _step(arranged)
        else:
            x = np.array(arranged.x.numbers)[places]
            some, x = some.iloc[np.argsort(x)], np.sort(x)
        yield number, _COLORS[number % len(_COLORS)], some, x


def _step(arranged: Arrangement) -> float:
    kinds = len(arranged.kind.labels) if arranged.kind else 1
    return 0.8 / kinds if arranged.x.numbers is None else 0.0


def _line(number: int, color: str, arranged: Arrangement) -> dict[str, Any]:
    """Return how a kind's values are drawn: joined where x is a number."""
    return {
        "color": color,
        "marker": _MARKERS[number % 8],
        "markersize": 5,
        "linestyle": "-" if arranged.x.numbers is not None else "none",
        "linewidth": 1.4,
    }


def _times(cells: pd.DataFrame) -> NDArray[np.float64]:
    """Return all finite times, which decide the axis that panels in a row share."""
    times = cells[["median", "median_low", "median_high"]].to_numpy(dtype=float)
    finite: NDArray[np.float64] = times[np.isfinite(times) & (times > 0)]
    return finite


def _plot_times(
    axes: Axes, cells: pd.DataFrame, arranged: Arrangement, finite: NDArray[np.float64]
) -> None:
    top = finite.max() * 1.3 if len(finite) else 1.0
    for number, color, some, x in _series(cells, arranged):
        median, low, high = (
            some[f"median{end}"].to_numpy(dtype=float) for end in ("", "_low", "_high")
        )
        beyond = np.isinf(median)
        middle = np.where(np.isfinite(median), median, np.nan)  # which breaks the line
        spread = np.array([middle - low, np.where(np.isfinite(high), high, top) - middle])
        axes.errorbar(
            x,
            middle,
            spread,
            **_line(number, color, arranged),
        )
        axes.plot(
            x[beyond],
            np.full(beyond.sum(), 0.97 - 0.05 * number),
            linestyle="none",
            marker="^",
            markersize=6,
            markerfacecolor="white",
            markeredgecolor=color,
            transform=axes.get_xaxis_transform(),
        )
    if len(finite) and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
        axes.set_ylim(finite.min() / 1.5, top * 1.6)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif len(finite):
        axes.set_ylim(0, top * 1.15)
    else:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center", color=INK)
        axes.set_ylim(0, 1)
        axes.set_yticks([])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    goals = {_GOALS[event] for event in cells["event"]}
    goal = goals.pop() if len(goals) == 1 else "reach the goal"
    axes.set_ylabel(f"interactions to {goal}\n(median, 95% interval)")
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    bare_axes(axes)


_GOALS = {"converged": "converge", "agreed": "agree", "flipped": "flip"}


def _plot_shares(axes: Axes, cells: pd.DataFrame, arranged: Arrangement) -> None:
    numeric = arranged.x.numbers is not None
    for number, color, some, x in _series(cells, arranged):
        share = some["share"].to_numpy()
        spread = np.array([share - some["share_low"], some["share_high"] - share]).clip(0)
        axes.errorbar(
            x,
            share,
            spread,
            **_line(number, color, arranged),
            clip_on=False,
        )
        axes.plot(
            x,
            some["one_name"],
            **_line(number, color, arranged) | {"linestyle": ":" if numeric else "none"},
            markerfacecolor="white",
            clip_on=False,
        )
    events = set(cells["event"])
    event = events.pop() if len(events) == 1 else "reached the goal"
    share_axis(axes, f"runs that {event}")
    axes.set_ylim(-0.02, 1.02)


def _plot_names(
    axes: Axes,
    cells: pd.DataFrame,
    arranged: Arrangement,
    pool: Sequence[str],
    names: Sequence[str],
) -> None:
    colors, others = name_colors(pool), _others(cells, pool, names)
    for number, color, some, x in _series(cells, arranged):
        marker = _MARKERS[number % 8]
        if arranged.x.numbers is not None:
            for name in names:
                style = line_style(pool, name) | {"linewidth": 1.6}
                axes.plot(x, some[f"won_{name}"], marker=marker, markersize=5, **style)
            if others:
                rest = some[[f"won_{name}" for name in others]].sum(axis=1, min_count=1)
                axes.plot(x, rest, marker=marker, markersize=5, color=GREY, linewidth=1.6)
            continue
        bottom = np.zeros(len(some))
        for name in (*names, *others):
            height = some[f"won_{name}"].fillna(0).to_numpy(dtype=float)
            axes.bar(
                x,
                height,
                _step(arranged) * 0.88,
                bottom,
                color=GREY if name in others else colors[name],
                hatch="" if name in others else hatch(pool, name),
                edgecolor="white",
                linewidth=0.3,
            )
            bottom += height
        if arranged.kind is not None:
            axes.plot(x, np.full(len(x), -0.055), marker, color=color, markersize=4, clip_on=False)
    share_axis(axes, "runs won, by name")
    if arranged.x.numbers is None and arranged.kind is not None:
        axes.set_ylim(-0.1, 1)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
    else:
        axes.set_ylim(-0.02, 1.02)


def _label_x(axes: Axes, arranged: Arrangement) -> None:
    x = arranged.x
    if x.numbers is None:
        labels = [plain(shorten(str(label), 30)) for label in x.labels]
        long = max(map(len, labels)) > 6 and len(labels) > 1
        axes.set_xticks(
            range(len(labels)),
            labels,
            rotation=38 if long else 0,
            ha="right" if long else "center",
            rotation_mode="anchor",
        )
        axes.set_xlim(-0.6, len(labels) - 0.4)
        return
    least, most = min(x.numbers), max(x.numbers)
    if least > 0 and most > 20 * least:
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
    if len(x.numbers) <= 8:
        axes.set_xticks(x.numbers, [f"{number:,g}" for number in x.numbers])


def _title(arranged: Arrangement, row: Any, column: Any) -> str:
    words = []
    for dimension, label in ((arranged.rows, row), (arranged.columns, column)):
        if dimension is not None:
            number = isinstance(label, (int, float))
            words.append(f"{dimension.column} {label}" if number else str(label))
    return plain(shorten(", ".join(words), 46))


def _winners(cells: pd.DataFrame, pool: Sequence[str], limit: int) -> list[str]:
    """Return the names that won anywhere, and of more than ``limit`` those that won most."""
    won = {name: float(np.nansum(cells[f"won_{name}"].to_numpy(float))) for name in pool}
    best = sorted((name for name in pool if won[name] > 0), key=lambda name: -won[name])[:limit]
    return [name for name in pool if name in best]


def _others(cells: pd.DataFrame, pool: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return the names that won somewhere and have no color of their own."""
    return [
        name
        for name in pool
        if name not in names and np.nansum(cells[f"won_{name}"].to_numpy(float)) > 0
    ]


def _add_legends(
    figure: Figure,
    arranged: Arrangement,
    names: Sequence[str],
    pool: Sequence[str],
    others: Sequence[str],
) -> None:
    labels = arranged.kind.labels if arranged.kind is not None else ()
    marks = [
        Line2D([], [], color=_COLORS[n % 8], marker=_MARKERS[n % 8], markersize=5)
        for n in range(len(labels))
    ]
    style: Any = ":" if arranged.x.numbers is not None else "none"
    marks.append(
        Line2D([], [], color=INK, linestyle=style, marker=_MARKERS[0], markerfacecolor="white")
    )
    title = arranged.kind.column if arranged.kind is not None else ""
    _legend(figure, marks, [*labels, "runs that ended with one name"], title, "outside right upper")
    if names:
        handles: list[Any] = [
            Line2D([], [], **line_style(pool, name))
            if arranged.x.numbers is not None
            else Patch(facecolor=name_colors(pool)[name], hatch=hatch(pool, name), edgecolor="w")
            for name in names
        ]
        shown = list(names)
        if others:
            line = arranged.x.numbers is not None
            handles.append(Line2D([], [], color=GREY) if line else Patch(facecolor=GREY))
            shown.append(f"{len(others)} other name" + "s" * (len(others) > 1))
        _legend(figure, handles, shown, "name", "outside right lower")


def _legend(
    figure: Figure, handles: Sequence[Any], labels: Sequence[Any], title: str, place: Any
) -> None:
    legend = figure.legend(
        handles, ["x"] * len(handles), loc=place, frameon=False, title=title, alignment="left"
    )
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(plain(shorten(str(label), 30)))
