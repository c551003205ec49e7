"""Experiments: sweeps, tipping points and interventions, audits, recordings, and forecasts."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.audits import Audit, audit
    from mesa_llm_norms.experiments.cards import MindCard, mind_card
    from mesa_llm_norms.experiments.cost_forecast import (
        Forecast,
        ModelForecast,
        describe,
        forecast,
        forecast_model,
    )
    from mesa_llm_norms.experiments.recording import (
        Recorded,
        RecordingCheck,
        check_recording,
        record,
    )
    from mesa_llm_norms.experiments.sweeps import Sweep, play_sweep, read_plan, read_sweep, sweep
    from mesa_llm_norms.experiments.tipping import (
        Comparison,
        Intervention,
        Tipping,
        TippingPoint,
        compare_interventions,
        tip,
    )

_ON_USE = {
    "Audit": "audits",
    "Comparison": "tipping",
    "Forecast": "cost_forecast",
    "Intervention": "tipping",
    "MindCard": "cards",
    "ModelForecast": "cost_forecast",
    "Recorded": "recording",
    "RecordingCheck": "recording",
    "Sweep": "sweeps",
    "Tipping": "tipping",
    "TippingPoint": "tipping",
    "audit": "audits",
    "check_recording": "recording",
    "compare_interventions": "tipping",
    "describe": "cost_forecast",
    "forecast": "cost_forecast",
    "forecast_model": "cost_forecast",
    "mind_card": "cards",
    "play_sweep": "sweeps",
    "read_plan": "sweeps",
    "read_sweep": "sweeps",
    "record": "recording",
    "sweep": "sweeps",
    "tip": "tipping",
}
"""What is imported from where when it is first used: no experiment loads what others need."""

__all__ = [
    "Audit",
    "Comparison",
    "Forecast",
    "Intervention",
    "MindCard",
    "ModelForecast",
    "Recorded",
    "RecordingCheck",
    "Sweep",
    "Tipping",
    "TippingPoint",
    "audit",
    "check_recording",
    "compare_interventions",
    "describe",
    "forecast",
    "forecast_model",
    "mind_card",
    "play_sweep",
    "read_plan",
    "read_sweep",
    "record",
    "sweep",
    "tip",
]


def __getattr__(name: str) -> Any:
    if name in _ON_USE:
        return getattr(import_module(f"{__name__}.{_ON_USE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name)
