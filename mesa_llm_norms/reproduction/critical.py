"""Critical mass: how many committed agents it takes to overturn a convention in most runs.

Measured, and held against what is published.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.reproduction import rows as test
from mesa_llm_norms.reproduction.protocol import CLASSICAL, FLIP_ROUNDS, Played
from mesa_llm_norms.reproduction.published import (
    CLASSICAL_EXACT,
    CLASSICAL_FLIPS,
    LARGEST_MASS,
    SMALLEST_MASS,
    Published,
)
from mesa_llm_norms.reproduction.recorded import Names
from mesa_llm_norms.reproduction.rows import Row
from mesa_llm_norms.reproduction.words import number, p_text
from mesa_llm_norms.statistics import Estimate

CRITICAL = "Critical mass"
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


def summary_of_masses(played: Iterable[Played]) -> pd.DataFrame:
    """Return the critical mass of every mind and direction, in agents: tried, here, low, high.

    These are missing where the largest count tried is not enough. Where only one was tried,
    ``here`` says no more than whether it was.
    """
    found = []
    for one in flips(played):
        mass = critical_mass(one)
        found.append(
            {
                "mind": one.mind,
                "direction": one.direction,
                "agents": one.agents,
                "tried": one.counts,
                "here": mass.value if np.isfinite(mass.value) else None,
                "low": mass.low if np.isfinite(mass.low) else None,
                "high": mass.high if np.isfinite(mass.high) else None,
                "runs": sum(one.runs),
            }
        )
    table = pd.DataFrame(found)
    if table.empty:
        return table
    return table.sort_values(["agents", "mind", "direction"], ignore_index=True)


def masses(found: Sequence[Flips], minds: Collection[str]) -> Iterator[Row]:
    """Yield a row for everything published: of the classical game, and of the minds that played."""
    for one in found:
        if one.mind == CLASSICAL:
            yield from _classical(one)
    known = [one for one in found if one.mind in minds and one.counts[0] == 1]
    graded = [one for one in known if len(one.counts) > 1]
    if len({one.mind for one in graded}) > 1:  # what is published is the range over models
        yield _extreme(known, "smallest", SMALLEST_MASS)
        yield _extreme(graded, "largest", LARGEST_MASS)


def _classical(one: Flips) -> Iterator[Row]:
    for count, flipped, runs in zip(one.counts, one.flipped, one.runs, strict=True):
        published = CLASSICAL_FLIPS.get(count)
        if published is not None:
            exact = CLASSICAL_EXACT[count]
            p_value = test.meets(flipped, runs, exact)
            yield Row(
                CRITICAL,
                CLASSICAL,
                f"{count} of {one.agents} committed: runs that flip in {FLIP_ROUNDS} rounds "
                f"(exactly {number(exact)}, by the Markov chain)",
                test.share(flipped, runs),
                runs,
                test.NEAREST_SHARE,
                test.reaches(flipped, runs, published),
                published=published,
                note=f"Here against the exact {number(exact)}: p {p_text(p_value)}, "
                f"{test.ONE_SHARE}",
            )


def _extreme(found: Iterable[Flips], which: str, published: Published) -> Row:
    """Hold the smallest or largest critical share over models and directions against a number."""
    known = [(critical_mass(one).value / one.agents, one) for one in found]
    value, one = (min if which == "smallest" else max)(known, key=lambda pair: pair[0])
    drawn = resampled_mass(one) / one.agents
    low, high = np.sort(drawn)[[int(0.025 * len(drawn)), int(0.975 * len(drawn))]].tolist()
    rounded, target = np.round(drawn, 2), published.value
    tails = [float(np.mean(side)) for side in (rounded <= target + 1e-9, rounded >= target - 1e-9)]
    return Row(
        CRITICAL,
        "all",
        f"{which} critical share ({one.mind}, {one.direction}, {one.agents} agents)",
        Estimate(value, low, high),
        sum(one.runs),
        test.REACHED,
        max(min(1.0, 2 * min(tails)), 1 / len(drawn)),
        published=published,
    )
