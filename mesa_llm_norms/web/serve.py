"""Serves the page: the address it listens on, and Solara's server with the settings it relies on.

Solara keeps its scripts, styles and fonts in a folder. The package solara-assets fills it; without
that package Solara's server downloads what is missing and keeps it there, unless the page is served
offline.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import re
import secrets
import signal
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.interrupts import SIGNALS
from mesa_llm_norms.errors import SpecError

LOOPBACK = "127.0.0.1"
"""Reached from this computer only. On ``localhost`` another program may listen by IPv6."""

PORT = 8765

PORTS = 50
"""Number of ports tried, starting with ``PORT``, when none is given."""

ASSETS_PATH = "/_solara/cdn/"

PAGE = "mesa_llm_norms.web.page"
"""The module that holds the page."""

SETTINGS: Mapping[str, str] = {
    "SOLARA_ASSETS_FONTAWESOME_ENABLED": "false",
    "SOLARA_ASSETS_PROXY": "true",  # browsers never fetch from elsewhere
    # Seconds after which a viewer whose connection broke (a crash, an unplugged cable) has left
    # and play stops; a tab that is closed or reloaded says so at once.
    "SOLARA_KERNEL_CULL_TIMEOUT": "20s",
    "SOLARA_KERNEL_THREADED": "true",
    "SOLARA_MODE": "production",
    "SOLARA_OAUTH_PRIVATE": "false",
    "SOLARA_ROOT_PATH": "",
    "SOLARA_STATE_BACKEND": "",
    "SOLARA_TELEMETRY_MIXPANEL_ENABLE": "false",
    "SOLARA_TELEMETRY_SERVER_USER_ID": "none",  # no file in the home folder either
    "SOLARA_THEME_SHOW_BANNER": "false",
    "SOLARA_THEME_TITLE": "mesa_llm_norms",
}
"""The environment in which Solara is imported; nothing outside can change these values."""

_SWITCH_INTERVAL = 0.001
"""Seconds after which a playing thread lets others have a turn, a fifth of Python's default."""
_SHUTDOWN_SECONDS = 1
"""Time that requests under way have when the server stops."""

# The address


@dataclass(frozen=True, kw_only=True)
class Listening:
    """A socket that listens; ``host`` is as it was asked for."""

    socket: socket.socket
    host: str

    @property
    def port(self) -> int:
        """The port."""
        return int(self.socket.getsockname()[1])

    @property
    def private(self) -> bool:
        """Whether only programs on this computer can connect."""
        return ipaddress.ip_address(self._bound).is_loopback

    @property
    def origin(self) -> str:
        """Origin of the page for browsers on this computer: ``http://127.0.0.1:8765``."""
        own = "::1" if ":" in self._bound else LOOPBACK
        return self._origin(own if self._everywhere else self._bound)

    @property
    def origin_elsewhere(self) -> str:
        """Origin of the page for other computers; a guess if it listens on all addresses."""
        return self._origin(_own_address() if self._everywhere else self._bound)

    def goes_by(self, host: str) -> bool:
        """Return whether a ``Host`` header names this server.

        Ports are not compared: they may be forwarded. Unless it listens on a loopback address, any
        numeric address is accepted, because nobody can make one resolve elsewhere.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", "127.0.0.1", "::1") or name == self.host.lower():
            return True
        if self.private:
            return False
        own = socket.gethostname().lower()
        return name in (own, f"{own}.local") or _is_address(name)

    @property
    def _bound(self) -> str:
        return str(self.socket.getsockname()[0])

    @property
    def _everywhere(self) -> bool:
        return ipaddress.ip_address(self._bound).is_unspecified

    def _origin(self, address: str) -> str:
        written = f"[{address}]" if ":" in address else address
        return f"http://{written}:{self.port}"


def listen(host: str = LOOPBACK, port: int | None = None) -> Listening:
    """Listen on a port of this computer.

    Parameters
    ----------
    host : str, default "127.0.0.1"
        The address; by default only this computer can connect.
    port : int, optional
        The port, 0 for any free one; by default ``PORT`` or the next free one.

    Raises
    ------
    SpecError
        If the port is taken or the address is not one of this computer.
    """
    if port is not None:
        return Listening(socket=_bind(host, port), host=host)
    for candidate in range(PORT, PORT + PORTS):
        try:
            return Listening(socket=_bind(host, candidate), host=host)
        except SpecError as error:
            if error.argument != "port":
                raise
    raise SpecError(
        "port",
        PORT,
        f"ports {PORT} to {PORT + PORTS - 1} are all taken",
        "Use --port 0 for any free port.",
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if not host or not host.isascii():  # an empty host would be all addresses
            raise OSError(host)
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            why = "already in use" if error.errno == errno.EADDRINUSE else "not permitted"
            raise SpecError(
                "port", port, f"port {port} is {why}", "Use another --port, or 0 for a free one."
            ) from error
        raise SpecError(
            "host",
            host,
            f"{host!r} is not an address of this computer",
            f"Omit --host for this computer alone ({LOOPBACK}), or use 0.0.0.0 for all its "
            "addresses.",
        ) from error


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_address() -> str:
    """Return the address under which others know this computer; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address reserved for documentation
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


