"""Confidence intervals of estimates, and tests of how often each name was chosen or won.

Tests are exact where that can be worked out, and by simulation elsewhere. A simulated p-value
counts the data in (Davison and Hinkley, Bootstrap Methods, 1997, 4.2.1), so that it is never below
what the test promises. An interval holds in a share ``level`` of cases, 0.95 unless given.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_seed, read_whole
from mesa_llm_norms.errors import SpecError, shown

Floats: TypeAlias = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 2_000

DRAWS = 9_999
"""How many data sets are simulated for a p-value that cannot be worked out."""

ENUMERATED = 20_000
"""Up to how many possible outcomes probabilities are added up one by one."""

_ROOM = 4_000_000
"""How many numbers a block of resamples may hold."""

_SLACK = 1e-9


class Estimate(NamedTuple):
    """A number with its interval, all in the same unit.

    Attributes
    ----------
    value : float
        The estimate.
    low, high : float
        The bounds of its interval.
    """

    value: float
    low: float
    high: float


def read_level(level: Any) -> float:
    """Return the level of an interval as a float; ``SpecError`` unless it is between 0 and 1."""
    number = isinstance(level, (int, float, np.floating)) and not isinstance(level, bool)
    if not number or not 0 < level < 1:
        raise SpecError(
            "level",
            level,
            f"{shown(level)} is not a level",
            "Use 0.95, or another between 0 and 1.",
        )
    return float(level)


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, level: float = LEVEL
) -> tuple[Floats, Floats]:
    """Return Wilson's interval of the shares ``successes / trials``, for independent trials.

    Parameters
    ----------
    successes, trials : int or array of int
        Counts; each success is a trial.
    level : float, default 0.95
        In what share of cases the interval should hold.

    Returns
    -------
    low, high : numpy.ndarray of float
        The bounds, without correction for continuity; nan where nothing was tried.

    Raises
    ------
    SpecError
        Unless 0 <= successes <= trials and 0 < level < 1.

    References
    ----------
    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", J. Am.
    Stat. Assoc. 22, 209 (1927).
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


