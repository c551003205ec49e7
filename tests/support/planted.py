"""Minds with a known bias, and what groups of them do, worked out without simulation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from mesa_llm_norms import TableMind
from mesa_llm_norms.core.game import read_memory

QUITS, STAYS = 0.6, 0.3
"""How readily the planted mind gives up Q, and M, after a failure."""


def table(first: float, quits: float, stays: float) -> TableMind:
    """Return a mind that plays Q at first with probability ``first``, and keeps what matched.

    After a failure it gives up Q with probability ``quits``, M with probability ``stays``.
    """
    rows = {
        (): (first, 1 - first),
        read_memory(["QQ"]): (1.0, 0.0),
        read_memory(["MM"]): (0.0, 1.0),
        read_memory(["QM"]): (1 - quits, quits),
        read_memory(["MQ"]): (stays, 1 - stays),
    }
    return TableMind("planted", ("Q", "M"), rows)


def planted() -> TableMind:
    """Return a mind without a preference at first that gives up Q more readily than M."""
    return table(0.5, QUITS, STAYS)


def symmetric() -> TableMind:
    """Return a mind that knows no name from the other."""
    return table(0.5, 0.45, 0.45)


def chance_of_m(mind: TableMind, agents: int) -> float:
    """Return how probable it is that M wins among so many who all meet: exact.

    With a memory of one the state is how many agents are in each of five states of memory. The
    chance to end with everybody on M solves a linear system over them.
    """
    kinds = (*(read_memory([pair]) for pair in ("QQ", "QM", "MQ", "MM")), ())
    plays_m = [mind.distribution(kind, "QM")[1] for kind in kinds]
    states = list(_counts(agents, len(kinds)))
    place = {state: number for number, state in enumerate(states)}
    matrix, right = np.eye(len(states)), np.zeros(len(states))
    for state, number in place.items():
        if state[0] == agents or state[3] == agents:
            right[number] = float(state[3] == agents)
            continue
        for i, j in itertools.product(range(len(kinds)), repeat=2):
            pairs = state[i] * (state[j] - (i == j))
            for own, other in itertools.product((0, 1), repeat=2):
                chance = (plays_m[i] if own else 1 - plays_m[i]) * (
                    plays_m[j] if other else 1 - plays_m[j]
                )
                if not pairs or not chance:
                    continue
                after = list(state)
                after[i] -= 1
                after[j] -= 1
                after[2 * own + other] += 1
                after[2 * other + own] += 1
                weight = pairs * chance / (agents * (agents - 1))
                matrix[number, place[tuple(after)]] -= weight
    start = place[(0, 0, 0, 0, agents)]
    return float(np.linalg.solve(matrix, right)[start])


def _counts(total: int, kinds: int) -> Iterator[tuple[int, ...]]:
    if kinds == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _counts(total - first, kinds - 1):
            yield (first, *rest)
