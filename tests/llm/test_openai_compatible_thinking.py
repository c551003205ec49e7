"""Models that think before they answer, and servers that lack a part of the protocol."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from chat_server import DEAF, OLLAMA, VLLM, Body, ChatServer, Fault, Program
from llama_calls import POOL, PROMPT, ask, capabilities_of, question, with_llama
from reasoning_server import BESIDE, IN_CONTENT, THOUGHTS, TOKENS, ReasoningServer, Thinking

from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.chat_completions import Capabilities
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.provider import MAX_TOKENS_THINKING, Reply

pytestmark = pytest.mark.usefixtures("llama_environment")

LLAMA_CPP = Program(frozenset({"grammar", "response_format"}), "after")


class TestThinking:
    """The answer is what follows the thoughts, and nothing is read from them."""

    @pytest.mark.parametrize("program", [VLLM, OLLAMA, DEAF, LLAMA_CPP])
    @pytest.mark.parametrize("thinking", IN_CONTENT + BESIDE, ids=repr)
    def test_it_plays_and_its_thoughts_are_kept(self, program: Program, thinking: Thinking) -> None:
        chances = {"M": 1.0}
        with ReasoningServer(program, thinking, chances=chances) as server:
            reply = ask(server.url)
        assert (reply.name, reply.problem, reply.distribution) == ("M", None, None)
        assert reply.thoughts == THOUGHTS
        assert reply.usage.thinking_tokens == (TOKENS if thinking.counts else 0)

    @pytest.mark.parametrize("thinking", IN_CONTENT + BESIDE, ids=repr)
    def test_without_room_for_more_than_thoughts_it_says_what_to_raise(
        self, thinking: Thinking
    ) -> None:
        with ReasoningServer(OLLAMA, thinking) as server:
            reply = ask(server.url, max_tokens=100)
        assert not reply.usable
        if thinking.opening or thinking.beside:
            assert reply.thoughts == THOUGHTS or thinking.opening == "analysis"
        if thinking.opening not in ("", "analysis") or thinking.beside:
            assert reply.problem == "it thought and wrote nothing: raise --max-tokens"
        else:  # nothing tells the thoughts from an answer
            assert reply.problem == "it was cut off at max_tokens"

    def test_thoughts_that_are_only_counted_are_thoughts(self) -> None:
        usage = {
            "prompt_tokens": 9,
            "completion_tokens": 100,
            "completion_tokens_details": {"reasoning_tokens": 100},
        }

        def silence(choice: Body) -> None:
            choice["message"]["content"], choice["finish_reason"] = "", "length"

        with ChatServer(DEAF, alter=silence, usage=usage) as server:
            reply = ask(server.url)
        assert reply.problem == "it thought and wrote nothing: raise --max-tokens"
        assert reply.usage.thinking_tokens == 100

    @pytest.mark.parametrize(
        ("held", "constraint"),
        [("thinks", "choice"), ("suppressed", "none"), ("swallowed", "none")],
    )
    @pytest.mark.parametrize("thinking", [Thinking("<think>", "</think>"), BESIDE[0]], ids=repr)
    def test_a_constraint_is_used_only_if_it_leaves_the_model_its_thoughts(
        self, thinking: Thinking, held: Any, constraint: Any
    ) -> None:
        shown = Thinking(thinking.opening, thinking.closing, thinking.beside, held)

        async def use(llama: OpenAICompatibleProvider) -> tuple[Reply, Mapping[str, Any]]:
            return await llama.ask(question()), llama.parameters

        with ReasoningServer(VLLM, shown, chances={"Q": 0.5, "M": 0.5}) as server:
            reply, parameters = with_llama(server.url, use)
            (asked,) = server.asked
        assert reply.name in POOL
        assert reply.thoughts == THOUGHTS
        assert (parameters["constraint"], parameters["thinks"]) == (constraint, True)
        assert asked["max_tokens"] == parameters["max_tokens"] == MAX_TOKENS_THINKING

    def test_no_probabilities_are_asked_for_with_thoughts(self) -> None:
        """Those of two thousand tokens would be longer than a response may be."""
        with ReasoningServer(VLLM, IN_CONTENT[0]) as server:
            ask(server.url)
        roomy = [body for body in server.bodies if body["max_tokens"] > 128]
        assert roomy
        assert not any("logprobs" in body for body in roomy)

    def test_a_model_that_says_too_much_is_played_without_so_much_room(self) -> None:
        def rambles(choice: Body) -> None:
            if server.bodies[-1]["messages"][-1]["content"] != PROMPT.user:
                choice["finish_reason"] = "length"

        too_large = Fault("status", 400, content={"error": "max_tokens is too large"})
        for fault in (too_large, Fault("hang")):

            def short(body: Body, fault: Fault = fault) -> Fault | None:
                return fault if body["max_tokens"] > 500 else None

            with ChatServer(OLLAMA, alter=rambles, fault=short) as server:
                assert ask(server.url, timeout=1.0).name in POOL

    def test_max_tokens_are_as_given(self) -> None:
        with ReasoningServer(OLLAMA, IN_CONTENT[0]) as server:
            assert ask(server.url, max_tokens=5_000).usable
            assert {body["max_tokens"] for body in server.asked} == {5_000}

    def test_an_empty_thought_is_none(self) -> None:
        def alter(choice: Body) -> None:
            content = choice["message"]["content"]
            choice["message"]["content"] = f"<think>\n\n</think>\n\n{content}"

        async def use(llama: OpenAICompatibleProvider) -> tuple[Reply, Capabilities | None]:
            return await llama.ask(question()), llama.capabilities

        with ChatServer(OLLAMA, alter=alter) as server:
            reply, found = with_llama(server.url, use)
        assert found == Capabilities("schema", "none")
        assert reply.name in POOL
        assert reply.thoughts is None

    def test_content_in_parts_is_put_together(self) -> None:
        """As Mistral's models send it that think."""

        def alter(choice: Body) -> None:
            thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Q? Or M?"}]}
            text = {"type": "text", "text": choice["message"]["content"]}
            choice["message"]["content"] = [thought, text]

        with ChatServer(OLLAMA, alter=alter) as server:
            reply = ask(server.url)
        assert reply.name in POOL
        assert reply.thoughts == "Q? Or M?"


