"""What a server of chat completions can do is found out; tokens become names by rules."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from chat_server import (
    CITIES,
    DEAF,
    DEAF_LISTING,
    DEAF_LISTING_AFTER,
    LLAMA_CPP_PYTHON,
    OLLAMA,
    OLLAMA_LISTING,
    STRICT,
    VLLM,
    VLLM_PROCESSED,
    VLLM_UNMASKED,
    Body,
    ChatServer,
    Fault,
    Program,
    gbnf_names,
)
from hypothesis import given
from hypothesis import strategies as st
from llama_calls import (
    NAMES,
    POOL,
    ask,
    capabilities_of,
    question,
    with_llama,
)

from mesa_llm_norms.errors import CallError
from mesa_llm_norms.llm.chat_completions import (
    MADE_UP,
    Capabilities,
    Position,
    constrained,
    grammar,
    name_probabilities,
    read_position,
)
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.prompt import Prompt, read_json

pytestmark = pytest.mark.usefixtures("llama_environment")


class TestCapabilities:
    """What a server can do is found out by asking it."""

    @pytest.mark.parametrize(
        ("program", "expected", "calls"),
        [
            pytest.param(VLLM, Capabilities("choice", "before"), 4, id="vLLM"),
            pytest.param(VLLM_UNMASKED, Capabilities("choice", "before"), 3, id="vLLM, unmasked"),
            pytest.param(VLLM_PROCESSED, Capabilities("choice", "after"), 4, id="vLLM, processed"),
            pytest.param(OLLAMA, Capabilities("schema", "none"), 5, id="Ollama"),
            pytest.param(OLLAMA_LISTING, Capabilities("schema", "before"), 6, id="Ollama, listing"),
            pytest.param(DEAF, Capabilities("none", "none"), 5, id="ignores everything"),
            pytest.param(DEAF_LISTING, Capabilities("none", "before"), 6, id="ignores constraints"),
            pytest.param(
                DEAF_LISTING_AFTER, Capabilities("none", "after"), 6, id="lists as sampled"
            ),
            pytest.param(STRICT, Capabilities("schema", "none"), 5, id="answers 400"),
            pytest.param(LLAMA_CPP_PYTHON, Capabilities("none", "none"), 17, id="answers 500"),
        ],
    )
    def test_the_strongest_constraint_that_is_kept_is_found(
        self, program: Program, expected: Capabilities, calls: int
    ) -> None:
        with ChatServer(program) as server:
            assert with_llama(server.url, capabilities_of) == expected
            assert len(server.bodies) == calls

    def test_a_grammar_is_found_where_only_the_grammar_is_known(self) -> None:
        """As a server does that takes a grammar and passes over how to sample and list."""
        with ChatServer(Program(frozenset({"grammar"}))) as server:
            assert with_llama(server.url, capabilities_of) == Capabilities("grammar", "none")
            assert ask(server.url).name in POOL

    def test_they_are_recorded_with_what_is_sent(self) -> None:
        async def parameters(llama: OpenAICompatibleProvider) -> Mapping[str, Any]:
            return llama.parameters

        with ChatServer(VLLM) as server:
            found = with_llama(server.url, parameters, temperature=0.7, max_tokens=9)
        assert json.loads(json.dumps(found)) == {
            "model": "m",
            "temperature": 0.7,
            "top_p": 1.0,
            "max_tokens": 9,
            "constraint": "choice",
            "probabilities": "before",
        }

    def test_they_are_found_out_once(self) -> None:
        with ChatServer(OLLAMA) as server:
            with_llama(server.url, lambda llama: llama.prepare())
            assert len(server.bodies) == 5

    def test_one_failure_of_the_server_is_not_taken_for_its_manners(self) -> None:
        failing = iter([Fault("status", 500)])
        with ChatServer(VLLM, fault=lambda _: next(failing, None)) as server:
            assert with_llama(server.url, capabilities_of) == Capabilities("choice", "before")

    @pytest.mark.parametrize("status", [401, 403, 429, 503])
    def test_an_error_that_says_nothing_about_fields_is_raised(self, status: int) -> None:
        with (
            ChatServer(VLLM, fault=lambda _: Fault("status", status)) as server,
            pytest.raises(CallError),
        ):
            with_llama(server.url, capabilities_of)

    def test_a_server_that_answers_nothing_at_all_is_an_error(self) -> None:
        with (
            ChatServer(DEAF, fault=lambda _: Fault("status", 500)) as server,
            pytest.raises(CallError, match="failed"),
        ):
            with_llama(server.url, capabilities_of)

    def test_no_city_is_a_made_up_name(self) -> None:
        assert not set(MADE_UP) & set(CITIES)

    def test_no_use_is_made_of_probabilities_that_do_not_tell_how_they_were_made(self) -> None:
        def flatten(choice: Body) -> None:
            for position in choice.get("logprobs", {"content": []})["content"]:
                rows = position["top_logprobs"]
                position["top_logprobs"] = [{**row, "logprob": math.log(0.1)} for row in rows]

        with ChatServer(DEAF_LISTING, alter=flatten) as server:
            assert with_llama(server.url, capabilities_of) == Capabilities("none", "none")

    @pytest.mark.parametrize(
        "spoil",
        [
            pytest.param(lambda first: first.update(top_logprobs=None), id="null"),
            pytest.param(lambda first: first.update(top_logprobs=[{"token": "a"}]), id="no number"),
            pytest.param(lambda first: first["top_logprobs"][0].update(logprob=2.0), id="above 1"),
            pytest.param(
                lambda first: [row.update(logprob=-0.1) for row in first["top_logprobs"]],
                id="sum above 1",
            ),
            pytest.param(lambda first: first.clear(), id="empty"),
        ],
    )
    def test_no_use_is_made_of_what_cannot_be_probabilities(
        self, spoil: Callable[[Body], object]
    ) -> None:
        with ChatServer(VLLM, alter=lambda choice: _spoil(choice, spoil)) as server:
            assert with_llama(server.url, capabilities_of) == Capabilities("choice", "none")
            assert ask(server.url).name in POOL


def _spoil(choice: Body, spoil: Callable[[Body], object]) -> None:
    if "logprobs" in choice:
        spoil(choice["logprobs"]["content"][0])


class TestChances:
    """Tokens become names by rules that can be checked without a server."""

    def at(self, *tokens: tuple[str, float], complete: bool = True) -> Position:
        return Position(b"", tuple((text.encode(), chance) for text, chance in tokens), complete)

    @given(st.lists(NAMES, min_size=2, max_size=8, unique_by=lambda name: name[0]), st.data())
    def test_they_are_a_distribution_over_the_pool(
        self, pool: list[str], data: st.DataObject
    ) -> None:
        shares = data.draw(
            st.lists(st.floats(1e-6, 1), min_size=len(pool), max_size=len(pool)), "shares"
        )
        temperature = data.draw(st.sampled_from([0.0, 0.2, 0.5, 1.0, 1.5]), "temperature")
        chances = [share / sum(shares) for share in shares]
        position = self.at(*zip(pool, chances, strict=True))
        found = name_probabilities(position, tuple(pool), temperature, constrained=True)
        by_first_byte = {name.encode()[0] for name in pool}
        if found is None:
            assert len(by_first_byte) < len(pool)
            return
        assert math.fsum(found) == pytest.approx(1)
        for place, other in itertools.combinations(range(len(pool)), 2):
            if chances[place] < chances[other]:
                assert found[place] <= found[other]

    def test_a_token_inside_a_letter_is_read_by_its_bytes(self) -> None:
        """“é” and “è” begin with the same byte, “é” and “Q” do not."""
        position = Position(b"", ((b"\xc3", 0.4), (b"Q", 0.6)), complete=True)
        assert name_probabilities(position, ("é", "Q"), 1.0, constrained=True) == (0.4, 0.6)
        assert name_probabilities(position, ("é", "è"), 1.0, constrained=True) is None

    @pytest.mark.parametrize(("least", "sure"), [(0.0004, True), (0.0006, False)])
    def test_what_was_left_out_may_matter_by_a_thousandth(self, least: float, sure: bool) -> None:
        position = self.at(("Q", 0.9), ("M", 0.1 - least), ("x", least), complete=False)
        found = name_probabilities(position, POOL, 1.0, constrained=True)
        assert (found is not None) is sure

    def test_a_name_that_was_left_out_and_cannot_matter_has_no_chance(self) -> None:
        position = self.at(("Q", 0.9999), ("x", 1e-5), complete=False)
        assert name_probabilities(position, POOL, 0.5, constrained=True) == (1.0, 0.0)

    def test_nothing_follows_from_tokens_without_any_name(self) -> None:
        for constrained_ in (True, False):
            assert name_probabilities(self.at(("x", 1.0)), POOL, 1.0, constrained_) is None

    def test_at_temperature_zero_a_tie_goes_to_the_first_of_the_pool(self) -> None:
        position = self.at(("M", 0.5), ("Q", 0.5))
        assert name_probabilities(position, POOL, 0.0, constrained=True) == (1.0, 0.0)

    def test_a_list_shorter_than_asked_is_complete(self) -> None:
        rows = [{"token": "Q", "prob": 0.7}, {"token": "M", "prob": 0.3}, {"token": "x", "prob": 0}]
        choice = {"logprobs": {"content": [{"token": "Q", "prob": 0.7, "top_probs": rows}]}}
        position = read_position(choice, asked=3)
        assert position == Position(b"Q", ((b"Q", 0.7), (b"M", 0.3)), complete=True)


class TestConstraints:
    """Any name gets to the server as it is."""

    @given(st.lists(NAMES, min_size=2, max_size=8, unique=True))
    def test_a_grammar_allows_exactly_the_names(self, pool: list[str]) -> None:
        assert gbnf_names(grammar(pool)) == pool

    def test_quotes_and_backslashes_are_escaped(self) -> None:
        assert grammar(['say "hi"', "back\\slash"]) == r'root ::= "say \"hi\"" | "back\\slash"'

    @given(st.lists(NAMES, min_size=2, max_size=8, unique=True))
    def test_a_schema_allows_exactly_the_names(self, pool: list[str]) -> None:
        sent = json.loads(json.dumps(constrained("schema", pool)))
        schema = sent["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["name"]["enum"] == pool
        assert all(read_json(json.dumps({"name": name}), pool) == name for name in pool)

    def test_replies_under_a_schema_are_read_as_json(self) -> None:
        with ChatServer(OLLAMA) as server:
            reply = ask(server.url)
        assert reply.name in POOL
        assert reply.text == json.dumps({"name": reply.name})

    def test_sampling_is_by_temperature_and_seed_alone(self) -> None:
        with ChatServer(OLLAMA) as server:
            ask(server.url, seed=99, temperature=0.25)
        (body,) = server.asked
        assert (body["seed"], body["temperature"], body["top_p"]) == (99, 0.25, 1.0)

    def test_seeds_reproduce_replies(self) -> None:
        with ChatServer(OLLAMA) as server:
            one, again = ([ask(server.url, seed=seed).name for seed in (1, 2, 3)] for _ in "ab")
        assert one == again

    def test_the_temperature_is_that_of_the_study_unless_given(self) -> None:
        assert (
            OpenAICompatibleProvider("http://127.0.0.1:1/v1", "m").parameters["temperature"] == 0.5
        )

    def test_an_empty_system_prompt_is_not_sent(self) -> None:
        with ChatServer(OLLAMA) as server:
            with_llama(server.url, lambda llama: llama.ask(question(prompt=Prompt("", "Pick."))))
        assert server.asked[0]["messages"] == [{"role": "user", "content": "Pick."}]
