"""A small page for the tests of the server.

It shows what is clicked and what its own widget says, and tells standard error who leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import solara


@solara.component_vue("small_widget.vue")  # type: ignore[untyped-decorator]
def Picker(said: str = "", event_pick: Callable[[str], None] | None = None) -> None:  # noqa: N802
    """A widget with a template of its own, as the network view is."""


@solara.component  # type: ignore[untyped-decorator]
def Page() -> None:  # noqa: N802
    clicks, set_clicks = solara.use_state(0)
    picked, set_picked = solara.use_state("nothing")

    def stay() -> Callable[[], None]:
        return lambda: print("a viewer left", file=sys.stderr, flush=True)

    solara.use_effect(stay, [])
    solara.Title("Small page")
    solara.Button(f"clicked {clicks}", on_click=lambda: set_clicks(clicks + 1))
    Picker(said=picked, event_pick=set_picked)
    solara.Text(f"picked {picked}")
    solara.Text(f"query {solara.use_router().search}")
