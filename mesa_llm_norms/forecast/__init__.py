"""What runs with live minds will take before anything is paid: calls, tokens, dollars and time."""

from mesa_llm_norms.forecast.description import describe
from mesa_llm_norms.forecast.forecast import forecast
from mesa_llm_norms.forecast.ranges import Range
from mesa_llm_norms.forecast.result import Forecast, ServerForecast
from mesa_llm_norms.forecast.together import Part, Together, together

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