GEMMA = "System role not supported"
ROLES = "Conversation roles must alternate user/assistant/user/assistant/..."
WITHOUT_SYSTEM = [(400, GEMMA), (500, GEMMA), (422, ROLES), (400, "template error"), (500, "oops")]


class TestWithoutSystemRole:
    """The rules then precede the situation in the user's message, and that is on record."""

    @pytest.mark.parametrize("program", [OLLAMA, DEAF, VLLM])
    @pytest.mark.parametrize("refusal", WITHOUT_SYSTEM, ids=str)
    def test_it_is_played_with_one_message(
        self, program: Program, refusal: tuple[int, str]
    ) -> None:
        async def use(llama: OpenAICompatibleProvider) -> tuple[Reply, Mapping[str, Any]]:
            return await llama.ask(question()), llama.parameters

        refusing = Program(program.honours, program.listing, no_system=refusal)
        with ChatServer(refusing, {"Q": 0.5, "M": 0.5}) as server:
            reply, parameters = with_llama(server.url, use)
            last = server.asked[-1]
        assert reply.usable
        assert last["messages"] == [
            {"role": "user", "content": f"{PROMPT.system}\n\n{PROMPT.user}"}
        ]
        assert parameters["system"] == "in the user's message"
        assert "left_out" not in parameters
        assert last["top_p"] == parameters["top_p"] == 1.0

    def test_one_that_has_it_gets_it(self) -> None:
        async def use(llama: OpenAICompatibleProvider) -> Mapping[str, Any]:
            await llama.ask(question())
            return llama.parameters

        with ChatServer(OLLAMA) as server:
            assert "system" not in with_llama(server.url, use)
            assert server.asked[0]["messages"][0]["role"] == "system"


class TestFieldsThatAreRefused:
    """What a server refuses is left out, which is on record; nothing else is."""

    @pytest.mark.parametrize("status", [400, 422])
    @pytest.mark.parametrize(
        "lacks", [{"seed"}, {"top_p"}, {"seed", "top_p"}, {"temperature"}, {"max_tokens"}]
    )
    @pytest.mark.parametrize("named", [True, False])
    def test_they_are_left_out_and_recorded(
        self, lacks: set[str], status: int, named: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if not named:
            monkeypatch.setattr("chat_server.error", lambda _: {"error": {"message": "Bad input"}})

        async def use(llama: OpenAICompatibleProvider) -> tuple[Reply, Mapping[str, Any]]:
            return await llama.ask(question()), llama.parameters

        program = Program(frozenset({"response_format"}), unknown=status, lacks=frozenset(lacks))
        with ChatServer(program) as server:
            reply, parameters = with_llama(server.url, use)
            body = server.bodies[-1]
        assert reply.name in POOL
        assert set(parameters["left_out"]) == lacks
        assert not lacks & (set(body) | set(parameters))
        assert {"seed", "top_p", "temperature", "max_tokens"} - set(body) == lacks
        assert body["messages"][0]["role"] == "system"
        if "max_tokens" in lacks:
            assert body["max_completion_tokens"] == parameters["max_completion_tokens"] == 128

    def test_a_temperature_that_was_asked_for_is_not_left_out(self) -> None:
        program = Program(unknown=400, lacks=frozenset({"temperature"}))
        with ChatServer(program) as server, pytest.raises(MindError, match="takes none"):
            ask(server.url, temperature=0.5)

    @pytest.mark.parametrize("status", [400, 403, 404, 422])
    def test_probabilities_may_be_refused_by_any_status(self, status: int) -> None:
        """OpenAI's models that think answer 403 when they are asked for them."""

        def forbid(body: Body) -> Fault | None:
            no = {"error": {"message": "You are not allowed to request logprobs from this model."}}
            return Fault("status", status, content=no) if "logprobs" in body else None

        with ChatServer(OLLAMA, fault=forbid) as server:
            assert with_llama(server.url, capabilities_of) == Capabilities("schema", "none")

    @pytest.mark.parametrize("status", [400, 403, 404, 405, 422, 501])
    def test_the_list_of_models_may_be_too(self, status: int) -> None:
        """A key may be good for answers alone."""
        with ChatServer(OLLAMA) as server:
            server.listing_status = status
            assert ask(server.url).name in POOL

    def test_a_server_that_refuses_everything_is_an_error_with_its_words(self) -> None:
        with (
            ChatServer(DEAF, fault=lambda _: Fault("status", 400, content={"error": "No."})) as it,
            pytest.raises(CallError, match="No") as caught,
        ):
            with_llama(it.url, capabilities_of)
        assert (caught.value.kind, caught.value.status) == ("refused", 400)
        assert len(it.bodies) < 10
