"""Since when agents hold their names, from the rows of what was played, compiled on import."""

from __future__ import annotations

import numba
import numpy as np


@numba.njit(cache=True, nogil=True)
def note(rows, rounds, held, changed, first):
    """Take in rows of two nodes and two names, each played in a round; see ``NodeHistory``."""
    for place in range(len(rows)):
        for seat in range(2):
            node, name = rows[place, seat], rows[place, 2 + seat]
            if held[node] != name:
                held[node] = name
                changed[node] = rounds[place]
                if first[node, name] < 0:
                    first[node, name] = rounds[place]


def _compile() -> None:
    """Compile for the types that are called with, by taking in nothing."""
    rows, many = np.zeros((0, 4), np.int32), np.zeros(0, np.int64)
    held, changed = np.zeros(0, np.int16), np.zeros(0, np.int32)
    note(rows, many, held, changed, changed.reshape(0, 1))


_compile()
