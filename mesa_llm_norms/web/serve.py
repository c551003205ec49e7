"""Serves the page: the address it listens on, and Solara's server with the settings it relies on.

Solara keeps its scripts, styles and fonts in a folder. The package solara-assets fills it; without
that package Solara's server downloads what is missing and keeps it there, unless the page is served
offline.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import logging
import math
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mesa_llm_norms.classroom.classroom import Classroom
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.interrupts import SIGNALS
from mesa_llm_norms.errors import SpecError

LOOPBACK = "127.0.0.1"
"""Reached from this computer only. On ``localhost`` another program may listen by IPv6."""

EVERYWHERE = "0.0.0.0"
"""Reached from other computers too, at every address of this one."""

PORT = 8765

PORTS = 50
"""Number of ports tried, starting with ``PORT``, when none is given."""

ASSETS_PATH = "/_solara/cdn/"

PAGE = "mesa_llm_norms.web.page"
"""The module that holds the page."""

SETTINGS: Mapping[str, str] = {
    "SOLARA_ASSETS_FONTAWESOME_ENABLED": "false",
    "SOLARA_ASSETS_PROXY": "true",  # browsers never fetch from elsewhere
    # Seconds after which a viewer whose connection broke (a crash, an unplugged cable) has left;
    # nothing plays meanwhile. A tab that is closed or reloaded says so at once.
    "SOLARA_KERNEL_CULL_TIMEOUT": "150s",
    "SOLARA_KERNEL_THREADED": "true",
    "SOLARA_MODE": "production",
    "SOLARA_OAUTH_PRIVATE": "false",
    "SOLARA_ROOT_PATH": "",
    "SOLARA_STATE_AUTO_REMOUNT": "true",  # a page that was away for longer plays its link again
    "SOLARA_STATE_BACKEND": "",
    "SOLARA_TELEMETRY_MIXPANEL_ENABLE": "false",
    "SOLARA_TELEMETRY_SERVER_USER_ID": "none",  # no file in the home folder either
    "SOLARA_THEME_SHOW_BANNER": "false",
    "SOLARA_THEME_TITLE": "mesa_llm_norms",
}
"""The environment in which Solara is imported; nothing outside can change these values."""

_SWITCH_INTERVAL = 0.001
"""Seconds after which a playing thread lets others have a turn, a fifth of Python's default."""
VIEWERS = 40
"""How many people may see the page at the same time, unless it is started for more or fewer.

All of them share this process: the more play at the same time, the fewer updates each gets.
"""

_PLAYING_ENDS, _PAGES_END, _REQUESTS_END = 1.5, 0.5, 0.1
"""Seconds for calls under way, for closing pages and for requests when the server stops."""
_FILES = 12
"""Open files per viewer: the connections of a browser, and an event loop."""
_MOST_LOGGED, _MOST_FRAMES, _PAUSE = 200, 5, 1.0
"""Characters of a message, places of an exception, and seconds between equal messages."""
_log = logging.getLogger(__name__)

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


