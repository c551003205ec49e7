"""When runs converge, those that had not by the time they ended among them.

A run that was stopped at its limit took *at least* that long: it is *censored*. Leaving it out, or
taking the limit for its time, makes slow networks look fast. The share of runs that are still going
is therefore estimated as in studies of survival: Kaplan and Meier (J. Am. Stat. Assoc. 53, 457,
1958). Times are in the unit given: interactions, or rounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.statistics.intervals import (
    LEVEL,
    RESAMPLES,
    Estimate,
    Resampling,
    percentile_interval,
    read_level,
    tally,
    wilson_interval,
)
from mesa_llm_norms.statistics.survival import Summaries, Times, log_rank, survival_curve
from mesa_llm_norms.statistics.tables import read_table

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
