"""Sweeps: many runs in every cell of a grid, saved as they finish, on one machine or on many."""

from mesa_llm_norms.experiments.sweeps.grid import read_plan
from mesa_llm_norms.experiments.sweeps.runner import Sweep, play_sweep, read_sweep, sweep

__all__ = ["Sweep", "play_sweep", "read_plan", "read_sweep", "sweep"]
