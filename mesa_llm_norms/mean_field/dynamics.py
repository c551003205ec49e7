"""How an infinite population evolves: shares of names and success rate by population round.

In continuous time the distribution x over states is a power series. Its change is 2 (q a - x),
where a is the share of agents moving to each group, q the probability that each name is heard, and
q a their product by group and name. As a and q follow from x term by term, each term of x follows
from those before:

    x[n+1] = 2 / (n + 1) (sum of q[k] a[n-k] over k from 0 to n, minus x[n]).

Steps are as long as the last terms allow (A. Jorba and M. Zou, "A software package for the
numerical integration of ODEs by means of high-order Taylor methods", Experimental Mathematics 14,
99, 2005).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.core.limits import read_whole
from mesa_llm_norms.core.metrics import entropy
from mesa_llm_norms.errors import PairingError, SpecError, shown
from mesa_llm_norms.mean_field.population import (
    INTERACTIONS_PER_ROUND,
    Floats,
    Population,
    is_number,
    normalized,
    read_population,
)
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.simulation.pairing import (
    EdgePairing,
    MatchingPairing,
    NodePairing,
    read_pairing,
)

TERMS = 18
"""How many terms of a series are used."""

EXACT = 1e-9
"""How many agents the last terms may move in a step, as a share of all."""

LONGEST = 3.0
"""The longest step, in population rounds: in a longer one the last terms would be rounding only."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)


@dataclass(frozen=True)
class MeanField:
    """A trajectory of infinitely many agents.

    Attributes
    ----------
    pool
        The names.
    rounds
        One row per population round with the columns round, success_rate, entropy and
        ``share_NAME`` for each name, as in an ensemble: what is played during the round, by
        committed agents too.
    memories
        The share of all agents with each memory at the end; together they are the uncommitted.
    """

    pool: tuple[str, ...]
    rounds: pd.DataFrame
    memories: Mapping[Memory, float]

    @property
    def shares(self) -> pd.DataFrame:
        """The share of each name among those played in each round: a column per name."""
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
    """Return how a population on the complete graph evolves in the limit of infinitely many agents.

    With ``node`` or ``edge`` pairing an agent takes part in two interactions per population round
    on average, at random times: the distribution x over memories follows dx/dt = 2 (T x - x), where
    T x is the distribution after everybody has had one interaction. With ``matching`` pairing,
    everybody has exactly one partner per round: x becomes T x. A mind that drifts plays as fitted.

    Parameters
    ----------
    mind : str, Policy or mapping, default "claude-3.5-sonnet"
        A mind that gives probabilities (recorded, a table, any plain ``Policy``), or its name; or
        shares, ``{"claude-3.5-sonnet": 0.5, "llama-2-70b-chat": 0.5}``.
    names : str or sequence of str, default "QM"
        The pool, as letters in a string or a sequence of names.
    memory : int
        Interactions an agent remembers. Default 5.
    incumbent : str, optional
        The one name everybody remembers at the start. Default None: empty memories.
    committed : mapping of str to float, optional
        Shares of all agents committed to a name, ``{"M": 0.1}``. Default nobody.
    start : mapping of str to float, optional
        Instead of ``incumbent``, the share of the uncommitted that remembers each name,
        ``{"Q": 0.7, "M": 0.3}``; the rest remember nothing.
    rounds : int
        Population rounds, from 1 to 100,000. Default 30.
    pairing : str
        ``"node"`` (the default), ``"edge"`` or ``"matching"``.

    Returns
    -------
    MeanField
        The trajectory.

    Raises
    ------
    SpecError
        For arguments without a limit: commitment by number, minds by node or without
        probabilities, a pairing rule of your own, or more than 100,000 different memories.
    """
    remembered = _read_start(incumbent, start)
    rounds = read_whole("rounds", rounds, limits.MEAN_FIELD_ROUNDS)
    rule = read_pairing(pairing)
    if type(rule) not in (NodePairing, EdgePairing, MatchingPairing):
        raise PairingError(
            "pairing",
            pairing,
            f"the limit of {shown(rule.label)} for infinitely many agents is not known",
            "Choose node, edge or matching.",
        )
    population = read_population(mind, names, memory, committed, remembered)
    play = play_matching if isinstance(rule, MatchingPairing) else play_continuous
    played = play(population, population.remembering(remembered), rounds)
    pool = population.pool
    lines = [dict(zip(pool, line, strict=True)) for line in played.shares.tolist()]
    table = pd.DataFrame(
        {
            "round": np.arange(rounds),
            "success_rate": played.success_rate,
            "entropy": [entropy(line) for line in lines],
            **{f"share_{name}": played.shares[:, index] for index, name in enumerate(pool)},
        }
    )
    memories: dict[Memory, float] = {}
    reachable = population.states.reachable
    shares = played.distribution[reachable.order].tolist()
    for (_, remembers), share in zip(reachable.found, shares, strict=True):
        memories[remembers] = memories.get(remembers, 0.0) + share
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
            f"{shown(start)} does not map names to shares",
            'Give shares of at most 1.0 in total, such as {"Q": 0.7, "M": 0.3}.',
        )
    return {name: float(share) for name, share in start.items()}


