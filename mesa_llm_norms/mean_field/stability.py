"""Whether a population at rest goes back there when it is disturbed a little."""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from mesa_llm_norms.mean_field.population import MEETINGS, Population
from mesa_llm_norms.mean_field.states import Floats

DENSE = 300
"""Up to so many states all eigenvalues are worked out."""


def growth_rate(population: Population, spread: Floats) -> float:
    """Return how fast the slowest small disturbance of ``spread`` grows, per population round.

    That is the largest real part of an eigenvalue of the Jacobian at a spread at rest, where
    negative means that every disturbance dies. The shares of minds cannot be disturbed.
    """
    states, size = population.states, len(population.states)
    heard = population.played(spread)
    arriving = states.arriving(spread)
    masses = states.marks @ spread
    # Moves the eigenvalues that stand for more agents of a mind from zero to where they do no harm.
    shares = (states.marks * spread).T / masses

    def change(disturbance: Floats) -> Floats:
        disturbance = disturbance.ravel()
        moved = states.meet(disturbance, heard)
        heard_more = disturbance @ states.chances - heard * disturbance.sum()
        hears = states.hear(arriving, heard_more)
        held = shares @ (states.marks @ disturbance)
        changed: Floats = MEETINGS * (moved + hears - disturbance - held)
        return changed

    if size > DENSE:
        jacobian = LinearOperator((size, size), matvec=change, dtype=float)
        try:
            found = eigs(
                jacobian, k=1, which="LR", v0=np.linspace(1, 2, size), return_eigenvectors=False
            )
            return float(found.real.max())
        except ArpackNoConvergence:
            pass
    columns = np.array([change(unit) for unit in np.eye(size)]).T
    return float(np.linalg.eigvals(columns).real.max())
