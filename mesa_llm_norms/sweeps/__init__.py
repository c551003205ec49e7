"""Sweeps: many runs in every cell of a grid, kept as they get done, on one machine or on many."""

from mesa_llm_norms.sweeps.axes import Axis
from mesa_llm_norms.sweeps.cells import Cell, Game, Runner, Tables
from mesa_llm_norms.sweeps.folder import Folder, Memory
from mesa_llm_norms.sweeps.plan import Plan, make_plan, read_plan
from mesa_llm_norms.sweeps.play import Missing, find_missing
from mesa_llm_norms.sweeps.sweep import Sweep, play_sweep, read_sweep, sweep

__all__ = [
    "Axis",
    "Cell",
    "Folder",
    "Game",
    "Memory",
    "Missing",
    "Plan",
    "Runner",
    "Sweep",
    "Tables",
    "find_missing",
    "make_plan",
    "play_sweep",
    "read_plan",
    "read_sweep",
    "sweep",
]
