"""The naming game of policies, compiled: plan, decide and commit, interaction by interaction.

Agents are states of an automaton (``simulation.kernel.Automaton``), names are indices in the pool.
Importing this module compiles it. Indices are unsigned throughout: numba then leaves out what lets
negative ones count from the end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from mesa_llm_norms.core.compiled.randomness import (
    HALF,
    LOW,
    ONE,
    first_above,
    index_of,
    mix,
    plan_bits,
    seat_bits,
)

NODE, EDGE, PLANNED = 0, 1, 2
DONE, REACHED, UNKNOWN = 0, 1, 2


T, START, LEFT, LINE, PLACE, FILLED, MATCHED, STATE_A, STATE_B, NAME_A, NAME_B = range(11)
"""What the cursor holds: interactions so far, and when the first of these rounds began; how many
are left of the round; its line in the counts; place, filled and matched of the window; and, where
something is unknown, for which states and names."""

ZERO, TWO, TOP = np.uint64(0), np.uint64(2), np.uint64(31)
NAME_BITS, NAME_MASK = np.uint64(16), np.uint64(0xFFFF)


class Pairs(NamedTuple):
    """Where pairs come from, by ``mode``.

    NODE: a node of ``starts``, then one of its ``indices``, by ``near`` where they are weighted.
    EDGE: an edge from ``tails`` to ``heads``, by ``edge_steps``; which comes first is drawn too
    unless ``directed``. PLANNED: one of ``tails`` and ``heads`` after the other.
    """

    mode: int
    directed: bool
    starts: Any
    indptr: Any
    indices: Any
    near: Any
    tails: Any
    heads: Any
    edge_steps: Any


class Tables(NamedTuple):
    """The automaton: for each state the cumulative weights of its choice, and what it becomes.

    A row of ``steps`` that is not known starts with -1. What a state becomes is in ``nexts``, by
    own name times ``names`` plus partner's, -1 where unknown; or, where that has no columns, under
    the key ``state * names**2`` plus that number in ``keys`` and ``values``.
    """

    names: int
    steps: Any
    nexts: Any
    keys: Any
    values: Any


class Window(NamedTuple):
    """The last interactions, each name by 16 bits, and how often each name is among them."""

    ring: Any
    played: Any


class Ending(NamedTuple):
    """So many matches, or plays of one of these names, in a full window; zero asks for nothing."""

    matches: int
    plays: int
    names: Any


@numba.njit(cache=True)
def find(keys, values, key):
    """Return the value stored for a key, -1 if there is none."""
    mask = np.uint64(len(keys) - 1)
    place = mix(key) & mask
    while keys[place] >= 0:
        if np.uint64(keys[place]) == key:
            return values[place]
        place = (place + ONE) & mask
    return np.int32(-1)


@numba.njit((numba.int64[::1], numba.int32[::1], numba.int64[::1], numba.int32[::1]), cache=True)
def store(keys, values, new_keys, new_values):
    """Store values for new keys; there must be free places, whose key is -1."""
    mask = np.uint64(len(keys) - 1)
    for key, value in zip(new_keys, new_values):  # noqa: B905  (numba has no strict)
        place = mix(np.uint64(key)) & mask
        while keys[place] >= 0:
            place = (place + ONE) & mask
        keys[place] = key
        values[place] = value


@numba.njit(
    "int64(int64[::1], uint32[::1], uint32[::1], int64, uint32[::1], uint32[::1])", cache=True
)
def match(order, first_ends, second_ends, size, tails, heads):
    """Plan a matching: edges in this order, taken if both ends are free. Return how many pairs."""
    busy = np.zeros(size, np.bool_)
    found = 0
    for place in order:
        a, b = first_ends[place], second_ends[place]
        if not (busy[a] or busy[b]):
            busy[a] = busy[b] = True
            tails[found], heads[found] = a, b
            found += 1
    return found


def _loop(common):
    """Return the loop that ``play`` runs: the whole, or one for the commonest case alone.

    That is two names, a node and then any of its neighbors, no rows kept and no flip waited for.
    The other branches are left out, which makes it about a tenth faster.
    """

    @numba.njit(cache=True, nogil=True)
    def play(key, pairs, sizes, tables, states, window, ending, counts, rows, cursor):
        t, start, left, line = (
            np.uint64(cursor[T]),
            np.uint64(cursor[START]),
            cursor[LEFT],
            cursor[LINE],
        )
        place, filled, matched = np.uint64(cursor[PLACE]), cursor[FILLED], cursor[MATCHED]
        ring, played, plays = window.ring, window.played, ending.plays
        steps, nexts, names = tables.steps, tables.nexts, tables.names
        starts, indptr, indices = pairs.starts, pairs.indptr, pairs.indices
        tails, heads = pairs.tails, pairs.heads
        size, lines = len(ring), len(sizes)
        matches = ending.matches if ending.matches > 0 else size + 1
        last, n_starts, n_edges = np.uint64(size - 1), np.uint64(len(starts)), np.uint64(len(tails))
        anyone = len(starts) == len(states)
        if common:
            binary = dense = drawn = True
            keep = flipping = planned = weighted = False
        else:
            keep = len(rows) > 0
            binary = names == 2
            dense = nexts.shape[1] > 0
            flipping = plays > 0
            drawn = pairs.mode == NODE
            planned = pairs.mode == PLANNED
            weighted = len(pairs.near) > 0 or len(pairs.edge_steps) > 0
        status = DONE
        a = b = np.uint32(0)
        while line < lines:
            if left == 0:
                left = sizes[line]
            before = left
            seconds, hits = np.int64(0), np.int64(0)
            while left > 0:
                if planned:
                    a, b = tails[t - start], heads[t - start]
                else:
                    bits = plan_bits(key, t)
                    high, low = bits >> HALF, bits & LOW
                    if drawn:
                        drawn_first = index_of(high, n_starts)
                        a = np.uint32(drawn_first) if anyone else starts[drawn_first]
                        first, end = indptr[a], indptr[a + ONE]
                        if weighted:
                            b = indices[first + first_above(pairs.near, first, end, np.int64(low))]
                        else:
                            b = indices[first + index_of(low, end - first)]
                    else:
                        if weighted:
                            edge = first_above(pairs.edge_steps, ZERO, n_edges, np.int64(high))
                        else:
                            edge = index_of(high, n_edges)
                        a, b = tails[edge], heads[edge]
                        if not pairs.directed and low >> TOP == ZERO:
                            a, b = b, a
                state_a, state_b = states[a], states[b]
                step_a, step_b = steps[state_a, 0], steps[state_b, 0]
                if (step_a | step_b) < 0:
                    cursor[STATE_A], cursor[STATE_B], cursor[NAME_A] = state_a, state_b, -1
                    status = UNKNOWN
                    break
                bits = seat_bits(key, t)
                draw_a, draw_b = np.int64(bits >> HALF), np.int64(bits & LOW)
                if binary:
                    name_a, name_b = np.uint64(draw_a >= step_a), np.uint64(draw_b >= step_b)
                    seen_a, seen_b = name_a + name_a + name_b, name_b + name_b + name_a
                else:
                    choices = np.uint64(names - 1)
                    name_a = first_above(steps[state_a], ZERO, choices, draw_a)
                    name_b = first_above(steps[state_b], ZERO, choices, draw_b)
                    seen_a = name_a * np.uint64(names) + name_b
                    seen_b = name_b * np.uint64(names) + name_a
                if dense:
                    next_a, next_b = nexts[state_a, seen_a], nexts[state_b, seen_b]
                else:
                    many = np.uint64(names * names)
                    next_a = find(tables.keys, tables.values, np.uint64(state_a) * many + seen_a)
                    next_b = find(tables.keys, tables.values, np.uint64(state_b) * many + seen_b)
                if (next_a | next_b) < 0:
                    cursor[STATE_A], cursor[STATE_B] = state_a, state_b
                    cursor[NAME_A], cursor[NAME_B] = name_a, name_b
                    status = UNKNOWN
                    break
                states[a], states[b] = next_a, next_b
                if keep:
                    row = t - start
                    rows[row, 0], rows[row, 1], rows[row, 2], rows[row, 3] = a, b, name_a, name_b
                hit = np.int64(name_a == name_b)
                hits += hit
                if binary:
                    seconds += np.int64(name_a + name_b)
                else:
                    counts[line, TWO + name_a] += 1
                    counts[line, TWO + name_b] += 1
                if filled == size:
                    old = ring[place]
                    old_a, old_b = old >> NAME_BITS, old & NAME_MASK
                    matched -= np.int64(old_a == old_b)
                    if flipping:
                        played[old_a] -= 1
                        played[old_b] -= 1
                else:
                    filled += 1
                ring[place] = (name_a << NAME_BITS) | name_b
                place = ZERO if place == last else place + ONE
                matched += hit
                t += ONE
                left -= 1
                if flipping:
                    played[name_a] += 1
                    played[name_b] += 1
                if filled == size:
                    if matched >= matches:
                        status = REACHED
                        break
                    if flipping:
                        for name in ending.names:
                            if played[name] >= plays:
                                status = REACHED
                        if status == REACHED:
                            break
            counts[line, 0] += before - left
            counts[line, 1] += hits
            if binary:
                counts[line, 2] += 2 * (before - left) - seconds
                counts[line, 3] += seconds
            if status != DONE:
                break
            line += 1
        cursor[T], cursor[LEFT], cursor[LINE] = t, left, line
        cursor[PLACE], cursor[FILLED], cursor[MATCHED] = place, filled, matched
        return status

    return play


_play_common, _play_any = _loop(True), _loop(False)


def play(key, pairs, sizes, tables, states, window, ending, counts, rows, cursor):
    """Play from the cursor until ``sizes`` rounds are done, or until something is needed.

    ``sizes`` says how many interactions each round has, ``states`` is the agents, a line of
    ``counts`` is that of a ``Tally``, and ``rows``, unless empty, has room for each interaction:
    two nodes and two names.

    Returns DONE; REACHED, at the ending; or UNKNOWN, having changed nothing, where the tables lack
    what the states in the cursor need.
    """
    common = (
        pairs.mode == NODE
        and tables.names == 2
        and tables.nexts.shape[1] > 0
        and ending.plays == 0
        and len(rows) == 0
        and len(pairs.near) == 0
    )
    loop = _play_common if common else _play_any
    return loop(key, pairs, sizes, tables, states, window, ending, counts, rows, cursor)


def _compile() -> None:
    """Compile both loops for the types they are called with, by playing no round at all."""
    u32, u64 = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    i32, i64 = np.zeros(0, np.int32), np.zeros(0, np.int64)
    nothing = (
        np.uint64(0),
        Pairs(NODE, False, u32, u64, u32, i64, u32, u32, i64),
        i64,
        Tables(2, i64.reshape(0, 1), i32.reshape(0, 4), i64, i32),
        u32,
        Window(u32, i64),
        Ending(0, 0, i64),
        i64.reshape(0, 4),
        i32.reshape(0, 4),
        np.zeros(11, np.int64),
    )
    for loop in (_play_common, _play_any):
        loop(*nothing)


_compile()
