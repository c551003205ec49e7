"""Many runs of the naming game in one call: from their initial states to how each of them ended.

What is worked out at the end of a run is that of ``simulation.run.Run`` and ``analysis.agreement``.
Importing this module compiles it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

from mesa_llm_norms.core.compiled.agreement import lie
from mesa_llm_norms.core.compiled.histories import add_up, forget, note_lines, nothing_noted
from mesa_llm_norms.core.compiled.interactions import (
    DONE,
    FILLED,
    LINE,
    MATCHED,
    NODE,
    PLACE,
    REACHED,
    ROUND,
    START,
    UNKNOWN,
    Ending,
    Pairs,
    T,
    Window,
    play_packed,
)
from mesa_llm_norms.core.compiled.logit import nothing_known, relearn
from mesa_llm_norms.core.compiled.randomness import ONE

PAUSED = 4
"""Instead of DONE: enough has been played for one call, or there is no room for more rounds."""

RUN, FRESH, WITHIN, LINES, PLAYED_LINES, SPENT, LATER, LEFT = range(8)
"""Where a batch is: its run; whether that has to be started; how many lines the inner loop plays in
the call that is under way; how many lines of the counts are taken; how many are of this run; how
many interactions have been played in this call; whether the run is in its second phase; and how
many groups of committed agents have left."""

INTERACTIONS, ROUNDS, CONVERGED, FLIPPED, WINNER, PLAYS, IN_WINDOW = range(7)
LATER_ROUNDS, LATER_WINNER = 12, 13
"""How a run ended: the columns of ``Found.numbers``. The last two are of its second phase."""

NUMBERS = 14


class Graphs(NamedTuple):
    """The networks of runs, one after the other, or a single one for all of them.

    The arrays are those of ``networks.Neighbors``. Graph g has ``starts_at[g]`` to
    ``starts_at[g + 1]`` of ``starts``, and likewise its ``entries`` and its edges.
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
    starts_at: Any
    entries_at: Any
    edges_at: Any
    purpose: Any
    planned: Any


class Runs(NamedTuple):
    """What differs between runs; of ``states`` and ``powers`` there may be one row for all.

    ``renewed`` says before which runs minds become others, and ``powers`` their new inverse
    temperatures. ``ends`` are the rounds before which groups of agents cease to be committed, the
    last beyond all rounds, and ``released`` is, for each of them, what states differ by then.
    """

    keys: Any
    renewed: Any
    powers: Any
    states: Any
    ends: Any
    released: Any


class Goals(NamedTuple):
    """When runs stop, after how many rounds at most, and when they have converged or flipped.

    A run that has flipped goes on for ``after`` rounds, with nobody committed and no ending.
    """

    ending: Any
    rounds: int
    after: int
    no_ending: Any
    budget: int
    matches: int
    plays: int
    names: Any


class Found(NamedTuple):
    """How runs ended, what every agent holds, the rounds of one run after the other, and what nodes
    did, if there are rows to tell it by.
    """

    numbers: Any
    held: Any
    counts: Any
    history: Any


@numba.njit(cache=True)
def _part(array, at, graph):
    return array[at[graph] : at[graph + 1]] if len(array) > 0 else array


@numba.njit(cache=True)
def _pairs(graphs, graph):
    entries, edges = graphs.entries_at, graphs.edges_at
    return Pairs(
        graphs.mode,
        graphs.directed,
        _part(graphs.starts, graphs.starts_at, graph),
        graphs.indptr[graph],
        _part(graphs.indices, entries, graph),
        _part(graphs.near, entries, graph),
        _part(graphs.tails, edges, graph),
        _part(graphs.heads, edges, graph),
        _part(graphs.edge_steps, edges, graph),
        _part(graphs.edge_weights, edges, graph),
        graphs.purpose,
        graphs.planned,
    )


@numba.njit(cache=True)
def _recount(window, filled):
    """Count the plays in the window; return how many matched, and the name played most."""
    played = window.played
    played[:] = 0
    matched = 0
    for place in range(filled):
        first, second = np.int64(window.ring[place]) >> 16, np.int64(window.ring[place]) & 0xFFFF
        played[first] += 1
        played[second] += 1
        matched += window.hits[first, second]
    winner = 0
    for name in range(len(played)):
        if played[name] > played[winner]:
            winner = name
    return matched, winner


@numba.njit(cache=True)
def _end(cursor, window, goals, known, states, pairs, line, held):
    filled = cursor[FILLED]
    played, flipped = window.played, False
    matched, winner = _recount(window, filled)
    for name in goals.names:
        flipped |= played[name] >= goals.plays
    full = filled == len(window.ring)
    line[INTERACTIONS], line[IN_WINDOW] = cursor[T], filled
    line[CONVERGED], line[FLIPPED] = full and matched >= goals.matches, full and flipped
    line[WINNER] = winner if filled > 0 else -1
    line[PLAYS] = played[winner]
    lowest = (ONE << known.bits) - ONE
    for node in range(len(states)):
        newest = np.int16((states[node] >> known.bits) & lowest)
        held[node] = newest if states[node] & known.played else np.int16(-1)
    lie(pairs.indptr, pairs.indices, pairs.directed, held, line)


