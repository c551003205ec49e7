"""``reproduce`` as typed: its report, its folder, its refusals, and live minds within a budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import commands
import pytest
from messages_server import MessagesServer

from mesa_llm_norms.reproduction import people, protocol
from mesa_llm_norms.reproduction.observed import People, shipped_people
from mesa_llm_norms.reproduction.protocol import TWO, Experiment
from mesa_llm_norms.reproduction.rows import DIFFERENT, WITHIN

MIND = "claude:claude-test-1"
FIGURES = {
    f"reproduction-{name}.{kind}"
    for name in ("success", "winners", "critical")
    for kind in ("png", "svg")
}


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MessagesServer]:
    with MessagesServer() as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-nobody-may-see")
        yield running


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the live protocol be one experiment of six agents and one of four."""

    def experiments(runs: int) -> list[Experiment]:
        return [
            Experiment(part="emergence", names=TWO, runs=runs, agents=agents, rounds=2)
            for agents in (6, 4)
        ]

    monkeypatch.setattr("mesa_llm_norms.reproduction.protocol.live_experiments", experiments)


invoke = partial(commands.invoke, "reproduce")


def refused(*arguments: str) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert not list(Path().iterdir())
    return result.stderr.splitlines()[-1]


def test_the_report_says_of_every_row_whether_it_is_within_sampling_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def few(*_: object) -> list[protocol.Task]:
        experiments = (
            Experiment(part="emergence", names=TWO, runs=20),
            *protocol.critical_mass(TWO, (1, 4, 8), 10),
        )
        return [protocol.Task("claude-3.5-sonnet", experiments)]

    monkeypatch.setattr(protocol, "tasks", few)
    options = ("--mind", "claude-3.5-sonnet", "--quick", "--seed", "3", "--workers", "1")
    result = invoke(*options, "--out", "out")
    assert result.exit_code == 0, result.stderr
    assert {path.name for path in Path("out").iterdir()} == {
        "reproduction.md",
        "reproduction.json",
        *FIGURES,
    }
    page = Path("out/reproduction.md").read_text(encoding="utf-8")
    assert "--mind claude-3.5-sonnet --quick --seed 3" in page.splitlines()[2]
    assert page.index("## What does not match") < page.index("## Conventions emerge")
    held = json.loads(Path("out/reproduction.json").read_text(encoding="utf-8"))
    assert {row["verdict"] for row in held["rows"]} <= {WITHIN, DIFFERENT}
    assert page.count(WITHIN) - 1 >= len(held["rows"])
    printed = json.loads(invoke(*options, "--json").stdout)
    assert printed == held


def test_bad_minds_are_refused_before_anything_is_played() -> None:
    assert "did you mean 'claude-3.5-sonnet'" in refused("--mind", "claude-3.5-sonet")
    for mind in ("uniform", "smollm2-135m-memory-3"):
        assert "the study did not record" in refused("--mind", mind)
    assert "recorded and live" in refused("--mind", "claude-3.5-sonnet", "--mind", MIND)
    assert "no mind is live" in refused("--forecast")


@pytest.mark.parametrize(
    "option",
    [
        ("--runs", "5"),
        ("--budget-usd", "1"),
        ("--budget-calls", "0"),
        ("--max-concurrency", "2"),
        ("--temperature", "0"),
        ("--batch",),
        ("--forecast",),
    ],
)
def test_the_scorecard_and_papers_without_live_minds_refuse_options_of_them(
    option: tuple[str, ...],
) -> None:
    for command in (("--scorecard",), ("--paper", "xie2011")):
        assert f"{' '.join(command)} has no use for {option[0]}" in refused(*command, *option)


@pytest.mark.usefixtures("short")
def test_a_live_protocol_without_a_budget_or_a_folder_is_refused(server: MessagesServer) -> None:
    assert "no budget" in refused("--mind", MIND, "--out", "out")
    assert "need a folder" in refused("--mind", MIND, "--budget-calls", "5")
    assert not server.answered


@pytest.mark.usefixtures("short")
def test_a_live_forecast_adds_the_experiments_up_and_calls_nobody(server: MessagesServer) -> None:
    result = invoke("--mind", MIND, "--runs", "2", "--forecast", "--json")
    found = json.loads(result.stdout)
    assert len(found["parts"]) == 2
    together = sum(one["calls"]["expected"] for one in found["parts"])
    assert found["total"]["calls"]["expected"] == pytest.approx(together)
    assert not server.answered