class PlayedRounds(NamedTuple):
    """Some rounds: the shares of names played in each, success rates, and how they left agents."""

    shares: Floats
    success_rate: Floats
    distribution: Floats


def play_continuous(population: Population, distribution: Floats, rounds: int) -> PlayedRounds:
    """Play in continuous time; shares and success rates are means over each round.

    The means come from Gauss's rule within each round, so that the last is as exact as the first,
    unlike in a running sum.
    """
    times, weights = (NODES + 1) / 2, WEIGHTS / 2
    moments = (np.arange(rounds)[:, None] + times).ravel()
    series = _Series(population)
    played = []
    now = 0.0
    while now < rounds:
        reach = series.expand(distribution)
        until = now + reach if reach < rounds - now else rounds
        within = slice(*np.searchsorted(moments, (now, until)).tolist())
        played.append(series.played(moments[within] - now))
        distribution = series.distribution(until - now)
        now = until
    by_moment = np.concatenate(played).reshape(rounds, len(times), -1)
    shares = np.einsum("t,rtn->rn", weights, by_moment)
    success_rate = np.einsum("t,rtn,rtn->r", weights, by_moment, by_moment)
    return PlayedRounds(shares, success_rate, distribution)


def play_matching(population: Population, distribution: Floats, rounds: int) -> PlayedRounds:
    """Play rounds in which everybody has exactly one partner."""
    shares = []
    for _ in range(rounds):
        shares.append(population.played(distribution))
        distribution = population.states.interact(distribution, shares[-1])
    played = np.array(shares)
    return PlayedRounds(played, (played**2).sum(axis=1), distribution)


class _Series:
    """A distribution, and the names played, as power series in time."""

    def __init__(self, population: Population) -> None:
        states = population.states
        self._population = population
        self._distributions = np.zeros((TERMS + 1, len(states)))
        self._played = np.empty((TERMS, len(population.pool)))
        self._arriving = np.empty((TERMS, states.groups))
        # by partner, the last term first, so that it lies beside the terms of ``arriving`` that it
        # is multiplied with
        self._heard = np.empty((len(states.played), TERMS))

    def expand(self, distribution: Floats) -> float:
        """Expand a distribution at time zero; return how far the terms reach, in rounds."""
        states = self._population.states
        self._distributions[0] = distribution
        for term in range(TERMS):
            now, after = self._distributions[term], self._distributions[term + 1]
            played = self._population.played(now) if term == 0 else now @ states.probabilities
            arriving = states.arriving(now)
            self._played[term], self._arriving[term] = played, arriving
            first = TERMS - 1 - term
            self._heard[:, first] = played[states.played]
            by_partner = states.by_partner(after)
            after[by_partner.size :] = 0
            *others, last = by_partner
            last[:] = arriving
            for partner, hears in enumerate(others):  # all partners together give ``arriving``
                np.matmul(self._heard[partner, first:], self._arriving[: term + 1], out=hears)
                last -= hears
            after -= now
            after *= INTERACTIONS_PER_ROUND / (term + 1)
        reach = LONGEST
        for term in (TERMS - 1, TERMS):
            moved = float(np.abs(self._distributions[term]).sum())
            if moved > EXACT / LONGEST**term:
                reach = min(reach, (EXACT / moved) ** (1 / term))
        return reach

    def played(self, times: Floats) -> Floats:
        """Return the probability that each name is played at these times, in rows."""
        powers = times[:, None] ** np.arange(TERMS)
        return normalized(np.clip(powers @ self._played, 0, None))

    def distribution(self, time: float) -> Floats:
        """Return the distribution at a time."""
        powers = time ** np.arange(TERMS + 1)
        found: Floats = np.clip(powers @ self._distributions, 0, None)
        return found
