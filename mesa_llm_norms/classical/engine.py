"""The agents of the classical game: one on each node, with an inventory of words.

Playing the classical game in plain Python: the reference that the compiled loop is held to.

The classical game compiled: agents packed into arrays, played, and unpacked.

Many runs of the classical game: compiled, without Mesa agents, in any number of processes.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from mesa.discrete_space import Cell
from numpy.typing import NDArray

from mesa_llm_norms.classical.game import (
    DEFAULT_GRAPH,
    PAIRINGS,
    ClassicalOutcome,
    ClassicalSeating,
    ClassicalSpec,
    Rules,
    Talker,
    Utterance,
    check_until,
    invention,
)
from mesa_llm_norms.core.compiled import is_loaded, load
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import MOST, read_rounds
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.network_model import NodeAgent
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.ensemble import Progress, batch_size, load_graph
from mesa_llm_norms.simulation.kernel import check_engine
from mesa_llm_norms.simulation.workers import Shared, answers
from mesa_llm_norms.validation import read_seed, read_whole

if TYPE_CHECKING:
    from mesa_llm_norms.classical.model import ClassicalGame


class ClassicalAgent(NodeAgent, Talker):
    """An agent that plays the classical naming game from a fixed node.

    Subclasses may override ``utter``, ``hear`` and ``agree``; the game is then played in plain
    Python.
    """

    model: ClassicalGame

    def __init__(
        self,
        model: ClassicalGame,
        cell: Cell,
        inventory: tuple[str, ...] = (),
        committed: str | None = None,
    ) -> None:
        if committed is not None:
            model.rules.check_word("committed", committed)
            inventory = (committed,)
        super().__init__(model, cell)
        self.invention = invention(model.newcomer())
        self._inventory = tuple(dict.fromkeys(inventory))
        self._committed = committed

    @property
    def inventory(self) -> tuple[str, ...]:
        """The words it holds, in the order it took them in; read-only."""
        self.model.settle()
        return self._inventory

    @property
    def name(self) -> str | None:
        """The word it last uttered or agreed on, None before that."""
        self.model.settle()
        return self._name

    def update(self, inventory: tuple[str, ...], name: str | None) -> None:
        """Take over what happened in the compiled loop."""
        self._inventory = inventory
        self._name = name


class ClassicalRound(NamedTuple):
    """One population round in numbers, as things stood when it ended."""

    number: int
    interactions: int
    """How many had been played in the run."""
    total_words: int
    """The sizes of all inventories, added up."""
    distinct_words: int
    """How many different words somebody held."""
    success_rate: float
    """Share of the round's interactions in which the hearer had the word."""


@dataclass(slots=True)
class Tally:
    """How far a run has come, and the most words there have been.

    ``peak_time`` is the number of interactions after which there first were ``peak_words``.
    """

    interactions: int = 0
    rounds: int = 0
    total_words: int = 0
    distinct_words: int = 0
    peak_words: int = 0
    peak_time: int = 0

    def count(self, held: Counter[str]) -> None:
        """Take in how many agents hold each word."""
        self.total_words, self.distinct_words = held.total(), len(held)
        if self.total_words > self.peak_words:
            self.peak_words, self.peak_time = self.total_words, self.interactions


