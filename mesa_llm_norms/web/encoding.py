"""How networks and charts are encoded for the browser, as short strings.

A list handed to a browser component is walked through item by item, and a string is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import networkx as nx
import numpy as np

from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.networks.drawing import Positions, ink_on, layout, name_colors, nearest

SPAN = 1_000
"""The longer side of a drawing, in its own units."""

NODE_SIZES = 12, 80
"""The smallest and the largest diameter of a node, in units of the drawing."""

WIDTHS = 5
"""Number of widths that edges of different weights are drawn in."""

CROWDED = 5_000
"""Edges that join nearly everybody are not drawn where there are more."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"
_PAIRS = tuple(high + low for high in _DIGITS for low in _DIGITS)


def encode_shares(values: Iterable[float | None]) -> str:
    """Encode shares as two base-64 characters each: 0 to 4095 for 0 to 1, high digit first.

    None and NaN become two spaces; values outside 0 to 1 are clipped.
    """
    last = len(_PAIRS) - 1
    return "".join(
        "  "
        if value is None or math.isnan(value)
        else _PAIRS[round(min(1.0, max(0.0, value)) * last)]
        for value in values
    )


def points_text(rounds: int, stride: int, lines: Iterable[Iterable[float | None]]) -> str:
    """Encode chart lines, each holding every ``stride``-th of ``rounds``, for ``RoundsChart``."""
    shown = len(range(0, rounds, stride))
    return _compact(
        {
            "rounds": rounds,
            "x": [1, max(1, 1 + (shown - 1) * stride)],
            "y": [encode_shares(line) for line in lines],
        }
    )


def drawing_text(
    graph: nx.Graph[Any], pool: Sequence[str], positions: Positions | None = None
) -> str:
    """Encode a network, without the names its nodes hold, for ``NetworkView``.

    Nodes are referred to by their index in ``graph``, and drawn at ``positions``, by default those
    of its layout. The y axis points up there and down in the drawing. ``widths`` has a width from 1
    to ``WIDTHS`` for each edge, and is empty where weights do not differ. Where edges are many and
    join nearly everybody, they are left out: ``unseen`` is their number.
    """
    places = layout(graph) if positions is None else positions
    columns, rows = zip(*(places[node] for node in graph), strict=True)
    span = max(max(columns) - min(columns), max(rows) - min(rows), 1e-9)
    index = {node: i for i, node in enumerate(graph)}
    colors = [name_colors(pool)[name] for name in pool]
    near = nearest(places)
    # Most nodes do not touch their nearest neighbor.
    size = 0.85 * SPAN * float(np.median(near)) if len(near) else max(NODE_SIZES)
    crowded = graph.number_of_edges() > CROWDED and nx.density(graph) > 0.9
    drawn = [] if crowded else list(graph.edges(data="weight", default=1))
    return _compact(
        {
            "x": _centered(columns, span),
            "y": [SPAN - y for y in _centered(rows, span)],
            "edges": [[index[u], index[v]] for u, v, _ in drawn],
            "unseen": graph.number_of_edges() if crowded else 0,
            "widths": _widths([weight for *_, weight in drawn]),
            "directed": graph.is_directed(),
            "ids": [str(node) for node in graph],
            "names": list(pool),
            "colors": colors,
            "inks": [ink_on(color) for color in colors],
            "size": round(float(np.clip(size, *NODE_SIZES)), 1),
            "degrees": [degree for _, degree in graph.degree],
        }
    )


def _widths(weights: Sequence[float]) -> list[int]:
    """Return widths whose areas grow with the weights; none where all are the same."""
    heaviest = max(weights, default=0)
    if heaviest <= 0 or min(weights) == heaviest:
        return []
    return [max(1, math.ceil(WIDTHS * math.sqrt(max(0, it) / heaviest))) for it in weights]


def _centered(values: Sequence[float], span: float) -> list[int]:
    """Scale coordinates to the drawing and center them in it."""
    middle = (min(values) + max(values)) / 2
    return [round(SPAN / 2 + (value - middle) / span * SPAN) for value in values]


def _compact(content: object) -> str:
    return json_text(content, separators=(",", ":"), ensure_ascii=True)
