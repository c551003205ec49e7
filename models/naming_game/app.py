"""The model on a page: ``solara run models/naming_game/app.py``."""

from mesa_llm_norms.web import page_of
from models.naming_game.model import NamingGameModel

Page = page_of(NamingGameModel)
