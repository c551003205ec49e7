"""The model on a page: ``solara run models/public_goods/app.py``."""

from mesa_llm_norms.web import page_of
from models.public_goods.model import PublicGoodsModel

Page = page_of(PublicGoodsModel, title="Public goods")
