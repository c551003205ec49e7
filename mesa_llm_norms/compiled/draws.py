"""The draws of ``mesa_llm_norms.draws``, compiled."""

from __future__ import annotations

import numba
import numpy as np

from mesa_llm_norms.draws import GOLDEN

STEP = np.uint64(GOLDEN)
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
ONE, TWO = np.uint64(1), np.uint64(2)

_FIRST_SHIFT, _SECOND_SHIFT, _LAST_SHIFT = np.uint64(30), np.uint64(27), np.uint64(31)
_FIRST_FACTOR, _SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@numba.njit(cache=True)
def mix(value):
    """Return ``draws.mix`` of a 64-bit number."""
    value = (value ^ (value >> _FIRST_SHIFT)) * _FIRST_FACTOR
    value = (value ^ (value >> _SECOND_SHIFT)) * _SECOND_FACTOR
    return value ^ (value >> _LAST_SHIFT)


@numba.njit(cache=True)
def plan_bits(key, number):
    """Return the 64 bits whose halves draw the node and the neighbour of an interaction."""
    return mix(key + (TWO * np.uint64(number) + ONE) * STEP)


@numba.njit(cache=True)
def seat_bits(key, number):
    """Return the 64 bits whose halves are the draws of an interaction's seats a and b."""
    return mix(key + (TWO * np.uint64(number) + TWO) * STEP)


@numba.njit(cache=True)
def index_of(draw, size):
    """Return ``draws.index_of`` of a 32-bit draw, as uint64 like the draw."""
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
