"""Tipping points and interventions with live minds: side by side, in one budget, gone on with."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from llama import NAME, LlamaProgram
from messages_api_rules import Answer
from messages_server import MessagesServer
from typer.testing import CliRunner

from mesa_llm_norms import Intervention, TableMind, cli, compare_interventions, tip
from mesa_llm_norms.core.game import read_memory
from mesa_llm_norms.errors import BudgetError, GraphError, MindError, SpecError
from mesa_llm_norms.experiments import Comparison, Tipping
from mesa_llm_norms.experiments.cost_forecast.result import together
from mesa_llm_norms.experiments.tipping.conditions import plan_tipping
from mesa_llm_norms.experiments.tipping.interventions import (
    forecast_interventions,
    plan_interventions,
)
from mesa_llm_norms.experiments.tipping.search import forecast_tipping
from mesa_llm_norms.llm.settings import LLMSettings

MIND = "claude:claude-test-1"
SMALL: dict[str, Any] = {
    "graph": "complete(n=4)",
    "memory": 1,
    "directions": [("Q", "M")],
    "rounds": 4,
    "after": 2,
    "runs": 20,
    "rng": 1,
}
TRIED: dict[str, Any] = {"graph": "complete(n=4)", "memory": 1, "rounds": 3, "runs": 3, "rng": 1}
TYPED = ["-t", "complete(n=4)", "--memory=1", "--rounds=4", "--seed=1", "--mind", MIND]


def copies(body: dict[str, Any]) -> Answer:
    """Play what the prompt names last: in a memory of one, what the partner played."""
    pool = body["output_config"]["format"]["schema"]["properties"]["name"]["enum"]
    told = str(body["messages"][-1]["content"])
    return Answer(json.dumps({"name": max(pool, key=lambda name: told.rfind(f"{name}"))}))


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MessagesServer]:
    with MessagesServer(answer=copies) as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-nobody-may-see")
        yield running


def find(**given: Any) -> Tipping:
    return tip(mind=MIND, **{**SMALL, **given})


def compare(*tried: Intervention, **given: Any) -> Comparison:
    return compare_interventions("Q", "M", tried, **{**TRIED, "mind": MIND, **given})


def test_a_tipping_point_of_a_live_mind_is_found_and_what_it_took_is_told(
    server: MessagesServer,
) -> None:
    found = find()
    assert len(found.runs) == 20
    assert found.usage is not None
    assert found.usage.calls == len(server.answered)
    assert not found.runs["run"].duplicated().any()
    alone = found.runs[found.runs["committed"] == 0]
    assert not alone["flipped"].any()
    assert found.runs[found.runs["committed"] == 4]["flipped"].all()


def test_what_a_budget_cut_short_goes_on_and_asks_nothing_twice(
    server: MessagesServer, tmp_path: Path
) -> None:
    whole = find(llm=LLMSettings(folder=tmp_path / "whole"))
    needed = len(server.answered)
    with pytest.raises(BudgetError):
        find(llm=LLMSettings(folder=tmp_path / "cut", budget_calls=needed // 2))
    assert len(server.answered) == needed + needed // 2
    found = find(llm=LLMSettings(folder=tmp_path / "cut", resume=True))
    assert found.runs.equals(whole.runs)
    assert len(server.answered) <= 2 * needed + found.usage.lost  # type: ignore[union-attr]


def test_interventions_are_paid_for_by_one_budget_and_kept_one_by_one(
    server: MessagesServer, tmp_path: Path
) -> None:
    tried = Intervention(committed=3), Intervention(memory=2)
    whole = compare(*tried, llm=LLMSettings(folder=tmp_path / "whole"))
    assert {path.name for path in (tmp_path / "whole").iterdir()} == {"00", "01", "02"}
    needed = len(server.answered)
    assert whole.usage is not None
    assert whole.usage.calls == needed
    with pytest.raises(BudgetError):
        compare(*tried, llm=LLMSettings(folder=tmp_path / "cut", budget_calls=needed - 10))
    assert len(server.answered) == 2 * needed - 10
    found = compare(*tried, llm=LLMSettings(folder=tmp_path / "cut", resume=True))
    assert found.table.equals(whole.table)


def test_what_cannot_be_done_is_refused_before_anything_is_paid_for(
    server: MessagesServer,
) -> None:
    with pytest.raises(GraphError, match="rewired"):
        compare(Intervention(committed=3), Intervention(rewired=0.5))
    with pytest.raises(SpecError, match="called from this process"), ThreadPoolExecutor() as pool:
        find(executor=pool)
    assert not server.answered


def test_only_interventions_with_a_live_mind_make_calls(server: MessagesServer) -> None:
    table = TableMind(
        "copies",
        "QM",
        {
            (): (0.5, 0.5),
            read_memory(["QQ"]): (1, 0),
            read_memory(["MM"]): (0, 1),
            read_memory(["QM"]): (0, 1),
            read_memory(["MQ"]): (1, 0),
        },
    )
    found = compare(
        Intervention(committed=2), Intervention(other=MIND, other_share=0.5), mind=table
    )
    assert found.usage is not None
    assert found.usage.calls == len(server.answered)
    assert len(server.answered) <= 3 * 2 * (3 + 3) * 4
    assert list(found.table["runs"]) == [3, 3, 3]
    assert compare(Intervention(committed=2), mind=table).usage is None


def test_a_forecast_adds_conditions_up_and_calls_nobody(server: MessagesServer) -> None:
    given = {**SMALL, "directions": None, "runs": 40}
    parts = forecast_tipping(plan_tipping(mind=MIND, **given), LLMSettings())
    assert [part.label.split(",")[0] for part in parts] == ["Q by M", "M by Q"]
    every = together([one for part in parts for one in part.forecasts])
    assert every.calls.low > 0
    assert every.usd is None  # a model without a price
    tried = plan_interventions("Q", "M", [Intervention(committed=2)], mind=MIND, **TRIED)
    assert [part.label for part in forecast_interventions(tried, LLMSettings())] == [
        "nothing",
        "2 committed",
    ]
    assert not server.answered


def test_a_forecast_without_a_live_mind_is_refused() -> None:
    with pytest.raises(MindError, match="no mind is live"):
        forecast_tipping(plan_tipping(**SMALL), LLMSettings())
    with pytest.raises(MindError, match="no mind is live"):
        forecast_interventions(
            plan_interventions("Q", "M", [Intervention(committed=2)], **TRIED), LLMSettings()
        )


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == status, result.output
    return result.stdout if status == 0 else result.stderr


def test_the_command_keeps_a_journal_from_the_start_and_goes_on(
    server: MessagesServer, tmp_path: Path
) -> None:
    out = tmp_path / "found"
    typed = ["tip", *TYPED, "--flip", "Q=M", "--runs", "20", "--out", str(out)]
    assert "budget" in run(*typed, "--budget-calls", "50", status=2)
    assert len(server.answered) == 50
    assert [path.name for path in out.iterdir()] == ["runs"]
    run(*typed, "--budget-calls", "5000", status=2)
    on = ["--budget-calls", "5000", "--resume"]
    assert "rounds was 4, not 5" in run(*typed, *on, "--rounds", "5", status=2)
    without_seed = [part for part in typed if part != "--seed=1"]
    assert "critical" in run(*without_seed, *on)
    assert {path.name for path in out.iterdir()} >= {"runs", "report.html"}
    assert "resume" in run("tip", "--resume", "--out", str(out), status=2)


def test_a_server_that_costs_something_is_not_called_without_a_budget(
    server: MessagesServer,
) -> None:
    assert "--forecast" in run("tip", *TYPED, status=2)
    assert "--forecast" in run("intervene", "Q", "M", *TYPED, "--try", "committed=2", status=2)
    assert not server.answered


def test_the_commands_forecast(server: MessagesServer) -> None:
    found = json.loads(run("tip", *TYPED, "--forecast", "--json"))
    assert [part["runs"] for part in found["parts"]] == [40, 40]
    said = run("intervene", "Q", "M", *TYPED, "--try", "committed=2", "--forecast")
    assert "2 committed" in said
    assert "one case in ten" in said
    assert not server.answered


@pytest.mark.llama
def test_a_curve_of_a_real_llama_takes_no_more_calls_than_there_are_prompts(
    tmp_path: Path,
) -> None:
    with LlamaProgram(tmp_path) as llama:
        found = tip(mind=f"llama:{llama.url}#{NAME}", **{**SMALL, "runs": 40, "rounds": 10})
    memories, orders = 1 + 4, 2
    assert found.usage is not None
    assert found.usage.calls <= memories * orders + 1
    assert len(found.runs) == 40
    assert found.runs[found.runs["committed"] == 4]["flipped"].all()
