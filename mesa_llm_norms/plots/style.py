"""How figures look and are written: dashes, patterns, axes, legends, PNG and SVG.

The colours are those of ``palette``.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mesa_llm_norms.networks.drawing import name_colors, shade_step

_DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))

_HATCHES = ("", "///", "...", "xxx")


def line_style(pool: Sequence[str], name: str) -> dict[str, Any]:
    """Return what matplotlib is told about a name's line: its colour, dashes and width (points)."""
    return {
        "color": name_colors(pool)[name],
        "linestyle": _DASHES[shade_step(list(pool).index(name))],
        "linewidth": 2.2,
    }


def hatch(pool: Sequence[str], name: str) -> str:
    """Return the pattern of a name's bar, which tells shades of one colour apart."""
    return _HATCHES[shade_step(list(pool).index(name))]


def share_axis(axes: Axes, label: str) -> None:
    """Let the vertical axis show shares, from 0 to 100%."""
    axes.set_ylim(0, 1)
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.8)
    axes.set_axisbelow(True)
    bare_axes(axes)


def bare_axes(axes: Axes) -> None:
    """Take the frame off the top and the right."""
    axes.spines[["top", "right"]].set_visible(False)


def add_legend(axes: Axes, entries: Sequence[tuple[Any, str]], **options: Any) -> None:
    """Put a legend on; labels are set afterwards, for matplotlib hides those that begin with _."""
    if not entries:
        return
    handles = [handle for handle, _ in entries]
    legend = axes.legend(handles, ["x"] * len(entries), frameon=False, **options)
    for text, (_, label) in zip(legend.get_texts(), entries, strict=True):
        text.set_text(plain(shorten(label, 24)))


def shorten(text: str, length: int = 14) -> str:
    """Return a text of at most ``length`` characters, cut short with an ellipsis."""
    return text if len(text) <= length else text[: length - 1] + "…"


def plain(text: str) -> str:
    """Keep a dollar sign in a name from being read as mathematics."""
    return text.replace("$", r"\$")


def save_figure(figure: Figure, path: Path) -> tuple[Path, Path]:
    """Write ``path`` as .png and as .svg, these added to its name; return the two paths."""
    both = path.with_name(path.name + ".png"), path.with_name(path.name + ".svg")
    for one in both:
        write_figure(figure, one)
    return both


def write_figure(figure: Figure, path: Path) -> None:
    """Write a .png or .svg file."""
    path.write_bytes(figure_bytes(figure, path.suffix.lower().removeprefix(".")))


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as a ``png`` or ``svg`` file; the same one gives the same bytes, undated."""
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    file = io.BytesIO()
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "mesa_llm_norms"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(file, format=kind, dpi=150, metadata=metadata, facecolor="white")
    return file.getvalue()
