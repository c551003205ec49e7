"""The state of a population in a few numbers, on a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import solara


@solara.component_vue("figures.vue", vuetify=False)  # type: ignore[untyped-decorator]
def _Figures(figures: str = "", testid: str = "") -> None: ...  # noqa: N802


def KeyFigures(figures: Sequence[tuple[str, str]], testid: str = "figures") -> solara.Element:  # noqa: N802
    """Return labels and values as a Solara element."""
    element: Any = _Figures(figures=json.dumps(list(figures)), testid=testid)
    return element
