"""One result beside what it is held against, and whether the difference is more than chance.

Each row has a test of its own. The p-values of the rows of a part, which answer one question, are
corrected together after Holm (Scand. J. Stat. 6, 65, 1979), so that the chance that any row of a
part is called different where none is stays below ``LEVEL``.

Numbers and verdicts in words.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mesa_llm_norms.analysis.intervals import Estimate, wilson_interval
from mesa_llm_norms.reproduction.recorded import Published

LEVEL = 0.05


RESAMPLES = 2_000


SMALLEST = 0.01
"""Means of rates are taken to vary by this much at least."""


WITHIN, DIFFERENT = "within sampling error", "not within sampling error"


EXACT_SHARES = "Fisher's exact test"


ONE_SHARE = "exact binomial test"


NEAREST_SHARE = "exact binomial test of the nearest share within ±"


TIMES = "two-sample Kolmogorov-Smirnov test"


WINNERS = "likelihood-ratio test of all winners, by Monte Carlo"


CURVE = "largest standardised distance of the mean curves, by bootstrap"


COUNTS = "chi-squared goodness of fit"


TWO_COUNTS = "chi-squared test of homogeneity"


MEAN = "distance of the means, by bootstrap"


REACHED = "percentile bootstrap, published value rounded to whole percent"


@dataclass(frozen=True)
class Row:
    """A result: shares as numbers from 0 to 1, times in interactions.

    ``recorded`` and ``here`` have 95% intervals; that of a number that is exact is the number
    itself. ``recorded_size`` and ``here_size`` count what ``counted`` says: runs, or decisions.
    """

    part: str
    mind: str
    what: str
    here: Estimate
    here_size: int
    test: str
    p_value: float
    recorded: Estimate | None = None
    recorded_size: int = 0
    published: Published | None = None
    counted: str = "runs"
    note: str = ""
    """What else is to be known where the two differ."""


@dataclass(frozen=True)
class Judged:
    """A row, and its p-value corrected for how many there are in its part."""

    row: Row
    corrected: float

    @property
    def within(self) -> bool:
        """Whether the difference may be chance."""
        return self.corrected >= LEVEL

    @property
    def verdict(self) -> str:
        """It in words."""
        return WITHIN if self.within else DIFFERENT

    def as_object(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        row = self.row
        published = row.published
        return {
            "part": row.part,
            "mind": row.mind,
            "what": row.what,
            "published": None if published is None else published._asdict(),
            "recorded": None if row.recorded is None else row.recorded._asdict(),
            "recorded_size": row.recorded_size,
            "here": row.here._asdict(),
            "here_size": row.here_size,
            "counted": row.counted,
            "test": row.test,
            "p_value": row.p_value,
            "corrected_p_value": self.corrected,
            "verdict": self.verdict,
            "note": row.note,
        }


def judge(rows: Sequence[Row]) -> list[Judged]:
    """Return the rows in their order, their p-values corrected after Holm within each part."""
    corrected: dict[int, float] = {}
    for part in dict.fromkeys(row.part for row in rows):
        places = [place for place, row in enumerate(rows) if row.part == part]
        values = holm([rows[place].p_value for place in places])
        corrected.update(zip(places, values, strict=True))
    return [Judged(row, corrected[place]) for place, row in enumerate(rows)]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected so that the chance of any false rejection is kept."""
    order = np.argsort(p_values, kind="stable")
    corrected = np.zeros(len(p_values))
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected.tolist()


def share(successes: float, trials: int) -> Estimate:
    """Return a share with Wilson's interval."""
    low, high = wilson_interval(successes, trials)
    return Estimate(successes / trials, float(low), float(high))


def exactly(value: float) -> Estimate:
    """Return a number without an interval to it."""
    return Estimate(value, value, value)


def median(times: Sequence[int]) -> Estimate:
    """Return a median with the interval between order statistics; nan for no times."""
    if not len(times):
        return exactly(math.nan)
    ordered = np.sort(times)
    low = int(stats.binom.ppf(0.025, len(ordered), 0.5))
    high = len(ordered) - 1 - max(low - 1, 0)
    return Estimate(
        float(np.median(ordered)), float(ordered[max(low - 1, 0)]), float(ordered[high])
    )


def mean(values: NDArray[np.float64]) -> Estimate:
    """Return a mean with percentiles of a bootstrap over its values."""
    chance = np.random.default_rng(0)
    drawn = chance.choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return Estimate(float(values.mean()), low, high)


