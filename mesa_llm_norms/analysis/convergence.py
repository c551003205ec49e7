"""Tables as they come from ensembles: what must be in them.

Runs that finished and runs that were cut short: the curve of those still going.

When runs converge, those that had not by the time they ended among them.

A run that was stopped at its limit took *at least* that long: it is *censored*. Leaving it out, or
taking the limit for its time, makes slow networks look fast. The share of runs that are still going
is therefore estimated as in studies of survival: Kaplan and Meier (J. Am. Stat. Assoc. 53, 457,
1958). Times are in the unit given: interactions, or rounds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from mesa_llm_norms.analysis.intervals import (
    LEVEL,
    RESAMPLES,
    Estimate,
    Floats,
    Resampling,
    percentile_interval,
    read_level,
    tally,
    wilson_interval,
)
from mesa_llm_norms.errors import SpecError, some
from mesa_llm_norms.validation import read_seed


def read_table(argument: str, table: Any, columns: Iterable[str]) -> pd.DataFrame:
    """Return ``table`` if it is one with these columns and at least one row, else ``SpecError``."""
    if not isinstance(table, pd.DataFrame):
        raise SpecError(
            argument,
            table,
            f"{type(table).__name__} is no table",
            f"Give the {argument} of an ensemble.",
        )
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise SpecError(
            argument,
            list(table.columns),
            f"no column {some(missing)}",
            f"Give the {argument} of an ensemble, or a table with its columns.",
        )
    if table.empty:
        raise SpecError(argument, table, "the table is empty", "Give at least one row.")
    return table


_ROUNDING = 1e-9


class Summaries(NamedTuple):
    """Of one set of runs per entry: the three quartiles and the restricted mean."""

    lower: Floats
    median: Floats
    upper: Floats
    mean: Floats

    @classmethod
    def stack(cls, blocks: Iterable[Summaries]) -> Summaries:
        """Join blocks of sets of runs."""
        return cls._make(np.concatenate(parts) for parts in zip(*blocks, strict=True))


class Times:
    """Runs sorted into kinds: of ``times[k]``, kind 2k was censored then and 2k + 1 finished."""

    def __init__(self, times: Floats, finished: NDArray[np.bool_]) -> None:
        self.size = len(times)
        self.times, place = np.unique(times, return_inverse=True)
        self.kinds: NDArray[np.int64] = 2 * place + finished
        self.counts = tally(self.kinds[None, :], 2 * len(self.times))
        self.known_until = math.inf if self.counts[0, -2] == 0 else float(self.times[-1])
        """Up to when the curve is known: for ever, once all the last ones have finished."""

    def going(self, counts: Floats) -> Floats:
        """Return the Kaplan-Meier curve after each of the times, one row per set of runs."""
        finished = counts[:, 1::2]
        gone = finished + counts[:, 0::2]
        followed = np.cumsum(gone[:, ::-1], axis=1)[:, ::-1]
        return np.cumprod(1 - finished / np.maximum(followed, 1), axis=1, dtype=np.float64)

    def summaries(self, counts: Floats, horizon: float) -> Summaries:
        """Return the numbers of each set of runs, the mean up to ``horizon``."""
        going = self.going(counts)
        times = np.append(self.times, np.inf)
        lower, median, upper = (
            times[np.count_nonzero(going > share + _ROUNDING, axis=1)]
            for share in (0.75, 0.5, 0.25)
        )
        steps = np.diff(np.minimum(self.times, horizon), prepend=0.0, append=horizon)
        steps = np.maximum(steps, 0)
        mean = steps[0] + going @ steps[1:]
        return Summaries(lower, median, upper, mean)


def survival_curve(data: Times, level: float) -> pd.DataFrame:
    """Return the curve with the pointwise interval of Greenwood, as scipy has it."""
    from scipy import stats

    censored, finished = data.counts[0, 0::2], data.counts[0, 1::2]
    sample = stats.CensoredData(
        uncensored=np.repeat(data.times, finished.astype(int)),
        right=np.repeat(data.times, censored.astype(int)),
    )
    going = stats.ecdf(sample).sf
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # nan where the curve is at 0 or 1
        bounds: Any = going.confidence_interval(level, method="log-log")
    share = going.probabilities
    surely = share == 1
    followed = data.size - np.cumsum(censored + finished) + censored + finished
    curve = pd.DataFrame(
        {
            "time": data.times,
            "going": share,
            "low": np.where(surely, 1.0, bounds.low.probabilities),
            "high": np.where(surely, 1.0, bounds.high.probabilities),
            "followed": followed.astype(int),
            "finished": finished.astype(int),
            "censored": censored.astype(int),
        }
    )
    start = pd.DataFrame(
        {
            "time": [0.0],
            "going": [1.0],
            "low": [1.0],
            "high": [1.0],
            "followed": [data.size],
            "finished": [0],
            "censored": [0],
        }
    )
    return curve if data.times[0] == 0 else pd.concat([start, curve], ignore_index=True)


def log_rank(one: Times, other: Times) -> tuple[float, float]:
    """Return the statistic and the two-sided p-value of the log-rank test.

    In floats: scipy's multiplies four counts as integers, which overflow when 100,000 runs end at
    few different times.
    """
    times = np.union1d(one.times, other.times)
    followed, finished = np.zeros((2, len(times))), np.zeros((2, len(times)))
    for row, data in enumerate((one, other)):
        place = np.searchsorted(times, data.times)
        gone = np.zeros(len(times))
        gone[place] = data.counts[0, 0::2] + data.counts[0, 1::2]
        finished[row, place] = data.counts[0, 1::2]
        followed[row] = np.cumsum(gone[::-1])[::-1]
    all_followed, all_finished = followed.sum(axis=0), finished.sum(axis=0)
    share = followed[0] / all_followed
    spread = share * (1 - share) * all_finished * (all_followed - all_finished)
    variance = np.sum(spread / np.maximum(all_followed - 1, 1))
    if not variance > 0:
        return math.nan, math.nan
    statistic = float(np.sum(finished[0] - share * all_finished) / math.sqrt(variance))
    return statistic, float(2 * special.ndtr(-abs(statistic)))


UNITS = ("interactions", "rounds")


EVENTS = ("converged", "flipped")


@dataclass(frozen=True)
class ConvergenceTime:
    """How long runs took, censored runs counted as censored.

    ``median`` and the quartiles are the first times by which half, a quarter and three quarters of
    the runs had converged; infinite where that many had not by the end of what was observed. An
    upper bound may be infinite too: the data set no limit. ``restricted_mean`` is the mean of the
    smaller of a run's time and ``horizon``. ``share`` is the share converged by the horizon.

    ``curve`` is for plotting as steps: from each ``time`` on, the share of runs ``going`` and its
    pointwise interval ``low`` to ``high``, with the runs still ``followed`` just before, and those
    that ``finished`` and were ``censored`` then. It begins at time 0.
    """

    unit: str
    runs: int
    censored: int
    horizon: float
    level: float
    median: Estimate
    lower_quartile: Estimate
    upper_quartile: Estimate
    restricted_mean: Estimate
    share: Estimate
    curve: pd.DataFrame

    def row(self) -> dict[str, Any]:
        """Return the numbers as one flat row of a table: ``median``, ``median_low``, ..."""
        found: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Estimate):
                found[field.name] = value.value
                found[f"{field.name}_low"] = value.low
                found[f"{field.name}_high"] = value.high
            elif not isinstance(value, pd.DataFrame):
                found[field.name] = value
        return found


@dataclass(frozen=True)
class ConvergenceComparison:
    """How two sets of runs differ in the time they took.

    ``ratio`` is the median of the first set over that of the second; nan where both are infinite.
    ``mean_difference`` is the restricted mean of the first minus that of the second, up to
    ``horizon``, in units of time: it exists where medians do not. ``statistic`` of the log-rank
    test is positive if the first set is faster; under no difference it is standard normal.
    """

    paired: bool
    horizon: float
    level: float
    ratio: Estimate
    mean_difference: Estimate
    statistic: float
    p_value: float


def convergence_time(
    runs: Any,
    finished: Any = None,
    *,
    unit: str = "interactions",
    event: str = "converged",
    horizon: float | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    rng: Any = 0,
) -> ConvergenceTime:
    """Return how long runs took to converge.

    ``runs`` is the ``runs`` table of an ensemble, of which ``unit`` ("interactions" or "rounds") is
    the time and ``event`` ("converged" or "flipped") whether a run got there; or the times alone,
    with ``finished`` saying for each whether it is the time of the event (else it is censored). The
    ensemble must have been played ``until`` that event: under ``until=None`` every run lasts to the
    limit, whenever it converged. The window of matching interactions that convergence is read from
    is part of the time.

    ``horizon`` is the longest time observed unless given; it cannot lie beyond that where runs
    were still going then. A quantile is the first time at which the curve is at or below 1 - q, the
    convention of Kaplan-Meier programs: of an even number of finished runs, the median is the
    earlier of the two in the middle.

    Intervals of quantiles and of the mean are percentiles of a bootstrap over runs, each drawn with
    whether it was censored (Efron, J. Am. Stat. Assoc. 76, 312, 1981). A resample whose longest run
    is censored before the horizon keeps the share still going there. Those of the curve and of
    ``share`` are Greenwood's on the scale of log(-log); ``share`` has Wilson's instead while
    nobody was censored before the horizon, and where the curve is at 0 or 1, on the runs followed
    to the last event there.

    Raises ``SpecError`` for no runs, times that are not numbers from 0, and bad arguments.
    """
    data = _read(runs, finished, unit=unit, event=event)
    end = _read_horizon(horizon, data)
    read_level(level)
    value = data.summaries(data.counts, end)
    resampling = Resampling(data.size, resamples, rng)
    drawn = Summaries.stack(
        data.summaries(tally(data.kinds[rows], 2 * len(data.times)), end)
        for rows in resampling.draws(2 * len(data.times))
    )
    found = [
        Estimate(float(one[0]), *percentile_interval(samples, level))
        for one, samples in zip(value, drawn, strict=True)
    ]
    curve = survival_curve(data, level)
    return ConvergenceTime(
        unit=unit,
        runs=data.size,
        censored=int(data.counts[0, 0::2].sum()),
        horizon=end,
        level=level,
        median=found[1],
        lower_quartile=found[0],
        upper_quartile=found[2],
        restricted_mean=found[3],
        share=_share(data, curve, end, level),
        curve=curve,
    )


def compare_convergence(
    first: Any,
    second: Any,
    *,
    paired: bool | None = None,
    unit: str = "interactions",
    event: str = "converged",
    horizon: float | None = None,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    rng: Any = 0,
) -> ConvergenceComparison:
    """Compare two sets of runs, each a ``runs`` table or a pair ``(times, finished)``.

    ``paired`` draws run i of both sets together, as is right where they share seeds: the cells of a
    sweep do. None pairs where both are tables with the same run numbers. Pairs are told by ``run``
    in tables and by position otherwise. Where runs of one number have nothing in common, pairing
    changes nothing but chance. The bounds are percentiles of a bootstrap; one in which neither set
    has a median counts towards both.

    The log-rank test (Mantel, Cancer Chemother. Rep. 50, 163, 1966) takes the sets as independent:
    on pairs that go together its p-value is, if anything, too large. It is nan where nothing
    finished.

    Raises ``SpecError`` as ``convergence_time`` does, and where pairs are asked for that are none.
    """
    if paired or paired is None:
        first, second, paired = _pair(first, second, paired)
    sets = [
        _read(*(one if isinstance(one, tuple) else (one, None)), unit=unit, event=event)
        for one in (first, second)
    ]
    one, other = sets
    end = _read_horizon(horizon, *sets)
    read_level(level)
    values = [data.summaries(data.counts, end) for data in sets]
    seeds = np.random.SeedSequence(read_seed(rng)).generate_state(2, np.uint64)
    blocks: list[list[Summaries]] = [[], []]
    for number, data in enumerate(sets):
        # One seed for both draws the same run numbers in both.
        seed = int(seeds[0 if paired else number])
        for rows in Resampling(data.size, resamples, seed).draws():
            width = 2 * len(data.times)
            blocks[number].append(data.summaries(tally(data.kinds[rows], width), end))
    drawn = [Summaries.stack(block) for block in blocks]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = values[0].median / values[1].median
        ratios = drawn[0].median / drawn[1].median
    low, high = percentile_interval(ratios, level)
    statistic, p_value = log_rank(one, other)
    return ConvergenceComparison(
        paired=paired,
        horizon=end,
        level=level,
        ratio=Estimate(float(ratio[0]), max(low, 0.0), high),
        mean_difference=Estimate(
            float((values[0].mean - values[1].mean)[0]),
            *percentile_interval(drawn[0].mean - drawn[1].mean, level),
        ),
        statistic=statistic,
        p_value=p_value,
    )


def _read(runs: Any, finished: Any, *, unit: str, event: str) -> Times:
    for argument, value, known in (("unit", unit, UNITS), ("event", event, EVENTS)):
        if value not in known:
            raise SpecError(argument, value, f"{value!r} is unknown", f"Use one of {known}.")
    if isinstance(runs, pd.DataFrame):
        if finished is not None:
            raise SpecError(
                "finished", finished, "the table says who finished", "Give times, or a table only."
            )
        table = read_table("runs", runs, (unit, event))
        runs, finished = table[unit], table[event]
    elif finished is None:
        raise SpecError(
            "finished",
            None,
            "times alone do not say which runs finished",
            "Give one truth value per time, or the runs of an ensemble.",
        )
    try:
        times, done = np.asarray(runs, dtype=np.float64), np.asarray(finished)
    except (TypeError, ValueError):
        raise SpecError(
            "runs", runs, "times that are not numbers", "Give numbers from 0."
        ) from None
    if times.ndim != 1 or done.shape != times.shape:
        raise SpecError(
            "finished",
            finished,
            f"{done.shape} for times of shape {times.shape}",
            "Give one truth value per time.",
        )
    if not len(times):
        raise SpecError("runs", runs, "there are no runs", "Give at least one.")
    if not (np.isfinite(times) & (times >= 0)).all():
        raise SpecError("runs", runs, "times that are not numbers from 0", "Give finite times.")
    if not np.isin(done, (False, True)).all():
        raise SpecError("finished", finished, "values that are not truth values", "Give booleans.")
    return Times(times, done.astype(bool))


def _read_horizon(horizon: Any, *sets: Times) -> float:
    known = min(data.known_until for data in sets)
    longest = max(float(data.times[-1]) for data in sets)
    if horizon is None:
        return min(known, longest)
    number = isinstance(horizon, (int, float, np.integer, np.floating))
    if not number or isinstance(horizon, bool) or not 0 <= horizon < math.inf:
        raise SpecError("horizon", horizon, f"{horizon!r} is no time", "Give a number from 0.")
    if horizon > known:
        raise SpecError(
            "horizon",
            horizon,
            f"runs were still going when the last one ended, at {known:g}",
            f"Use at most {known:g}, or play longer.",
        )
    return float(horizon)


def _share(data: Times, curve: pd.DataFrame, horizon: float, level: float) -> Estimate:
    within = curve[curve["time"] <= horizon]
    last = within.iloc[-1]
    share = 1 - float(last["going"])
    before = within.loc[within["time"] < horizon, "censored"].sum()
    if before and 0 < share < 1:
        return Estimate(share, 1 - float(last["high"]), 1 - float(last["low"]))
    events = within[within["finished"] > 0]
    trials = data.size
    if before:
        trials = int(events["followed"].iloc[-1] if len(events) else data.size - before)
    low, high = wilson_interval(round(share * trials), trials, level)
    return Estimate(share, float(low), float(high))


def _pair(first: Any, second: Any, paired: bool | None) -> tuple[Any, Any, bool]:
    """Return both sets with runs that belong together in the same places, and whether they do."""
    tables = [isinstance(one, pd.DataFrame) and "run" in one.columns for one in (first, second)]
    if all(tables):
        numbers = [one["run"].to_numpy() for one in (first, second)]
        orders = [np.argsort(one, kind="stable") for one in numbers]
        left, right = (one[order] for one, order in zip(numbers, orders, strict=True))
        if np.array_equal(left, right) and len(np.unique(left)) == len(left):
            return first.iloc[orders[0]], second.iloc[orders[1]], True
    elif paired and not any(tables):
        lengths = [len(one[0]) if isinstance(one, tuple) else len(one) for one in (first, second)]
        if lengths[0] == lengths[1]:
            return first, second, True
    if paired:
        raise SpecError(
            "paired",
            paired,
            "the two sets do not have the same runs",
            "Give tables with the same run numbers, or paired=False.",
        )
    return first, second, False
