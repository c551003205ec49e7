"""The page: which name each agent holds, why, and what happens when something is changed.

``Page`` is what Solara serves. ``page_of`` makes one for a subclass of ``NamingGame``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import solara
import solara.lab

from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.viz.page.bench import Bench, use_bench
from mesa_llm_norms.viz.page.downloads import Downloads
from mesa_llm_norms.viz.page.figures import Sides
from mesa_llm_norms.viz.page.scene_panel import SceneChoice, ScenePanel
from mesa_llm_norms.viz.page.setting_panel import SettingPanel
from mesa_llm_norms.viz.page.toolbar import Choices, Toolbar
from mesa_llm_norms.viz.setting import Setting

_log = logging.getLogger(__name__)


@solara.component_vue("address.vue")  # type: ignore[untyped-decorator]
def Address(query: str = "") -> None:  # noqa: N802
    """Have the address bar show the setting, so that its link reproduces what is on screen."""


def page_of(model_type: type[NamingGame] = NamingGame, title: str = "Naming game") -> Any:
    """Return a Solara page on which populations of ``model_type`` play."""

    @solara.component  # type: ignore[untyped-decorator]
    def Page() -> None:  # noqa: N802
        bench = use_bench(model_type)

        solara.lab.use_task(bench.watch, dependencies=[])
        solara.Title(title)
        solara.Style(Path(__file__).parent / "page.css")
        _Safe(bench, title)

    return Page


@solara.component  # type: ignore[untyped-decorator]
def _Layout(bench: Bench, title: str) -> None:  # noqa: N802
    # The style sheet has the panel open at first where there is room, and closed elsewhere.
    toggled, toggle = solara.use_state(False)
    with solara.Div(classes=["norms-page", f"norms-wide-{'closed' if toggled else 'open'}"]):
        _Link(bench)
        with solara.Div(classes=["norms-panel"]):
            SettingPanel(bench)
            Downloads(bench)
        with solara.Div(classes=["norms-main"]):
            with solara.Div(classes=["norms-bar", "norms-top"]):
                solara.Button(
                    "",
                    icon_name="mdi-menu",
                    text=True,
                    on_click=lambda: toggle(not toggled),
                    attributes={"data-testid": "panel", "title": "Show or hide the setting"},
                )
                solara.Div(children=[title], classes=["norms-title"])
                SceneChoice(bench)
                Choices(bench)
            ScenePanel(bench)
            Toolbar(bench)
            Sides(bench)


@solara.component  # type: ignore[untyped-decorator]
def _Safe(bench: Bench, title: str) -> None:  # noqa: N802
    """Show the page, or what went wrong in it; one or the other must be all there is in here."""
    error, clear = solara.use_exception()
    if error is None:
        _Layout(bench, title)
    else:
        _Fallen(bench, error, clear)


@solara.component  # type: ignore[untyped-decorator]
def _Fallen(bench: Bench, error: BaseException, clear: Callable[[], None]) -> None:  # noqa: N802
    """Show that something went wrong in the page itself, and a way on."""
    _log.error("unexpected error on the page", exc_info=error)

    def go_on() -> None:
        bench.visit.show(Setting())
        bench.shown.value += 1
        clear()

    with solara.Div(classes=["norms-main"]):
        solara.Div(children=[f"Something went wrong: {error!r}"], classes=["norms-note"])
        solara.Button("Begin anew", on_click=go_on, attributes={"data-testid": "begin-anew"})


@solara.component  # type: ignore[untyped-decorator]
def _Link(bench: Bench) -> None:  # noqa: N802
    Address(query=bench.query.value)


Page = page_of()
