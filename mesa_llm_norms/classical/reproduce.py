"""Measuring what ``published`` lists: runs, statistics, bootstrap intervals, verdicts."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.classical.ensemble import run_classical
from mesa_llm_norms.classical.published import CLAIMS, EXPERIMENTS, Claim, Experiment
from mesa_llm_norms.draws import mix, read_seed
from mesa_llm_norms.statistics import wilson_interval

RESAMPLES = 1_000
Report = Callable[[str, int, int], None]
"""Called with the experiment under way, the runs done, and the runs in all."""

Floats = NDArray[np.float64]


class Found(NamedTuple):
    """What was measured for a claim, with its 95% interval, in how many runs and for which x."""

    claim: Claim
    here: float
    low: float
    high: float
    runs: int
    xs: tuple[float, ...]

    @property
    def agrees(self) -> bool:
        """Whether the interval reaches what the claim allows."""
        return self.low <= self.claim.high and self.high >= self.claim.low


def play_experiments(
    seed: int,
    quick: bool = False,
    workers: int = 1,
    report: Report = lambda *_: None,
    experiments: tuple[Experiment, ...] = EXPERIMENTS,
) -> pd.DataFrame:
    """Play all runs and return one row for each: experiment, x, run, interactions, ...

    ``workers`` is the number of threads; the compiled loop lets them run side by side.
    """
    plans = [(one, one.quick if quick else one.full) for one in experiments]
    seed = read_seed(seed)
    total = sum(sum(plan.values()) for _, plan in plans)
    done, tables = 0, []
    with ThreadPoolExecutor(workers) as pool:
        for number, (experiment, plan) in enumerate(plans):
            for place, (x, runs) in enumerate(plan.items()):
                report(experiment.label, done, total)
                played = run_classical(
                    **experiment.arguments(x),
                    rng=mix(mix(seed) + 1_000 * number + place),
                    runs=runs,
                    keep_rounds=False,
                    workers=workers,
                    executor=pool if workers > 1 else None,
                )
                tables.append(played.runs.assign(experiment=experiment.label, x=x))
                done += runs
    report("", done, total)
    found = pd.concat(tables, ignore_index=True)
    order = ["experiment", "x", "run"]
    return found[[*order, *(column for column in found.columns if column not in order)]]


def compare(
    runs: pd.DataFrame, claims: tuple[Claim, ...] = CLAIMS, resamples: int = RESAMPLES
) -> list[Found]:
    """Return what the runs of ``play_experiments`` say to every claim.

    Intervals are percentiles of bootstrap resamples, of the runs at each x on their own. Exponents
    are slopes of log median time, or log mean peak, on log size, by least squares: medians because
    on a torus a few runs take several times as long as the others.
    """
    found = []
    for claim in claims:
        rows = runs[runs["experiment"] == claim.experiment]
        if claim.x is not None:
            rows = rows[np.isclose(rows["x"], claim.x)]
        rows = _with_others(claim, rows, runs)
        statistic = STATISTICS[claim.statistic]
        by_x = list(rows.groupby(["experiment", "x"]))
        xs = np.array([key[1] for key, _ in by_x])
        groups = [_columns(group) for _, group in by_x]
        here = statistic(xs, groups)
        chance = np.random.default_rng(0)
        samples = [
            statistic(xs, [_resampled(one, chance) for one in groups]) for _ in range(resamples)
        ]
        low, high = np.quantile(samples, [0.025, 0.975]).tolist()
        found.append(Found(claim, here, low, high, len(rows), tuple(dict.fromkeys(xs.tolist()))))
    return found


def table(found: list[Found]) -> pd.DataFrame:
    """Return one row per claim: what is published, what was found here, and in which runs.

    They agree where the interval from ``low`` to ``high`` reaches ``allowed_low`` to
    ``allowed_high``. ``x_from`` to ``x_to`` are sizes, or what else was varied.
    """
    return pd.DataFrame(
        [
            {
                "what": one.claim.what,
                "published": one.claim.published,
                "here": one.here,
                "low": one.low,
                "high": one.high,
                "agrees": one.agrees,
                "allowed_low": one.claim.low,
                "allowed_high": one.claim.high,
                "x_from": one.xs[0],
                "x_to": one.xs[-1],
                "runs": one.runs,
                "source": one.claim.source,
            }
            for one in found
        ]
    )


class _Runs(NamedTuple):
    """The runs at one x."""

    interactions: Floats
    peak: Floats
    converged: Floats


def _columns(rows: pd.DataFrame) -> _Runs:
    return _Runs(
        rows["interactions"].to_numpy(float),
        rows["peak_words"].to_numpy(float),
        rows["converged"].to_numpy(float),
    )


def _resampled(runs: _Runs, chance: np.random.Generator) -> _Runs:
    drawn = chance.integers(0, len(runs.interactions), len(runs.interactions))
    return _Runs(*(column[drawn] for column in runs))


def _with_others(claim: Claim, rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Add the runs that a ratio compares with; by their label they sort after the others."""
    if claim.statistic != "slower than reverse":
        return rows
    return pd.concat([rows, runs[runs["experiment"] == f"{claim.experiment}, reverse"]])


def slope(xs: Floats, values: Floats) -> tuple[float, float]:
    """Return exponent and factor of the power law through the points, by least squares of logs."""
    x, y = np.log(xs), np.log(values)
    exponent = float(np.cov(x, y, bias=True)[0, 1] / np.var(x))
    return exponent, float(np.exp(y.mean() - exponent * x.mean()))


def medians(groups: list[_Runs]) -> Floats:
    """Return the median time of every group."""
    return np.array([np.median(one.interactions) for one in groups])


def _critical_share(xs: Floats, groups: list[_Runs]) -> float:
    """Return the share at which half the runs reach consensus, between grid points linearly."""
    shares = np.maximum.accumulate([one.converged.mean() for one in groups])
    return float(np.interp(0.5, shares + 1e-9 * np.arange(len(shares)), xs))


STATISTICS: dict[str, Callable[[Floats, list[_Runs]], float]] = {
    "time exponent": lambda xs, groups: slope(xs, medians(groups))[0],
    "peak exponent": lambda xs, groups: slope(xs, np.array([g.peak.mean() for g in groups]))[0],
    "mean time": lambda _, groups: float(groups[0].interactions.mean()),
    "slower than reverse": lambda _, groups: float(
        groups[0].interactions.mean() / groups[1].interactions.mean()
    ),
    "share with consensus": lambda _, groups: float(groups[0].converged.mean()),
    "share without consensus": lambda _, groups: float(1 - groups[0].converged.mean()),
    "critical share": _critical_share,
}


def points(runs: pd.DataFrame) -> pd.DataFrame:
    """Return median time and mean peak of each graph and size: graph, agents, time, peak."""
    labels = [one.experiment for one in CLAIMS if one.statistic == "time exponent"]
    rows = runs[runs["experiment"].isin(labels)]
    groups = rows.groupby(["experiment", "x"], sort=False)
    found = groups.agg(time=("interactions", "median"), peak=("peak_words", "mean")).reset_index()
    return found.rename(columns={"experiment": "graph", "x": "agents"})


def shares(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how many runs flip at each committed share: share, consensus, low, high (Wilson)."""
    rows = runs[runs["experiment"] == "committed share"]
    found = rows.groupby("x")["converged"].agg(["sum", "count"]).reset_index()
    low, high = wilson_interval(found["sum"], found["count"])
    consensus = found["sum"] / found["count"]
    return pd.DataFrame({"share": found["x"], "consensus": consensus, "low": low, "high": high})
