"""How figures look and are written: colours, dashes, axes, legends, PNG and SVG.

Colours are those of Okabe and Ito, which people with any colour vision tell apart; a pool of more
than eight names goes on with lighter shades, and lines with dashes. A name's colour depends on its
place in the pool alone, so that it is the same in every figure of a run.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

OKABE_ITO = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#009E73",  # green
    "#D55E00",  # vermillion
    "#56B4E9",  # sky
    "#CC79A7",  # purple
    "#F0E442",  # yellow
    "#000000",  # black
)
GREY = "#B8B8B8"
INK = "#222222"

_SHADES = (0.0, 0.5, 0.28, 0.68)
_DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
_HATCHES = ("", "///", "...", "xxx")


def name_colours(pool: Sequence[str]) -> dict[str, str]:
    """Return the colour of each name of ``pool``, by its place; after 32 names they come again."""
    return {name: _shade(place) for place, name in enumerate(pool)}


def line_style(pool: Sequence[str], name: str) -> dict[str, Any]:
    """Return what matplotlib is told about a name's line: its colour, dashes and width (points)."""
    return {
        "color": name_colours(pool)[name],
        "linestyle": _DASHES[_step(pool, name)],
        "linewidth": 2.2,
    }


def hatch(pool: Sequence[str], name: str) -> str:
    """Return the pattern of a name's bar, which tells shades of one colour apart."""
    return _HATCHES[_step(pool, name)]


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
    """Write a .png or .svg file; the same figure gives the same bytes, with no date in them."""
    kind = path.suffix.lower().removeprefix(".")
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "mesa_llm_norms"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(path, format=kind, dpi=150, metadata=metadata, facecolor="white")


def _step(pool: Sequence[str], name: str) -> int:
    """Return how often the colours have come round before a name's place in the pool."""
    return list(pool).index(name) // len(OKABE_ITO) % len(_SHADES)


def _shade(place: int) -> str:
    base = OKABE_ITO[place % len(OKABE_ITO)]
    towards_white = _SHADES[place // len(OKABE_ITO) % len(_SHADES)]
    red, green, blue = (channel + (1 - channel) * towards_white for channel in to_rgb(base))
    return to_hex((red, green, blue))
