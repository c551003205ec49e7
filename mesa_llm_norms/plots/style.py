"""How figures look and are written: dashes, patterns, axes, legends, PNG and SVG.

The colors are those of ``networks.drawing``.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import PercentFormatter

from mesa_llm_norms.errors import some
from mesa_llm_norms.networks.drawing import name_colors, shade_step

_DASHES = ("solid", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))

_HATCHES = ("", "///", "...", "xxx")


def line_style(pool: Sequence[str], name: str) -> dict[str, Any]:
    """Return the matplotlib properties of a name's line: color, dashes and width in points."""
    return {
        "color": name_colors(pool)[name],
        "linestyle": _DASHES[shade_step(list(pool).index(name))],
        "linewidth": 2.2,
    }


def hatch(pool: Sequence[str], name: str) -> str:
    """Return the pattern of a name's bar, which tells shades of one color apart."""
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
    """Remove the frame at the top and on the right."""
    axes.spines[["top", "right"]].set_visible(False)


def add_legend(axes: Axes, entries: Sequence[tuple[Any, str]], **options: Any) -> None:
    """Add a legend; labels are set afterwards, as matplotlib hides those that begin with _."""
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
    """Write a figure as PNG and as SVG.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : Path
        Where to write it, without the endings ``.png`` and ``.svg``.

    Returns
    -------
    (Path, Path)
        The two files.
    """
    both = path.with_name(path.name + ".png"), path.with_name(path.name + ".svg")
    for one in both:
        write_figure(figure, one)
    return both


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure into a file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : Path
        A file that ends in ``.png`` or ``.svg``.
    """
    path.write_bytes(figure_bytes(figure, path.suffix.lower().removeprefix(".")))


def figure_bytes(figure: Figure, kind: str) -> bytes:
    """Return a figure as the contents of a file, without a date: equal figures give equal bytes.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    kind : str
        ``"png"`` or ``"svg"``.

    Returns
    -------
    bytes
        The file.
    """
    written, lacking = _drawn(figure, kind)
    if lacking:
        families, boxes = _fonts_with("".join(sorted(lacking)))
        if families:
            for text in figure.findobj(Text):
                if not lacking.isdisjoint(text.get_text()):
                    text.set_fontfamily([*text.get_fontfamily(), *families])
            written, _ = _drawn(figure, kind)
        if boxes:
            warnings.warn(
                f"figures show boxes instead of {some(boxes)}: no font on this computer has them. "
                "Install one that does, such as Noto Sans CJK.",
                stacklevel=3,
            )
    return written


def _drawn(figure: Figure, kind: str) -> tuple[bytes, set[str]]:
    """Return a figure as the contents of a file, and the characters that its fonts lack."""
    metadata: dict[str, Any] = {"Date": None} if kind == "svg" else {"Software": None}
    file, lacking = io.BytesIO(), set[str]()

    show = warnings.showwarning

    def note(message: Warning | str, *rest: Any, **named: Any) -> None:
        found = re.match(r"Glyph (\d+) .* missing from", str(message))
        if found:
            lacking.add(chr(int(found[1])))
        else:
            show(message, *rest, **named)

    with warnings.catch_warnings(), mpl.rc_context({"svg.hashsalt": "mesa_llm_norms"}):
        warnings.filterwarnings("always", message="Glyph .* missing from")
        warnings.showwarning = note
        figure.savefig(file, format=kind, dpi=150, metadata=metadata, facecolor="white")
    return file.getvalue(), lacking


@cache
def _fonts_with(characters: str) -> tuple[list[str], list[str]]:
    """Return installed fonts that have these characters between them, and what none of them has."""
    families, wanted = list[str](), set(characters)
    for entry in sorted(font_manager.fontManager.ttflist, key=lambda entry: entry.name):
        if not wanted:
            break
        if entry.name.lstrip(".").replace(" ", "").startswith("LastResort"):
            continue  # which has a box for every character there is
        with suppress(OSError, RuntimeError):
            font = font_manager.get_font(entry.fname)
            there = {it for it in wanted if font.get_char_index(ord(it))}
            if there:
                families.append(entry.name)
                wanted -= there
    return families, sorted(wanted)