def exact_interval(successes: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a share, which holds at least as often as ``level`` says.

    Without trials it is 0 to 1. Clopper and Pearson (Biometrika 26, 404, 1934).
    """
    tail = (1 - read_level(level)) / 2
    if not trials:
        return 0.0, 1.0
    low = special.betaincinv(successes, trials - successes + 1, tail) if successes else 0.0
    high = (
        special.betaincinv(successes + 1, trials - successes, 1 - tail)
        if successes < trials
        else 1.0
    )
    return float(low), float(high)


def share_difference(
    one: tuple[int, int], other: tuple[int, int], level: float = LEVEL
) -> Estimate:
    """Return how much higher the share in ``one`` is than in ``other``, each (successes, trials).

    Newcombe's hybrid score interval (Stat. Med. 17, 873, 1998, method 10); nan without trials.
    """
    (a, m), (b, n) = one, other
    if not m or not n:
        return Estimate(math.nan, -1.0, 1.0)
    (p, q), (low, high) = (a / m, b / n), wilson_interval([a, b], [m, n], level)
    below = math.hypot(p - low[0], high[1] - q)
    above = math.hypot(high[0] - p, q - low[1])
    return Estimate(p - q, p - q - below, p - q + above)


def percentile_interval(samples: Floats, level: float) -> tuple[float, float]:
    """Return the percentile interval of resampled estimates; infinite ones count as they are.

    A resample in which the estimate does not exist (nan) could have been anything, so it counts as
    low for the lower bound and as high for the upper one. Efron (Ann. Stat. 7, 1, 1979).
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
    """Return an interval of ``value`` from estimates on data moved by ``step`` to a resample.

    Their deviations are divided by ``step``. This suits correlations of rates that are noisy
    themselves: whole resamples add as much noise again, which pulls every correlation to 0. It is
    the numerical bootstrap of Hong and Li (Ann. Stat. 48, 397, 2020).
    """
    low, high = percentile_interval((samples - value) / step, level)
    return value + low, value + high


def between(values: ArrayLike, groups: ArrayLike) -> float:
    """Return the standard deviation of the means of groups, beyond what chance within them gives.

    The estimate by moments of a random effect, from sums of residuals by group; 0 for one group.
    """
    numbers, kinds = np.asarray(values, dtype=float), np.asarray(groups)
    if len(numbers) < 2 or (kinds == kinds[0]).all():
        return 0.0
    place = np.unique(kinds, return_inverse=True)[1]
    sizes = np.bincount(place)
    sums = np.bincount(place, weights=numbers - numbers.mean())
    inside = numbers - (np.bincount(place, weights=numbers) / sizes)[place]
    variance = (inside**2).sum() / max(1, len(numbers) - len(sizes))
    return float(np.sqrt(max(0.0, ((sums**2).sum() - variance * len(numbers)) / (sizes**2).sum())))


def widened(
    found: Estimate, spread: float, least: float = -math.inf, most: float = math.inf
) -> Estimate:
    """Return an estimate with the interval of 95% that it has if a normal error is added.

    ``spread`` is its standard deviation; the bounds stay between ``least`` and ``most``.
    """
    error = float(special.ndtri((1 + LEVEL) / 2)) * spread
    low = found.value - math.hypot(found.value - found.low, error)
    high = found.value + math.hypot(found.high - found.value, error)
    return Estimate(found.value, max(least, low), min(most, high)) if error else found


class Resampling:
    """Resamples of ``size`` things with replacement, drawn block by block from one seed."""

    def __init__(self, size: int, resamples: Any, rng: Any) -> None:
        self.size = size
        self.resamples: int = read_whole("resamples", resamples, limits.RESAMPLES)
        self._seed = read_seed(rng)

    def draws(self, width: int = 0) -> Iterator[NDArray[np.int64]]:
        """Yield blocks of rows, each the indices of one resample.

        ``width`` is how many numbers the caller needs per resample, if that is more than ``size``.
        """
        generator = np.random.default_rng(self._seed)
        block = max(1, _ROOM // max(self.size, width, 1))
        for first in range(0, self.resamples, block):
            rows = min(block, self.resamples - first)
            yield generator.integers(0, self.size, size=(rows, self.size))

    def counts(self, width: int = 0) -> Iterator[Floats]:
        """Yield blocks of rows, each how often one resample has each of the things."""
        for drawn in self.draws(width):
            yield tally(drawn, self.size)


def tally(drawn: NDArray[np.int64], kinds: int) -> Floats:
    """Return for every row how often each of the numbers below ``kinds`` is in it."""
    rows = len(drawn)
    flat = drawn + kinds * np.arange(rows)[:, None]
    counted = np.bincount(flat.ravel(), minlength=rows * kinds)
    return counted.reshape(rows, kinds).astype(np.float64)


def exact_test(counts: Sequence[int], shares: Sequence[float], rng: int = 0) -> float:
    """Return the p-value of counts that should come in ``shares``; 1 without any count.

    For two names it is the two-sided binomial test; for more, the multinomial test by Pearson's
    distance, enumerated if there are few outcomes and simulated (``rng``) if there are many.
    """
    from scipy import stats

    seen, expected = _read(counts, shares)
    total = int(seen.sum())
    if not total:
        return 1.0
    if seen[expected == 0].any():
        return 0.0
    seen, expected = seen[expected > 0], expected[expected > 0]
    if len(seen) == 1:
        return 1.0
    if len(seen) == 2:
        return float(stats.binomtest(int(seen[0]), total, float(expected[0])).pvalue)
    found = _distance(seen, expected, total)
    if math.comb(total + len(seen) - 1, len(seen) - 1) <= ENUMERATED:
        outcomes = _outcomes(total, len(seen))
        probabilities = np.asarray(stats.multinomial.pmf(outcomes, total, expected))
        return float(min(1.0, probabilities[_distance(outcomes, expected, total) >= found].sum()))
    drawn = np.random.default_rng(rng).multinomial(total, expected, DRAWS)
    return float((np.sum(_distance(drawn, expected, total) >= found) + 1) / (DRAWS + 1))


def chi_square_test(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the p-value of Pearson's chi-square test; nan if fewer than 5 of a name are expected.

    The approximation cannot be trusted there; use ``exact_test``.
    """
    from scipy import stats

    seen, expected = _read(counts, shares)
    due = expected * seen.sum()
    if not len(due) or due.min() < 5:
        return math.nan
    return float(stats.chisquare(seen, due).pvalue)


def same_test(table: ArrayLike, rng: int = 0) -> float:
    """Return the p-value of rows of counts that should all have the same shares.

    Two rows of two: Fisher's exact test. Otherwise Pearson's distance, simulated (``rng``) with the
    sums of rows and columns fixed (Patefield, Appl. Stat. 30, 91, 1981). 1 if there is nothing to
    compare.
    """
    from scipy import stats

    counted = np.asarray(table, dtype=np.int64)
    counted = counted[counted.sum(axis=1) > 0]
    counted = counted[:, counted.sum(axis=0) > 0]
    if len(counted) < 2 or counted.shape[1] < 2:
        return 1.0
    if counted.shape == (2, 2):
        return float(stats.fisher_exact(counted).pvalue)
    rows, columns = counted.sum(axis=1), counted.sum(axis=0)
    due = np.outer(rows, columns) / rows.sum()
    found = float(((counted - due) ** 2 / due).sum())
    drawn = stats.random_table(rows, columns).rvs(DRAWS, random_state=np.random.default_rng(rng))
    distances = ((drawn - due) ** 2 / due).sum(axis=(1, 2))
    return float((np.sum(distances >= found - _SLACK) + 1) / (DRAWS + 1))


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values corrected for how many there are (Holm, Scand. J. Stat. 6, 65, 1979).

    Rejecting those below a level makes any false rejection at most that probable, however the
    p-values depend on each other.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    corrected = [1.0] * len(p_values)
    worst = 0.0
    for rank, place in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = worst
    return tuple(corrected)


def cohens_h(share: float, expected: float) -> float:
    """Return the effect size h of two shares (Cohen 1988): .2 is small, .5 medium, .8 large."""
    return 2 * math.asin(math.sqrt(share)) - 2 * math.asin(math.sqrt(expected))


def total_variation(one: ArrayLike, other: ArrayLike) -> float:
    """Return what part of all choices must change to turn one into the other: 0 to 1."""
    return float(np.abs(np.subtract(one, other)).sum() / 2)


def variation_from(
    counts: Sequence[int], shares: Sequence[float], level: float = LEVEL
) -> Estimate:
    """Return the total variation between what was counted and ``shares``.

    The interval, which holds at least as often as ``level`` says, is over all shares that lie in
    exact intervals with a level corrected for the number of names. The estimate is above 0 by
    chance even if the counts come in these shares; its lower bound then is 0.
    """
    seen, expected = _read(counts, shares)
    total = int(seen.sum())
    if not total:
        return Estimate(math.nan, 0.0, 1.0)
    names = len(seen) if len(seen) > 2 else 1  # one of two shares determines the other
    each = 1 - (1 - read_level(level)) / names
    bounds = np.array([exact_interval(int(count), total, each) for count in seen])
    low, high = bounds[:, 0], bounds[:, 1]
    least = max(np.clip(low - expected, 0, None).sum(), np.clip(expected - high, 0, None).sum())
    most = min(np.clip(high - expected, 0, None).sum(), np.clip(expected - low, 0, None).sum())
    value = total_variation(seen / total, expected)
    return Estimate(value, min(value, float(least)), max(value, float(min(1.0, most))))


def _read(counts: Sequence[int], shares: Sequence[float]) -> tuple[NDArray[np.int64], Floats]:
    seen, expected = np.asarray(counts, dtype=np.int64), np.asarray(shares, dtype=float)
    if seen.shape != expected.shape or (seen < 0).any() or (expected < 0).any():
        raise SpecError("counts", counts, "not one count for each share", "Give whole counts.")
    return seen, expected / expected.sum()


def _distance(counts: Any, shares: Floats, total: int) -> Any:
    due = shares * total
    return np.round(((counts - due) ** 2 / due).sum(axis=-1), 9)


def _outcomes(total: int, kinds: int) -> NDArray[np.int64]:
    """Return every way to divide ``total`` things into ``kinds`` kinds, one row each."""
    bars = itertools.combinations(range(total + kinds - 1), kinds - 1)
    places = np.array(list(bars), dtype=np.int64).reshape(-1, kinds - 1)
    edges = np.column_stack(
        [np.full(len(places), -1), places, np.full(len(places), total + kinds - 1)]
    )
    return np.diff(edges, axis=1) - 1
