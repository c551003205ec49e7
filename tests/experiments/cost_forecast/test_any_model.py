"""The forecast of a model whose agents ask: what would be sent is counted, and nothing is."""

from __future__ import annotations

import mesa
import pytest

from mesa_llm_norms import LLM, LLMSettings
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments import forecast_model
from mesa_llm_norms.experiments.cost_forecast.result import Range, exactly
from mesa_llm_norms.testing import FakeProvider


def play(llm: LLM, agents: int = 20, choices: tuple[str, ...] | None = ("yes", "no")) -> None:
    model = mesa.Model(rng=1)
    mesa.Agent.create_agents(model, agents)
    llm.choose_all((agent, "Well?" * 100, choices) for agent in model.agents)


def test_every_question_is_a_call_and_costs_what_its_size_says() -> None:
    prices = {"as_of": "today", "claude-haiku-5-5": {"input": 1.0, "output": 5.0}}
    llm = LLM("claude:claude-haiku-5-5", llm=LLMSettings(prices=prices))
    found = forecast_model(llm, play)
    assert found.questions == 20
    assert found.calls == exactly(20)
    assert found.read.low < 20 * 570 / 3.8 + 2000 < found.read.high
    assert found.usd is not None
    assert found.usd.high == pytest.approx(
        (found.read.high + 5 * found.written.high) / 1e6, rel=0.01
    )
    assert dict(found.rows())["questions"] == "20"
    assert found.as_object()["calls"]["high"] == 20
    assert llm.usage.calls == 0


def test_equal_questions_are_one_call_where_probabilities_are_given() -> None:
    provider = FakeProvider(distributions=True)
    found = forecast_model(LLM(provider, shuffle=False), play)
    assert found.calls == exactly(1)
    assert found.usd == exactly(0)
    assert not provider.asked


def test_what_is_not_known_is_not_said_to_be() -> None:
    llm = LLM("llama:http://127.0.0.1:9/v1#m", shuffle=False)
    assert forecast_model(llm, play).calls == Range(1, 20, 20)
    assert forecast_model(LLM(FakeProvider(free=False)), play).usd is None


def test_words_need_an_answer_of_yours() -> None:
    llm = LLM(FakeProvider(max_tokens=500))
    with pytest.raises(SpecError, match="answer"):
        forecast_model(llm, lambda llm: play(llm, choices=None))
    with pytest.raises(SpecError, match="not a text"):
        forecast_model(llm, play, answer=lambda _: 5)  # type: ignore[arg-type,return-value]
    found = forecast_model(
        llm, lambda llm: play(llm, choices=None), answer=lambda _: "Yes, and no."
    )
    assert found.written.high == 20 * 500
    with pytest.raises(SpecError, match="asked nothing"):
        forecast_model(llm, lambda _: None)
