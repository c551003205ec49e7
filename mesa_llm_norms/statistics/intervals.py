"""Intervals: how far off an estimate may be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole

Floats = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2_000
MOST_RESAMPLES = 1_000_000
_ROOM = 4_000_000
"""How many numbers a block of resamples may take up at once."""


class Estimate(NamedTuple):
    """A number, and the interval it may as well lie in; all in the same unit."""

    value: float
    low: float
    high: float


def read_level(level: Any) -> float:
    """Return in what share of cases an interval should hold; ``SpecError`` unless in (0, 1)."""
    number = isinstance(level, (int, float, np.floating)) and not isinstance(level, bool)
    if not number or not 0 < level < 1:
        raise SpecError(
            "level", level, f"{level!r} is no level", "Use 0.95, or another between 0 and 1."
        )
    return float(level)


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, level: float = LEVEL
) -> tuple[Floats, Floats]:
    """Return the bounds of shares ``successes / trials``, nan where nothing was tried.

    The trials are taken as independent. Wilson (J. Am. Stat. Assoc. 22, 209, 1927), without
    correction for continuity. Raises ``SpecError`` unless 0 <= successes <= trials.
    """
    k, n = np.asarray(successes, dtype=float), np.asarray(trials, dtype=float)
    if not ((k >= 0) & (k <= n) & np.isfinite(n)).all():
        raise SpecError(
            "successes", successes, "more successes than trials, or fewer than none", "Give counts."
        )
    z = float(special.ndtri((1 + read_level(level)) / 2))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = k / n
        middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
        low = np.where(k == 0, np.where(n > 0, 0.0, np.nan), middle - half)
        high = np.where(k == n, np.where(n > 0, 1.0, np.nan), middle + half)
    return low, high


def percentile_interval(samples: Floats, level: float) -> tuple[float, float]:
    """Return the percentiles of resampled estimates; infinite ones count as what they are.

    A resample in which the estimate does not exist (nan) could have been anything: it counts as low
    for the lower bound and as high for the upper. Efron (Ann. Stat. 7, 1, 1979).
    """
    tail = (1 - level) / 2
    low = np.quantile(np.where(np.isnan(samples), -np.inf, samples), tail, method="inverted_cdf")
    high = np.quantile(
        np.where(np.isnan(samples), np.inf, samples), 1 - tail, method="inverted_cdf"
    )
    return float(low), float(high)


def damped_interval(
    samples: Floats, value: float, level: float, step: float
) -> tuple[float, float]:
    """Return bounds of ``value`` from estimates on data moved ``step`` of the way to a resample.

    How far those estimates are off is divided by ``step``. For correlations of rates that are noisy
    themselves: whole resamples add as much noise again, which pulls every correlation to 0. The
    numerical bootstrap of Hong and Li (Ann. Stat. 48, 397, 2020).
    """
    low, high = percentile_interval((samples - value) / step, level)
    return value + low, value + high


class Resampling:
    """Resamples of ``size`` things with replacement, drawn block by block from one seed."""

    def __init__(self, size: int, resamples: Any, rng: Any) -> None:
        self.size = size
        self.resamples = read_whole("resamples", resamples, 1, MOST_RESAMPLES)
        self._seed = read_seed(rng)

    def draws(self, width: int = 0) -> Iterator[NDArray[np.int64]]:
        """Yield blocks of rows, each the indices of one resample.

        ``width`` is how many numbers the caller needs per resample, where that is more than size.
        """
        chance = np.random.default_rng(self._seed)
        block = max(1, _ROOM // max(self.size, width, 1))
        for first in range(0, self.resamples, block):
            rows = min(block, self.resamples - first)
            yield chance.integers(0, self.size, size=(rows, self.size))

    def counts(self, width: int = 0) -> Iterator[Floats]:
        """Yield blocks of rows, each how often one resample has every one of the things."""
        for drawn in self.draws(width):
            yield tally(drawn, self.size)


def tally(drawn: NDArray[np.int64], kinds: int) -> Floats:
    """Return, for every row, how often each of the numbers below ``kinds`` is in it."""
    rows = len(drawn)
    flat = drawn + kinds * np.arange(rows)[:, None]
    counted = np.bincount(flat.ravel(), minlength=rows * kinds)
    return counted.reshape(rows, kinds).astype(np.float64)
