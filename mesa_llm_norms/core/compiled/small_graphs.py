"""Random graphs of many runs drawn in one call: those of Python, edge for edge.

Graphs are those that networkx draws. The chance is that of Python's ``random.Random``, a Mersenne
twister (Matsumoto and Nishimura, ACM TOMACS 8, 3, 1998), so what is drawn is the same as in Python.
Importing this module compiles it.
"""

from __future__ import annotations

import numba
import numpy as np

from mesa_llm_norms.core.compiled.randomness import HALF, LOW

SIZE, SHIFT = 624, 397

_ONE, _TOP, _REST = np.uint32(1), np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
_TWIST = np.uint32(0x9908B0DF)

SMALL_WORLD, CHANCE, REGULAR, GROWN, BLOCKS = range(5)
"""Kinds of graphs: those of ``watts_strogatz``, ``erdos_renyi``, ``random_regular``,
``barabasi_albert`` and ``stochastic_block``."""

SET_PLACES = 8
"""Places of a Python set of up to four items."""


@numba.njit(cache=True)
def seed(state, at, value):
    """Put the twister into the state of ``random.Random(value)``."""
    low, high = np.uint32(value & LOW), np.uint32(value >> HALF)
    words = 2 if high else 1
    state[0] = np.uint32(19650218)
    for i in range(1, SIZE):
        mixed = np.uint64(state[i - 1] ^ (state[i - 1] >> np.uint32(30))) * np.uint64(1812433253)
        state[i] = np.uint32((mixed + np.uint64(i)) & LOW)
    i = 1
    for step in range(SIZE):
        word = step % words
        mixed = np.uint64(state[i - 1] ^ (state[i - 1] >> np.uint32(30))) * np.uint64(1664525)
        mixed = (np.uint64(state[i]) ^ (mixed & LOW)) + np.uint64(high if word else low)
        state[i] = np.uint32((mixed + np.uint64(word)) & LOW)
        i += 1
        if i == SIZE:
            state[0], i = state[SIZE - 1], 1
    for _ in range(SIZE - 1):
        mixed = np.uint64(state[i - 1] ^ (state[i - 1] >> np.uint32(30))) * np.uint64(1566083941)
        mixed = (np.uint64(state[i]) ^ (mixed & LOW)) + np.uint64((1 << 32) - i)
        state[i] = np.uint32(mixed & LOW)
        i += 1
        if i == SIZE:
            state[0], i = state[SIZE - 1], 1
    state[0] = _TOP
    at[0] = SIZE


@numba.njit(cache=True)
def word(state, at):
    """Return ``getrandbits(32)`` and move on."""
    if at[0] == SIZE:
        for i in range(SIZE):
            y = (state[i] & _TOP) | (state[(i + 1) % SIZE] & _REST)
            twist = _TWIST if y & _ONE else np.uint32(0)
            state[i] = state[(i + SHIFT) % SIZE] ^ (y >> _ONE) ^ twist
        at[0] = 0
    y = state[at[0]]
    at[0] += 1
    y ^= y >> np.uint32(11)
    y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
    y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
    return y ^ (y >> np.uint32(18))


@numba.njit(cache=True)
def share(state, at):
    """Return ``random()`` and move on."""
    high, low = np.int64(word(state, at) >> np.uint32(5)), np.int64(word(state, at) >> np.uint32(6))
    return (high * 67108864.0 + low) / 9007199254740992.0


@numba.njit(cache=True)
def below(state, at, limit, bits):
    """Return ``randrange(limit)``, whose bits are so many, and move on."""
    while True:
        drawn = np.int64(word(state, at)) >> (32 - bits)
        if drawn < limit:
            return drawn


@numba.njit(cache=True)
def _bits(limit):
    bits = 0
    while limit >> bits:
        bits += 1
    return bits


