"""Small worlds of many runs drawn in one call: those that networkx draws, edge for edge.

The chance is that of Python's ``random.Random``, a Mersenne twister (Matsumoto and Nishimura, ACM
TOMACS 8, 3, 1998), so a network is the same as in Python. Importing this module compiles it.
"""

from __future__ import annotations

import numba
import numpy as np

from mesa_llm_norms.core.compiled.randomness import HALF, LOW

SIZE, SHIFT = 624, 397

_ONE, _TOP, _REST = np.uint32(1), np.uint32(0x80000000), np.uint32(0x7FFFFFFF)
_TWIST = np.uint32(0x9908B0DF)


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
def _rewired(joined, degrees, half, p, state, at):
    """Draw as ``networkx.watts_strogatz_graph`` does."""
    n = len(joined)
    bits = 0
    while n >> bits:
        bits += 1
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


@numba.njit("int64(uint64[::1], int64, float64, int64, int64[:, ::1], int32[:, ::1])", cache=True)
def draw(seeds, half, p, tries, indptr, indices):
    """Draw a connected small world for each seed; return how many were found before one was not.

    A seed is that of the generator from which a topology draws the seed of each try.
    """
    n = indptr.shape[1] - 1
    joined, degrees = np.zeros((n, n), np.bool_), np.zeros(n, np.int64)
    stack, reached = np.zeros(n, np.int64), np.zeros(n, np.bool_)
    outer, inner = np.zeros(SIZE, np.uint32), np.zeros(SIZE, np.uint32)
    outer_at, inner_at = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for run in range(len(seeds)):
        seed(outer, outer_at, seeds[run])
        connected = False
        for _ in range(tries):
            seed(inner, inner_at, np.uint64(word(outer, outer_at)))
            _rewired(joined, degrees, half, p, inner, inner_at)
            connected = _is_connected(joined, stack, reached)
            if connected:
                break
        if not connected:
            return run
        place = 0
        for u in range(n):
            for v in range(n):
                if joined[u, v]:
                    indices[run, place] = v
                    place += 1
            indptr[run, u + 1] = place
    return len(seeds)
