"""The class on the page: a scene's question goes to the phones, and its answers come back."""

from __future__ import annotations

import threading
from collections.abc import Callable

import solara
import solara.lab

from mesa_llm_norms.classroom.classroom import Classroom
from mesa_llm_norms.web.model_source import server_settings
from mesa_llm_norms.web.scenes.scene import Scene
from mesa_llm_norms.web.teacher import CLASS

_LOOK = 0.5
"""Seconds between two looks at a vote."""


@solara.component  # type: ignore[untyped-decorator]
def ClassVote(scene: Scene, came_true: int | None = None) -> None:  # noqa: N802
    """Ask the class a scene's question, and show what it answered once that is closed.

    Shows nothing unless phones are served, and guests only the answers.
    """
    classroom = server_settings().classroom
    if classroom is not None:
        _Vote(classroom, scene, came_true)


@solara.component  # type: ignore[untyped-decorator]
def ClassLink() -> None:  # noqa: N802
    """Lead to the teacher's page of the class, if phones are served."""
    if server_settings().classroom is not None and not _is_guest():
        link = {"href": CLASS, "data-testid": "class"}
        solara.v.Html(tag="a", children=["The class: join, vote and play"], attributes=link)


@solara.component  # type: ignore[untyped-decorator]
def _Vote(classroom: Classroom, scene: Scene, came_true: int | None) -> None:  # noqa: N802
    stands, set_stands = solara.use_state(_standing(classroom, scene))

    def watch() -> Callable[[], None]:
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(_LOOK):
                set_stands(_standing(classroom, scene))

        threading.Thread(target=look, name="mesa_llm_norms vote", daemon=True).start()
        return ended.set

    solara.use_effect(watch, [scene.key])

    def ask() -> None:
        classroom.ask(scene.question, [answer.text for answer in scene.answers])
        set_stands(_standing(classroom, scene))

    def close() -> None:
        classroom.close_vote()
        set_stands(_standing(classroom, scene))

    given, is_open, counts = stands
    with solara.Div(classes=["norms-class"], attributes={"data-testid": "class-vote"}):
        if is_open and not _is_guest():
            _button("Close the vote", close, "class-close")
            solara.Text(f"{given} of the class have answered.")
        elif not _is_guest():
            again = "Ask the class again" if counts else "Ask the class"
            _button(again, ask, "class-ask")
            ClassLink()
        if counts:
            _bars(scene, counts, came_true)


def _is_guest() -> bool:
    """Whether this page was opened by a link that is shared, which does not let anybody teach."""
    invitation = server_settings().invitation
    has = (solara.lab.cookies.value or {}).values()
    return invitation is not None and invitation.token in has


def _button(text: str, on_click: Callable[[], None], testid: str) -> None:
    solara.Button(text, on_click=on_click, small=True, attributes={"data-testid": testid})


def _bars(scene: Scene, counts: tuple[int, ...], came_true: int | None) -> None:
    most, total = max(1, *counts), max(1, sum(counts))
    with solara.Div(classes=["norms-class-bars"]):
        for i, answer in enumerate(scene.answers):
            width = {"width": f"{100 * counts[i] / most:.0f}%"}
            solara.Div(children=[answer.text])
            solara.Div(children=[solara.Div(style=width, classes=["norms-class-bar"])])
            solara.Div(children=[f"{counts[i]} ({counts[i] / total:.0%})"])
    if came_true is not None:
        right = counts[came_true]
        solara.Text(f"{right} of {sum(counts)} in the class predicted what happened.")


def _standing(classroom: Classroom, scene: Scene) -> tuple[int, bool, tuple[int, ...]]:
    """Return how many have answered a scene's question, whether they still may, and the counts.

    The counts are empty while the vote is open, and before there is one.
    """
    vote = classroom.vote
    if vote is None or vote.question != scene.question:
        return 0, False, ()
    return len(vote.ballots), vote.open, () if vote.open else tuple(vote.counts)
