"""When runs converge, counting those that had not by the time they ended.

A run that was stopped at its limit took *at least* that long: it is *censored*. Leaving it out, or
taking the limit for its time, makes slow networks look fast. The share of runs still going is
therefore estimated as in survival analysis (Kaplan and Meier, J. Am. Stat. Assoc. 53, 457, 1958).
Times are in the unit given: interactions, or rounds.
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
from mesa_llm_norms.core.limits import read_seed
from mesa_llm_norms.errors import SpecError, shown, some

UNITS = ("interactions", "rounds")
EVENTS = ("converged", "agreed", "flipped")
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ConvergenceTime:
    """How long runs took to converge, with censored runs counted as such.

    Attributes
    ----------
    unit : str
        The unit of all times: "interactions" or "rounds".
    runs, censored : int
        How many runs there are, and how many of them did not converge.
    horizon : float
        Up to when ``restricted_mean`` and ``share`` count.
    level : float
        The level of all intervals.
    median, lower_quartile, upper_quartile : Estimate
        The first times by which half, a quarter and three quarters of the runs had converged;
        infinite if that many had not by the end of what was observed. An upper bound may be
        infinite too: the data set no limit.
    restricted_mean : Estimate
        The mean of the smaller of a run's time and the horizon.
    share : Estimate
        The share of runs that had converged by the horizon.
    curve : pandas.DataFrame
        The Kaplan-Meier curve, from time 0, for plotting as steps: from each ``time`` on, the share
        of runs ``going`` and its pointwise interval ``low`` to ``high``; the runs ``followed`` just
        before; and those that ``finished`` and were ``censored`` then.
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
        """Return the numbers as a row of a table.

        Returns
        -------
        dict
            Column to value: every attribute but ``curve``, and for each estimate, such as
            ``median``, its bounds ``median_low`` and ``median_high``.
        """
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

    Attributes
    ----------
    paired : bool
        Whether runs of both sets were resampled in pairs.
    horizon : float
        Up to when ``mean_difference`` counts.
    level : float
        The level of the intervals.
    ratio : Estimate
        The median of the first set over that of the second; nan if both are infinite.
    mean_difference : Estimate
        The restricted mean of the first minus that of the second, in units of time. It exists even
        where medians do not.
    statistic : float
        That of the log-rank test: positive if the first set is faster, standard normal if there is
        no difference.
    p_value : float
        The two-sided p-value of the log-rank test.
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

    The window of matching interactions that convergence is read from is part of the time.

    Parameters
    ----------
    runs : pandas.DataFrame or sequence of float
        The ``runs`` table of an ensemble, played ``until`` the event (under ``until=None`` every
        run lasts to the limit, whenever it converged); or times alone.
    finished : sequence of bool, optional
        With times alone, whether each is the time of the event; else it is censored.
    unit : str, default "interactions"
        The column of a table that is the time: "interactions" or "rounds".
    event : str, default "converged"
        The column that says whether a run got there: "converged", "agreed" or "flipped".
    horizon : float, optional
        Up to when to take the restricted mean and the share. By default the longest time observed;
        it cannot be later if runs were still going then.
    level : float, default 0.95
        The level of all intervals.
    resamples : int, default 2000
        How many bootstrap resamples of the runs to draw.
    rng : int or generator, default 0
        The seed of the bootstrap.

    Returns
    -------
    ConvergenceTime
        Quantiles, the restricted mean, the share converged, and the curve.

    Raises
    ------
    SpecError
        For no runs, times that are not numbers from 0, and bad arguments.

    Notes
    -----
    A quantile is the first time at which the curve is at or below 1 - q, the convention of
    Kaplan-Meier programs: of an even number of finished runs, the median is the earlier of the two
    in the middle. Intervals of quantiles and of the mean are percentiles of a bootstrap over runs,
    each drawn with whether it was censored [1]_. A resample whose longest run is censored before
    the horizon keeps the share still going there. Intervals of the curve and of ``share`` are
    Greenwood's on the scale of log(-log). ``share`` has Wilson's interval instead if no run was
    censored before the horizon and, on the runs followed to the last event, where the curve is at 0
    or 1.

    References
    ----------
    .. [1] B. Efron, "Censored data and the bootstrap", J. Am. Stat. Assoc. 76, 312 (1981).
    """
    data = _read(runs, finished, unit=unit, event=event)
    end = _read_horizon(horizon, data)
    read_level(level)
    value = data.summaries(data.counts, end)
    resampling = Resampling(data.size, resamples, rng)
    drawn = _Summaries.stack(
        data.summaries(tally(data.kinds[rows], 2 * len(data.times)), end)
        for rows in resampling.draws(2 * len(data.times))
    )
    found = [
        Estimate(float(one[0]), *percentile_interval(samples, level))
        for one, samples in zip(value, drawn, strict=True)
    ]
    curve = _survival_curve(data, level)
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
    """Compare how long two sets of runs took to converge.

    Parameters
    ----------
    first, second : pandas.DataFrame or pair of (times, finished)
        The sets, each as in ``convergence_time``.
    paired : bool, optional
        Whether to resample run i of both sets together, as is right if they share seeds: the cells
        of a sweep do. By default, if both are tables with the same run numbers. Runs are matched by
        ``run`` in tables and by position otherwise. If runs of one number have nothing in common,
        pairing does no harm.
    unit, event, horizon, level, resamples, rng : see ``convergence_time``
        With the same defaults.

    Returns
    -------
    ConvergenceComparison
        The ratio of medians and the difference of restricted means, with percentiles of a bootstrap
        over runs (a resample in which neither set has a median counts towards both bounds); and the
        log-rank test. The test takes the sets as independent: on pairs its p-value is, if anything,
        too large. It is nan if nothing finished.

    Raises
    ------
    SpecError
        As ``convergence_time``, and if pairs are requested where runs do not match.

    References
    ----------
    N. Mantel, "Evaluation of survival data and two new rank order statistics arising in its
    consideration", Cancer Chemother. Rep. 50, 163 (1966).
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
    blocks: list[list[_Summaries]] = [[], []]
    for number, data in enumerate(sets):
        # One seed for both draws the same run numbers in both.
        seed = int(seeds[0 if paired else number])
        for rows in Resampling(data.size, resamples, seed).draws():
            width = 2 * len(data.times)
            blocks[number].append(data.summaries(tally(data.kinds[rows], width), end))
    drawn = [_Summaries.stack(block) for block in blocks]
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = values[0].median / values[1].median
        ratios = drawn[0].median / drawn[1].median
    low, high = percentile_interval(ratios, level)
    statistic, p_value = _log_rank(one, other)
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


