"""Where a population may rest, and whether it stays there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mesa_llm_norms.mean_field.population import read_population
from mesa_llm_norms.mean_field.response import Responses
from mesa_llm_norms.mean_field.search import find_rests
from mesa_llm_norms.mean_field.stability import growth_rate
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND


@dataclass(frozen=True)
class FixedPoint:
    """A state in which a population may rest.

    ``shares`` is of the names played by all agents, committed ones included. ``growth_rate`` is how
    fast the slowest small disturbance grows, per population round; negative means that it dies.
    """

    shares: Mapping[str, float]
    growth_rate: float

    @property
    def success_rate(self) -> float:
        """The share of interactions in which the names match."""
        return sum(share**2 for share in self.shares.values())

    @property
    def stable(self) -> bool:
        """Whether every small disturbance dies."""
        return self.growth_rate < 0


def fixed_points(
    mind: Any = DEFAULT_MIND,
    names: Any = "QM",
    memory: int = 5,
    committed: Mapping[str, float] | None = None,
) -> tuple[FixedPoint, ...]:
    """Return the states of rest of infinitely many agents, by the share of the first name, falling.

    With two names they are all there are, but for two that are closer together than a fortieth and
    a saddle; with more, those reached from every name remembered by all or by half, from all names
    alike and from nothing, by moving on and by Newton's method, so that unstable ones may be
    missing. Raises ``SpecError`` where there is no end of them.
    """
    population = read_population(mind, names, memory, committed)
    points = [
        FixedPoint(
            dict(zip(population.pool, population.heard(own).tolist(), strict=True)),
            growth_rate(population, spread),
        )
        for own, spread in find_rests(Responses(population))
    ]
    return tuple(sorted(points, key=lambda point: -point.shares[population.pool[0]]))
