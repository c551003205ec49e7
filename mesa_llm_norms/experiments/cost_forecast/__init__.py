"""What runs with live minds will take before anything is paid: calls, tokens, dollars and time."""

from mesa_llm_norms.experiments.cost_forecast.any_model import ModelForecast, forecast_model
from mesa_llm_norms.experiments.cost_forecast.estimate import forecast
from mesa_llm_norms.experiments.cost_forecast.result import Forecast, describe

__all__ = ["Forecast", "ModelForecast", "describe", "forecast", "forecast_model"]