@numba.njit(cache=True)
def shuffle(items, count, state, at):
    """Put the first so many items into the order of ``random.shuffle`` and move on."""
    for last in range(count - 1, 0, -1):
        other = below(state, at, last + 1, _bits(last + 1))
        items[last], items[other] = items[other], items[last]


@numba.njit(cache=True)
def _rewired(joined, degrees, half, p, state, at):
    """Draw as ``networkx.watts_strogatz_graph`` does."""
    n = len(joined)
    bits = _bits(n)
    joined[:] = False
    degrees[:] = 2 * half
    for step in range(1, half + 1):
        for u in range(n):
            v = (u + step) % n
            joined[u, v] = joined[v, u] = True
    for step in range(1, half + 1):
        for u in range(n):
            if share(state, at) < p:
                w = below(state, at, n, bits)
                skipped = False
                while w == u or joined[u, w]:
                    w = below(state, at, n, bits)
                    if degrees[u] >= n - 1:
                        skipped = True
                        break
                if not skipped:
                    v = (u + step) % n
                    joined[u, v] = joined[v, u] = False
                    joined[u, w] = joined[w, u] = True
                    degrees[v] -= 1
                    degrees[w] += 1


@numba.njit(cache=True)
def _is_connected(joined, stack, reached):
    n = len(joined)
    reached[:] = False
    reached[0], stack[0] = True, 0
    left, found = 1, 1
    while left:
        left -= 1
        u = stack[left]
        for v in range(n):
            if joined[u, v] and not reached[v]:
                reached[v] = True
                stack[left] = v
                left += 1
                found += 1
    return found == n


@numba.njit(cache=True)
def _by_chance(joined, first, n, p, blocks, state, at):
    """Draw as ``networkx.fast_gnp_random_graph`` does, on n nodes; pairs of a block are left out.

    ``blocks`` is empty where all pairs count.
    """
    v, w = 1, -1
    least = np.log(1.0 - p) if 0 < p < 1 else 0.0
    while v < n and p > 0:
        w += 1
        if p < 1:
            w += int(np.log(1.0 - share(state, at)) / least)
        while w >= v and v < n:
            w -= v
            v += 1
        if v < n and (len(blocks) == 0 or blocks[v] != blocks[w]):
            joined[first + v, first + w] = joined[first + w, first + v] = True


@numba.njit(cache=True)
def _is_suitable(joined, waiting, kinds):
    """Whether networkx would go on to join the nodes that wait."""
    if kinds == 0:
        return True
    for i in range(kinds):
        one = waiting[i]
        for j in range(kinds):
            other = waiting[j]
            if one == other:
                break
            if one > other:
                one, other = other, one
            if not joined[one, other]:
                return True
    return False


@numba.njit(cache=True)
def _paired(joined, stubs, times, waiting, d, state, at):
    """Draw once as ``networkx.random_regular_graph`` does; return whether that succeeds."""
    n = len(joined)
    joined[:] = False
    left = n * d
    for place in range(left):
        stubs[place] = place % n
    while left:
        shuffle(stubs, left, state, at)
        times[:] = 0
        kinds = 0
        for place in range(0, left, 2):
            a, b = min(stubs[place], stubs[place + 1]), max(stubs[place], stubs[place + 1])
            if a != b and not joined[a, b]:
                joined[a, b] = joined[b, a] = True
                continue
            for node in (a, b):
                if times[node] == 0:
                    waiting[kinds] = node
                    kinds += 1
                times[node] += 1
        if not _is_suitable(joined, waiting, kinds):
            return False
        left = 0
        for node in waiting[:kinds]:
            for _ in range(times[node]):
                stubs[left] = node
                left += 1
    return True


