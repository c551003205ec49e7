"""What a page may say to the server: the messages it needs, and none of those that are commands.

A page and its kernel exchange messages of Jupyter's protocol. A few of them make the kernel import,
construct or call what the browser names. ``admitted`` looks at every message before Solara does;
``guard_widgets`` changes the widgets' own handlers, for whatever way a message may come.

What stands in front of the page: known names, own pages only, and a token.
"""

from __future__ import annotations

import html
import json
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = logging.getLogger(__name__)


COMMANDS = frozenset({"create_widget", "update_ref", "destroy_widget"})
"""What ipyvue takes as an order to construct, change or drop widgets of any kind."""


_TYPES = frozenset({"kernel_info_request", "comm_info_request", "comm_close", "shutdown_request"})
"""The types of messages in which there is nothing to look at."""


_CHANNELS = frozenset({"solara.control", "jupyter.widget.control"})
"""What a page may open: never a widget, since those are for the server to make."""


_METHODS = frozenset(
    # Solara's start and reconnection; the states of all widgets, of one; changes; events.
    {"run", "app-status", "request_states", "request_state", "update", "custom"}
)


def admitted(text: str | None) -> str | None:
    """Return a message as it may go on, or None for one that may not.

    What goes on is written anew, so that what is read later is what was looked at here. Messages
    of bytes (None) are refused: they carry files, and the page takes none.
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
    """Whether what a page says to a widget is more than an event."""
    return not isinstance(content, dict) or not COMMANDS.isdisjoint(content)


def guard_widgets() -> None:
    """Have all widgets of this process take their own events only, and answer who asked."""
    from ipyvue.VueTemplateWidget import Events as TemplateEvents
    from ipyvue.VueWidget import Events as WidgetEvents
    from ipywidgets import Widget

    def knows(widget: Any, event: str) -> bool:
        return callable(getattr(type(widget), f"vue_{event}", None))

    def listens(widget: Any, event: str) -> bool:
        return event in widget._event_handlers_map

    for events, has in ((TemplateEvents, knows), (WidgetEvents, listens)):
        events._handle_event = _only_events(events._handle_event, has)
    Widget.handle_control_comm_opened = _answer_who_asked(Widget.handle_control_comm_opened)


def _only_events(handle: Any, has: Callable[[Any, str], bool]) -> Any:
    """Return ipyvue's handler of messages without all but the events that the widget has."""

    @wraps(handle)
    def handle_events(self: Any, widget: Any, content: Any, buffers: Any) -> None:
        if is_command(content):
            _log.warning("refused a command to %s", type(self).__name__)
        elif has(self, str(content.get("event"))):
            handle(self, widget, content, buffers)

    return handle_events


def _answer_who_asked(opened: Any) -> Any:
    """Return ipywidgets' handler of a new control channel without its one place for the channel.

    It keeps the channel on its class, where the last viewer's replaces the others'.
    """

    @wraps(opened)
    def handle_control_comm_opened(comm: Any, message: Any) -> None:
        from ipywidgets import Widget

        opened.__func__(type("Viewer", (Widget,), {}), comm, message)

    return staticmethod(handle_control_comm_opened)


TOKEN = "token"
"""The key in a link under which the token is."""


_NO_TOKEN = "This page needs its link: open the one that was printed where the page was started.\n"


_OLD_TOKEN = (
    "This link is not, or no longer, that of this page: open the one that was printed where the "
    "page was started last.\n"
)


_FOREIGN_NAME = "This page goes by other names: open the link printed where it was started.\n"


_FOREIGN_PAGE = "This page takes nothing from other pages: open it by its link.\n"


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


@dataclass(frozen=True, kw_only=True)
class Guard:
    """An ASGI application in front of another, ``app``, that lets in who has the link.

    ``goes_by`` says of a ``Host`` header whether it is a name of this server. The token comes in
    the query of the front page; it is put into the cookie named ``cookie`` and taken out of the
    address bar, with the rest of the query kept.
    """

    app: ASGIApp
    token: str
    cookie: str
    goes_by: Callable[[str], bool]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it in one sentence."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._page(scope, receive, send)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        if not (
            self.goes_by(headers.get("host", ""))
            and _is_own(headers.get("origin", ""), headers)
            and self._has_token(headers)
        ):
            await send({"type": "websocket.close", "code": 1008})
            return

        async def receive_admitted() -> Message:
            while True:
                message = await receive()
                if message["type"] != "websocket.receive":
                    return message
                text = admitted(message.get("text"))
                if text is not None:
                    return {"type": "websocket.receive", "text": text}

        await self.app(_without_proxy(scope), receive_admitted, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                _secure(MutableHeaders(scope=message), headers.get("host", ""))
            await send(message)

        answer = self._answer(scope, headers)
        if answer is None:
            await self.app(_without_proxy(scope), receive, send_with_headers)
        else:
            await answer(scope, receive, send_with_headers)

    def _answer(self, scope: Scope, headers: Headers) -> Response | None:
        """Return what is to be answered here, None where the request may go on."""
        if not self.goes_by(headers.get("host", "")):
            return PlainTextResponse(_FOREIGN_NAME, 421)
        query = scope["query_string"].decode("latin-1")
        given = parse_qs(query, keep_blank_values=True).get(TOKEN)
        if scope["path"] == "/" and given is not None:
            if not self._is_token(given[-1]):
                return PlainTextResponse(_OLD_TOKEN, 403)
            return self._welcome(query)
        if not self._has_token(headers):
            return PlainTextResponse(_NO_TOKEN, 403)
        # Browsers hide the origin of what a page sends when it closes, since this page asks for
        # no referrers; the cookie, which is not sent from other sites, is what counts there.
        origin = headers.get("origin", "null")
        if scope["method"] not in ("GET", "HEAD") and not (
            origin == "null" or _is_own(origin, headers)
        ):
            return PlainTextResponse(_FOREIGN_PAGE, 403)
        return None

    def _welcome(self, query: str) -> Response:
        """Set the cookie, and have the browser go on to the page without the token.

        Not by a redirect: where the link was on another website, browsers would not send the
        cookie along to where a redirect leads.
        """
        kept = "&".join(pair for pair in query.split("&") if pair.partition("=")[0] != TOKEN)
        target = html.escape("/?" + kept if kept else "/")
        response = HTMLResponse(
            f'<!doctype html><meta http-equiv="refresh" content="0;url={target}">'
            f'<title>mesa_llm_norms</title><a href="{target}">Go on to the page</a>',
            headers={"cache-control": "no-store"},
        )
        response.set_cookie(self.cookie, self.token, httponly=True, samesite="strict")
        return response

    def _has_token(self, headers: Headers) -> bool:
        return self._is_token(cookie_parser(headers.get("cookie", "")).get(self.cookie, ""))

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self.token.encode())


def _is_own(origin: str, headers: Headers) -> bool:
    """Whether a page of this origin came from where the request goes to."""
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
