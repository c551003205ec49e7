"""The page on which populations are watched, and its views for Mesa's own page and notebooks.

``page_of``, ``names_network`` and ``names_chart`` are loaded on first use, because they import
Solara, which reads its settings at that moment.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mesa_llm_norms.web.page import page_of
    from mesa_llm_norms.web.views import names_chart, names_network

__all__ = ["names_chart", "names_network", "page_of"]

_MODULES = {"names_chart": "views", "names_network": "views", "page_of": "page"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