@numba.njit(cache=True)
def _grown(joined, ends, m, state, at):
    """Draw as ``networkx.barabasi_albert_graph`` does, with up to four edges for a newcomer.

    Those come in the order of a Python set.
    """
    n = len(joined)
    joined[:] = False
    count = 0
    for leaf in range(1, m + 1):
        joined[0, leaf] = joined[leaf, 0] = True
        ends[count] = 0
        count += 1
    for leaf in range(1, m + 1):
        ends[count] = leaf
        count += 1
    chosen = np.empty(SET_PLACES, np.int64)
    for newcomer in range(m + 1, n):
        chosen[:] = -1
        found = 0
        while found < m:
            node = ends[below(state, at, count, _bits(count))]
            place, rest = node % SET_PLACES, node
            while chosen[place] >= 0 and chosen[place] != node:
                rest >>= 5
                place = (place * 5 + 1 + rest) % SET_PLACES
            found += chosen[place] < 0
            chosen[place] = node
        for node in chosen:
            if node >= 0:
                joined[newcomer, node] = joined[node, newcomer] = True
                ends[count] = node
                count += 1
        ends[count : count + m] = newcomer
        count += m


@numba.njit(
    "int64(int64, uint64[::1], int64, float64, float64, int64[::1], int64, int64[:, ::1],"
    " int32[::1])",
    cache=True,
    nogil=True,
)
def draw(kind, seeds, degree, p, across, blocks, tries, indptr, indices):
    """Draw a connected graph for each seed, as long as there is room in ``indices``.

    Return how many were drawn before that or before one that could not be connected. A seed is that
    of the generator from which a topology draws the seed of each try. ``degree`` is what the kind
    needs: half the neighbors of the ring, the degree, or the edges of newcomers; ``blocks`` has the
    block of every node in order, and ``across`` is the probability between two.
    """
    n = indptr.shape[1] - 1
    joined, degrees = np.zeros((n, n), np.bool_), np.zeros(n, np.int64)
    stack, reached = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    ends = np.zeros(2 * n * max(1, degree), np.int64)
    outer, inner = np.zeros(SIZE, np.uint32), np.zeros(SIZE, np.uint32)
    outer_at, inner_at = np.zeros(1, np.int64), np.zeros(1, np.int64)
    every = np.zeros(0, np.int64)
    place = 0
    for run in range(len(seeds)):
        if place + n * (n - 1) > len(indices):
            return run
        seed(outer, outer_at, seeds[run])
        connected = False
        for _ in range(tries):
            seed(inner, inner_at, np.uint64(word(outer, outer_at)))
            if kind == SMALL_WORLD:
                _rewired(joined, degrees, degree, p, inner, inner_at)
            elif kind == REGULAR:
                few = min(degree, n - 1 - degree)
                while not _paired(joined, ends, degrees, stack, few, inner, inner_at):
                    pass
                if few < degree:
                    for u in range(n):
                        for v in range(n):
                            joined[u, v] = u != v and not joined[u, v]
            elif kind == GROWN:
                _grown(joined, ends, degree, inner, inner_at)
            else:
                joined[:] = False
                _by_chance(joined, 0, n, across if kind == BLOCKS else p, blocks, inner, inner_at)
                first = 0
                while kind == BLOCKS and first < n:
                    seed(inner, inner_at, np.uint64(word(outer, outer_at)))
                    size = np.sum(blocks == blocks[first])
                    _by_chance(joined, first, size, p, every, inner, inner_at)
                    first += size
            connected = _is_connected(joined, stack, reached)
            if connected:
                break
        if not connected:
            return run
        indptr[run, 0] = place
        for u in range(n):
            for v in range(n):
                if joined[u, v]:
                    indices[place] = v
                    place += 1
            indptr[run, u + 1] = place
    return len(seeds)


@numba.njit("int64(uint64[::1], int64[:, ::1])", cache=True, nogil=True)
def shuffle_rows(seeds, rows):
    """Shuffle each row with ``random.Random`` of its seed; return how many there are."""
    state, at = np.zeros(SIZE, np.uint32), np.zeros(1, np.int64)
    for run in range(len(seeds)):
        seed(state, at, seeds[run])
        shuffle(rows[run], rows.shape[1], state, at)
    return len(seeds)
