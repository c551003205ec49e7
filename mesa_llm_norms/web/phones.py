"""What phones of a class are served: a page to join by, a page to play on, and nothing else.

A phone has a cookie of its own, for ``/seat`` alone; the teacher's token opens nothing here, and
the cookie of a student nothing elsewhere. Phones send numbers: no text of theirs is kept.
"""

from __future__ import annotations

import asyncio
import html
import ipaddress
import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request, cookie_parser
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from mesa_llm_norms.classroom.classroom import CODE_LENGTH, CODE_LETTERS, Classroom
from mesa_llm_norms.classroom.students import Student
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.errors import NormsError, SpecError
from mesa_llm_norms.web.guard import address_of, is_own

JOIN, SEAT = "/j", "/seat"
"""Where phones join, and the only place that a student's cookie is sent to."""

EVENT = 200
"""Bytes of an event; what is longer is fetched by the phone."""

TICK = 0.05
"""Seconds between two looks at the clock of the class."""

_WRONG, _JOINED = 5, 70
"""Wrong codes from an address, and phones that join from there: a class may have one address."""

_WITHIN, _ADDRESSES = 60.0, 1_000
"""Seconds for which these are remembered, and of how many addresses."""

_RATE, _BURST = 5.0, 10.0
"""Messages a second from a phone, and how many may come at once."""

_FIRST_MESSAGE = 30.0
"""Seconds after which a phone that says nothing is disconnected; it says something every three."""

_REPLACED, _SENT_AWAY = 4001, 4003
"""Why a connection is closed: the page is open elsewhere, or the teacher sent the student away."""

_CLOSED = (RuntimeError, OSError)
"""What sending to a phone that has gone raises."""

_PAGES = Path(__file__).parent / "class_pages"
_TYPES = {"css": "text/css", "js": "text/javascript"}
_FILES = frozenset({"phone.css", "phone.js"})
_CODE = re.compile(f"{JOIN}/([{CODE_LETTERS}{CODE_LETTERS.lower()}]{{{CODE_LENGTH}}})")
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "connect-src 'self' {websockets}",  # Safari does not take 'self' to mean websockets
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


_log = logging.getLogger(__name__)


