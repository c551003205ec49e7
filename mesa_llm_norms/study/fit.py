"""Fitting recorded minds to recordings, and testing whether a recorded model stayed the same.

*The fit* is a penalised conditional logit over the features of ``minds.recorded``: it minimises the
negative log-likelihood of the recorded decisions plus a ridge penalty on the weights, family by
family, light on what many decisions share (a single interaction of the profile) and heavy on what
few do (a whole profile, a name's own reaction). Memories met often keep their counts beside it.
The ridge, and the prior strength of the logit against counts, are chosen per model among ``RIDGES``
and ``PRIOR_STRENGTHS`` by three-fold cross-validation over even runs with two names. Nothing is
random: the same recordings give the same bytes.

*Drift*: a served model may change between recordings, by another revision, machine or setting. If
it did, no single policy gives the recorded populations, however well it is fitted. So each run is
given an *inverse temperature* b of its own, which turns the policy's P into P**b, normalised: above
one, the run's agents were more decided than the policy says, below one less. The logarithms of b
are taken as normal, and their mean and standard deviation are estimated by maximum likelihood. The
test compares that likelihood with that of one b for all runs, against what such a policy gives when
it decides anew on the recorded memories (parametric bootstrap).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.minds.recorded import (
    FAMILIES,
    RecordedMind,
    Seen,
    Weights,
    alone_features,
    own_features,
    pool_key,
    profile,
    shared_features,
)
from mesa_llm_norms.minds.refits import OFTEN
from mesa_llm_norms.study.recordings import LICENCE, SOURCE, Condition, Recordings, count, decisions

Floats = NDArray[np.float64]
Counts = Mapping[Memory, Mapping[str, float]]
Sample = dict[Condition, Counts]
"""Decisions to fit or to score on: counts by memory, for each condition."""
Report = Callable[[str], None]

RIDGES = (1.0, 5.0, 20.0)
PRIOR_STRENGTHS = (3.0, 30.0, 1_000.0)

SMALLEST = 0.01
"""Smaller weights change no utility by more than a few hundredths and are dropped, except those of
the names themselves, which say what was recorded."""

DECIMALS = 4

SURE = 0.01
"""Below this p-value the runs of a pool are said to differ."""

GRID: Floats = np.linspace(-1.2, 1.2, 61)
"""Logarithms of the inverse temperatures considered."""

_MEANS: Floats = np.linspace(-0.4, 0.4, 33)
_SPREADS: Floats = np.array([0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7])


class Smoothing(NamedTuple):
    """How much a fit smooths: the ridge on features of the profile, and the prior strength."""

    ridge: float
    prior_strength: float


def size(counts: Counts) -> int:
    """Return how many decisions these are."""
    return int(sum(sum(chosen.values()) for chosen in counts.values()))


def sample(recordings: Recordings, model: str, keep: Callable[[int], bool]) -> Sample:
    """Return the decisions of the runs of ``model`` whose number ``keep`` accepts."""
    counts = {
        condition: count(seen for seen in decisions(condition, rows) if keep(seen.run))
        for condition, rows in recordings.of(model)
    }
    return {condition: found for condition, found in counts.items() if found}


def fit_mind(
    recordings: Recordings, model: str, version: str, report: Report = lambda _: None
) -> RecordedMind:
    """Fit the recorded mind of a model to all its runs.

    Parameters
    ----------
    recordings : Recordings
        The study's recordings.
    model : str
        One of ``recordings.models``.
    version : str
        The version of this package, for the mind's provenance.
    report : callable, optional
        Called with what is being done.

    Returns
    -------
    RecordedMind
        Its provenance states the log-loss on odd-numbered runs of a fit to the even-numbered ones,
        with the same smoothing.
    """
    report("choosing how much to smooth, on even runs")
    smoothing = choose_smoothing(recordings, model)
    report("fitting even runs, scoring odd ones")
    half = build(model, sample(recordings, model, _even), smoothing)
    held = log_loss(half, sample(recordings, model, _odd))
    report("fitting all runs")
    everything = sample(recordings, model, lambda _: True)
    mind = build(model, everything, smoothing)
    report("looking for drift between the odd runs")
    mind.drift = find_drift(recordings, half)
    mind.provenance = _provenance(mind, everything, held, smoothing, version)
    return mind


def choose_smoothing(recordings: Recordings, model: str) -> Smoothing:
    """Return the smoothing with the least cross-validated loss on even runs with two names.

    Where the model was recorded with the pool Q M, which all four models share, that pool decides.
    """
    losses: dict[Smoothing, float] = {}
    pools = [set(condition.pool) for condition, _ in recordings.of(model, "baseline")]
    deciding = [{"Q", "M"}] if {"Q", "M"} in pools else [pool for pool in pools if len(pool) == 2]
    for fold in range(3):
        rest = sample(recordings, model, partial(_in_fold, fold, False))
        held = sample(recordings, model, partial(_in_fold, fold, True))
        for ridge in RIDGES:
            weights, seen = fit_weights(rest, ridge), counted(rest)
            for prior_strength in PRIOR_STRENGTHS:
                policy = RecordedMind(model, weights, seen, prior_strength)
                smoothing = Smoothing(ridge, prior_strength)
                losses[smoothing] = losses.get(smoothing, 0.0) + sum(
                    total_loss(policy, condition.pool, counts)
                    for condition, counts in held.items()
                    if condition.kind == "baseline" and set(condition.pool) in deciding
                )
    return min(losses, key=losses.__getitem__)


def build(label: str, data: Sample, smoothing: Smoothing) -> RecordedMind:
    """Return the mind fitted to ``data``."""
    weights = fit_weights(data, smoothing.ridge)
    return RecordedMind(label, weights, counted(data), smoothing.prior_strength)


def log_loss(policy: Policy, data: Sample) -> dict[Condition, float]:
    """Return the mean negative log-probability (nats) of the recorded decisions, by condition."""
    return {
        condition: total_loss(policy, condition.pool, counts) / size(counts)
        for condition, counts in data.items()
    }


def total_loss(policy: Policy, pool: Sequence[str], counts: Counts) -> float:
    """Return the negative log-probability (nats) of all these decisions together."""
    total = 0.0
    for memory, chosen in counts.items():
        probabilities = dict(zip(pool, policy.distribution(memory, pool), strict=True))
        total -= sum(n * float(np.log(probabilities[name])) for name, n in chosen.items())
    return total


def counted(data: Sample) -> Seen:
    """Return what was chosen on every memory met at least ``OFTEN`` times, by pool."""
    merged: dict[str, dict[Memory, dict[str, float]]] = {}
    for condition, counts in data.items():
        rows = merged.setdefault(pool_key(condition.pool), {})
        for memory, chosen in counts.items():
            row = rows.setdefault(memory, {})
            for name, n in chosen.items():
                row[name] = row.get(name, 0) + n
    return {
        pool: {
            memory: dict(sorted(row.items()))
            for memory, row in rows.items()
            if sum(row.values()) >= OFTEN
        }
        for pool, rows in merged.items()
    }


def fit_weights(data: Sample, ridge: float) -> Weights:
    """Return the weights that fit ``data`` best, rounded and without small ones."""
    return solve(Design(data), ridge)


def solve(
    design: Design, ridge: float, decisions: float = 1.0, precision: float = 1e-11
) -> Weights:
    """Return the weights for decisions laid out already; see ``fit_weights``.

    Each counts as so many ``decisions``. ``precision`` is the relative gain that ends the search.
    """
    from scipy.optimize import minimize

    penalty = penalty_of(design, ridge) / decisions
    solution = minimize(
        design.objective,
        np.zeros(len(design.features)),
        args=(penalty,),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 3_000, "maxcor": 30, "ftol": precision, "gtol": 1e-3},
    ).x
    weights: Weights = {family: {} for family in FAMILIES}
    for (family, feature), weight in zip(design.features, solution, strict=True):
        if abs(weight) >= SMALLEST or family == "name":
            weights[family][feature] = round(float(weight), DECIMALS)
    return weights


def penalty_of(design: Design, ridge: float) -> Floats:
    """Return the ridge penalty of every feature of a design."""
    penalties = _penalties(ridge)
    return np.array([penalties[family](feature) for family, feature in design.features])


def _penalties(ridge: float) -> dict[str, Callable[[str], float]]:
    """Return the ridge penalty of each family as a function of the feature."""

    def by_depth(scale: float) -> Callable[[str], float]:
        return lambda letters: scale * (0.3, 0.5, 0.7, 1.0)[len(letters) - 2]

    return {
        "name": lambda _: 1.0,
        "name_in_pool": lambda _: 3.0,
        "first": lambda _: 3.0,
        "first_in_pool": lambda _: 3.0,
        "met": lambda _: 0.05,
        "lag": lambda _: 0.05,
        "recent": by_depth(ridge),
        "whole": lambda _: ridge,
        "many_lag": lambda _: 0.2,
        "many_recent": by_depth(1.0),
        "many_whole": lambda _: 1.0,
        "name_recent": lambda _: 20.0,
        "name_whole": lambda _: 20.0,
    }


class Design:
    """The decisions as a sparse matrix: a row per memory and name, a column per feature."""

    def __init__(self, data: Sample) -> None:
        columns: dict[tuple[str, str], int] = {}
        indices: list[int] = []
        ends = [0]
        chosen: list[float] = []
        starts = []
        for condition, counts in data.items():
            key, many = pool_key(condition.pool), len(condition.pool) > 2
            for memory, names in counts.items():
                starts.append(len(chosen))
                for name in condition.pool:
                    for feature in _features(name, memory, key, many):
                        indices.append(columns.setdefault(feature, len(columns)))
                    ends.append(len(indices))
                    chosen.append(names.get(name, 0))
        self.features: list[tuple[str, str]] = list(columns)
        self.matrix: Any = sparse.csr_array(
            (np.ones(len(indices)), np.array(indices), np.array(ends)),
            shape=(len(chosen), len(columns)),
        )
        self.transposed: Any = self.matrix.T.tocsr()
        self.starts: NDArray[np.int64] = np.array(starts)
        self.group: NDArray[np.int64] = np.repeat(
            np.arange(len(starts)), np.diff([*starts, len(chosen)])
        )
        self.chosen: NDArray[np.float64] = np.array(chosen, dtype=np.float64)
        self.totals: NDArray[np.float64] = np.add.reduceat(self.chosen, self.starts)

    def weighted(self, weights: Floats) -> Design:
        """Return the same with the decisions on each memory, in order, counting so many times."""
        return self.choosing(self.chosen * weights[self.group])

    def choosing(self, chosen: Floats) -> Design:
        """Return the same with each name chosen so often on each memory, in order."""
        other = copy(self)
        other.chosen = chosen
        other.totals = np.add.reduceat(chosen, self.starts)
        return other

    def of(self, features: Sequence[tuple[str, str]]) -> Design:
        """Return the same with these features alone, in their order."""
        column = {feature: place for place, feature in enumerate(self.features)}
        other = copy(self)
        other.features = list(features)
        other.matrix = self.matrix[:, [column[feature] for feature in features]]
        other.transposed = other.matrix.T.tocsr()
        return other

    def curvature(self, weights: Floats) -> Floats:
        """Return the second derivatives of the negative log-likelihood, shape (features,) * 2."""
        utility = self.matrix @ weights
        utility -= np.maximum.reduceat(utility, self.starts)[self.group]
        exponent = np.exp(utility)
        shares = exponent / np.add.reduceat(exponent, self.starts)[self.group]
        weighted = self.matrix.multiply(shares[:, None]).tocsr()
        ends = np.append(self.starts, len(shares))
        sums = sparse.csr_array((np.ones(len(shares)), np.arange(len(shares)), ends))
        means = sums @ weighted
        each = self.transposed @ weighted.multiply(self.totals[self.group][:, None]).tocsr()
        found: Floats = (each - means.T @ means.multiply(self.totals[:, None]).tocsr()).toarray()
        return found

    def objective(self, weights: Floats, penalty: Floats) -> tuple[float, Floats]:
        """Return the penalised negative log-likelihood and its gradient."""
        utility = self.matrix @ weights
        utility -= np.maximum.reduceat(utility, self.starts)[self.group]
        exponent = np.exp(utility)
        normal = np.add.reduceat(exponent, self.starts)[self.group]
        expected = exponent / normal * self.totals[self.group]
        value = -self.chosen @ (utility - np.log(normal)) + 0.5 * penalty @ weights**2
        gradient = self.transposed @ (expected - self.chosen) + penalty * weights
        return float(value), gradient


def _features(name: str, memory: Memory, pool: str, many: bool) -> Iterable[tuple[str, str]]:
    letters = profile(name, memory)
    yield from alone_features(name, pool, not memory)
    yield from shared_features(letters, many)
    if letters.strip("N"):
        yield from own_features(name, letters)


def _provenance(
    mind: RecordedMind,
    data: Sample,
    held: dict[Condition, float],
    smoothing: Smoothing,
    version: str,
) -> dict[str, Any]:
    return {
        "source": SOURCE,
        "licence": LICENCE,
        "fitted_by": f"mesa_llm_norms {version}",
        "strength": smoothing.ridge,
        "decisions": sum(map(size, data.values())),
        "conditions": [
            {
                "kind": condition.kind,
                "pool": list(condition.pool),
                "decisions": size(data[condition]),
                "log_loss": round(loss, DECIMALS),
                "log_loss_even_to_odd": round(held[condition], DECIMALS)
                if condition in held
                else None,
            }
            for condition, loss in log_loss(mind, data).items()
        ],
    }


def _even(run: int) -> bool:
    return run % 2 == 0


def _odd(run: int) -> bool:
    return run % 2 == 1


def _in_fold(fold: int, wanted: bool, run: int) -> bool:
    return _even(run) and (run // 2 % 3 == fold) is wanted


@dataclass(frozen=True)
class Drift:
    """How much the runs of a pool differ from each other.

    Attributes
    ----------
    spread
        The standard deviation of the logarithm of the runs' inverse temperatures.
    mean
        The median inverse temperature.
    p_value
        How often one policy for all runs would look as uneven.
    inverse_temperatures
        Each run's, shrunk towards ``mean``; indexed by condition and run.
    """

    spread: float
    mean: float
    p_value: float
    inverse_temperatures: pd.Series[float]


def find_drift(recordings: Recordings, mind: RecordedMind) -> dict[str, tuple[float, float]]:
    """Return mean and spread for the pools whose odd runs differ by more than chance.

    ``mind`` is fitted to even runs, so that what is measured is not what was fitted.
    """
    found = {
        pool: measure_drift(mind, conditions)
        for pool, conditions in odd_runs(recordings, mind.label).items()
    }
    return {
        pool: (round(drift.mean, DECIMALS), round(drift.spread, DECIMALS))
        for pool, drift in found.items()
        if drift.p_value < SURE
    }


def odd_runs(recordings: Recordings, model: str) -> dict[str, list[tuple[Condition, pd.DataFrame]]]:
    """Return the odd-numbered runs of a model by the key of their pool."""
    by_pool: dict[str, list[tuple[Condition, pd.DataFrame]]] = {}
    for condition, rows in recordings.of(model):
        odd = rows[rows["run"] % 2 == 1]
        if len(odd):
            by_pool.setdefault(pool_key(condition.pool), []).append((condition, odd))
    return by_pool


def resampled_drift(
    policy: Policy, conditions: Iterable[tuple[Condition, pd.DataFrame]], times: int, rng: Any
) -> Floats:
    """Return mean and spread of the drift on runs drawn with replacement, shape (times, 2)."""
    table = _DecisionTable(policy, conditions)
    likelihood = table.by_run(table.chosen)
    chance = np.random.default_rng(rng)
    found = [
        _estimate(likelihood[chance.integers(0, len(likelihood), len(likelihood))])[1:]
        for _ in range(times)
    ]
    return np.array([(np.exp(mean), spread) for mean, spread in found])


def measure_drift(
    policy: Policy,
    conditions: Iterable[tuple[Condition, pd.DataFrame]],
    rng: Any = 0,
    samples: int = 199,
) -> Drift:
    """Return how much the runs of these conditions, all of one pool, differ under ``policy``.

    ``samples`` is the number of bootstrap samples behind the p-value, ``rng`` their seed.
    """
    table = _DecisionTable(policy, conditions)
    chance = np.random.default_rng(rng)
    likelihood = table.by_run(table.chosen)
    found, mean, spread = _estimate(likelihood)
    common = int(likelihood.sum(axis=0).argmax())
    null = [_estimate(table.by_run(table.resample(common, chance)))[0] for _ in range(samples)]
    above = sum(value >= found for value in null)
    prior = -0.5 * ((GRID - mean) / spread) ** 2
    weights = np.exp(likelihood + prior - (likelihood + prior).max(axis=1, keepdims=True))
    shrunk = np.exp((weights @ GRID) / weights.sum(axis=1))
    by_run = pd.MultiIndex.from_tuples(table.runs, names=["condition", "run"])
    return Drift(
        float(spread),
        float(np.exp(mean)),
        (above + 1) / (samples + 1),
        pd.Series(shrunk, index=by_run, name="inverse_temperature"),
    )


class _DecisionTable:
    """Decisions as counts: a row per run and memory, a column per name."""

    def __init__(
        self, policy: Policy, conditions: Iterable[tuple[Condition, pd.DataFrame]]
    ) -> None:
        counts: dict[tuple[str, int, Memory], Floats] = {}
        pool: tuple[str, ...] = ()
        for condition, rows in conditions:
            pool = pool or tuple(sorted(condition.pool))
            for seen in decisions(condition, rows):
                key = (str(condition), seen.run, seen.memory)
                counts.setdefault(key, np.zeros(len(pool)))[pool.index(seen.name)] += 1
        self.runs = sorted({(condition, run) for condition, run, _ in counts})
        number = {run: place for place, run in enumerate(self.runs)}
        self.run_of = np.array([number[condition, run] for condition, run, _ in counts])
        self.chosen = np.array(list(counts.values()))
        known = {
            memory: np.log(np.array(policy.distribution(memory, pool)))
            for memory in dict.fromkeys(memory for _, _, memory in counts)
        }
        logs = np.array([known[memory] for _, _, memory in counts])
        tempered = np.exp(GRID)[:, None, None] * logs[None]
        tempered -= tempered.max(axis=2, keepdims=True)
        tempered -= np.log(np.exp(tempered).sum(axis=2, keepdims=True))
        self.logs = tempered.reshape(len(GRID), -1).T.copy()

    def by_run(self, chosen: Floats) -> Floats:
        """Return the log-likelihood of every run (row) for every point of the grid (column)."""
        which, name = np.nonzero(chosen)
        shape = (len(self.runs), chosen.size)
        place = (self.run_of[which], which * chosen.shape[1] + name)
        return np.asarray(sparse.csr_array((chosen[which, name], place), shape=shape) @ self.logs)

    def resample(self, point: int, chance: np.random.Generator) -> Floats:
        """Return what the policy, at this point of the grid, chooses on the same memories."""
        totals = self.chosen.sum(axis=1).astype(np.int64)
        probability = np.exp(self.logs[:, point]).reshape(self.chosen.shape)
        probability /= probability.sum(axis=1, keepdims=True)
        return chance.multinomial(totals, probability).astype(np.float64)


def _estimate(likelihood: Floats) -> tuple[float, float, float]:
    """Return twice the log-likelihood gained over one value for all, the best mean and spread."""
    best = (-np.inf, 0.0, float(_SPREADS[0]))
    highest = likelihood.max(axis=1, keepdims=True)
    relative = np.exp(likelihood - highest)
    for spread in _SPREADS:
        priors = np.exp(-0.5 * ((GRID[None] - _MEANS[:, None]) / spread) ** 2)
        priors /= priors.sum(axis=1, keepdims=True)
        value = (np.log(relative @ priors.T + 1e-300) + highest).sum(axis=0)
        place = int(value.argmax())
        if value[place] > best[0]:
            best = (float(value[place]), float(_MEANS[place]), float(spread))
    single = float(likelihood.sum(axis=0).max())
    return 2 * (best[0] - single), best[1], best[2]
