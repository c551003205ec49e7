"""A server that keeps failing is found out and played all the same, and nothing is asked twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest
from chat_server import (
    DEAF_LISTING,
    LLAMA_CPP_PYTHON,
    OLLAMA_LISTING,
    STRICT,
    VLLM,
    Body,
    ChatServer,
    Fault,
    Program,
    error,
)

from mesa_llm_norms import NamingGame
from mesa_llm_norms.errors import CallError
from mesa_llm_norms.llm.chat_completions import QUESTION, Capabilities
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.simulation import Interaction

GEMMA = Program(
    frozenset({"response_format"}), "before", no_system=(500, "System role not supported")
)
PROGRAMS = {
    "vLLM": VLLM,
    "Ollama": OLLAMA_LISTING,
    "deaf": DEAF_LISTING,
    "answers 400": STRICT,
    "answers 500": LLAMA_CPP_PYTHON,
    "no system role": GEMMA,
}
FAULTS = {
    "429": Fault("status", 429, {"retry-after": "0"}, error("slow down")),
    "500": Fault("status", 500, {}, error("internal")),
    "502": Fault("status", 502, {}, "bad gateway"),
    "503": Fault("status", 503, {}, error("Loading model")),
    "reset": Fault("reset"),
    "a page": Fault("raw", 200, {}, "<html>"),
}


Played = tuple[Capabilities | None, tuple[str, ...], list[Interaction], Counter[str]]


def every(turn: int, fault: Fault) -> Callable[[Body], Fault | None]:
    """Return a schedule by which each ``turn``-th call fails."""
    calls = iter(range(1, 100_000))
    return lambda _: fault if next(calls) % turn == 0 else None


def played(program: Program, fault: Callable[[Body], Fault | None] = lambda _: None) -> Played:
    """Return what was found out, left out and played, and how often each question was answered."""
    answered: Counter[str] = Counter()

    def counting(body: Body) -> Fault | None:
        found = fault(body)
        if found is None and server.answer(body)[0] == 200:
            answered[json.dumps(body, sort_keys=True)] += 1
        return found

    with ChatServer(program, fault=counting) as server:
        provider = OpenAICompatibleProvider(server.url, "m", timeout=20)
        llm = LLMSettings(wait=0.001, max_concurrency=1)
        with_rows = NamingGame("ring(n=4)", "QM", provider.mind(), rng=1, llm=llm)
        rows = list(with_rows.play(8))
        with_rows.close()
    return provider.capabilities, provider.left_out, rows, answered


@cache
def undisturbed(program: str) -> Played:
    return played(PROGRAMS[program])


@pytest.mark.parametrize("turn", [2, 3])
@pytest.mark.parametrize(
    "fault",
    [pytest.param(it, marks=() if it in ("429", "500") else pytest.mark.slow) for it in FAULTS],
)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_server_that_fails_every_other_call_is_found_out_and_played(
    program: str, fault: str, turn: int
) -> None:
    expected = undisturbed(program)
    found = played(PROGRAMS[program], every(turn, FAULTS[fault]))
    assert found[:3] == expected[:3]
    again = {body for body, times in found[3].items() if times > max(1, expected[3][body])}
    # Where the status may be an objection, a plain question shows whether it is.
    assert all(QUESTION.user in body and "logprobs" not in body for body in again)
    assert fault == "500" or not again or program == "answers 500"


@pytest.mark.slow
@pytest.mark.parametrize("length", [1, 2, 3, 4, 5, 9, 17])
@pytest.mark.parametrize("program", ["vLLM", "answers 500", "no system role"])
def test_an_outage_of_500_at_any_moment_is_no_objection_to_what_was_asked(
    program: str, length: int
) -> None:
    expected = undisturbed(program)
    for first in range(1, 24):
        calls = iter(range(1, 100_000))
        found = played(
            PROGRAMS[program],
            lambda _, first=first, calls=calls: (  # type: ignore[misc]
                FAULTS["500"] if first <= next(calls) < first + length else None
            ),
        )
        assert found[:3] == expected[:3], first


def test_a_server_that_loads_its_model_is_waited_for() -> None:
    loading = [FAULTS["503"]] * 20
    expected = undisturbed("vLLM")
    assert played(VLLM, lambda _: loading.pop() if loading else None)[:3] == expected[:3]


@pytest.mark.parametrize("fault", ["reset", "a page"])
def test_a_server_that_never_answers_is_given_up_after_four_tries(fault: str) -> None:
    asked: list[Body] = []

    def failing(body: Body) -> Fault:
        asked.append(body)
        return FAULTS[fault]

    with ChatServer(VLLM, models=None, fault=failing) as server:
        provider = OpenAICompatibleProvider(server.url, "m", timeout=20)
        llm = LLMSettings(wait=0.001)
        game = NamingGame("ring(n=4)", "QM", provider.mind(), rng=1, llm=llm)
        with pytest.raises(CallError, match="after 4 tries, and it has never answered"):
            game.step()
        game.close()
    assert len(asked) == 4
    assert asked[0]["messages"][-1]["content"] == QUESTION.user
