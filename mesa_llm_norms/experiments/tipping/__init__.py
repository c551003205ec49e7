"""How many committed agents overturn a convention, and what else would undo or prevent it."""

from mesa_llm_norms.experiments.tipping.dose_response import Dose, DoseResponse, fit_dose_response
from mesa_llm_norms.experiments.tipping.interventions import (
    Comparison,
    Intervention,
    compare_interventions,
)
from mesa_llm_norms.experiments.tipping.search import Tipping, TippingPoint, tip

__all__ = [
    "Comparison",
    "Dose",
    "DoseResponse",
    "Intervention",
    "Tipping",
    "TippingPoint",
    "compare_interventions",
    "fit_dose_response",
    "tip",
]
