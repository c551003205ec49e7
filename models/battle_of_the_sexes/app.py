"""The model on a page: ``solara run models/battle_of_the_sexes/app.py``."""

import sys
from pathlib import Path

from mesa_llm_norms.web import page_of

sys.path.insert(0, str(Path(__file__).parents[2]))  # solara run does not look there

from models.battle_of_the_sexes.model import BattleOfTheSexesModel

Page = page_of(BattleOfTheSexesModel, title="Battle of the sexes")
