"""Many runs of the classical game played in one compiled call, which is what ensembles are made of.

Python draws the initial states and is entered again only for more room, and now and then so that an
interrupt is noticed. What is played is what ``ClassicalEngine`` plays, run by run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.classical.engine import CAPACITY
from mesa_llm_norms.classical.game import PAIRINGS, ClassicalInitialState, in_units
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.stopping import Goal, most, window_size
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.batch import graphs_of
from mesa_llm_norms.simulation.pairing import EdgePairing, NodePairing
from mesa_llm_norms.simulation.run_record import NodeHistory, NodeSums

INTERACTIONS_PER_CALL = 1 << 22
"""Interactions after which a call returns, about, so that an interrupt is noticed."""

ROUNDS_AT_ONCE = 1 << 14
"""Population rounds that a call has room for."""


class Played(NamedTuple):
    """Runs that were played.

    Parameters
    ----------
    vocabulary
        The word of every number: the pool, or all inventions and then names that were given.
    numbers
        How each run ended, by the columns of ``core.compiled.inventory_batches``.
    held
        The number of the word each agent last uttered or agreed on, -1 for none: (runs, agents).
    lines
        The rounds of one run after the other: interactions so far, words in all, different words,
        and matches, shape (rounds, 4).
    words
        How often each word was uttered in them, with no columns unless asked for.
    nodes
        What nodes did, summed up over the runs, if asked for.
    """

    vocabulary: Sequence[str]
    numbers: NDArray[np.int64]
    held: NDArray[np.int32]
    lines: NDArray[np.int64]
    words: NDArray[np.int64]
    nodes: NodeSums | None


def play_together(
    initials: Sequence[ClassicalInitialState],
    goal: Goal,
    rounds: int,
    *,
    words: bool = False,
    nodes: bool = False,
) -> Played:
    """Play runs of one spec from their initial states.

    Parameters
    ----------
    initials : sequence of ClassicalInitialState
        Where each run starts, at least one; all have the same rules and agents.
    goal : Goal
        When a run stops: ``"converged"`` is consensus.
    rounds : int
        The most population rounds.
    words : bool, default False
        Whether to count what is uttered in every round; only with a pool.
    nodes : bool, default False
        Whether to sum up what nodes did, which must be those of the same network in every run.

    Returns
    -------
    Played
        How they ended.
    """
    loops, first = load("inventory_batches"), initials[0]
    agents, vocabulary = len(first.neighbors), first.vocabulary()
    count, size = len(vocabulary), window_size(goal, len(first.neighbors))
    number = {word: place for place, word in enumerate(vocabulary)} if _given(first) else {}
    room = loops.Room(
        np.arange(agents, dtype=np.int32),
        len(first.rules.pool or ()),
        np.zeros(agents, np.int64),
        np.zeros(count, np.int64),
        np.zeros(size, np.int32),
        *np.zeros((2, count), np.int64),
        np.zeros(11, np.int64),
        np.zeros((max(INTERACTIONS_PER_CALL // 16, agents) if nodes else 0, 4), np.int32),
    )
    budget = len(room.rows) if nodes else INTERACTIONS_PER_CALL
    stops = {"agreed": (most(size), most(agents)), "flipped": (most(size), 0)}
    committed = np.zeros(count, np.bool_)
    committed[[number[word] for word in first.firm if word in number]] = True
    goals = loops.Goals(
        goal.until == "converged",
        *stops.get(goal.until or "", (0, 0)),
        committed if goal.until == "flipped" else committed[:0],
        *(rounds, budget, most(size), most(agents), committed),
    )
    runs, networks = _runs(initials, number), _networks(initials)
    numbers = np.zeros((len(initials), loops.NUMBERS), np.int64)
    held = np.zeros((len(initials), agents), np.int32)
    noted = NodeHistory(*((agents, count) if nodes else (0, 0)))
    sums = NodeSums.zeros(*((agents, count) if nodes else (0, 0)))
    history = load("histories").History(noted.held, noted.changed, noted.first, *sums)
    packed = np.zeros((agents, CAPACITY + 2), np.int32)
    at = np.zeros(7, np.int64)
    at[loops.FRESH] = 1
    played: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
    status = loops.PAUSED
    lines, uttered = np.zeros((0, 4), np.int64), np.zeros((0, count if words else 0), np.int64)
    while status != loops.DONE:
        if at[loops.LINES] == len(lines):
            played.append((lines, uttered))
            space = min(ROUNDS_AT_ONCE, max(1, len(initials) * rounds))
            lines = np.zeros((space, 4), np.int64)
            uttered = np.zeros((space, count if words else 0), np.int64)
            at[loops.LINES] = 0
        found = loops.Found(numbers, held, lines, uttered, history)
        status = loops.play_runs(runs, networks, goals, room, packed, at, found)
        if status == loops.FULL:
            packed = np.concatenate([packed, np.zeros_like(packed)], axis=1)
    played.append((lines[: at[loops.LINES]], uttered[: at[loops.LINES]]))
    return Played(
        vocabulary,
        numbers,
        held,
        np.concatenate([one for one, _ in played]),
        np.concatenate([one for _, one in played]),
        sums if nodes else None,
    )


def _given(initial: ClassicalInitialState) -> bool:
    """Return whether any word is given a number by name."""
    return bool(initial.firm) or initial.incumbent is not None


def _runs(initials: Sequence[ClassicalInitialState], number: dict[str, int]) -> Any:
    """Return what differs between runs, for the compiled loop."""
    first, agents = initials[0], len(initials[0].neighbors)
    shape = (len(initials) if first.firm else 1, agents)
    word = -1 if first.incumbent is None else number[first.incumbent]
    words, noise = np.full(shape, word, np.int32), np.full(shape, -1, np.int64)
    ends = sorted({one.until for one in first.firm.values() if one.until is not None})
    leaving = np.zeros((len(ends), *shape), np.bool_)
    for run, initial in enumerate(initials[: shape[0]]):
        places = list(initial.committed)
        if places:
            words[run, places] = [number[it] for it in initial.committed.values()]
            firm = {it: in_units(one.noise) for it, one in initial.firm.items()}
            noise[run, places] = [firm[it] for it in initial.committed.values()]
        for end, those in initial.leaving.items():
            leaving[ends.index(end), run, those] = True
    keys = np.array([one.stream.key for one in initials], np.uint64)
    return load("inventory_batches").Runs(keys, words, noise, np.array(ends, np.int64), leaving)


def _networks(initials: Sequence[ClassicalInitialState]) -> Any:
    """Return the networks of runs for the compiled loop, a single one if all have the same."""
    loops, rules = load("inventory_batches"), initials[0].rules
    networks: list[Neighbors] = [one.neighbors for one in initials]
    first, number = networks[0], PAIRINGS.index(rules.pairing)
    by_edge = rules.pairing == "neutral"
    same = all(one is first for one in networks)
    complete = same and first.is_complete and first.weights is None
    if complete and not by_edge:
        none, many = np.zeros(0, np.int32), np.zeros(0, np.int64)
        at = np.zeros(2, np.int64)
        arrays = none, at.reshape(1, 2), none, many, none, none, many, at, at, at
        return loops.Networks(number, first.directed, True, *arrays)
    found = graphs_of(networks, EdgePairing() if by_edge else NodePairing())
    return loops.Networks(
        *(number, first.directed, complete),
        *(found.starts.view(np.int32), found.indptr.view(np.int64), found.indices.view(np.int32)),
        *(found.near, found.tails.view(np.int32), found.heads.view(np.int32), found.edge_steps),
        *(found.starts_at, found.entries_at, found.edges_at),
    )
