"""Since when agents hold their names, from the rows of what was played, compiled on import."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np


class History(NamedTuple):
    """What nodes did in a run, as ``NodeHistory`` has it, and over runs, as ``NodeSums`` does."""

    held: Any
    changed: Any
    first: Any
    names: Any
    changes: Any
    firsts: Any


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


@numba.njit(cache=True)
def note_lines(rows, counts, number, history):
    """Take in the rows of some rounds, from round ``number`` on, given their counts."""
    start = 0
    for line in range(len(counts)):
        end = start + counts[line, 0]
        rounds = np.full(end - start, number + line, np.int64)
        note(rows[start:end], rounds, history.held, history.changed, history.first)
        start = end


@numba.njit(cache=True)
def forget(history):
    """Begin another run."""
    history.held[:] = history.changed[:] = -1
    history.first[:] = -1


@numba.njit(cache=True)
def add_up(history, winner):
    """Add a run that has ended to the sums; ``winner`` is -1 where there is none."""
    for node in range(len(history.held)):
        if history.held[node] >= 0:
            history.names[node, history.held[node]] += 1
            history.changes[node] += history.changed[node]
            if winner >= 0 and history.first[node, winner] >= 0:
                history.firsts[node, 0] += 1
                history.firsts[node, 1] += history.first[node, winner]


def nothing_noted() -> History:
    """Return the history of no node."""
    changed, many = np.zeros(0, np.int32), np.zeros(0, np.int64)
    table = many.reshape(0, 1)
    return History(np.zeros(0, np.int16), changed, changed.reshape(0, 1), table, many, table)


def _compile() -> None:
    """Compile for the types that are called with, by taking in nothing."""
    rows, many, nothing = np.zeros((0, 4), np.int32), np.zeros(0, np.int64), nothing_noted()
    note(rows, many, nothing.held, nothing.changed, nothing.first)
    note_lines(rows, many.reshape(0, 1), 0, nothing)
    forget(nothing)
    add_up(nothing, -1)


_compile()
