"""The game of infinitely many agents on a complete graph, without chance: what populations tend to.

Every agent is a memory, and a population is how its agents are spread over memories. An agent's
next partner is anybody, so where there are infinitely many of them the spread follows one equation.
It says where a population goes, where it may rest, and which committed share makes it leave.
"""

from mesa_llm_norms.mean_field.critical import (
    ClassicalMeanField,
    CriticalShare,
    classical_critical_share,
    classical_mean_field,
    critical_share,
)
from mesa_llm_norms.mean_field.dynamics import MeanField, mean_field
from mesa_llm_norms.mean_field.equilibria import Basins, FixedPoint, basins, fixed_points

__all__ = [
    "Basins",
    "ClassicalMeanField",
    "CriticalShare",
    "FixedPoint",
    "MeanField",
    "basins",
    "classical_critical_share",
    "classical_mean_field",
    "critical_share",
    "fixed_points",
    "mean_field",
]
