"""Stands in front of the page: checks names, origins and the token, and filters messages.

A page and its kernel exchange messages of Jupyter's protocol. A few of them make the kernel import,
construct or call what the browser names. ``admitted`` looks at every message before Solara does;
``guard_widgets`` changes the widgets' own handlers, whichever way a message may come.
"""

from __future__ import annotations

import asyncio
import html
import json
import logging
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from mesa_llm_norms import compat
from mesa_llm_norms.core import limits

if TYPE_CHECKING:
    from mesa_llm_norms.web.phones import Phones

TOKEN = "token"
"""The key of the token in a link."""

COMMANDS = frozenset({"create_widget", "update_ref", "destroy_widget"})
"""What ipyvue takes as a command to construct, change or drop widgets of any kind."""

_TYPES = frozenset({"kernel_info_request", "comm_info_request", "comm_close", "shutdown_request"})
"""Types of messages whose content is harmless."""

_CHANNELS = frozenset({"solara.control", "jupyter.widget.control"})
"""What a page may open: never a widget, since only the server makes those."""

_METHODS = frozenset(
    # Solara's start and reconnection; the states of all widgets, of one; changes; events.
    {"run", "app-status", "request_states", "request_state", "update", "custom"}
)

_NO_TOKEN = "To see this page, open the link that was printed when it was started.\n"
_OLD_TOKEN = (
    "This link is invalid or outdated: open the one that was printed when the page was last "
    "started.\n"
)
_TEACHERS = "This is for the teacher: open the link that was printed when the page was started.\n"
_FOREIGN_NAME = (
    "This server has other names: open the link that was printed when the page was started.\n"
)
_FOREIGN_PAGE = "Requests from other pages are refused: open this page by its link.\n"
_FULL = (
    "The room is full: this page is for at most {seats} people at the same time. Try again once "
    "somebody has left.\n"
)
_KERNEL = re.compile(r"/jupyter/api/kernels/([^/]+)/[^/]+")

CONNECTIONS = 1_000
"""Connections at the same time, websockets included."""

_RELOADING = 1.5
"""Seconds that a page is waited for to give back its seat, as it does when it is loaded again."""

_COMING = 15.0
"""Seconds for which a seat is kept for a browser that fetched the page and has to connect."""

_SOCKETS = 4
"""Websockets of one page; it has one, and for a moment a second when it connects again."""

_RATE, _BURST = 50.0, 500.0
"""Messages per second that are read from a page, and how many may come at once."""

