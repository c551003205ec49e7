"""The teacher's page of a class: who is in it, what it votes on and plays, and how that goes.

It stands behind the guard, as the page does: only who has the teacher's token sees it. The page
itself has ``ClassVote``: a scene's question goes to the phones, and its answers come back.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import solara
import solara.lab
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from mesa_llm_norms.classroom.class_game import ClassGame
from mesa_llm_norms.classroom.classroom import Classroom
from mesa_llm_norms.classroom.export import export
from mesa_llm_norms.errors import NormsError, SpecError, shown
from mesa_llm_norms.minds.registry import DEFAULT_MIND, recorded_names
from mesa_llm_norms.networks.drawing import layout, name_colors
from mesa_llm_norms.networks.reading import file_within, names_file
from mesa_llm_norms.simulation.run_ensemble import run_ensemble
from mesa_llm_norms.web.model_source import server_settings
from mesa_llm_norms.web.phones import JOIN, Phones, read_object, whole
from mesa_llm_norms.web.scenes.scene import Scene, read_scenes
from mesa_llm_norms.web.share import qr_code

CLASS = "/class"
"""Where the teacher's page is."""

_LOOK = 0.5
"""Seconds between two looks at a vote."""

BAND_RUNS = 100
"""Runs of minds alone that the class is compared with."""

_MOST = 10_000
"""Bytes of what the page sends; a question is the longest."""

_PAGES = Path(__file__).parent / "class_pages"
_FILES = {"teacher.css": "text/css", "teacher.js": "text/javascript"}
_PLAIN = frozenset({"open", "lock", "close", "pause", "resume", "end"})
_TEXTS = frozenset({"graph", "names", "mind"})
_GAME = _TEXTS | {"rounds", "seconds", "seed"}


class TeacherPage:
    """An ASGI application in front of another, which serves the teacher's page as well.

    Parameters
    ----------
    app : ASGIApp
        What serves all other pages.
    phones : Phones
        What serves the phones of the class.
    origin : str
        Origin of the server for phones: ``http://192.168.1.20:8765``.
    """

    def __init__(self, app: ASGIApp, phones: Phones, origin: str) -> None:
        self._app = app
        self._phones = phones
        self._classroom: Classroom = phones.classroom
        self._link = f"{origin}{JOIN}"
        self._games = 0
        self._band: list[tuple[float, float]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == CLASS or path.startswith(f"{CLASS}/")):
            await self._app(scope, receive, send)
            return
        try:
            answer = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        answer.headers.setdefault("cache-control", "no-store")
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        what = request.url.path.removeprefix(CLASS).strip("/")
        if request.method == "POST":
            # The origin is hidden: the page allows no referrers.
            if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
                return PlainTextResponse("Requests from other pages are refused.\n", 403)
            body = b""
            async for chunk in request.stream():
                body += chunk
                if len(body) > _MOST:
                    return PlainTextResponse("That is more than this page sends.\n", 413)
            try:
                self._do(what, read_object(body))
            except NormsError as error:
                return JSONResponse({"problem": str(error)}, 400)
            except (ValueError, KeyError, TypeError, RecursionError):
                return JSONResponse({"problem": "This page sends nothing like that."}, 400)
            return JSONResponse(self._state())
        if what in _FILES:
            return Response((_PAGES / what).read_text("utf-8"), media_type=_FILES[what])
        if what == "":
            return HTMLResponse((_PAGES / "teacher.html").read_text("utf-8"))
        if what == "state":
            return JSONResponse(self._state())
        if what == "choices":
            return JSONResponse(_choices())
        if what == "network":
            # The places of many agents take a while.
            return JSONResponse(await asyncio.to_thread(_network, self._classroom.game))
        if what == "qr.svg":
            return Response(
                qr_code(f"{self._link}/{self._classroom.code}"), media_type="image/svg+xml"
            )
        if what == "export":
            archive = export(self._classroom)  # here, where no round is played meanwhile
            name = {"content-disposition": 'attachment; filename="class.zip"'}
            return Response(archive, media_type="application/zip", headers=name)
        return PlainTextResponse("There is nothing here.\n", 404)

    def _do(self, what: str, given: Mapping[str, Any]) -> None:
        if what in _PLAIN:
            getattr(self._classroom, "close_vote" if what == "close" else what)()
        elif what == "kick":
            self._classroom.kick(whole(given["student"]))
        elif what == "ask":
            scene = read_scenes(server_settings().scenes)[given["scene"]]
            _ask(self._classroom, scene)
        elif what == "start":
            _check(given)
            self._classroom.start(**given)
            self._games += 1
            self._measure(self._classroom.game, self._classroom.rounds)
        else:
            raise KeyError(what)

    def _measure(self, game: ClassGame | None, rounds: int) -> None:
        """Have minds alone play the same game, to compare the class with."""
        assert game is not None
        self._band = []

        def measure() -> None:
            band = _success_band(game, rounds)
            if self._classroom.game is game:
                self._band = band

        # Not a task: the end of the server would wait for one.
        threading.Thread(target=measure, name="mesa_llm_norms band", daemon=True).start()

    def _state(self) -> dict[str, Any]:
        classroom, vote = self._classroom, self._classroom.vote
        students = [
            {"n": it.number, "label": it.label, "color": it.color, "status": classroom.status(it)}
            for it in list(classroom.students.values())
            if not it.kicked
        ]
        return {
            "open": classroom.is_open,
            "code": classroom.code,
            "link": self._link,
            "reached": self._phones.reached,
            "students": students,
            "vote": None
            if vote is None
            else {
                "question": vote.question,
                "answers": list(vote.answers),
                "open": vote.open,
                "given": len(vote.ballots),
                "counts": None if vote.open else vote.counts,
            },
            "game": self._game_state(),
        }

    def _game_state(self) -> dict[str, Any] | None:
        classroom, game = self._classroom, self._classroom.game
        if game is None:
            return None
        answered, asked = classroom.answered
        colors = name_colors(game.pool)
        people = [it.node for it in list(classroom.students.values()) if it.node is not None]
        return {
            "key": self._games,
            "phase": classroom.phase,
            "round": len(classroom.success),
            "rounds": classroom.rounds,
            "left": classroom.left,
            "seconds": classroom.seconds,
            "answered": answered,
            "asked": asked,
            "names": list(game.pool),
            "colors": [colors[name] for name in game.pool],
            "held": game.held,
            "people": people,
            "success": classroom.success,
            "band": self._band,
        }


