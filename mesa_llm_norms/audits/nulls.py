"""Nulls: what populations would do if minds were as biased as said, and no more.

``symmetric``
    The same mind made symmetric. No name has any advantage, so every name is as likely to win as
    any other, exactly; what is played shows how often and how fast such populations settle, and
    what luck and the network alone do to winners.
``first choices``
    First choices as measured, everything after that symmetric. What individual bias, as it is
    usually measured, explains of collective bias.
``drift``
    The classical game begun with these first choices (see ``drift``). The same question without
    the mind's way to insist, copy and forget.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from mesa_llm_norms.audits.drift import play_drift
from mesa_llm_norms.audits.individual import IndividualBias
from mesa_llm_norms.audits.populations import Play, Populations, play_populations
from mesa_llm_norms.audits.preference import Preference, counted, equal
from mesa_llm_norms.audits.symmetry import FirstChoices
from mesa_llm_norms.draws import Draws
from mesa_llm_norms.minds import Policy
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.statistics import Estimate
from mesa_llm_norms.statistics.shares import holm, same_test, share_difference, total_variation

SYMMETRIC, FIRST, DRIFT = "symmetric", "first choices", "drift"


class Difference(NamedTuple):
    """How much more often one name wins than under the null, with the test of it (corrected)."""

    name: str
    wins: Estimate
    p_value: float


class Comparison(NamedTuple):
    """Populations held against a null.

    ``p_value`` is that of the test that winners are distributed alike, exact for two names and by
    simulation for more; ``variation`` the total variation between both.
    """

    null: str
    played: Populations
    differences: tuple[Difference, ...]
    p_value: float
    variation: float

    def of(self, name: str) -> Difference:
        """Return the difference of one name."""
        return next(one for one in self.differences if one.name == name)

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "null": self.null,
            "populations": self.played.as_object(),
            "p_value": self.p_value,
            "total_variation": self.variation,
            "differences": [
                {"name": one.name, **one.wins._asdict(), "p_value": one.p_value}
                for one in self.differences
            ],
        }


def play_nulls(spec: Spec, individual: IndividualBias, play: Play) -> tuple[Populations, ...]:
    """Play the populations of every null, in the order of the module's text."""
    symmetric, first = individual.symmetric, individual.first.shares
    biased = FirstChoices(first, spec.game.pool, symmetric)
    return (
        play_populations(SYMMETRIC, _apart(spec, SYMMETRIC, symmetric), play),
        play_populations(FIRST, _apart(spec, FIRST, biased), play),
        play_drift(_apart(spec, DRIFT, biased), first, play),
    )


def compare(null: str, found: Populations, played: Populations, level: float) -> Comparison:
    """Hold populations against those of a null; intervals hold as often as ``level`` says."""
    p_values = [
        same_test([(wins, found.settled - wins), (others, played.settled - others)])
        for wins, others in zip(found.wins, played.wins, strict=True)
    ]
    corrected = holm(p_values) if len(found.names) > 2 else p_values
    differences = tuple(
        Difference(
            name,
            share_difference((wins, found.settled), (others, played.settled), level),
            p_value,
        )
        for name, wins, others, p_value in zip(
            found.names, found.wins, played.wins, corrected, strict=True
        )
    )
    return Comparison(
        null,
        played,
        differences,
        same_test([found.wins, played.wins]),
        total_variation(found.shares, played.shares),
    )


def collective(found: Populations, level: float) -> Preference:
    """Return how often names won against equal shares, which is what the symmetric mind gives."""
    return counted(found.names, found.wins, equal(found.names), level)


def _apart(spec: Spec, null: str, mind: Policy) -> Spec:
    """Return the same spec for another mind, its draws independent of what it is compared with."""
    return replace(spec, mind=mind, seed=Draws(spec.seed).of(f"null: {null}"))
