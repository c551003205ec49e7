"""Recordings: a live mind asked once, as a mind that plays for ever and costs nothing."""

from mesa_llm_norms.experiments.recording.recorder import record
from mesa_llm_norms.experiments.recording.result import Recorded
from mesa_llm_norms.experiments.recording.validation import RecordingCheck, check_recording

__all__ = ["Recorded", "RecordingCheck", "check_recording", "record"]
