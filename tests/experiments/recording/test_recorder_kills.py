"""A recording that is killed at any moment goes on to the same file, and pays nothing twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from messages_server import MessagesServer
from programs import Program

from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.settings import JOURNAL

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
ROOT = Path(__file__).parents[3]
QUESTIONS = 21 * 6

NURSERY = """
import os, sys, traceback
import anthropic
from mesa_llm_norms import LLMSettings
from mesa_llm_norms.experiments.recording.recorder import record

for line in sys.stdin:
    folder = line.strip()
    child = os.fork()
    if not child:
        status = 1
        try:
            resume = os.path.exists(folder + "/journal.sqlite")
            llm = LLMSettings(folder=folder, resume=resume, max_concurrency=8)
            record("claude:claude-test-1", "QM", 2, asks=6, llm=llm).save(folder + ".json")
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


def make(program: Program, folder: Path, kill_after: float | None = None) -> int:
    """Make a recording, or go on with it; return the status of its process."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{folder}\n")
    program.stdin.flush()
    child = int(program.stdout.readline())
    if kill_after is not None:
        time.sleep(kill_after)
        with suppress(ProcessLookupError):  # it may have come to its end
            os.kill(child, signal.SIGKILL)
    return int(program.stdout.readline())


def kill_and_resume(tmp_path: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    with MessagesServer(latency=0.02) as server:
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "ANTHROPIC_API_KEY": "no-key-at-all",
            "ANTHROPIC_BASE_URL": server.url,
        }
        with Program(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as program:
            started = time.monotonic()
            assert make(program, tmp_path / "whole") == 0
            seconds = time.monotonic() - started
            expected = (tmp_path / "whole.json").read_bytes()
            assert len(server.answered) == QUESTIONS
            for number in range(kills):
                folder = tmp_path / f"killed{number}"
                before = len(server.answered)
                status = make(program, folder, kill_after=chance.uniform(0, seconds))
                while status != 0 and chance.random() < 0.3:
                    status = make(program, folder, kill_after=chance.uniform(0, seconds))
                if status != 0:
                    assert make(program, folder) == 0
                assert Path(f"{folder}.json").read_bytes() == expected
                with Journal.read(folder / JOURNAL) as journal:
                    usage = journal.usage()
                assert usage.answered == QUESTIONS
                answered = len(server.answered) - before
                assert QUESTIONS <= answered <= QUESTIONS + usage.lost


def test_a_killed_recording_goes_on_to_the_same_file_and_pays_once(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=1, seed=1)


@pytest.mark.load
def test_so_do_fifty_killed_at_random_moments(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=50, seed=2)
