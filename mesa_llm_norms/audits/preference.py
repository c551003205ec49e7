"""Names against what is expected of them: shares, effect sizes with intervals, corrected tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mesa_llm_norms.statistics import Estimate
from mesa_llm_norms.statistics.shares import (
    chi_square_test,
    cohens_h,
    exact_interval,
    exact_test,
    holm,
    total_variation,
    variation_from,
)


class NameShare(NamedTuple):
    """How often one name, and how often it would be as ``expected``.

    ``effect`` is Cohen's h. ``p_value`` is that of the exact binomial test, corrected for the
    number of names (Holm); None where the share is known and nothing is to be tested.
    """

    name: str
    chosen: int | None
    share: Estimate
    expected: float
    effect: Estimate
    p_value: float | None


@dataclass(frozen=True)
class Preference:
    """How often every name of a pool, against expected shares.

    ``trials`` is None where the shares are known, without sampling error: intervals then are points
    and there are no p-values. ``p_value`` is that of the exact test of all names together,
    ``chi_square`` that of Pearson's test, nan where it is not to be trusted. ``variation`` is the
    total variation: what part of the choices would have to change.
    """

    names: tuple[NameShare, ...]
    trials: int | None
    variation: Estimate
    p_value: float | None
    chi_square: float | None

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of every name, in the order of the pool."""
        return tuple(one.share.value for one in self.names)

    @property
    def counts(self) -> tuple[int, ...]:
        """How often every name was counted, in the order of the pool; 0 where nothing was."""
        return tuple(one.chosen or 0 for one in self.names)

    @property
    def favourite(self) -> NameShare:
        """The name that is most frequent; of several, the one furthest above what is expected."""
        return max(self.names, key=lambda one: (one.share.value, one.effect.value))

    def of(self, name: str) -> NameShare:
        """Return the numbers of one name."""
        return next(one for one in self.names if one.name == name)

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "trials": self.trials,
            "p_value": self.p_value,
            "chi_square_p_value": finite(self.chi_square),
            "total_variation": estimate_object(self.variation),
            "names": [
                {
                    "name": one.name,
                    "count": one.chosen,
                    "share": estimate_object(one.share),
                    "expected": one.expected,
                    "cohens_h": estimate_object(one.effect),
                    "p_value": one.p_value,
                }
                for one in self.names
            ],
        }


def counted(
    pool: Sequence[str], counts: Sequence[int], expected: Sequence[float], level: float
) -> Preference:
    """Return the preference in counts; ``level`` is how often intervals hold, each by itself."""
    trials = sum(counts)
    p_values = [
        exact_test([count, trials - count], [due, 1 - due])
        for count, due in zip(counts, expected, strict=True)
    ]
    # Two names are one question: what one has, the other has not.
    corrected = holm(p_values) if len(pool) > 2 else p_values
    names = []
    for name, count, due, p_value in zip(pool, counts, expected, corrected, strict=True):
        share = count / trials if trials else math.nan
        low, high = exact_interval(count, trials, level)
        effect = Estimate(
            cohens_h(share, due) if trials else math.nan, cohens_h(low, due), cohens_h(high, due)
        )
        names.append(NameShare(name, count, Estimate(share, low, high), due, effect, p_value))
    return Preference(
        tuple(names),
        trials,
        variation_from(counts, expected, level),
        exact_test(counts, expected),
        chi_square_test(counts, expected),
    )


def known(pool: Sequence[str], shares: Sequence[float], expected: Sequence[float]) -> Preference:
    """Return the preference in shares that are known, without sampling error."""
    names = tuple(
        NameShare(name, None, _exactly(share), due, _exactly(cohens_h(share, due)), None)
        for name, share, due in zip(pool, shares, expected, strict=True)
    )
    return Preference(names, None, _exactly(total_variation(shares, expected)), None, None)


def equal(pool: Sequence[str]) -> tuple[float, ...]:
    """Return equal shares for the names of a pool."""
    return (1 / len(pool),) * len(pool)


def finite(number: float | None) -> float | None:
    """Return a number as JSON can hold it: None in the place of what is none."""
    return number if number is not None and math.isfinite(number) else None


def estimate_object(estimate: Estimate) -> dict[str, float | None]:
    """Return an estimate as JSON can hold it."""
    return {field: finite(number) for field, number in estimate._asdict().items()}


def _exactly(number: float) -> Estimate:
    return Estimate(number, number, number)
