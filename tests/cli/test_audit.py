"""``mesa-llm-norms audit`` as typed: what it prints, what it leaves behind, and how it refuses."""

from __future__ import annotations

import html.parser
import json
import re
from pathlib import Path
from typing import Any

import pytest
from commands import invoke
from messages_server import MessagesServer
from planted import planted
from typer.testing import Result

from mesa_llm_norms import audit
from mesa_llm_norms.core.game import read_memory
from mesa_llm_norms.minds.policies import TableMind
from mesa_llm_norms.reports.experiments import draw_audit

TABLE = """\
memory,Q,M
,0.5,0.5
Q/Q,1,0
M/M,0,1
Q/M,0.4,0.6
M/Q,0.3,0.7
"""
LIVE = ("audit", "--mind", "claude:claude-test-1", "--memory", "1", "--seed", "7")
FEW = ("--asks", "4", "--asks-after", "2", "--runs", "0")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-nobody-may-see")
    Path("table.csv").write_text(TABLE, encoding="utf-8")


def small(*arguments: str) -> Result:
    return invoke(
        *("audit", "--mind", "table.csv", "--topology", "complete(n=8)", "--memory", "1"),
        *("--runs", "60", "--sizes", "2,4", "--seed", "1"),
        *arguments,
    )


class Page(html.parser.HTMLParser):
    """Collects the tags of a page and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def test_a_table_in_a_file_is_audited_and_the_verdict_comes_first() -> None:
    result = small("--out", "found")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[0].startswith("table: ")
    assert re.search(r"^2 +60 of 60 ", result.stdout, re.M)
    names = {path.name for path in Path("found").iterdir()}
    assert names == {"audit.html", "audit.json", "audit.png", "audit.svg"}
    content = json.loads(Path("found/audit.json").read_text(encoding="utf-8"))
    assert content["verdict"]["collective"]
    assert content["versions"]["mesa_llm_norms"] is not None or "versions" in content
    assert small("--out", "found").exit_code == 2


def test_json_is_one_object_and_the_same_seed_gives_the_same_one() -> None:
    first, second = small("--json"), small("--json")
    assert first.stdout == second.stdout
    assert first.stdout.count("\n") == 1
    content = json.loads(first.stdout)
    assert [point["agents"] for point in content["sizes"]["points"]] == [2, 4]
    assert content["spec"]["seed"] == 1


def test_the_page_is_whole_without_scripts_and_without_anything_from_elsewhere() -> None:
    small("--out", "found")
    text = Path("found/audit.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert page.sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert not re.search(r"url\(|@import|https?:", text)
    assert "Limits" in text


def test_names_cannot_put_anything_into_the_page(tmp_path: Path) -> None:
    names = ("<script>x</script>", "M&M")
    rows: Any = {(): (0.5, 0.5)}
    rows |= {read_memory([(name, name)]): [float(name == it) for it in names] for name in names}
    found = audit(
        TableMind("<b>bold</b>", names, rows), names, "complete(n=4)", runs=10, sizes=(), rng=1
    )
    draw_audit(found, tmp_path)
    text = (tmp_path / "audit.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<b>bold" not in text
    assert "&lt;script&gt;" in text
    assert "M&amp;M" in text


def test_an_audit_without_populations_and_sizes_still_leaves_a_report(tmp_path: Path) -> None:
    found = audit(planted(), graph="complete(n=4)", memory=1, runs=0, sizes=(), rng=1)
    draw_audit(found, tmp_path)
    assert "No populations were played" in (tmp_path / "audit.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sizes", "two"), "not a list of sizes"),
        (("--sizes", "1"), "sizes: 1 is not"),
        (("--level", "2"), "rate of false alarms"),
        (("--size", "9"), "nothing to fill in"),
        (("--names", "XY"), "measured for the names"),
        (("--resume",), "only a live experiment"),
        (("--forecast",), "it is not live"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    result = small(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_live_audit_prints_its_forecast_first_keeps_journals_and_resumes_within_a_budget(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        result = invoke(*LIVE, *FEW, "--forecast", "--json")
        assert result.exit_code == 0, result.stderr
        asked = json.loads(result.stdout)["asked"]
        assert not server.answered
        cut = invoke(*LIVE, *FEW, "--out", "live", "--budget-calls", "9")
        assert cut.exit_code == 2
        assert "questions to single agents" in cut.stderr
        assert "budget: 9 of 9 calls are used" in cut.stderr
        whole = invoke(*LIVE, *FEW, "--out", "live", "--resume")
        assert whole.exit_code == 0, whole.stderr
        assert len(server.answered) == asked
    assert "correctly" in whole.stdout
    assert {path.name for path in Path("live").iterdir()} >= {"asked", "audit.html", "audit.json"}
    assert "comprehension" in Path("live/audit.json").read_text(encoding="utf-8")
