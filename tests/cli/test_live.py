"""Live minds on the command line: what they would be told, what they take, and going on."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from chat_server import OLLAMA
from commands import invoke, start
from matplotlib.figure import Figure
from messages_server import Fault, MessagesServer
from programs import Program
from reasoning_server import IN_CONTENT, THOUGHTS, ReasoningServer

from mesa_llm_norms import cli
from mesa_llm_norms.llm import read_journal
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.prompt import default_template

MIND = "claude:claude-test-1"
SMALL = ("--topology", "ring(n=6)", "--names", "QM", "--mind", MIND, "--seed", "7")
SHORT = (*SMALL, "--rounds", "3", "--until", "none")
KEY = "a-key-that-nobody-may-see"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MessagesServer]:
    with MessagesServer() as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        yield running


def rows(folder: str) -> list[Any]:
    return pd.read_parquet(Path(folder) / "interactions.parquet").to_dict("records")


def test_a_run_prints_its_calls_and_leaves_a_journal_beside_its_tables(
    server: MessagesServer,
) -> None:
    result = invoke("run", *SHORT, "--out", "mine")
    assert result.exit_code == 0, result.stderr
    assert "36 calls, " in result.stdout
    assert {"journal.sqlite", "spec.json", "rounds.parquet", "interactions.parquet"} <= {
        path.name for path in Path("mine").iterdir()
    }
    found = json.loads(invoke("run", *SHORT, "--no-files", "--json").stdout)
    assert found["usage"]["calls"] == 36
    assert found["mind"] == MIND
    assert len(server.answered) == 72


def test_a_run_out_of_budget_says_how_to_resume_and_does(server: MessagesServer) -> None:
    invoke("run", *SHORT, "--out", "whole")
    result = invoke("run", *SHORT, "--out", "mine", "--budget-calls", "11")
    assert result.exit_code == 2
    where, note, error = result.stderr.splitlines()
    assert where == f"note: {MIND}: calls go to {server.url} with ANTHROPIC_API_KEY"
    assert note.endswith("resume with: mesa-llm-norms resume mine")
    assert error.startswith("error: budget: 11 of 11 calls are used")
    result = invoke("resume", "mine")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[:2] == ["note: resuming mine, with 0 of 11 calls left", where]
    assert len(server.answered) == 36 + 11
    result = invoke("resume", "mine", "--budget-calls", "100", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["usage"]["calls"] == 36
    assert rows("mine") == rows("whole")
    assert Path("mine/spec.json").read_bytes() == Path("whole/spec.json").read_bytes()
    assert len(server.answered) == 72
    assert "its run is complete" in invoke("resume", "mine").stderr


@pytest.mark.slow
def test_many_runs_share_a_journal_and_are_resumed(server: MessagesServer) -> None:
    invoke("run", *SHORT, "--runs", "4", "--out", "whole", "--keep-interactions")
    arguments = ("--runs", "4", "--out", "mine", "--keep-interactions", "--budget-calls", "70")
    assert invoke("run", *SHORT, *arguments).exit_code == 2
    result = invoke("resume", "mine", "--budget-calls", "144", "--quiet")
    assert result.exit_code == 0, result.stderr
    assert rows("mine") == rows("whole")
    assert len(server.answered) == 2 * 144


@pytest.mark.slow
def test_an_interrupted_run_says_how_to_resume_and_loses_nothing_paid_for(
    server: MessagesServer,
) -> None:
    server.latency = 0.05
    command = [sys.executable, "-m", "mesa_llm_norms", "run", *SMALL, "--rounds", "30"]
    command += ["--until", "none", "--out", "mine"]
    with Program(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])},
    ) as process:
        for _ in range(600):
            if len(server.answered) > 20:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "with ANTHROPIC_API_KEY" in err.splitlines()[0]
    assert err.splitlines()[1:] == [
        "note: all replies so far are saved; resume with: mesa-llm-norms resume mine",
        "interrupted: nothing more was written.",
    ]
    assert sorted(path.name for path in Path("mine").iterdir()) == [
        "journal.lock",
        "journal.sqlite",
    ]
    server.latency = 0.0
    result = invoke("resume", "mine", "--json")
    assert result.exit_code == 0, result.stderr
    usage = json.loads(result.stdout)["usage"]
    assert usage["answered"] == usage["calls"] == len(server.answered) == 360


def test_a_model_that_thinks_plays_and_says_when_it_needs_more_room() -> None:
    with ReasoningServer(OLLAMA, IN_CONTENT[0]) as thinker:
        mind = ("--mind", f"llama:{thinker.url}#m")
        short = ("--topology", "ring(n=4)", "--names", "QM", "--rounds", "1", "--until", "none")
        result = invoke("run", *short, *mind, "--out", "cut", "--max-tokens", "20")
        assert result.exit_code == 2
        assert "it thought and wrote nothing: raise --max-tokens (asked 3 times)" in result.stderr
        assert THOUGHTS.splitlines()[0] in result.stderr
        assert str(Path("cut") / "journal.sqlite") in result.stderr
        assert {body["max_tokens"] for body in thinker.asked} == {20}
        # What was in vain with little room is asked for again with more.
        result = invoke("resume", "cut", "--max-tokens", "2000")
        assert result.exit_code == 0, result.stderr
        result = invoke("run", *short, *mind, "--out", "roomy", "--max-tokens", "3000")
        assert result.exit_code == 0, result.stderr
    with Journal.read(Path("roomy") / "journal.sqlite") as journal:
        first, *_ = journal.attempts_of(0, 0)
    assert first.thoughts == THOUGHTS
    assert first.parameters["thinks"] is True
    assert first.parameters["max_tokens"] == 3_000


@pytest.mark.parametrize(
    "moment", ["before the first reply", pytest.param("later", marks=pytest.mark.slow)]
)
def test_a_long_wait_says_what_for_and_ctrl_c_ends_it_at_once(
    server: MessagesServer, moment: str
) -> None:
    busy = Fault("status", 529, {"retry-after": "600"}, message="too busy today")
    if moment == "later":
        server.faults = lambda number, _: busy if number >= 20 else None
    else:
        server.lookup_fault = busy
    with start("run", *SMALL, "--rounds", "30", "--out", "mine", "--quiet") as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)  # not 600
    assert re.fullmatch(
        rf"note: {MIND}: overloaded \(529\): too busy today; "
        r"next try at ..:..:.., given up at ..:..:..\n",
        said,
    )
    assert process.returncode == 130
    assert err.endswith("interrupted: nothing more was written.\n")


def test_how_long_calls_are_repeated_can_be_said_and_is_kept_for_resuming(
    server: MessagesServer,
) -> None:
    server.faults = lambda number, _: Fault("status", 500) if number >= 20 else None
    result = invoke("run", *SHORT, "--out", "mine", "--wait-at-most", "0.2")
    assert result.exit_code == 2
    assert "and 0.2 seconds" in result.stderr
    with read_journal("mine/journal.sqlite") as journal:
        assert journal.spec["llm"]["wait_at_most"] == 0.2
    assert "and 0.2 seconds" in invoke("resume", "mine").stderr
    assert "after 2 tries" in invoke("resume", "mine", "--retries", "1").stderr


@pytest.mark.usefixtures("server")
def test_a_setting_of_another_version_is_named() -> None:
    invoke("run", *SHORT, "--out", "mine", "--budget-calls", "5")
    with closing(sqlite3.connect("mine/journal.sqlite")) as journal, journal:
        journal.execute("UPDATE spec SET spec = replace(spec, 'wait_at_most', 'longest_wait')")
    (line,) = invoke("resume", "mine").stderr.splitlines()
    assert "has a setting that this version does not know: longest_wait. Resume it with" in line


def test_a_claude_that_thinks_plays_and_its_thoughts_are_kept(server: MessagesServer) -> None:
    mind = ("--mind", "claude:claude-test-thinking-1", "--max-tokens", "900", "--out", "mine")
    short = ("--topology", "ring(n=4)", "--names", "QM", "--rounds", "1", "--until", "none")
    result = invoke("run", *short, *mind)
    assert result.exit_code == 0, result.stderr
    assert {received.body["max_tokens"] for received in server.requests} == {900}
    with Journal.read(Path("mine") / "journal.sqlite") as journal:
        first, *_ = journal.attempts_of(0, 0)
        used = journal.usage()
    assert first.thoughts == "Hm."
    assert used.thinking_tokens == 40 * used.calls


def test_a_model_that_is_not_there_leaves_nothing(server: MessagesServer) -> None:
    result = invoke("run", *SMALL[:-4], "--mind", "claude:no-such-model", "--out", "mine")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("error: mind: ")
    assert list(Path().iterdir()) == []
    assert server.requests == []


def test_a_key_that_is_refused_stops_at_once(server: MessagesServer) -> None:
    server.faults = lambda *_: Fault("status", 401, message=f"bad key {KEY}")
    result = invoke("run", *SHORT, "--out", "mine")
    assert result.exit_code == 2
    assert "denied (401)" in result.stderr
    assert KEY not in result.stderr + result.stdout


def test_the_prompt_is_shown_word_for_word_without_a_key_or_a_call(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke("run", *SHORT, "--no-files")
    sent = {(body["system"], body["messages"][0]["content"]) for body, _ in server.requests}
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    result = invoke("run", *SHORT, "--show-prompt")
    assert result.exit_code == 0, result.stderr
    first = next(user for system, user in sent if "none yet" in user and system in result.stdout)
    assert first.split("$", 1)[0].splitlines()[-1] in result.stdout
    assert "You picked Q, the other player picked Q: +100 points" in result.stdout


def test_a_template_file_is_sent_and_one_that_leaves_a_part_out_is_refused(
    server: MessagesServer,
) -> None:
    text = default_template().text.replace("Get as many points", "Collect as many points")
    Path("mine.txt").write_text(text, encoding="utf-8")
    assert invoke("run", *SHORT, "--no-files", "--template", "mine.txt").exit_code == 0
    assert all("Collect as many" in body["system"] for body, _ in server.requests)
    Path("bad.txt").write_text(text.replace("$score", "a lot"), encoding="utf-8")
    result = invoke("run", *SHORT, "--template", "bad.txt")
    assert result.exit_code == 2
    assert "never mentions $score" in result.stderr


def test_a_live_run_whose_figures_fail_is_completed_without_a_call(
    server: MessagesServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError("no room for a picture")

    savefig = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", fail)
    result = invoke("run", *SHORT, "--out", "mine")
    assert result.exit_code == 2
    assert "error: report: " in result.stderr
    played = rows("mine")
    assert len(played) == 18
    monkeypatch.setattr(Figure, "savefig", savefig)
    calls = len(server.answered)
    assert invoke("resume", "mine").exit_code == 0
    assert {"rounds.png", "network.svg", "spec.json"} <= {
        path.name for path in Path("mine").iterdir()
    }
    assert rows("mine") == played
    assert len(server.answered) == calls


@pytest.mark.usefixtures("server")
def test_a_run_that_was_killed_before_it_began_is_started_again() -> None:
    Path("mine").mkdir()
    Path("mine/journal.lock").touch()
    Path("mine/journal.sqlite.new").touch()
    result = invoke("resume", "mine")
    assert result.exit_code == 2
    assert "ended before it began. Start it again, with --out mine." in result.stderr
    assert invoke("run", *SHORT, "--out", "mine").exit_code == 0
    assert len(rows("mine")) == 18


def test_a_forecast_plays_nothing(server: MessagesServer) -> None:
    result = invoke("run", *SHORT, "--forecast")
    assert result.exit_code == 0, result.stderr
    assert "calls" in result.stdout
    found = json.loads(invoke("run", *SHORT, "--forecast", "--json").stdout)
    assert found["calls"]["low"] <= 36 <= found["calls"]["high"]
    assert server.requests == []
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "--mind", "claude:"), "is not the name of a live mind"),
        (("run", "--mind", "llama:http://127.0.0.1:1/v1"), "is not the name of a live mind"),
        (("run", "--mind", MIND, "--on-unusable", "guess"), "not a choice"),
        (("run", "--names", "a b,c", "--mind", MIND), "not to be put into a prompt"),
        (("run", "--mind", "claude:unpriced", "--budget-usd", "1"), "no price"),
        (("run", "--forecast"), "no mind is live"),
        (("run", "--show-prompt"), "no mind is live"),
        (("resume", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    arguments: tuple[str, ...], words: str, server: MessagesServer
) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr
    assert server.requests == []
    assert list(Path().iterdir()) == []
