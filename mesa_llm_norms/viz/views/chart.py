"""Shares by round on a page: the success rate, or the share of each name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import solara

from mesa_llm_norms.palette import INK, name_colours, shade_step

_DASHES = ("", "8 3", "2 2.5", "7 2.5 2 2.5")
"""Tell apart the lines of names whose colours are shades of one another."""


@solara.component_vue("chart.vue", vuetify=False)  # type: ignore[untyped-decorator]
def _Chart(  # noqa: N802
    title: str = "",
    lines: str = "",
    points: str = "",
    cursor: int = -1,
    height: int = 170,
    seekable: bool = False,
    event_seek: Callable[[int], object] | None = None,
) -> None: ...


def chart_lines(names: Sequence[str]) -> str:
    """Return what ``RoundsChart`` is told about its lines: name, colour and dashes of each.

    The names are a pool, in the colours of every figure; one alone is no pool, and drawn dark.
    """
    colours = [INK] if len(names) == 1 else [name_colours(names)[name] for name in names]
    return json.dumps(
        {
            "names": list(names),
            "colours": colours,
            "dashes": [_DASHES[shade_step(place)] for place in range(len(names))],
            "end_labels": True,
        },
        separators=(",", ":"),
    )


def RoundsChart(  # noqa: N802
    title: str,
    lines: str,
    points: str,
    cursor: int = -1,
    height: int = 170,
    on_seek: Callable[[int], object] | None = None,
) -> solara.Element:
    """Return a chart of shares, 0 to 100%, by round, as a Solara element.

    Args:
        title: above the chart.
        lines: from ``chart_lines``.
        points: JSON, ``{"rounds": n, "x": [first, last], "y": [text, ...]}``: how many rounds there
            are, the rounds of the first and the last point (the others lie evenly between them),
            and for each line its shares as ``viz.encoding.encode_shares`` writes them.
        cursor: a round marked by an upright line, -1 for none.
        height: in pixels.
        on_seek: what is called with the round that is clicked.
    """
    element: Any = _Chart(
        title=title,
        lines=lines,
        points=points,
        cursor=cursor,
        height=height,
        seekable=on_seek is not None,
        event_seek=on_seek,
    )
    return element