class PlainEngine:
    """Plays rounds among ``players``, who sit on ``neighbors.nodes`` in this order."""

    def __init__(
        self,
        rules: Rules,
        neighbors: Neighbors,
        players: Sequence[Talker],
        draws: RandomStream,
        tally: Tally,
    ) -> None:
        self.rules = rules
        self.neighbors = neighbors
        self.players = players
        self.draws = draws
        self.tally = tally
        self.rows: list[Utterance] = []
        """The interactions of the last round."""

    def play_round(self, to_consensus: bool) -> ClassicalRound | None:
        """Play N interactions, fewer ``to_consensus``, and none where that is there already.

        Returns the round in numbers, None if nothing was played.
        """
        rules, players, tally, draws = self.rules, self.players, self.tally, self.draws
        nodes, number = self.neighbors.nodes, tally.rounds
        held = words_held(players)
        tally.count(held)
        self.rows = []
        for a, b in rules.pairs(self.neighbors, tally.interactions, draws):
            if to_consensus and is_consensus(held, len(players)):
                break
            speaker, hearer = players[a], players[b]
            before = speaker.inventory, hearer.inventory
            drawn = draws.interaction(tally.interactions)
            word = speaker.utter(drawn.seat_a, rules.invented(speaker, drawn.seat_b))
            matched = hearer.hear(word)
            if matched:
                speaker.agree(word)
                hearer.agree(word)
            _recount(held, before, (speaker.inventory, hearer.inventory))
            self.rows.append(
                Utterance(draws.run, tally.interactions, number, nodes[a], nodes[b], word, matched)
            )
            tally.interactions += 1
            tally.count(held)
        if not self.rows:
            return None
        tally.rounds += 1
        matches = sum(row.matched for row in self.rows)
        return ClassicalRound(
            number,
            tally.interactions,
            tally.total_words,
            tally.distinct_words,
            matches / len(self.rows),
        )


def words_held(players: Iterable[Talker]) -> Counter[str]:
    """Return how many agents hold each word."""
    return Counter(word for player in players for word in player.inventory)


def is_consensus(held: Counter[str], agents: int) -> bool:
    """Whether everybody holds the same one word, and nothing else."""
    return len(held) == 1 and held.total() == agents


def _recount(
    held: Counter[str], before: Iterable[tuple[str, ...]], after: Iterable[tuple[str, ...]]
) -> None:
    for old, new in zip(before, after, strict=True):
        if old is new:
            continue
        held.update(new)
        for word in old:
            held[word] -= 1
            if not held[word]:
                del held[word]


CAPACITY = 14
"""Words an agent has room for at first; with its size and its name that fills a cache line."""


MOST_AT_ONCE = 2**23
"""Interactions after which a call comes back, so that an interrupt is noticed within a second."""


_ROUNDS_AT_ONCE = 4_096


WORTH_LOADING = 200
"""Agents from which on ``auto`` loads the compiled loop where it is not loaded yet."""


_BYPASSED = ("utter", "hear", "agree", "inventory", "name", "committed")


def wants_kernel(engine: str, players: Sequence[ClassicalAgent]) -> bool:
    """Return whether ``engine`` means the kernel for these agents.

    Raises ``SpecError`` where it does and the kernel would bypass what one of them does itself.
    """
    check_engine(engine)
    bypassed = next((found for kind in set(map(type, players)) for found in _overrides(kind)), None)
    if engine == "kernel" and bypassed:
        raise SpecError(
            "engine",
            engine,
            f"the kernel would bypass {bypassed}",
            'Use engine="python", or "auto".',
        )
    large = len(players) >= WORTH_LOADING or is_loaded("inventories")
    return engine == "kernel" or (engine == "auto" and not bypassed and large)


def _overrides(kind: type[ClassicalAgent]) -> Iterator[str]:
    """Yield what such agents do in their own way and the kernel would not do."""
    for attribute in _BYPASSED:
        if getattr(kind, attribute) is not getattr(ClassicalAgent, attribute):
            yield f"{kind.__name__}.{attribute}"


class Packed:
    """Agents as arrays: one row each of words by number, see ``compiled.classical``.

    ``vocabulary`` gives the word of every number; with a pool the first numbers are the pool's.
    """

    def __init__(self, agents: int, vocabulary: Sequence[str], inventions: NDArray[np.int32]):
        self.vocabulary = vocabulary
        self.inventions = inventions
        self.rows = np.zeros((agents, CAPACITY + 2), np.int32)
        self.rows[:, 1] = -1
        self.committed = np.zeros(agents, np.bool_)

    def grow(self) -> None:
        """Give every agent room for twice as many words."""
        more = np.zeros_like(self.rows)
        self.rows = np.concatenate([self.rows, more], axis=1)

    def counts(self) -> NDArray[np.int64]:
        """Return how many agents hold each word."""
        held = np.arange(2, self.rows.shape[1]) < self.rows[:, :1] + 2
        words = self.rows[:, 2:][held]
        return np.bincount(words, minlength=len(self.vocabulary)).astype(np.int64)

    def inventory(self, place: int) -> tuple[str, ...]:
        """Return the words an agent holds."""
        row = self.rows[place]
        return tuple(self.vocabulary[word] for word in row[2 : 2 + row[0]].tolist())

    def name(self, place: int) -> str | None:
        """Return the word an agent last uttered or agreed on."""
        word = int(self.rows[place, 1])
        return None if word < 0 else self.vocabulary[word]


