"""The page, in Solara: ``page_of`` makes one for ``NamingGame`` or a subclass of it."""

from mesa_llm_norms.viz.page.app import page_of

__all__ = ["page_of"]
