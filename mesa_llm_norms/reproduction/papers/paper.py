"""What a paper is here: a few statements, each beside a number measured here and its test.

A statement is a number that the paper states, a sentence of it, or nothing: then the number here
stands alone. Everything is tested in one way. A statement allows an interval, and the number here
has one of 95%. A published number agrees where the two overlap. A sentence agrees where the number
here lies within what it allows with all of its interval, is contrary where all of it lies outside,
and is undecided otherwise. So no row says more than chance allows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.llm.settings import LLMSettings

AGREES, DIFFERS, CONTRARY, UNDECIDED = "agrees", "differs", "contrary", "undecided"

RESAMPLES = 2_000
BOOTSTRAP = "bootstrap over runs"
EXACT = "exact, no chance in it"
WILSON = "Wilson's interval"

MORE, LESS = (math.nextafter(0, 1), math.inf), (-math.inf, math.nextafter(0, -1))
"""What a sentence allows of a difference that says more, or less."""

_SLACK = 1e-12
"""So that an interval which ends at exactly no difference is undecided both ways."""

QUICK = 0.1

Floats = NDArray[np.float64]
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Finding:
    """A statement of a paper beside what was measured here.

    Attributes
    ----------
    mind
        Who played: a mind, or ``classical``.
    what
        What was measured, in a few words.
    here
        The number with its 95% interval; without one where it is exact.
    test
        How the interval was made.
    published
        A number or a sentence of the paper; None where it states nothing.
    allowed
        Where the paper has the number: the bounds of a published number with its error, or what a
        sentence allows. None if nothing is published.
    runs
        In how many runs it was measured; 0 if it is exact.
    """

    mind: str
    what: str
    here: Estimate
    test: str
    published: float | str | None = None
    allowed: tuple[float, float] | None = None
    runs: int = 0

    @property
    def verdict(self) -> str:
        """Whether paper and number agree, in a word; empty where the paper states nothing."""
        if self.allowed is None:
            return ""
        low, high = self.allowed
        if not math.isfinite(self.here.value):
            return UNDECIDED
        if not isinstance(self.published, str):
            return AGREES if self.here.low <= high and self.here.high >= low else DIFFERS
        if low <= self.here.low and self.here.high <= high:
            return AGREES
        outside = self.here.high < low - _SLACK or self.here.low > high + _SLACK
        return CONTRARY if outside else UNDECIDED

    def as_object(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "mind": self.mind,
            "what": self.what,
            "published": self.published,
            "allowed": self.allowed,
            "here": self.here._asdict(),
            "runs": self.runs,
            "test": self.test,
            "verdict": self.verdict,
        }


class Series(NamedTuple):
    """Numbers in a panel: a line, or points where ``line`` is False; with intervals or without."""

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    line: bool = True


@dataclass(frozen=True)
class Panel:
    """A part of a figure: some series on common axes.

    ``ticks`` names the places 0, 1, 2 ... of the horizontal axis where they are not numbers;
    ``upright`` and ``level`` are where a dashed line stands or lies.
    """

    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    ticks: tuple[str, ...] = ()
    log_x: bool = False
    log_y: bool = False
    shares: bool = False
    upright: float | None = None
    level: float | None = None


class Result(NamedTuple):
    """What came out.

    Attributes
    ----------
    findings
        A row for each statement.
    panels
        The figure.
    notes
        What a reader has to know to read the table: where the paper's set-up was not that of here.
    table
        The numbers behind the figure.
    """

    findings: tuple[Finding, ...]
    panels: tuple[Panel, ...]
    notes: tuple[str, ...]
    table: pd.DataFrame


@dataclass(frozen=True)
class Setting:
    """How a paper is played: with whom, how much, from which seed, and how calls are made."""

    minds: tuple[Any, ...] = ()
    quick: bool = False
    seed: int = 1
    data: Path | None = None
    workers: int = 1
    llm: LLMSettings | None = None
    report: Report = field(default=lambda *_: None, compare=False)

    def runs(self, number: int) -> int:
        """Return how many runs stand for so many: a tenth for a first look, at least four."""
        return max(4, round(number * QUICK)) if self.quick else number


@dataclass(frozen=True)
class Paper:
    """A paper that can be played again.

    Attributes
    ----------
    name
        What it is called on the command line: the first author and the year.
    source
        Authors, year, and where it was published.
    line
        What is played, in one line.
    time
        About how long that takes on two processors.
    play
        Plays it; None for the two that ``reproduce`` plays by itself.
    minds
        The minds that play unless others are given; empty if none do.
    data
        What a file of the user's own may hold; empty if none is read.
    people
        Whether it is one of the experiments with people.
    live
        Whether it asks live minds.
    """

    name: str
    source: str
    line: str
    time: str
    play: Callable[[Setting], Result] | None
    minds: tuple[str, ...] = ()
    data: str = ""
    people: bool = False
    live: bool = False


def mean(values: ArrayLike) -> Estimate:
    """Return a mean with percentiles of a bootstrap; nan of nothing."""
    return difference(values, [0.0])


def difference(one: ArrayLike, other: ArrayLike) -> Estimate:
    """Return how much larger the mean of one sample is, with percentiles of a bootstrap of both.

    Missing values (nan) are left out; without any value in one of them the difference is nan.
    """
    chance = np.random.default_rng(0)
    samples = [np.asarray(it, dtype=float) for it in (one, other)]
    samples = [it[~np.isnan(it)] for it in samples]
    if not all(len(it) for it in samples):
        return Estimate(math.nan, math.nan, math.nan)
    drawn = [chance.choice(it, (RESAMPLES, len(it))).mean(axis=1) for it in samples]
    low, high = np.quantile(drawn[0] - drawn[1], [0.025, 0.975]).tolist()
    return Estimate(float(samples[0].mean() - samples[1].mean()), low, high)


def means_by(table: pd.DataFrame, keys: Sequence[str], column: str) -> Mapping[Any, Estimate]:
    """Return the mean of a column, with its interval, in every group of rows."""
    return {key: mean(rows[column]) for key, rows in table.groupby(list(keys), sort=False)}
