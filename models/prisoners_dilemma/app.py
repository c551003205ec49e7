"""The model on a page: ``solara run models/prisoners_dilemma/app.py``."""

import sys
from pathlib import Path

from mesa_llm_norms.web import page_of

sys.path.insert(0, str(Path(__file__).parents[2]))  # solara run does not look there

from models.prisoners_dilemma.model import PrisonersDilemmaModel

Page = page_of(PrisonersDilemmaModel, title="Prisoner's dilemma")
