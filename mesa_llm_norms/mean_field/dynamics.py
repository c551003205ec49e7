"""How a spread moves, in continuous time and in matching rounds.

In continuous time it is a power series: the change is 2 (q a - x), where x is the spread, a how
many go to each group, q how likely each name is to be heard, and q a their product by group and
name. As a and q follow from x, term by term, so does the next term of x from those before:

    x[n+1] = 2 / (n + 1) (sum of q[k] a[n-k] over k from 0 to n, minus x[n]).

Steps are as long as the last terms allow (Jorba and Zou, Experimental Mathematics 14, 99, 2005).

How a population moves: shares of names and success rate by population round.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.core.metrics import entropy
from mesa_llm_norms.errors import PairingError, SpecError
from mesa_llm_norms.mean_field.population import MEETINGS, Population, is_number, read_population
from mesa_llm_norms.mean_field.states import Floats, shares_of
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.simulation.pairing import PAIRINGS, MatchingPairing, read_pairing
from mesa_llm_norms.validation import read_whole

TERMS = 18
"""After how many terms a series is broken off."""


EXACT = 1e-9
"""How many agents the last terms may move in a step, as a share of all."""


LONGEST = 3.0
"""Population rounds in a step, at most: in longer ones the last terms would be rounding alone."""


NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)


class Course(NamedTuple):
    """Some rounds: the shares of names played in each, the success rate, and the spread after."""

    shares: Floats
    success_rate: Floats
    spread: Floats


def play(population: Population, spread: Floats, rounds: int) -> Course:
    """Move on in continuous time; shares and success rate are means over each round.

    The means are taken by Gauss's rule within each round, so that the last one is as exact as the
    first, which a running sum would not be.
    """
    times, weights = (NODES + 1) / 2, WEIGHTS / 2
    moments = (np.arange(rounds)[:, None] + times).ravel()
    series = _Series(population)
    played = []
    now = 0.0
    while now < rounds:
        reach = series.expand(spread)
        until = now + reach if reach < rounds - now else rounds
        within = slice(*np.searchsorted(moments, (now, until)).tolist())
        played.append(series.played(moments[within] - now))
        spread = series.spread(until - now)
        now = until
    by_moment = np.concatenate(played).reshape(rounds, len(times), -1)
    shares = np.einsum("t,rtn->rn", weights, by_moment)
    return Course(shares, np.einsum("t,rtn,rtn->r", weights, by_moment, by_moment), spread)


class _Series:
    """What becomes of a spread, and of the names played, as sums of terms by powers of time."""

    def __init__(self, population: Population) -> None:
        states = population.states
        self._population = population
        self._spreads = np.zeros((TERMS + 1, len(states)))
        self._played = np.empty((TERMS, len(population.pool)))
        self._arriving = np.empty((TERMS, states.groups))
        # By partner, the last term first: what is multiplied with ``arriving`` is beside it.
        self._heard = np.empty((len(states.played), TERMS))

    def expand(self, spread: Floats) -> float:
        """Expand ``spread`` at time zero; return how far the terms reach, in population rounds."""
        states = self._population.states
        self._spreads[0] = spread
        for term in range(TERMS):
            now, after = self._spreads[term], self._spreads[term + 1]
            played = self._population.played(now) if term == 0 else now @ states.chances
            arriving = states.arriving(now)
            self._played[term], self._arriving[term] = played, arriving
            first = TERMS - 1 - term
            self._heard[:, first] = played[states.played]
            by_partner = states.by_partner(after)
            after[by_partner.size :] = 0
            *others, rest = by_partner
            rest[:] = arriving
            for partner, hears in enumerate(others):  # for all together hear some name
                np.matmul(self._heard[partner, first:], self._arriving[: term + 1], out=hears)
                rest -= hears
            after -= now
            after *= MEETINGS / (term + 1)
        reach = LONGEST
        for term in (TERMS - 1, TERMS):
            moved = float(np.abs(self._spreads[term]).sum())
            if moved > EXACT / LONGEST**term:
                reach = min(reach, (EXACT / moved) ** (1 / term))
        return reach

    def played(self, times: Floats) -> Floats:
        """Return how likely each name is to be played at these times, in rows."""
        powers = times[:, None] ** np.arange(TERMS)
        return shares_of(np.clip(powers @ self._played, 0, None))

    def spread(self, time: float) -> Floats:
        """Return the spread at a time."""
        powers = time ** np.arange(TERMS + 1)
        spread: Floats = np.clip(powers @ self._spreads, 0, None)
        return spread


def play_matching(population: Population, spread: Floats, rounds: int) -> Course:
    """Move on by rounds in which everybody meets exactly one partner."""
    shares = []
    for _ in range(rounds):
        shares.append(population.played(spread))
        spread = population.states.meet(spread, shares[-1])
    played = np.array(shares)
    return Course(played, (played**2).sum(axis=1), spread)


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