class Allowance:
    """Lets a few through at once, and so many a second after that."""

    def __init__(self) -> None:
        self._left, self._before = _BURST, time.monotonic()

    def take(self) -> bool:
        """Return whether one more may pass."""
        now = time.monotonic()
        self._left = min(_BURST, self._left + (now - self._before) * _RATE)
        self._before = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Attempts:
    """Counts by address what may be done only so often within a minute."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._times: dict[str, list[float]] = {}

    def too_many(self, address: str) -> bool:
        """Return whether an address has to wait before it may try again."""
        now = time.monotonic()
        recent = [it for it in self._times.pop(address, []) if now - it < _WITHIN]
        if recent:
            self._times[address] = recent
        return len(recent) >= self._most

    def add(self, address: str) -> None:
        """Count one more; beyond so many addresses the one known longest is forgotten."""
        self._times.setdefault(address, []).append(time.monotonic())
        if len(self._times) > _ADDRESSES:
            del self._times[next(iter(self._times))]


@dataclass(eq=False)
class _Link:
    """The connection of one phone; ``news`` is set when there may be something to send."""

    news: asyncio.Event = field(default_factory=asyncio.Event)
    closed: int | None = None
    sent: dict[str, Any] = field(default_factory=dict)

    def close(self, code: int) -> None:
        self.closed = code
        self.news.set()


class Phones:
    """An ASGI application that serves the phones of a class.

    Parameters
    ----------
    classroom : Classroom
        The class.
    cookie : str
        The name of the students' cookie.
    goes_by : callable
        Tells whether a ``Host`` header names this server.

    Attributes
    ----------
    reached : bool
        Whether another device has asked for the page to join by.
    """

    def __init__(self, classroom: Classroom, cookie: str, goes_by: Callable[[str], bool]) -> None:
        self.classroom = classroom
        self.cookie = cookie
        self.goes_by = goes_by
        self.reached = False
        self._links: dict[int, _Link] = {}
        self._wrong = Attempts(_WRONG)
        self._joined = Attempts(_JOINED)
        self._allowances: dict[int, Allowance] = {}

    @staticmethod
    def serves(path: str) -> bool:
        """Return whether a path is one of the phones'."""
        return path in (JOIN, SEAT) or path.startswith((f"{JOIN}/", f"{SEAT}/"))

    async def run(self) -> None:
        """Keep the class's time, and tell phones what happens; ends when cancelled."""
        version = -1
        while True:
            try:
                self.classroom.tick()
            except Exception as error:  # the class can still vote, and start another game
                _log.error("a round of the class could not be played", exc_info=error)
                self.classroom.end()
            if self.classroom.version != version:
                version = self.classroom.version
                for link in self._links.values():
                    link.news.set()
            await asyncio.sleep(TICK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
            return
        host = Headers(scope=scope).get("host", "")

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                websockets = f"ws://{host} wss://{host}"
                headers["content-security-policy"] = _POLICY.format(websockets=websockets)
                # With none at all, browsers would hide the origin of the form, too.
                headers["referrer-policy"] = "same-origin"
                headers["x-content-type-options"] = "nosniff"
                headers["x-frame-options"] = "DENY"
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            answer = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        await answer(scope, receive, send_with_headers)

    # Requests

    async def _answer(self, request: Request) -> Response:
        path, headers = request.url.path, request.headers
        if not self.goes_by(headers.get("host", "")):
            return _said("This server has other names: scan the code on the board again.", 421)
        if request.method == "POST":
            if not is_own(headers.get("origin", ""), headers):
                return _said("Requests from other pages are refused.", 403)
            body = await _body(request)
            if body is None:
                return _said("That is more than a phone has to say.", 413)
            return self._post(path, request, body)
        if request.method not in ("GET", "HEAD"):
            return _said("There is nothing to do that with.", 405)
        name = path.removeprefix(f"{JOIN}/")
        if name in _FILES:
            return Response((_PAGES / name).read_text("utf-8"), media_type=_TYPES[name[6:]])
        if path == JOIN or path.startswith(f"{JOIN}/"):
            found = _CODE.fullmatch(path)
            self.reached = self.reached or not _is_loopback(address_of(request.scope))
            return self._join_page(found[1].upper() if found is not None else "")
        student = self._student(headers)
        if student is None:
            return self._join_page("", "You are not in this class, or no longer.", 403)
        if path == SEAT:
            return HTMLResponse((_PAGES / "phone.html").read_text("utf-8"))
        if path == f"{SEAT}/state":
            if not self._allowed(student):
                return _said("Slow down.", 429)
            self.classroom.hear(student.number)
            return JSONResponse(self._shown(student.number))
        return _said("There is nothing here.", 404)

    def _post(self, path: str, request: Request, body: bytes) -> Response:
        student = self._student(request.headers)
        if path == SEAT:
            return self._join(request, student, body)
        if student is None:
            return _said("You are not in this class, or no longer.", 403)
        if not self._allowed(student):
            return _said("Slow down.", 429)
        try:
            given = read_object(body)
            taken = self._take(student.number, path.removeprefix(f"{SEAT}/"), given)
        except (ValueError, KeyError, TypeError, RecursionError):
            return _said("That is no answer.", 400)
        except NormsError as error:
            return _said(str(error), 403)
        return JSONResponse({"taken": taken})

    def _take(self, number: int, what: str, given: Mapping[str, Any]) -> bool:
        if what == "choice":
            interaction, name = whole(given["interaction"]), whole(given["name"])
            taken = self.classroom.choose(number, interaction, name)
        elif what == "vote":
            taken = self.classroom.cast(number, whole(given["vote"]), whole(given["answer"]))
        elif what == "wake":
            self.classroom.wake(number)
            taken = True
        else:
            raise KeyError(what)
        if number in self._links:
            self._links[number].news.set()
        return taken

    def _join(self, request: Request, student: Student | None, body: bytes) -> Response:
        response = RedirectResponse(SEAT, 303)
        if student is not None:
            return response
        address = address_of(request.scope)
        for attempts, many in ((self._wrong, "wrong codes"), (self._joined, "phones joined")):
            if attempts.too_many(address):
                text = f"Too many {many}. Wait a minute and look at the board again."
                answer = self._join_page("", text, 429)
                answer.headers["retry-after"] = str(round(_WITHIN))
                return answer
        if not self.classroom.is_open:
            return self._join_page("", "Nobody can join at the moment. Ask the teacher.", 403)
        code = parse_qs(body.decode("latin-1")).get("code", [""])[0]
        try:
            student = self.classroom.join(code)
        except SpecError as error:
            return self._join_page("", f"{error.problem.capitalize()}. {error.remedy}", 403)
        if student is None:
            self._wrong.add(address)
            return self._join_page("", "That is not the code on the board.", 403)
        self._joined.add(address)
        response.set_cookie(self.cookie, student.token, path=SEAT, httponly=True, samesite="strict")
        return response

    def _join_page(self, code: str, problem: str = "", status: int = 200) -> HTMLResponse:
        page = (_PAGES / "join.html").read_text("utf-8")
        page = page.replace("{problem}", html.escape(problem)).replace("{code}", code)
        return HTMLResponse(page, status)

    def _student(self, headers: Headers) -> Student | None:
        token = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        return self.classroom.student(token) if token else None

    def _allowed(self, student: Student) -> bool:
        return self._allowances.setdefault(student.number, Allowance()).take()

    # Connections

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        student = self._student(headers)
        if (
            scope["path"] != SEAT
            or not self.goes_by(headers.get("host", ""))
            or not is_own(headers.get("origin", ""), headers)
            or student is None
            or (len(self._links) >= limits.CLASS_SOCKETS.high and student.number not in self._links)
        ):
            await send({"type": "websocket.close", "code": 1008})
            return
        await receive()
        await send({"type": "websocket.accept"})
        number, link = student.number, _Link()
        if number in self._links:
            self._links[number].close(_REPLACED)
        self._links[number] = link
        reading = asyncio.create_task(self._read(receive, link, number))
        writing = asyncio.create_task(self._write(send, link, number))
        try:
            self.classroom.hear(number)
            await asyncio.wait({reading, writing}, return_when=asyncio.FIRST_COMPLETED)
        except NormsError:  # sent away while the connection was made
            link.closed = _SENT_AWAY
        finally:
            if self._links.get(number) is link:
                del self._links[number]
            for task in (reading, writing):
                task.cancel()
            for ended in await asyncio.gather(reading, writing, return_exceptions=True):
                if isinstance(ended, Exception) and not isinstance(ended, _CLOSED):
                    _log.error("the connection of a phone failed", exc_info=ended)
        with suppress(*_CLOSED):
            await send({"type": "websocket.close", "code": link.closed or 1008})

    async def _read(self, receive: Receive, link: _Link, number: int) -> None:
        """Take what a phone says, until it says what no phone of this page does."""
        allowance = Allowance()
        while True:
            try:
                message = await asyncio.wait_for(receive(), _FIRST_MESSAGE)
            except TimeoutError:
                return
            text = message.get("text") if message["type"] == "websocket.receive" else None
            if text is None or not allowance.take():
                return
            if len(text.encode()) > limits.CLASS_MESSAGE.high:
                link.closed = 1009
                return
            try:
                given = read_object(text)
                if given:
                    self._take(number, given["do"], given)
                else:
                    self.classroom.hear(number)
            except (ValueError, KeyError, TypeError, RecursionError, NormsError):
                return

    async def _write(self, send: Send, link: _Link, number: int) -> None:
        """Send a phone its state, and then what changes."""
        link.news.set()
        while True:
            await link.news.wait()
            link.news.clear()
            if link.closed is not None:
                return
            try:
                shown = self._shown(number)
            except NormsError:
                link.closed = _SENT_AWAY
                return
            changed = {key: it for key, it in shown.items() if it != link.sent.get(key, _MISSING)}
            if changed.keys() <= {"ms"}:
                continue
            text = json_text(changed, separators=(",", ":"))
            if link.sent and len(text.encode()) > EVENT:
                text = '{"get":1}'
            link.sent = shown
            await send({"type": "websocket.send", "text": text})

    def _shown(self, number: int) -> dict[str, Any]:
        """Return a student's view as JSON; how long there is to answer is in milliseconds."""
        view = self.classroom.view(number)
        until = view.pop("until")
        left = self.classroom.left
        return {**view, "ms": None if until is None else round(left * 1000)}


_MISSING = object()


def read_object(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object that was sent, empty for nothing; anything else is an error."""
    given = json.loads(text or "{}")
    if not isinstance(given, dict):
        raise TypeError(given)
    return given


def whole(value: Any) -> int:
    """Return a whole number that was sent; anything else is an error."""
    if type(value) is not int:
        raise TypeError(value)
    return value


def _is_loopback(address: str) -> bool:
    try:
        given = ipaddress.ip_address(address)
    except ValueError:
        return False
    return (getattr(given, "ipv4_mapped", None) or given).is_loopback


def _said(text: str, status: int) -> Response:
    return Response(text + "\n", status, media_type="text/plain")


async def _body(request: Request) -> bytes | None:
    """Return what was sent, or None if it is too long."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > limits.CLASS_MESSAGE.high:
            return None
    return body
