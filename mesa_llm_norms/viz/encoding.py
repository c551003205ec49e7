"""Graphs and shares as short text, which is what reaches a browser fast.

A list that a page hands to its components is walked through item by item, a text is not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import networkx as nx
import numpy as np

from mesa_llm_norms.palette import ink_on, name_colours
from mesa_llm_norms.places import Positions, layout, nearest

SPAN = 1_000
"""The longer side of a drawing, in its own units."""
NO_VALUE = "  "
"""Stands for a share that there is none of."""

_LARGEST = 4_095
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)
_SIZES = 12, 80
"""The smallest and the largest diameter of nodes."""


def encode_shares(values: Sequence[float | None]) -> str:
    """Return two characters for each share: 0 to 4095 for 0 to 1, in base 64, high digit first.

    None and NaN are two spaces; what lies below 0 or above 1 is drawn at 0 or 1.
    """
    return "".join(
        NO_VALUE
        if value is None or math.isnan(value)
        else _PAIRS[round(min(1.0, max(0.0, value)) * _LARGEST)]
        for value in values
    )


def points_text(rounds: int, stride: int, lines: Sequence[Sequence[float | None]]) -> str:
    """Return the lines of a chart as ``RoundsChart`` takes them, each with every so many rounds."""
    shown = len(range(0, rounds, stride))
    return json.dumps(
        {
            "rounds": rounds,
            "x": [1, max(1, 1 + (shown - 1) * stride)],
            "y": [encode_shares(line) for line in lines],
        },
        separators=(",", ":"),
    )


def drawing_text(
    graph: nx.Graph[Any], pool: Sequence[str], positions: Positions | None = None
) -> str:
    """Return a network, without the names its nodes hold, as ``NetworkView`` takes it.

    Nodes are meant by their places in the graph's order. ``positions`` are those of
    ``places.layout`` unless given; the browser's y points downwards.
    """
    places = layout(graph) if positions is None else positions
    columns, rows = zip(*(places[node] for node in graph), strict=True)
    span = max(max(columns) - min(columns), max(rows) - min(rows), 1e-9)
    number = {node: place for place, node in enumerate(graph)}
    colours = [name_colours(pool)[name] for name in pool]
    return json.dumps(
        {
            "x": _spread(columns, span),
            "y": [SPAN - y for y in _spread(rows, span)],
            "edges": [[number[u], number[v]] for u, v in graph.edges],
            "directed": graph.is_directed(),
            "ids": [str(node) for node in graph],
            "names": list(pool),
            "colours": colours,
            "inks": [ink_on(colour) for colour in colours],
            "size": _diameter(places),
            "degrees": [degree for _, degree in graph.degree],
        },
        separators=(",", ":"),
    )


def _diameter(places: Positions) -> float:
    """Return a diameter with which most nodes do not touch the nearest other."""
    near = nearest(places)
    wanted = 0.85 * SPAN * float(np.median(near)) if len(near) else max(_SIZES)
    return round(float(np.clip(wanted, *_SIZES)), 1)


def _spread(values: Sequence[float], span: float) -> list[int]:
    """Return values on the scale of the drawing, the middle of them in its middle."""
    middle = (min(values) + max(values)) / 2
    return [round(SPAN / 2 + (value - middle) / span * SPAN) for value in values]
