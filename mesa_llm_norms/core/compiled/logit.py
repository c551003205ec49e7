"""What minds play on packed memories, compiled: the conditional logit of ``minds.recorded``.

An agent is one 64-bit number: the highest bit says that it has played, then comes the index of its
mind, then what it remembers. A memory is a one followed by a digit for each interaction, the newest
last, and a digit is the indices of the own and the partner's name. So the next memory is a shift
away, nothing is numbered, and a logit can be evaluated from the number alone.

The cumulative weights of a choice are kept by mind and memory. Few enough memories are the rows of
a table; else they are looked up by hash, in a table that grows up to ``most`` places and is emptied
when half of these are taken. Importing this module compiles it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numba
import numpy as np

from mesa_llm_norms.core.compiled.randomness import ONE, STEP

DEPTH = 5
"""How many interactions a logit looks at, the newest."""

PROFILES = 1365
"""Profiles of up to five letters."""

FIXED, ASKED = -1, -2
"""Kinds of minds: one that always plays by the same weights, or one that Python asks; the kind of a
logit is the number of its tables."""

ASK, FULL = -1, -2
"""Instead of a row: Python has to ask the mind, or to give the table more places."""

STORED, EPOCH = 0, 1
"""What ``Known.numbers`` holds: how many memories are there, and since when weights are valid."""

PLAYED = np.uint64(1 << 63)
NO_KEY = np.uint64((1 << 64) - 1)
_ZERO, _TWO, _WORD = np.uint64(0), np.uint64(2), np.uint64(64)
_UNIT = float(1 << 32)
_OFFSETS = np.array([0, 1, 5, 21, 85, 341], np.int64)
"""Where the profiles of each length begin."""


class Known(NamedTuple):
    """Minds on packed memories, and the cumulative weights known so far.

    A name takes ``bits`` bits and a full memory ``full``. A row of ``steps`` has the cumulative
    weights of all names but the last. Without ``keys``, rows are given by mind and memory, and one
    that is not known starts with -1. With them, rows are found by hash, end with their epoch, and
    belong to states under the mask of their mind. ``probabilities`` has those of the logits before
    they are sharpened, or no rows. ``alone``, ``own`` and ``strangers`` are the tables of the
    logits (``RecordedMind.tables``). ``counted`` are the states, in order, for which ``counts``
    has recorded choices, and in its last column their sum with the prior strength.
    """

    names: int
    bits: Any
    full: Any
    most: int
    keys: Any
    steps: Any
    probabilities: Any
    masks: Any
    kinds: Any
    fixed: Any
    alone: Any
    own: Any
    strangers: Any
    counted: Any
    counts: Any
    prior: Any
    inverse_temperature: Any
    numbers: Any
    reals: Any
    places: Any


@numba.njit(cache=True)
def fsum(values, size, partials):
    """Return ``math.fsum(values[:size])``, by the algorithm of CPython, hence the same number."""
    count = 0
    for place in range(size):
        x = values[place]
        kept = 0
        for j in range(count):
            y = partials[j]
            if abs(x) < abs(y):
                x, y = y, x
            high = x + y
            low = y - (high - x)
            if low != 0.0:
                partials[kept] = low
                kept += 1
            x = high
        count = kept
        if x != 0.0:
            partials[count] = x
            count += 1
    if count == 0:
        return 0.0
    count -= 1
    high = partials[count]
    low = 0.0
    while count > 0:
        x = high
        count -= 1
        y = partials[count]
        high = x + y
        low = y - (high - x)
        if low != 0.0:
            break
    if count > 0 and (
        (low < 0.0 and partials[count - 1] < 0.0) or (low > 0.0 and partials[count - 1] > 0.0)
    ):
        y = low * 2.0
        x = high + y
        if y == x - high:
            high = x
    return high


@numba.njit(cache=True)
def home_of(keys, key):
    """Return the place where the search for a key begins."""
    return mixed(key) & np.uint64(len(keys) - 1)


@numba.njit(cache=True)
def mixed(key):
    """Return a key with its bits scrambled: memories that are alike must not lie together."""
    key = (key ^ (key >> np.uint64(32))) * STEP
    return key ^ (key >> np.uint64(32))


@numba.njit(cache=True)
def look_up(keys, steps, epoch, key):
    """Return the row of a key whose weights are valid, -1 if there is none."""
    place, mask = home_of(keys, key), np.uint64(len(keys) - 1)
    while keys[place] != key:
        if keys[place] == NO_KEY:
            return np.int64(-1)
        place = (place + ONE) & mask
    row = np.int64(place)
    return row if steps[row, steps.shape[1] - 1] == epoch else np.int64(-1)


@numba.njit(cache=True)
def claim(known, key):
    """Return the row for a key, new or not; or FULL. A table that cannot grow is emptied."""
    keys = known.keys
    if len(keys) == 0:
        return np.int64(key)
    place, mask = home_of(keys, key), np.uint64(len(keys) - 1)
    while keys[place] != key and keys[place] != NO_KEY:
        place = (place + ONE) & mask
    if keys[place] == key or 2 * (known.numbers[STORED] + 1) <= len(keys):
        return np.int64(place)
    if len(keys) < known.most:
        return np.int64(FULL)
    keys[:] = NO_KEY
    known.numbers[STORED] = 0
    return np.int64(home_of(keys, key))


@numba.njit(cache=True)
def settle(known, key, row):
    """Have the weights of a row count as those of a key."""
    keys, steps = known.keys, known.steps
    if len(keys) > 0:
        known.numbers[STORED] += keys[row] == NO_KEY
        keys[row] = key
        steps[row, steps.shape[1] - 1] = known.numbers[EPOCH]


@numba.njit(cache=True)
def evaluate(known, key, out):
    """Write the probabilities of a logit on a memory; return whether they are numbers."""
    names, bits = known.names, known.bits
    mind = np.int64(key >> (known.full + ONE))
    table = known.kinds[mind]
    code = key & ((_TWO << known.full) - ONE)
    own_of, partner_of, seen = known.places[0], known.places[1], known.places[2]
    work, partials = known.reals[0], known.reals[1]
    lowest = (ONE << bits) - ONE
    recent, length = code, 0
    while code > ONE and length < DEPTH:
        partner_of[length] = np.int64(code & lowest)
        own_of[length] = np.int64((code >> bits) & lowest)
        code >>= _TWO * bits
        length += 1
    if code > ONE:
        newest = ONE << (_TWO * bits * np.uint64(DEPTH))
        recent = (recent & (newest - ONE)) | newest
    first = 1 if length == 0 else 0
    stranger = known.strangers[table, length]
    for name in range(names):
        out[name] = known.alone[table, first, name]
        seen[name] = 0
    for lag in range(length):
        seen[own_of[lag]] = 1
        seen[partner_of[lag]] = 1
    highest = -math.inf
    for name in range(names):
        if seen[name]:
            letters, power = 0, 1
            for lag in range(length):
                letter = 2 * (own_of[lag] != name) + (partner_of[lag] != name)
                letters += power * letter
                power *= 4
            out[name] += known.own[table, name, _OFFSETS[length] + letters]
        else:
            out[name] += stranger
        highest = max(highest, out[name])
    for name in range(names):
        work[name] = math.exp(out[name] - highest)
    total = fsum(work, names, partials)
    if not 0.0 < total < math.inf:
        return False
    for name in range(names):
        out[name] = work[name] / total
    if len(known.counted) > 0:
        state = (np.uint64(mind) << (known.full + ONE)) | recent
        place = np.searchsorted(known.counted, state)
        if place < len(known.counted) and known.counted[place] == state:
            prior = known.prior[mind]
            for name in range(names):
                chance = known.counts[place, name] + prior * out[name]
                out[name] = chance / known.counts[place, names]
    return True


@numba.njit(cache=True)
def add_up(met, shared, by_name, work, partials, own, strangers):
    """Fill in the utilities of profiles from the weights of their features.

    ``met`` has a row for each length: not met, met. ``shared`` has pairs of rows by profile: what
    holds for every part of a profile that begins with its newest letter, and for this profile
    alone; ``by_name`` has one such pair for each name.
    """
    for length in range(DEPTH + 1):
        for number in range(4**length):
            place = _OFFSETS[length] + number
            unmet = number == 4**length - 1
            work[0] = met[length, np.int64(not unmet)]
            count = _gather(shared, length, number, work, 1)
            every = fsum(work, count, partials)
            if unmet:
                strangers[length] = every
            for name in range(len(by_name)):
                count = _gather(by_name[name], length, number, work, 0)
                own[name, place] = every + fsum(work, count, partials)


@numba.njit(cache=True)
def _gather(weights, length, number, work, count):
    for row in range(0, len(weights), 2):
        for depth in range(1, length + 1):
            work[count] = weights[row, _OFFSETS[depth] + number % 4**depth]
            count += 1
        work[count] = weights[row + 1, _OFFSETS[length] + number]
        count += 1
    return count


@numba.njit(cache=True)
def weigh(probabilities, names, inverse_temperature, steps, work, partials):
    """Write the cumulative weights of probabilities, raised to a power."""
    for name in range(names):
        work[name] = probabilities[name]
    if inverse_temperature != 1.0:
        highest = probabilities[0]
        for name in range(1, names):
            highest = max(highest, probabilities[name])
        for name in range(names):
            work[name] = (probabilities[name] / highest) ** inverse_temperature
        total = fsum(work, names, partials)
        for name in range(names):
            work[name] /= total
    total, last = 0.0, 0
    for name in range(names):
        before = total
        total += work[name]
        if before < total:
            last = name
        work[name] = total
    for name in range(names - 1):
        part = np.rint(work[name] / total * _UNIT) if name < last else _UNIT
        steps[name] = np.int64(part)


@numba.njit(cache=True)
def learn(known, key):
    """Return the row of a key that was not found, its weights worked out; or ASK, or FULL."""
    mind = np.int64(key >> (known.full + ONE))
    kind, names = known.kinds[mind], known.names
    if kind == ASKED:
        return np.int64(ASK)
    row = claim(known, key)
    if row == FULL:
        return row
    steps = known.steps[row]
    if kind == FIXED:
        for name in range(names - 1):
            steps[name] = known.fixed[mind, name]
    else:
        kept = len(known.probabilities) > 0
        probabilities = known.probabilities[row] if kept else known.reals[2]
        hashed = len(known.keys) > 0
        new = not kept or probabilities[0] < 0.0 or (hashed and known.keys[row] != key)
        if new and not evaluate(known, key, probabilities):
            probabilities[0] = -1.0
            return np.int64(ASK)
        weigh(
            probabilities,
            names,
            known.inverse_temperature[mind],
            steps,
            known.reals[0],
            known.reals[1],
        )
    settle(known, key, row)
    return row


@numba.njit(cache=True)
def move(old, new):
    """Enter all that is known into a table with more places."""
    for place in range(len(old.keys)):
        key = old.keys[place]
        if key != NO_KEY:
            row = claim(new, key)
            new.numbers[STORED] += 1
            new.keys[row] = key
            new.steps[row] = old.steps[place]
            if len(old.probabilities) > 0:
                new.probabilities[row] = old.probabilities[place]


def nothing_known() -> Known:
    """Return a table without memories, of the types that loops are compiled for."""
    u64, f64 = np.zeros(0, np.uint64), np.zeros(0)
    names, bits, full = 2, np.uint64(1), np.uint64(2)
    masks, kinds, fixed = np.array([NO_KEY]), np.array([FIXED]), np.zeros((1, 1), np.int64)
    two, three = f64.reshape(0, 1), f64.reshape(0, 1, 1)
    return Known(
        *(names, bits, full, 1, u64, np.zeros((8, 1), np.int64), two, masks, kinds, fixed),
        *(three, three, two, u64, two, f64, np.ones(1)),
        *(np.zeros(2, np.int64), np.zeros((3, 9)), np.zeros((3, DEPTH), np.int64)),
    )


def _compile() -> None:
    """Compile what Python calls, by calling it on nothing."""
    known, key = nothing_known(), np.uint64(0)
    settle(known, key, claim(known, key))
    learn(known, key)
    move(known, known)
    none = np.zeros((0, 2, PROFILES))
    work = np.zeros(64)
    add_up(np.zeros((6, 2)), none.reshape(0, PROFILES), none, work, work, none[:, 0], np.zeros(6))


_compile()
