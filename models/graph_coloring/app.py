"""The model on a page: ``solara run models/graph_coloring/app.py``."""

from mesa_llm_norms.web import page_of
from models.graph_coloring.model import GraphColoringModel

Page = page_of(GraphColoringModel, title="Graph coloring")
