"""Batches whose process is killed at any moment: nothing is paid twice, the result is the same."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest
from messages_server import Fault, MessagesServer
from nursery import nursery

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

PLAY = """
import json
from anthropic import AsyncAnthropic
from mesa_llm_norms.experiments.audits.runner import audit
from mesa_llm_norms.experiments.recording.recorder import record
from mesa_llm_norms.llm import batches, client
from mesa_llm_norms.llm.settings import LLMSettings

AsyncAnthropic(api_key="none").messages.batches  # imported here, and not in each child
batches.QUIET, batches.FIRST_LOOK, batches.SETTLED = 0.05, 0.02, 0.3

def play(folder, first):
    llm = LLMSettings(folder=folder, batch=True, resume=not first, wait=0.01)
    mind = "claude:claude-test-1"
    if WHAT == "record":
        found = record(mind, names="QM", memory=1, asks=3, rng=5, llm=llm)
    else:
        found = audit(
            mind, runs=0, times=4, times_after=1, memory=2, rng=5, probes=WHAT == "probes", llm=llm
        )
    with open(folder + ".json", "w") as file:
        json.dump(found.as_object(), file)
"""


def result_of(folder: Path) -> Any:
    return {**json.loads(Path(f"{folder}.json").read_text(encoding="utf-8")), "usage": None}


def kill_and_resume(tmp_path: Path, kills: int, seed: int, what: str) -> None:
    """Kill so many at random moments, up to three times each, and compare with a whole one.

    One batch in five is made, and its answer is lost on the way.
    """
    chance = random.Random(seed)

    def lost(_: int) -> Fault | None:
        return Fault("lost") if chance.random() < 0.2 else None

    with (
        MessagesServer(batch_seconds=0.1, batch_fault=lost) as server,
        nursery(server, f"WHAT = {what!r}\n{PLAY}") as runs,
    ):
        assert runs.play(tmp_path / "first") == 0  # by when everything is imported
        started, before = time.monotonic(), len(server.answered)
        assert runs.play(tmp_path / "whole") == 0
        seconds, calls = time.monotonic() - started, len(server.answered) - before
        expected = result_of(tmp_path / "whole")
        assert calls == before
        killed = 0
        for number in range(kills):
            folder = tmp_path / f"killed{number}"
            before = len(server.answered)
            for _ in range(3):
                killed += runs.play(folder, kill_after=chance.uniform(0, seconds)) != 0
            assert runs.play(folder) == 0
            assert len(server.answered) == before + calls
            assert result_of(folder) == expected
        assert killed >= kills / 2


@pytest.mark.slow
def test_a_killed_audit_waits_for_its_batches_and_pays_once(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=1, seed=1, what="audit")


@pytest.mark.load
@pytest.mark.parametrize(("what", "kills"), [("probes", 14), ("record", 3)])
def test_so_are_batches_killed_at_fifty_moments(tmp_path: Path, what: str, kills: int) -> None:
    kill_and_resume(tmp_path, kills=kills, seed=2, what=what)
