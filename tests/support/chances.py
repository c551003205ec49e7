"""Statistical checks with a stated rate of false alarms, and minds that are written, not fitted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from mesa_llm_norms import Decision, Mind, NamingAgent, NamingGame, Policy, TableMind
from mesa_llm_norms.core.game import Memory, read_memory
from mesa_llm_norms.minds import Situation
from mesa_llm_norms.simulation import Interaction

FALSE_ALARM = 1e-6
"""How rarely a right program would fail one such check, were its seed not fixed."""


def assert_frequencies(counts: Sequence[float], shares: Sequence[float]) -> None:
    """Fail if the counts are not what ``shares``, in any unit, would give (chi-square)."""
    observed, expected = np.asarray(counts, dtype=float), np.asarray(shares, dtype=float)
    assert not observed[expected == 0].any(), "something impossible happened"
    observed, expected = observed[expected > 0], expected[expected > 0]
    expected = expected / expected.sum() * observed.sum()
    assert expected.min() >= 5, "too few for a chi-square test"
    chance = stats.chisquare(observed, expected).pvalue
    assert chance > FALSE_ALARM, f"p={chance:.1e}: {observed} where {expected} was expected"


def assert_same_distribution(one: Iterable[Any], other: Iterable[Any]) -> None:
    """Fail if two samples of labels differ in more than chance would have them (chi-square)."""
    one, other = list(one), list(other)
    labels = sorted(set(one) | set(other), key=repr)
    table = np.array([[sample.count(label) for label in labels] for sample in (one, other)])
    chance = stats.chi2_contingency(table).pvalue
    assert chance > FALSE_ALARM, f"p={chance:.1e}: {labels} {table}"


def assert_independent(one: Any, other: Any, bins: int = 16) -> None:
    """Fail if two columns of 32-bit draws go together (chi-square on a square table)."""
    width = 2**32 // bins
    table, _, _ = np.histogram2d(
        np.asarray(one, dtype=float) // width,
        np.asarray(other, dtype=float) // width,
        bins=bins,
        range=[[-0.5, bins - 0.5]] * 2,
    )
    assert_frequencies(table.ravel().tolist(), [1.0] * bins**2)


def copying(pool: Sequence[str], faithful: float = 0.9) -> TableMind:
    """Return a mind that mostly plays what its last partner played: populations converge."""
    size = len(pool)
    rest = (1 - faithful) / (size - 1)
    table: dict[Memory, Sequence[float]] = {(): [1 / size] * size}
    for own in pool:
        for partner in pool:
            row = [faithful if name == partner else rest for name in pool]
            table[read_memory([(own, partner)])] = row
    for name in pool:
        sure = [float(name == other) for other in pool]
        table[read_memory([(name, name)] * 3)] = sure
    return TableMind("copying", tuple(pool), table)


class Waiting(Mind):
    """Asks another mind, after letting go of the event loop: a policy made to be awaited."""

    def __init__(self, inner: Mind) -> None:
        self.inner = inner
        self.label = f"waiting for {inner.label}"

    async def decide(self, situation: Situation) -> Decision:
        await asyncio.sleep(0)
        return await self.inner.decide(situation)


class Watching(Waiting):
    """Keeps every situation it was in."""

    def __init__(self, inner: Mind) -> None:
        super().__init__(inner)
        self.seen: list[Situation] = []

    async def decide(self, situation: Situation) -> Decision:
        self.seen.append(situation)
        return await super().decide(situation)


class LoggedGame(NamingGame):
    """A game that keeps every row."""

    look_ahead = True
    log: list[Interaction]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.log = []

    @property
    def players(self) -> list[NamingAgent]:
        return [agent for agent in self.agents if isinstance(agent, NamingAgent)]

    def step(self) -> None:
        try:
            super().step()
        finally:
            self.log += self.rows


class FixedPolicy(Policy):
    """A policy with the same distribution always."""

    def __init__(self, *probabilities: float, label: str = "fixed") -> None:
        self.probabilities = list(probabilities)
        self.label = label

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        return self.probabilities


def without_rounds(rows: Iterable[Interaction]) -> list[Interaction]:
    """Return rows with nothing said about the round they fell in."""
    return [row._replace(round=0) for row in rows]
