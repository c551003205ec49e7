"""The model on a page: ``solara run models/battle_of_the_sexes/app.py``."""

from mesa_llm_norms.web import page_of
from models.battle_of_the_sexes.model import BattleOfTheSexesModel

Page = page_of(BattleOfTheSexesModel, title="Battle of the sexes")
