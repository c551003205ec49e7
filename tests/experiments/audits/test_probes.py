"""A live mind is asked in balanced orders, probed, and paid for within one budget."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from messages_api_rules import Answer
from messages_server import MessagesServer

from mesa_llm_norms import Game, audit, load_mind
from mesa_llm_norms.core.game import read_memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import BudgetError, DecisionError
from mesa_llm_norms.experiments import Audit
from mesa_llm_norms.experiments.audits.individual import Interviewer, count
from mesa_llm_norms.experiments.audits.probes import (
    KNOWN,
    RULES,
    comprehension_prompt,
    comprehension_questions,
    nonsense,
)
from mesa_llm_norms.experiments.audits.runner import forecast_audit, plan_audit
from mesa_llm_norms.llm.prompt import PARAPHRASES, default_template, shipped_template
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Situation

MIND = "claude:claude-test-1"
GAME = Game(("Q", "M"), memory=3)
SMALL: dict[str, Any] = {"names": "QM", "memory": 3, "runs": 0, "times": 12, "times_after": 2}
RIGHT = {
    comprehension_prompt(default_template(), GAME, one).user: one.answer
    for one in comprehension_questions(GAME, 7)
}
SITUATION = Situation(Game(("Q", "M", "X")), (), 0, RandomStream(7), 0, 0)
CALLS = 12 + (4 + 16) * 2 + 5 * 12 + len(RIGHT)


def said(body: Any) -> str:
    content = body["messages"][0]["content"]
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def pool_of(body: Any) -> list[str]:
    pool: list[str] = body["output_config"]["format"]["schema"]["properties"]["name"]["enum"]
    return pool


def reply(name: str) -> Answer:
    return Answer(json.dumps({"name": name}))


def prefers_m(body: Any) -> Answer:
    """Answer questions correctly, M where there is one, and what is listed first elsewhere."""
    pool = pool_of(body)
    if said(body) in RIGHT:
        return reply(RIGHT[said(body)])
    return reply("M" if "M" in pool else listed(body)[0])


def takes_the_first(body: Any) -> Answer:
    """Answer what stands first in the list, and the first choice to every question."""
    pool = pool_of(body)
    return reply(listed(body)[0] if "do not pick" not in said(body) else pool[0])


def listed(body: Any) -> list[str]:
    """Return the names in the order in which a prompt lists them, whatever its wording."""
    text = said(body)
    return sorted(
        pool_of(body),
        key=lambda name: text.index(f": {name}, ") if f": {name}, " in text else len(text),
    )


@pytest.fixture(autouse=True)
def a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-nobody-may-see")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[MessagesServer]:
    with MessagesServer(answer=prefers_m) as running:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", running.url)
        yield running


def small(**changes: Any) -> Audit:
    return audit(MIND, **{**SMALL, "rng": 7, **changes})


def probe(found: Audit, kind: str) -> Any:
    return next(one for one in found.probes.probes if one.kind == kind)


def test_a_model_that_always_says_one_name_is_biased_under_every_wording_and_order(
    server: MessagesServer,
) -> None:
    found = small()
    assert found.verdict.kind == "not played"
    assert found.verdict.individual
    assert found.individual.first.of("M").chosen == 12
    assert probe(found, "wording").passed
    assert [it.label.partition("-")[0] for it in probe(found, "wording").conditions] == [
        "naming"
    ] * 3
    assert probe(found, "order").passed
    assert probe(found, "place").passed
    assert found.probes.understood is not None
    assert found.probes.understood.value == 1
    assert found.probes.recognized is not None
    assert found.probes.recognized.value == 1
    assert "it knows this game" in found.probes.sentence
    assert len(server.answered) == CALLS
    assert found.usage is not None
    assert found.usage.calls == CALLS


def test_a_model_that_takes_what_is_listed_first_is_no_bias_for_a_name_but_for_a_place(
    server: MessagesServer,
) -> None:
    server.answer = takes_the_first
    found = small(times=20)
    assert found.individual.first.counts == (10, 10)
    assert not found.verdict.individual
    assert not probe(found, "place").passed
    assert not probe(found, "order").passed
    assert "place 1" in probe(found, "place").sentence
    assert found.probes.understood is not None
    assert found.probes.understood.value < 0.9
    assert found.probes.recognized is not None
    assert found.probes.recognized.value <= 0.5
    assert "is not shown" in found.probes.sentence


def test_what_gives_no_name_is_counted_and_never_replaced(server: MessagesServer) -> None:
    server.answer = lambda body: Answer("{}") if "1. You" in said(body) else prefers_m(body)
    found = small(llm=LLMSettings(ask_again=0, wait=0.0), probes=False)
    assert found.individual.first.trials == 12
    assert found.individual.unusable == 40
    assert found.individual.choices[1].answers == 0
    assert found.probes.why_not is not None


def test_a_model_that_never_gives_a_name_at_first_cannot_be_audited(
    server: MessagesServer,
) -> None:
    server.answer = lambda _: Answer("{}")
    with pytest.raises(DecisionError, match="none of 12 first choices"):
        small(llm=LLMSettings(ask_again=0, wait=0.0))


def test_a_spent_budget_stops_and_what_was_answered_is_not_asked_again(
    server: MessagesServer, tmp_path: Path
) -> None:
    folder = tmp_path / "live"
    with pytest.raises(BudgetError):
        small(llm=LLMSettings(folder=folder, budget_calls=30))
    assert len(server.answered) == 30
    found = small(llm=LLMSettings(folder=folder, resume=True))
    assert len(server.answered) == CALLS
    assert found.as_object() | {"usage": None} == small().as_object() | {"usage": None}


def test_populations_of_a_live_mind_are_played_from_what_the_questions_left_of_the_budget(
    server: MessagesServer, tmp_path: Path
) -> None:
    calls = LLMSettings(folder=tmp_path / "live", budget_calls=CALLS + 100_000)
    found = small(runs=2, graph="complete(n=3)", llm=calls, probes=False)
    assert found.played is not None
    assert found.played.wins == (0, 2)
    assert found.usage is not None
    assert found.usage.calls == len(server.answered)
    assert {path.name for path in (tmp_path / "live").iterdir()} == {"asked", "populations"}
    assert found.comparisons[1].played.runs == 2


def test_the_forecast_counts_every_question_and_asks_none(server: MessagesServer) -> None:
    found = forecast_audit(plan_audit(MIND, **SMALL, rng=7))
    assert found.asked == CALLS
    assert found.populations is None
    assert found.read.low > 100 * CALLS
    assert not server.answered
    assert dict(found.rows())["questions to single agents"] == str(CALLS)


def test_every_name_stands_in_every_place_equally_often() -> None:
    mind = load_mind(MIND)
    assert isinstance(mind, LiveMind)
    game = Game(("Q", "M", "X"))
    told = [
        question.mind.prompt(SITUATION)  # type: ignore[attr-defined]
        for question in Interviewer(7).balanced(Fake(mind), game, (), 9)
    ]
    assert told == ["QMX", "MXQ", "XQM"] * 3


class Fake(LiveMind):
    """A live mind whose prompt is nothing but the order of the names."""

    def __init__(self, mind: LiveMind) -> None:
        super().__init__(mind.provider, Orders())  # type: ignore[arg-type]


class Orders:
    def of_game(self, game: Any) -> Orders:  # noqa: ARG002
        return self

    def fill(self, game: Any, memory: Any, order: Any, seat: Any) -> str:  # noqa: ARG002
        return "".join(order)


def test_comprehension_questions_are_answered_by_rules_and_memory() -> None:
    found = comprehension_questions(GAME, 7)
    assert found == comprehension_questions(GAME, 7)
    assert all(one.answer in one.choices for one in found)
    assert sum(one.about == RULES for one in found) == 5
    points = [one for one in found if "together" in one.text]
    for one in points:
        matches = sum(own == partner for own, partner in one.memory)
        assert one.answer == f"{matches * 100 - (3 - matches) * 50:+d}".replace("+0", "0")
    known = [one for one in found if one.about == KNOWN]
    assert len({(one.text, one.choices) for one in known}) == len(known)
    assert sum(one.choices[0] == one.answer for one in known) <= len(known) / 2
    told = default_template().fill(GAME, (), GAME.pool)
    assert not any(one.answer in told.system + told.user for one in known)
    asked = comprehension_prompt(default_template(), GAME, found[-1])
    assert found[-1].text in asked.user
    assert asked.system == default_template().fill(GAME, (), GAME.pool).system


@pytest.mark.parametrize("name", PARAPHRASES)
def test_the_paraphrases_tell_the_same_in_other_words(name: str) -> None:
    told = shipped_template(name).fill(GAME, read_memory(["QM", "MM"]), ("M", "Q"))
    own = default_template().fill(GAME, read_memory(["QM", "MM"]), ("M", "Q"))
    for fact in ("+100", "-50", "M, Q", "+50"):
        assert fact in told.system + told.user
    assert told.system != own.system
    assert shipped_template(name).version.startswith(f"{name}-")


def test_made_up_words_are_as_many_as_wanted_and_all_different() -> None:
    words = nonsense(26, 1)
    assert len(set(words)) == 26
    assert all(word.isalpha() and len(word) == 4 for word in words)
    assert words[:5] == nonsense(5, 1)


def test_answers_that_are_none_are_counted_apart() -> None:
    found = count(["Q", None, "Q", "M", None])
    assert found.counts("QM") == (2, 1)
    assert found.unusable == 2
