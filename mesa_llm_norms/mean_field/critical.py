"""The critical committed share: from how many committed agents on an incumbent convention falls.

Let everybody hear the challenger with chance a, and the other names in the proportions in which the
uncommitted then play them. They respond by playing the challenger with chance f(a). So there is
rest with just that much of the challenger in the air where the committed share c is

    a = c + (1 - c) f(a),  or  c(a) = 1 - (1 - a) / (1 - f(a)),

and no population has to be followed through the slow passage near the critical share. There is rest
with the incumbent ahead up to the largest c(a) on the way to where both names are level. A
population taken by surprise may fall earlier: when commitment is sudden, memories that were full of
the incumbent turn all at once, and may carry it past a rest that is there.

The classical naming game of two words and infinitely many agents, some of them committed.

By the rules of ``classical.game``: n is the share of agents holding A alone who are not committed
to it, m that of B alone, b that of both words, p is committed to A, and n + m + b + p = 1. Counting
what a speaker and a hearer of each kind become gives, per population round,

    dn/dt = -n m + b**2 + n b + 3/2 p b
    dm/dt = -n m + b**2 + m b - p m

(Xie, Sreenivasan, Korniss, Zhang, Lim and Szymanski, Phys. Rev. E 84, 011130, 2011). At rest, with
s = sqrt(m), the second gives b = s - m, and then the first p = 2 (1 - s) (s**2 + s - 1) / (1 + s).
Whoever holds B alone is in the majority where s is large; the largest p there is the share that B
can stand, at 2 s**3 + 3 s**2 = 3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from scipy.optimize import brentq, minimize_scalar

from mesa_llm_norms.core.game import read_pool
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.mean_field.equilibria import Known, Responses, Rest, come_to_rest, grid
from mesa_llm_norms.mean_field.population import check_name, is_number, read_population
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.validation import read_whole

STEPS = 60


LEAST = 1e-9
"""A smaller critical share is none at all."""


TOLERANCE = 1e-3
"""How exactly the share that a sudden beginning takes is found, as a part of ``lasting``."""


PATIENCE = 2_000


SETTLED = 1e-11


@dataclass(frozen=True)
class CriticalShare:
    """The committed share above which a population that held the incumbent comes to the challenger.

    ``share`` is of all agents, where everybody else remembers the incumbent alone when commitment
    begins. ``lasting`` is up to where the incumbent can last if commitment grows slowly; the two
    are the same unless a sudden beginning carries a population past a rest that is there.

    ``played`` is how likely the uncommitted are to play the challenger at ``lasting``, and ``kind``
    what happens there: at a ``fold`` the convention is gone at once; at a ``crossover`` it fades
    until both names are level; it is ``unstable`` if it does not last even with nobody committed,
    both shares being 0; and ``never`` falls where they are 1.
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

    For infinitely many agents on the complete graph; ``lasting`` to within 0.000001, and ``share``
    to within a thousandth of it. A finite population may be carried over the edge by chance, and so
    fall at smaller shares. With more than two names, the others are followed from where the
    incumbent is the convention.
    """
    pool = read_pool(names)
    for argument, name in (("incumbent", incumbent), ("challenger", challenger)):
        check_name(argument, name, pool)
    if incumbent == challenger:
        raise SpecError("challenger", challenger, "it is the incumbent", "Give another name.")
    population = read_population(mind, names, memory, heard=(incumbent, challenger))
    curve = _Curve(Responses(population), pool.index(incumbent), pool.index(challenger))
    ahead = []
    for heard in grid(STEPS).tolist():
        if curve.at(heard).lead <= 0:
            break
        ahead.append(heard)
    else:
        return CriticalShare(incumbent, challenger, 1.0, 1.0, "never", curve.at(ahead[-1]).played)
    if not ahead:
        return CriticalShare(incumbent, challenger, 0.0, 0.0, "unstable", curve.at(heard).played)
    level = float(brentq(lambda a: curve.at(a).lead, ahead[-1], heard, xtol=1e-12))
    fold = _highest(curve, [*ahead, level])
    kind, rest = max(
        ("crossover", curve.at(level)), ("fold", curve.at(fold)), key=lambda one: one[1].committed
    )
    if rest.committed <= LEAST:
        return CriticalShare(incumbent, challenger, 0.0, 0.0, "unstable", rest.played)
    share = _sudden(curve, sorted([*ahead, level, fold]), rest.committed)
    return CriticalShare(incumbent, challenger, share, rest.committed, kind, rest.played)


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
    """A state of rest on the curve."""

    committed: float
    """The share that is committed to the challenger; below zero where none has this rest."""
    played: float
    """How likely the uncommitted are to play the challenger."""
    lead: float
    """How much more likely they are to play the incumbent."""


class _Curve:
    """The states of rest by how much is heard of the challenger, names by place in the pool."""

    def __init__(self, responses: Responses, incumbent: int, challenger: int) -> None:
        self._responses = responses
        self._incumbent, self._challenger = incumbent, challenger
        self._others = np.eye(len(responses.population.pool))[incumbent]
        self._known: dict[float, _Point] = {}

    def at(self, heard: float) -> _Point:
        """Return the state of rest in which the challenger is heard with this chance."""
        if heard not in self._known:
            self._known[heard] = self._find(heard)
        return self._known[heard]

    def _find(self, heard: float) -> _Point:
        names = np.arange(len(self._others))
        for _ in range(PATIENCE):
            chances = np.where(names == self._challenger, heard, (1 - heard) * self._others)
            response = self._responses.to(chances).response
            played, held = response[[self._challenger, self._incumbent]].tolist()
            if played == 1:
                return _Point(-math.inf, played, held - played)
            others = np.where(names == self._challenger, 0, response)
            before, self._others = self._others, others / others.sum()
            if np.abs(self._others - before).max() < SETTLED:
                committed = 1 - (1 - float(heard)) / (1 - played)
                return _Point(committed, played, held - played)
        raise SpecError(
            "names",
            self._responses.population.pool,
            "the names that are neither incumbent nor challenger do not come to rest",
            "Look where the population goes with mean_field, or leave names out.",
        )

    def lasts(self, committed: float, heard: Sequence[float]) -> bool:
        """Return whether the incumbent stays ahead if so many commit themselves all at once.

        ``heard`` is where to look for states of rest, in order.
        """
        before = self._responses.population
        names = np.arange(len(before.pool))
        taken = replace(before, committed=np.where(names == self._challenger, committed, 0.0))
        known = None
        if len(names) == 2:
            known = Known(Responses(taken), list(self._rests(committed, heard)))
        full = taken.remembering({before.pool[self._incumbent]: 1.0})
        own = come_to_rest(taken, full, known)
        return bool(own[self._incumbent] > own[self._challenger])

    def _rests(self, committed: float, heard: Sequence[float]) -> Iterator[Rest]:
        """Yield the states of rest with so many committed; they attract where the curve rises."""
        for low, high in pairwise(heard):
            more = [self.at(a).committed > committed for a in (low, high)]
            if more[0] != more[1]:
                a = brentq(lambda a: self.at(a).committed - committed, low, high, xtol=1e-14)
                played = self.at(float(a)).played
                own = np.full(2, 1 - played)
                own[self._challenger] = played
                yield Rest(own, more[1])


def _highest(curve: _Curve, heard: Sequence[float]) -> float:
    """Return near which of these, and between its neighbours, most agents are committed."""
    shares = [curve.at(a).committed for a in heard]
    place = int(np.argmax(shares))
    ends = heard[max(place - 1, 0)], heard[min(place + 1, len(heard) - 1)]
    found = minimize_scalar(
        lambda a: -curve.at(a).committed, bounds=ends, method="bounded", options={"xatol": 1e-10}
    )
    return float(found.x)


MOST_ROUNDS = 100_000


@dataclass(frozen=True)
class ClassicalMeanField:
    """A trajectory of the classical game with two words.

    ``rounds`` has a row at the start and one after every population round, with round, committed
    (agents, who hold A), a (other agents holding A alone), b (B alone) and both, as shares.
    """

    rounds: pd.DataFrame


def classical_mean_field(
    committed: Any, incumbents: Any = None, rounds: int = 30
) -> ClassicalMeanField:
    """Return how the classical game moves with a share of agents committed to A.

    ``incumbents`` is the share that holds B alone at the start, all the others if not given; those
    left over hold A.
    """
    if not is_number(committed) or not 0 <= committed <= 1:
        raise SpecError("committed", committed, f"{committed!r} is no share", "Use 0.0 to 1.0.")
    others = 1 - committed
    held: Any = others if incumbents is None else incumbents
    if not is_number(held) or not 0 <= held <= others:
        raise SpecError(
            "incumbents",
            incumbents,
            f"{incumbents!r} is no share of those who are not committed",
            f"Use 0.0 to {others}.",
        )
    rounds = read_whole("rounds", rounds, 1, MOST_ROUNDS)
    solved = solve_ivp(
        lambda _, shares: change(shares, committed),
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
    """Return the committed share above which the incumbent word cannot last: 0.0979."""
    s = float(max(root.real for root in np.roots([2, 3, 0, -3]) if abs(root.imag) < 1e-9))
    return committed_at_rest(s**2)


def committed_at_rest(incumbents: float) -> float:
    """Return which committed share leaves so many agents holding the incumbent word alone."""
    s = math.sqrt(incumbents)
    return 2 * (1 - s) * (s**2 + s - 1) / (1 + s)


def change(shares: NDArray[np.float64], committed: float) -> NDArray[np.float64]:
    """Return how the shares of those who hold A alone and B alone change, per population round."""
    n, m = shares
    p, b = committed, 1 - committed - n - m
    return np.array([-n * m + b**2 + n * b + 1.5 * p * b, -n * m + b**2 + m * b - p * m])
