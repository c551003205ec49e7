"""Servers of the page in processes of their own, for tests.

``start_app("--names", "QM")`` is ``mesa-llm-norms app`` with these options on a free port of this
computer; ``start_small_page()`` serves a small page without a game. Both end with their ``with``
block, however that ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from programs import Program

import mesa_llm_norms

SMALL_SERVER = Path(__file__).with_name("small_server.py")


class Served(Program):
    """A server's process; ``link`` is what it printed, to be opened in a browser."""

    def __init__(self, command: Sequence[str], cwd: Path | None = None) -> None:
        """Start a command and wait until it prints its link, or fail with what it said."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(Path(mesa_llm_norms.__file__).parents[1]),
            "PYTHONUNBUFFERED": "1",
        }
        # Solara would look for its files there.
        environment.pop("VIRTUAL_ENV", None)
        self.said = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        super().__init__(
            command,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
            encoding="utf-8",
            env=environment,
            cwd=cwd,
        )
        assert self.stdout is not None
        for line in self.stdout:
            if line.startswith("http://"):
                self.link = line.strip()
                return
        self.wait()
        complaints = self.complaints()
        self.stdout.close()
        self.said.close()
        raise AssertionError(f"no server: {complaints}")

    @property
    def origin(self) -> str:
        """The link up to the path: ``http://127.0.0.1:34567``."""
        return self.link.partition("/?")[0]

    @property
    def port(self) -> int:
        return urlsplit(self.link).port or 80

    @property
    def token(self) -> str:
        return parse_qs(urlsplit(self.link).query)["token"][0]

    def complaints(self) -> str:
        """Return what it has written to standard error so far."""
        self.said.seek(0)
        return self.said.read()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.said.close()


def start_app(*options: str, cwd: Path | None = None) -> Served:
    """Start ``mesa-llm-norms app`` with these options; ``cwd`` is where live runs would go."""
    always = ("app", "--no-browser", "--port", "0")
    return Served([sys.executable, "-m", "mesa_llm_norms", *always, *options], cwd)


def start_small_page(*options: str) -> Served:
    """Start the server of the small page."""
    return Served([sys.executable, str(SMALL_SERVER), *options])
