"""Many runs of a spec played in one compiled call: what an ensemble of policies does.

Python makes the initial states and is entered again only for minds that have to be asked, for
more room, and now and then so that an interrupt is noticed. The results are those of ``play_run``,
run by run, for any size of batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.core.stopping import (
    Goal,
    Stop,
    agreeing,
    converging,
    flipping,
    window_size,
)
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.engine import is_plain_policy
from mesa_llm_norms.simulation.kernel import can_play, ending_of, pairs_of
from mesa_llm_norms.simulation.memories import KnownMemories, known_for
from mesa_llm_norms.simulation.pairing import Pairing, read_pairing
from mesa_llm_norms.simulation.run import Batch, joined
from mesa_llm_norms.simulation.run_record import NodeHistory, NodeSums
from mesa_llm_norms.simulation.spec import Spec, Start

INTERACTIONS_PER_CALL = 1 << 18
"""Interactions after which a call returns, about, so that an interrupt is noticed."""

ROUNDS_AT_ONCE = 1 << 14
"""Population rounds that a call has room for."""


def play_together(
    spec: Spec,
    runs: range,
    goal: Goal,
    rounds: int,
    *,
    after: int = 0,
    starts: Sequence[Start] | None = None,
    nodes: bool = False,
) -> Batch | None:
    """Play some runs of a spec with the kernel, if it can play them together.

    Parameters
    ----------
    spec : Spec
        What is played.
    runs : range
        The numbers of the runs, at least one.
    goal : Goal
        When a run stops.
    rounds : int
        The most population rounds.
    after : int, default 0
        The population rounds for which a run that has flipped goes on, with nobody committed; only
        ``Batch.later`` is of them.
    starts : sequence of Start, optional
        What the runs start from, where that is not what the spec says.
    nodes : bool, default False
        Whether to sum up what nodes did, which must be those of the same network in every run.

    Returns
    -------
    Batch or None
        How they ended. None where the kernel cannot play them, memories do not fit into 64 bits, or
        networks are not of one kind and size.
    """
    if not can_play(spec.minds, read_pairing(spec.pairing), spec.game, spec.rewire, spec.sees):
        return None
    starts = starts or spec.starts(runs)
    minds = {id(mind): mind for one in starts for mind in one.minds}.values()
    networks = {id(one.neighbors): one.neighbors for one in starts}.values()
    kinds = {(len(one), one.directed, one.weights is None) for one in networks}
    known = known_for(spec.game, starts[0].minds) if all(map(is_plain_policy, minds)) else None
    timed = any(one.contacts is not None for one in networks)
    if known is None or len(kinds) > 1 or (timed and len(networks) > 1):
        return None
    alike = _alike_minds(starts)
    if len(alike) == 1:
        return _Together(spec, starts, known, goal, rounds, after, nodes).play()
    parts = []
    for places in alike:
        some = [starts[place] for place in places]
        known = known_for(spec.game, some[0].minds)
        assert known is not None  # which depends on no weights
        parts.append(_Together(spec, some, known, goal, rounds, after, nodes).play())
    return joined(parts, np.argsort(np.concatenate(alike)))


def _alike_minds(starts: Sequence[Start]) -> list[list[int]]:
    """Return the places of starts together whose recorded minds have the same weights and counts.

    A loop has the tables of one such set of minds. Minds that it has to ask may be others.
    """
    found: dict[tuple[tuple[int, int], ...], list[int]] = {}
    for place, one in enumerate(starts):
        key = tuple(
            (id(mind.weights), id(mind.counts)) for mind in one.minds if type(mind) is RecordedMind
        )
        found.setdefault(key, []).append(place)
    return list(found.values())


class _Together:
    """A batch being played."""

    def __init__(
        self,
        spec: Spec,
        starts: Sequence[Start],
        known: KnownMemories,
        goal: Goal,
        rounds: int,
        after: int,
        nodes: bool,
    ) -> None:
        self._loops, self._batches = load("interactions"), load("batches")
        self._spec, self._starts, self._known = spec, starts, known
        agents = len(starts[0].neighbors)
        names = len(spec.game.pool)
        size = window_size(goal, agents)
        self._window = self._loops.Window(
            np.zeros(size, np.uint32),
            np.zeros(names, np.int64),
            Referee(spec.game).successes.astype(np.uint8),
        )
        self._states = np.zeros(agents, known.dtype)
        self._numbers = np.zeros((len(starts), self._batches.NUMBERS), np.int64)
        self._held = np.zeros((len(starts), agents), np.int16)
        self._goals = self._read_goal(goal, size, rounds, after)
        self._history = NodeHistory(agents if nodes else 0, names)
        self._sums = NodeSums.zeros(agents if nodes else 0, names)
        self._most_rows = max(INTERACTIONS_PER_CALL, agents) if nodes else 0

    def play(self) -> Batch:
        """Play all runs."""
        batches, known, starts = self._batches, self._known, self._starts
        cursor, at = np.zeros(13, np.int64), np.zeros(8, np.int64)
        at[batches.FRESH] = 1
        runs = self._runs()
        pairing = read_pairing(self._spec.pairing)
        graphs = graphs_of([one.neighbors for one in starts], pairing)
        rows = np.zeros((self._most_rows, 4), np.int32)
        noted, sums = self._history, self._sums
        history = load("histories").History(noted.held, noted.changed, noted.first, *sums)
        played: list[NDArray[np.int64]] = []
        counts = np.zeros((ROUNDS_AT_ONCE, 2 + len(self._spec.game.pool)), np.int64)
        status = self._loops.UNKNOWN
        while status != self._loops.DONE:
            found = batches.Found(self._numbers, self._held, counts, history)
            known.minds = ()  # unless the loop returns, nobody knows whose weights there are
            status = batches.play_runs(
                *(runs, graphs, known.known, self._goals, self._window, self._states),
                *(rows, cursor, at, found),
            )
            if status == self._loops.UNKNOWN:
                known.minds = starts[at[batches.RUN]].minds
                known.find_out(*cursor[[self._loops.STATE_A, self._loops.STATE_B]].tolist())
            elif at[batches.LINES] == len(counts) or status == self._loops.DONE:
                played.append(counts[: at[batches.LINES]])
                counts, at[batches.LINES] = np.zeros_like(counts), 0
        known.minds = starts[-1].minds
        return self._batch(np.concatenate(played))

    def _batch(self, counts: NDArray[np.int64]) -> Batch:
        batches, lies, numbers = self._batches, load("agreement"), self._numbers
        pool = self._spec.game.pool
        with np.errstate(divide="ignore", invalid="ignore"):
            share = numbers[:, batches.PLAYS] / (2 * numbers[:, batches.IN_WINDOW])
            agreement = numbers[:, lies.AGREEING] / numbers[:, lies.JUDGED]
            largest = numbers[:, lies.LARGEST] / numbers[:, lies.PLAYERS]
        holders = self._holders()
        winner = numbers[:, batches.WINNER]
        agreed = numbers[:, batches.IN_WINDOW] == len(self._window.ring)
        agreed &= numbers[:, batches.PLAYS] >= self._agreed.plays
        agreed &= holders[np.arange(len(winner)), winner] >= self._agreed.holders
        return Batch(
            pool,
            np.array([one.stream.run for one in self._starts]),
            numbers[:, batches.INTERACTIONS],
            numbers[:, batches.ROUNDS],
            numbers[:, batches.CONVERGED] > 0,
            winner,
            np.where(numbers[:, batches.IN_WINDOW] > 0, share, 0.0),
            numbers[:, batches.FLIPPED] > 0,
            agreed,
            (holders > 0).sum(axis=1),
            agreement,
            numbers[:, lies.CLUSTERS],
            largest,
            self._without_later(counts),
            list(self._held),
            later=numbers[:, batches.LATER_WINNER] if self._goals.after else None,
            nodes=self._sums if self._most_rows else None,
        )

    def _without_later(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the counts of all rounds without those of second phases."""
        phases = self._numbers[:, [self._batches.ROUNDS, self._batches.LATER_ROUNDS]]
        if not phases[:, 1].any():
            return counts
        kept: NDArray[np.bool_] = np.repeat(np.tile([True, False], len(phases)), phases.ravel())
        return counts[kept]

    def _holders(self) -> NDArray[np.int64]:
        """Return how many nodes hold each name at the end of each run, shape (runs, names)."""
        names = len(self._spec.game.pool)
        places = self._held + 1 + (1 + names) * np.arange(len(self._held))[:, None]
        counts = np.bincount(places.ravel(), minlength=(1 + names) * len(self._held))
        return counts.reshape(-1, 1 + names)[:, 1:].astype(np.int64)

    def _read_goal(self, goal: Goal, size: int, rounds: int, after: int) -> Any:
        pool = self._spec.game.pool
        converged = converging(size, goal.threshold)
        flipped = flipping(size, [pool.index(name) for name in self._spec.committed_names])
        self._agreed = agreeing(size, len(pool), self._held.shape[1])
        stops = {"converged": converged, "agreed": self._agreed, "flipped": flipped}
        stop = stops.get(goal.until or "", Stop())
        held = np.full(self._held.shape[1] if stop.holders else 0, -1, np.int16)
        names = np.array(flipped.names, np.int64)
        return self._batches.Goals(
            *(ending_of(stop, held), rounds, after, ending_of(Stop(), held), INTERACTIONS_PER_CALL),
            *(converged.matches, flipped.plays, names),
        )

    def _runs(self) -> Any:
        starts, known = self._starts, self._known
        first = starts[0]
        renewed = np.zeros(len(starts), np.bool_)
        for place, (before, one) in enumerate(pairwise(starts), start=1):
            if one.minds is not before.minds:
                pairs = zip(one.minds, before.minds, strict=True)
                renewed[place] = any(new is not old for new, old in pairs)
        powers = np.array(
            [
                [
                    mind.inverse_temperature if isinstance(mind, RecordedMind) else 1.0
                    for mind in one.minds
                ]
                for one in (starts if renewed.any() else starts[:1])
            ]
        )
        start = self._spec.start
        states = np.array(
            [known.state(mind, start) for mind in range(len(first.minds))], known.dtype
        )
        same = all(one.mind_indices is first.mind_indices for one in starts)
        seats = [one.mind_indices for one in (starts[:1] if same else starts)]
        keys = np.array([one.stream.key for one in starts], np.uint64)
        ends, released = self._released(states)
        return self._batches.Runs(keys, renewed, powers, states[np.array(seats)], ends, released)

    def _released(self, states: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
        """Return when groups of agents cease to be committed, and what states differ by then.

        The last group is of those that go only after a flip.
        """
        minds = self._starts[0].minds
        rounds = [mind.until if isinstance(mind, CommittedMind) else None for mind in minds]
        ends = sorted({end for end in rounds if end is not None})
        if not ends and not self._goals.after:
            return np.zeros(0, np.int64), np.zeros((0, 1, len(self._states)), states.dtype)
        differing = np.array(
            [states[one.mind_indices] ^ states[one.uncommitted_indices] for one in self._starts]
        )
        seats = np.array([one.mind_indices for one in self._starts])
        groups = [
            np.where(
                np.isin(seats, [at for at, it in enumerate(rounds) if it == end]), differing, 0
            )
            for end in (*ends, None)
        ]
        return np.array([*ends, np.iinfo(np.int64).max], np.int64), np.array(groups, states.dtype)


class _Part(NamedTuple):
    """Arrays of several networks, one after the other, and where each of them begins."""

    every: NDArray[Any]
    at: NDArray[np.int64]


def _joined(parts: Sequence[NDArray[Any]]) -> _Part:
    at = np.zeros(len(parts) + 1, np.int64)
    np.cumsum([len(part) for part in parts], out=at[1:])
    return _Part(parts[0] if len(parts) == 1 else np.concatenate(parts), at)


def graphs_of(networks: Sequence[Neighbors], pairing: Pairing) -> Any:
    """Return the networks of runs for the compiled loop, a single one if all have the same."""
    if all(one is networks[0] for one in networks):
        networks = networks[:1]
    if len(networks) > 1 and networks[0].weights is None and not networks[0].directed:
        return _alike(networks, pairing)
    pairs = [pairs_of(one, pairing) for one in networks]
    first = pairs[0]
    starts, near, tails, heads, edge_steps, edge_weights = (
        _joined([getattr(one, field) for one in pairs])
        for field in ("starts", "near", "tails", "heads", "edge_steps", "edge_weights")
    )
    indices = _joined([one.indices.view(np.uint32) for one in networks])
    return load("batches").Graphs(
        first.mode,
        first.directed,
        *(starts.every, np.array([one.indptr.view(np.uint64) for one in networks]), indices.every),
        *(near.every, tails.every, heads.every, edge_steps.every, edge_weights.every),
        *(starts.at, indices.at, tails.at, first.purpose, first.planned),
    )


def _alike(networks: Sequence[Neighbors], pairing: Pairing) -> Any:
    """Return what ``_graphs`` does for many networks without weights and directions, sooner."""
    first, unsigned = pairs_of(networks[0], pairing), np.zeros(0, np.uint32)
    indptr = np.array([one.indptr for one in networks])
    indices = _joined([one.indices for one in networks])
    degrees = np.diff(indptr, axis=1)
    runs, size = degrees.shape
    origins = np.tile(np.arange(size, dtype=np.uint32), runs)
    starts = tails = heads = _Part(unsigned, np.zeros(runs + 1, np.int64))
    if first.mode == load("interactions").NODE:
        starts = _chosen(origins, degrees.ravel() > 0, size * np.arange(runs + 1))
    else:
        ends, entries = indices.every.view(np.uint32), np.repeat(origins, degrees.ravel())
        once = entries < ends
        tails, heads = (_chosen(part, once, indices.at) for part in (entries, ends))
    return load("batches").Graphs(
        *(first.mode, False, starts.every, indptr.view(np.uint64)),
        *(indices.every.view(np.uint32), first.near, tails.every, heads.every),
        *(first.edge_steps, first.edge_weights, starts.at, indices.at, tails.at),
        *(first.purpose, first.planned),
    )


def _chosen(values: NDArray[Any], which: NDArray[np.bool_], at: NDArray[np.int64]) -> _Part:
    """Return some values of several networks, which begin where ``at`` says."""
    before = np.concatenate([[0], np.cumsum(which)])
    return _Part(values[which], before[at])
