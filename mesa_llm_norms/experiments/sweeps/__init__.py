"""Sweeps: many runs in every cell of a grid, kept as they get done, on one machine or on many."""

from mesa_llm_norms.experiments.sweeps.cells import Cell, Folder, Game, Memory, Runner, Tables
from mesa_llm_norms.experiments.sweeps.grid import Axis, Plan, make_plan, read_plan
from mesa_llm_norms.experiments.sweeps.sweep import (
    Missing,
    Sweep,
    find_missing,
    play_sweep,
    read_sweep,
    sweep,
)

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
