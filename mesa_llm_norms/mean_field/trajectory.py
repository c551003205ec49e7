"""How a population moves: shares of names and success rate by population round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mesa_llm_norms.errors import PairingError, SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.mean_field.motion import play, play_matching
from mesa_llm_norms.mean_field.population import is_number, read_population
from mesa_llm_norms.memory import Memory
from mesa_llm_norms.metrics import entropy
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND
from mesa_llm_norms.pairing import PAIRINGS, MatchingPairing, read_pairing

MOST_ROUNDS = 100_000


@dataclass(frozen=True)
class MeanField:
    """A trajectory of infinitely many agents.

    ``rounds`` has a row per population round with round, success_rate, entropy and ``share_NAME``
    for each name, as an ensemble's: what is played during the round, committed agents included.
    ``memories`` is the share of all agents that remember each thing at the end; together they are
    those who are not committed.
    """

    pool: tuple[str, ...]
    rounds: pd.DataFrame
    memories: Mapping[Memory, float]

    @property
    def shares(self) -> pd.DataFrame:
        """Of the names played in each round, the share of each name: a column per name."""
        shares = self.rounds[[f"share_{name}" for name in self.pool]]
        return shares.set_axis(list(self.pool), axis=1)

    @property
    def success_rate(self) -> pd.Series[float]:
        """The share of each round's interactions in which the names matched."""
        return self.rounds["success_rate"]

    @property
    def leader(self) -> str:
        """The name played most in the last round; of equals, the earlier one in the pool."""
        return self.pool[int(self.shares.iloc[-1].to_numpy().argmax())]


def mean_field(
    mind: Any = DEFAULT_MIND,
    names: Any = "QM",
    memory: int = 5,
    incumbent: str | None = None,
    committed: Mapping[str, float] | None = None,
    start: Mapping[str, float] | None = None,
    rounds: int = 30,
    pairing: Any = "node",
) -> MeanField:
    """Return how a population on the complete graph moves as its number goes to infinity.

    Arguments are those of ``NamingGame``, ``committed`` by share. Everybody starts out remembering
    nothing, or the ``incumbent``; or ``start`` says which share of the uncommitted remembers each
    name, ``{"Q": 0.7, "M": 0.3}``, and whoever is left over remembers nothing.

    With ``node`` or ``edge`` pairing an agent takes part in two interactions per population round
    on average, at random times: the spread x over memories follows dx/dt = 2 (T x - x), where T x
    is the spread after everybody has met somebody. With ``matching``, everybody meets exactly one
    partner per round: x becomes T x. A mind that drifts plays as it was fitted, in no run's mood.
    """
    remembered = _read_start(incumbent, start)
    rounds = read_whole("rounds", rounds, 1, MOST_ROUNDS)
    rule = read_pairing(pairing)
    if type(rule) not in PAIRINGS.values():
        raise PairingError(
            "pairing",
            pairing,
            f"what becomes of {rule.label!r} with infinitely many agents is not known",
            "Choose node, edge or matching.",
        )
    population = read_population(mind, names, memory, committed, remembered)
    move = play_matching if isinstance(rule, MatchingPairing) else play
    course = move(population, population.remembering(remembered), rounds)
    pool = population.pool
    lines = [dict(zip(pool, line, strict=True)) for line in course.shares.tolist()]
    table = pd.DataFrame(
        {
            "round": np.arange(rounds),
            "success_rate": course.success_rate,
            "entropy": [entropy(line) for line in lines],
            **{f"share_{name}": course.shares[:, place] for place, name in enumerate(pool)},
        }
    )
    memories: dict[Memory, float] = {}
    found = population.states.memories
    for (_, memory_), share in zip(found.known, course.spread[found.places].tolist(), strict=True):
        memories[memory_] = memories.get(memory_, 0.0) + share
    return MeanField(pool, table, memories)


def _read_start(incumbent: str | None, start: Any) -> dict[str, float]:
    """Return the share of the uncommitted that remembers each name."""
    if start is None:
        return {} if incumbent is None else {incumbent: 1.0}
    if incumbent is not None:
        raise SpecError(
            "start", start, "there is an incumbent, too", "Give either start or incumbent."
        )
    if (
        not isinstance(start, Mapping)
        or not all(is_number(share) and 0 <= share <= 1 for share in start.values())
        or sum(start.values()) > 1 + 1e-9
    ):
        raise SpecError(
            "start",
            start,
            f"{start!r} is not shares by name",
            'Give shares of at most 1.0 in all, such as {"Q": 0.7, "M": 0.3}.',
        )
    return {name: float(share) for name, share in start.items()}
