"""Playing the classical game in plain Python: the reference that the compiled loop is held to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from mesa_llm_norms.classical.game import Rules, Talker, Utterance
from mesa_llm_norms.contacts import Contacts
from mesa_llm_norms.draws import Draws


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
    """Plays rounds among ``players``, who sit on ``contacts.nodes`` in this order."""

    def __init__(
        self,
        rules: Rules,
        contacts: Contacts,
        players: Sequence[Talker],
        draws: Draws,
        tally: Tally,
    ) -> None:
        self.rules = rules
        self.contacts = contacts
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
        nodes, number = self.contacts.nodes, tally.rounds
        held = words_held(players)
        tally.count(held)
        self.rows = []
        for a, b in rules.pairs(self.contacts, tally.interactions, draws):
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
