"""The Llama provider through the real SDK, against servers on this machine of several manners."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import socket
import sys
import traceback
from collections.abc import Mapping
from typing import Any

import pytest
from chances import assert_frequencies
from chat_server import (
    DEAF,
    DEAF_LISTING,
    OLLAMA,
    OLLAMA_LISTING,
    VLLM,
    VLLM_PROCESSED,
    VLLM_UNMASKED,
    Body,
    ChatServer,
    Fault,
    Program,
)
from hypothesis import given
from hypothesis import strategies as st
from llama_calls import (
    KEY,
    POOL,
    PROMPT,
    TIMEOUT,
    ask,
    capabilities_of,
    game,
    question,
    with_llama,
)

from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.chat_completions import (
    MADE_UP,
    MAX_DOUBT,
    QUESTION,
    Capabilities,
)
from mesa_llm_norms.llm.chat_provider import TEST
from mesa_llm_norms.llm.openai_compatible import OpenAICompatibleProvider
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import Reply, Usage
from mesa_llm_norms.llm.retry import kind_of, redacted, retry_after

pytestmark = pytest.mark.usefixtures("llama_environment")


class TestModels:
    """The model is looked for among those the server lists, where it lists any."""

    def test_a_model_that_is_not_there_is_refused_with_those_that_are(self) -> None:
        with (
            ChatServer(VLLM, models=("one", "two")) as server,
            pytest.raises(MindError, match=r"no such model\. It has: one, two\."),
        ):
            with_llama(server.url, capabilities_of, model="three")
        assert not server.bodies

    def test_a_model_without_a_tag_is_the_latest(self) -> None:
        with ChatServer(OLLAMA, models=("m:latest", "m:70b")) as server:
            assert ask(server.url).name in POOL

    def test_a_server_that_lists_none_is_asked_all_the_same(self) -> None:
        with ChatServer(OLLAMA, models=None) as server:
            assert ask(server.url).name in POOL

    def test_a_server_that_has_none_says_so(self) -> None:
        with (
            ChatServer(OLLAMA, models=()) as server,
            pytest.raises(MindError, match="It has: none"),
        ):
            with_llama(server.url, capabilities_of)


class TestDistributions:
    """Where probabilities come back, a call gives that of each name."""

    @pytest.mark.parametrize("program", [VLLM, VLLM_UNMASKED, VLLM_PROCESSED, OLLAMA_LISTING])
    @pytest.mark.parametrize("temperature", [0.5, 1.0, 1.6])
    def test_they_are_what_the_server_samples_from(
        self, program: Program, temperature: float
    ) -> None:
        with ChatServer(program, {"Q": 0.6, "M": 0.35, "I": 0.05}) as server:
            reply = ask(server.url, temperature=temperature)
        powers = [0.6 ** (1 / temperature), 0.35 ** (1 / temperature)]
        expected = tuple(power / sum(powers) for power in powers)
        assert reply.distribution == pytest.approx(expected, abs=MAX_DOUBT)
        assert reply.name is None
        assert reply.usable

    def test_temperature_zero_is_the_likeliest_name_alone(self) -> None:
        with ChatServer(VLLM, {"Q": 0.3, "M": 0.4, "I": 0.3}) as server:
            assert ask(server.url, temperature=0).distribution == (0.0, 1.0)

    def test_they_follow_the_order_of_the_pool(self) -> None:
        with ChatServer(VLLM) as server:
            one, other = (ask(server.url, pool).distribution for pool in (POOL, POOL[::-1]))
        assert one is not None
        assert other is not None
        assert one == other[::-1]

    def test_tokens_of_one_name_are_added_up(self) -> None:
        with ChatServer(VLLM, {"App": 0.3, "Apple": 0.2, "Banana": 0.4, "B": 0.1}) as server:
            reply = ask(server.url, ("Apple", "Banana"), temperature=1.0)
        assert reply.distribution == pytest.approx((0.5, 0.5))

    def test_they_take_one_token_and_the_same_seed_always(self) -> None:
        with ChatServer(VLLM) as server:
            ask(server.url, seed=12345)
        assert [(body["seed"], body["max_tokens"]) for body in server.asked] == [(0, 1), (0, 1)]

    def test_space_before_a_name_does_not_count_where_nothing_holds_the_reply(self) -> None:
        with ChatServer(DEAF_LISTING, {"Q": 0.2, " Q": 0.3, "▁M": 0.4, "I": 0.1}) as server:
            reply = ask(server.url, temperature=1.0)
        assert reply.distribution == pytest.approx((5 / 9, 4 / 9))

    def test_a_pool_is_tested_once_by_a_question_of_its_own(self) -> None:
        async def twice(llama: OpenAICompatibleProvider) -> list[bool]:
            told = [llama.gives_distributions(POOL)]
            await asyncio.gather(*(llama.ask(question(seed=seed)) for seed in range(8)))
            return [*told, llama.gives_distributions(POOL)]

        with ChatServer(VLLM) as server:
            assert with_llama(server.url, twice) == [True, True]
        tests = [body for body in server.asked if body["messages"][0]["content"] == TEST]
        assert len(tests) == 1
        assert len(server.asked) == 9

    @pytest.mark.parametrize(
        ("program", "chances", "pool"),
        [
            pytest.param(VLLM, {"no": 0.9, "yes": 0.1}, ("north", "now"), id="shared token"),
            pytest.param(VLLM, {"A": 0.5, "AB": 0.5}, ("A", "AB"), id="one begins the other"),
            pytest.param(
                VLLM_UNMASKED,
                {f"w{n}": 1 / 40 for n in range(40)} | {"Q": 1e-4},
                POOL,
                id="names not listed",
            ),
            pytest.param(DEAF_LISTING, {"Ap": 0.5, "Q": 0.5}, ("Apple", "Q"), id="unsure to go on"),
            pytest.param(DEAF_LISTING, {" ": 0.5, "Q": 0.3, "M": 0.2}, POOL, id="space first"),
            pytest.param(
                DEAF_LISTING, {"I": 0.8, "Q": 0.1, "M": 0.1}, POOL, id="says other things"
            ),
        ],
    )
    def test_a_pool_in_doubt_is_played_by_sampled_replies(
        self, program: Program, chances: Mapping[str, float], pool: tuple[str, str]
    ) -> None:
        async def play(llama: OpenAICompatibleProvider) -> list[Reply]:
            replies = [await llama.ask(question(pool, seed)) for seed in range(20)]
            assert not llama.gives_distributions(pool)
            return replies

        with ChatServer(program, chances) as server:
            replies = with_llama(server.url, play, temperature=1.0)
        assert all(reply.distribution is None for reply in replies)
        assert {reply.name for reply in replies if reply.usable} <= set(pool)
        assert [body["seed"] for body in server.asked] == [0, *range(20)]
        assert not any("logprobs" in body for body in server.asked[1:])

    def test_a_prompt_in_doubt_is_asked_again_for_a_sampled_reply(self) -> None:
        """And so every time, whatever the seed; the other prompts give distributions."""
        unsure = Prompt("", "unsure")

        def alter(choice: Body) -> None:
            if server.bodies[-1]["messages"][-1]["content"] == "unsure" and "logprobs" in choice:
                rows = choice["logprobs"]["content"][0]["top_logprobs"]
                rows[:] = [{"token": f"w{n}", "logprob": math.log(0.04)} for n in range(20)]

        async def play(llama: OpenAICompatibleProvider) -> list[Reply]:
            prompts = [PROMPT, unsure, PROMPT, unsure]
            return [await llama.ask(question(POOL, 3, prompt)) for prompt in prompts]

        with ChatServer(VLLM, alter=alter) as server:
            replies = with_llama(server.url, play)
        assert [reply.distribution is None for reply in replies] == [False, True, False, True]
        assert replies[1].name == replies[3].name
        assert replies[1].usage == Usage(20, 4)
        assert [body["seed"] for body in server.asked] == [0, 0, 0, 3, 0, 0, 3]

    def test_the_first_reply_of_a_pool_counts_the_test_too(self) -> None:
        async def play(llama: OpenAICompatibleProvider) -> list[Usage]:
            return [(await llama.ask(question())).usage for _ in range(2)]

        with ChatServer(VLLM) as server:
            assert with_llama(server.url, play) == [Usage(20, 4), Usage(10, 2)]

    def test_thoughts_are_not_taken_for_a_choice(self) -> None:
        """Where the tokens that are listed come before the reply, they say nothing about it."""

        def think(choice: Body) -> None:
            if "logprobs" in choice:
                choice["logprobs"]["content"][0]["token"] = "<think>"
                choice["logprobs"]["content"][0]["bytes"] = list(b"<think>")

        with ChatServer(VLLM, alter=think) as server:
            assert ask(server.url).name in POOL

    def test_the_stand_in_samples_from_what_it_lists(self) -> None:
        with ChatServer(VLLM, {"Q": 0.6, "M": 0.3, "I": 0.1}) as server:

            async def play(llama: OpenAICompatibleProvider) -> list[str | None]:
                llama.capabilities = Capabilities("choice", "none")
                replies = [await llama.ask(question(seed=seed)) for seed in range(200)]
                return [reply.name for reply in replies]

            played = with_llama(server.url, play, temperature=1.0)
        assert_frequencies([played.count(name) for name in POOL], [2 / 3, 1 / 3])


class TestReplies:
    """What comes back is read as it is, and nothing is put in its place."""

    def reply_with(self, program: Program = DEAF, **choice: Any) -> Reply:
        def alter(whole: Body) -> None:
            whole.update(choice)

        with ChatServer(program, alter=alter) as server:
            return ask(server.url)

    @pytest.mark.parametrize(
        ("stop", "problem"),
        [
            ("length", "it was cut off at max_tokens"),
            ("content_filter", "the API's filter stopped it"),
            ("tool_calls", "it called a tool, and there is none"),
            ("function_call", "it called a function, and there is none"),
            ("tired", "it ended for an unknown reason: tired"),
        ],
    )
    def test_a_reply_that_did_not_end_of_itself_is_unusable(
        self, stop: str | None, problem: str
    ) -> None:
        reply = self.reply_with(finish_reason=stop, message={"content": "Q"})
        assert (reply.usable, reply.problem, reply.stop) == (False, problem, stop)
        assert reply.text == "Q"

    @pytest.mark.parametrize("stop", [None, "", "stop", "STOP", "eos", "end_turn"])
    def test_a_reply_that_ended_is_read_whatever_the_server_calls_that(
        self, stop: str | None
    ) -> None:
        assert self.reply_with(finish_reason=stop, message={"content": "Q"}).name == "Q"

    @pytest.mark.parametrize(
        ("message", "problem"),
        [
            ({"content": "I pick Q"}, "it is not a name of the pool"),
            ({"content": ""}, "it is empty"),
            ({"content": None}, "it is empty"),
            ({"content": "Q", "refusal": "I will not"}, "the model refused to answer"),
        ],
    )
    def test_a_reply_without_a_name_is_unusable(self, message: Body, problem: str) -> None:
        reply = self.reply_with(message=message)
        assert (reply.usable, reply.problem) == (False, problem)

    def test_a_filtered_reply_is_no_distribution(self) -> None:
        def alter(choice: Body) -> None:
            if server.bodies[-1]["messages"][-1]["content"] == PROMPT.user:
                choice["finish_reason"] = "content_filter"

        with ChatServer(VLLM, alter=alter) as server:
            assert not ask(server.url).usable

    def test_tokens_are_counted_as_the_server_does(self) -> None:
        usage = {
            "prompt_tokens": 100,
            "completion_tokens": 30,
            "completion_tokens_details": {"reasoning_tokens": 25},
            "prompt_tokens_details": {"cached_tokens": 80},
        }
        with ChatServer(OLLAMA, usage=usage) as server:
            assert ask(server.url).usage == Usage(100, 30, 25, 80)

    def test_details_may_be_missing(self) -> None:
        usage = {"prompt_tokens": 5, "completion_tokens_details": None}
        with ChatServer(OLLAMA, usage=usage) as server:
            assert ask(server.url).usage == Usage(5, 0, 0, 0)

    def test_it_says_which_model_answered(self) -> None:
        with ChatServer(OLLAMA) as server:
            reply = ask(server.url)
        assert (reply.model, reply.stop) == ("m", "stop")


class TestFailures:
    """Every failure is a CallError that says of what kind; nothing is sent twice."""

    def error_after(self, fault: Fault, **options: Any) -> CallError:
        with (
            ChatServer(OLLAMA, fault=game(fault)) as server,
            pytest.raises(CallError) as caught,
        ):
            ask(server.url, **options)
        assert len(server.asked) == 1, "sent again"
        return caught.value

    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "refused"),
            (401, "denied"),
            (402, "denied"),
            (403, "denied"),
            (404, "denied"),
            (408, "failed"),
            (413, "refused"),
            (422, "refused"),
            (429, "rate limit"),
            (500, "failed"),
            (502, "failed"),
            (503, "overloaded"),
            (504, "failed"),
            (529, "overloaded"),
        ],
    )
    def test_a_status_is_of_a_kind(self, status: int, kind: str) -> None:
        error = self.error_after(Fault("status", status, content={"error": {"message": "Why."}}))
        assert (error.kind, error.status, error.problem) == (kind, status, "Why.")

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ({"error": {"message": "as most say it"}}, "as most say it"),
            ({"object": "error", "message": "as vLLM said it"}, "as vLLM said it"),
            ({"detail": "as a framework says it"}, "as a framework says it"),
            ({"error": "in a word"}, "in a word"),
            ("<html>from\n a proxy</html>", "<html>from a proxy</html>"),
            ("", "Bad Request"),
        ],
    )
    def test_what_the_server_says_is_passed_on(self, content: Any, problem: str) -> None:
        assert self.error_after(Fault("status", 400, content=content)).problem == problem

    @pytest.mark.parametrize(
        ("headers", "seconds"),
        [
            ({"retry-after": "7"}, 7.0),
            ({"retry-after-ms": "1500"}, 1.5),
            (
                {
                    "Date": "Wed, 21 Oct 2026 07:28:00 GMT",
                    "retry-after": "Wed, 21 Oct 2026 07:28:30 GMT",
                },
                30.0,
            ),
            ({"retry-after": "-1"}, None),
            ({"retry-after": "soon"}, None),
            ({}, None),
        ],
    )
    def test_the_wait_a_server_asks_for_is_told(
        self, headers: Mapping[str, str], seconds: float | None
    ) -> None:
        assert retry_after({key.lower(): value for key, value in headers.items()}) == seconds

    def test_the_wait_comes_with_the_error(self) -> None:
        assert self.error_after(Fault("status", 429, {"retry-after": "9"})).retry_after == 9.0

    @pytest.mark.parametrize(
        "content",
        [
            "{not JSON",
            "[]",
            "{}",
            '{"choices": []}',
            '{"choices": [{}]}',
            '{"choices": [{"message": {"content": 7}}]}',
            '{"choices": [{"message": {"content": "Q"}, "finish_reason": 1}]}',
            '{"choices": [{"message": {"content": "Q"}}], "usage": {"prompt_tokens": -1}}',
            "[" * 100_000,
        ],
    )
    def test_what_is_not_the_protocol_is_garbled(self, content: str) -> None:
        error = self.error_after(Fault("raw", content=content))
        assert (error.kind, error.status) == ("garbled", 200)

    def test_a_page_in_place_of_a_reply_is_garbled(self) -> None:
        fault = Fault("raw", headers={"content-type": "text/html"}, content="<html></html>")
        assert self.error_after(fault).kind == "garbled"

    def test_a_reset_is_a_connection_error(self) -> None:
        assert self.error_after(Fault("reset")).kind == "connection"

    @pytest.mark.parametrize("kind", ["hang", "drip"])
    def test_the_timeout_is_that_of_the_whole_call(self, kind: Any) -> None:
        error = self.error_after(Fault(kind), timeout=0.5)
        assert error.kind == "timeout"
        assert "0.5 seconds" in error.problem

    def test_no_server_is_a_connection_error(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            with pytest.raises(CallError, match="connection"):
                ask(f"http://127.0.0.1:{free.getsockname()[1]}/v1")

    def test_a_cancelled_call_leaves_nothing_behind(self) -> None:
        async def cancel(llama: OpenAICompatibleProvider) -> Reply:
            task = asyncio.create_task(llama.ask(question(prompt=Prompt("", "hang"))))
            while not server.asked:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return await llama.ask(question())

        def hang(body: Body) -> Fault | None:
            return Fault("hang") if body["messages"][-1]["content"] == "hang" else None

        with ChatServer(OLLAMA, fault=hang) as server:
            assert with_llama(server.url, cancel).usable

    @given(st.integers(400, 599))
    def test_every_error_status_has_a_kind(self, status: int) -> None:
        assert kind_of(status) in {"rate limit", "overloaded", "failed", "refused", "denied"}


class TestSecrets:
    """A key comes from the environment and goes nowhere but to the server."""

    @pytest.mark.parametrize(
        ("keys", "sent"),
        [
            ({"LLAMA_API_KEY": KEY, "OPENAI_API_KEY": "another"}, KEY),
            ({"OPENAI_API_KEY": KEY}, "none"),
            ({"LLAMA_API_KEY": "", "OPENAI_API_KEY": KEY}, "none"),
            ({}, "none"),
        ],
    )
    def test_the_key_is_that_of_the_environment(
        self, keys: Mapping[str, str], sent: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for variable, key in keys.items():
            monkeypatch.setenv(variable, key)
        with ChatServer(OLLAMA) as server:
            ask(server.url)
        assert {headers["authorization"] for headers in server.headers} == {f"Bearer {sent}"}

    def test_no_error_or_repr_has_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LLAMA_API_KEY", KEY)
        said = {"error": {"message": f"the key {KEY} is wrong, and so is sk-{KEY}"}}

        async def use(llama: OpenAICompatibleProvider) -> str:
            await llama.ask(question(prompt=Prompt("", "first")))
            with pytest.raises(CallError) as caught:
                await llama.ask(question())
            told = "".join(traceback.format_exception(caught.value))
            return told + repr(llama) + repr(vars(llama)) + str(llama.parameters) + llama.label

        with ChatServer(OLLAMA, fault=game(Fault("status", 401, content=said))) as server:
            told = with_llama(server.url, use)
        assert "[secret]" in told
        assert KEY not in told

    def test_no_log_has_it(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setenv("LLAMA_API_KEY", KEY)
        with caplog.at_level(logging.DEBUG), ChatServer(OLLAMA) as server:
            ask(server.url)
        assert "chat/completions" in caplog.text
        assert KEY not in caplog.text

    def test_a_key_with_something_else_in_it_is_refused(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LLAMA_API_KEY", f"{KEY}\nX-Other: 1")
        with (
            ChatServer(OLLAMA) as server,
            pytest.raises(MindError, match="LLAMA_API_KEY contains more than a key") as caught,
        ):
            with_llama(server.url, capabilities_of)
        assert KEY not in str(caught.value)

    @pytest.mark.parametrize(
        "url",
        [
            f"http://user:{KEY}@127.0.0.1/v1",
            f"http://{KEY}@127.0.0.1/v1",
            f"http://127.0.0.1/v1?key={KEY}",
            f"http://127.0.0.1/v1#{KEY}",
            f"ftp://127.0.0.1/{KEY}",
            f"http://[::1/{KEY}",
            KEY,
            "",
        ],
    )
    def test_an_address_with_a_secret_or_none_is_refused_unseen(self, url: str) -> None:
        with pytest.raises(MindError) as caught:
            OpenAICompatibleProvider(url, "m")
        assert KEY not in str(caught.value)

    def test_messages_are_one_short_printable_line(self) -> None:
        assert redacted("a\x1b[31m\n\n" + "b" * 1000, ()) == ("a " + "b" * 1000)[:300]


class TestItself:
    """What a server says of itself."""

    def test_the_label_is_the_name_that_makes_it(self) -> None:
        llama = OpenAICompatibleProvider("http://127.0.0.1:8080/v1/", "m")
        assert llama.label == "llama:http://127.0.0.1:8080/v1#m"
        assert llama.place == "http://127.0.0.1:8080/v1"
        assert llama.free

    def test_the_options_make_the_same_again(self) -> None:
        llama = OpenAICompatibleProvider(
            "http://127.0.0.1:8080/v1", "m", temperature=0, max_tokens=5
        )
        again = OpenAICompatibleProvider(llama.place, llama.model, **llama.options)
        assert (again.options, again.parameters) == (llama.options, llama.parameters)

    @pytest.mark.parametrize(
        ("options", "argument"),
        [
            ({"model": ""}, "model"),
            ({"model": " m"}, "model"),
            ({"temperature": -1}, "temperature"),
            ({"temperature": math.nan}, "temperature"),
            ({"timeout": 0}, "timeout"),
            ({"timeout": math.inf}, "timeout"),
            ({"max_tokens": 0}, "max_tokens"),
        ],
    )
    def test_a_bad_argument_is_named(self, options: Mapping[str, Any], argument: str) -> None:
        arguments: dict[str, Any] = {"url": "http://127.0.0.1/v1", "model": "m", **options}
        with pytest.raises(ValueError, match=f"^{argument}: "):
            OpenAICompatibleProvider(**arguments)

    def test_it_wants_to_be_prepared(self) -> None:
        with pytest.raises(MindError, match="prepare"):
            asyncio.run(OpenAICompatibleProvider("http://127.0.0.1:1/v1", "m").ask(question()))

    def test_it_says_what_to_install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "openai", None)
        with pytest.raises(MindError, match=r'pip install "mesa-llm-norms\[llama\]"'):
            asyncio.run(OpenAICompatibleProvider("http://127.0.0.1:1/v1", "m").prepare())

    def test_it_opens_again_after_closing_and_on_another_loop(self) -> None:
        with ChatServer(OLLAMA) as server:
            llama = OpenAICompatibleProvider(server.url, "m", timeout=TIMEOUT)

            async def use(close: bool) -> Reply:
                await llama.prepare()
                reply = await llama.ask(question())
                if close:
                    await llama.close()
                return reply

            assert asyncio.run(use(close=True)) == asyncio.run(use(close=True))
        gc.collect()  # an open connection would be a ResourceWarning, and so an error

    def test_the_question_about_abilities_is_not_about_a_game(self) -> None:
        assert not any(name in QUESTION.system + QUESTION.user for name in MADE_UP)
