"""The study's recordings: reading them, fitting minds to them, and validating what was fitted."""

from mesa_llm_norms.study.recordings import Recordings, read_original, read_recordings

__all__ = ["Recordings", "read_original", "read_recordings"]
