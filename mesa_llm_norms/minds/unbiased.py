"""A mind without preferences or memory: the null against which others are measured."""

from __future__ import annotations

from collections.abc import Sequence

from mesa_llm_norms.memory import Memory
from mesa_llm_norms.minds.mind import Policy


class UnbiasedMind(Policy):
    """Plays every name of the pool with equal probability, always."""

    label = "unbiased"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        """Return equal probabilities."""
        return [1 / len(pool)] * len(pool)
