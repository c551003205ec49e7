"""The limit of infinitely many agents on the complete graph, without chance.

An infinite population is a distribution over memories that follows one equation. It says how a
large population evolves, what its equilibria are, and which committed share overturns a convention.
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
