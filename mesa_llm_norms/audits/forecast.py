"""What an audit of a live mind will take, before a single call is made."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mesa_llm_norms.audits.asking import Asked, Fixed, Interviewer
from mesa_llm_norms.audits.comprehension import put_question
from mesa_llm_norms.audits.individual import questions
from mesa_llm_norms.audits.plan import Plan
from mesa_llm_norms.audits.probes import probe_questions
from mesa_llm_norms.draws import Draws
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.forecast import Forecast, Range, describe, forecast
from mesa_llm_norms.forecast.description import cost, count, in_words
from mesa_llm_norms.forecast.per_call import assumed, tokens_of
from mesa_llm_norms.minds.live import Calls, Prompt, Usage
from mesa_llm_norms.minds.live.prices import FREE, read_prices
from mesa_llm_norms.minds.mind import Situation


class AuditForecast(NamedTuple):
    """What a live audit takes: the questions asked of single agents, and the populations.

    ``asked`` is exact as long as every reply can be used. ``usd`` is None where no price is known.
    """

    asked: int
    read: Range
    written: Range
    usd: Range | None
    populations: Forecast | None

    def rows(self) -> list[tuple[str, str]]:
        """Return it in words: a label and a range each."""
        rows = [
            ("questions to single agents", f"{self.asked:,}"),
            ("  tokens read", in_words(self.read, count)),
            ("  tokens written", in_words(self.written, count)),
            ("  cost", cost(self.usd)),
        ]
        if self.populations is not None:
            rows += [(f"populations: {label}", it) for label, it in describe(self.populations)]
        return rows

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "asked": self.asked,
            "read": self.read._asdict(),
            "written": self.written._asdict(),
            "usd": self.usd._asdict() if self.usd is not None else None,
            "populations": self.populations.as_object() if self.populations is not None else None,
        }


def forecast_audit(plan: Plan, calls: Calls | None = None) -> AuditForecast:
    """Return what a live audit will take; nothing is asked of a server.

    Populations of other sizes are not in it. Raises ``MindError`` where the mind is not live.
    """
    calls = calls or Calls()
    live = plan.live
    if live is None:
        raise MindError("mind", plan.mind.label, "it is not live", "Its audit costs nothing.")
    sizes = [sum(len(text.encode()) for text in prompt) for prompt in _prompts(plan)]
    read = tokens_of(float(np.mean(sizes))).times(len(sizes))
    written = assumed(live.server, once=False).written.times(len(sizes))
    price = read_prices(calls.prices).of(live.server.model)
    if price is None and live.server.free:
        price = FREE
    usd = None
    if price is not None:
        used = (Usage(round(r), round(w)) for r, w in zip(read, written, strict=True))
        usd = Range(*map(price.cost, used))
    populations = None
    if plan.runs:
        populations = forecast(plan.spec, plan.goal, plan.rounds, plan.runs, calls)
    return AuditForecast(len(sizes), read, written, usd, populations)


def _prompts(plan: Plan) -> list[Prompt]:
    """Return the prompt of every question."""
    live, game, seed = plan.live, plan.spec.game, plan.spec.seed
    assert live is not None
    interviewer = Interviewer(seed)
    asked = [
        question
        for memory, number in questions(game, plan.times, plan.times_after)[0]
        for question in interviewer.balanced(live, game, memory, number)
    ]
    prompts: list[Prompt] = []
    if plan.probes:
        series, comprehension = probe_questions(live, game, interviewer, plan.times, seed)
        asked += [question for _, part in series for question in part]
        prompts = [put_question(live.template, game, one) for one in comprehension]
    return [*map(_prompt, asked), *prompts]


def _prompt(question: Asked) -> Prompt:
    assert isinstance(question.mind, Fixed)
    return question.mind.prompt(Situation(question.game, question.memory, 0, Draws(0), 0, 0))
