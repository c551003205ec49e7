"""The naming game of policies, compiled: plan, decide and commit, interaction by interaction.

An agent is a memory packed in a number (``logit.Known``) or, where that does not fit, a state of an
automaton (``simulation.automaton``). Names are indices in the pool. Importing this module compiles
it. Indices are unsigned throughout: numba then leaves out what lets negative ones count from the
end.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numba.extending import overload

from mesa_llm_norms.core.compiled.logit import Known, learn, mixed, nothing_known
from mesa_llm_norms.core.compiled.randomness import (
    HALF,
    LOW,
    ONE,
    STEP,
    first_above,
    index_of,
    mix,
    plan_bits,
    seat_bits,
)

NODE, EDGE, MATCHING, CONTACTS = range(4)
DONE, REACHED, UNKNOWN = 0, 1, 2

(T, START, LEFT, LINE, PLACE, FILLED, MATCHED, STATE_A, STATE_B, NAME_A, NAME_B, ROUND, BEGUN) = (
    range(13)
)
"""What the cursor holds: interactions so far, and when the first of these rounds began; how many
are left of the round; its line in the counts; place, filled and matched of the window; where
something is unknown, for which states and names; the number of the round of the first line; and
when the present round began."""

ZERO, TWO, TOP = np.uint64(0), np.uint64(2), np.uint64(31)
NAME_BITS, NAME_MASK = np.uint64(16), np.uint64(0xFFFF)
_UNUSED = np.uint64(11)
AHEAD = 32
"""Pairs drawn at once: to read the neighbors of several nodes takes hardly longer than of one."""
FEW = 32
"""Names among which counting finds the one drawn sooner than halving does."""


class Pairs(NamedTuple):
    """Where pairs come from, by ``mode``.

    NODE: a node of ``starts``, then one of its ``indices``, by ``near`` where they are weighted.
    EDGE: an edge from ``tails`` to ``heads``, by ``edge_steps``; which comes first is drawn too
    unless ``directed``. MATCHING: edges in random order, by ``edge_weights`` where they are
    weighted, of which ``planned`` takes those whose ends are free; ``purpose`` keys the draws.
    CONTACTS: contacts from ``tails`` to ``heads`` in time order, those of the same number in
    ``edge_steps`` shuffled; ``planned`` holds one pass, and in two more rows which that is.
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
    edge_weights: Any
    purpose: Any
    planned: Any


class Tables(NamedTuple):
    """The automaton: for each state the cumulative weights of its choice, and what it becomes.

    A row of ``steps`` that is not known starts with -1. What a state becomes is under the key
    ``state * names**2`` plus own name times ``names`` plus partner's in ``keys`` and ``values``.
    Where ``sided`` is one, it depends on the seat too: the factor is twice as large, and
    ``names**2`` is added for the second seat.
    """

    names: int
    sided: int
    steps: Any
    keys: Any
    values: Any


class Window(NamedTuple):
    """The last interactions, each name by 16 bits, and how often each name is among them.

    ``hits`` has 1 for the pairs of names that are a success, shape (names, names).
    """

    ring: Any
    played: Any
    hits: Any


class Ending(NamedTuple):
    """So many matches, or plays of one of these names, in a full window; zero asks for nothing.

    That name must be held by ``least`` nodes. Unless ``least`` is zero, ``held`` is the name of
    each node, -1 for none, and ``holders`` how many nodes hold each name.
    """

    matches: int
    plays: int
    names: Any
    least: int
    held: Any
    holders: Any


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


@numba.njit(cache=True)
def match(pairs, key, number, size):
    """Plan the matching of a round; return how many pairs it has. See ``MatchingPairing``."""
    key = mix(mix(key ^ pairs.purpose) + np.uint64(number + 1) * STEP)
    tails, heads, weights = pairs.tails, pairs.heads, pairs.edge_weights
    arrivals = np.empty(len(tails))
    for edge in range(len(tails)):
        hashed = mix(key + np.uint64(edge + 1) * STEP)
        arrivals[edge] = -np.log(np.float64(hashed >> _UNUSED) * 2.0**-53 + 2.0**-54)
        if len(weights) > 0:
            arrivals[edge] /= weights[edge]
    busy = np.zeros(size, np.bool_)
    found = 0
    for edge in np.argsort(arrivals, kind="mergesort"):
        a, b = tails[edge], heads[edge]
        if not (busy[a] or busy[b]):
            busy[a] = busy[b] = True
            if not pairs.directed and mix(key + np.uint64(edge + 1) * STEP) & ONE == ZERO:
                a, b = b, a
            pairs.planned[found, 0], pairs.planned[found, 1] = a, b
            found += 1
    return found


