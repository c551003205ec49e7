"""What stands in front of the page: known names, own pages only, and a token."""

from __future__ import annotations

import html
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mesa_llm_norms.viz.server.messages import admitted

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
