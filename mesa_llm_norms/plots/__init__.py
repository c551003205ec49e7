"""Figures of runs, ensembles, sweeps and networks, drawn without pyplot or a screen."""

from mesa_llm_norms.palette import GREY, name_colours
from mesa_llm_norms.places import layout
from mesa_llm_norms.plots.ensemble import plot_ensemble
from mesa_llm_norms.plots.network import MOST_NODES, plot_graph, plot_network
from mesa_llm_norms.plots.rounds import plot_rounds
from mesa_llm_norms.plots.style import figure_bytes, save_figure, write_figure
from mesa_llm_norms.plots.sweep import plot_sweep

__all__ = [
    "GREY",
    "MOST_NODES",
    "figure_bytes",
    "layout",
    "name_colours",
    "plot_ensemble",
    "plot_graph",
    "plot_network",
    "plot_rounds",
    "plot_sweep",
    "save_figure",
    "write_figure",
]
