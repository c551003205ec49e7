"""Figures of runs, ensembles, sweeps and networks, drawn without pyplot or a screen."""

from mesa_llm_norms.networks.drawing import GREY, layout, name_colors
from mesa_llm_norms.plots.network import MOST_NODES, plot_graph, plot_network
from mesa_llm_norms.plots.runs import plot_ensemble, plot_mean_field, plot_rounds
from mesa_llm_norms.plots.style import figure_bytes, save_figure, write_figure
from mesa_llm_norms.plots.sweeps import plot_sweep

__all__ = [
    "GREY",
    "MOST_NODES",
    "figure_bytes",
    "layout",
    "name_colors",
    "plot_ensemble",
    "plot_graph",
    "plot_mean_field",
    "plot_network",
    "plot_rounds",
    "plot_sweep",
    "save_figure",
    "write_figure",
]
