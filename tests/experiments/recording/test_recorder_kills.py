"""A recording that is killed at any moment goes on to the same file, and pays nothing twice."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from messages_server import MessagesServer
from nursery import nursery

from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.settings import JOURNAL

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
QUESTIONS = 21 * 6

PLAY = """
import anthropic
from mesa_llm_norms import LLMSettings
from mesa_llm_norms.experiments.recording.recorder import record

def play(folder, first):
    llm = LLMSettings(folder=folder, resume=not first, max_concurrency=8)
    record("claude:claude-test-1", "QM", 2, asks=6, llm=llm).save(folder + ".json")
"""


def kill_and_resume(tmp_path: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    with MessagesServer(latency=0.02) as server, nursery(server, PLAY) as runs:
        started = time.monotonic()
        assert runs.play(tmp_path / "whole") == 0
        seconds = time.monotonic() - started
        expected = (tmp_path / "whole.json").read_bytes()
        assert len(server.answered) == QUESTIONS
        for number in range(kills):
            folder = tmp_path / f"killed{number}"
            before = len(server.answered)
            status = runs.play(folder, kill_after=chance.uniform(0, seconds))
            while status != 0 and chance.random() < 0.3:
                status = runs.play(folder, kill_after=chance.uniform(0, seconds))
            if status != 0:
                assert runs.play(folder) == 0
            assert Path(f"{folder}.json").read_bytes() == expected
            with Journal.read(folder / JOURNAL) as journal:
                usage = journal.usage()
            assert usage.answered == QUESTIONS
            answered = len(server.answered) - before
            assert QUESTIONS <= answered <= QUESTIONS + usage.lost


@pytest.mark.slow
def test_a_killed_recording_goes_on_to_the_same_file_and_pays_once(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=1, seed=1)


@pytest.mark.load
def test_so_do_fifty_killed_at_random_moments(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=50, seed=2)
