"""Processes to be killed: one has everything imported and forks a new one for each trial.

with nursery(server, PLAY) as runs:  # PLAY imports, and defines ``play(folder, first)``
    status = runs.play(tmp_path / "run", kill_after=0.2)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from messages_server import MessagesServer
from programs import Program

from mesa_llm_norms.llm.settings import JOURNAL

ROOT = Path(__file__).parents[2]
LOOP = """
import json, os, sys, traceback
for line in sys.stdin:
    folder, first = json.loads(line)
    child = os.fork()
    if not child:
        status = 1
        try:
            play(folder, first)
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(status, flush=True)
"""


class Nursery:
    """Has runs played, each in a process of its own."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def play(self, folder: Path, kill_after: float | None = None) -> int:
        """Play a run, or go on with it; return its status, that of a kill after so many seconds."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        first = not any(folder.rglob(JOURNAL))
        self.program.stdin.write(json.dumps([str(folder), first]) + "\n")
        self.program.stdin.flush()
        child = int(self.program.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with suppress(ProcessLookupError):  # it may have come to its end
                os.kill(child, signal.SIGKILL)
        return int(self.program.stdout.readline())


@contextmanager
def nursery(server: MessagesServer, play: str) -> Iterator[Nursery]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "ANTHROPIC_API_KEY": "no-key-at-all",
        "ANTHROPIC_BASE_URL": server.url,
    }
    with Program(
        [sys.executable, "-c", play + LOOP],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as program:
        yield Nursery(program)
