"""How many committed agents overturn a convention, and what else would undo or prevent it."""

from mesa_llm_norms.tipping.answer import Tipping, TippingPoint
from mesa_llm_norms.tipping.comparison import Comparison, compare_interventions
from mesa_llm_norms.tipping.dose import Dose, DoseResponse, fit_dose_response
from mesa_llm_norms.tipping.interventions import Intervention
from mesa_llm_norms.tipping.tip import tip

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
