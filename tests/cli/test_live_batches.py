"""``--batch`` as typed: what it is refused for, and a batch that outlives Ctrl-C."""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path

import pytest
from commands import invoke, start
from messages_server import MessagesServer

MIND = ("--mind", "claude:claude-test-1", "--names", "QM", "--batch", "--budget-calls", "500")
ASKED = ("--runs", "0", "--no-probes", "--asks", "4", "--asks-after", "1", "--seed", "3")


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "no-key-at-all")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("run", *MIND, "--out", "x", "--rounds", "2", "--quiet"), "wait for each other"),
        (("tip", *MIND, "--out", "x"), "wait for each other"),
    ],
)
def test_what_is_played_is_refused_with_a_reason(
    arguments: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        result = invoke(*arguments)
    assert result.exit_code == 2
    assert why in result.stderr
    assert not Path("x").exists()
    assert not server.requests


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
def test_a_batch_outlives_ctrl_c_and_is_read_by_resume(monkeypatch: pytest.MonkeyPatch) -> None:
    with MessagesServer(batch_seconds=math.inf) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        with start("audit", *MIND, *ASKED, "--out", "asked") as audit:
            while not server.batches:
                assert audit.poll() is None, audit.communicate()
                time.sleep(0.05)
            audit.send_signal(signal.SIGINT)
            _, said = audit.communicate()
        assert audit.returncode == 130
        assert "Traceback" not in said
        server.end_batches()
        with start("audit", *MIND, *ASKED, "--out", "asked", "--resume") as audit:
            _, said = audit.communicate()
        assert audit.returncode == 0, said
    assert len(server.answered) == 24
    assert Path("asked/audit.json").exists()
