"""Pages that play by themselves, opened from disk: the rows are those of the Python engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from browser import OpenPage
from hypothesis import HealthCheck, given, settings
from playwright.sync_api import Page
from strategies import any_specs

from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.reports.playable import Population, playable_page
from mesa_llm_norms.simulation.run_ensemble import run_ensemble
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.web.playable import scene_page
from mesa_llm_norms.web.scenes import read_scenes

pytestmark = pytest.mark.browser

TEN = "QMXYFJPRCD"
WEIGHTED: nx.Graph[int] = nx.Graph()
WEIGHTED.add_weighted_edges_from([(0, 1, 3.0), (1, 2, 0.5), (2, 0, 1.0), (2, 3, 1.0)])
DIRECTED = nx.DiGraph([("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")])
FIRM = {"agents": 5, "placement": "hubs", "noise": 0.1, "until": 10}

_PLAYED = """() => populations.map((one) => {
  one.reset()
  while (one.step());
  const { ids } = JSON.parse(one.drawing)
  const words = (row) => [row.agents.map((it) => ids[it]), row.names.map((it) => one.names[it])]
  return one.rows.map((row) => [row.interaction, row.round, ...words(row).flat(), row.payoff])
})"""


def in_python(spec: Spec, goal: Goal, rounds: int) -> list[list[Any]]:
    played = run_ensemble(
        runs=1, rounds=rounds, keep_interactions=True, **goal._asdict(), **spec.arguments()
    ).interactions
    assert played is not None
    found = [played[name].tolist() for name in ("interaction", "round")]
    found += [[str(node) for node in played[name]] for name in ("node_a", "node_b")]
    found += [played[name].tolist() for name in ("name_a", "name_b", "payoff")]
    return [list(row) for row in zip(*found, strict=True)]


def in_the_page(page: Page, file: Path, spec: Spec, goal: Goal, rounds: int) -> list[list[Any]]:
    file.write_text(playable_page([Population(spec, goal, rounds)], "A run"), encoding="utf-8")
    page.goto(file.as_uri())
    (rows,) = page.evaluate(_PLAYED)
    return list(rows)


def test_a_file_plays_the_rows_of_the_python_run(blank: Page, tmp_path: Path) -> None:
    file = tmp_path / "run.html"
    cases: list[tuple[int, Goal, dict[str, Any]]] = [
        (1000, Goal("converged"), {"names": "QM", "graph": "complete(n=24)"}),
        (200, Goal(), {"names": TEN, "graph": "ring(n=24)", "mind": "llama-3-70b-instruct"}),
        (60, Goal("agreed"), {"names": TEN, "mind": "llama-3.1-70b-instruct", "pairing": "edge"}),
        (60, Goal(), {"mind": {"claude-3.5-sonnet": 0.5, "llama-2-70b-chat": 0.5}, "memory": 2}),
        (90, Goal("flipped"), {"names": "QM", "incumbent": "Q", "committed": {"M": 9}}),
        (30, Goal(), {"names": "QM", "incumbent": "Q", "committed": {"M": FIRM}, "memory": 4}),
        (60, Goal("converged", 2, 0.9), {"names": "QM", "pairing": "matching", "memory": 1}),
        (60, Goal(), {"names": ["yes", "no", "maybe"], "memory": 3, "seed": 2**64 - 1}),
        *((60, Goal(), {"graph": WEIGHTED, "pairing": it}) for it in ("node", "edge", "matching")),
        *((60, Goal(), {"graph": DIRECTED, "pairing": it}) for it in ("node", "edge", "matching")),
    ]
    for rounds, goal, arguments in cases:
        spec = Spec(**{"seed": 1, **arguments})
        assert in_the_page(blank, file, spec, goal, rounds) == in_python(spec, goal, rounds), spec


@pytest.fixture
def blank(open_page: OpenPage) -> Page:
    return open_page("about:blank")


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(arguments=any_specs(minds=("claude-3.5-sonnet", "llama-2-70b-chat", "uniform")))
def test_a_file_plays_the_rows_of_any_run(
    blank: Page, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    spec, file = Spec(**arguments), tmp_path / "run.html"
    assert in_the_page(blank, file, spec, Goal(), 8) == in_python(spec, Goal(), 8)


def test_a_scene_is_predicted_played_and_told(open_page: OpenPage, tmp_path: Path) -> None:
    file = tmp_path / "scene.html"
    file.write_text(scene_page(read_scenes()["the-committed-few"]), encoding="utf-8")
    page = open_page(file.as_uri(), 390, 844)
    page.get_by_role("button", name="Only in the one with five").click()
    page.get_by_role("button", name="Step").click()
    assert page.get_by_role("button", name="In neither").is_disabled()
    page.get_by_label("Speed").select_option(label="full speed")
    page.get_by_role("button", name="Play").click()
    outcome = page.get_by_text("What happened: Only in the one with five. You predicted this.")
    outcome.wait_for()
    assert page.get_by_text("over: 30 rounds played").count() == 2
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    with page.expect_download() as download:
        page.get_by_text("Rows (CSV)").click()
    assert len(download.value.path().read_text().splitlines()) == 1 + 2 * 30 * 24
    page.get_by_role("button", name="Reset").click()
    assert not outcome.is_visible()
