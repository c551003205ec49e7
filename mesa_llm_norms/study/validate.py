"""Do populations of recorded minds behave as the recorded populations did?

Two levels are compared. *Decisions*: the log-loss of the mind on the recorded choices, and its
calibration, how often names given a probability of p were chosen. *Populations*: simulated runs
under the recorded conditions against the recorded runs, in the interactions they needed (two-sample
Kolmogorov-Smirnov test) and in which name won (Monte Carlo likelihood-ratio test). The mind was
fitted to decisions; no population statistic entered the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from mesa_llm_norms.core.limits import read_seed
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.simulation.ensemble import Progress, play_ensemble
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.study.fit import Counts, Drift, measure_drift, size, total_loss
from mesa_llm_norms.study.recordings import Condition, Recordings, count, decisions

STREAK = 3
"""A recorded population has converged after this many population rounds of successes in a row."""

BINS = np.array([0.0, 0.001, 0.01, 0.05, 0.2, 0.4, 0.6, 0.8, 0.95, 0.99, 0.999, 1.0])

Report = Callable[[str], None]


class Populations(NamedTuple):
    """Runs of one condition, recorded or simulated."""

    interactions: pd.Series[int]
    """What each run needed to converge; runs that did not are left out."""
    winners: pd.Series[int]
    """How many runs each name won, for every name of the pool."""


@dataclass(frozen=True)
class Validated:
    """What was found for one condition.

    Attributes
    ----------
    condition, decisions
        The condition, and how many decisions were recorded in it.
    log_loss
        Mean negative log-probability (nats) of the recorded decisions.
    calibration
        One row per bin of probabilities with the columns given, chosen and cases.
    drift
        How much the recorded runs differ from each other.
    recorded, simulated
        The two sets of runs.
    """

    condition: Condition
    decisions: int
    log_loss: float
    calibration: pd.DataFrame
    drift: Drift
    recorded: Populations
    simulated: Populations

    @property
    def leader(self) -> str:
        """The name that won most recorded runs."""
        return str(self.recorded.winners.idxmax())

    @property
    def calibration_error(self) -> float:
        """Mean distance between probability and share chosen, weighted by how often it was met."""
        bins = self.calibration
        return float(np.average((bins["chosen"] - bins["given"]).abs(), weights=bins["cases"]))

    @property
    def time_p_value(self) -> float:
        """Two-sample Kolmogorov-Smirnov test of the interactions needed; nan with too few runs."""
        if min(len(self.recorded.interactions), len(self.simulated.interactions)) < 2:
            return float("nan")
        return float(stats.ks_2samp(self.recorded.interactions, self.simulated.interactions).pvalue)

    @property
    def winners_p_value(self) -> float:
        """Monte Carlo test of which names won."""
        return winners_test(self.recorded.winners, self.simulated.winners)


def validate(
    recordings: Recordings,
    minds: Mapping[str, Policy],
    runs: int = 1_000,
    rng: Any = 1,
    workers: int | None = 1,
    report: Report = lambda _: None,
    progress: Progress | None = None,
) -> list[Validated]:
    """Compare minds with the baseline conditions of recorded models.

    Parameters
    ----------
    recordings : Recordings
        The study's recordings.
    minds : mapping of str to Policy
        The mind to compare with each recorded model.
    runs : int
        Populations simulated per condition. Default 1,000.
    rng : int
        The seed of the simulated populations. Default 1.
    workers : int or None
        The number of processes. Default 1; None means one per processor.
    report : callable, optional
        Called with each condition before it is compared.
    progress : callable, optional
        Called with the simulated runs done and the runs in total.

    Returns
    -------
    list of Validated
        One for each condition.
    """
    seed = read_seed(rng)
    found = []
    for model, mind in minds.items():
        for condition, rows in recordings.of(model, "baseline"):
            report(str(condition))
            counts = count(decisions(condition, rows))
            total = size(counts)
            found.append(
                Validated(
                    condition,
                    total,
                    total_loss(mind, condition.pool, counts) / total,
                    calibration(mind, condition.pool, counts),
                    measure_drift(mind, [(condition, rows)]),
                    recorded_populations(condition, rows),
                    simulate(condition, mind, runs, seed, workers, progress),
                )
            )
    return found


def summary(found: Iterable[Validated]) -> pd.DataFrame:
    """Return one row per condition.

    The columns are model, pool, runs, decisions, log_loss, calibration_error, median_recorded,
    median_simulated, time_p, winner, share_recorded, share_simulated, winners_p, drift_spread and
    drift_p; medians are of the interactions needed, shares those of runs the winner won.
    """
    return pd.DataFrame(
        [
            {
                "model": one.condition.model,
                "pool": " ".join(one.condition.pool),
                "runs": int(one.recorded.winners.sum()),
                "decisions": one.decisions,
                "log_loss": one.log_loss,
                "calibration_error": one.calibration_error,
                "median_recorded": float(one.recorded.interactions.median()),
                "median_simulated": float(one.simulated.interactions.median()),
                "time_p": one.time_p_value,
                "winner": one.leader,
                "share_recorded": _share(one.recorded, one.leader),
                "share_simulated": _share(one.simulated, one.leader),
                "winners_p": one.winners_p_value,
                "drift_spread": one.drift.spread,
                "drift_p": one.drift.p_value,
            }
            for one in found
        ]
    )


def recorded_populations(condition: Condition, rows: pd.DataFrame) -> Populations:
    """Return when each recorded run had ``STREAK`` rounds of successes in a row, and on what."""
    needed, winners = [], []
    for _, run in rows.groupby("run", sort=True):
        matched = (run["name_a"] == run["name_b"]).to_numpy()
        place = np.arange(1, len(matched) + 1)
        streaks = place - np.maximum.accumulate(np.where(matched, 0, place))
        reached = np.flatnonzero(streaks >= STREAK * condition.population)
        if len(reached):
            needed.append(int(reached[0]) + 1)
            winners.append(run["name_a"].iloc[int(reached[0])])
    return _populations(condition.pool, needed, winners)


def simulate(
    condition: Condition,
    mind: Policy,
    runs: int,
    seed: int,
    workers: int | None = 1,
    progress: Progress | None = None,
) -> Populations:
    """Return runs simulated under the recorded condition."""
    spec = Spec(
        graph=f"complete(n={condition.population})",
        names=condition.pool,
        mind=mind,
        memory=condition.memory,
        seed=seed,
    )
    goal = Goal("converged", STREAK)
    played = play_ensemble(spec, runs=runs, goal=goal, workers=workers, progress=progress)
    reached = played.runs[played.runs["converged"]]
    return _populations(
        condition.pool, reached["interactions"].tolist(), reached["winner"].tolist()
    )


def calibration(policy: Policy, pool: Sequence[str], counts: Counts) -> pd.DataFrame:
    """Return, for each bin of probabilities, their mean, the share chosen, and how many cases."""
    rows = [
        (probability, chosen.get(name, 0), sum(chosen.values()))
        for memory, chosen in counts.items()
        for name, probability in zip(pool, policy.distribution(memory, pool), strict=True)
    ]
    table = pd.DataFrame(rows, columns=["probability", "chosen", "cases"])
    table["bin"] = pd.cut(table["probability"], BINS.tolist(), include_lowest=True)
    table["given"] = table["probability"] * table["cases"]
    bins = table.groupby("bin", observed=True)[["given", "chosen", "cases"]].sum()
    return bins.assign(given=bins["given"] / bins["cases"], chosen=bins["chosen"] / bins["cases"])


def winners_test(recorded: pd.Series[int], simulated: pd.Series[int], rng: int = 0) -> float:
    """Return the p-value of recorded and simulated winners having the same shares, by Monte Carlo.

    The statistic is the likelihood-ratio distance to shares estimated from both together.
    """
    shares = (recorded + simulated) / (recorded + simulated).sum()
    names = shares[shares > 0].index
    expected = shares[names].to_numpy()
    chance = np.random.default_rng(rng)
    n, m = int(recorded.sum()), int(simulated.sum())

    def distance(one: Any, other: Any) -> Any:
        total = 0.0
        for seen, runs in ((one, n), (other, m)):
            part = seen / runs
            total = total + 2 * runs * stats.entropy(
                part, np.broadcast_to(expected, part.shape), axis=-1
            )
        return total

    found = distance(recorded[names].to_numpy(), simulated[names].to_numpy())
    null = distance(chance.multinomial(n, expected, 9_999), chance.multinomial(m, expected, 9_999))
    return float((np.sum(null >= found - 1e-9) + 1) / 10_000)


def _populations(pool: Sequence[str], needed: Sequence[int], winners: Sequence[str]) -> Populations:
    counted = pd.Series(list(winners), dtype=object).value_counts()
    return Populations(
        pd.Series(list(needed), dtype="int64"),
        counted.reindex(list(pool), fill_value=0).astype("int64"),
    )


def _share(runs: Populations, name: str) -> float:
    return float(runs.winners[name] / max(1, runs.winners.sum()))
