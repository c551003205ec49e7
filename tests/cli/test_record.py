"""``mesa-llm-norms record`` as typed: what it writes, what it says, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import invoke, printed, refused
from messages_server import MessagesServer

from mesa_llm_norms import load_mind

LIVE = ("record", "--mind", "claude:claude-test-1", "--memory", "1", "--asks", "4", "-o", "it.json")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-nobody-may-see")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MessagesServer]:
    with MessagesServer() as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        yield running


def test_a_recording_is_a_mind_file_with_its_journal_beside_it(server: MessagesServer) -> None:
    result = invoke(*LIVE, "--budget-calls", "100", "--label", "mine")
    assert result.exit_code == 0, result.stderr
    assert "5 of 5 possible" in result.stdout
    assert "20, 0 without a usable reply" in result.stdout
    assert "20 calls" in result.stderr
    assert sorted(path.name for path in Path().iterdir()) == ["it.calls", "it.json"]
    assert len(server.answered) == 20
    assert load_mind("it.json").label == "mine"
    assert "a-key" not in Path("it.json").read_text(encoding="utf-8")
    assert invoke("run", "--mind", "it.json", "--names", "QM", "--runs", "3").exit_code == 0
    assert "mine: a recorded mind" in invoke("minds", "it.json").stdout


def test_one_that_a_budget_ended_goes_on_with_resume(server: MessagesServer) -> None:
    part = printed(*LIVE, "--budget-calls", "7")
    assert part["ended"] == "the budget was used up"
    assert part["questions"] == 7
    whole = printed(*LIVE, "--budget-calls", "100", "--resume")
    assert whole["ended"] == "all memories were asked about"
    assert len(server.answered) == whole["questions"] == 20
    again = Path("it.json").read_bytes()
    assert printed(*LIVE, "--budget-calls", "100", "--resume")["usage"]["calls"] == 20
    assert Path("it.json").read_bytes() == again


def test_a_forecast_asks_nobody(server: MessagesServer) -> None:
    found = printed(*LIVE, "--forecast")
    assert found["memories"]["expected"] == 5
    assert found["calls"] == {"low": 10, "expected": 20, "high": 20}
    many = printed(*LIVE, "--forecast", "--names", "QMXYFJPRCD", "--memory", "5")
    assert 101 <= many["memories"]["low"] < many["memories"]["high"]
    assert not server.answered
    assert not list(Path().iterdir())


@pytest.mark.usefixtures("server")
def test_what_cannot_be_is_refused_in_one_line() -> None:
    assert "budget" in refused(*LIVE)
    assert ".json" in refused(*LIVE[:-1], "it.txt")
    assert "live mind" in refused("record", "--mind", "uniform", "-o", "it.json")
    assert "memory" in refused(*LIVE, "--memory", "6")
    Path("it.json").write_text(json.dumps({}), encoding="utf-8")
    assert "--force" in refused(*LIVE, "--budget-calls", "9")
