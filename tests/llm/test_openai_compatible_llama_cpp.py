"""The Llama adapter against the real llama.cpp server, with a tiny model whose choices are random.

Run by ``make test-llama``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import pytest
from chances import assert_frequencies
from hypothesis import given, settings
from hypothesis import strategies as st
from llama import NAME, LlamaProgram

from mesa_llm_norms.core.game import is_name
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.chat_completions import (
    MADE_UP,
    MAX_DOUBT,
    QUESTION,
    Capabilities,
    constrained,
    read_constrained,
)
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import Question, Reply

pytestmark = pytest.mark.llama

POOL = ("Q", "M")
LETTERS = tuple("ABCDEFGHIJ")
RULES = "Two players name a letter at the same time. Equal names score 100, others cost 50."
PROMPT = Prompt(RULES, "You may say Q or M. What do you say?")
PROMPTS = [Prompt(RULES, f"{PROMPT.user} You said {name} last time.") for name in "QMABC"]
TIMEOUT = 60.0
SAMPLES = 800

Result = TypeVar("Result")

NAMES = st.text(min_size=1, max_size=8).filter(is_name)


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaProgram]:
    with LlamaProgram(tmp_path_factory.mktemp("llama")) as program:
        yield program


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def with_llama(
    program: LlamaProgram,
    use: Callable[[OpenAICompatibleProvider], Awaitable[Result]],
    **options: Any,
) -> Result:
    async def main() -> Result:
        model = options.pop("model", NAME)
        llama = OpenAICompatibleProvider(program.url, model, **{"timeout": TIMEOUT, **options})
        try:
            await llama.prepare()
            return await use(llama)
        finally:
            await llama.close()

    return asyncio.run(main())


def ask(program: LlamaProgram, question: Question, **options: Any) -> Reply:
    return with_llama(program, lambda llama: llama.ask(question), **options)


async def sampled(llama: OpenAICompatibleProvider, questions: Sequence[Question]) -> list[str]:
    """Return the names that the server itself samples, eight calls at a time."""
    llama.capabilities = Capabilities("grammar", "none")
    places = asyncio.Semaphore(8)

    async def one(question: Question) -> str:
        async with places:
            reply = await llama.ask(question)
        assert reply.name is not None, reply
        return reply.name

    return list(await asyncio.gather(*map(one, questions)))


def test_probing_finds_the_grammar_and_the_distribution(real: LlamaProgram) -> None:
    async def abilities(llama: OpenAICompatibleProvider) -> Capabilities | None:
        return llama.capabilities

    assert with_llama(real, abilities) == Capabilities("grammar", "after")


def test_a_constraint_that_the_server_passes_over_is_noticed(real: LlamaProgram) -> None:
    """The one of vLLM is taken without a word, and the reply is anything."""

    async def use(llama: OpenAICompatibleProvider) -> tuple[str | None, str | None]:
        texts = [
            await llama._complete(QUESTION, {**constrained(constraint, MADE_UP), "seed": 1})
            for constraint in ("choice", "grammar")
        ]
        one, other = (read_constrained("choice", answer.text, MADE_UP) for answer in texts)
        return one, other

    ignored, kept = with_llama(real, use)
    assert ignored is None
    assert kept in MADE_UP


@pytest.mark.parametrize(
    ("pool", "temperature"),
    [
        pytest.param(POOL, 0.5, id="letters, of two tokens each"),
        pytest.param(POOL, 1.0, id="letters, warmer"),
        pytest.param(("Apple", "Banana"), 1.0, id="words, some of one token"),
        pytest.param(("zoo", "fox", "<b>"), 1.5, id="names of many tokens"),
    ],
)
def test_the_distribution_of_one_call_is_that_of_the_servers_samples(
    real: LlamaProgram, pool: tuple[str, ...], temperature: float
) -> None:
    async def use(llama: OpenAICompatibleProvider) -> tuple[Reply, list[str]]:
        reply = await llama.ask(Question(PROMPT, pool, 0))
        questions = [Question(PROMPT, pool, seed) for seed in range(SAMPLES)]
        return reply, await sampled(llama, questions)

    reply, played = with_llama(real, use, temperature=temperature)
    assert reply.distribution is not None
    assert sum(reply.distribution) == pytest.approx(1)
    assert_frequencies([played.count(name) for name in pool], reply.distribution)


def test_the_distribution_is_the_same_whatever_the_seed_and_the_company(
    real: LlamaProgram,
) -> None:
    async def use(llama: OpenAICompatibleProvider) -> list[list[Reply]]:
        alone = [await llama.ask(Question(prompt, POOL, 1)) for prompt in PROMPTS]
        questions = [Question(prompt, POOL, seed) for seed in range(8) for prompt in PROMPTS]
        together = await asyncio.gather(*map(llama.ask, questions))
        return [alone, list(together)]

    alone, together = with_llama(real, use)
    for place, reply in enumerate(together):
        expected = alone[place % len(PROMPTS)].distribution
        assert expected is not None
        assert reply.distribution == pytest.approx(expected, abs=1e-5)


def test_the_prompt_matters(real: LlamaProgram) -> None:
    async def use(llama: OpenAICompatibleProvider) -> set[tuple[float, ...] | None]:
        return {(await llama.ask(Question(prompt, POOL, 0))).distribution for prompt in PROMPTS}

    assert len(with_llama(real, use)) == len(PROMPTS)


def test_temperature_zero_is_a_point_mass_on_the_likeliest(real: LlamaProgram) -> None:
    warm = ask(real, Question(PROMPT, LETTERS, 0), temperature=1.0).distribution
    cold = ask(real, Question(PROMPT, LETTERS, 0), temperature=0).distribution
    assert warm is not None
    assert cold is not None
    assert sorted(cold) == [0.0] * 9 + [1.0]


def test_a_lower_temperature_sharpens(real: LlamaProgram) -> None:
    found = [
        ask(real, Question(PROMPT, ("Apple", "Banana"), 0), temperature=temperature).distribution
        for temperature in (0.25, 0.5, 1.0, 2.0)
    ]
    likeliest = [max(distribution or (0.0,)) for distribution in found]
    assert likeliest == sorted(likeliest, reverse=True)
    assert likeliest[0] > likeliest[-1]


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(("north", "never"), id="one first letter"),
        pytest.param(("App", "Apple"), id="one begins the other"),
        pytest.param(("é", "è"), id="one first byte"),
    ],
)
def test_names_that_share_a_first_token_are_sampled(
    real: LlamaProgram, pool: tuple[str, str]
) -> None:
    async def use(llama: OpenAICompatibleProvider) -> list[Reply]:
        replies = [await llama.ask(Question(PROMPT, pool, seed)) for seed in range(40)]
        assert not llama.gives_distributions(pool)
        return replies

    replies = with_llama(real, use, temperature=3.0)
    assert all(reply.distribution is None for reply in replies)
    assert {reply.name for reply in replies} == set(pool)


def test_names_that_begin_inside_a_letter_are_played(real: LlamaProgram) -> None:
    """llama.cpp lists nothing with a token that is part of a letter; then replies are sampled."""
    pool = ("zoo", "é", "ö")

    async def use(llama: OpenAICompatibleProvider) -> list[Reply]:
        return [await llama.ask(Question(PROMPT, pool, seed)) for seed in range(60)]

    replies = with_llama(real, use, temperature=3.0)
    assert all(reply.usable for reply in replies)
    assert len({reply.distribution for reply in replies}) == 1, "the seed decides how it is played"
    if replies[0].distribution is None:
        assert {reply.name for reply in replies} == set(pool)


def test_seeds_reproduce_sampled_replies_also_in_company(real: LlamaProgram) -> None:
    pool = ("north", "never", "none")

    async def use(llama: OpenAICompatibleProvider) -> tuple[list[str | None], list[str | None]]:
        questions = [Question(PROMPT, pool, seed) for seed in range(48)]
        alone = [(await llama.ask(question)).name for question in questions]
        together = [reply.name for reply in await asyncio.gather(*map(llama.ask, questions))]
        return alone, together

    alone, together = with_llama(real, use, temperature=2.0)
    assert alone == together
    assert len(set(alone)) > 1


@pytest.mark.parametrize(
    "pool", [POOL, ('say "hi"', "back\\slash"), ("[a]", "a|b", "ö ü"), ("x ::= y", "#", "{2}")]
)
def test_names_with_marks_of_the_grammar_are_played_as_they_are(
    real: LlamaProgram, pool: tuple[str, ...]
) -> None:
    async def use(llama: OpenAICompatibleProvider) -> list[str]:
        return await sampled(llama, [Question(PROMPT, pool, seed) for seed in range(60)])

    assert set(with_llama(real, use, temperature=5.0)) == set(pool)


@settings(max_examples=25)
@given(st.lists(NAMES, min_size=2, max_size=4, unique=True))
def test_any_pool_can_be_played(real: LlamaProgram, pool: list[str]) -> None:
    reply = ask(real, Question(PROMPT, tuple(pool), 1))
    assert reply.usable, reply


@pytest.mark.parametrize("pool", [POOL, ('say "hi"', "back\\slash", "ö")])
def test_a_schema_is_kept_to_and_read(real: LlamaProgram, pool: tuple[str, ...]) -> None:
    async def use(llama: OpenAICompatibleProvider) -> list[Reply]:
        llama.capabilities = Capabilities("schema", "none")
        return [await llama.ask(Question(PROMPT, pool, seed)) for seed in range(10)]

    for reply in with_llama(real, use, max_tokens=400):
        assert reply.name in pool
        assert json.loads(reply.text) == {"name": reply.name}


def test_a_reply_that_is_cut_off_is_unusable(real: LlamaProgram) -> None:
    async def use(llama: OpenAICompatibleProvider) -> Reply:
        llama.capabilities = Capabilities("schema", "none")
        return await llama.ask(Question(PROMPT, POOL, 1))

    reply = with_llama(real, use, max_tokens=3)
    assert (reply.usable, reply.problem) == (False, "it was cut off at max_tokens")


def test_tokens_are_counted(real: LlamaProgram) -> None:
    async def use(llama: OpenAICompatibleProvider) -> list[Reply]:
        return [await llama.ask(Question(PROMPT, POOL, 0)) for _ in range(3)]

    first, second, third = (reply.usage for reply in with_llama(real, use))
    assert second.output_tokens == 1
    assert first.output_tokens == 2, "the pool's test counts too"
    assert second.input_tokens > len(RULES)
    assert third.cached_tokens > 0


def test_an_unknown_model_is_refused(real: LlamaProgram) -> None:
    with pytest.raises(MindError, match=f"It has: {NAME}"):
        ask(real, Question(PROMPT, POOL, 0), model="another")


def test_a_prompt_too_long_for_the_model_is_refused(real: LlamaProgram) -> None:
    with pytest.raises(CallError) as caught:
        ask(real, Question(Prompt("", "x" * 9_000), POOL, 0))
    assert (caught.value.kind, caught.value.status) == ("refused", 400)


def test_a_server_that_is_stopped_is_a_connection_error_and_found_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    async def use(llama: OpenAICompatibleProvider) -> Reply:
        first = await llama.ask(Question(PROMPT, POOL, 0))
        program.stop()
        with pytest.raises(CallError) as caught:
            await llama.ask(Question(PROMPT, POOL, 0))
        assert caught.value.kind == "connection"
        program.start()
        again = await llama.ask(Question(PROMPT, POOL, 0))
        assert again.distribution == pytest.approx(first.distribution, abs=MAX_DOUBT)
        return first

    with LlamaProgram(tmp_path_factory.mktemp("llama")) as program:
        assert with_llama(program, use).distribution is not None
