"""The agent that is looked at: what it remembers, what it would choose now, and whom it meets.

A scene: what it is about, a question to predict first, and what happened.

One population: key figures, network, charts, and the agent that is looked at.

The page: which name each agent holds, why, and what happens when something is changed.

``Page`` is what Solara serves. ``page_of`` makes one for a subclass of ``NamingGame``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import solara.lab

from mesa_llm_norms.model import NamingGame
from mesa_llm_norms.web.controls import Choices, Downloads, Seeking, Toolbar
from mesa_llm_norms.web.frames import Frame
from mesa_llm_norms.web.model_source import hosting
from mesa_llm_norms.web.page_state import Bench, use_bench
from mesa_llm_norms.web.scenes.scene import Scene, read_scenes
from mesa_llm_norms.web.setting import Setting
from mesa_llm_norms.web.settings_panel import SettingPanel
from mesa_llm_norms.web.views import AgentView, KeyFigures, NetworkView, RoundsChart, chart_lines


@solara.component  # type: ignore[untyped-decorator]
def AgentCard(bench: Bench, side: int, frame: Frame) -> None:  # noqa: N802
    """Show the selected agent, if it is on this side."""
    chosen = bench.selected.value
    if chosen is None or chosen[0] != side:
        if side == 0:
            solara.Div(
                children=[
                    "Click an agent to see what it remembers and why it plays what it plays."
                ],
                classes=["norms-hint"],
            )
        return
    runner, place = bench.visit.runners[side], chosen[1]
    card = runner.card(place)
    if card is not None:
        AgentView(
            card,
            frame.pool,
            None if bench.visit.replaying else lambda name: runner.commit(place, name),
        )


_NONE = "no scene: explore freely"


@solara.component  # type: ignore[untyped-decorator]
def SceneChoice(bench: Bench) -> None:  # noqa: N802
    """Choose a scene."""
    bench.shown.get()
    visit = bench.visit
    if visit.replaying:
        return
    scenes = solara.use_memo(lambda: read_scenes(hosting().scenes), [])
    titles = {scene.title: key for key, scene in scenes.items()}
    on = visit.scene.title if visit.scene is not None else _NONE

    def choose(title: str | None) -> None:
        if title == _NONE:
            bench.attempt(lambda: visit.change())
        elif title is not None and title != on:
            bench.attempt(lambda: visit.open_scene(titles[title]))

    solara.v.Select(
        label="Scene",
        items=[_NONE, *titles],
        v_model=on,
        on_v_model=choose,
        dense=True,
        hide_details=True,
        class_="norms-scenes",
        attributes={"data-testid": "scene"},
    )


@solara.component  # type: ignore[untyped-decorator]
def ScenePanel(bench: Bench) -> None:  # noqa: N802
    """Show the scene that is on."""
    bench.shown.get()
    if bench.visit.scene is not None:
        with solara.Div(classes=["norms-scene"]):
            _Scene(bench, bench.visit.scene).key(bench.visit.scene.key)


@solara.component  # type: ignore[untyped-decorator]
def _Scene(bench: Bench, scene: Scene) -> None:  # noqa: N802
    prediction, predict = solara.use_state(bench.visit.prediction)
    bench.status.get()
    came_true = bench.visit.came_true

    def choose(answer: int) -> None:
        bench.visit.prediction = answer
        predict(answer)

    solara.Div(children=[scene.text], classes=["norms-scene-text"])
    solara.Div(children=[scene.question], classes=["norms-question"])
    with solara.Div(classes=["norms-answers"]):
        for place, answer in enumerate(scene.answers):
            solara.Button(
                answer.text,
                on_click=lambda place=place: choose(place),
                outlined=prediction != place,
                color="primary" if prediction == place else None,
                small=True,
                attributes={
                    "data-testid": f"answer-{place}",
                    "aria-pressed": str(prediction == place).lower(),
                },
            )
    if came_true is None:
        return
    said = f"What happened: {scene.answers[came_true].text}."
    if prediction is not None:
        said += " As you predicted." if prediction == came_true else " You predicted otherwise."
    with solara.Div(classes=["norms-outcome"], attributes={"data-testid": "outcome"}):
        solara.Div(children=[said])
        if scene.measured is not None:
            shares = zip(scene.answers, scene.measured.shares, strict=True)
            often = "; ".join(f"{answer.text}: {share:.0%}" for answer, share in shares)
            solara.Div(children=[f"Over {scene.measured.runs:,} runs: {often}."])
        solara.Div(children=[scene.why])


MOST_LABELS = 300
"""Of larger populations names are not written into agents."""


NOTHING = "\N{EN DASH}"


@solara.component  # type: ignore[untyped-decorator]
def Sides(bench: Bench) -> None:  # noqa: N802
    """Show the populations.

    Nothing else on the page follows the frames: every component that did would have the whole page
    looked through once more for each of them.
    """
    shown = bench.shown.value
    bench.frames.get()
    runners = bench.visit.runners
    with solara.Div(classes=["norms-sides", f"norms-{len(runners)}"]):
        for side, runner in enumerate(runners):
            Population(bench, side, runner.frame).key(f"{shown} {side}")


@solara.component  # type: ignore[untyped-decorator]
def Population(bench: Bench, side: int, frame: Frame) -> None:  # noqa: N802
    """Show the population of a side."""
    chosen, first = bench.selected.value, bench.first_end.value
    success = solara.use_memo(lambda: chart_lines(["success"]), [])
    shares = solara.use_memo(lambda: chart_lines(frame.pool), [frame.pool])
    alone = len(bench.visit.runners) == 1
    with solara.Div(classes=["norms-side"], attributes={"data-testid": f"side-{side}"}):
        if not alone:
            solara.Div(children=[_heading(bench, side)], classes=["norms-heading"])
        KeyFigures(_figures(frame), f"figures-{side}")
        if bench.visit.replaying:
            Seeking(bench, side, frame)
        with solara.Div(classes=["norms-views"]):
            with solara.Div(classes=["norms-network"]):
                NetworkView(
                    drawing=frame.drawing,
                    codes=frame.codes,
                    marks=frame.marks,
                    recent=frame.recent,
                    selected=chosen[1] if chosen and chosen[0] == side else -1,
                    second=first[1] if first and first[0] == side else -1,
                    labels=len(frame.codes) <= MOST_LABELS,
                    by_degree=bench.by_degree.value,
                    height="66vh" if alone else "56vh",
                    hint="Click the agent at the other end." if first and first[0] == side else "",
                    on_pick=lambda place: bench.pick(side, place),
                )
            with solara.Div(classes=["norms-charts"]):
                if frame.pool:
                    title = "Success rate: meetings in which the names matched"
                    RoundsChart(title, success, frame.successes)
                    RoundsChart("Share of each name played", shares, frame.shares)
                AgentCard(bench, side, frame)


def _figures(frame: Frame) -> list[tuple[str, str]]:
    if frame.state == "preparing" and not frame.codes:
        return [("", "making the network …")]
    found = [
        ("round", f"{frame.rounds:,}"),
        ("interactions", f"{frame.interactions:,}"),
        ("success rate", NOTHING if frame.success_rate is None else f"{frame.success_rate:.0%}"),
        (
            "leading name",
            NOTHING if frame.leader is None else f"{frame.leader} {frame.leader_share:.0%}",
        ),
        ("names held", str(frame.distinct)),
        ("converged", "yes" if frame.converged else "not yet"),
    ]
    if frame.usage is not None:
        calls, tokens, usd = frame.usage
        found += [("calls", f"{calls:,}"), ("tokens", f"{tokens:,}")]
        found.append(("cost", "unknown" if usd is None else f"${usd:,.4f}"))
    return found


def _heading(bench: Bench, side: int) -> str:
    """Return in what a population differs from the other."""
    settings = bench.visit.settings
    here, there = settings[side], settings[1 - side]
    words = [
        _said(name, getattr(here, name))
        for name in Setting.__dataclass_fields__
        if name not in ("edits", "at") and getattr(here, name) != getattr(there, name)
    ]
    return ", ".join(words) or "the same"


def _said(name: str, value: object) -> str:
    if isinstance(value, tuple):
        value = ", ".join(map(str, value)) or "nobody"
    return str(value) if name in ("topology", "mind") else f"{name}: {value}"


_page_log = logging.getLogger(__name__)


@solara.component_vue("vue/address.vue")  # type: ignore[untyped-decorator]
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
    _page_log.error("unexpected error on the page", exc_info=error)

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
