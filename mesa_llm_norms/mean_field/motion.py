"""How a spread moves, in continuous time and in matching rounds.

In continuous time it is a power series: the change is 2 (q a - x), where x is the spread, a how
many go to each group, q how likely each name is to be heard, and q a their product by group and
name. As a and q follow from x, term by term, so does the next term of x from those before:

    x[n+1] = 2 / (n + 1) (sum of q[k] a[n-k] over k from 0 to n, minus x[n]).

Steps are as long as the last terms allow (Jorba and Zou, Experimental Mathematics 14, 99, 2005).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mesa_llm_norms.mean_field.population import MEETINGS, Population
from mesa_llm_norms.mean_field.states import Floats, shares_of

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
