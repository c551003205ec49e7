"""The critical committed share: how many committed agents it takes to overturn a convention.

*Minds.* Let everybody hear the challenger with probability a, and the other names in the
proportions in which the uncommitted then play them. In response they play the challenger with
probability f(a). There is an equilibrium with just that much of the challenger to be heard if the
committed share c satisfies

    a = c + (1 - c) f(a),  or  c(a) = 1 - (1 - a) / (1 - f(a)),

and no population has to be followed through its slow passage near the critical share. The incumbent
can stay ahead up to the largest c(a) on the way to where both names are level. It may fall earlier
if commitment is sudden: when memories full of the incumbent turn all at once, they may carry the
population past an equilibrium.

*The classical game* with two words, after ``classical.game``: let p be the share committed to A, n
the share of others that hold A alone, m those that hold B alone and b those that hold both, with
n + m + b + p = 1. Counting what speakers and hearers of each kind become gives, per population
round,

    dn/dt = -n m + b**2 + n b + 3/2 p b
    dm/dt = -n m + b**2 + m b - p m.

In equilibrium, with s = sqrt(m), the second gives b = s - m, and then the first
p = 2 (1 - s) (s**2 + s - 1) / (1 + s). B is in the majority where s is large; the largest p there,
at 2 s**3 + 3 s**2 = 3, is the share that B can withstand.

References
----------
J. Xie, S. Sreenivasan, G. Korniss, W. Zhang, C. Lim and B. K. Szymanski, "Social consensus through
the influence of committed minorities", Phys. Rev. E 84, 011130 (2011).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import read_pool
from mesa_llm_norms.core.limits import read_whole
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.mean_field.equilibria import (
    Equilibrium,
    KnownEquilibria,
    Responses,
    settle,
    share_grid,
)
from mesa_llm_norms.mean_field.population import Floats, check_name, is_number, read_population
from mesa_llm_norms.minds.registry import DEFAULT_MIND

STEPS = 60

SMALLEST = 1e-9
"""A smaller critical share counts as zero."""

TOLERANCE = 1e-3
"""How exactly the share for sudden commitment is found, relative to ``lasting``."""

MAX_ITERATIONS = 2_000
SETTLED = 1e-11


@dataclass(frozen=True)
class CriticalShare:
    """The committed share above which a population turns from the incumbent to the challenger.

    Attributes
    ----------
    incumbent, challenger
        The two names.
    share
        Share of all agents, if everybody else remembers only the incumbent when commitment begins.
    lasting
        The share up to which the incumbent can last if commitment grows slowly. The two are equal
        unless a sudden start carries a population past an equilibrium.
    kind
        What happens at ``lasting``: at a ``fold`` the convention breaks down at once; at a
        ``crossover`` it fades until both names are level. ``unstable``: it does not even last with
        nobody committed, and both shares are 0. ``never``: it does not fall, and both shares are 1.
    played
        The probability that the uncommitted play the challenger at ``lasting``.
    """

    incumbent: str
    challenger: str
    share: float
    lasting: float
    kind: str
    played: float


def critical_share(
    mind: Any = DEFAULT_MIND,
    names: Any = "QM",
    memory: int = 5,
    incumbent: str = "Q",
    challenger: str = "M",
) -> CriticalShare:
    """Return the committed share above which ``challenger`` overturns ``incumbent``.

    That is for infinitely many agents on the complete graph. Chance may carry a finite population
    over the edge, so that it falls at smaller shares. With more than two names, the others are
    followed from where the incumbent is the convention.

    Parameters
    ----------
    mind, names, memory : optional
        As for ``mean_field``, with the same defaults.
    incumbent : str, default "Q"
        The convention, which all others remember.
    challenger : str, default "M"
        The name that agents are committed to.

    Returns
    -------
    CriticalShare
        ``lasting`` to within 0.000001, and ``share`` to within a thousandth of it.

    Raises
    ------
    SpecError
        As for ``mean_field``, and if there is no equilibrium to follow.
    """
    from scipy.optimize import brentq

    pool = read_pool(names)
    for argument, name in (("incumbent", incumbent), ("challenger", challenger)):
        check_name(argument, name, pool)
    if incumbent == challenger:
        raise SpecError(
            "challenger", challenger, f"{shown(challenger)} is the incumbent", "Give another name."
        )
    population = read_population(mind, names, memory, heard=(incumbent, challenger))
    curve = _Curve(Responses(population), pool.index(incumbent), pool.index(challenger))
    ahead = []
    for heard in share_grid(STEPS).tolist():
        if curve.at(heard).lead <= 0:
            break
        ahead.append(heard)
    else:
        return CriticalShare(incumbent, challenger, 1.0, 1.0, "never", curve.at(ahead[-1]).played)
    if not ahead:
        return CriticalShare(incumbent, challenger, 0.0, 0.0, "unstable", curve.at(heard).played)
    level = float(brentq(lambda a: curve.at(a).lead, ahead[-1], heard, xtol=1e-12))
    fold = curve.highest([*ahead, level])
    kind, end = max(
        ("crossover", curve.at(level)), ("fold", curve.at(fold)), key=lambda one: one[1].committed
    )
    if end.committed <= SMALLEST:
        return CriticalShare(incumbent, challenger, 0.0, 0.0, "unstable", end.played)
    share = _sudden(curve, sorted([*ahead, level, fold]), end.committed)
    return CriticalShare(incumbent, challenger, share, end.committed, kind, end.played)


def _sudden(curve: _Curve, heard: Sequence[float], lasting: float) -> float:
    """Return the share above which the incumbent falls if commitment is sudden, by bisection."""
    low, high = 0.0, (1 - TOLERANCE) * lasting
    if curve.lasts(high, heard):
        return lasting
    while high - low > TOLERANCE * lasting:
        middle = (low + high) / 2
        low, high = (middle, high) if curve.lasts(middle, heard) else (low, middle)
    return (low + high) / 2


class _Point(NamedTuple):
    """An equilibrium on the curve."""

    committed: float
    """The share committed to the challenger; below zero if no share has this equilibrium."""
    played: float
    """The probability that the uncommitted play the challenger."""
    lead: float
    """How much more likely they are to play the incumbent."""


class _Curve:
    """The equilibria by how likely the challenger is to be heard; names by index in the pool."""

    def __init__(self, responses: Responses, incumbent: int, challenger: int) -> None:
        self._responses = responses
        self._incumbent, self._challenger = incumbent, challenger
        self._others = np.eye(len(responses.population.pool))[incumbent]
        self._known: dict[float, _Point] = {}

    def at(self, heard: float) -> _Point:
        """Return the equilibrium in which the challenger is heard with this probability."""
        if heard not in self._known:
            self._known[heard] = self._find(heard)
        return self._known[heard]

    def _find(self, heard: float) -> _Point:
        is_challenger = np.arange(len(self._others)) == self._challenger
        for _ in range(MAX_ITERATIONS):
            probabilities = np.where(is_challenger, heard, (1 - heard) * self._others)
            response = self._responses.to_heard(probabilities).played
            played, held = response[[self._challenger, self._incumbent]].tolist()
            if played == 1:
                return _Point(-math.inf, played, held - played)
            others = np.where(is_challenger, 0, response)
            before, self._others = self._others, others / others.sum()
            if np.abs(self._others - before).max() < SETTLED:
                committed = 1 - (1 - float(heard)) / (1 - played)
                return _Point(committed, played, held - played)
        raise SpecError(
            "names",
            self._responses.population.pool,
            "the names that are neither incumbent nor challenger do not reach equilibrium",
            "See how the population evolves with mean_field, or leave names out.",
        )

    def highest(self, heard: Sequence[float]) -> float:
        """Return where most agents are committed, near the highest of these points."""
        from scipy.optimize import minimize_scalar

        shares = [self.at(a).committed for a in heard]
        index = int(np.argmax(shares))
        ends = heard[max(index - 1, 0)], heard[min(index + 1, len(heard) - 1)]
        found = minimize_scalar(
            lambda a: -self.at(a).committed, bounds=ends, method="bounded", options={"xatol": 1e-10}
        )
        return float(found.x)

    def lasts(self, committed: float, heard: Sequence[float]) -> bool:
        """Return whether the incumbent stays ahead if this share commits itself all at once.

        ``heard`` is where to look for equilibria, in order.
        """
        before = self._responses.population
        is_challenger = np.arange(len(before.pool)) == self._challenger
        after = replace(before, committed=np.where(is_challenger, committed, 0.0))
        known = None
        if len(before.pool) == 2:
            known = KnownEquilibria(Responses(after), list(self._equilibria(committed, heard)))
        start = after.remembering({before.pool[self._incumbent]: 1.0})
        played = settle(after, start, known)
        return bool(played[self._incumbent] > played[self._challenger])

    def _equilibria(self, committed: float, heard: Sequence[float]) -> Iterator[Equilibrium]:
        """Yield the equilibria with this share committed; they attract where the curve rises."""
        from scipy.optimize import brentq

        for low, high in pairwise(heard):
            more = [self.at(a).committed > committed for a in (low, high)]
            if more[0] != more[1]:
                a = brentq(lambda a: self.at(a).committed - committed, low, high, xtol=1e-14)
                share = self.at(float(a)).played
                played = np.full(2, 1 - share)
                played[self._challenger] = share
                yield Equilibrium(played, more[1])


@dataclass(frozen=True)
class ClassicalMeanField:
    """A trajectory of the classical game with two words and infinitely many agents.

    Attributes
    ----------
    rounds
        One row at the start and one after every population round, with the columns round, committed
        (agents, who hold A), a (other agents that hold A alone), b (B alone) and both, as shares.
    """

    rounds: pd.DataFrame


def classical_mean_field(
    committed: Any, incumbents: Any = None, rounds: int = 30
) -> ClassicalMeanField:
    """Return how the classical game evolves with a share of infinitely many agents committed to A.

    Parameters
    ----------
    committed : float
        The share of all agents committed to A, from 0 to 1.
    incumbents : float, optional
        The share that holds B alone at the start; the remaining agents hold A. Default: all who
        are not committed.
    rounds : int
        Population rounds, from 1 to 100,000. Default 30.

    Returns
    -------
    ClassicalMeanField
        The trajectory.

    Raises
    ------
    SpecError
        For shares out of range.

    References
    ----------
    J. Xie et al., Phys. Rev. E 84, 011130 (2011).
    """
    from scipy.integrate import solve_ivp

    if not is_number(committed) or not 0 <= committed <= 1:
        raise SpecError(
            "committed", committed, f"{shown(committed)} is not a share", "Use 0.0 to 1.0."
        )
    others = 1 - committed
    held: Any = others if incumbents is None else incumbents
    if not is_number(held) or not 0 <= held <= others:
        raise SpecError(
            "incumbents",
            incumbents,
            f"{shown(incumbents)} is not a share of those who are not committed",
            f"Use 0.0 to {others}.",
        )
    rounds = read_whole("rounds", rounds, limits.MEAN_FIELD_ROUNDS)
    solved = solve_ivp(
        lambda _, shares: classical_change(shares, committed),
        (0, rounds),
        [others - held, held],
        method="DOP853",
        t_eval=np.arange(rounds + 1),
        rtol=1e-9,
        atol=1e-12,
    )
    a, b = solved.y
    both = others - a - b
    return ClassicalMeanField(
        pd.DataFrame(
            {"round": np.arange(rounds + 1), "committed": committed, "a": a, "b": b, "both": both}
        )
    )


def classical_critical_share() -> float:
    """Return the committed share above which the incumbent word cannot last in the classical game.

    Returns
    -------
    float
        0.0979, a share of all agents.

    References
    ----------
    J. Xie et al., Phys. Rev. E 84, 011130 (2011).
    """
    s = float(max(root.real for root in np.roots([2, 3, 0, -3]) if abs(root.imag) < 1e-9))
    return committed_in_equilibrium(s**2)


def committed_in_equilibrium(incumbents: float) -> float:
    """Return which committed share leaves this share of agents with the incumbent word alone."""
    s = math.sqrt(incumbents)
    return 2 * (1 - s) * (s**2 + s - 1) / (1 + s)


def classical_change(shares: Floats, committed: float) -> Floats:
    """Return the change, per population round, of the shares that hold A alone and B alone."""
    n, m = shares
    p, b = committed, 1 - committed - n - m
    return np.array([-n * m + b**2 + n * b + 1.5 * p * b, -n * m + b**2 + m * b - p * m])
