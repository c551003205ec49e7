"""The page: which name each agent holds, why, and what happens when something is changed.

``Page`` is what Solara serves; ``page_of`` makes one for a subclass of ``NetworkGame``. Components
take the page's state and act through the viewer's session.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import solara

from mesa_llm_norms.model import NamingGame, NetworkGame
from mesa_llm_norms.web.controls import Choices, Seeking, Toolbar
from mesa_llm_norms.web.lesson import Many, SceneView
from mesa_llm_norms.web.model_source import server_settings
from mesa_llm_norms.web.page_state import (
    LiveChannel,
    PageState,
    Views,
    use_live_views,
    use_page_state,
)
from mesa_llm_norms.web.player import Order, Player
from mesa_llm_norms.web.scenes.scene import read_scenes
from mesa_llm_norms.web.setting import describe_difference
from mesa_llm_norms.web.settings_panel import Export, SettingsPanel
from mesa_llm_norms.web.share import Share
from mesa_llm_norms.web.start import Start
from mesa_llm_norms.web.teacher import ClassLink
from mesa_llm_norms.web.views import (
    MOST_LABELS,
    SHARES_TITLE,
    AgentView,
    ExplainedView,
    KeyFigures,
    NetworkView,
    RoundsChart,
    chart_lines,
    details_text,
    explained_values,
    figure_values,
    network_values,
    scale_text,
    success_title,
)

_NO_SCENE = "None (explore freely)"
_OTHER_END = "Click the agent at the other end of the edge."
_HINT = "Click an agent to see what it remembers and what it would play next."

_KEYS = {"step": Order.STEP, "round": Order.ROUND}

_log = logging.getLogger(__name__)


# The page


def page_of(model_type: type[NetworkGame] = NamingGame, title: str = "Naming game") -> Any:
    """Return a Solara page on which populations of a model play.

    Parameters
    ----------
    model_type : type of NetworkGame, default NamingGame
        A subclass of ``NetworkGame`` or ``NamingGame``, whose arguments can be left out but for
        those of ``NamingGame``. Its own reporters are shown as charts. If it has a step of its
        own, that is what plays: the page stops between whole steps only, and says so.
    title : str, default "Naming game"
        The heading of the page, and its title in the browser.

    Returns
    -------
    Any
        A Solara component, to be called ``Page`` in a module served by ``solara run``.
    """

    @solara.component  # type: ignore[untyped-decorator]
    def Page() -> None:  # noqa: N802
        state = use_page_state(model_type)
        solara.Title(title)
        solara.Style(Path(__file__).parent / "page.css")
        _Safe(state, title)

    return Page


@solara.component_vue("vue/address.vue")  # type: ignore[untyped-decorator]
def _Address(  # noqa: N802
    query: str = "",
    before: str = "",
    entry: str = "",
    visited: int = 0,
    present: bool = False,
    language: str = "",
    event_key: Callable[[str], object] | None = None,
    event_visit: Callable[[list[Any]], object] | None = None,
) -> None:
    """Show the link to what is on screen in the address bar, and hear keys pressed on the page.

    With another ``entry``, there is one more in the browser's history, and the one it leads back to
    has the link ``before``. ``event_visit`` is called with the number and the link of one that the
    browser was sent to; it is there once ``visited`` is that number.
    """


@solara.component  # type: ignore[untyped-decorator]
def _Link(state: PageState) -> None:  # noqa: N802
    session, presenting = state.session, state.presenting.value
    mode = "&".join(filter(None, ("present=1" if presenting else "", state.spoken)))

    def press(key: str) -> None:
        if key == "play":
            state.give(Order.PAUSE if session.playing else Order.PLAY)
        elif key == "back" and session.replaying:
            at = session.players[0].frame.interactions
            state.attempt(lambda: session.seek(0, max(0, at - 1)), other=False)
        elif key in _KEYS and not session.playing:
            state.give(_KEYS[key])

    address = _Address(
        present=presenting,
        language=state.language.value,
        event_key=press,
        event_visit=lambda asked: state.visit(*asked),
    )

    def values() -> dict[str, Any]:
        entry, visited = state.entry, state.visited
        query, before = (
            "&".join(filter(None, (mode, link))) for link in (state.link(), session.before)
        )
        return {"query": query, "before": before, "entry": entry, "visited": visited}

    use_live_views(state.live, {"address": (address, values)})


@solara.component_vue("vue/connection.vue", vuetify=False)  # type: ignore[untyped-decorator]
def _Connection() -> None:  # noqa: N802
    """Connect again when the connection breaks, and say so."""


@solara.component  # type: ignore[untyped-decorator]
def _Live(state: PageState) -> None:  # noqa: N802
    channel = LiveChannel(event_ready=state.live.ready, event_drawn=state.live.drawn)
    solara.use_effect(lambda: state.live.open(solara.get_widget(channel)), [])


@solara.component  # type: ignore[untyped-decorator]
def _Safe(state: PageState, title: str) -> None:  # noqa: N802
    """Show the page, or what failed in it; one of the two must be all there is in here."""
    error, clear = solara.use_exception()
    if error is None:
        _Layout(state, title)
    else:
        _Failed(state, error, clear)


@solara.component  # type: ignore[untyped-decorator]
def _Failed(state: PageState, error: BaseException, clear: Callable[[], None]) -> None:  # noqa: N802
    _log.error("unexpected error on the page", exc_info=error)

    def start_over() -> None:
        state.session.show(state.session.usual)
        state.shown.value += 1
        clear()

    with solara.Div(classes=["norms-main"]):
        solara.Div(children=[f"The page failed: {error!r}"], classes=["norms-note"])
        solara.Button("Start over", on_click=start_over, attributes={"data-testid": "start-over"})


@solara.component  # type: ignore[untyped-decorator]
def _Layout(state: PageState, title: str) -> None:  # noqa: N802
    # The style sheet opens the panel at first where there is room and no scene, and closes it
    # elsewhere. Where there is room the page is as high as the window, and its parts scroll.
    toggled, toggle = solara.use_state(False)
    state.shown.get()
    classes = {
        "norms-toggled": toggled,
        "norms-explaining": state.explaining.value,
        "norms-present": state.presenting.value,
        "norms-with-scene": state.session.scene is not None,
        "norms-with-story": state.session.scene is not None or len(state.session.players) > 1,
    }
    with solara.Div(classes=["norms-page", *(name for name, true in classes.items() if true)]):
        _Link(state)
        _Live(state)
        _Connection()
        if state.session.starting:
            Start(state, title)
            ClassLink()
            return
        with solara.Div(classes=["norms-panel"]):
            SettingsPanel(state)
            Export(state)
        with solara.Div(classes=["norms-main"]):
            with solara.Div(classes=["norms-head"]):
                with solara.Div(classes=["norms-bar", "norms-top"]):
                    solara.Button(
                        "",
                        icon_name="mdi-menu",
                        text=True,
                        on_click=lambda: toggle(not toggled),
                        attributes={
                            "data-testid": "panel",
                            "title": state.say("Show or hide the settings"),
                            "aria-label": state.say("Settings"),
                        },
                    )
                    if state.session.has_start:
                        _Home(state)
                    solara.v.Html(tag="h1", children=[state.say(title)], class_="norms-title")
                    _SceneChoice(state)
                    Share(state)
                Choices(state)
                Toolbar(state)
            _Messages(state)
            _Story(state)
            _Sides(state)


@solara.component  # type: ignore[untyped-decorator]
def _Home(state: PageState) -> None:  # noqa: N802
    solara.Button(
        "",
        icon_name="mdi-home-outline",
        text=True,
        on_click=lambda: state.attempt(state.session.go_home),
        attributes={
            "data-testid": "home",
            "title": state.say("To the first screen, with all scenes"),
            "aria-label": state.say("First screen"),
        },
    )


@solara.component  # type: ignore[untyped-decorator]
def _Messages(state: PageState) -> None:  # noqa: N802
    state.shown.get()
    messages = [state.problem.value, state.session.notice]
    for _, phase, note, error, _ in state.status.value:
        messages += [error, note]
        if phase == "pausing":
            whole = state.session.whole_steps
            messages.append(
                "Pausing: the step under way is taken to its end."
                if whole
                else "Pausing: calls already made may still be answered."
            )
    if state.session.whole_steps:
        messages.append(
            "This model has a step of its own, so play stops between whole steps, not between "
            "interactions. Changes made by hand take effect before the next step."
        )
    attributes = {"data-testid": "messages", "role": "status"}
    with solara.Div(classes=["norms-messages"], attributes=attributes):
        for text in dict.fromkeys(filter(None, messages)):
            solara.Div(children=[text], classes=["norms-note"])


# Scenes


@solara.component  # type: ignore[untyped-decorator]
def _SceneChoice(state: PageState) -> None:  # noqa: N802
    state.shown.get()
    session = state.session
    language = state.language.value
    scenes = solara.use_memo(lambda: read_scenes(server_settings().scenes, language), [language])
    if session.replaying:
        return
    titles = {"": state.say(_NO_SCENE)} | {key: scene.title for key, scene in scenes.items()}
    shown = session.scene.key if session.scene is not None else ""

    def choose(key: str | None) -> None:
        if key == "":
            state.attempt(session.change)
        elif key is not None and key != shown:
            state.attempt(lambda: session.open_scene(key))

    solara.v.Select(
        label=state.say("Scene"),
        items=[{"text": title, "value": key} for key, title in titles.items()],
        v_model=shown,
        on_v_model=choose,
        dense=True,
        hide_details=True,
        class_="norms-scenes",
        attributes={"data-testid": "scene"},
    )


@solara.component  # type: ignore[untyped-decorator]
def _Story(state: PageState) -> None:  # noqa: N802
    """Show what is read beside the pictures: a scene, and an agent of one of two populations."""
    state.shown.get()
    scene = state.scene
    with solara.Div(classes=["norms-story"]):
        if scene is not None:
            SceneView(state, scene).key(scene.key)
        if len(state.session.players) > 1:
            _AgentBeside(state)


# Populations


@solara.component  # type: ignore[untyped-decorator]
def _Sides(state: PageState) -> None:  # noqa: N802
    """Show the populations.

    No component subscribes to frames, but to what they are made of: see ``LiveViews``.
    """
    state.shown.get()
    state.layout.get()
    players = state.session.players
    with solara.Div(classes=["norms-sides", f"norms-{len(players)}"]):
        for side, player in enumerate(players):
            # The views stay when a population starts over, or they would be empty for a moment.
            _Population(state, side, player).key(f"{side} {player.setting.topology}")


@solara.component  # type: ignore[untyped-decorator]
def _Population(state: PageState, side: int, player: Player) -> None:  # noqa: N802
    """Show key figures, network and charts, and the selected agent if there is no other side."""
    state.layout.get()
    frame = player.frame
    live: Views = {}
    use_live_views(state.live, live)
    chosen, first = (
        end[1] if end is not None and end[0] == side else -1
        for end in (state.selected.value, state.first_end.value)
    )
    success = solara.use_memo(lambda: chart_lines(["success"]), [])
    shares = solara.use_memo(lambda: chart_lines(frame.pool), [frame.pool])
    settings, explaining = state.session.settings, state.explaining.value
    alone = len(settings) == 1
    with solara.Div(classes=["norms-side"], attributes={"data-testid": f"side-{side}"}):
        if not alone:
            scene = state.scene
            named = scene.heading(side) if scene is not None else ""
            heading = named or describe_difference(*settings[:: 1 - 2 * side])
            solara.v.Html(tag="h2", children=[heading], class_="norms-heading")
        figures = KeyFigures(testid=f"figures-{side}")
        live[side, "figures"] = figures, lambda: figure_values(player.frame, state.say)
        if state.session.replaying:
            Seeking(state, side, player)
        with solara.Div(classes=["norms-views"]):
            with solara.Div(classes=["norms-network"]):
                network = NetworkView(
                    selected=chosen,
                    second=first,
                    labels=len(frame.codes) <= MOST_LABELS,
                    by_degree=state.by_degree.value,
                    height="",
                    hint=state.say(_OTHER_END) if first >= 0 else "",
                    event_pick=lambda index: state.pick(side, index),
                )
                live[side, "network"] = network, lambda: network_values(player.frame, explaining)
            with solara.Div(classes=["norms-charts"]):
                if explaining:
                    explained = ExplainedView(
                        event_pick=lambda index: state.select(side, index),
                        event_follow=lambda index: state.follow(side, index),
                    )
                    live[side, "explained"] = explained, lambda: explained_values(player)
                if alone and chosen >= 0:
                    _Agent(state, side, chosen, player)
                if frame.pool:
                    title = state.say(success_title(frame.success_name))
                    chart = RoundsChart(title=title, lines=success, height=0)
                    chart.key("success")
                    live[side, "success"] = chart, lambda: {"points": player.frame.successes}
                    chart = RoundsChart(title=state.say(SHARES_TITLE), lines=shares, height=0)
                    chart.key("shares")
                    live[side, "shares"] = chart, lambda: {"points": player.frame.shares}
                for place, one in enumerate(frame.measures):
                    chart = RoundsChart(title=one.name, lines=chart_lines([one.name]), height=0)
                    chart.key(f"measure {one.name}")
                    live[side, place] = chart, partial(_measured, player, place)
                if alone and chosen < 0:
                    solara.Div(children=[state.say(_HINT)], classes=["norms-hint"])
                if side == 0 and not state.session.replaying and state.session.scene is None:
                    Many(state)


@solara.component  # type: ignore[untyped-decorator]
def _Agent(state: PageState, side: int, index: int, player: Player) -> None:  # noqa: N802
    """Show the details of the selected agent."""
    pool = player.frame.pool
    live: Views = {}
    use_live_views(state.live, live)

    def values() -> dict[str, str]:
        details = player.details(index)
        return {} if details is None else {"details": details_text(details, pool)}

    session = state.session
    if player.source is not None:
        agent = AgentView(
            changeable=not session.replaying,
            event_commit=lambda name: session.commit(side, index, name),
            event_follow=lambda *_: state.follow(side, index),
        )
        live["agent"] = agent, values


def _measured(player: Player, place: int) -> dict[str, str]:
    measures = player.frame.measures
    if place >= len(measures):
        return {}
    return {"points": measures[place].points, "scale": scale_text(measures[place].scale)}


@solara.component  # type: ignore[untyped-decorator]
def _AgentBeside(state: PageState) -> None:  # noqa: N802
    """Show the selected agent of one of two populations."""
    chosen = state.selected.value
    if chosen is None:
        solara.Div(children=[state.say(_HINT)], classes=["norms-hint"])
        return
    state.layout.get()
    _Agent(state, *chosen, state.session.players[chosen[0]])


Page: Any = page_of()
