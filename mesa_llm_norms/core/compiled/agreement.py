"""How the names held at the end of a run lie on its network; see ``analysis.agreement``."""

from __future__ import annotations

import numba
import numpy as np

AGREEING, JUDGED, CLUSTERS, LARGEST, PLAYERS = range(7, 12)
"""The columns of a run's numbers that are written here."""


@numba.njit(cache=True)
def _root(parents, node):
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@numba.njit(cache=True)
def _leads(indptr, indices, a, b):
    for place in range(indptr[a], indptr[a + 1]):  # noqa: SIM110  numba would make an array
        if indices[place] == b:
            return True
    return False


@numba.njit(cache=True)
def lie(indptr, indices, directed, held, line):
    """Write how the names held lie on a network: agreement along edges, and clusters."""
    size = len(held)
    parents, sizes = np.arange(size), np.zeros(size, np.int64)
    agreeing = judged = 0
    for a in range(size):
        for place in range(indptr[a], indptr[a + 1]):
            b = np.int64(indices[place])
            first = (
                a < b if not directed else a != b and not (a > b and _leads(indptr, indices, b, a))
            )
            if first and held[a] >= 0 and held[b] >= 0:
                judged += 1
                if held[a] == held[b]:
                    agreeing += 1
                    parents[_root(parents, a)] = _root(parents, b)
    players = clusters = largest = 0
    for node in range(size):
        if held[node] >= 0:
            players += 1
            root = _root(parents, node)
            clusters += sizes[root] == 0
            sizes[root] += 1
            largest = max(largest, sizes[root])
    line[AGREEING], line[JUDGED] = agreeing, judged
    line[CLUSTERS], line[LARGEST], line[PLAYERS] = clusters, largest, players
