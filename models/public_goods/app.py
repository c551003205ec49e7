"""The model on a page: ``solara run models/public_goods/app.py``."""

import sys
from pathlib import Path

from mesa_llm_norms.web import page_of

sys.path.insert(0, str(Path(__file__).parents[2]))  # solara run does not look there

from models.public_goods.model import PublicGoodsModel

Page = page_of(PublicGoodsModel, title="Public goods")
