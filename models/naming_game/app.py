"""The model on a page: ``solara run models/naming_game/app.py``."""

import sys
from pathlib import Path

from mesa_llm_norms.web import page_of

sys.path.insert(0, str(Path(__file__).parents[2]))  # solara run does not look there

from models.naming_game.model import NamingGameModel

Page = page_of(NamingGameModel)
