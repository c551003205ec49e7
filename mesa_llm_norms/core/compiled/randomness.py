"""The draws of ``core.randomness``, and the random graphs made node by node, compiled.

The chance of a graph is the splitmix64 sequence of a 64-bit ``seed``, so the same seed gives the
same graph everywhere. Importing this module compiles it.
"""

from __future__ import annotations

import numba
import numpy as np
from numba import njit
from numpy.typing import NDArray

from mesa_llm_norms.core.randomness import GOLDEN

STEP = np.uint64(GOLDEN)
LOW = np.uint64(0xFFFFFFFF)


HALF = np.uint64(32)
ONE, TWO = np.uint64(1), np.uint64(2)


_FIRST_SHIFT, _SECOND_SHIFT, _LAST_SHIFT = np.uint64(30), np.uint64(27), np.uint64(31)
_FIRST_FACTOR, _SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@numba.njit(cache=True)
def mix(value):
    """Return ``randomness.mix`` of a 64-bit number."""
    value = (value ^ (value >> _FIRST_SHIFT)) * _FIRST_FACTOR
    value = (value ^ (value >> _SECOND_SHIFT)) * _SECOND_FACTOR
    return value ^ (value >> _LAST_SHIFT)


@numba.njit(cache=True)
def plan_bits(key, number):
    """Return the 64 bits whose halves draw the node and the neighbor of an interaction."""
    return mix(key + (TWO * np.uint64(number) + ONE) * STEP)


@numba.njit(cache=True)
def seat_bits(key, number):
    """Return the 64 bits whose halves are the draws of the choices of agents a and b."""
    return mix(key + (TWO * np.uint64(number) + TWO) * STEP)


@numba.njit(cache=True)
def index_of(draw, size):
    """Return ``randomness.index_of`` of a 32-bit draw, as uint64 like the draw."""
    return (draw * np.uint64(size)) >> HALF


@numba.njit(cache=True)
def first_above(steps, first, end, draw):
    """Return how many of the rising ``steps[first:end]`` are at most ``draw``: bisect_right.

    ``first``, ``end`` and the result are uint64, steps and the draw int64.
    """
    low, high = first, end
    while low < high:
        middle = (low + high) >> ONE
        if draw < steps[middle]:
            high = middle
        else:
            low = middle + ONE
    return low - first


Nodes = NDArray[np.int32]


State = NDArray[np.uint64]


_UNUSED, _UNIT = np.uint64(11), 2.0**-53


@njit(cache=True)
def _share(state: State) -> float:
    """Return a number from 0 to below 1, of 53 random bits, and move ``state`` on."""
    state[0] += STEP
    return float(mix(state[0]) >> _UNUSED) * _UNIT


@njit(cache=True)
def _below(state: State, limit: int) -> int:
    """Return a whole number from 0 to below ``limit`` (bias at most limit / 2**53)."""
    return int(_share(state) * limit)


@njit(cache=True)
def _holds(row: Nodes, node: int) -> bool:
    for other in row:  # noqa: SIM110  numba would make an array
        if other == node:
            return True
    return False


@njit(cache=True)
def _is_bad(others: Nodes, d: int, s: int) -> bool:
    a, b = s // d, others[s]
    times = 0
    for other in others[a * d : a * d + d]:
        times += other == b
    return bool(a == b or times > 1)


