"""The classical game compiled: agents packed into arrays, played, and unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.classical.agents import ClassicalAgent
from mesa_llm_norms.classical.engine import ClassicalRound, Tally
from mesa_llm_norms.classical.game import PAIRINGS, Rules, Talker, Utterance
from mesa_llm_norms.classical.spec import ClassicalSeating
from mesa_llm_norms.compiled import is_loaded, load
from mesa_llm_norms.contacts import Contacts
from mesa_llm_norms.draws import Draws
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.kernel import check_engine

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
    large = len(players) >= WORTH_LOADING or is_loaded("classical")
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
    size = len(seating.contacts)
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
        self, rules: Rules, contacts: Contacts, packed: Packed, draws: Draws, tally: Tally
    ) -> None:
        self._loop = load("classical")
        self.contacts = contacts
        self.packed = packed
        self.draws = draws
        self.tally = tally
        size = len(contacts)
        everybody = contacts.is_complete and contacts.strengths is None
        edges = rules.pairing == "neutral"
        whole, small = np.zeros(0, np.int64), np.zeros(0, np.int32)
        listed = not everybody and not edges
        self._fixed: tuple[Any, ...] = (
            np.uint64(draws.key),
            PAIRINGS.index(rules.pairing),
            contacts.directed,
            size,
            everybody,
            contacts.indptr if listed else whole,
            contacts.indices if listed else small,
            contacts.starts if listed else small,
            contacts.neighbour_thresholds if listed else whole,
            contacts.tails if edges else small,
            contacts.heads if edges else small,
            contacts.edge_thresholds if edges else whole,
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
        nodes, words, run = self.contacts.nodes, self.packed.vocabulary, self.draws.run
        number = self.tally.rounds - 1
        return [
            Utterance(run, self._first + n, number, nodes[a], nodes[b], words[word], bool(matched))
            for n, (a, b, word, matched) in enumerate(self._written[: self._filled].tolist())
        ]

    def play_round(self, to_consensus: bool) -> ClassicalRound | None:
        """Play N interactions, fewer ``to_consensus``, and none where that is there already."""
        if not len(self._written):
            self._written = np.zeros((len(self.contacts), 4), np.int32)
        self._first = self.tally.interactions
        played = self._play(1, to_consensus, self._written)
        self._filled = self.tally.interactions - self._first
        return round_of(played, self._first, self.tally.rounds - 1) if len(played) else None

    def play(self, rounds: int, to_consensus: bool, keep: bool) -> NDArray[np.int64]:
        """Play rounds, fewer ``to_consensus``, and return them, only the last if not to ``keep``.

        A row holds interactions played so far, words in all, different words, and matches.
        """
        size = len(self.contacts)
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
