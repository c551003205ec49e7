"""The scorecard: distances with intervals, and what comes out with no mind."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.reports.scorecard import distance_text, draw_scorecard, scorecard_text
from mesa_llm_norms.reproduction import protocol
from mesa_llm_norms.reproduction import scorecard as cards
from mesa_llm_norms.reproduction.papers import demarzo2024
from mesa_llm_norms.reproduction.papers.paper import CONTRARY, Finding
from mesa_llm_norms.reproduction.rows import TIMES, Row, judge
from mesa_llm_norms.reproduction.scorecard import (
    OFF,
    OPEN,
    RIGHT,
    Line,
    Scorecard,
    scorecard,
    write_scorecard,
)


def line(mind: str, what: str, verdict: str, experiment: str = "Winners") -> Line:
    here = Estimate(0.5, 0.4, 0.6)
    return Line(experiment, what, mind, 0.25, here, Estimate(0.25, 0.1, 0.4), False, verdict)


def card(*lines: Line) -> Scorecard:
    return Scorecard("command", ("one", "two"), lines)


def test_what_no_mind_gets_right_needs_two_minds_and_none_that_is_right() -> None:
    found = card(
        line("one", "all off", OFF),
        line("two", "all off", OFF),
        line("one", "one right", OFF),
        line("two", "one right", RIGHT),
        line("one", "off or open", OFF),
        line("two", "off or open", OPEN),
        line("one", "all open", OPEN),
        line("two", "all open", OPEN),
        line("one", "one mind", OFF),
    )
    assert [lines[0].what for lines in found.by_none()] == ["all off", "off or open"]
    assert "9 comparisons of 2 minds" in found.sentence
    assert "5 are off and 3 undecided. No mind gets 2 of the results right (Winners)" in (
        found.sentence
    )
    page = scorecard_text(found)
    assert page.index("What no mind gets right") < page.index("| Winners | 0 of 5 | 1 of 4 |")
    assert "| one right | **+0.25 (+0.10 to +0.40)** | +0.25 (+0.10 to +0.40) |" in page
    assert "| one mind | **+0.25 (+0.10 to +0.40)** |  |" in page
    assert "(+0.25 (+0.10 to +0.40))" in page


def test_one_mind_is_counted_and_no_more() -> None:
    found = Scorecard("command", ("one",), (line("one", "off", OFF), line("one", "off", OPEN)))
    told = "Of 2 comparisons of 1 mind with what was observed 1 is off and 1 undecided."
    assert found.sentence == told
    page = scorecard_text(found)
    assert told in page
    assert "no mind" not in page.lower()
    single = Scorecard("command", ("one",), (line("one", "open", OPEN),)).sentence
    assert single == "Of 1 comparison of 1 mind with what was observed 0 are off and 1 undecided."


def test_what_is_undecided_is_not_missed() -> None:
    found = card(line("one", "open", OPEN), line("two", "open", OPEN), line("one", "off", OFF))
    assert found.by_none() == []
    assert found.sentence.endswith("comes out with one of them, or is undecided.")
    assert "no mind" not in scorecard_text(found).lower()


@pytest.mark.parametrize(
    ("distance", "ratio", "text"),
    [
        ((0.0, 0.0, 0.0), False, "0"),
        ((0.001, -0.004, 0.012), False, "0.00 (0.00 to +0.01)"),
        ((-0.02, -0.03, -0.004), False, "-0.02 (-0.03 to 0.00)"),
        ((-0.5, -0.5, -0.5), False, "-0.50"),
        ((math.nan, math.nan, math.nan), False, "unknown"),
        ((math.nan, math.nan, math.nan), True, "unknown"),
        ((1.5, 1.25, 1.75), True, "times 1.50 (1.25 to 1.75)"),
    ],
)
def test_a_distance_has_a_sign_where_there_is_one(
    distance: tuple[float, float, float], ratio: bool, text: str
) -> None:
    one = line("one", "what", RIGHT)
    assert distance_text(replace(one, distance=Estimate(*distance), ratio=ratio)) == text


def test_times_are_compared_as_ratios_and_anything_else_as_differences() -> None:
    def row(test: str, here: Estimate, recorded: Estimate) -> Line:
        made = Row("part", "mind", "what", here, 10, test, 0.5, recorded, 10)
        return cards._line(judge([made])[0])

    twice = row(TIMES, Estimate(200, 160, 250), Estimate(100, 80, 125))
    assert twice.ratio
    assert twice.verdict == RIGHT
    assert twice.distance.value == pytest.approx(2)
    # Both are certain to a factor of 1.25, and the ratio to 1.25 ** sqrt(2).
    assert twice.distance.low == pytest.approx(2 / 1.25 ** math.sqrt(2))
    assert twice.distance.high == pytest.approx(2 * 1.25 ** math.sqrt(2))
    less = row("another", Estimate(0.3, 0.26, 0.34), Estimate(0.4, 0.37, 0.43))
    assert not less.ratio
    assert less.distance == pytest.approx((-0.1, -0.15, -0.05))


def test_words_are_as_far_as_what_they_allow() -> None:
    def found(here: Estimate, allowed: tuple[float, float] | None, words: str | None) -> list[Line]:
        return list(cards._findings("paper", [Finding("m", "w", here, "t", words, allowed)]))

    assert found(Estimate(0.2, 0.1, 0.3), None, None) == []
    (apart,) = found(Estimate(0.2, 0.1, 0.3), (0.5, 1.0), "they agree")
    assert apart.verdict == OFF
    assert CONTRARY not in (OFF, OPEN, RIGHT)
    assert apart.distance == pytest.approx((-0.3, -0.4, -0.2))
    assert apart.what == "w: they agree"
    (inside,) = found(Estimate(0.7, 0.6, 0.8), (0.5, 1.0), "they agree")
    assert (inside.verdict, inside.distance) == (RIGHT, (0, 0, 0))
    (across,) = found(Estimate(0.55, 0.4, 0.7), (0.5, 1.0), "they agree")
    assert across.verdict == OPEN


def test_a_mind_that_was_not_recorded_is_refused() -> None:
    with pytest.raises(MindError, match="did not record"):
        scorecard(["uniform"], quick=True)


@pytest.mark.slow
def test_a_short_form_holds_minds_to_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(protocol, "QUICK", 0.01)
    monkeypatch.setattr(cards, "PAPERS", (demarzo2024.PAPER,))
    seen: list[tuple[int, int]] = []
    minds = ["claude-3.5-sonnet", "llama-2-70b-chat"]
    found = scorecard(minds, quick=True, rng=3, progress=lambda _, *at: seen.append(at))
    assert seen == sorted(seen)
    assert found.minds == tuple(minds)
    parts = found.experiments
    assert parts[0] == "Conventions emerge"
    assert {"Who wins: collective bias", "Stability of conventions"} < set(parts)
    assert any(part.startswith("Ten groups") for part in parts)
    assert any(part.startswith("Networks of 48") for part in parts)
    assert any(part.startswith("De Marzo") for part in parts)
    write_scorecard(found, tmp_path)
    draw_scorecard(found, tmp_path)
    assert len(found.table()) == len(found.lines)
    assert found.sentence in (tmp_path / "scorecard.md").read_text(encoding="utf-8")
    assert len(found.as_object()["lines"]) == len(found.lines)
