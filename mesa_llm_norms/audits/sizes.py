"""Collective bias by the size of the population: it can grow, shrink, appear or turn round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mesa_llm_norms.audits.individual import IndividualBias
from mesa_llm_norms.audits.populations import Play, Populations, play_populations
from mesa_llm_norms.audits.preference import NameShare, Preference, counted, equal
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.statistics.shares import exact_test, holm
from mesa_llm_norms.sweeps.sizes import fill, is_open

SIZES = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000)
COMPLETE = "complete(n={size})"
LARGEST = 100_000

EFFECTS = {
    "none": "no name is shown to win more often than others",
    "created": "one does, and individuals are not biased",
    "amplified": "individuals' favourite wins more often than individuals choose it",
    "damped": "it wins less often than that, and still more often than others",
    "kept": "it wins, and neither of these is shown",
    "reversed": "another name wins most, and individuals' favourite less than they choose it",
    "shifted": "another name wins most; that the favourite wins less is not shown",
}
"""What a group of some size makes of an individual bias."""


class SizePoint(NamedTuple):
    """Populations of one size, and what that size makes of the ``strong`` name.

    ``preference`` holds the winners against equal shares, and ``effect`` is one of ``EFFECTS``.
    Tests are exact, corrected for the number of sizes (Holm).
    """

    played: Populations
    preference: Preference
    effect: str


@dataclass(frozen=True)
class SizeCurve:
    """Collective bias by size; ``strong`` is the name followed, the one groups favour most."""

    topology: str
    strong: str
    individual: float
    points: tuple[SizePoint, ...]

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "topology": self.topology,
            "strong": self.strong,
            "individual_share": self.individual,
            "points": [
                {
                    **point.played.as_object(),
                    "strong_share": point.preference.of(self.strong).share.value,
                    "strong_low": point.preference.of(self.strong).share.low,
                    "strong_high": point.preference.of(self.strong).share.high,
                    "effect": point.effect,
                    "winners": point.preference.as_object(),
                }
                for point in self.points
            ],
        }


def read_sizes(sizes: Any) -> tuple[int, ...]:
    """Return sizes in order, each once; raise ``SpecError`` for what is none."""
    if isinstance(sizes, (str, bytes)) or not hasattr(sizes, "__iter__"):
        raise SpecError("sizes", sizes, f"{sizes!r} is no list of sizes", "Give [2, 10, 100].")
    return tuple(sorted({read_whole("sizes", size, 2, LARGEST) for size in sizes}))


def open_topology(graph: Any) -> str:
    """Return the topology of every size: that given, with ``{size}`` in it, or complete graphs."""
    return graph if is_open(graph) else COMPLETE


def play_sizes(
    spec: Spec,
    topology: str,
    sizes: Sequence[int],
    individual: IndividualBias,
    biased: bool,
    play: Play,
    level: float,
) -> SizeCurve:
    """Play populations of every size, and tell what each makes of individual bias.

    ``biased`` says whether individuals are; ``level`` is the rate of false alarms of all effects of
    one kind together, and intervals hold as often as 1 less it.
    """
    pool = spec.game.pool
    found = [
        play_populations(f"size {size}", replace(spec, graph=fill(topology, size)), play)
        for size in sizes
    ]
    preferences = [counted(pool, one.wins, equal(pool), 1 - level) for one in found]
    total = [sum(one.wins[place] for one in found) for place in range(len(pool))]
    strong = pool[total.index(max(total))]
    first = individual.first
    effects = _effects(preferences, first, biased, level)
    points = tuple(map(SizePoint, found, preferences, effects))
    return SizeCurve(topology, strong, first.of(strong).share.value, points)


def _effects(
    preferences: Sequence[Preference], first: Preference, biased: bool, level: float
) -> list[str]:
    any_bias = holm([one.p_value if one.p_value is not None else 1.0 for one in preferences])
    chosen = first.favourite
    against = holm([_differs(one.of(chosen.name), one.trials, chosen) for one in preferences])
    effects = []
    for preference, p_value, other in zip(preferences, any_bias, against, strict=True):
        favourite = preference.favourite
        more = preference.of(chosen.name).share.value > chosen.share.value
        if p_value >= level:
            effects.append("none")
        elif not biased:
            effects.append("created")
        elif favourite.name != chosen.name:
            effects.append("reversed" if other < level and not more else "shifted")
        elif other >= level:
            effects.append("kept")
        else:
            effects.append("amplified" if more else "damped")
    return effects


def _differs(winner: NameShare, trials: int | None, chosen: NameShare) -> float:
    """Return the p-value of a name winning as often as individuals choose it."""
    wins, share = winner.chosen or 0, chosen.share.value
    return exact_test([wins, (trials or 0) - wins], [share, 1 - share])
