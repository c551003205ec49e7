"""Numbers that are not known yet: between what and what, and about how much."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

QUANTILES = (0.1, 0.5, 0.9)
RESAMPLES = 999
_SEED = 20251


class Range(NamedTuple):
    """What may be expected, the middle, and how far off it may be on either side.

    Where chance alone decides, one case in ten is below ``low`` and one in ten above ``high``.
    """

    low: float
    expected: float
    high: float

    def plus(self, other: Range) -> Range:
        """Return the sum of both, taken to be low together and high together."""
        return Range(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, other: Range | float) -> Range:
        """Return the product of both, taken likewise."""
        factor = other if isinstance(other, Range) else exactly(other)
        return Range(*(a * b for a, b in zip(self, factor, strict=True)))

    def at_most(self, most: Range | float) -> Range:
        """Return the range with none of its numbers above that of ``most``."""
        limit = most if isinstance(most, Range) else exactly(most)
        return Range(*map(min, self, limit))

    def at_least(self, least: Range) -> Range:
        """Return the range with none of its numbers below that of ``least``."""
        return Range(*map(max, self, least))


def exactly(number: float) -> Range:
    """Return the range of a number that is known."""
    return Range(number, number, number)


NOTHING = exactly(0.0)


def sum_up(ranges: Iterable[Range]) -> Range:
    """Return the sum of ranges, taken to be low together and high together."""
    total = NOTHING
    for each in ranges:
        total = total.plus(each)
    return total


def next_of(values: Any) -> Range:
    """Return where one more value lies, given independent ones that are like it.

    By Weibull's plotting positions (1939): of n values, the next is below the k-th with probability
    k / (n + 1), whatever they are distributed like.
    """
    return Range(*np.quantile(values, QUANTILES, method="weibull").tolist())


def sum_of(values: Values, number: int) -> Range:
    """Return where the sum of so many more values lies, given independent ones that are like them.

    What they are distributed like is itself uncertain: each resample weighs the values anew, by the
    Bayesian bootstrap (Rubin, Ann. Stat. 9, 130, 1981), before it draws from them.
    """
    if number == 1:
        return next_of(values)
    chance = generator()
    weights = chance.dirichlet(np.ones(len(values)), RESAMPLES)
    return next_of(chance.multinomial(number, weights) @ values)


def generator() -> np.random.Generator:
    """Return a generator for resampling, always the same: a forecast is no matter of luck."""
    return np.random.default_rng(_SEED)