# Scripts, styles and fonts


@dataclass(frozen=True)
class OnDiskOnly:
    """An ASGI application in front of Solara's that never serves an asset it would download."""

    app: ASGIApp
    folder: Path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; 404 for an asset that is not in the folder."""
        path = scope.get("path", "")
        if (
            path.startswith(ASSETS_PATH)
            and not (self.folder / path.removeprefix(ASSETS_PATH)).is_file()
        ):
            await PlainTextResponse("Not on this computer.\n", 404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def check_assets(page: str, folder: Path) -> None:
    """Raise ``SpecError`` if ``folder`` lacks assets that a page (HTML) refers to."""
    wanted = re.findall(rf'(?:src|href)="{ASSETS_PATH}([^"]+)"', page)
    missing = [path for path in wanted if not (folder / path).is_file()]
    if missing:
        raise SpecError(
            "offline",
            missing,
            f"{len(missing)} of the {len(wanted)} files of the page, such as {missing[0]}, are not "
            "on this computer",
            'Run: pip install "mesa-llm-norms[offline]"',
        )


# The server


def new_token() -> str:
    """Return a token that nobody can guess."""
    return secrets.token_urlsafe(24)


def serve(
    listening: Listening,
    token: str,
    started: Callable[[], None],
    *,
    offline: bool = False,
    page: str = PAGE,
) -> None:
    """Serve a page until the process is interrupted; once per process.

    Parameters
    ----------
    listening : Listening
        Where to serve it.
    token : str
        What the link must contain.
    started : callable
        Called as soon as the server answers.
    offline : bool, default False
        Whether nothing may be downloaded.
    page : str, default PAGE
        The module that holds the page.

    Raises
    ------
    SpecError
        If ``offline`` is set and files are missing.
    KeyboardInterrupt
        When interrupted, after all viewers' work has ended.
    """
    if "solara" in sys.modules:
        raise RuntimeError("Solara reads its settings when it is imported, which was too early")
    os.environ.update(SETTINGS, SOLARA_APP=page)
    sys.setswitchinterval(_SWITCH_INTERVAL)
    for name in ("solara", "Solara", "uvicorn"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # About cookies within frames of other websites, which are refused here.
    warnings.filterwarnings("ignore", "Cookies with samesite=none")
    import uvicorn
    from solara.server import app as solara_app
    from solara.server import settings, starlette
    from solara.server.server import read_root

    from mesa_llm_norms.web.guard import Guard, guard_widgets

    guard_widgets()
    solara_app.ensure_apps_initialized()
    app: Any = starlette.app
    if offline:
        folder = settings.assets.proxy_cache_dir
        check_assets(read_root("/") or "", folder)
        app = OnDiskOnly(app, folder)
    guard = Guard(
        app=app,
        token=token,
        cookie=f"norms-{listening.port}",  # browsers do not tell ports apart
        goes_by=listening.goes_by,
    )

    class AnnouncingServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Stop at SIGHUP, too, where it ends the process."""
            with super().capture_signals():
                usual = {
                    number: handler
                    for number in SIGNALS
                    if number not in uvicorn.server.HANDLED_SIGNALS
                    and callable(handler := signal.getsignal(number))
                }
                for number in usual:
                    signal.signal(number, self.handle_exit)
                try:
                    yield
                finally:
                    for number, handler in usual.items():
                        signal.signal(number, handler)

    config = uvicorn.Config(
        guard,
        lifespan="on",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        ws_max_size=limits.MESSAGE.high,
    )
    AnnouncingServer(config).run(sockets=[listening.socket])