def pack_seating(seating: ClassicalSeating) -> Packed:
    """Return the agents of a run before its first interaction."""
    size = len(seating.neighbors)
    vocabulary = seating.vocabulary()
    packed = Packed(size, vocabulary, np.arange(size, dtype=np.int32))
    number = {word: place for place, word in enumerate(vocabulary)} if seating.committed else {}
    if seating.incumbent is not None:
        packed.rows[:, 0] = 1
        packed.rows[:, 2] = vocabulary.index(seating.incumbent)
    for place, word in seating.committed.items():
        packed.rows[place, 0] = 1
        packed.rows[place, 2] = number[word]
        packed.committed[place] = True
    return packed


def pack_players(rules: Rules, players: Sequence[Talker]) -> Packed:
    """Return agents as they stand."""
    base = rules.pool if rules.pool is not None else [player.invention for player in players]
    known = dict.fromkeys(base)
    known.update(dict.fromkeys(sorted({w for p in players for w in p.inventory} - known.keys())))
    known.update(dict.fromkeys(sorted({p.name for p in players if p.name} - known.keys())))
    number = {word: place for place, word in enumerate(known)}
    inventions = np.array([number.get(player.invention, 0) for player in players], np.int32)
    packed = Packed(len(players), tuple(known), inventions)
    while packed.rows.shape[1] - 2 < max(len(player.inventory) for player in players):
        packed.grow()
    for place, player in enumerate(players):
        held = [number[word] for word in player.inventory]
        packed.rows[place, 0] = len(held)
        packed.rows[place, 1] = -1 if player.name is None else number[player.name]
        packed.rows[place, 2 : 2 + len(held)] = held
        packed.committed[place] = player.committed is not None
    return packed