def read_table(argument: str, table: Any, columns: Iterable[str]) -> pd.DataFrame:
    """Return a table, or raise ``SpecError`` if it lacks a column or has no rows."""
    if not isinstance(table, pd.DataFrame):
        raise SpecError(
            argument,
            table,
            f"{type(table).__name__} is not a table",
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


def _read(runs: Any, finished: Any, *, unit: str, event: str) -> _Times:
    for argument, value, known in (("unit", unit, UNITS), ("event", event, EVENTS)):
        if value not in known:
            raise SpecError(argument, value, f"{shown(value)} is unknown", f"Use one of {known}.")
    if isinstance(runs, pd.DataFrame):
        if finished is not None:
            problem = "the table says which runs finished"
            raise SpecError("finished", finished, problem, "Give times, or a table only.")
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
    return _Times(times, done.astype(bool))


def _read_horizon(horizon: Any, *sets: _Times) -> float:
    known = min(data.known_until for data in sets)
    longest = max(float(data.times[-1]) for data in sets)
    if horizon is None:
        return min(known, longest)
    number = isinstance(horizon, (int, float, np.integer, np.floating))
    if not number or isinstance(horizon, bool) or not 0 <= horizon < math.inf:
        raise SpecError(
            "horizon", horizon, f"{shown(horizon)} is not a time", "Give a number from 0."
        )
    if horizon > known:
        raise SpecError(
            "horizon",
            horizon,
            f"runs were still going when the last one ended, at {known:g}",
            f"Use at most {known:g}, or play longer.",
        )
    return float(horizon)


def _share(data: _Times, curve: pd.DataFrame, horizon: float, level: float) -> Estimate:
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
    """Return both sets with matching runs in the same places, and whether they match."""
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


class _Summaries(NamedTuple):
    """The quartiles and the restricted mean, one entry per set of runs."""

    lower: Floats
    median: Floats
    upper: Floats
    mean: Floats

    @classmethod
    def stack(cls, blocks: Iterable[_Summaries]) -> _Summaries:
        """Join blocks of sets of runs."""
        return cls._make(np.concatenate(parts) for parts in zip(*blocks, strict=True))


class _Times:
    """Runs sorted into kinds: of ``times[k]``, kind 2k was censored then and 2k + 1 finished."""

    def __init__(self, times: Floats, finished: NDArray[np.bool_]) -> None:
        self.size = len(times)
        self.times, place = np.unique(times, return_inverse=True)
        self.kinds: NDArray[np.int64] = 2 * place + finished
        self.counts = tally(self.kinds[None, :], 2 * len(self.times))
        self.known_until = math.inf if self.counts[0, -2] == 0 else float(self.times[-1])
        """Up to when the curve is known: forever if all of the last runs finished."""

    def going(self, counts: Floats) -> Floats:
        """Return the Kaplan-Meier curve after each of the times, one row per set of runs."""
        finished = counts[:, 1::2]
        gone = finished + counts[:, 0::2]
        followed = np.cumsum(gone[:, ::-1], axis=1)[:, ::-1]
        return np.cumprod(1 - finished / np.maximum(followed, 1), axis=1, dtype=np.float64)

    def summaries(self, counts: Floats, horizon: float) -> _Summaries:
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
        return _Summaries(lower, median, upper, mean)


def _survival_curve(data: _Times, level: float) -> pd.DataFrame:
    """Return the curve with Greenwood's pointwise interval, from scipy."""
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
    origin = {"time": 0.0, "going": 1.0, "low": 1.0, "high": 1.0, "followed": data.size}
    start = pd.DataFrame([{**origin, "finished": 0, "censored": 0}])
    return curve if data.times[0] == 0 else pd.concat([start, curve], ignore_index=True)


def _log_rank(one: _Times, other: _Times) -> tuple[float, float]:
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
