"""Runs that finished and runs that were cut short: the curve of those still going."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from mesa_llm_norms.statistics.intervals import Floats, tally

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
