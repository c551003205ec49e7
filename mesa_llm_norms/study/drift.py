"""Did the recorded model stay the same from run to run? A test, and how much it moved.

A served model may change between recordings: another revision, another machine, other settings. If
it did, no single policy gives the recorded populations, however well it is fitted. Here each run
is allowed a *sharpness* b of its own, which turns the policy's P into P**b renormalised: above one,
the run's agents were more decided than the policy says, below one less. The logarithms of the
sharpnesses are taken as normal, and their mean and spread are estimated by maximum likelihood. The
test compares that likelihood with the one of a single sharpness for all runs, against what such a
policy gives when it decides anew on the recorded memories (parametric bootstrap).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.memory import Memory
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.study.recordings import Condition, decisions

Floats = NDArray[np.float64]

GRID: Floats = np.linspace(-1.2, 1.2, 61)
"""Logarithms of the sharpnesses considered."""
_MEANS: Floats = np.linspace(-0.4, 0.4, 33)
_SPREADS: Floats = np.array([0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.7])


@dataclass(frozen=True)
class Drift:
    """How much the runs of a condition differ from each other.

    ``sharpness`` gives each run's, shrunk towards ``mean``; ``spread`` is the standard deviation of
    its logarithm, ``p_value`` how often one policy for all runs would look as uneven.
    """

    spread: float
    mean: float
    p_value: float
    sharpness: pd.Series[float]


def measure_drift(
    policy: Policy,
    conditions: Iterable[tuple[Condition, pd.DataFrame]],
    rng: Any = 0,
    samples: int = 199,
) -> Drift:
    """Return how much the runs of these conditions, all on one pool, differ under ``policy``."""
    table = _Table(policy, conditions)
    chance = np.random.default_rng(rng)
    likelihood = table.by_run(table.chosen)
    found, mean, spread = _estimate(likelihood)
    common = int(likelihood.sum(axis=0).argmax())
    null = [_estimate(table.by_run(table.resample(common, chance)))[0] for _ in range(samples)]
    above = sum(value >= found for value in null)
    prior = -0.5 * ((GRID - mean) / spread) ** 2
    weights = np.exp(likelihood + prior - (likelihood + prior).max(axis=1, keepdims=True))
    shrunk = np.exp((weights @ GRID) / weights.sum(axis=1))
    return Drift(
        float(spread),
        float(np.exp(mean)),
        (above + 1) / (samples + 1),
        pd.Series(
            shrunk,
            index=pd.MultiIndex.from_tuples(table.runs, names=["condition", "run"]),
            name="sharpness",
        ),
    )


class _Table:
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
        place = {run: number for number, run in enumerate(self.runs)}
        self.run_of = np.array([place[condition, run] for condition, run, _ in counts])
        self.chosen = np.array(list(counts.values()))
        known: dict[Memory, Floats] = {}
        for _, _, memory in counts:
            if memory not in known:
                known[memory] = np.log(np.array(policy.distribution(memory, pool)))
        logs = np.array([known[memory] for _, _, memory in counts])
        sharper = np.exp(GRID)[:, None, None] * logs[None]
        sharper -= sharper.max(axis=2, keepdims=True)
        sharper -= np.log(np.exp(sharper).sum(axis=2, keepdims=True))
        self.logs = sharper.reshape(len(GRID), -1).T.copy()

    def by_run(self, chosen: Floats) -> Floats:
        """Return the log-likelihood of every run (row) at every sharpness of the grid (column)."""
        which, name = np.nonzero(chosen)
        shape = (len(self.runs), chosen.size)
        place = (self.run_of[which], which * chosen.shape[1] + name)
        return np.asarray(sparse.csr_array((chosen[which, name], place), shape=shape) @ self.logs)

    def resample(self, sharpness: int, chance: np.random.Generator) -> Floats:
        """Return what the policy, at this place of the grid, chooses on the same memories."""
        totals = self.chosen.sum(axis=1).astype(np.int64)
        probability = np.exp(self.logs[:, sharpness]).reshape(self.chosen.shape)
        probability /= probability.sum(axis=1, keepdims=True)
        return chance.multinomial(totals, probability).astype(np.float64)


def _estimate(likelihood: Floats) -> tuple[float, float, float]:
    """Return twice the log-likelihood gained over one sharpness, the best mean and spread."""
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
