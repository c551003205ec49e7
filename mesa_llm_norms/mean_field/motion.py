"""How a spread moves, in continuous time and in matching rounds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.integrate import solve_ivp

from mesa_llm_norms.mean_field.population import Population
from mesa_llm_norms.mean_field.states import Floats

RELATIVE, ABSOLUTE = 1e-7, 1e-10
"""How exactly steps are taken, per step and share; shares of names are then good to about 1e-7."""

NODES, WEIGHTS = np.polynomial.legendre.leggauss(6)
KEPT = 1 << 22
"""How many shares are kept at a time, at most, if they are of more than a round."""


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
    size, names = len(spread), len(population.pool)
    times, weights = (NODES + 1) / 2, WEIGHTS / 2
    at_once = max(1, KEPT // (size * len(times)))
    played = []
    for first in range(0, rounds, at_once):
        count = min(at_once, rounds - first)
        moments = np.append((np.arange(count)[:, None] + times).ravel(), count)
        solved = solve_ivp(
            lambda _, now: population.change(now, population.played(now)),
            (0, count),
            spread,
            method="DOP853",
            t_eval=moments,
            rtol=RELATIVE,
            atol=ABSOLUTE,
        )
        spreads = np.clip(solved.y, 0, None).T
        played.append(population.played(spreads[:-1]))
        spread = spreads[-1]
    by_moment = np.concatenate(played).reshape(rounds, len(times), names)
    shares = np.einsum("t,rtn->rn", weights, by_moment)
    return Course(shares, np.einsum("t,rtn,rtn->r", weights, by_moment, by_moment), spread)


def play_matching(population: Population, spread: Floats, rounds: int) -> Course:
    """Move on by rounds in which everybody meets exactly one partner."""
    shares = []
    for _ in range(rounds):
        shares.append(population.played(spread))
        spread = population.states.meet(spread, shares[-1])
    played = np.array(shares)
    return Course(played, (played**2).sum(axis=1), spread)
