"""Where committed agents sit, compiled: how central nodes are, and places taken in many runs.

Networks are undirected here, without weights: the neighbors of node v are
``indices[indptr[v]:indptr[v + 1]]``, in ascending order. Importing this module compiles it.
"""

from __future__ import annotations

import heapq

import numba
import numpy as np

from mesa_llm_norms.core.compiled.small_graphs import SIZE, seed, shuffle

STEPS = 400_000_000
"""Neighbors that are looked at, at most: beyond that betweenness is estimated from some sources."""

FINE, COARSE = 2.0**30, 2.0**20
"""Into how many steps a measure is cut, so that what is equal but for rounding is equal."""

BY_KEY, CLUSTER, BLOCK, GROUPS = range(4)
"""How places are taken: those of the lowest key first; those nearest to a random one; those that
are joined most closely to the ones taken; or group by group, beginning with that of a random one.
"""


@numba.njit("int64[::1](float64[::1], float64)", cache=True, nogil=True)
def _descending(values, steps):
    highest = max(values.max(), 1e-300)
    keys = np.empty(len(values), np.int64)
    for v in range(len(values)):
        part = values[v] / highest  # not a number where more paths than a float holds lead past
        keys[v] = -np.int64(np.rint(part * steps)) if part <= 1 else 0
    return keys


