"""What minds play on packed memories, compiled: the conditional logit of ``minds.recorded``.

An agent is one number: the highest bit says that it has played, then comes the index of its mind,
then what it remembers. A memory is a one followed by a digit for each interaction, the newest last,
and a digit is the indices of the own and the partner's name. So the next memory is a shift away,
nothing is numbered, and a logit can be evaluated from the number alone.

The cumulative weights of a choice are kept by mind and memory. Few enough memories are the rows of
a table. Of more, a small table keeps those met lately, each in the place that its hash gives: to
evaluate a logit again takes no longer than to find it in a table that fills no cache. What Python
was asked is kept besides. Importing this module compiles it.
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

UTILITY, WEIGHT = 0, 1
"""Kinds of values: the utility of a name, and its exponential."""

ASK = -1
"""Instead of a row: Python has to ask the mind."""

NO_KEY = np.uint64((1 << 64) - 1)
_TWO, _FOUR = np.uint64(2), np.uint64(4)
_UNIT = float(1 << 32)
_OFFSETS = np.array([0, 1, 5, 21, 85, 341, PROFILES], np.int64)
"""Where the profiles of each length begin."""


class Known(NamedTuple):
    """Minds on packed memories, and the cumulative weights known so far.

    A name takes ``bits`` bits and a full memory ``full``; ``played`` is the highest bit of a state.
    A row of ``steps`` has the cumulative weights of all names but the last. Without ``keys``, rows
    are given by mind and memory, and one that is not known starts with -1. With them, a row belongs
    to the state that its key is, under the mask of its mind, and what Python was asked is in
    ``answers`` too, by open addressing in ``asked``. ``values`` has the utility of each name by
    logit and profile, and its exponential; ``blurs`` says how wrong quick sums may be. ``counted``
    are the states, by open addressing, for which ``counts`` has recorded choices, and in its last
    column their sum with the prior strength. The rest is room to work in.
    """

    names: int
    bits: Any
    full: Any
    played: Any
    keys: Any
    steps: Any
    asked: Any
    answers: Any
    masks: Any
    kinds: Any
    fixed: Any
    values: Any
    blurs: Any
    counted: Any
    counts: Any
    prior: Any
    inverse_temperature: Any
    work: Any
    partials: Any
    out: Any
    at: Any
    met: Any


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


@numba.njit(cache=True, inline="always")
def mixed(key):
    """Return a key with its bits scrambled: memories that are alike must not lie together."""
    key = (key ^ (key >> np.uint64(32))) * STEP
    return key ^ (key >> np.uint64(32))


@numba.njit(cache=True, inline="always")
def find_answer(asked, key):
    """Return the place of a key among those that Python was asked, or the free one for it."""
    mask = np.uint64(len(asked) - 1)
    place = mixed(key) & mask
    while asked[place] != key and asked[place] != NO_KEY:
        place = (place + ONE) & mask
    return np.int64(place)


@numba.njit(cache=True)
def enter(old_keys, old_rows, asked, answers):
    """Enter all answers of one table into another."""
    for place in range(len(old_keys)):
        if old_keys[place] != NO_KEY:
            row = find_answer(asked, old_keys[place])
            asked[row] = old_keys[place]
            answers[row] = old_rows[place]


@numba.njit(cache=True)
def relearn(known):
    """Forget everything that depends on which minds there are."""
    known.keys[:] = known.asked[:] = NO_KEY
    if len(known.keys) == 0:
        known.steps[:, 0] = -1


@numba.njit(cache=True, inline="always")
def _seen(known, key):
    """Return what a logit sees of a memory: the newest interactions."""
    code = key & ((_TWO << known.full) - ONE)
    newest = ONE << (_TWO * known.bits * np.uint64(DEPTH))
    return (code & (newest - ONE)) | newest if code >= newest else code


@numba.njit(cache=True, error_model="numpy", inline="always")
def _gather(known, seen, kind, table, out):
    """Write the values of one kind that the names have by profile."""
    bits, at, met, values = known.bits, known.at, known.met, known.values
    lowest = (ONE << bits) - ONE
    digit = _TWO * bits
    count, length = 0, 0
    while seen > ONE:
        met[count] = seen & lowest
        met[count + 1] = (seen >> bits) & lowest
        seen >>= digit
        count += 2
        length += 1
    unmet = np.uint64(_OFFSETS[length + 1] - 1)
    for name in range(known.names):
        out[name] = values[kind, table, unmet, name]
    for place in range(count):
        at[met[place]] = unmet
    power = ONE
    for place in range(0, count, 2):
        at[met[place]] -= power
        at[met[place + 1]] -= _TWO * power
        power *= _FOUR
    for place in range(count):
        name = met[place]
        out[name] = values[kind, table, at[name], name]


@numba.njit(cache=True, error_model="numpy", inline="always")
def _counted_at(known, mind, seen):
    """Return where the recorded counts of a memory are, -1 if there are none."""
    place = find_answer(known.counted, (np.uint64(mind) << (known.full + ONE)) | seen)
    return place if known.counted[place] != NO_KEY else -1


@numba.njit(cache=True, error_model="numpy")
def evaluate(known, key, out):
    """Write the probabilities of a logit on a memory; return whether they are numbers."""
    names, mind = known.names, np.int64(key >> (known.full + ONE))
    work, partials = known.work, known.partials
    seen = _seen(known, key)
    _gather(known, seen, UTILITY, known.kinds[mind], out)
    highest = -math.inf
    for name in range(names):
        highest = max(highest, out[name])
    for name in range(names):
        work[name] = math.exp(out[name] - highest)
    total = fsum(work, names, partials)
    if not 0.0 < total < math.inf:
        return False
    for name in range(names):
        out[name] = work[name] / total
    place = _counted_at(known, mind, seen)
    if place >= 0:
        prior = known.prior[mind]
        for name in range(names):
            chance = known.counts[place, name] + prior * out[name]
            out[name] = chance / known.counts[place, names]
    return True


@numba.njit(cache=True, error_model="numpy", inline="always")
def weigh_quickly(known, key, row):
    """Write the cumulative weights of a logit on a memory; return whether these are exact.

    They are what ``evaluate`` and ``weigh`` make of it, unless one is so near to the middle between
    two whole numbers that the rounding of sums could decide. Nothing is added up exactly, and there
    is an exponential only where a mind is sharpened.
    """
    names, mind = known.names, np.int64(key >> (known.full + ONE))
    table, power = known.kinds[mind], known.inverse_temperature[mind]
    work, steps = known.out, known.steps
    seen = _seen(known, key)
    place = _counted_at(known, mind, seen)
    sharpened, counted = power != 1.0, place >= 0
    kind = UTILITY if sharpened and not counted else WEIGHT
    _gather(known, seen, kind, table, work)
    if counted:
        total = 0.0
        for name in range(names):
            total += work[name]
        share = known.prior[mind] / total
        for name in range(names):
            work[name] = known.counts[place, name] + share * work[name]
    if sharpened:
        highest = work[0]
        for name in range(1, names):
            highest = max(highest, work[name])
        for name in range(names):
            if work[name] == highest:
                work[name] = 1.0
            elif counted:
                work[name] = math.exp(power * math.log(work[name] / highest))
            else:
                work[name] = math.exp(power * (work[name] - highest))
    total = 0.0
    for name in range(names):
        total += work[name]
        work[name] = total
    scale, certain = _UNIT / total, True
    nearest = 0.5 - known.blurs[table] * (1.0 + abs(power))
    for name in range(names - 1):
        part = work[name] * scale
        whole = np.rint(part)
        certain &= abs(part - whole) < nearest
        steps[row, name] = np.int64(whole)
    return certain


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
            count = _collect(shared, length, number, work, 1)
            every = fsum(work, count, partials)
            if unmet:
                strangers[length] = every
            for name in range(len(by_name)):
                count = _collect(by_name[name], length, number, work, 0)
                own[name, place] = every + fsum(work, count, partials)


@numba.njit(cache=True)
def _collect(weights, length, number, work, count):
    for row in range(0, len(weights), 2):
        for depth in range(1, length + 1):
            work[count] = weights[row, _OFFSETS[depth] + number % 4**depth]
            count += 1
        work[count] = weights[row + 1, _OFFSETS[length] + number]
        count += 1
    return count


@numba.njit(cache=True, error_model="numpy")
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
def _weigh_exactly(known, key, row):
    if not evaluate(known, key, known.out):
        return False
    power = known.inverse_temperature[np.int64(key >> (known.full + ONE))]
    weigh(known.out, known.names, power, known.steps[row], known.work, known.partials)
    return True


@numba.njit(cache=True, error_model="numpy")
def learn(known, key):
    """Return the row of a key that was not found, its weights worked out; or ASK."""
    mind = np.int64(key >> (known.full + ONE))
    kind, names, hashed, steps = known.kinds[mind], known.names, len(known.keys) > 0, known.steps
    row = np.int64(mixed(key) & np.uint64(len(known.keys) - 1)) if hashed else np.int64(key)
    if kind == FIXED:
        for name in range(names - 1):
            steps[row, name] = known.fixed[mind, name]
    elif kind == ASKED or not (weigh_quickly(known, key, row) or _weigh_exactly(known, key, row)):
        place = find_answer(known.asked, key)
        if known.asked[place] != key:
            # What was there is overwritten.
            steps[row, 0] = -1
            if hashed:
                known.keys[row] = NO_KEY
            return np.int64(ASK)
        for name in range(names - 1):
            steps[row, name] = known.answers[place, name]
    if hashed:
        known.keys[row] = key
    return row


def nothing_known(hashed: bool) -> Known:
    """Return a table without memories, of the types that loops are compiled for."""
    f64, i64 = np.zeros(0), np.zeros((8, 1), np.int64)
    keys = np.full(8 * hashed, NO_KEY, np.uint64)
    two = f64.reshape(0, 1)
    return Known(
        *(2, np.uint64(1), np.uint64(2), np.uint64(1 << 15)),
        *(keys, i64, np.full(1, NO_KEY), i64, np.array([NO_KEY]), np.array([FIXED]), i64),
        *(f64.reshape(0, 1, 1, 1), f64, keys[:0], two, f64, np.ones(1)),
        *(np.zeros(9), np.zeros(9), np.zeros(9), np.zeros(9, np.uint64), np.zeros(9, np.uint64)),
    )


def _compile() -> None:
    """Compile what Python calls, by calling it on nothing."""
    known, key = nothing_known(True), np.uint64(0)
    relearn(known)
    learn(known, key)
    enter(known.asked, known.answers, known.asked, known.answers)
    none = np.zeros((0, 2, PROFILES))
    work = np.zeros(64)
    add_up(np.zeros((6, 2)), none.reshape(0, PROFILES), none, work, work, none[:, 0], np.zeros(6))


_compile()
