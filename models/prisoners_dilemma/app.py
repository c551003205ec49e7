"""The model on a page: ``solara run models/prisoners_dilemma/app.py``."""

from mesa_llm_norms.web import page_of
from models.prisoners_dilemma.model import PrisonersDilemmaModel

Page = page_of(PrisonersDilemmaModel, title="Prisoner's dilemma")