@numba.njit(cache=True)
def lay_out(pairs, key, lap):
    """Plan all contacts of a pass, unless they are planned. See ``Moments.in_order``."""
    tails, heads, planned, size = pairs.tails, pairs.heads, pairs.planned, len(pairs.tails)
    mark = planned[size:]
    low, high = np.uint32(lap & LOW), np.uint32(lap >> HALF)
    key_low, key_high = np.uint32(key & LOW), np.uint32(key >> HALF)
    same_lap = mark[0, 0] == low and mark[0, 1] == high
    if same_lap and mark[1, 0] == key_low and mark[1, 1] == key_high:
        return
    mark[0, 0], mark[0, 1], mark[1, 0], mark[1, 1] = low, high, key_low, key_high
    key = mix(mix(key ^ pairs.purpose) + (lap + ONE) * STEP)
    shuffled = np.empty(size, np.uint64)
    for contact in range(size):
        hashed = mix(key + np.uint64(contact + 1) * STEP)
        shuffled[contact] = (np.uint64(pairs.edge_steps[contact]) << HALF) | (hashed >> HALF)
    for found, contact in enumerate(np.argsort(shuffled, kind="mergesort")):
        a, b = tails[contact], heads[contact]
        if not pairs.directed and mix(key + np.uint64(contact + 1) * STEP) & ONE == ONE:
            a, b = b, a
        planned[found, 0], planned[found, 1] = a, b


@numba.njit(cache=True)
def _hold(ending, node, name):
    """Note that a node holds this name now."""
    before = ending.held[node]
    if before >= 0:
        ending.holders[before] -= 1
    ending.held[node] = name
    ending.holders[name] += 1


@numba.njit(cache=True, inline="always")
def key_of(known, state):
    """Return what the mind looks at in a state that leaves out whether its agent has played."""
    return state & known.masks[state >> (known.full + ONE)]


@numba.njit(cache=True, inline="always")
def choose(known, state, draw):
    """Return the name that an agent draws in a state, -1 where Python has to ask its mind."""
    key = key_of(known, state)
    if len(known.keys) > 0:
        row = np.int64(mixed(key) & np.uint64(len(known.keys) - 1))
        if known.keys[row] != key:
            row = learn(known, key)
    else:
        row = np.int64(key)
        if known.steps[row, 0] < 0:
            row = learn(known, key)
    if row < 0:
        return np.int64(-1)
    if known.names > FEW:
        return np.int64(first_above(known.steps[row], ZERO, np.uint64(known.names - 1), draw))
    name = np.int64(0)
    for place in range(known.names - 1):
        name += draw >= known.steps[row, place]
    return name


