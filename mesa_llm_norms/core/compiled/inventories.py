"""The loop of the classical naming game; ``classical.engine`` is the same in plain Python.

An agent is one row of ``agents``: how many words it holds, the word it last uttered or agreed on
(-1 for none), and from ``WORDS`` on the words themselves, in the order it took them in. Words are
numbers. Sixteen columns fill one cache line, which is what most interactions touch per agent.
"""

from __future__ import annotations

import numba
import numpy as np

from mesa_llm_norms.core.compiled.randomness import (
    HALF,
    LOW,
    first_above,
    index_of,
    plan_bits,
    seat_bits,
)

SIZE, NAME, WORDS = 0, 1, 2
"""The columns of an agent's row."""

DIRECT, REVERSE, NEUTRAL = 0, 1, 2
"""The pairings."""

PLAYED, FULL, AGREED = 0, 1, 2
"""How a call ends: all was played, a row must grow first, or the goal is reached."""

TIME, TOTAL, DISTINCT, PEAK, PEAK_TIME, IN_ROUND, MATCHED, ROUND, PLACE, FILLED, START = range(11)
"""The places of ``tally``: interactions played; words held in all, and different ones; the most
words there have been, and after how many interactions first; what of the round under way has been
played, and matched; the rounds ended in this call; where the next word goes in the ring of the last
ones, and how many are there; and when this call began."""

_NONE = np.uint64(0)
_COIN = np.uint64(31)


_SIGNATURE = (
    "int64(uint64, int64, boolean, int64, boolean, int64[::1], int32[::1], int32[::1],"
    " int64[::1], int32[::1], int32[::1], int64[::1], int64[::1], int32[::1], int64,"
    " boolean, int64, int64, boolean[::1], int32[::1], int64[::1], int64[::1],"
    " int32[:, ::1], int64[::1], int64[::1], int64[:, ::1], int64[:, ::1], int32[:, ::1])"
)


@numba.njit(cache=True)
def _index(draw, size):
    return np.int64(index_of(draw, np.uint64(size)))


@numba.njit(cache=True)
def _step(steps, first, end, draw):
    return np.int64(first_above(steps, np.uint64(first), np.uint64(end), np.int64(draw)))


@numba.njit(cache=True)
def _forget(agents, counts, agent, word):
    """Let an agent keep only this one of its words; return how many words no longer exist."""
    gone = 0
    for place in range(WORDS, WORDS + agents[agent, SIZE]):
        other = agents[agent, place]
        if other != word:
            counts[other] -= 1
            gone += counts[other] == 0
    agents[agent, SIZE] = 1
    agents[agent, WORDS] = word
    return gone


@numba.njit(cache=True)
def agreed(uttered, holders, plays, least, ending, word):
    """Return whether a word, any if it is negative, was uttered and is held often enough.

    Only those in ``ending`` count, all if that is empty.
    """
    first, end = (word, word + 1) if word >= 0 else (0, len(uttered))
    for other in range(first, end):
        enough = uttered[other] >= plays and holders[other] >= least
        if enough and (len(ending) == 0 or ending[other]):
            return True
    return False


@numba.njit(cache=True)
def _hold(agents, holders, agent, word):
    """Note that an agent holds a word now; ``holders`` is empty where nobody asks."""
    before = agents[agent, NAME]
    agents[agent, NAME] = word
    if len(holders) > 0:
        if before >= 0:
            holders[before] -= 1
        holders[word] += 1


