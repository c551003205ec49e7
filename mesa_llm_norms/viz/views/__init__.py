"""What a page is drawn with: network, charts, key figures, an agent. SVG, without any library."""

from mesa_llm_norms.viz.views.agent import AgentView
from mesa_llm_norms.viz.views.chart import RoundsChart, chart_lines
from mesa_llm_norms.viz.views.figures import KeyFigures
from mesa_llm_norms.viz.views.network import NetworkView

__all__ = ["AgentView", "KeyFigures", "NetworkView", "RoundsChart", "chart_lines"]