@numba.njit(cache=True)
def _start(runs, known, states, cursor, window, ending, run):
    if runs.renewed[run]:
        known.inverse_temperature[:] = runs.powers[run if len(runs.powers) > 1 else 0]
        relearn(known)
    states[:] = runs.states[run if len(runs.states) > 1 else 0]
    cursor[:] = 0
    window.played[:] = ending.holders[:] = 0
    ending.held[:] = -1


@numba.njit(cache=True)
def _let_go(runs, states, run, at):
    """Let go of the next group of those that are committed."""
    released = runs.released[at[LEFT]]
    states ^= released[run if len(released) > 1 else 0]
    at[LEFT] += 1


@numba.njit(cache=True)
def _go_on(cursor):
    """Begin a round."""
    time, place, filled, matched = cursor[T], cursor[PLACE], cursor[FILLED], cursor[MATCHED]
    cursor[:] = 0
    cursor[T], cursor[PLACE], cursor[FILLED], cursor[MATCHED] = time, place, filled, matched


@numba.njit(cache=True, nogil=True)
def play_runs(runs, graphs, known, goals, window, states, rows, cursor, at, found):
    """Play from where the batch is; return DONE, PAUSED, or what the inner loop needs."""
    at[SPENT] = 0
    while at[RUN] < len(runs.keys):
        run = at[RUN]
        line = found.numbers[run]
        pairs = _pairs(graphs, run if len(graphs.indptr) > 1 else 0)
        if at[FRESH]:
            _start(runs, known, states, cursor, window, goals.ending, run)
            at[FRESH] = at[PLAYED_LINES] = at[LATER] = at[LEFT] = 0
            forget(found.history)
        most = line[ROUNDS] + goals.after if at[LATER] else goals.rounds
        room = len(found.counts) - at[LINES]
        left = most - at[PLAYED_LINES]
        while at[LEFT] < len(runs.ends) and runs.ends[at[LEFT]] <= at[PLAYED_LINES]:
            _let_go(runs, states, run, at)
        lines = min(left, room, max(1, goals.budget // len(states)))
        if at[LEFT] < len(runs.ends):
            lines = min(lines, runs.ends[at[LEFT]] - at[PLAYED_LINES])
        if left > 0 and (room == 0 or at[SPENT] >= goals.budget):
            return PAUSED
        status = DONE
        if left > 0:
            if not at[WITHIN]:
                at[WITHIN] = lines
                cursor[LINE], cursor[START], cursor[ROUND] = 0, cursor[T], at[PLAYED_LINES]
            lines = at[WITHIN]
            counts = found.counts[at[LINES] : at[LINES] + lines]
            before = cursor[T]
            status = play_packed(
                runs.keys[run],
                pairs,
                lines,
                known,
                states,
                window,
                goals.no_ending if at[LATER] else goals.ending,
                counts,
                rows,
                cursor,
            )
            at[SPENT] += cursor[T] - before
            if status == UNKNOWN:
                return status
            at[WITHIN] = 0
            started = cursor[LINE] + (status == REACHED)
            if len(rows) > 0:
                note_lines(rows, counts[:started], at[PLAYED_LINES], found.history)
            at[LINES] += started
            at[PLAYED_LINES] += started
        if status != REACHED and at[PLAYED_LINES] < most:
            continue
        if at[LATER]:
            line[LATER_ROUNDS] = at[PLAYED_LINES] - line[ROUNDS]
            line[LATER_WINNER] = _recount(window, cursor[FILLED])[1]
        else:
            _end(cursor, window, goals, known, states, pairs, line, found.held[run])
            line[ROUNDS], line[LATER_WINNER] = at[PLAYED_LINES], -1
            add_up(found.history, line[WINNER])
            if line[FLIPPED] and goals.after > 0:
                while at[LEFT] < len(runs.ends):
                    _let_go(runs, states, run, at)
                _go_on(cursor)
                at[LATER] = 1
                continue
        at[RUN] += 1
        at[FRESH] = 1
    return DONE


def _compile() -> None:
    """Compile for the types that batches are played with, by playing no run at all."""
    u32, u64 = np.zeros(0, np.uint32), np.zeros(0, np.uint64)
    i64, f64 = np.zeros(0, np.int64), np.zeros(0)
    table = i64.reshape(0, 1)
    arrays = u32, u64.reshape(0, 1), u32, i64, u32, u32, i64, f64
    graphs = Graphs(NODE, False, *arrays, i64, i64, i64, np.uint64(0), u32.reshape(0, 2))
    ending = Ending(0, 0, i64, 0, np.zeros(0, np.int16), i64)
    goals = Goals(ending, 0, 0, ending, 0, 0, 0, i64)
    found = Found(table, np.zeros((0, 1), np.int16), table, nothing_noted())
    for hashed, states in ((False, np.zeros(0, np.uint16)), (True, u64)):
        lines = states.reshape(0, 1)
        released = states.reshape(0, 1, 1)
        runs = Runs(u64, np.zeros(0, np.bool_), f64.reshape(0, 1), lines, i64, released)
        play_runs(
            *(
                runs,
                graphs,
                nothing_known(hashed),
                goals,
                Window(u32, i64, np.zeros((0, 0), np.uint8)),
                states,
            ),
            *(np.zeros((0, 4), np.int32), np.zeros(13, np.int64), np.zeros(8, np.int64), found),
        )


_compile()