@dataclass(frozen=True)
class SaysWhatIsMissing:
    """An ASGI application in front of Solara's whose page says so where assets cannot be had."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; the front page as it is, with a few lines before its scripts."""
        if scope["type"] != "http" or scope["path"] != "/":
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def rewritten(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body"):
                whole = body.replace(b"<head>", b"<head>" + _MISSING.encode(), 1)
                MutableHeaders(scope=start)["content-length"] = str(len(whole))
                await send(start)
                await send({**message, "body": whole})

        plain = [pair for pair in scope["headers"] if pair[0].lower() != b"accept-encoding"]
        await self.app({**scope, "headers": plain}, receive, rewritten)


_INSTALL = 'pip install "mesa-llm-norms[offline]"'
_MISSING = (
    "<script>addEventListener('error', (event) => {"
    "const from = event.target.src || event.target.href || '';"
    f"if (!from.includes('{ASSETS_PATH}') || document.getElementById('norms-missing')) return;"
    "const box = document.createElement('div');"
    "box.id = 'norms-missing'; box.setAttribute('role', 'alert');"
    "box.style = 'position: fixed; inset: 0; z-index: 9999; padding: 2em; background: #fff;"
    " color: #111; font: 18px/1.5 sans-serif; overflow-wrap: anywhere';"
    "box.textContent = 'This page needs files that are not on the computer that serves it and"
    " could not be downloaded, such as ' + from.split('/').pop() + '. With the internet, open it"
    f" again; without, on that computer: {_INSTALL}';"
    "document.documentElement.append(box);"
    "}, true)</script>"
)
"""What tells a reader of the page that a script or a style did not come."""


def missing_assets(page: str, folder: Path) -> str:
    """Return in words which assets that a page (HTML) refers to ``folder`` lacks, if any."""
    wanted = re.findall(rf'(?:src|href)="{ASSETS_PATH}([^"]+)"', page)
    missing = [path for path in wanted if not (folder / path).is_file()]
    if not missing:
        return ""
    named = f"{len(missing)} of the {len(wanted)} files of the page, such as {missing[0]},"
    return f"{named} are not on this computer"


def check_assets(page: str, folder: Path) -> None:
    """Raise ``SpecError`` if ``folder`` lacks assets that a page (HTML) refers to."""
    missing = missing_assets(page, folder)
    if missing:
        raise SpecError("offline", missing, missing, f"Run: {_INSTALL}")


# What is logged


class BriefFormatter(logging.Formatter):
    """Writes a record as one short line without anything that a browser sent.

    Of a message only the text in the program, of an exception its kind and where it was raised.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        said = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
        text = "".join(char for char in said.partition("\n")[0] if char.isprintable())
        line = f"{record.levelname.lower()}: {record.name}: {text[:_MOST_LOGGED]}"
        kind, error, _ = record.exc_info or (None, None, None)
        if kind is not None and error is not None:
            frames = traceback.extract_tb(error.__traceback__)[-_MOST_FRAMES:]
            places = (f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
            line += f" ({kind.__name__} at {' > '.join(places)})"
        return line


class _Seldom(logging.Filter):
    """Drops what was logged in the same words less than a second before."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place, now = (record.pathname, record.lineno), time.monotonic()
        before = self._last.get(place, -math.inf)
        if now - before < _PAUSE:
            return False
        self._last[place] = now
        return True


def log_briefly() -> None:
    """Have everything that is logged in this process written as ``BriefFormatter`` does."""
    handler = logging.StreamHandler()
    handler.setFormatter(BriefFormatter())
    handler.addFilter(_Seldom())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    for name in ("solara", "Solara", "uvicorn"):
        logging.getLogger(name).setLevel(logging.ERROR)

    def report(failed: threading.ExceptHookArgs) -> None:
        if failed.exc_value is not None and not sys.is_finalizing():
            _log.error("a thread failed", exc_info=failed.exc_value)

    threading.excepthook = report


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
    viewers: int = VIEWERS,
    classroom: Classroom | None = None,
    guest: str | None = None,
    note: Callable[[str], None] | None = None,
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
    viewers : int, default VIEWERS
        How many people may see it at the same time.
    classroom : Classroom, optional
        A class whose phones are served too, and its teacher's page. By default there is none.
    guest : str, optional
        What links that are shared contain instead, which do not admit to the teacher's page. By
        default there are none.
    note : callable, optional
        Called with a sentence if files of the page are missing. By default nobody is told.

    Raises
    ------
    SpecError
        If ``offline`` is set and files are missing.
    KeyboardInterrupt
        When interrupted by Ctrl-C, after all viewers' work has ended. SIGTERM and SIGHUP do then
        what they did before.
    """
    if "solara" in sys.modules:
        raise RuntimeError("Solara reads its settings when it is imported, which was too early")
    os.environ.update(SETTINGS, SOLARA_APP=page)
    sys.setswitchinterval(_SWITCH_INTERVAL)
    log_briefly()
    _allow_files(_FILES * (viewers + 10) + limits.CLASS_SOCKETS.high)
    # About cookies within frames of other websites, which are refused here.
    warnings.filterwarnings("ignore", "Cookies with samesite=none")
    import uvicorn
    from solara.server import app as solara_app
    from solara.server import settings, starlette
    from solara.server.server import read_root

    from mesa_llm_norms import compat
    from mesa_llm_norms.web.guard import Guard, Room, TimedProtocol, guard_widgets
    from mesa_llm_norms.web.page_state import take_drawn
    from mesa_llm_norms.web.player import end_all_players

    guard_widgets()
    solara_app.ensure_apps_initialized()
    app: Any = starlette.app
    folder, root = settings.assets.proxy_cache_dir, read_root("/") or ""
    missing = missing_assets(root, folder)
    if offline:
        check_assets(root, folder)
        app = OnDiskOnly(app, folder)
    elif missing:
        app = SaysWhatIsMissing(app)
        if note is not None:
            note(f"{missing}, and are downloaded at the first visit; or: {_INSTALL}")
    phones = reserved = None
    if classroom is not None:
        from mesa_llm_norms.web.phones import Phones
        from mesa_llm_norms.web.teacher import CLASS, TeacherPage

        reserved = CLASS

        phones = Phones(classroom, f"seat-{listening.port}", listening.goes_by)
        app = TeacherPage(app, phones, listening.origin_elsewhere)
    guard = Guard(
        app=app,
        token=token,
        cookie=f"norms-{listening.port}",  # browsers do not tell ports apart
        goes_by=listening.goes_by,
        room=Room(viewers),
        phones=phones,
        guest=guest,
        reserved=reserved,
        take=take_drawn,
    )

    class PageServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if phones is not None:
                self.keeping_time = asyncio.create_task(phones.run())
            started()

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            for server in self.servers:
                server.close()
            # In threads of their own: what they wait for may need this one.
            playing = _start(end_all_players, _PLAYING_ENDS)
            pages = _start(compat.close_kernels)
            begun = time.monotonic()
            while (playing.is_alive() and time.monotonic() < begun + _PLAYING_ENDS) or (
                pages.is_alive() and time.monotonic() < begun + _PAGES_END
            ):
                await asyncio.sleep(0.01)
            self.force_exit = True  # Solara would close the pages that are left, in this thread
            for name in ("asyncio", "uvicorn"):  # what is cut short now is no news
                logging.getLogger(name).setLevel(logging.CRITICAL)
            await super().shutdown(sockets)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            usual = {number: signal.getsignal(number) for number in SIGNALS}
            for number, handler in usual.items():
                if handler is not signal.SIG_IGN:
                    signal.signal(number, self.handle_exit)
            try:
                yield
            finally:
                for number, handler in usual.items():
                    signal.signal(number, handler)
            if self._captured_signals:
                signal.raise_signal(self._captured_signals[0])

    config = uvicorn.Config(
        guard,
        http=TimedProtocol,
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=_REQUESTS_END,  # type: ignore[arg-type]
        ws_max_size=limits.MESSAGE.high,
        ws_max_queue=4,
    )
    PageServer(config).run(sockets=[listening.socket])


def _start(task: Callable[..., object], *given: object) -> threading.Thread:
    thread = threading.Thread(target=task, args=given, name="mesa_llm_norms end", daemon=True)
    thread.start()
    return thread


def _allow_files(number: int) -> None:
    """Allow this process so many open files, if the system lets it."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < number:
        most = number if hard == resource.RLIM_INFINITY else min(hard, number)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
