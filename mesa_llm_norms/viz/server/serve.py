"""Solara's server in this process, with the settings that the page relies on."""

from __future__ import annotations

import logging
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from mesa_llm_norms.viz.server.listening import Listening

if TYPE_CHECKING:
    import socket

PAGE = "mesa_llm_norms.viz.page.app"
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

    from mesa_llm_norms.viz.server.assets import OnDiskOnly, check_assets
    from mesa_llm_norms.viz.server.guard import Guard
    from mesa_llm_norms.viz.server.messages import guard_widgets

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
