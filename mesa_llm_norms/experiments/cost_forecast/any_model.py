"""The forecast of a Mesa model whose agents ask an ``LLM``: it is played with a proxy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mesa_llm_norms.core.formatting import spread
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.experiments.cost_forecast.estimate import assumed, cost_of, tokens_of
from mesa_llm_norms.experiments.cost_forecast.result import Range, cost, exactly, plain, sum_up
from mesa_llm_norms.llm.any_model import LLM
from mesa_llm_norms.llm.budget import read_prices
from mesa_llm_norms.llm.provider import Provider, Question, Reply, Usage

OWN_WORDS = Range(0.1, 0.5, 1.0)
"""How much of ``max_tokens`` an answer in the model's own words takes."""


class ModelForecast(NamedTuple):
    """What the questions of a model take.

    Attributes
    ----------
    questions : int
        How many were asked of the proxy.
    calls, read, written : Range
        Calls, and tokens read and written. A provider that gives probabilities is asked once for
        equal prompts; where that is not known, the range begins there.
    usd : Range or None
        US dollars; None where no price is known.
    """

    questions: int
    calls: Range
    read: Range
    written: Range
    usd: Range | None

    def rows(self) -> list[tuple[str, str]]:
        """Return the forecast in words.

        Returns
        -------
        list of (str, str)
            A label and a range for each row.
        """
        return [
            ("questions", f"{self.questions:,}"),
            ("calls", spread(self.calls)),
            ("tokens read", spread(self.read)),
            ("tokens written", spread(self.written)),
            ("cost", cost(self.usd)),
        ]

    def as_object(self) -> dict[str, Any]:
        """Return the forecast as plain data, for JSON.

        Returns
        -------
        dict
            A value for each attribute, ranges as dictionaries.
        """
        return dict(plain(self))


def forecast_model(
    llm: LLM,
    play: Callable[[LLM], object],
    answer: Callable[[Question], str] | None = None,
) -> ModelForecast:
    """Forecast what a model takes whose agents ask an ``LLM``, without a call.

    Parameters
    ----------
    llm : LLM
        What would be asked; it is not.
    play : callable
        Makes a model with the ``LLM`` it is given, and plays it: ``lambda llm: Town(llm).step()``.
    answer : callable, optional
        What the proxy answers to a question: one of its ``pool``, or a text where that is empty.
        If omitted, it picks from the pool at random.

    Returns
    -------
    ModelForecast
        Questions, calls, tokens and dollars.

    Raises
    ------
    SpecError
        If nothing is asked, or a question wants words and there is no ``answer``.
    """
    proxy = _Proxy(llm.provider, answer)
    with LLM(proxy, shuffle=llm.shuffle) as rehearsal:
        play(rehearsal)
    if not proxy.asked:
        raise SpecError("play", play, "it asked nothing", "Have it play the model with its LLM.")
    provider = llm.provider
    parts = [_part(provider, words, asked) for words, asked in proxy.asked.items()]
    calls, read, written = map(sum_up, zip(*parts, strict=True))
    price = read_prices(llm.settings.prices).of(provider.model)
    questions = sum(map(len, proxy.asked.values()))
    return ModelForecast(questions, calls, read, written, cost_of(provider, price, read, written))


def _part(provider: Provider, words: bool, asked: list[Question]) -> tuple[Range, Range, Range]:
    """Return calls, tokens read and tokens written of questions with choices, or without any."""
    sizes: Mapping[Question, int] = {
        one._replace(seed=0): sum(len(text.encode()) for text in one.prompt) for one in asked
    }
    distinct, every = len(sizes), len(asked)
    once = not words and provider.gives_distributions(asked[0].pool)
    calls = exactly(distinct if once else every)
    if provider.free and not words:  # it may turn out to give probabilities
        calls = calls._replace(low=distinct)
    call = assumed(provider, once=once)
    each = OWN_WORDS.times(provider.max_tokens).plus(call.thinking) if words else call.written
    read = calls.times(tokens_of(sum(sizes.values()) / distinct))
    return calls, read, calls.times(each.at_most(provider.max_tokens))


class _Proxy(Provider):
    """Answers in this process in the place of another provider, and keeps what it was asked."""

    free = True
    writes = True
    parameters: Mapping[str, Any] = {}

    def __init__(self, provider: Provider, answer: Callable[[Question], str] | None) -> None:
        self.label, self.model, self.place = provider.label, provider.model, provider.place
        self.max_tokens = provider.max_tokens
        self.writes = provider.writes
        self.asked: dict[bool, list[Question]] = {}
        self._answer = answer

    async def ask(self, question: Question) -> Reply:
        """Return what the user's function answers, or a choice at random."""
        self.asked.setdefault(not question.pool, []).append(question)
        if self._answer is None and not question.pool:
            problem = "a question wants words, and there is nothing that answers it"
            raise SpecError("answer", None, problem, "Give answer=lambda question: ...")
        if self._answer is None:
            name: object = question.pool[question.seed % len(question.pool)]
        else:
            name = self._answer(question)
        if not isinstance(name, str):
            problem = f"it returned {shown(name)}, which is not a text"
            raise SpecError("answer", name, problem, "Return one of question.pool.")
        return Reply(name, Usage(), name=name)
