"""The scripts, styles and fonts of Solara's page: on disk, or fetched when first asked for.

Solara keeps them in a folder. The package solara-assets fills it; without that package, Solara's
server fetches what is missing from a public address and keeps it there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

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
