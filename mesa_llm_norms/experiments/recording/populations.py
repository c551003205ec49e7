"""Populations of a mind that is being recorded: which memories they visit, and how they end."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mesa_llm_norms.analysis.intervals import total_variation
from mesa_llm_norms.core.game import Memory, remember
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.simulation.ensemble import play_ensemble, start_run
from mesa_llm_norms.simulation.spec import Spec

GOAL = Goal("converged")
ROUNDS = 40
"""Population rounds after which a population that has not converged is left."""

VISITORS = 200
"""Populations whose memories are counted, at most."""

ENOUGH = 50_000
"""After how many interactions no more are counted."""


class Change(NamedTuple):
    """How far two sets of populations are from each other; each is 0 to 1.

    Attributes
    ----------
    success : float
        The largest difference between their mean success rates in any round.
    winners : float
        The total variation between the shares of populations that each name won, and none.
    time : float
        The Kolmogorov-Smirnov distance between the interactions they needed to converge.
    """

    success: float
    winners: float
    time: float


class Outcomes(NamedTuple):
    """How the populations of a mind end.

    Attributes
    ----------
    interactions : numpy.ndarray
        What each population needed to converge; infinity where it did not.
    winners : numpy.ndarray
        The share of populations that each name of the pool won, and last the share without one.
    success : numpy.ndarray
        The mean success rate by population round; populations that converged count as 1 from then.
    """

    interactions: NDArray[np.float64]
    winners: NDArray[np.float64]
    success: NDArray[np.float64]

    def change(self, other: Outcomes) -> Change:
        """Return how far these populations are from others."""
        length = max(len(self.success), len(other.success))
        one, two = (
            np.pad(it.success, (0, length - len(it.success)), constant_values=it.success[-1])
            for it in (self, other)
        )
        mine, theirs = (np.nan_to_num(it.interactions, posinf=1e12) for it in (self, other))
        return Change(
            float(np.abs(one - two).max()),
            float(total_variation(self.winners, other.winners)),
            float(stats.ks_2samp(mine, theirs).statistic),
        )


def outcomes(spec: Spec, runs: int) -> Outcomes:
    """Play populations to convergence, and return how they end."""
    played = play_ensemble(spec, runs=runs, goal=GOAL, rounds=ROUNDS)
    converged = played.runs["converged"].to_numpy()
    needed = np.where(converged, played.runs["interactions"].to_numpy(), np.inf)
    won = played.runs["winner"].to_numpy()
    winners = [float((converged & (won == name)).mean()) for name in spec.game.pool]
    by_round = played.rounds.groupby("round")["success_rate"]
    ended = 1 - by_round.count() / runs
    success = (by_round.mean() * (1 - ended) + ended).to_numpy()
    return Outcomes(needed, np.array([*winners, 1 - sum(winners)]), success)


def visits(spec: Spec, runs: int = VISITORS, enough: int = ENOUGH) -> Counter[Memory]:
    """Play populations to convergence, and return how often an agent chose on each memory."""
    found: Counter[Memory] = Counter()
    for run in range(runs):
        if found.total() >= 2 * enough:
            break
        initial = spec.initial_state(run)
        played = start_run(spec, initial, "auto")
        played.play_to(GOAL, ROUNDS, keep=True)
        memories = dict.fromkeys(initial.minds_by_node, initial.start)
        for row in played.rows:
            for node, own, partner in (
                (row.node_a, row.name_a, row.name_b),
                (row.node_b, row.name_b, row.name_a),
            ):
                found[memories[node]] += 1
                memories[node] = remember(memories[node], own, partner, spec.game.memory)
    return found
