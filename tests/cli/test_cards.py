"""``minds card`` and ``minds compare`` as typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import invoke, printed, refused
from messages_server import MessagesServer

from mesa_llm_norms.experiments.cards import DEFINITIONS

TABLE = {"": [0.5, 0.5], "Q/Q": [0.9, 0.1], "M/Q": [0.9, 0.1], "Q/M": [0.2, 0.8], "M/M": [0.1, 0.9]}
QUICK = ("--memory", "1", "--runs", "3")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    Path("mine.json").write_text(json.dumps({"names": ["Q", "M"], "table": TABLE}))
    Path("other.json").write_text(json.dumps({"names": ["a", "b"], "table": {"": [0.7, 0.3]}}))


def test_a_card_is_printed_and_written_as_a_page() -> None:
    text = invoke("minds", "mine.json", "--card", *QUICK, "--out", "card.html").stdout
    assert all(quantity in text for quantity in DEFINITIONS)
    assert "the file holds no orders of names" in text
    assert "Written to card.html" in text
    page = Path("card.html").read_text(encoding="utf-8")
    assert all(quantity in page for quantity in DEFINITIONS)
    assert "data:image/svg+xml;base64," in page
    assert "--force" in refused("minds", "mine.json", "--card", "-o", "card.html")


@pytest.mark.slow
def test_a_card_is_the_same_in_json_and_in_a_file() -> None:
    same = printed("minds", "card", "mine.json", *QUICK, "-o", "card.json")
    written = json.loads(Path("card.json").read_text(encoding="utf-8"))
    assert written["quantities"] == same["quantities"]
    assert same == printed("minds", "show", "mine.json", "--card", *QUICK, "-o", "card.png")
    assert Path("card.png").read_bytes().startswith(b"\x89PNG")


def test_minds_that_do_not_fit_beside_one_another_stand_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = invoke("minds", "compare", "mine.json", "mine.json", *QUICK).stdout
    assert max(map(len, text.splitlines())) <= 40
    first, second = [line for line in text.splitlines() if line.startswith("conformity")]
    assert first == second


@pytest.mark.slow
def test_minds_stand_side_by_side_on_80_columns() -> None:
    minds = ("mine.json", "uniform", "mine.json", "uniform", "mine.json", "uniform")
    text = invoke("minds", "compare", *minds, *QUICK, "--names", "QM", "-o", "all.svg").stdout
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    (first, *_) = [line.split() for line in lines if line.startswith("conformity")]
    assert first[1::2] == [first[1]] * 2
    assert sum(line.startswith("conformity") for line in lines) == 2
    assert "Not known of any of these: first name shown" in text
    assert "<svg" in Path("all.svg").read_text(encoding="utf-8")
    both = printed("minds", "compare", "mine.json", "uniform", *QUICK, "-o", "all.html")
    assert [one["mind"] for one in both] == ["mine", "uniform"]
    assert "Minds side by side" in Path("all.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("card", "mine.json", "-o", "card.pdf"), ".html, .json, .png, .svg"),
        (("card", "mine.json", "--resume"), "--folder"),
        (("card", "mine.json", "--names", "XY"), "measured for the names"),
        (("card", "nobody"), "there is no mind"),
        (("compare", "mine.json"), "1 minds cannot"),
        (("compare", "mine.json", "other.json"), "different names"),
        (("compare", "mine.json", "claude:claude-test-1"), "record it first"),
        (("card", "claude:claude-test-1"), "budget"),
    ],
)
def test_what_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, typed: tuple[str, ...], said: str
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    assert said in refused("minds", *typed)


@pytest.mark.slow
def test_a_forecast_of_a_live_card_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    found = printed("minds", "card", "claude:claude-test-1", "--forecast", "--asks", "10")
    assert found["asked"] > 100
    assert found["populations"] is None


def test_a_card_of_a_live_mind_goes_on_where_its_budget_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key")
    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        asks = ("--asks", "4", "--asks-after", "1", "--memory", "1", "--folder", "calls")
        typed = ("minds", "card", "claude:claude-test-1", *asks)
        ended = invoke(*typed, "--budget-calls", "10")
        assert (ended.exit_code, len(server.answered)) == (2, 10)
        found = printed(*typed, "--budget-calls", "500", "--resume")
        assert found["audit"]["usage"]["calls"] == len(server.answered)
    known = {one["quantity"]: one["value"] for one in found["quantities"]}
    assert known["recognition"] is not None
    assert known["first name shown"] is not None
    assert known["conformity"] is None
    assert "exists" in refused(*typed, "--budget-calls", "500")


def test_a_card_that_cannot_be_written_says_so_before_anything_is_measured() -> None:
    Path("file").write_text("")
    assert "file/card.html" in refused("minds", "mine.json", "--card", "-o", "file/card.html")