def _check(given: Mapping[str, Any]) -> None:
    """Refuse what the page does not offer: files, and minds that are not recorded."""
    if given.keys() - _GAME or not all(type(given[it]) is str for it in given.keys() & _TEXTS):
        raise TypeError(given)
    graph, mind = given.get("graph"), given.get("mind", DEFAULT_MIND)
    if names_file(graph) or file_within(graph) is not None:
        raise SpecError("graph", graph, "a class plays on no file", "Choose a network.")
    if mind not in recorded_names():
        raise SpecError("mind", mind, f"there is no recorded mind {shown(mind)}", "Choose one.")


def _choices() -> dict[str, Any]:
    """Return what may be chosen: scenes to ask about, and minds."""
    scenes = read_scenes(server_settings().scenes).values()
    return {
        "scenes": [{"key": it.key, "title": it.title, "question": it.question} for it in scenes],
        "minds": list(recorded_names()),
        "mind": DEFAULT_MIND,
    }


def _network(game: ClassGame | None) -> dict[str, Any]:
    """Return where agents are drawn, from 0 to 1, and which are joined."""
    if game is None:
        return {"places": [], "edges": []}
    graph, nodes = game.model.network.G, game.nodes
    places = layout(graph)
    xs, ys = zip(*(places[node] for node in nodes), strict=True)
    size = max(max(xs) - min(xs), max(ys) - min(ys)) or 1.0
    index = {node: i for i, node in enumerate(nodes)}
    return {
        "places": [
            [round((x - min(xs)) / size, 4), round((max(ys) - y) / size, 4)]
            for x, y in zip(xs, ys, strict=True)
        ],
        "edges": [[index[u], index[v]] for u, v in graph.edges()],
    }


def _success_band(game: ClassGame, rounds: int) -> list[tuple[float, float]]:
    """Return, by round, between which success rates 80% of the runs of minds alone lie."""
    arguments = {**game.spec.arguments(), "mind": game.fallback}
    played = run_ensemble(runs=BAND_RUNS, rounds=rounds, until=None, **arguments).rounds
    by_round = played.groupby("round")["success_rate"].quantile(np.array([0.1, 0.9])).unstack()
    return [(float(low), float(high)) for low, high in by_round.to_numpy()]


# On the page


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
    stands = _standing(classroom, scene)
    _, set_stands = solara.use_state(stands)

    def watch() -> Callable[[], None]:
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(_LOOK):
                set_stands(_standing(classroom, scene))

        threading.Thread(target=look, name="mesa_llm_norms vote", daemon=True).start()
        return ended.set

    solara.use_effect(watch, [scene.key, scene.question])

    def ask() -> None:
        _ask(classroom, scene)
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


def _ask(classroom: Classroom, scene: Scene) -> None:
    classroom.ask(scene.question, [answer.text for answer in scene.answers], scene.key)


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
    # Its key and not its text, which is another one in another language.
    if vote is None or (vote.key, len(vote.answers)) != (scene.key, len(scene.answers)):
        return 0, False, ()
    return len(vote.ballots), vote.open, () if vote.open else tuple(vote.counts)
