"""Critical mass: how many committed agents it takes to overturn a convention in most runs."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.reproduction.protocol import Played
from mesa_llm_norms.reproduction.recorded import Names
from mesa_llm_norms.statistics import Estimate

RESAMPLES = 2_000


class Flips(NamedTuple):
    """How many of ``runs`` flipped at each count of committed agents."""

    mind: str
    names: Names
    agents: int
    counts: tuple[int, ...]
    flipped: tuple[int, ...]
    runs: tuple[int, ...]

    @property
    def direction(self) -> str:
        """From which name to which."""
        return f"{self.names[0]} to {self.names[-1]}"


def flips(played: Iterable[Played]) -> list[Flips]:
    """Return the runs with committed agents, by mind, names and size."""
    groups: dict[tuple[str, Names, int], list[Played]] = {}
    for one in played:
        if one.experiment.part == "critical mass":
            key = (one.mind, one.experiment.names, one.experiment.agents)
            groups.setdefault(key, []).append(one)
    found = []
    for (mind, names, agents), group in groups.items():
        group.sort(key=lambda one: one.experiment.committed)
        found.append(
            Flips(
                mind,
                names,
                agents,
                tuple(one.experiment.committed for one in group),
                tuple(int(one.runs["flipped"].sum()) for one in group),
                tuple(len(one.runs) for one in group),
            )
        )
    return found


def resampled_mass(found: Flips) -> NDArray[np.float64]:
    """Return bootstrap estimates of the critical mass, in agents."""
    chance = np.random.default_rng(0)
    shares = np.array(found.flipped) / found.runs
    drawn = chance.binomial(found.runs, shares, (RESAMPLES, len(shares))) / found.runs
    return _first(drawn >= 0.5, found.counts)


def critical_mass(found: Flips) -> Estimate:
    """Return the smallest count tried at which half the runs flip; infinite where none does."""
    drawn = resampled_mass(found)
    value = _first((np.array(found.flipped) / found.runs >= 0.5)[None], found.counts)[0]
    ordered = np.sort(drawn)
    last = len(ordered) - 1
    return Estimate(
        float(value), float(ordered[int(0.025 * last)]), float(ordered[math.ceil(0.975 * last)])
    )


def _first(reached: NDArray[np.bool_], counts: tuple[int, ...]) -> NDArray[np.float64]:
    """Return for every row the first count that is reached."""
    place = reached.argmax(axis=1)
    return np.where(reached.any(axis=1), np.array(counts, float)[place], np.inf)
