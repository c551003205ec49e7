"""One result beside what it is compared with, and whether they differ by more than chance.

Every row has a test of its own. The p-values of the rows of a part, which answer one question, are
corrected together after Holm (Scand. J. Stat. 6, 65, 1979), so that the probability of calling any
row of a part different where none is stays below ``LEVEL``.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mesa_llm_norms.analysis.intervals import Estimate, between, holm, widened, wilson_interval
from mesa_llm_norms.core import formatting
from mesa_llm_norms.reproduction.recorded import Published

LEVEL = 0.05
RESAMPLES = 2_000

SMALLEST = 0.01
"""Means of rates are taken to vary by at least this much."""

WITHIN, DIFFERENT = "within sampling error", "not within sampling error"

# The tests, as rows name them.
EXACT_SHARES = "Fisher's exact test"
ONE_SHARE = "exact binomial test"
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

    Attributes
    ----------
    part
        The question it answers.
    mind
        The mind that played; ``all`` if it is about all of them.
    what
        What was measured, in a few words that fit a column; ``detail`` adds to it.
    here, here_size
        The result with its 95% interval (an exact number has none), and in how many runs or
        decisions (``counted``) it was measured; 0 if it is exact.
    test, p_value
        The test of the difference.
    recorded, recorded_size
        The same from the study's recordings, if there is.
    published
        The published number, if there is.
    note
        What else matters if the two differ.
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
    detail: str = ""
    note: str = ""

    @property
    def title(self) -> str:
        """What was measured, with its detail."""
        return f"{self.what} ({self.detail})" if self.detail else self.what


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
        """The same in words."""
        return WITHIN if self.within else DIFFERENT

    def as_object(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        found = {field.name: getattr(self.row, field.name) for field in fields(self.row)}
        for name in ("published", "recorded", "here"):
            found[name] = None if found[name] is None else found[name]._asdict()
        return found | {"corrected_p_value": self.corrected, "verdict": self.verdict}


def judge(rows: Sequence[Row]) -> list[Judged]:
    """Return the rows in their order, their p-values corrected after Holm within each part."""
    corrected: dict[int, float] = {}
    for part in dict.fromkeys(row.part for row in rows):
        places = [place for place, row in enumerate(rows) if row.part == part]
        values = holm([rows[place].p_value for place in places])
        corrected.update(zip(places, values, strict=True))
    return [Judged(row, corrected[place]) for place, row in enumerate(rows)]


def share(successes: float, trials: int) -> Estimate:
    """Return a share with Wilson's interval."""
    low, high = wilson_interval(successes, trials)
    return Estimate(successes / trials, float(low), float(high))


def exactly(value: float) -> Estimate:
    """Return a number that has no interval."""
    return Estimate(value, value, value)


def refitted_share(done: Any, refits: NDArray[np.int64]) -> Estimate:
    """Return the share of runs in which something was done, as uncertain as the mind's fit too."""
    found = share(int(np.sum(done)), len(done))
    return widened(found, between(done, refits), 0.0, 1.0)


def refitted_mean(values: NDArray[np.float64], refits: NDArray[np.int64]) -> Estimate:
    """Return the mean over runs, as uncertain as the mind's fit too."""
    return widened(mean(values), between(values, refits))


def median(times: Sequence[int], spread: float = 0.0) -> Estimate:
    """Return a median with the interval between order statistics; nan for no times.

    ``spread`` is how much the share below the median varies beyond chance, between refits.
    """
    if not len(times):
        return exactly(math.nan)
    ordered = np.sort(times)
    size = len(ordered)
    low = max(int(stats.binom.ppf(0.025, size, 0.5)) - 1, 0)
    if spread:
        low = max(int(size / 2 - math.hypot(size / 2 - low, 1.96 * spread * size)), 0)
    high = len(ordered) - 1 - low
    return Estimate(float(np.median(ordered)), float(ordered[low]), float(ordered[high]))