@numba.njit(_SIGNATURE, cache=True, nogil=True)
def play(
    key,
    pairing,
    directed,
    population,
    complete,
    indptr,
    indices,
    starts,
    neighbor_steps,
    tails,
    heads,
    edge_steps,
    noise,
    inventions,
    pool,
    to_consensus,
    plays,
    least,
    ending,
    ring,
    uttered,
    holders,
    agents,
    counts,
    tally,
    rounds,
    words,
    rows,
):
    """Play until ``rounds`` is full, or until one of the other endings above; return which.

    ``pool`` is the number of names to invent from, or 0 where node i invents ``inventions[i]``.
    ``noise`` is the chance, in units of 2**-32, that a committed agent utters another name of the
    pool; it is negative for agents that are not committed.
    ``rounds`` gets, per round: interactions played so far, words in all, different words, matches.
    ``words`` gets, unless it is empty, how often each word was uttered in it, and ``rows``, unless
    it has no rows, per interaction of the call: speaker, hearer, word, match.
    Empty steps mean equal weights; ``complete``, that everyone's neighbors are all the others.
    ``ring`` has the last words uttered. If ``plays`` is above 0, play ends as soon as a word, one
    of those that are ``ending`` if that is not empty, has ``least`` ``holders`` and so many
    ``plays`` among them; ``uttered`` says how often each word is there.
    """
    capacity = agents.shape[1] - WORDS
    weighted = len(neighbor_steps) > 0
    keep, tell = rows.shape[0] > 0, words.shape[1] > 0
    time, total, distinct = tally[TIME], tally[TOTAL], tally[DISTINCT]
    peak, peak_time = tally[PEAK], tally[PEAK_TIME]
    in_round, successes, number = tally[IN_ROUND], tally[MATCHED], tally[ROUND]
    place_in_ring, filled, size = tally[PLACE], tally[FILLED], len(ring)
    latest = np.int64(-1)
    status = PLAYED
    while number < rounds.shape[0]:
        if to_consensus and distinct == 1 and total == population:
            status = AGREED
            break
        if plays > 0 and filled == size and agreed(uttered, holders, plays, least, ending, latest):
            status = AGREED
            break
        bits = plan_bits(key, np.uint64(time))
        high, low = bits >> HALF, bits & LOW
        if pairing == NEUTRAL:
            if len(edge_steps) > 0:
                edge = _step(edge_steps, 0, len(edge_steps), high)
            else:
                edge = _index(high, len(tails))
            speaker, hearer = np.int64(tails[edge]), np.int64(heads[edge])
            if not directed and low >> _COIN == _NONE:
                speaker, hearer = hearer, speaker
        else:
            if complete:
                first = _index(high, population)
                second = _index(low, population - 1)
                second += second >= first
            else:
                first = np.int64(starts[_index(high, len(starts))])
                begin, end = indptr[first], indptr[first + 1]
                if weighted:
                    place = begin + _step(neighbor_steps, begin, end, low)
                else:
                    place = begin + _index(low, end - begin)
                second = np.int64(indices[place])
            if pairing == DIRECT:
                speaker, hearer = first, second
            else:
                speaker, hearer = second, first

        bits = seat_bits(key, np.uint64(time))
        held, known = np.int64(agents[speaker, SIZE]), np.int64(agents[hearer, SIZE])
        if noise[speaker] > 0 and np.int64(bits >> HALF) < noise[speaker]:
            word = np.int32(_index(bits & LOW, pool - 1))
            word += np.int32(word >= agents[speaker, WORDS])
        elif held > 0:
            word = agents[speaker, WORDS + _index(bits >> HALF, held)]
        elif pool > 0:
            word = np.int32(_index(bits & LOW, pool))
        else:
            word = inventions[speaker]
        matched = False
        for place in range(WORDS, WORDS + known):
            if agents[hearer, place] == word:
                matched = True
                break
        adds = not matched and noise[hearer] < 0
        if adds and known == capacity:
            status = FULL
            break

        _hold(agents, holders, speaker, word)
        if held == 0:
            agents[speaker, SIZE] = 1
            agents[speaker, WORDS] = word
            distinct += counts[word] == 0
            counts[word] += 1
            total += 1
        if matched:
            successes += 1
            _hold(agents, holders, hearer, word)
            if held > 1:
                distinct -= _forget(agents, counts, speaker, word)
                total -= held - 1
            if known > 1:
                distinct -= _forget(agents, counts, hearer, word)
                total -= known - 1
        elif adds:
            agents[hearer, WORDS + known] = word
            agents[hearer, SIZE] = known + 1
            distinct += counts[word] == 0
            counts[word] += 1
            total += 1
        # Once all is counted, no other word can come to be agreed on by this interaction.
        latest = np.int64(word) if filled == size else np.int64(-1)
        if filled == size:
            if plays > 0 and ring[place_in_ring] >= 0:
                uttered[ring[place_in_ring]] -= 1
        else:
            filled += 1
        ring[place_in_ring] = word
        place_in_ring = 0 if place_in_ring + 1 == size else place_in_ring + 1
        if plays > 0:
            uttered[word] += 1
        if tell:
            words[number, word] += 1
        time += 1
        if total > peak:
            peak, peak_time = total, time
        if keep:
            row = time - 1 - tally[START]
            rows[row, 0], rows[row, 1] = speaker, hearer
            rows[row, 2], rows[row, 3] = word, matched
        in_round += 1
        if in_round == population:
            rounds[number, 0], rounds[number, 1] = time, total
            rounds[number, 2], rounds[number, 3] = distinct, successes
            in_round, successes = 0, 0
            number += 1
    tally[TIME], tally[TOTAL], tally[DISTINCT] = time, total, distinct
    tally[PEAK], tally[PEAK_TIME] = peak, peak_time
    tally[IN_ROUND], tally[MATCHED], tally[ROUND] = in_round, successes, number
    tally[PLACE], tally[FILLED] = place_in_ring, filled
    return status
