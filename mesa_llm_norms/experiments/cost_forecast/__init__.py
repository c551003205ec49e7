"""What runs with live minds will take before anything is paid: calls, tokens, dollars and time."""

from mesa_llm_norms.experiments.cost_forecast.estimate import forecast
from mesa_llm_norms.experiments.cost_forecast.result import (
    Forecast,
    Part,
    Range,
    ServerForecast,
    Together,
    describe,
    together,
)

__all__ = [
    "Forecast",
    "Part",
    "Range",
    "ServerForecast",
    "Together",
    "describe",
    "forecast",
    "together",
]
