"""Recordings: a live mind asked once, as a mind that plays for ever and costs nothing."""

from mesa_llm_norms.experiments.recording.recorder import record
from mesa_llm_norms.experiments.recording.result import Recorded

__all__ = ["Recorded", "record"]
