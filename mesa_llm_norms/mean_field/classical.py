"""The classical naming game of two words and infinitely many agents, some of them committed.

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
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.mean_field.population import is_number

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