def fisher(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the p-value of two shares, each (successes, trials), being one."""
    table = np.array([[one[0], one[1] - one[0]] for one in (first, second)])
    return float(stats.fisher_exact(table).pvalue)


def meets(successes: int, trials: int, share: float) -> float:
    """Return the p-value of so many successes where each has this chance, which is exact."""
    return float(stats.binomtest(successes, trials, share).pvalue)


def reaches(successes: int, trials: int, known: Published) -> float:
    """Return the p-value of a share being published, give or take what it may be off.

    That is twice the chance, with the nearest share that is not too far off, of so many or more
    (or so few or fewer); 1 for a share that is itself not too far off.
    """
    found = successes / trials
    nearest = min(max(found, known.value - known.within), known.value + known.within)
    if nearest == found:
        return 1.0
    side: Literal["greater", "less"] = "greater" if found > nearest else "less"
    beyond = stats.binomtest(successes, trials, nearest, alternative=side).pvalue
    return min(1.0, 2 * float(beyond))


def fit(counts: NDArray[np.int64], chances: NDArray[np.float64]) -> float:
    """Return the p-value of counts under these chances; what has none cannot have been counted."""
    possible = chances > 0
    if counts[~possible].any():
        return 0.0
    expected = counts.sum() * chances[possible] / chances.sum()
    return float(stats.chisquare(counts[possible], expected).pvalue) if len(expected) > 1 else 1.0


def same_counts(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    """Return the p-value of two rows of counts having one distribution; exact for two names."""
    table = np.array([first, second])[:, (first + second) > 0]
    if table.shape[1] < 2:
        return 1.0
    if table.shape[1] == 2:
        return float(stats.fisher_exact(table).pvalue)
    return float(stats.chi2_contingency(table).pvalue)


def same_mean(recorded: NDArray[np.float64], here: NDArray[np.float64]) -> float:
    """Return how often means of so many values each, drawn here, are as far apart as these two."""
    return _far_apart(recorded.mean(keepdims=True), len(recorded), here[:, None])


def same_curve(recorded: NDArray[np.float64], runs: int, here: NDArray[np.float64]) -> float:
    """Return how often the mean curves of so many runs each, drawn here, are as far apart.

    The distance is the largest over rounds, in standard deviations; rounds in which runs hardly
    vary count as if their means varied by a hundredth.
    """
    return _far_apart(recorded, runs, here)


def _far_apart(recorded: NDArray[np.float64], runs: int, here: NDArray[np.float64]) -> float:
    """Compare two means of rows, that of ``here`` with one of ``runs`` rows, by bootstrap."""
    chance = np.random.default_rng(0)
    size = len(here)
    scale = np.maximum(here.std(axis=0) * math.sqrt(1 / runs + 1 / size), SMALLEST)
    found = (np.abs(recorded - here.mean(axis=0)) / scale).max()
    one, other = (
        chance.multinomial(n, np.full(size, 1 / size), RESAMPLES) @ here / n for n in (runs, size)
    )
    null = (np.abs(one - other) / scale).max(axis=1)
    return float((np.sum(null >= found - 1e-9) + 1) / (RESAMPLES + 1))


def pool_text(names: Sequence[str]) -> str:
    """Return how a pool is called in a row."""
    if len(names) <= 2:
        return " ".join(names)
    return f"{len(names)} names"


def number(value: float) -> str:
    """Return a share with three digits, or a time without any."""
    if not math.isfinite(value):
        return "none"
    return f"{value:.3f}" if abs(value) <= 1 else f"{value:,.0f}"


def estimate(known: Estimate | None) -> str:
    """Return a number with its interval, if it has one."""
    if known is None:
        return ""
    if known.low == known.high:
        return number(known.value)
    return f"{number(known.value)} ({number(known.low)} to {number(known.high)})"


def p_text(value: float) -> str:
    """Return a p-value with two digits."""
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def published_text(known: Published | None) -> str:
    """Return a published number, if there is one, and how sure it is."""
    if known is None:
        return ""
    off = f" ± {number(known.within)}" if known.within else ""
    return f"{'~' if known.approximate else ''}{number(known.value)}{off}"


def safe(text: str) -> str:
    """Keep a name from breaking the table."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def mismatches(judged: Sequence[Judged]) -> list[str]:
    """Return a line for every row that differs, and for those that only look as if they did.

    What is published comes before what is only recorded.
    """
    ordered = sorted(judged, key=lambda one: one.row.recorded is not None)
    wrong = [one for one in ordered if not one.within]
    near = [one for one in ordered if one.within and one.row.p_value < LEVEL]
    lines = [f"- {_sentence(one)}" for one in wrong] or ["Every row is within sampling error."]
    lines += ["", f"{len(wrong)} of {len(judged)} rows."]
    if near:
        lines[-1] += (
            f" {len(near)} more have a p below {LEVEL:g} before it is corrected, where about "
            f"{LEVEL * len(judged):.0f} would by chance alone:"
        )
        lines += ["", *(f"- {_sentence(one)}" for one in near)]
    return lines


def _sentence(one: Judged) -> str:
    row = one.row
    if row.recorded is not None:
        before = f"{number(row.recorded.value)} recorded"
    else:
        before = f"{published_text(row.published)} published"
    return (
        f"**{safe(row.mind)}**, {safe(row.what)}: {number(row.here.value)} here, {before} "
        f"(p {p_text(row.p_value)}, corrected {p_text(one.corrected)}; {row.test})"
        f"{'. ' + row.note if row.note else ''}"
    )
