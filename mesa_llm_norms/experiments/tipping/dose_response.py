"""The dose-response curve: how probable a flip is by the number of committed agents.

The curve is logistic in the number, fitted with Jeffreys' prior as a penalty (Firth, Biometrika 80,
27, 1993), so that it exists where numbers that never flip and numbers that always do are neighbors
(Heinze and Schemper, Stat. Med. 21, 2409, 2002). The critical mass is where it crosses one half,
with the interval of its profile likelihood under the same penalty. Where runs scatter more about
the curve than chance explains, the interval is widened by Finney's heterogeneity factor (*Probit
Analysis*, 3rd ed. 1971, 4.6), and the curve is only a summary.

The next runs go where they are most informative, after Neyer, "A D-optimality-based
sensitivity test" (Technometrics 36, 61, 1994): bisect until the numbers that flip more than half of
their runs and those that flip fewer are neighbors; from then on, always play the number that adds
most to the determinant of the Fisher information on position and slope of the curve fitted so far.
For a logistic curve those are numbers at which about one run in six flips, or does not (Silvey,
*Optimal Design*, 1980). The choice depends only on the results so far, so a seed gives the same
samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from mesa_llm_norms.analysis.intervals import LEVEL, Estimate, Floats, exact_interval, read_level
from mesa_llm_norms.errors import SpecError

BATCHES = 40
"""How many batches a budget is divided into."""

FEWEST = 10
"""Runs in a batch, at least, unless there are then fewer than ``LEAST_BATCHES``."""

LEAST_BATCHES = 8

ALONE = 4
"""Batches that go to a population with nobody committed, which comes first: how stable it is."""

LARGEST = 5
"""At most one run in this many goes to a population with nobody committed."""


def batch_size(budget: int) -> int:
    """Return how many runs are played at a number before the next is chosen."""
    return max(1, min(FEWEST, budget // LEAST_BATCHES), budget // BATCHES)


def first_batch(budget: int) -> int:
    """Return how many runs are first played with nobody committed."""
    return max(1, min(ALONE * batch_size(budget), budget // LARGEST))


def next_count(doses: Sequence[Dose], most: int, batch: int) -> int:
    """Return how many agents to commit in the next batch, from 0 to ``most``.

    The two ends come first; 0 shows how stable the convention is by itself.
    """
    known = merge(doses)
    tried = {dose.committed: dose for dose in known}
    for end in (0, most):
        if end not in tried:
            return end
    below = max((c for c, dose in tried.items() if 2 * dose.flipped < dose.runs), default=0)
    above = min(
        (c for c, dose in tried.items() if 2 * dose.flipped >= dose.runs and c > below),
        default=most,
    )
    if above - below > 1 and (below + above) // 2 not in tried:
        return (below + above) // 2
    curve = fit_dose_response(known)
    if curve.slope == 0:  # all on one side: the end that is nearest to one half
        return most if curve.critical_mass.value > 0 else 0
    counts = np.arange(most + 1, dtype=float)
    middle, slope = curve.critical_mass.value, curve.slope
    each = information(counts, np.full(len(counts), float(batch)), middle, slope)
    played = np.array([[dose.committed, dose.runs] for dose in known], dtype=float)
    so_far = information(played[:, 0], played[:, 1], middle, slope).sum(axis=0)
    total = so_far + each
    gain = total[:, 0, 0] * total[:, 1, 1] - total[:, 0, 1] * total[:, 1, 0]
    return int(np.argmax(np.round(gain / max(float(gain.max()), 1e-300), 9)))


MISFIT = 0.05
"""The p-value of the test of fit below which intervals are widened."""

_FLATTEST, _STEEPEST = math.log(1e-3), math.log(60)
"""Logarithms of the slopes per least distance of two counts between which curves are sought."""

_GRID, _ZOOMS = 21, 14

_FAR, _HALVINGS = 100, 12

_TINY = 1e-300


class Dose(NamedTuple):
    """How many of the runs with a number of committed agents flipped."""

    committed: int
    flipped: int
    runs: int

    @property
    def share(self) -> float:
        """Share of the runs that flipped."""
        return self.flipped / self.runs


class DoseResponse(NamedTuple):
    """A fitted curve.

    ``critical_mass`` is in agents: the number of committed ones at which half of the runs flip,
    with its interval; it is infinite where even the largest number tried flips fewer than half of
    the runs, and 0 where half of them flip by themselves. ``slope`` is the change of the log odds
    per agent. ``bracket`` needs no curve: the largest number whose flip probability is surely below
    one half and the smallest whose is surely above, each by an exact interval of the same level;
    the second is infinite, or the first -1, where there is none. ``misfit`` is the p-value of
    Pearson's test of fit (nan without degrees of freedom), ``heterogeneity`` what the interval was
    widened by.
    """

    critical_mass: Estimate
    slope: float
    bracket: tuple[float, float]
    misfit: float
    heterogeneity: float
    level: float

    def probability(self, committed: Floats) -> Floats:
        """Return the flip probability of the curve.

        Parameters
        ----------
        committed : array of float
            Numbers of committed agents.

        Returns
        -------
        ndarray
            A probability for each of them.
        """
        middle = self.critical_mass.value
        if not math.isfinite(middle) or self.slope == 0:
            return np.full(np.shape(committed), float(middle == 0))
        return np.asarray(special.expit(self.slope * (np.asarray(committed) - middle)))


def fit_dose_response(doses: Sequence[Dose], level: float = LEVEL) -> DoseResponse:
    """Fit a dose-response curve.

    Parameters
    ----------
    doses : sequence of Dose
        Runs at two or more different numbers of committed agents.
    level : float
        How often intervals hold (default 0.95).

    Returns
    -------
    DoseResponse
        The curve, with the interval of its critical mass.

    Raises
    ------
    SpecError
        For fewer than two different numbers.

    References
    ----------
    D. Firth, Biometrika 80, 27 (1993): the penalty. G. Heinze and M. Schemper, Stat. Med. 21, 2409
    (2002): profile likelihood. D. J. Finney, Probit Analysis, 3rd ed. (1971), 4.6: heterogeneity.
    """
    tail = read_level(level)
    merged = merge(doses)
    if len(merged) < 2:
        raise SpecError(
            "doses", doses, "a curve needs two different numbers committed", "Play another."
        )
    bracket = _bracket(merged, level)
    if all(2 * dose.flipped < dose.runs for dose in merged):
        edge = Estimate(math.inf, max(0.0, bracket[0]), math.inf)
        return DoseResponse(edge, 0.0, bracket, math.nan, 1.0, level)
    if all(2 * dose.flipped >= dose.runs for dose in merged) and merged[0].committed == 0:
        edge = Estimate(0.0, 0.0, bracket[1])
        return DoseResponse(edge, 0.0, bracket, math.nan, 1.0, level)
    data = _Data(merged)
    middle, slope = data.fit()
    misfit, factor, freedom = data.misfit(middle, slope)
    widened = misfit < MISFIT
    quantile = (
        special.stdtrit(freedom, (1 + tail) / 2) if widened else special.ndtri((1 + tail) / 2)
    )
    cut = float(quantile) ** 2 * (factor if widened else 1.0)
    low, high = data.profile(middle, slope, cut)
    critical = Estimate(*(max(0.0, data.unscaled(one)) for one in (middle, low, high)))
    return DoseResponse(
        critical, slope / data.scale, bracket, misfit, factor if widened else 1.0, level
    )


def merge(doses: Sequence[Dose]) -> list[Dose]:
    """Return one dose for every number with runs, in order."""
    counts = sorted({dose.committed for dose in doses if dose.runs})
    return [
        Dose(
            count,
            sum(dose.flipped for dose in doses if dose.committed == count),
            sum(dose.runs for dose in doses if dose.committed == count),
        )
        for count in counts
    ]


def information(x: Floats, runs: Floats, middle: float, slope: float) -> Floats:
    """Return the Fisher information on intercept and slope of runs at each ``x``.

    The last two axes are the matrix; what is before them is that of ``x``.
    """
    p = special.expit(slope * (x - middle))
    weight = runs * p * (1 - p)
    return np.stack(
        [np.stack([weight, weight * x], -1), np.stack([weight * x, weight * x * x], -1)], -1
    )


class _Data:
    """Rescaled doses, and the penalized likelihood of curves through them."""

    def __init__(self, doses: Sequence[Dose]) -> None:
        counts = np.array([dose.committed for dose in doses], dtype=float)
        self.flipped = np.array([dose.flipped for dose in doses], dtype=float)
        self.runs = np.array([dose.runs for dose in doses], dtype=float)
        shares = np.maximum.accumulate(self.flipped / self.runs)
        self.centre = float(np.interp(0.5, shares + 1e-9 * np.arange(len(counts)), counts))
        self.scale = max(1.0, float(np.min(np.diff(counts))))
        self.x = (counts - self.centre) / self.scale

    def unscaled(self, x: float) -> float:
        return self.centre + self.scale * x

    def loss(self, middle: Floats, log_slope: Floats) -> Floats:
        """Return the negative penalized log-likelihood of curves, given as arrays of one shape."""
        z = np.exp(log_slope)[..., None] * (self.x - middle[..., None])
        fit = (self.flipped * z - self.runs * np.logaddexp(0, z)).sum(-1)
        p = special.expit(z)
        weight = np.maximum(self.runs * p * (1 - p), _TINY)
        total = weight.sum(-1)
        mean = (weight * self.x).sum(-1) / total
        around = (weight * (self.x - mean[..., None]) ** 2).sum(-1)
        return np.asarray(-fit - 0.5 * np.log(total) - 0.5 * np.log(np.maximum(around, _TINY)))

    def fit(self) -> tuple[float, float]:
        """Return middle and slope of the best curve, by ever finer grids about the best so far."""
        span = float(self.x[-1] - self.x[0])
        reach = np.array([2 * span, (_STEEPEST - _FLATTEST) / 2])
        at = np.array([0.0, (_STEEPEST + _FLATTEST) / 2])
        for _ in range(_ZOOMS):
            steps = np.linspace(-1, 1, _GRID)
            middles = at[0] + reach[0] * steps
            slopes = np.clip(at[1] + reach[1] * steps, _FLATTEST, _STEEPEST)
            grid = np.meshgrid(middles, slopes, indexing="ij")
            best = np.unravel_index(np.argmin(self.loss(*grid)), grid[0].shape)
            at = np.array([grid[0][best], grid[1][best]])
            reach = reach / 2.5
        return float(at[0]), float(np.exp(at[1]))

    def misfit(self, middle: float, slope: float) -> tuple[float, float, int]:
        """Return the p-value of Pearson's test, its statistic per degree of freedom, and these.

        Numbers at which less than one flip, or less than one failure, is expected are left out.
        """
        p = special.expit(slope * (self.x - middle))
        due = self.runs * np.minimum(p, 1 - p)
        informative = due >= 1
        freedom = int(informative.sum()) - 2
        if freedom < 1:
            return math.nan, 1.0, 1
        square = (self.flipped - self.runs * p) ** 2 / np.maximum(self.runs * p * (1 - p), 1e-300)
        statistic = float(square[informative].sum())
        return float(special.chdtrc(freedom, statistic)), max(1.0, statistic / freedom), freedom

    def profile(self, middle: float, slope: float, cut: float) -> tuple[float, float]:
        """Return where the profile of the middle has fallen by ``cut`` / 2 on either side."""
        least = float(self.loss(np.array(middle), np.array(np.log(slope))))

        def fallen(at: float) -> float:
            low, high = _FLATTEST, _STEEPEST
            for _ in range(3):
                slopes = np.linspace(low, high, _GRID)
                losses = self.loss(np.full(_GRID, at), slopes)
                best = int(np.argmin(losses))
                low, high = slopes[max(best - 1, 0)], slopes[min(best + 1, _GRID - 1)]
            return 2 * (float(losses[best]) - least) - cut

        return self._edge(middle, -1.0, fallen), self._edge(middle, 1.0, fallen)

    def _edge(self, middle: float, side: float, fallen: Callable[[float], float]) -> float:
        """Return where ``fallen`` becomes positive, infinite if it does not far from all counts."""
        step = 0.1
        inside, outside = middle, middle + side * step
        while fallen(outside) < 0:
            step *= 2
            inside, outside = outside, outside + side * step
            if step > _FAR * (1 + self.x[-1] - self.x[0]):
                return side * math.inf
        if fallen(inside) >= 0:
            return inside
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if fallen(middle) < 0 else (inside, middle)
        return (inside + outside) / 2


def _bracket(doses: Sequence[Dose], level: float) -> tuple[float, float]:
    """Return the numbers that are surely on either side of one half, by exact intervals."""
    bounds = [(dose.committed, *exact_interval(dose.flipped, dose.runs, level)) for dose in doses]
    below = [count for count, _, high in bounds if high < 0.5]
    above = [count for count, low, _ in bounds if low > 0.5]
    return max(below, default=-1), min(above, default=math.inf)
