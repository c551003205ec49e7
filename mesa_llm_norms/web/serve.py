"""The scripts, styles and fonts of Solara's page: on disk, or fetched when first asked for.

Solara keeps them in a folder. The package solara-assets fills it; without that package, Solara's
server fetches what is missing from a public address and keeps it there.

The address that the page is served at: a port of this computer, and the names it goes by.

Solara's server in this process, with the settings that the page relies on.
"""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import re
import secrets
import socket
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from mesa_llm_norms.errors import SpecError

PREFIX = "/_solara/cdn/"


@dataclass(frozen=True)
class OnDiskOnly:
    """An ASGI application in front of Solara's that serves no asset which is not in the folder."""

    app: ASGIApp
    folder: Path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; 404 for an asset that would have to be fetched."""
        path = scope.get("path", "")
        if path.startswith(PREFIX) and not self._has(path[len(PREFIX) :]):
            await PlainTextResponse("Not on this computer.\n", 404)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _has(self, path: str) -> bool:
        return (self.folder / path).is_file()


def check_assets(page: str, folder: Path) -> None:
    """Raise ``SpecError`` where what a page (HTML) asks for is not all in the folder."""
    wanted = re.findall(rf'(?:src|href)="{PREFIX}([^"]+)"', page)
    missing = [path for path in wanted if not (folder / path).is_file()]
    if missing:
        raise SpecError(
            "offline",
            missing,
            f"{len(missing)} of the {len(wanted)} files that the page is made of, such as "
            f"{missing[0]}, are not on this computer",
            'Run: pip install "mesa-llm-norms[offline]"',
        )


LOOPBACK = "127.0.0.1"
"""Reached from this computer only. Not ``localhost``, which another program may have as IPv6."""


PORT = 8765


PORTS = 50
"""How many ports are tried, from ``PORT`` on, where none is asked for."""


@dataclass(frozen=True, kw_only=True)
class Listening:
    """A port that is listened on; ``host`` is as it was asked for."""

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
        """What a browser on this computer puts before the path: ``http://127.0.0.1:8765``."""
        return self._origin(_loopback(self._bound) if self._everywhere else self._bound)

    @property
    def origin_elsewhere(self) -> str:
        """The same for other computers; a guess where it listens on all addresses."""
        return self._origin(_address() if self._everywhere else self._bound)

    def goes_by(self, host: str) -> bool:
        """Whether a request with this ``Host`` header is meant for here.

        Ports are not compared: they may be forwarded from others. On other addresses than the
        loopback ones any address in numbers will do, for nobody can point those elsewhere.
        """
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", "127.0.0.1", "::1"):
            return True
        if self.private:
            return name == self.host.lower()
        own = socket.gethostname().lower()
        return name in (self.host.lower(), own, f"{own}.local") or _is_address(name)

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
    """Listen on a port: any that is free for 0, and for None ``PORT`` or the next one free.

    Raises ``SpecError`` where the port is taken or the host is not one of this computer's.
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
        "Give --port 0 for any that is free.",
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        if not host or not host.isascii():  # nothing would be all addresses
            raise OSError(host)
        return socket.create_server((host, port), family=family, backlog=128)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            why = "taken by another program" if error.errno == errno.EADDRINUSE else "not allowed"
            raise SpecError(
                "port", port, f"port {port} is {why}", "Give another --port, or 0 for a free one."
            ) from error
        raise SpecError(
            "host",
            host,
            f"{host!r} is no address of this computer",
            f"Leave --host out for this computer alone ({LOOPBACK}), or give 0.0.0.0 for all its "
            "addresses.",
        ) from error


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _loopback(unspecified: str) -> str:
    return "::1" if ":" in unspecified else LOOPBACK


def _address() -> str:
    """Return the address that other computers know this one by; nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address set aside for documentation
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


PAGE = "mesa_llm_norms.web.page"
"""The module that holds the page."""


GONE_FOR_GOOD = 20
"""Seconds after which a viewer whose connection broke is taken to have left, and play stops.

A tab that is closed or loaded anew says so, and is gone at once. This is for what cannot: a browser
that crashed, a cable pulled out. A connection that is back within this time goes on as it was.
"""


_TURN = 0.001
"""Seconds after which a thread that plays lets others have a turn, a fifth of what is usual."""


CLOSING = 1
"""Seconds that requests under way have when the server stops."""


LARGEST = 1 << 20
"""Bytes of a message from a page; the page's own are below 10,000."""


SETTINGS: Mapping[str, str] = {
    "SOLARA_ASSETS_FONTAWESOME_ENABLED": "false",
    "SOLARA_ASSETS_PROXY": "true",  # browsers never fetch from elsewhere
    "SOLARA_KERNEL_CULL_TIMEOUT": f"{GONE_FOR_GOOD}s",
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
"""The environment that Solara is imported in; nothing outside can change these."""


def new_token() -> str:
    """Return a token that nobody guesses."""
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

    ``started`` is called when the server answers. ``page`` is the module of the page, ``offline``
    whether nothing may be fetched. Raises ``SpecError`` where that cannot be, and
    ``KeyboardInterrupt`` when interrupted; by then all viewers' work has been ended.
    """
    if "solara" in sys.modules:
        raise RuntimeError("Solara reads its settings when it is imported, and it was before now")
    os.environ.update(SETTINGS, SOLARA_APP=page)
    sys.setswitchinterval(_TURN)
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

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            started()

    config = uvicorn.Config(
        guard,
        lifespan="on",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=CLOSING,
        ws_max_size=LARGEST,
    )
    Server(config).run(sockets=[listening.socket])