def _loop(common, packed):
    """Return the loop that ``play`` runs: for packed memories or an automaton, for all or most.

    The commonest case is two names, all memories in a table, a node and then any of its neighbors,
    no rows kept and no flip waited for. The other branches are left out, which makes it up to
    twice as fast.
    """

    @numba.njit(cache=True, nogil=True)
    def play(key, pairs, lines, tables, states, window, ending, counts, rows, cursor):
        t, start, left, line = (
            np.uint64(cursor[T]),
            np.uint64(cursor[START]),
            cursor[LEFT],
            cursor[LINE],
        )
        place, filled, matched = np.uint64(cursor[PLACE]), cursor[FILLED], cursor[MATCHED]
        begun = np.uint64(cursor[BEGUN])
        ring, played, plays = window.ring, window.played, ending.plays
        hits_of = window.hits
        steps, names = tables.steps, np.uint64(tables.names)
        choices = names - ONE
        starts, indptr, indices = pairs.starts, pairs.indptr, pairs.indices
        tails, heads, planned = pairs.tails, pairs.heads, pairs.planned
        size = len(ring)
        matches = ending.matches if ending.matches > 0 else size + 1
        last, n_starts, n_edges = (
            np.uint64(max(size, 1) - 1),
            np.uint64(len(starts)),
            np.uint64(len(tails)),
        )
        anyone = len(starts) == len(states)
        if packed:
            bits, full = tables.bits, tables.full
            digit = TWO * bits
            code_mask = (TWO << full) - ONE
            played_bit = tables.played
            mind_mask = ~(code_mask | played_bit)
            few, hashed = tables.names <= FEW, len(tables.keys) > 0
            masks, mind_shift = tables.masks, full + ONE
            keys, row_mask = tables.keys, np.uint64(max(len(tables.keys) - 1, 0))
        if common:
            first_ahead, other_ahead = np.empty(AHEAD, np.uint32), np.empty(AHEAD, np.uint32)
            ahead = AHEAD
            keep = flipping = matching = timed = weighted = False
            drawn = True
        else:
            keep = len(rows) > 0
            flipping = plays > 0
            drawn = pairs.mode == NODE
            matching = pairs.mode == MATCHING
            timed = pairs.mode == CONTACTS
            weighted = len(pairs.near) > 0 or len(pairs.edge_steps) > 0
        if timed:
            lay_out(pairs, key, t // n_edges)
        status = DONE
        a = b = np.uint32(0)
        while line < lines:
            if left == 0:
                left = len(states)
                if matching:
                    left = match(pairs, key, cursor[ROUND] + line, len(states))
                    begun = t
            before = left
            seconds, hits = np.int64(0), np.int64(0)
            while left > 0:
                if common:
                    if ahead == AHEAD:
                        ahead = 0
                        for place_ahead in range(AHEAD):
                            drawn_bits = plan_bits(key, t + np.uint64(place_ahead))
                            node = index_of(drawn_bits >> HALF, n_starts)
                            if not anyone:
                                node = np.uint64(starts[node])
                            first = indptr[node]
                            other = index_of(drawn_bits & LOW, indptr[node + ONE] - first)
                            first_ahead[place_ahead] = node
                            other_ahead[place_ahead] = indices[first + other]
                    a, b = first_ahead[ahead], other_ahead[ahead]
                    ahead += 1
                elif matching:
                    a, b = planned[t - begun, 0], planned[t - begun, 1]
                elif timed:
                    if t % n_edges == ZERO:
                        lay_out(pairs, key, t // n_edges)
                    a, b = planned[t % n_edges, 0], planned[t % n_edges, 1]
                else:
                    drawn_bits = plan_bits(key, t)
                    high, low = drawn_bits >> HALF, drawn_bits & LOW
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
                seats = seat_bits(key, t)
                draw_a, draw_b = np.int64(seats >> HALF), np.int64(seats & LOW)
                state_a, state_b = np.uint64(states[a]), np.uint64(states[b])
                if packed:
                    state_a &= ~played_bit
                    state_b &= ~played_bit
                    if common:
                        if (steps[state_a, 0] | steps[state_b, 0]) < 0:
                            choose(tables, state_a, draw_a)
                            choose(tables, state_b, draw_b)
                        unknown = (steps[state_a, 0] | steps[state_b, 0]) < 0
                        name_a = np.uint64(draw_a >= steps[state_a, 0])
                        name_b = np.uint64(draw_b >= steps[state_b, 0])
                    else:
                        drawn_a = drawn_b = np.int64(-1)
                        if few:  # what ``choose`` would look up, but for counting references
                            row_a = state_a & masks[state_a >> mind_shift]
                            row_b = state_b & masks[state_b >> mind_shift]
                            if hashed:
                                key_a, key_b = row_a, row_b
                                row_a, row_b = mixed(key_a) & row_mask, mixed(key_b) & row_mask
                                there = keys[row_a] == key_a and keys[row_b] == key_b
                            else:
                                there = (steps[row_a, 0] | steps[row_b, 0]) >= 0
                            if there:
                                drawn_a = drawn_b = np.int64(0)
                                for step in range(choices):
                                    drawn_a += draw_a >= steps[row_a, step]
                                    drawn_b += draw_b >= steps[row_b, step]
                        if drawn_a < 0:
                            drawn_a = choose(tables, state_a, draw_a)
                            drawn_b = choose(tables, state_b, draw_b)
                        unknown = (drawn_a | drawn_b) < 0
                        name_a, name_b = np.uint64(drawn_a), np.uint64(drawn_b)
                    if unknown:
                        cursor[STATE_A], cursor[STATE_B] = state_a, state_b
                        status = UNKNOWN
                        break
                    code_a, code_b = state_a & code_mask, state_b & code_mask
                    next_a = (code_a << digit) | (name_a << bits) | name_b
                    next_b = (code_b << digit) | (name_b << bits) | name_a
                    # A full memory keeps the one in front of it.
                    next_a = (next_a & code_mask) | ((code_a >> full) << full)
                    next_b = (next_b & code_mask) | ((code_b >> full) << full)
                    states[a] = (state_a & mind_mask) | played_bit | next_a
                    states[b] = (state_b & mind_mask) | played_bit | next_b
                else:
                    if (steps[state_a, 0] | steps[state_b, 0]) < 0:
                        cursor[STATE_A], cursor[STATE_B], cursor[NAME_A] = state_a, state_b, -1
                        status = UNKNOWN
                        break
                    name_a = first_above(steps[state_a], ZERO, choices, draw_a)
                    name_b = first_above(steps[state_b], ZERO, choices, draw_b)
                    sided = np.uint64(tables.sided)
                    many = names * names * (ONE + sided)
                    seen_a = name_a * names + name_b
                    seen_b = (sided * names + name_b) * names + name_a
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
                hit = np.int64(hits_of[name_a, name_b])
                hits += hit
                if common:
                    seconds += np.int64(name_a + name_b)
                else:
                    counts[line, TWO + name_a] += 1
                    counts[line, TWO + name_b] += 1
                if filled == size:
                    old = ring[place]
                    old_a, old_b = old >> NAME_BITS, old & NAME_MASK
                    matched -= np.int64(hits_of[old_a, old_b])
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
                    if ending.least > 0:
                        _hold(ending, a, name_a)
                        _hold(ending, b, name_b)
                if filled == size:
                    if matched >= matches:
                        status = REACHED
                        break
                    if flipping:
                        for name in ending.names:
                            if played[name] >= plays and (
                                ending.least == 0 or ending.holders[name] >= ending.least
                            ):
                                status = REACHED
                        if status == REACHED:
                            break
            counts[line, 0] += before - left
            counts[line, 1] += hits
            if common:
                counts[line, 2] += 2 * (before - left) - seconds
                counts[line, 3] += seconds
            if status != DONE:
                break
            line += 1
        cursor[T], cursor[LEFT], cursor[LINE], cursor[BEGUN] = t, left, line, begun
        cursor[PLACE], cursor[FILLED], cursor[MATCHED] = place, filled, matched
        return status

    return play


_play_common, _play_packed = _loop(True, True), _loop(False, True)
_play_automaton = _loop(False, False)


def play_packed(key, pairs, lines, known, states, window, ending, counts, rows, cursor):
    """Play as ``play`` does with packed memories; what is unknown of logits is worked out."""
    loop = _play_rows if states.dtype == np.uint16 else _play_packed
    return loop(key, pairs, lines, known, states, window, ending, counts, rows, cursor)


@numba.njit(cache=True, nogil=True)
def _play_rows(key, pairs, lines, known, states, window, ending, counts, rows, cursor):
    """Play with memories that are all in a table."""
    common = (
        pairs.mode == NODE
        and known.names == 2
        and ending.plays == 0
        and len(rows) == 0
        and len(pairs.near) == 0
    )
    if common:
        return _play_common(key, pairs, lines, known, states, window, ending, counts, rows, cursor)
    return _play_packed(key, pairs, lines, known, states, window, ending, counts, rows, cursor)


@overload(play_packed)
def _play_packed_compiled(key, pairs, lines, known, states, window, ending, counts, rows, cursor):  # noqa: ARG001
    """Have compiled code contain only the loop for the states that it is compiled for."""
    loop = _play_rows if states.dtype == numba.uint16 else _play_packed

    def played(key, pairs, lines, known, states, window, ending, counts, rows, cursor):
        return loop(key, pairs, lines, known, states, window, ending, counts, rows, cursor)

    return played


def play(key, pairs, lines, tables, states, window, ending, counts, rows, cursor):
    """Play from the cursor until so many ``lines`` are done, or until something is needed.

    A line is a round. ``states`` is the agents, a line of ``counts`` is that of a ``Tally``, and
    ``rows``, unless empty, has room for each interaction: two nodes and two names.

    Returns DONE; REACHED, at the ending; or, having changed nothing, UNKNOWN where the tables lack
    what the states in the cursor need.
    """
    loop = play_packed if isinstance(tables, Known) else _play_automaton
    return loop(key, pairs, lines, tables, states, window, ending, counts, rows, cursor)


def _compile() -> None:
    """Compile all loops for the types they are called with, by playing no round at all."""
    u32, u64 = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    i64, f64 = np.zeros(0, np.int64), np.zeros(0)
    key, pairs_at = np.uint64(0), (u32, u64, u32, i64, u32, u32, i64, f64)
    pairs = Pairs(NODE, False, *pairs_at, key, u32.reshape(0, 2))
    ending = Ending(0, 0, i64, 0, np.zeros(0, np.int16), i64)
    rest = (
        Window(u32, i64, np.zeros((0, 0), np.uint8)),
        ending,
        i64.reshape(0, 4),
        np.zeros((0, 4), np.int32),
    )
    for tables, states in (
        (nothing_known(False), np.zeros(0, np.uint16)),
        (nothing_known(True), u64),
        (Tables(2, 0, i64.reshape(0, 1), i64, np.zeros(0, np.int32)), u32),
    ):
        play(key, pairs, 0, tables, states, *rest, np.zeros(13, np.int64))


_compile()