@numba.njit("int64[::1](int64[::1], int32[::1])", cache=True, nogil=True)
def betweenness(indptr, indices):
    """Return how seldom each node is on shortest paths between others, by Brandes's algorithm."""
    n = len(indptr) - 1
    total, share, paths = np.zeros(n), np.zeros(n), np.zeros(n)
    distance, order = np.empty(n, np.int64), np.empty(n, np.int64)
    sources = min(n, max(100, STEPS // max(1, len(indices))))
    for number in range(sources):
        source = number * n // sources
        distance[:] = -1
        paths[:] = share[:] = 0
        distance[source], paths[source], order[0] = 0, 1, source
        first, found = 0, 1
        while first < found:
            v = order[first]
            first += 1
            for w in indices[indptr[v] : indptr[v + 1]]:
                if distance[w] < 0:
                    distance[w] = distance[v] + 1
                    order[found] = w
                    found += 1
                if distance[w] == distance[v] + 1:
                    paths[w] += paths[v]
        for place in range(found - 1, 0, -1):
            w = order[place]
            for v in indices[indptr[w] : indptr[w + 1]]:
                if distance[v] == distance[w] - 1:
                    share[v] += paths[v] / paths[w] * (1 + share[w])
            total[w] += share[w]
    return _descending(total, FINE)


@numba.njit("int64[::1](int64[::1], int32[::1])", cache=True, nogil=True)
def eigenvector(indptr, indices):
    """Return how little each node counts in the first eigenvector, by power iteration."""
    n = len(indptr) - 1
    now, then = np.ones(n), np.ones(n)
    for _ in range(max(1_000, STEPS // max(1, len(indices)))):
        now, then = then, now
        highest = 0.0
        for v in range(n):
            now[v] = then[v]  # which keeps two halves of a network from taking turns
            for w in indices[indptr[v] : indptr[v + 1]]:
                now[v] += then[w]
            highest = max(highest, now[v])
        change = 0.0
        for v in range(n):
            now[v] /= highest
            change = max(change, abs(now[v] - then[v]))
        if change < 1e-13:
            break
    return _descending(now, COARSE)


@numba.njit("int64[::1](int64[::1], int32[::1])", cache=True, nogil=True)
def cores(indptr, indices):
    """Return minus the core number of each node, by the algorithm of Batagelj and Zaversnik."""
    n = len(indptr) - 1
    degree = indptr[1:] - indptr[:-1]
    order = np.argsort(degree, kind="mergesort")
    place = np.empty(n, np.int64)
    place[order] = np.arange(n)
    first = np.searchsorted(degree[order], np.arange(degree.max() + 2))
    for step in range(n):
        v = order[step]
        for w in indices[indptr[v] : indptr[v + 1]]:
            if degree[w] > degree[v]:
                front = max(first[degree[w]], step + 1)
                other = order[front]
                order[front], order[place[w]] = w, other
                place[other], place[w] = place[w], front
                first[degree[w]] = front + 1
                degree[w] -= 1
    return -degree


@numba.njit("int64(int64[::1], int32[::1], int64, int64)", cache=True, nogil=True)
def shared(indptr, indices, v, w):
    """Return how many neighbors two nodes have in common."""
    i, j, found = indptr[v], indptr[w], 0
    while i < indptr[v + 1] and j < indptr[w + 1]:
        if indices[i] == indices[j]:
            found += 1
            i += 1
            j += 1
        elif indices[i] < indices[j]:
            i += 1
        else:
            j += 1
    return found


@numba.njit("int64[::1](int64[::1], int32[::1])", cache=True, nogil=True)
def bridges(indptr, indices):
    """Return minus the number of local bridges of each node: edges whose ends share no neighbor."""
    n = len(indptr) - 1
    keys = np.zeros(n, np.int64)
    for v in range(n):
        for w in indices[indptr[v] : indptr[v + 1]]:
            keys[v] -= shared(indptr, indices, v, w) == 0
    return keys


@numba.njit("int64(int64[::1], int32[::1], int64[::1], int64)", cache=True, nogil=True)
def nearest(indptr, indices, free, count):
    """Put so many free places first: one, and those nearest to it; return how many there are."""
    n = len(indptr) - 1
    allowed, reached = np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    allowed[free] = True
    queue, taken, found = np.empty(n, np.int64), np.empty(len(free), np.int64), 0
    for start in free:
        if found >= count:
            break
        if reached[start]:
            continue
        reached[start], queue[0] = True, start
        first, end = 0, 1
        while first < end:
            v = queue[first]
            first += 1
            if allowed[v]:
                taken[found] = v
                found += 1
            for w in indices[indptr[v] : indptr[v + 1]]:
                if not reached[w]:
                    reached[w] = True
                    queue[end] = w
                    end += 1
    free[: min(found, count)] = taken[: min(found, count)]
    return found


@numba.njit("int64(int64[::1], int32[::1], int64[::1], int64)", cache=True, nogil=True)
def grow(indptr, indices, free, count):
    """Put so many free places first: one, and again and again the one joined most closely to them.

    An edge to one of them counts once, and once more for each neighbor that its ends share.
    """
    n = len(indptr) - 1
    order, joined = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    for place in range(len(free)):
        order[free[place]] = place
    starts, taken, found, next_start = free.copy(), np.zeros(n, np.bool_), 0, 0
    waiting = [(np.int64(0), np.int64(0), np.int64(0), np.int64(0))]
    waiting.clear()
    while found < count:
        v = np.int64(-1)
        while len(waiting) > 0 and v < 0:
            closeness, _, _, one = heapq.heappop(waiting)
            if not taken[one] and joined[one] == -closeness:
                v = one
        while v < 0:
            if not taken[starts[next_start]]:
                v = starts[next_start]
            next_start += 1
        taken[v] = True
        free[found] = v
        found += 1
        for w in indices[indptr[v] : indptr[v + 1]]:
            if order[w] >= 0 and not taken[w]:
                joined[w] += 1 + shared(indptr, indices, v, w)
                degree = indptr[w + 1] - indptr[w]
                heapq.heappush(waiting, (-joined[w], degree, order[w], np.int64(w)))
    return found


@numba.njit("int64(int64[::1], int64[::1], int64)", cache=True, nogil=True)
def by_group(groups, free, count):
    """Put so many free places first, group by group, each begun by the first one that is left."""
    starts, taken, found = free.copy(), np.zeros(len(groups), np.bool_), 0
    for start in starts:
        if found >= count:
            break
        if taken[start]:
            continue
        for node in starts:
            if groups[node] == groups[start]:
                taken[node] = True
                free[found] = node
                found += 1
    return found


@numba.njit(
    "int64(uint64[::1], int64[:, ::1], int64[:, :, ::1], int64[:, ::1], int32[::1], int64[:, ::1])",
    cache=True,
    nogil=True,
)
def place(seeds, items, keys, indptr, indices, taken):
    """Take places that are free, below 0, in every row, item by item; return how many rows.

    An item says what is written, in how many places, and how they are taken. ``keys`` has, for each
    item and run, the key or group of every node, and ``indptr`` where each run's network is in
    ``indices``. Of runs there may be one for all in either.
    """
    state, at = np.zeros(SIZE, np.uint32), np.zeros(1, np.int64)
    size = taken.shape[1]
    every = np.empty(size, np.int64)
    for run in range(len(seeds)):
        seed(state, at, seeds[run])
        network, each = run if len(indptr) > 1 else 0, run if keys.shape[1] > 1 else 0
        for number in range(len(items)):
            count, how = items[number, 1], items[number, 2]
            left = 0
            for node in range(size):
                if taken[run, node] < 0:
                    every[left] = node
                    left += 1
            shuffle(every, left, state, at)
            free, key = every[:left], keys[number, each]
            if how == CLUSTER:
                nearest(indptr[network], indices, free, count)
            elif how == BLOCK:
                grow(indptr[network], indices, free, count)
            elif how == GROUPS:
                by_group(key, free, count)
            else:
                free[:] = free[np.argsort(key[free], kind="mergesort")]
            for node in free[:count]:
                taken[run, node] = items[number, 0]
    return len(seeds)
