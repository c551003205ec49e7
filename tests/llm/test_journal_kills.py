"""A live run that is killed at any moment goes on as if nothing had happened, and pays once."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest
from messages_server import MessagesServer
from nursery import nursery

from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Totals
from mesa_llm_norms.llm.settings import JOURNAL

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
ROOT = Path(__file__).parents[2]
ROUNDS = 4
CALLS = 2 * 8 * ROUNDS

PLAY = f"""
import json
import anthropic, mesa
from mesa_llm_norms import NamingGame
from mesa_llm_norms.llm import LLMSettings
from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.llm.journal.journal import Journal

class Logged(NamingGame):
    def step(self):
        super().step()
        rows.extend(self.rows)

def play(folder, first):
    if first:
        model = Logged(
            graph="ring(n=8)", names="QM", mind="claude:claude-test-1", rng=5,
            llm=LLMSettings(folder=folder),
        )
    else:
        model = Logged.resume(folder)
    model.run(rounds={ROUNDS}, until=None)
    model.close()
    with open(folder + ".json", "w") as file:
        json.dump(rows, file)

rows = []
"""


def rows_of(folder: Path) -> object:
    return json.loads(Path(f"{folder}.json").read_text(encoding="utf-8"))


def usage_of(folder: Path) -> Totals:
    with Journal.read(folder / JOURNAL) as journal:
        return journal.usage()


def kill_and_resume(tmp_path: Path, kills: int, seed: int) -> None:
    """Kill so many runs at random moments, go on with each, and hold it against a whole one."""
    chance = random.Random(seed)
    with MessagesServer(latency=0.02) as server, nursery(server, PLAY) as runs:
        assert runs.play(tmp_path / "first") == 0  # by when everything is imported
        started = time.monotonic()
        assert runs.play(tmp_path / "whole") == 0
        seconds = time.monotonic() - started
        expected = rows_of(tmp_path / "whole")
        assert expected == rows_of(tmp_path / "first")
        assert len(server.answered) == 2 * CALLS
        cut_short = 0
        for number in range(kills):
            folder = tmp_path / f"killed{number}"
            before = len(server.answered)
            status = runs.play(folder, kill_after=chance.uniform(0, seconds))
            while chance.random() < 0.3 and status != 0:
                status = runs.play(folder, kill_after=chance.uniform(0, seconds))
            cut_short += status != 0
            if status != 0:
                assert runs.play(folder) == 0
            assert rows_of(folder) == expected
            usage = usage_of(folder)
            answered = len(server.answered) - before
            assert usage.answered == CALLS
            assert usage.calls == CALLS + usage.lost
            assert CALLS <= answered <= CALLS + usage.lost
        assert cut_short >= kills // 2


@pytest.mark.slow
def test_a_killed_run_is_gone_on_with_and_no_answered_call_is_made_again(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=3, seed=1)


@pytest.mark.slow
def test_so_are_a_hundred_runs_killed_at_random_moments(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, kills=100, seed=2)