@pytest.mark.usefixtures("short")
def test_a_live_protocol_out_of_budget_is_resumed_by_the_same_command_and_asks_nothing_twice(
    server: MessagesServer,
) -> None:
    options = ("--mind", MIND, "--runs", "2", "--seed", "1", "--out", "out")
    result = invoke(*options, "--budget-calls", "60")
    assert result.exit_code == 2
    assert len(server.answered) == 60
    result = invoke(*options, "--budget-calls", "1000")
    assert result.exit_code == 0, result.stderr
    assert len(server.answered) == 2 * 2 * 2 * (6 + 4)
    page = Path("out/reproduction.md").read_text(encoding="utf-8")
    assert f"{MIND} is compared with the recordings of claude-3.5-sonnet." in page


@pytest.mark.slow
def test_the_whole_study_comes_out_but_for_what_the_documentation_says() -> None:
    result = invoke("--seed", "2", "--json")
    found = json.loads(result.stdout)
    wrong = [row for row in found["rows"] if row["verdict"] != WITHIN]
    told = [row for row in wrong if not row["note"]]
    assert {row["mind"] for row in told} <= {"llama-3.1-70b-instruct"}
    assert len(found["rows"]) > 100


def test_the_list_has_every_paper_in_a_line_and_plays_nothing() -> None:
    listed = invoke("--list")
    assert listed.exit_code == 0
    printed = json.loads(invoke("--list", "--json").stdout)
    for one in printed:
        line = next(it for it in listed.stdout.splitlines() if it.startswith(one["paper"]))
        assert one["line"] in line
        assert one["time"] in line


def test_a_paper_is_played_from_the_command_in_its_report_with_words_marked_as_words() -> None:
    options = ("--paper", "demarzo2024", "--mind", "uniform", "--quick", "--seed", "3")
    result = invoke(*options, "--out", "out")
    assert result.exit_code == 0, result.stderr
    names = {path.name for path in Path("out").iterdir()}
    assert names == {f"demarzo2024.{kind}" for kind in ("md", "json", "csv", "png", "svg")}
    page = Path("out/demarzo2024.md").read_text(encoding="utf-8")
    assert "`mesa-llm-norms reproduce --paper demarzo2024 --mind uniform --quick --seed 3`" in page
    assert "words: a group does not agree" in page
    held = json.loads(Path("out/demarzo2024.json").read_text(encoding="utf-8"))
    assert json.loads(invoke(*options, "--json").stdout) == held


def test_options_that_a_paper_has_no_use_for_are_refused() -> None:
    assert "did you mean 'xie2011'" in refused("--paper", "xie2012")
    assert "no use for --people" in refused("--paper", "xie2011", "--people")
    assert "no use for --data" in refused("--paper", "ashery2025", "--data", "x.csv")
    assert "no paper is named" in refused("--data", "x.csv")
    assert "no mind plays" in refused("--paper", "xie2011", "--mind", "uniform")


@pytest.mark.slow
def test_people_are_compared_with_minds_in_figures_and_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    held = shipped_people()
    short = People(held.groups[3:4], (replace(held.networks[2], answered=(24,) * 31),))
    monkeypatch.setattr("mesa_llm_norms.reproduction.observed.shipped_people", lambda: short)
    monkeypatch.setattr(people, "RUNS", 40)
    options = ("--people", "--mind", "claude-3.5-sonnet", "--quick", "--seed", "3")
    result = invoke(*options, "--workers", "1", "--out", "out")
    assert result.exit_code == 0, result.output
    names = {f"reproduction-people-{name}" for name in ("groups", "survival", "networks")}
    figures = {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert {it.name for it in Path("out").iterdir()} == figures | {
        "reproduction.md",
        "reproduction.json",
    }
    page = Path("out/reproduction.md").read_text(encoding="utf-8")
    assert "| claude-3.5-sonnet | Q to M | 4: 5 of 18, 27 rounds | 14 |" in page
    assert "| ring, four neighbors each | growing | claude-3.5-sonnet | 0.426 |" in page
    told = json.loads(Path("out/reproduction.json").read_text(encoding="utf-8"))
    assert [row["group"] for row in told["groups"]] == [4, 4]
    assert [row["pool"] for row in told["networks"]] == ["10 names", "26 names", "growing"]
    assert len(told["rows"]) == 2 + 2 + 3


def test_a_folder_that_does_not_hold_what_people_did_is_refused_before_anything_is_played() -> None:
    assert "centola_2018_tipping.csv" in refused("--people", "--study", ".")


@pytest.mark.slow
def test_a_paper_that_asks_a_live_mind_needs_a_budget_and_asks_nothing_twice(
    server: MessagesServer,
) -> None:
    options = ("--paper", "barrie2025", "--mind", MIND, "--quick")
    assert "no budget" in refused(*options)
    first = invoke(*options, "--budget-calls", "200", "--out", "out")
    assert first.exit_code == 0, first.stderr
    asked = len(server.answered)
    again = invoke(*options, "--budget-calls", "200", "--out", "out")
    assert again.exit_code == 0, again.stderr
    assert len(server.answered) == asked > 0
    assert Path("out/barrie2025.md").exists()
