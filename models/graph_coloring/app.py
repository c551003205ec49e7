"""The model on a page: ``solara run models/graph_coloring/app.py``."""

import sys
from pathlib import Path

from mesa_llm_norms.web import page_of

sys.path.insert(0, str(Path(__file__).parents[2]))  # solara run does not look there

from models.graph_coloring.model import GraphColoringModel

Page = page_of(GraphColoringModel, title="Graph coloring")
