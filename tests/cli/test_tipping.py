"""The commands ``tip`` and ``intervene``: what they print, what they write, what they refuse."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mesa_llm_norms import cli

SMALL = ["-t", "complete(n=12)", "--rounds", "15", "--seed", "7"]


def run(*arguments: str, status: int = 0) -> str:
    result = CliRunner().invoke(cli.app, list(arguments))
    assert result.exit_code == status, result.output
    return result.stdout if status == 0 else result.stderr


class Tags(HTMLParser):
    """Collects the tags of a page and where they point."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.sources += [value or "" for key, value in attrs if key in ("src", "href")]


def test_tip_prints_a_row_for_every_condition_as_json() -> None:
    found = json.loads(run("tip", *SMALL, "--runs", "200", "--json"))
    assert [row["incumbent"] for row in found["conditions"]] == ["Q", "M"]
    assert sum(row["runs"] for row in found["doses"]) == 200
    assert "of 12 agents" in found["sentences"][0]
    noisy = json.loads(run("tip", *SMALL, "--runs", "200", "--noise", "0.2", "--json"))
    assert {row["noise"] for row in noisy["conditions"]} == {0.2}
    assert noisy["doses"] != found["doses"]


def test_tip_writes_a_folder_with_a_page_that_needs_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "found"
    said = run("tip", *SMALL, "--names", "a&b,<c>", "--runs", "200", "--out", str(out))
    assert "critical" in said
    names = {"doses.csv", "report.html", "runs.parquet"}
    names |= {f"tipping.{kind}" for kind in ("json", "png", "svg")}
    assert {path.name for path in out.iterdir()} == names
    page = (out / "report.html").read_text("utf-8")
    tags = Tags(page)
    assert "script" not in tags.tags
    assert "c" not in tags.tags
    assert all(source.startswith("data:") for source in tags.sources)
    run("tip", *SMALL, "--runs", "200", "--out", str(out), status=2)


def test_intervene_compares_what_is_tried(tmp_path: Path) -> None:
    out = tmp_path / "found"
    arguments = ["intervene", "Q", "M", *SMALL, "--runs", "20", "--try", "committed=6"]
    arguments += ["--try", "committed=3:hubs, memory=2", "--try", "other=llama-2-70b-chat:50%"]
    arguments += ["--try", "committed=3,noise=10%"]
    said = run(*arguments, "--out", str(out))
    assert "To undo Q" in said
    names = {"report.html", "runs.parquet"}
    names |= {f"interventions.{kind}" for kind in ("csv", "json", "png", "svg")}
    assert {path.name for path in out.iterdir()} == names
    found = json.loads(run(*arguments, "--prevent", "--json"))
    assert found["goal"] == "prevent"
    assert [row["intervention"] for row in found["interventions"]] == [
        "nothing",
        "6 committed",
        "3 committed (hubs), memory 2",
        "50% llama-2-70b-chat",
        "3 committed (0.1 noise)",
    ]


@pytest.mark.parametrize("typed", ["hubs=3", "committed=many", "rewired=", "other=50%", "memory"])
def test_what_is_no_intervention_is_refused_with_what_to_write(typed: str) -> None:
    assert "Write committed=3" in run("intervene", "Q", "M", "--try", typed, status=2)


def test_a_flip_needs_two_names() -> None:
    assert "Write Q=M" in run("tip", "--flip", "QM", status=2)
