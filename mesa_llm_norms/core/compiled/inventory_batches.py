"""Many runs of the classical game in one call: from their initial states to how each of them ended.

The networks are as in ``batches``, with signed numbers. Importing this module compiles it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from mesa_llm_norms.core.compiled.agreement import (
    AGREEING,
    CLUSTERS,
    JUDGED,
    LARGEST,
    PLAYERS,
    lie,
)
from mesa_llm_norms.core.compiled.histories import add_up, forget, note_lines, nothing_noted
from mesa_llm_norms.core.compiled.inventories import (
    AGREED,
    DIRECT,
    DISTINCT,
    FILLED,
    FULL,
    IN_ROUND,
    MATCHED,
    NAME,
    PEAK,
    PEAK_TIME,
    ROUND,
    SIZE,
    START,
    TIME,
    TOTAL,
    WORDS,
    agreed,
    play,
)

DONE, PAUSED = 10, 11
"""How a call ends besides FULL: all was played, or enough for one call."""

RUN, FRESH, WITHIN, LINES, PLAYED_LINES, SPENT, LEFT = range(7)
"""Where a batch is: its run; whether that has to be started; how many rounds the call that was left
because rows are full plays; how many lines are taken; how many are of this run; how many
interactions were played in this call; and how many groups of committed agents have left."""

INTERACTIONS, ROUNDS, CONSENSUS, LEADER, LEADING, MATCHES, IN_LAST = range(7)
PEAK_WORDS, PEAKED, WINNER, PLAYS, IN_WINDOW, NAMES_LEFT, HAS_AGREED, HAS_FLIPPED = range(12, 20)
"""How a run ended: the columns of ``Found.numbers``, those from 7 to 11 as in ``batches``."""

NUMBERS = 20


class Networks(NamedTuple):
    """The networks of runs, one after the other, or a single one for all; see ``batches.Graphs``.

    ``complete`` says that everyone may meet everyone, and that edges need not be listed.
    """

    pairing: int
    directed: bool
    complete: bool
    starts: Any
    indptr: Any
    indices: Any
    near: Any
    tails: Any
    heads: Any
    edge_steps: Any
    starts_at: Any
    entries_at: Any
    edges_at: Any


class Runs(NamedTuple):
    """What differs between runs; of all but the keys there may be one row for all.

    ``words`` is what each agent holds at the start, -1 for nothing, ``noise`` how firmly it is
    committed, as in ``play``, and ``leaving`` which agents are not any more from the rounds
    ``ends`` on.
    """

    keys: Any
    words: Any
    noise: Any
    ends: Any
    leaving: Any


class Goals(NamedTuple):
    """When runs stop, and after how many rounds at most.

    ``plays``, ``least`` and ``ending`` are those of ``play``; ``agreeing`` and ``holding`` what is
    needed to have agreed, and ``committed`` the words that can have flipped a run.
    """

    consensus: bool
    plays: int
    least: int
    ending: Any
    rounds: int
    budget: int
    agreeing: int
    holding: int
    committed: Any


class Room(NamedTuple):
    """What a run is played in; ``inventions`` and ``pool`` are those of ``play``."""

    inventions: Any
    pool: int
    noise: Any
    counts: Any
    ring: Any
    uttered: Any
    holders: Any
    tally: Any
    rows: Any


class Found(NamedTuple):
    """How runs ended, what agents hold, the rounds of one run after the other, and histories."""

    numbers: Any
    held: Any
    lines: Any
    words: Any
    history: Any


@numba.njit(cache=True)
def _part(array, at, network):
    return array[at[network] : at[network + 1]] if len(array) > 0 else array


@numba.njit(cache=True)
def _start(runs, room, agents, run):
    words = runs.words[run if len(runs.words) > 1 else 0]
    room.noise[:] = runs.noise[run if len(runs.noise) > 1 else 0]
    room.counts[:] = room.uttered[:] = room.holders[:] = room.tally[:] = 0
    agents[:, SIZE] = 0
    agents[:, NAME] = -1
    for node in range(len(words)):
        if words[node] >= 0:
            agents[node, SIZE] = 1
            agents[node, WORDS] = words[node]
            room.tally[DISTINCT] += room.counts[words[node]] == 0
            room.tally[TOTAL] += 1
            room.counts[words[node]] += 1
    room.tally[PEAK] = room.tally[TOTAL]


@numba.njit(cache=True)
def _note(room, lines, first, history):
    """Tell histories who took up which name: the speaker, and hearers of a known word."""
    counts, before = np.zeros((len(lines), 1), np.int64), room.tally[START]
    for number in range(len(lines)):
        counts[number, 0] = lines[number, 0] - before
        before = lines[number, 0]
    rows = room.rows[: before - room.tally[START]]
    for row in rows:
        if not row[3]:
            row[1] = row[0]
        row[3] = row[2]
    note_lines(rows, counts, first, history)


@numba.njit(cache=True)
def _end(networks, network, goals, room, agents, line, held):
    tally, filled = room.tally, room.tally[FILLED]
    room.uttered[:] = room.holders[:] = 0
    for place in range(filled):
        room.uttered[room.ring[place]] += 1
    left, largest = 0, 0
    for node in range(len(agents)):
        held[node] = agents[node, NAME]
        if held[node] >= 0:
            left += room.holders[held[node]] == 0
            room.holders[held[node]] += 1
            largest = max(largest, room.holders[held[node]])
    leader, winner = np.argmax(room.counts), np.argmax(room.uttered)
    line[INTERACTIONS], line[PEAK_WORDS], line[PEAKED] = tally[TIME], tally[PEAK], tally[PEAK_TIME]
    line[CONSENSUS] = tally[DISTINCT] == 1 and tally[TOTAL] == len(agents)
    line[LEADER], line[LEADING] = leader, room.counts[leader]
    line[WINNER], line[PLAYS] = winner if filled > 0 else -1, room.uttered[winner]
    line[IN_WINDOW], line[NAMES_LEFT] = filled, left
    full, every = filled == len(room.ring), goals.committed[:0]
    line[HAS_AGREED] = full and agreed(
        room.uttered, room.holders, goals.agreeing, goals.holding, every, -1
    )
    line[HAS_FLIPPED] = full and agreed(
        room.uttered, room.holders, goals.agreeing, 0, goals.committed, -1
    )
    if not networks.complete:
        indices = _part(networks.indices, networks.entries_at, network)
        lie(networks.indptr[network], indices, networks.directed, held, line)
        return
    line[AGREEING], players = 0, 0
    for holders in room.holders:
        line[AGREEING] += holders * (holders - 1) // 2
        players += holders
    line[JUDGED], line[PLAYERS] = players * (players - 1) // 2, players
    line[CLUSTERS], line[LARGEST] = left, largest


@numba.njit(cache=True, nogil=True)
def play_runs(runs, networks, goals, room, agents, at, found):
    """Play from where the batch is; return DONE, PAUSED, or FULL where agents need more room."""
    at[SPENT] = 0
    size, tally = len(agents), room.tally
    while at[RUN] < len(runs.keys):
        run = at[RUN]
        network = run if len(networks.indptr) > 1 else 0
        line = found.numbers[run]
        if at[FRESH]:
            _start(runs, room, agents, run)
            at[FRESH] = at[PLAYED_LINES] = at[LEFT] = 0
            forget(found.history)
        while at[LEFT] < len(runs.ends) and runs.ends[at[LEFT]] <= at[PLAYED_LINES]:
            leaving = runs.leaving[at[LEFT], run if runs.leaving.shape[1] > 1 else 0]
            for node in range(size):
                if leaving[node]:
                    room.noise[node] = -1
            at[LEFT] += 1
        left, free = goals.rounds - at[PLAYED_LINES], len(found.lines) - at[LINES]
        if left > 0 and not at[WITHIN]:
            if free == 0 or at[SPENT] >= goals.budget:
                return PAUSED
            at[WITHIN] = min(left, free, max(1, goals.budget // size))
            if at[LEFT] < len(runs.ends):
                at[WITHIN] = min(at[WITHIN], runs.ends[at[LEFT]] - at[PLAYED_LINES])
            tally[START] = tally[TIME]
            tally[IN_ROUND] = tally[MATCHED] = tally[ROUND] = 0
        status = np.int64(AGREED)
        if left > 0:
            first, end = at[LINES], at[LINES] + at[WITHIN]
            lines, before = found.lines[first:end], tally[TIME]
            status = play(
                runs.keys[run],
                networks.pairing,
                networks.directed,
                size,
                networks.complete,
                networks.indptr[network],
                _part(networks.indices, networks.entries_at, network),
                _part(networks.starts, networks.starts_at, network),
                _part(networks.near, networks.entries_at, network),
                _part(networks.tails, networks.edges_at, network),
                _part(networks.heads, networks.edges_at, network),
                _part(networks.edge_steps, networks.edges_at, network),
                room.noise,
                room.inventions,
                room.pool,
                goals.consensus,
                goals.plays,
                goals.least,
                goals.ending,
                room.ring,
                room.uttered,
                room.holders,
                agents,
                room.counts,
                tally,
                lines,
                found.words[first:end],
                room.rows,
            )
            at[SPENT] += tally[TIME] - before
            if status == FULL:
                return FULL
            at[WITHIN] = 0
            started = tally[ROUND]
            if tally[IN_ROUND] > 0:
                lines[started, 0], lines[started, 1] = tally[TIME], tally[TOTAL]
                lines[started, 2], lines[started, 3] = tally[DISTINCT], tally[MATCHED]
                started += 1
            if started > 0:
                line[MATCHES] = lines[started - 1, 3]
                line[IN_LAST] = tally[IN_ROUND] if tally[IN_ROUND] > 0 else size
            if len(room.rows) > 0:
                _note(room, lines[:started], at[PLAYED_LINES], found.history)
            at[LINES] += started
            at[PLAYED_LINES] += started
        if status != AGREED and at[PLAYED_LINES] < goals.rounds:
            continue
        _end(networks, network, goals, room, agents, line, found.held[run])
        line[ROUNDS] = at[PLAYED_LINES]
        add_up(found.history, line[WINNER])
        at[RUN] += 1
        at[FRESH] = 1
    return DONE


def _compile() -> None:
    """Compile for the types that batches are played with, by playing no run at all."""
    i32, i64, flags = np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.bool_)
    table = i64.reshape(0, 1)
    networks = Networks(
        *(DIRECT, False, True, i32, table, i32, i64, i32, i32, i64, i64, i64, i64),
    )
    runs = Runs(np.zeros(0, np.uint64), i32.reshape(0, 1), table, i64, flags.reshape(0, 1, 1))
    goals = Goals(False, 0, 0, flags, 0, 0, 0, 0, flags)
    room = Room(i32, 0, i64, i64, i32, i64, i64, i64, i32.reshape(0, 4))
    found = Found(table, i32.reshape(0, 1), table, table, nothing_noted())
    play_runs(runs, networks, goals, room, i32.reshape(0, 1), np.zeros(7, np.int64), found)


_compile()
