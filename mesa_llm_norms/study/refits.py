"""The uncertainty of a fit: fitting again to recorded runs drawn with replacement.

Runs are what differs by chance, not decisions: those of a run share its history, and a model that
was served differently was so for whole runs. So runs are drawn, within each condition, and the
logit is fitted to all decisions of those that are drawn, with the smoothing that was chosen for the
mind. The drift of a pool is estimated again on odd runs drawn with replacement, as it was measured
on odd runs. Nothing is left to chance: the same recordings give the same refits.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize, sparse

from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.minds.recorded import RecordedMind, pool_key
from mesa_llm_norms.minds.refits import (
    COUNT_STEP,
    LARGEST,
    WEIGHT_STEP,
    Refits,
    entries_of,
    features_of,
)
from mesa_llm_norms.study.fit import (
    Design,
    Floats,
    Report,
    Sample,
    Smoothing,
    build,
    odd_runs,
    penalty_of,
    resampled_drift,
    sample,
)
from mesa_llm_norms.study.recordings import Condition, Recordings, decisions

PRECISION = 1e-6
"""Relative gain of likelihood that ends the search of a refit."""


def refit(
    recordings: Recordings,
    mind: RecordedMind,
    times: int,
    report: Report = lambda _: None,
) -> Refits:
    """Fit a mind again and again to runs drawn with replacement.

    Parameters
    ----------
    recordings : Recordings
        What the mind was fitted to.
    mind : RecordedMind
        The mind, of a model that was recorded.
    times : int
        How many refits.
    report : callable, optional
        Called with what is being done.

    Returns
    -------
    Refits
        As they are kept, in steps from the mind.
    """
    data = sample(recordings, mind.label, lambda _: True)
    by_run, runs_of = _by_run(recordings, mind.label, data)
    smoothing = Smoothing(mind.provenance["strength"], mind.prior_strength)
    features, entries = features_of(mind), entries_of(mind)
    fitted = np.array([mind.weights[family][feature] for family, feature in features])
    search = _Search(Design(data).of(features), smoothing.ridge, fitted)
    roots = np.sqrt([mind.fitted_counts[pool][memory][name] for pool, memory, name in entries])
    rows = _rows_of(entries, data)
    chance = np.random.default_rng(0)
    weights, counts = [], []
    for number in range(times):
        report(f"fitting to runs drawn again, {number + 1} of {times}")
        drawn = np.zeros(by_run.shape[1])
        for runs in runs_of:
            np.add.at(drawn, chance.choice(runs, len(runs)), 1)
        chosen = by_run @ drawn
        weights.append(_steps(search.moved(chosen), WEIGHT_STEP))
        counts.append(_steps(np.sqrt(rows @ chosen) - roots, COUNT_STEP))
    return Refits(
        np.array(weights),
        np.array(counts),
        _drift(recordings, mind, smoothing, times),
        features,
        entries,
        sorted(mind.drift),
    )


class _Search:
    """The search for fits near one that is known.

    It begins at that fit, in coordinates in which the likelihood is as curved there in every
    direction: a tenth of the steps then do.
    """

    def __init__(self, design: Design, ridge: float, fitted: Floats) -> None:
        self._design, self._fitted = design, fitted
        self._penalty = penalty_of(design, ridge)
        curvature = design.curvature(fitted)
        curvature[np.diag_indices_from(curvature)] += self._penalty
        self._root = linalg.cholesky(curvature, overwrite_a=True, check_finite=False)

    def moved(self, chosen: Floats) -> Floats:
        """Return by how much the weights move when names are chosen so often."""
        design = self._design.choosing(chosen)

        def objective(place: Floats) -> tuple[float, Floats]:
            value, slope = design.objective(self._fitted + self._solved(place), self._penalty)
            return value, self._solved(slope, "T")

        found = optimize.minimize(
            objective,
            np.zeros(len(self._fitted)),
            jac=True,
            method="L-BFGS-B",
            options={"ftol": PRECISION},
        )
        return self._solved(found.x)

    def _solved(self, right: Floats, trans: Literal["N", "T"] = "N") -> Floats:
        found: Floats = linalg.solve_triangular(self._root, right, trans=trans, check_finite=False)
        return found


def _by_run(
    recordings: Recordings, model: str, data: Sample
) -> tuple[Any, list[NDArray[np.int64]]]:
    """Return how often each row of the design was chosen in each run, and the runs together."""
    places = _places(data)
    at: dict[tuple[int, int], int] = {}
    together = []
    column = 0
    for condition, rows in recordings.of(model):
        runs: dict[int, int] = {}
        for seen in decisions(condition, rows):
            run = runs.setdefault(seen.run, column + len(runs))
            key = places[condition, seen.memory, seen.name], run
            at[key] = at.get(key, 0) + 1
        together.append(np.arange(column, column + len(runs)))
        column += len(runs)
    shape = (len(places), column)
    found: Any = sparse.csr_array((list(at.values()), tuple(zip(*at, strict=True))), shape=shape)
    return found.astype(np.float64), together


def _places(data: Sample) -> dict[tuple[Condition, Memory, str], int]:
    """Return the rows of a design by condition, memory and name."""
    keys = (
        (condition, memory, name)
        for condition, counts in data.items()
        for memory in counts
        for name in condition.pool
    )
    return {key: place for place, key in enumerate(keys)}


def _rows_of(entries: list[tuple[str, Memory, str]], data: Sample) -> Any:
    """Return the rows of a design that each count is the sum of, as ones in a matrix."""
    number = {entry: place for place, entry in enumerate(entries)}
    places = _places(data)
    found = [
        (number[entry], place)
        for (condition, memory, name), place in places.items()
        if (entry := (pool_key(condition.pool), memory, name)) in number
    ]
    shape = (len(entries), len(places))
    return sparse.csr_array(
        (np.ones(len(found)), tuple(zip(*found, strict=True)) or ([], [])), shape=shape
    )


def _steps(moved: Floats, step: float) -> NDArray[np.int8]:
    return np.rint(moved / step).clip(-LARGEST, LARGEST).astype(np.int8)


def _drift(recordings: Recordings, mind: RecordedMind, smoothing: Smoothing, times: int) -> Floats:
    """Return the drift of every refit, by pool: mean and spread."""
    if not mind.drift:
        return np.zeros((times, 0, 2))
    half = build(mind.label, sample(recordings, mind.label, lambda run: run % 2 == 0), smoothing)
    odd = odd_runs(recordings, mind.label)
    pools = sorted(mind.drift)
    return np.stack(
        [resampled_drift(half, odd[pool], times, at) for at, pool in enumerate(pools)], axis=1
    )