class KernelEngine:
    """Plays rounds on packed agents, the same as ``PlainEngine`` would."""

    def __init__(
        self, rules: Rules, neighbors: Neighbors, packed: Packed, draws: RandomStream, tally: Tally
    ) -> None:
        self._loop = load("inventories")
        self.neighbors = neighbors
        self.packed = packed
        self.draws = draws
        self.tally = tally
        size = len(neighbors)
        everybody = neighbors.is_complete and neighbors.strengths is None
        edges = rules.pairing == "neutral"
        whole, small = np.zeros(0, np.int64), np.zeros(0, np.int32)
        listed = not everybody and not edges
        self._fixed: tuple[Any, ...] = (
            np.uint64(draws.key),
            PAIRINGS.index(rules.pairing),
            neighbors.directed,
            size,
            everybody,
            neighbors.indptr if listed else whole,
            neighbors.indices if listed else small,
            neighbors.starts if listed else small,
            neighbors.neighbor_weights if listed else whole,
            neighbors.tails if edges else small,
            neighbors.heads if edges else small,
            neighbors.edge_weights if edges else whole,
            packed.committed,
            packed.inventions,
            len(rules.pool or ()),
        )
        self.counts = packed.counts()
        total, distinct = int(self.counts.sum()), int(np.count_nonzero(self.counts))
        if total > tally.peak_words:
            tally.peak_words, tally.peak_time = total, tally.interactions
        tally.total_words, tally.distinct_words = total, distinct
        self._numbers = np.zeros(8, np.int64)
        self._written = np.zeros((0, 4), np.int32)
        self._filled = 0
        self._first = 0

    @property
    def rows(self) -> list[Utterance]:
        """The interactions of the last round that ``play_round`` played."""
        nodes, words, run = self.neighbors.nodes, self.packed.vocabulary, self.draws.run
        number = self.tally.rounds - 1
        return [
            Utterance(run, self._first + n, number, nodes[a], nodes[b], words[word], bool(matched))
            for n, (a, b, word, matched) in enumerate(self._written[: self._filled].tolist())
        ]

    def play_round(self, to_consensus: bool) -> ClassicalRound | None:
        """Play N interactions, fewer ``to_consensus``, and none where that is there already."""
        if not len(self._written):
            self._written = np.zeros((len(self.neighbors), 4), np.int32)
        self._first = self.tally.interactions
        played = self._play(1, to_consensus, self._written)
        self._filled = self.tally.interactions - self._first
        return round_of(played, self._first, self.tally.rounds - 1) if len(played) else None

    def play(self, rounds: int, to_consensus: bool, keep: bool) -> NDArray[np.int64]:
        """Play rounds, fewer ``to_consensus``, and return them, only the last if not to ``keep``.

        A row holds interactions played so far, words in all, different words, and matches.
        """
        size = len(self.neighbors)
        at_once = max(1, min(_ROUNDS_AT_ONCE, MOST_AT_ONCE // size))
        found = [np.zeros((0, 4), np.int64)]
        none = np.zeros((0, 4), np.int32)
        while rounds:
            wanted = min(rounds, at_once)
            played = self._play(wanted, to_consensus, none)
            found = [*found, played] if keep or not len(played) else [played[-1:]]
            rounds -= wanted
            if len(played) < wanted:
                break
        return np.concatenate(found)

    def _play(self, rounds: int, to_consensus: bool, rows: Any) -> NDArray[np.int64]:
        loop, tally, numbers = self._loop, self.tally, self._numbers
        written = np.zeros((rounds, 4), np.int64)
        numbers[:] = (
            *(tally.interactions, tally.total_words, tally.distinct_words),
            *(tally.peak_words, tally.peak_time, 0, 0, 0),
        )
        while True:
            agents = self.packed.rows
            ending = loop.play(
                *self._fixed, to_consensus, agents, self.counts, numbers, written, rows
            )
            if ending != loop.FULL:
                break
            self.packed.grow()
        time, total, distinct, peak, peak_time, in_round, matched, ended = numbers.tolist()
        if in_round:
            written[ended] = time, total, distinct, matched
            ended += 1
        tally.interactions, tally.total_words, tally.distinct_words = time, total, distinct
        tally.peak_words, tally.peak_time = peak, peak_time
        tally.rounds += ended
        return written[:ended]


def round_of(rows: NDArray[np.int64], first: int, number: int) -> ClassicalRound:
    """Return the last of some rounds in numbers.

    ``first`` is the interactions played before it and ``number`` its own.
    """
    time, total, distinct, matched = rows[-1].tolist()
    return ClassicalRound(number, time, total, distinct, matched / (time - first))


class Played(NamedTuple):
    """One run; a row of ``rounds`` holds interactions so far, words, different words, matches."""

    run: int
    outcome: ClassicalOutcome
    rounds: NDArray[np.int64]


@dataclass(frozen=True)
class ClassicalEnsemble:
    """The runs of one spec.

    ``runs``: one row per run with the columns run, interactions, rounds, converged, winner, share,
    success_rate, peak_words, peak_time; see ``ClassicalOutcome``. Without consensus, ``converged``
    is False and ``interactions`` what was played.

    ``rounds``: one row per run and population round with run, round, interactions, total_words,
    distinct_words, success_rate; empty unless rounds were kept.
    """

    spec: ClassicalSpec
    runs: pd.DataFrame
    rounds: pd.DataFrame


def run_classical(
    graph: Any = DEFAULT_GRAPH,
    names: Any = None,
    pairing: str = "direct",
    incumbent: str | None = None,
    committed: Mapping[str, Any] | None = None,
    rng: Any = None,
    runs: int = 100,
    rounds: int | None = None,
    until: str | None = "converged",
    workers: int | None = 1,
    executor: Executor | None = None,
    keep_rounds: bool = True,
    progress: Progress | None = None,
) -> ClassicalEnsemble:
    """Play ``runs`` independent runs and return them as tables.

    The first arguments are those of ``ClassicalGame``, ``rounds`` and ``until`` those of its
    ``run``. A random topology is drawn anew for every run, as are the places of committed agents.
    ``"complete(n=...)"`` may have more agents than elsewhere, for no edge of it is stored.

    ``workers`` is the number of processes (None: one per processor), or ``executor`` any
    ``concurrent.futures.Executor``, threads included; the results are the same for every choice.
    """
    spec = ClassicalSpec(
        graph=graph,
        names=names,
        pairing=pairing,
        incumbent=incumbent,
        committed=committed,
        seed=read_seed(rng),
    )
    check_until(until)
    most = read_rounds(rounds, until)
    runs = read_whole("runs", runs, 1, MOST)
    processes = read_whole("workers", os.cpu_count() or 1 if workers is None else workers, 1, 1_000)
    shared = Shared(replace(spec, graph=load_graph(spec.graph)))
    alone = executor is None and processes == 1
    size = 1 if alone else batch_size(runs, 1, processes)
    how = most, until == "converged", keep_rounds
    calls = ((shared, range(first, min(first + size, runs)), how) for first in range(0, runs, size))
    played: list[Played] = []
    with closing(answers(_play_batch, calls, processes, executor)) as batches:
        for batch in batches:
            played += batch.result
            if progress is not None:
                progress(len(played), runs)
    played.sort(key=lambda one: one.run)
    return ClassicalEnsemble(spec, _run_table(played), _round_table(played if keep_rounds else []))


def play_classical(
    spec: ClassicalSpec, run: int, rounds: int, to_consensus: bool, keep: bool
) -> Played:
    """Play one run ``to_consensus``, or for ``rounds`` rounds, keeping all of them or the last."""
    seating = spec.seat(run)
    tally, packed = Tally(), pack_seating(seating)
    engine = KernelEngine(seating.rules, seating.neighbors, packed, seating.draws, tally)
    played = engine.play(rounds, to_consensus, keep)
    size = len(seating.neighbors)
    leader = int(engine.counts.argmax())
    holders = int(engine.counts[leader])
    last_size = tally.interactions - size * (tally.rounds - 1)
    outcome = ClassicalOutcome(
        tally.interactions,
        tally.rounds,
        (tally.distinct_words, tally.total_words) == (1, size),
        packed.vocabulary[leader] if holders else None,
        holders / size,
        float(played[-1, 3] / last_size) if len(played) else 0.0,
        tally.peak_words,
        tally.peak_time,
    )
    return Played(run, outcome, played if keep else played[:0])


def _play_batch(
    spec: Shared[ClassicalSpec], runs: range, how: tuple[int, bool, bool]
) -> list[Played]:
    return [play_classical(spec.value, run, *how) for run in runs]


def _run_table(played: list[Played]) -> pd.DataFrame:
    columns = ("interactions", "rounds", "converged", "winner", "share", "success_rate")
    return pd.DataFrame(
        {
            "run": [one.run for one in played],
            **{
                column: [getattr(one.outcome, column) for one in played]
                for column in (*columns, "peak_words", "peak_time")
            },
        }
    )


def _round_table(played: list[Played]) -> pd.DataFrame:
    rows = np.concatenate([np.zeros((0, 4), np.int64), *(one.rounds for one in played)])
    lengths = [len(one.rounds) for one in played]
    number = np.concatenate([np.zeros(0, np.int64), *(np.arange(length) for length in lengths)])
    before = np.where(number == 0, 0, np.concatenate([[0], rows[:-1, 0]])[: len(rows)])
    return pd.DataFrame(
        {
            "run": np.repeat([one.run for one in played], lengths).astype(np.int64),
            "round": number,
            "interactions": rows[:, 0],
            "total_words": rows[:, 1],
            "distinct_words": rows[:, 2],
            "success_rate": rows[:, 3] / np.maximum(rows[:, 0] - before, 1),
        }
    )