_PROXY_HEADERS = (b"x-forwarded-", b"forwarded", b"script-name", b"x-script-name")
_POLICY = "; ".join(
    (
        "default-src 'self'",
        # Solara writes scripts into its page, and Vue compiles templates in the browser.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' {websockets}",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_log = logging.getLogger(__name__)


# Connections


class BrowserTimeouts(NamedTuple):
    """Seconds that a browser may take."""

    request: float = 10.0
    """To send a request."""
    response: float = 120.0
    """To fetch the response."""
    first_message: float = 10.0
    """To say something once a page is connected."""


TIMEOUTS = BrowserTimeouts()
"""Those of this server."""


class TimedProtocol(H11Protocol):
    """Speaks HTTP over one connection, and closes it if it takes too long.

    ``TIMEOUTS`` says how long. Of more than ``CONNECTIONS``, the one that has waited longest
    for a request is closed.
    """

    def connection_made(self, transport: Any) -> None:
        """Start the clock of a new connection."""
        super().connection_made(transport)
        self._served: object = None
        self._since = self.loop.time()
        self.loop.call_later(TIMEOUTS.request, self._look)
        if len(self.connections) > CONNECTIONS:
            waiting = (it for it in self.connections if isinstance(it, TimedProtocol))
            idle = [it for it in waiting if not it._busy]
            if idle:
                min(idle, key=lambda it: it._since).transport.abort()

    @property
    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        if self not in self.connections:  # closed, or a websocket now
            return
        now = self.loop.time()
        if self.cycle is not self._served:
            self._served, self._since = self.cycle, now
        longest = TIMEOUTS
        if now - self._since >= (longest.response if self._busy else longest.request):
            self.transport.abort()
        else:
            self.loop.call_later(longest.request / 2, self._look)


# Viewers


class Room:
    """Counts who sees the page: those connected, and those who may come back in a moment.

    Parameters
    ----------
    seats : int, default limits.VIEWERS.high
        How many pages may be connected at the same time.
    close : callable, default compat.close_kernels
        Closes the page of a kernel. As many pages as there are seats may wait for their connection
        to come back; then the one that has waited longest is closed.
    """

    def __init__(
        self,
        seats: int = limits.VIEWERS.high,
        close: Callable[[str], object] = compat.close_kernels,
    ) -> None:
        self.seats = seats
        self._close = close
        self._sockets: Counter[str] = Counter()
        self._lost: dict[str, None] = {}
        self._coming: dict[str, float] = {}
        self._closing: set[asyncio.Task[object]] = set()

    def full(self, address: str) -> bool:
        """Return whether there is no seat for somebody at this address."""
        now = time.monotonic()
        self._coming = {it: until for it, until in self._coming.items() if until > now}
        others = len(self._coming) - (address in self._coming)
        return len(self._sockets) + others >= self.seats

    async def keep(self, address: str) -> bool:
        """Keep a seat for a browser that is about to connect; False if none becomes free."""
        end = time.monotonic() + _RELOADING
        while self.full(address):
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.05)
        self._coming[address] = time.monotonic() + _COMING
        return True

    def enter(self, kernel: str, address: str) -> bool:
        """Count a connection of a page; False if there is no room for it."""
        if kernel in self._sockets:
            if self._sockets[kernel] >= _SOCKETS:
                return False
        elif len(self._sockets) >= self.seats:
            return False
        self._sockets[kernel] += 1
        self._lost.pop(kernel, None)
        self._coming.pop(address, None)
        return True

    def leave(self, kernel: str) -> None:
        """Count a connection of a page no more."""
        self._sockets[kernel] -= 1
        if self._sockets[kernel] > 0:
            return
        del self._sockets[kernel]
        self._lost[kernel] = None
        if len(self._lost) > self.seats:
            oldest = next(iter(self._lost))
            del self._lost[oldest]
            task = asyncio.create_task(asyncio.to_thread(self._close, oldest))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


# Requests


Take = Callable[[Any, Any], bool]


def _take_none(_widget: Any, _event: Any) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class Guard:
    """An ASGI application in front of another, ``app``, that admits only those with the link.

    ``goes_by`` tells whether a ``Host`` header names this server. The token arrives in the query of
    the front page, moves to the cookie named ``cookie``, and disappears from the address bar; the
    rest of the query stays. ``room`` counts the viewers. ``phones`` serves those of a class, which
    have no link and see nothing else; by default there are none. ``guest`` is the token of links
    that are shared, which admits to all but what is at ``reserved`` and below. ``take`` is given
    each event of a widget, by its id, and returns whether that was all there is to do: Solara does
    not get it then.
    """

    app: ASGIApp
    token: str
    cookie: str
    goes_by: Callable[[str], bool]
    room: Room = field(default_factory=Room)
    phones: Phones | None = None
    guest: str | None = None
    reserved: str | None = None
    take: Take = _take_none

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it with one sentence."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif self.phones is not None and self.phones.serves(scope["path"]):
            await self.phones(_without_proxy(scope), receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._page(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if not (
            self.goes_by(headers.get("host", ""))
            and is_own(headers.get("origin", ""), headers)
            and self._has_token(headers)
        ):
            await send({"type": "websocket.close", "code": 1008})
            return

        found = _KERNEL.fullmatch(scope["path"])
        kernel = found[1] if found is not None else ""
        if not self.room.enter(kernel, address_of(scope)):
            full = PlainTextResponse(_FULL.format(seats=self.room.seats), 503)
            await full(scope, receive, send)
            return
        try:
            await self.app(_without_proxy(scope), _admitting(receive, self.take), send)
        finally:
            self.room.leave(kernel)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _secure(MutableHeaders(scope=message), headers.get("host", ""))
            await send(message)

        answer = self._answer(scope, headers)
        if answer is None and scope["path"] == "/" and not await self.room.keep(address_of(scope)):
            text = _FULL.format(seats=self.room.seats)
            answer = PlainTextResponse(text, 503, headers={"retry-after": "10"})
        if answer is None:
            await self.app(_without_proxy(scope), receive, send_with_headers)
        else:
            await answer(scope, receive, send_with_headers)

    def _answer(self, scope: Scope, headers: Headers) -> Response | None:
        """Return the answer of the guard itself, or None if the request may pass."""
        if not self.goes_by(headers.get("host", "")):
            return PlainTextResponse(_FOREIGN_NAME, 421)
        query = scope["query_string"].decode("latin-1")
        given = parse_qs(query, keep_blank_values=True).get(TOKEN)
        if scope["path"] == "/" and given is not None:
            if not (self._is_token(given[-1]) or self._is_guest(given[-1])):
                return PlainTextResponse(_OLD_TOKEN, 403)
            # Who has the token keeps it, also where a link for guests is opened.
            known = self._is_token(self._token_in(headers))
            return self._welcome(query, self.token if known else given[-1])
        if not self._has_token(headers):
            return PlainTextResponse(_NO_TOKEN, 403)
        if self._is_reserved(scope["path"]) and not self._is_token(self._token_in(headers)):
            return PlainTextResponse(_TEACHERS, 403)
        # Browsers hide the origin of what a page sends when it closes, because this page allows no
        # referrers; there the cookie counts, which is not sent from other sites.
        origin = headers.get("origin", "null")
        if scope["method"] not in ("GET", "HEAD") and not (
            origin == "null" or is_own(origin, headers)
        ):
            return PlainTextResponse(_FOREIGN_PAGE, 403)
        return None

    def _welcome(self, query: str, token: str) -> Response:
        """Set the cookie to the token, and send the browser to the page without the token.

        Not by a redirect: if the link was on another website, browsers would not send the cookie
        to the target of a redirect.
        """
        kept = "&".join(pair for pair in query.split("&") if pair.partition("=")[0] != TOKEN)
        target = html.escape("/?" + kept if kept else "/")
        response = HTMLResponse(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={target}">'
            f'<title>mesa_llm_norms</title><a href="{target}">Continue to the page</a>',
            headers={"cache-control": "no-store"},
        )
        response.set_cookie(self.cookie, token, httponly=True, samesite="strict")
        return response

    def _has_token(self, headers: Headers) -> bool:
        given = self._token_in(headers)
        return self._is_token(given) or self._is_guest(given)

    def _token_in(self, headers: Headers) -> str:
        return cookie_parser(headers.get("cookie", "")).get(self.cookie, "")

    def _is_guest(self, given: str) -> bool:
        return self.guest is not None and secrets.compare_digest(
            given.encode(), self.guest.encode()
        )

    def _is_reserved(self, path: str) -> bool:
        return self.reserved is not None and f"{path}/".startswith(f"{self.reserved}/")

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())


def is_own(origin: str, headers: Headers) -> bool:
    """Return whether a page of this origin came from where the request goes to."""
    host = headers.get("host", "")
    return bool(host) and origin in (f"http://{host}", f"https://{host}")


def _secure(headers: MutableHeaders, host: str) -> None:
    # Safari does not take 'self' to mean websockets.
    headers["content-security-policy"] = _POLICY.format(websockets=f"ws://{host} wss://{host}")
    headers["referrer-policy"] = "no-referrer"
    headers["x-content-type-options"] = "nosniff"
    headers["x-frame-options"] = "DENY"


def _without_proxy(scope: Scope) -> Scope:
    kept = [pair for pair in scope["headers"] if not pair[0].lower().startswith(_PROXY_HEADERS)]
    return {**scope, "headers": kept}


def address_of(scope: Scope) -> str:
    """Return the address that a request came from."""
    return str((scope.get("client") or ("",))[0])


# Messages


def _admitting(receive: Receive, take: Take) -> Receive:
    """Return what receives the messages that are admitted, and not more of them than can be read.

    A connection whose page says nothing at first ends. Events that ``take`` takes go no further.
    """
    left, before, first = _BURST, time.monotonic(), True

    async def receive_admitted() -> Message:
        nonlocal left, before, first
        while True:
            try:
                message = await asyncio.wait_for(
                    receive(), TIMEOUTS.first_message if first else None
                )
            except TimeoutError:
                return {"type": "websocket.disconnect", "code": 1008}
            if message["type"] != "websocket.receive":
                return message
            first = False
            now = time.monotonic()
            left, before = min(_BURST, left + (now - before) * _RATE) - 1, now
            if left < 0:
                await asyncio.sleep(-left / _RATE)
            text = admitted(message.get("text"), take)
            if text is not None:
                return {"type": "websocket.receive", "text": text}

    return receive_admitted


def admitted(text: str | None, take: Take = _take_none) -> str | None:
    """Return a message as it may be passed on, or None if it is refused or was taken.

    It is serialized again, so that what is read later is what was checked here. Binary messages
    (None) are refused: they carry files, and the page takes none.
    """
    if text is None:
        return None
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return None
    try:
        allowed = _is_allowed(message)
    except (AttributeError, KeyError, TypeError):
        allowed = False
    if not allowed:
        _log.warning("refused a message that no page of this server sends")
        return None
    kind, content = message["header"]["msg_type"], message["content"]
    event = kind == "comm_msg" and content["data"]["method"] == "custom"
    if event and take(content.get("comm_id"), content["data"]["content"]):
        return None
    return json.dumps(message)


def _is_allowed(message: Any) -> bool:
    if message["channel"] not in ("shell", "control"):
        return False
    kind, content = message["header"]["msg_type"], message["content"]
    if kind == "comm_open":
        return content["target_name"] in _CHANNELS
    if kind != "comm_msg":
        return kind in _TYPES
    data = content["data"]
    if data["method"] not in _METHODS:
        return False
    return data["method"] != "custom" or not is_command(data["content"])


def is_command(content: Any) -> bool:
    """Return whether what a page sends to a widget is more than an event."""
    return not isinstance(content, dict) or not COMMANDS.isdisjoint(content)


def guard_widgets() -> None:
    """Make all widgets of this process accept only their own events, and no commands."""

    def refuse(widget: str, content: Any) -> bool:
        if is_command(content):
            _log.warning("refused a command to %s", widget)
            return True
        return False

    compat.filter_widget_events(refuse)
    compat.separate_control_channels()
