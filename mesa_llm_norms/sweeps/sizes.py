"""Topologies with the number of agents left open: ``ring(n={size})``, filled in for each cell."""

from __future__ import annotations

import math
import re
from typing import Any

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole

MOST = 10_000_000
STRETCHED = 4
"""How many times longer than wide a grid may be."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_FORM = re.compile(r"\s*(size|rows|columns)\s*(?:([-+*/])\s*(\d{1,9})\s*)?")
_REMEDY = "Write {size}, {rows} or {columns}, alone or with one sum, such as {size / 2}."


def is_open(graph: Any) -> bool:
    """Whether a ``graph=`` argument is a topology with something to be filled in."""
    return isinstance(graph, str) and "{" in graph


def fill(graph: Any, size: Any) -> str:
    """Return a topology with ``size`` agents filled in.

    ``{rows}`` and ``{columns}`` are the sides of the grid of that many places that is nearest to a
    square. Raises ``SpecError`` for a size that makes no whole number, or no grid.
    """
    if not is_open(graph):
        raise SpecError(
            "size",
            size,
            f"nothing is to be filled in where the graph is {graph!r}",
            'Write "ring(n={size})" or the like, or leave size out.',
        )
    if size is None:
        raise SpecError("size", size, f"{graph!r} asks for one", "Give size, or write a number.")
    number = read_whole("size", size, 2, MOST)
    return _PLACE.sub(lambda found: str(_value(found[1], number)), graph)


def sides(size: int) -> tuple[int, int]:
    """Return rows and columns of the grid of ``size`` places that is nearest to a square."""
    rows = next(rows for rows in range(math.isqrt(size), 0, -1) if size % rows == 0)
    if size > STRETCHED * rows * rows:
        near = [other for other in range(max(4, size - 6), size + 7) if _is_grid(other)]
        raise SpecError(
            "size",
            size,
            f"{size} places make no grid but {rows} by {size // rows}",
            f"Use {', '.join(map(str, near))} or the like.",
        )
    return rows, size // rows


def _is_grid(size: int) -> bool:
    rows = next(rows for rows in range(math.isqrt(size), 0, -1) if size % rows == 0)
    return size <= STRETCHED * rows * rows


def _value(form: str, size: int) -> int:
    found = _FORM.fullmatch(form)
    if found is None:
        raise SpecError("graph", f"{{{form}}}", f"cannot read {{{form}}}", _REMEDY)
    value = size if found[1] == "size" else sides(size)[found[1] == "columns"]
    if found[2] is None:
        return value
    other = int(found[3])
    if found[2] == "/":
        if not other or value % other:
            raise SpecError(
                "size", size, f"{{{form}}} is no whole number for {size}", "Use another size."
            )
        return value // other
    return {"+": value + other, "-": value - other, "*": value * other}[found[2]]
