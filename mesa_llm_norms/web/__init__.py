"""The page on which populations are watched, and its views for Mesa's own page and notebooks.

Everything is loaded on first use: ``page_of``, ``names_network`` and ``names_chart`` import Solara,
which reads its settings at that moment; ``read_scenes`` and ``measure`` are about scenes for class.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mesa_llm_norms.web.page import page_of
    from mesa_llm_norms.web.scenes import measure, read_scenes
    from mesa_llm_norms.web.views import names_chart, names_network

__all__ = ["measure", "names_chart", "names_network", "page_of", "read_scenes"]

_MODULES = {
    "measure": "scenes",
    "names_chart": "views",
    "names_network": "views",
    "page_of": "page",
    "read_scenes": "scenes",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