@njit(cache=True)
def _bad(others: Nodes, d: int) -> list[int]:
    """Return one half-edge of every loop, and of every tie between two nodes but the first."""
    found = [0 for _ in range(0)]
    seen_by = np.full(len(others) // d, -1, np.int32)
    for u in range(len(seen_by)):
        for s in range(u * d, u * d + d):
            v = others[s]
            if v == u or (u < v and seen_by[v] == u):
                found.append(s)
            seen_by[v] = u
    return found


@njit("int32[::1](int64, int64, uint64)", cache=True, nogil=True)
def grown(n: int, m: int, seed: np.uint64) -> Nodes:
    """Return the edges of a preferential attachment graph, end after end: 2 i and 2 i + 1 are one.

    A random item of the ends so far is a node drawn in proportion to its ties.
    """
    state = np.array([seed])
    ends = np.empty(2 * m * (n - m), np.int32)
    tied_to = np.full(n, -1, np.int32)  # The last newcomer who tied to each.
    for leaf in range(m):
        ends[2 * leaf] = 0
        ends[2 * leaf + 1] = leaf + 1
    known = 2 * m
    for newcomer in range(m + 1, n):
        last = known
        for _ in range(m):
            other = ends[_below(state, known)]
            while tied_to[other] == newcomer:
                other = ends[_below(state, known)]
            tied_to[other] = newcomer
            ends[last] = other
            ends[last + 1] = newcomer
            last += 2
        known = last
    return ends


@njit("int32[:, ::1](int64, int64, float64, uint64)", cache=True, nogil=True)
def rewired(n: int, half: int, p: float, seed: np.uint64) -> Nodes:
    """Return, for each node, the other ends of the ``half`` ties that start at it.

    A tie of u is in the row of u or in that of the other end. It stays where u is tied to everyone.
    """
    state = np.array([seed])
    degrees = np.full(n, 2 * half, np.int32)
    heads = np.empty((n, half), np.int32)
    for u in range(n):
        for place in range(half):
            heads[u, place] = (u + place + 1) % n
    for place in range(half):
        for u in range(n):
            if _share(state) < p and degrees[u] < n - 1:
                w = _below(state, n)
                while w == u or _holds(heads[u], w) or _holds(heads[w], u):
                    w = _below(state, n)
                degrees[heads[u, place]] -= 1
                degrees[w] += 1
                heads[u, place] = w
    return heads


@njit("int32[::1](int32[::1], int64, uint64)", cache=True, nogil=True)
def simple(mates: Nodes, d: int, seed: np.uint64) -> Nodes:
    """Return the node at the other end of every half-edge, once no tie is a loop or double.

    Half-edges u d to u d + d - 1 are those of node u; ``mates``, which is changed, pairs them. Each
    bad tie a - b and a random one x - y become a - x and b - y if those are new and no loops; two
    loops become a double tie, and take another turn. With d below n / 2 there is always such a one:
    of the n d half-edges t, at most 2 d d lead to a neighbour of a or b.
    """
    state = np.array([seed])
    count = len(mates)
    others = mates // np.int32(d)
    for s in _bad(others, d):
        a = s // d
        while _is_bad(others, d, s):
            b = others[s]
            t = _below(state, count)
            x, y = t // d, others[t]
            if a == x or b == y:
                continue
            if _holds(others[a * d : a * d + d], x) or _holds(others[b * d : b * d + d], y):
                continue
            r, q = mates[s], mates[t]
            mates[s], mates[t], mates[r], mates[q] = t, s, q, r
            others[s], others[t], others[r], others[q] = x, a, y, b
    return others


@njit("int32[::1](int32[::1], int32[::1], int32[::1])", cache=True, nogil=True)
def neighbours(u: Nodes, v: Nodes, starts: Nodes) -> Nodes:
    """Return the sorted neighbours of every node, row after row, from the edges u[i] - v[i].

    ``starts`` says where each row starts. Going through the nodes in order, and entering each with
    its neighbours, fills every row in order.
    """
    free = starts[:-1].copy()
    unsorted = np.empty(starts[-1], np.int32)
    for i in range(len(u)):
        a, b = u[i], v[i]
        unsorted[free[a]] = b
        unsorted[free[b]] = a
        free[a] += 1
        free[b] += 1
    free[:] = starts[:-1]
    indices = np.empty(starts[-1], np.int32)
    for a in range(len(free)):
        for i in range(starts[a], starts[a + 1]):
            b = unsorted[i]
            indices[free[b]] = a
            free[b] += 1
    return indices
