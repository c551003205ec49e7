"""The two engines of the classical game: plain Python, and the compiled kernel.

``ClassicalEngine`` is the reference: it has agents talk to each other, one interaction at a time.
``ClassicalKernel`` plays the same game on agents packed into arrays. Both keep a ``WordTally`` and
give the same rows.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.classical.game import (
    PAIRINGS,
    ClassicalInitialState,
    Player,
    Rules,
    Utterance,
    in_units,
)
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import Goal, most, window_size
from mesa_llm_norms.networks.adjacency import Neighbors

CAPACITY = 14
"""Words an agent has room for at first; with their number and its name they fill a cache line."""

MAX_INTERACTIONS_PER_CALL = 2**23
"""Interactions after which a call returns, so that an interrupt is noticed within a second."""

MAX_ROUNDS_PER_CALL = 4_096

_ANY = np.zeros(0, np.bool_)


class ClassicalRound(NamedTuple):
    """The numbers of one population round, as they were at its end.

    Attributes
    ----------
    number
        The round, from 0.
    interactions
        Interactions played in the run so far.
    total_words
        The sizes of all inventories, summed.
    distinct_words
        How many different words are held.
    success_rate
        Share of the round's interactions in which the hearer had the word.
    """

    number: int
    interactions: int
    total_words: int
    distinct_words: int
    success_rate: float


@dataclass(slots=True)
class WordTally:
    """How far a run has come, and the most words there have been.

    ``peak_time`` is the number of interactions after which there first were ``peak_words``, and
    ``spoken`` the last words uttered, the newest last.
    """

    interactions: int = 0
    rounds: int = 0
    total_words: int = 0
    distinct_words: int = 0
    peak_words: int = 0
    peak_time: int = 0
    spoken: deque[str] = field(default_factory=deque)

    def count(self, total_words: int, distinct_words: int) -> None:
        """Take in how many words there are."""
        self.total_words, self.distinct_words = total_words, distinct_words
        if total_words > self.peak_words:
            self.peak_words, self.peak_time = total_words, self.interactions

    def listen(self, agents: int) -> None:
        """Keep as many of the last words as matter in a population of so many agents."""
        self.spoken = deque(self.spoken, window_size(Goal(), agents))


class ClassicalEngine:
    """Plays rounds in plain Python among ``players``, one for each of ``neighbors.nodes``."""

    def __init__(
        self,
        rules: Rules,
        neighbors: Neighbors,
        players: Sequence[Player],
        stream: RandomStream,
        tally: WordTally,
    ) -> None:
        self.rules = rules
        self.neighbors = neighbors
        self.players = players
        self.stream = stream
        self.tally = tally
        self.rows: list[Utterance] = []
        """The interactions of the last round."""

    def play_round(self, until: str | None) -> ClassicalRound | None:
        """Play N interactions, or fewer if the goal is reached before.

        Returns the round in numbers, None if there was nothing to play.
        """
        rules, players, tally, stream = self.rules, self.players, self.tally, self.stream
        nodes, number = self.neighbors.nodes, tally.rounds
        held = words_held(players)
        tally.count(held.total(), len(held))
        self.rows = []
        tally.listen(len(players))
        agreement = Agreement(players, tally.spoken)
        for a, b in rules.pairs(self.neighbors, tally.interactions, stream):
            if until == "converged" and is_consensus(held, len(players)):
                break
            if until == "agreed" and agreement.reached:
                break
            speaker, hearer = players[a], players[b]
            before = speaker.inventory, hearer.inventory
            agreement.release(speaker, hearer)
            draws = stream.interaction(tally.interactions)
            word = speaker.utter(draws.seat_a, rules.other_word(speaker, draws.seat_b))
            matched = hearer.hear(word)
            if matched:
                speaker.agree(word)
                hearer.agree(word)
            agreement.add(word, speaker, hearer)
            for old, new in zip(before, (speaker.inventory, hearer.inventory), strict=True):
                if old is not new:
                    _recount(held, old, new)
            self.rows.append(
                Utterance(stream.run, tally.interactions, number, nodes[a], nodes[b], word, matched)
            )
            tally.interactions += 1
            tally.count(held.total(), len(held))
        if not self.rows:
            return None
        tally.rounds += 1
        success_rate = sum(row.matched for row in self.rows) / len(self.rows)
        return ClassicalRound(
            number, tally.interactions, tally.total_words, tally.distinct_words, success_rate
        )


class Agreement:
    """How often each word was uttered lately, and how many agents hold it as their name.

    ``spoken`` is the last words uttered, which grow with every one that is added.
    """

    def __init__(self, players: Sequence[Player], spoken: deque[str]) -> None:
        self.spoken = spoken
        self.uttered: Counter[str] = Counter(spoken)
        self.holders: Counter[str] = Counter(
            player.name for player in players if player.name is not None
        )
        self._plays, self._least = most(spoken.maxlen or 0), most(len(players))

    @property
    def reached(self) -> bool:
        """Whether 95% of the agents hold, and 95% of the words lately uttered are, one name."""
        return len(self.spoken) == self.spoken.maxlen and any(
            times >= self._plays and self.holders[word] >= self._least
            for word, times in self.uttered.items()
        )

    def release(self, *players: Player) -> None:
        """Count what these players hold no longer, before they talk."""
        self.holders.subtract(player.name for player in players if player.name is not None)

    def add(self, word: str, *players: Player) -> None:
        """Count a word that was uttered, and what the two players hold now."""
        self.holders.update(player.name for player in players if player.name is not None)
        if len(self.spoken) == self.spoken.maxlen:
            self.uttered[self.spoken[0]] -= 1
        self.spoken.append(word)
        self.uttered[word] += 1


def words_held(players: Iterable[Player]) -> Counter[str]:
    """Return how many agents hold each word."""
    return Counter(word for player in players for word in player.inventory)


def is_consensus(held: Counter[str], agents: int) -> bool:
    """Return whether all agents hold the same single word."""
    return len(held) == 1 and held.total() == agents


def _recount(held: Counter[str], old: Iterable[str], new: Iterable[str]) -> None:
    held.update(new)
    for word in old:
        held[word] -= 1
        if not held[word]:
            del held[word]


class PackedPlayers:
    """Players as arrays: a row each, with words as numbers; see ``core.compiled.inventories``.

    ``vocabulary`` gives the word of every number; with a pool the first numbers are the pool's.
    """

    def __init__(self, agents: int, vocabulary: Sequence[str], inventions: NDArray[np.int32]):
        self.vocabulary = vocabulary
        self.inventions = inventions
        self.rows: NDArray[np.int32] = np.zeros((agents, CAPACITY + 2), np.int32)
        self.rows[:, 1] = -1
        self.noise: NDArray[np.int64] = np.full(agents, -1, np.int64)
        """The chance of another name, in units of 2**-32; negative for those not committed."""

    @classmethod
    def of_initial_state(cls, initial: ClassicalInitialState) -> PackedPlayers:
        """Pack the players of a run before its first interaction."""
        size, vocabulary = len(initial.neighbors), initial.vocabulary()
        packed = cls(size, vocabulary, np.arange(size, dtype=np.int32))
        if initial.incumbent is not None:
            packed.rows[:, 0] = 1
            packed.rows[:, 2] = vocabulary.index(initial.incumbent)
        number = {word: vocabulary.index(word) for word in set(initial.committed.values())}
        for index, word in initial.committed.items():
            packed.rows[index, 0] = 1
            packed.rows[index, 2] = number[word]
            packed.noise[index] = in_units(initial.firm[word].noise)
        return packed

    @classmethod
    def of_players(cls, rules: Rules, players: Sequence[Player]) -> PackedPlayers:
        """Pack players as they are."""
        first = rules.pool if rules.pool is not None else [one.invention for one in players]
        words = sorted({word for one in players for word in one.inventory})
        names = sorted({one.name for one in players if one.name})
        vocabulary = tuple(dict.fromkeys((*first, *words, *names)))
        number = {word: place for place, word in enumerate(vocabulary)}
        inventions = np.array([number.get(one.invention, 0) for one in players], np.int32)
        packed = cls(len(players), vocabulary, inventions)
        while packed.rows.shape[1] - 2 < max(len(one.inventory) for one in players):
            packed.grow()
        for row, player in zip(packed.rows, players, strict=True):
            held = [number[word] for word in player.inventory]
            row[0] = len(held)
            row[1] = -1 if player.name is None else number[player.name]
            row[2 : 2 + len(held)] = held
        packed.noise[:] = [one.noise for one in players]
        return packed

    def grow(self) -> None:
        """Give every player room for twice as many words."""
        self.rows = np.concatenate([self.rows, np.zeros_like(self.rows)], axis=1)

    def counts(self) -> NDArray[np.int64]:
        """Return how many players hold each word, by number."""
        held = np.arange(2, self.rows.shape[1]) < self.rows[:, :1] + 2
        words = self.rows[:, 2:][held]
        return np.bincount(words, minlength=len(self.vocabulary)).astype(np.int64)

    def inventory(self, index: int) -> tuple[str, ...]:
        """Return the words a player holds."""
        row = self.rows[index]
        return tuple(self.vocabulary[word] for word in row[2 : 2 + row[0]].tolist())

    def name(self, index: int) -> str | None:
        """Return the word a player last uttered or agreed on."""
        word = int(self.rows[index, 1])
        return None if word < 0 else self.vocabulary[word]

    def holders(self) -> NDArray[np.int64]:
        """Return how many players hold each word as their name, by number."""
        names = self.rows[:, 1]
        return np.bincount(names[names >= 0], minlength=len(self.vocabulary)).astype(np.int64)


class ClassicalKernel:
    """Plays rounds on packed players, compiled; the same rows as ``ClassicalEngine``."""

    def __init__(
        self,
        rules: Rules,
        neighbors: Neighbors,
        packed: PackedPlayers,
        stream: RandomStream,
        tally: WordTally,
    ) -> None:
        self._loop = load("inventories")
        self.neighbors = neighbors
        self.packed = packed
        self.stream = stream
        self.tally = tally
        size = len(neighbors)
        well_mixed = neighbors.is_complete and neighbors.weights is None
        by_edge = rules.pairing == "neutral"
        by_node = not well_mixed and not by_edge
        none_64, none_32 = np.zeros(0, np.int64), np.zeros(0, np.int32)
        self._fixed: tuple[Any, ...] = (
            np.uint64(stream.key),
            PAIRINGS.index(rules.pairing),
            neighbors.directed,
            size,
            well_mixed,
            neighbors.indptr if by_node else none_64,
            neighbors.indices if by_node else none_32,
            neighbors.starts if by_node else none_32,
            neighbors.cumulative_weights if by_node else none_64,
            neighbors.tails if by_edge else none_32,
            neighbors.heads if by_edge else none_32,
            neighbors.cumulative_edge_weights if by_edge else none_64,
            packed.noise,
            packed.inventions,
            len(rules.pool or ()),
        )
        self.counts: NDArray[np.int64] = packed.counts()
        tally.count(int(self.counts.sum()), int(np.count_nonzero(self.counts)))
        tally.listen(size)
        number = {word: place for place, word in enumerate(packed.vocabulary)}
        spoken = [number.get(word, -1) for word in tally.spoken]
        self._ring = np.zeros(tally.spoken.maxlen or 0, np.int32)
        self._ring[: len(spoken)] = spoken
        self._place, self._filled_ring = len(spoken) % len(self._ring), len(spoken)
        self._plays, self._least = most(len(self._ring)), most(size)
        self._numbers = np.zeros(11, np.int64)
        self._written = np.zeros((0, 4), np.int32)
        self._filled = 0
        self._first = 0

    @property
    def rows(self) -> list[Utterance]:
        """The interactions of the last round that ``play_round`` played."""
        nodes, words, run = self.neighbors.nodes, self.packed.vocabulary, self.stream.run
        number = self.tally.rounds - 1
        return [
            Utterance(run, self._first + n, number, nodes[a], nodes[b], words[word], bool(matched))
            for n, (a, b, word, matched) in enumerate(self._written[: self._filled].tolist())
        ]

    @property
    def agreed(self) -> bool:
        """Whether 95% of the agents hold, and 95% of the words lately uttered are, one name."""
        uttered, holders = self._uttered(), self.packed.holders()
        enough = (uttered >= self._plays) & (holders >= self._least)
        return self._filled_ring == len(self._ring) and bool(enough.any())

    def spoken(self) -> deque[str]:
        """Return the last words uttered, the newest last."""
        ring = np.roll(self._ring[: self._filled_ring], -self._place)
        words = (self.packed.vocabulary[word] if word >= 0 else "" for word in ring.tolist())
        return deque(words, len(self._ring))

    def _uttered(self) -> NDArray[np.int64]:
        words = self._ring[: self._filled_ring]
        counts = np.bincount(words[words >= 0], minlength=len(self.packed.vocabulary))
        return counts.astype(np.int64)

    def play_round(self, until: str | None) -> ClassicalRound | None:
        """Play one round as ``ClassicalEngine.play_round`` does."""
        if not len(self._written):
            self._written = np.zeros((len(self.neighbors), 4), np.int32)
        self._first = self.tally.interactions
        played = self._play(1, until, self._written)
        self._filled = self.tally.interactions - self._first
        if not len(played):
            return None
        time, total, distinct, matched = played[-1].tolist()
        return ClassicalRound(
            self.tally.rounds - 1, time, total, distinct, matched / (time - self._first)
        )

    def play(self, rounds: int, until: str | None, keep: bool) -> NDArray[np.int64]:
        """Play up to ``rounds`` rounds without keeping their interactions.

        Returns a row for each round, or for the last one only unless ``keep``: interactions played
        so far, words in total, different words, and matches in the round.
        """
        per_call = min(MAX_ROUNDS_PER_CALL, MAX_INTERACTIONS_PER_CALL // len(self.neighbors))
        found = [np.zeros((0, 4), np.int64)]
        no_rows = np.zeros((0, 4), np.int32)
        while rounds:
            wanted = min(rounds, max(1, per_call))
            played = self._play(wanted, until, no_rows)
            found = [*found, played] if keep or not len(played) else [played[-1:]]
            rounds -= wanted
            if len(played) < wanted:
                break
        return np.concatenate(found)

    def _play(self, rounds: int, until: str | None, rows: Any) -> NDArray[np.int64]:
        loop, tally, numbers = self._loop, self.tally, self._numbers
        written = np.zeros((rounds, 4), np.int64)
        numbers[:] = (
            *(tally.interactions, tally.total_words, tally.distinct_words),
            *(tally.peak_words, tally.peak_time, 0, 0, 0, self._place, self._filled_ring),
            tally.interactions,
        )
        agreeing = until == "agreed"
        goal = until == "converged", self._plays if agreeing else 0, self._least, _ANY
        uncounted = np.zeros((rounds, 0), np.int64)
        none = np.zeros(0, np.int64)
        counted = (self._uttered(), self.packed.holders()) if agreeing else (none, none)
        while True:
            agents = self.packed.rows
            ending = loop.play(
                *(*self._fixed, *goal, self._ring, *counted),
                *(agents, self.counts, numbers, written, uncounted, rows),
            )
            if ending != loop.FULL:
                break
            self.packed.grow()
        time, total, distinct, peak, peak_time, in_round, matched, ended = numbers[:8].tolist()
        self._place, self._filled_ring = numbers[8:10].tolist()
        if in_round:  # the goal was reached within a round
            written[ended] = time, total, distinct, matched
            ended += 1
        tally.interactions, tally.total_words, tally.distinct_words = time, total, distinct
        tally.peak_words, tally.peak_time = peak, peak_time
        tally.rounds += ended
        return written[:ended]
