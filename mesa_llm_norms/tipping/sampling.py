"""Where the next runs go: first to find the steep part of the curve, then to learn it.

After Neyer, "A D-optimality-based sensitivity test" (Technometrics 36, 61, 1994): bisect until the
counts that flip more than half of their runs and those that flip fewer are neighbours; from then
on, always play the count that adds most to the determinant of the Fisher information on position
and slope of the curve fitted so far. For a logistic curve those are counts at which about one run
in six flips, or does not (Silvey, *Optimal Design*, 1980). The choice depends on nothing but the
results so far, so a seed gives the same samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mesa_llm_norms.tipping.dose import Dose, fit_dose_response, information, merge

BATCHES = 40
"""Into how many batches a budget is divided."""
FEWEST = 10
"""Runs in a batch, at least, unless there are then fewer than ``LEAST_BATCHES``."""
LEAST_BATCHES = 8

ALONE = 4
"""Batches that go to a population with nobody committed, which comes first: how stable it is."""
LARGEST = 5
"""They are no more than one run in so many."""


def batch_size(budget: int) -> int:
    """Return how many runs are played at a count before the next is chosen."""
    return max(1, min(FEWEST, budget // LEAST_BATCHES), budget // BATCHES)


def first_batch(budget: int) -> int:
    """Return how many runs are played with nobody committed, at first."""
    return max(1, min(ALONE * batch_size(budget), budget // LARGEST))


def next_count(doses: Sequence[Dose], most: int, batch: int) -> int:
    """Return how many agents to commit in the next batch, from 0 to ``most``.

    The two ends come first: at 0 it is seen how stable the convention is by itself.
    """
    known = merge(doses)
    tried = {dose.committed: dose for dose in known}
    for end in (0, most):
        if end not in tried:
            return end
    below = max((c for c, dose in tried.items() if 2 * dose.flipped < dose.runs), default=0)
    above = min(
        (c for c, dose in tried.items() if 2 * dose.flipped >= dose.runs and c > below),
        default=most,
    )
    if above - below > 1 and (below + above) // 2 not in tried:
        return (below + above) // 2
    curve = fit_dose_response(known)
    if curve.slope == 0:  # all on one side: the end that is nearest to one half
        return most if curve.critical_mass.value > 0 else 0
    counts = np.arange(most + 1, dtype=float)
    middle, slope = curve.critical_mass.value, curve.slope
    each = information(counts, np.full(len(counts), float(batch)), middle, slope)
    played = np.array([[dose.committed, dose.runs] for dose in known], dtype=float)
    so_far = information(played[:, 0], played[:, 1], middle, slope).sum(axis=0)
    total = so_far + each
    gain = total[:, 0, 0] * total[:, 1, 1] - total[:, 0, 1] * total[:, 1, 0]
    return int(np.argmax(np.round(gain / max(float(gain.max()), 1e-300), 9)))
