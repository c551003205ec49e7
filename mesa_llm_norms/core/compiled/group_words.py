"""The loop of the classical naming game in groups; see ``classical.groups`` for its rules.

What an agent holds is one bit for each name of the pool.
"""

from __future__ import annotations

import numba
import numpy as np

from mesa_llm_norms.core.compiled.randomness import (
    HALF,
    LOW,
    ONE,
    STEP,
    index_of,
    mix,
    plan_bits,
    seat_bits,
)

_NONE = np.uint64(0)


@numba.njit(cache=True)
def _size(bits):
    """Return how many bits are set."""
    found = _NONE
    while bits != _NONE:
        bits &= bits - ONE
        found += ONE
    return found


@numba.njit(cache=True)
def _pick(bits, place):
    """Return the bit that is set after so many others, the lowest first."""
    while place > _NONE:
        bits &= bits - ONE
        place -= ONE
    return bits & (~bits + ONE)


@numba.njit(cache=True)
def _give(held, alone, node, bits):
    """Let an agent hold these names, and count who holds a single one."""
    for change, what in ((-1, held[node]), (1, bits)):
        if what != _NONE and what & (what - ONE) == _NONE:
            alone[np.int64(_size(what - ONE))] += change
    held[node] = bits


@numba.njit(cache=True, nogil=True)
def play(key, hearer_key, indptr, members, held, fixed, alone, names, how, least, most):
    """Play until a name is all that ``least`` agents hold, at most ``most`` interactions.

    ``how`` says whether one hearer that knows the word is enough, whether there is a single hearer,
    and below which of 2**32 draws an agreement succeeds. Returns the interactions played.
    """
    anyone, single, succeeding = how
    for t in range(most):
        for name in range(names):
            if alone[name] >= least:
                return t
        number = np.uint64(t)
        bits, seats = plan_bits(key, number), seat_bits(key, number)
        group = np.int64(index_of(bits >> HALF, np.uint64(len(indptr) - 1)))
        first, end = indptr[group], indptr[group + 1]
        size = np.uint64(end - first)
        place = np.int64(index_of(bits & LOW, size))
        speaker = members[first + place]
        if held[speaker] == _NONE:
            _give(held, alone, speaker, ONE << index_of(seats >> HALF, np.uint64(names)))
        word = _pick(held[speaker], index_of(seats >> HALF, _size(held[speaker])))
        if single:
            other = np.int64(index_of(mix(hearer_key + (number + ONE) * STEP) >> HALF, size - ONE))
            other += other >= place
            first, end = first + other, first + other + 1
        knowing = hearing = 0
        for at in range(first, end):
            if members[at] != speaker:
                hearing += 1
                knowing += held[members[at]] & word != _NONE
        if knowing == hearing or (anyone and knowing > 0):
            if seats & LOW < np.uint64(succeeding):
                if not fixed[speaker]:
                    _give(held, alone, speaker, word)
                for at in range(first, end):
                    if not fixed[members[at]]:
                        _give(held, alone, members[at], word)
            continue
        for at in range(first, end):
            if not fixed[members[at]]:
                _give(held, alone, members[at], held[members[at]] | word)
    return most


def _compile() -> None:
    """Compile for the types that it is called with, by playing nothing."""
    many, bits = np.zeros(0, np.int64), np.zeros(0, np.uint64)
    key = np.uint64(0)
    play(key, key, many, many, bits, np.zeros(0, np.bool_), many, 2, (False, False, 0), 1, 0)


_compile()