def mean(values: NDArray[np.float64]) -> Estimate:
    """Return a mean with percentiles of a bootstrap over its values."""
    chance = np.random.default_rng(0)
    drawn = chance.choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975]).tolist()
    return Estimate(float(values.mean()), low, high)


def fisher(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Return the p-value of two shares, each (successes, trials), being the same."""
    table = np.array([[one[0], one[1] - one[0]] for one in (first, second)])
    return float(stats.fisher_exact(table).pvalue)


def meets(successes: int, trials: int, share: float) -> float:
    """Return the p-value of this many successes if each has this exact probability."""
    return float(stats.binomtest(successes, trials, share).pvalue)


def fit(counts: NDArray[np.int64], probabilities: NDArray[np.float64]) -> float:
    """Return the p-value of counts under these probabilities; 0 if an impossible one occurred."""
    possible = probabilities > 0
    if counts[~possible].any():
        return 0.0
    expected = counts.sum() * probabilities[possible] / probabilities.sum()
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
    """Return how often means of this many values each, drawn here, are as far apart."""
    return same_curve(recorded.mean(keepdims=True), len(recorded), here[:, None])


def same_curve(recorded: NDArray[np.float64], runs: int, here: NDArray[np.float64]) -> float:
    """Return how often mean curves of this many runs each, drawn here, are as far apart.

    ``recorded`` is the mean of ``runs`` runs by round, ``here`` has a row for each run. The
    distance is the largest over rounds, in standard deviations; rounds in which runs hardly vary
    count as if their means varied by a hundredth.
    """
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
    """Return a pool as rows name it."""
    return " ".join(names) if len(names) <= 2 else f"{len(names)} names"


def number(value: float) -> str:
    """Return a share with three decimals, or a time without any."""
    return formatting.number(value, _form(value))


def estimate_text(known: Estimate | None) -> str:
    """Return a number with its interval, if it has one; empty for None."""
    return "" if known is None else formatting.estimate(known, _form(known.value))


def published_text(known: Published | None) -> str:
    """Return a published number and its error; empty for None."""
    if known is None:
        return ""
    return f"{'~' if known.approximate else ''}{number(known.value)}"


def mismatches(judged: Sequence[Judged]) -> list[str]:
    """Return a line of Markdown for every row that differs, and for those that nearly do.

    What is published comes before what is only recorded.
    """
    ordered = sorted(judged, key=lambda one: one.row.recorded is not None)
    wrong = [one for one in ordered if not one.within]
    near = [one for one in ordered if one.within and one.row.p_value < LEVEL]
    lines = [f"- {_sentence(one)}" for one in wrong] or ["Every row is within sampling error."]
    lines += ["", f"{len(wrong)} of {len(judged)} rows."]
    if near:
        lines[-1] += (
            f" {len(near)} more have a p below {LEVEL:g} before correction, where about "
            f"{LEVEL * len(judged):.0f} would by chance alone:"
        )
        lines += ["", *(f"- {_sentence(one)}" for one in near)]
    return lines


def command_line(people: bool, labels: Iterable[str], runs: str, seed: int) -> str:
    """Return the command that plays the same again."""
    minds = [f"--mind {shlex.quote(label)}" for label in labels]
    parts = ["mesa-llm-norms reproduce", "--people" if people else "", *minds, runs]
    return " ".join([*filter(None, parts), f"--seed {seed}"])


def escape_cell(text: str) -> str:
    """Return a text that cannot break a table or a page of Markdown."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _sentence(one: Judged) -> str:
    row = one.row
    if row.recorded is not None:
        before = f"{number(row.recorded.value)} recorded"
    else:
        before = f"{published_text(row.published)} published"
    p_values = f"{formatting.p_value(row.p_value)}, corrected {formatting.p_number(one.corrected)}"
    return (
        f"**{escape_cell(row.mind)}**, {escape_cell(row.title)}: {number(row.here.value)} here, "
        f"{before} ({p_values}; {row.test})" + (f". {row.note}" if row.note else "")
    )


def _form(value: float) -> str:
    return ".3f" if abs(value) <= 1 else ",.0f"
