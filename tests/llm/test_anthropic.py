"""Claude through the real SDK, against a server on this machine that speaks the Messages API."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from claude import (
    BETWEEN,
    PLAIN,
    POOL,
    QUESTION,
    THINKING,
    TIMEOUT,
    UNSTRUCTURED,
    ask,
    error_after,
    reply_to,
    with_claude,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages_api_rules import Answer, Model
from messages_server import Fault, MessagesServer

from mesa_llm_norms import NamingGame
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.anthropic import ASSUMED, AnthropicProvider, Capabilities, capabilities_of
from mesa_llm_norms.llm.prompt import name_schema
from mesa_llm_norms.llm.provider import Reply, Usage
from mesa_llm_norms.llm.settings import LLMSettings

pytestmark = pytest.mark.usefixtures("claude_environment")


# What is sent


@pytest.mark.parametrize(
    ("model", "sent", "recorded"),
    [
        (
            PLAIN,
            {"thinking": {"type": "disabled"}, "max_tokens": 128},
            {"thinking": "disabled", "format": "json_schema", "max_tokens": 128},
        ),
        (
            BETWEEN,
            {"thinking": {"type": "between_tools"}, "max_tokens": 128},
            {"thinking": "between_tools", "format": "json_schema", "max_tokens": 128},
        ),
        (
            THINKING,
            {"max_tokens": 2048},
            {"effort": "low", "format": "json_schema", "max_tokens": 2048},
        ),
        (
            UNSTRUCTURED,
            {"thinking": {"type": "disabled"}, "max_tokens": 128},
            {"thinking": "disabled", "max_tokens": 128},
        ),
    ],
)
def test_what_is_sent_follows_from_what_the_model_can_do_and_is_recorded(
    model: str, sent: dict[str, Any], recorded: dict[str, Any]
) -> None:
    async def use(claude: AnthropicProvider) -> tuple[Reply, Any, int]:
        return await claude.ask(QUESTION), claude.parameters, claude.max_tokens

    with MessagesServer() as server:
        reply, parameters, most = with_claude(server.url, use, model)
        (received,) = server.requests
        assert server.looked_up == [model]
    config: dict[str, Any] = {}
    if "effort" in recorded:
        config["effort"] = "low"
    if "format" in recorded:
        config["format"] = {"type": "json_schema", "schema": name_schema(POOL)}
    assert received.body == {
        "model": model,
        "system": "These are the rules.",
        "messages": [{"role": "user", "content": "Pick M or Q."}],
        **sent,
        **({"output_config": config} if config else {}),
    }
    assert received.headers["anthropic-version"] == parameters["api_version"] == "2026-10-21"
    assert parameters == {"model": model, "api_version": "2026-10-21", **recorded}
    assert json.loads(json.dumps(parameters)) == parameters
    assert most == parameters["max_tokens"]
    assert reply.name is not None
    assert reply.model == model


def test_the_schema_lists_the_pool_in_its_own_order_and_allows_nothing_else() -> None:
    """So that the server compiles it once, whatever order the prompts show."""
    with MessagesServer() as server:
        ask(server.url, question=QUESTION._replace(pool=("b", "a", "c")))
        schema = server.requests[0].body["output_config"]["format"]["schema"]
    assert schema["properties"] == {"name": {"type": "string", "enum": ["b", "a", "c"]}}
    assert schema["required"] == ["name"]
    assert schema["additionalProperties"] is False


def test_max_tokens_are_as_given() -> None:
    with MessagesServer() as server:
        ask(server.url, THINKING, max_tokens=4000)
        assert server.requests[0].body["max_tokens"] == 4000


def test_no_temperature_is_sent_unless_given() -> None:
    with MessagesServer() as server:
        ask(server.url)
        assert "temperature" not in server.requests[0].body


@pytest.mark.parametrize("temperature", [0, 0.5, 1.0])
def test_a_temperature_is_sent_by_the_version_that_takes_one(temperature: float) -> None:
    async def use(claude: AnthropicProvider) -> tuple[Reply, Any]:
        return await claude.ask(QUESTION), claude.parameters

    with MessagesServer() as server:
        reply, parameters = with_claude(server.url, use, temperature=temperature)
        (received,) = server.requests
    assert reply.usable
    assert received.body["temperature"] == parameters["temperature"] == temperature
    assert received.headers["anthropic-version"] == parameters["api_version"] == "2023-06-01"


def test_a_temperature_that_the_model_does_not_take_is_refused_with_what_to_do() -> None:
    with (
        MessagesServer() as server,
        pytest.raises(MindError, match=r"thinking-1 takes none\. Leave it out") as caught,
    ):
        ask(server.url, THINKING, temperature=0.5)
    assert caught.value.argument == "temperature"


def test_its_options_make_the_same_server_again() -> None:
    for options in (
        {},
        {"temperature": 0.5, "base_url": "http://127.0.0.1:9", "timeout": 9, "max_tokens": 64},
    ):
        claude = AnthropicProvider(PLAIN, **options)  # type: ignore[arg-type]
        assert json.loads(json.dumps(claude.options)) == claude.options
        again = AnthropicProvider(PLAIN, **claude.options)
        assert vars(again) == vars(claude)


@pytest.mark.parametrize("temperature", [-0.1, 1.1, float("nan")])
def test_a_temperature_out_of_range_is_refused_at_once(temperature: float) -> None:
    with pytest.raises(MindError, match="Use 0 to 1"):
        AnthropicProvider(PLAIN, temperature=temperature)


@pytest.mark.parametrize("options", [{"timeout": 0}, {"timeout": float("inf")}, {"max_tokens": 0}])
def test_other_numbers_out_of_range_are_refused_too(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        AnthropicProvider(PLAIN, **options)


@pytest.mark.parametrize("model", ["", "two words"])
def test_what_is_no_word_is_no_model(model: str) -> None:
    with pytest.raises(MindError, match="is not a model id"):
        AnthropicProvider(model)


# What comes back


@pytest.mark.parametrize("name", POOL)
@pytest.mark.parametrize("stop", ["end_turn", "stop_sequence", None])
def test_a_reply_that_ended_of_itself_is_read(name: str, stop: str) -> None:
    text = json.dumps({"name": name})
    reply = reply_to(Answer(text, stop))
    assert reply[:5] == (text, reply.usage, name, None, None)
    assert reply.stop == stop


@pytest.mark.parametrize(
    ("stop", "problem"),
    [
        ("refusal", "the model refused to answer"),
        ("max_tokens", "it was cut off at max_tokens"),
        (
            "model_context_window_exceeded",
            "it was cut off at the end of the model's context window",
        ),
        ("tool_use", "it called a tool, and there is none"),
        ("pause_turn", "it paused instead of ending"),
        ("a_new_reason", "it ended for an unknown reason: a_new_reason"),
    ],
)
def test_a_reply_that_ended_otherwise_is_unusable_whatever_it_says_and_is_paid_for(
    stop: str | None, problem: str
) -> None:
    reply = reply_to(Answer('{"name": "Q"}', stop, usage={"output_tokens": 9}))
    assert not reply.usable
    assert reply.problem == problem
    assert reply.text == '{"name": "Q"}'
    assert reply.usage.output_tokens == 9
    assert reply.stop == stop


@pytest.mark.parametrize("kind", ["empty", "refusal", "foreign", "max_tokens"])
def test_a_message_without_a_name_of_the_pool_is_an_unusable_reply(kind: str) -> None:
    with MessagesServer(faults=lambda *_: Fault(kind)) as server:
        reply = ask(server.url)
        assert len(server.answered) == 1
    assert not reply.usable
    assert reply.problem
    assert reply.usage.input_tokens > 0


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("Q", "it is not a name of the pool"),
        ('{"name": "q"}', "it is not a name of the pool"),
    ],
)
def test_a_reply_outside_the_schema_is_unusable_and_says_why(text: str, problem: str) -> None:
    reply = reply_to(Answer(text))
    assert not reply.usable
    assert (reply.text, reply.problem) == (text, problem)


@pytest.mark.parametrize(("text", "name"), [("Q", "Q"), (' "M".\n', "M"), ("I pick Q", None)])
def test_a_model_without_structured_output_is_read_in_words(text: str, name: str | None) -> None:
    reply = reply_to(Answer(text), UNSTRUCTURED)
    assert reply.name == name
    assert reply.usable == (name is not None)


def test_only_text_is_read_among_the_blocks_of_a_message() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": '{"name": "Q"}', "signature": ""},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": '{"na'},
        {"type": "tool_use", "id": "t", "name": "Q", "input": {"name": "Q"}},
        {"type": "a_new_kind", "text": "Q"},
        {"type": "text", "text": 'me": "M"}', "citations": None},
    ]
    reply = reply_to(Answer(content=blocks))
    assert reply.text == '{"name": "M"}'
    assert reply.name == "M"


def test_a_model_that_thinks_first_is_read_and_its_thinking_counted() -> None:
    with MessagesServer() as server:
        reply = ask(server.url, THINKING)
    assert reply.name in POOL
    assert reply.usage.thinking_tokens == 40
    assert reply.usage.output_tokens > 40


def test_usage_is_all_that_was_read_and_written_cached_or_not() -> None:
    usage = {
        "input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 3,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 45},
    }
    assert reply_to(Answer("{}", usage=usage)).usage == Usage(123, 50, 45, 3)


def test_usage_without_details_counts_no_cache_and_no_thinking() -> None:
    usage = dict.fromkeys(
        ("cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens_details")
    )
    reply = reply_to(Answer("{}", usage={**usage, "input_tokens": 4, "output_tokens": 5}))
    assert reply.usage == Usage(4, 5, 0, 0)


# What goes wrong


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, None, "refused"),
        (401, None, "denied"),
        (402, None, "denied"),
        (403, None, "denied"),
        (404, None, "denied"),
        (408, None, "failed"),
        (409, None, "failed"),
        (413, None, "refused"),
        (422, None, "refused"),
        (429, None, "rate limit"),
        (429, "ramp_limit_exceeded", "rate limit"),
        (429, "enforced_spend_limit_reached", "denied"),
        (500, None, "failed"),
        (503, None, "overloaded"),
        (504, None, "failed"),
        (529, None, "overloaded"),
        (300, None, "garbled"),
    ],
)
def test_every_status_is_an_error_of_its_kind_with_the_words_of_the_api(
    status: int, code: str | None, kind: str
) -> None:
    error = error_after(Fault("status", status, code=code, message="said\nthe \x1b[1mserver"))
    assert (error.kind, error.status) == (kind, status)
    assert error.provider == f"claude:{PLAIN}"
    assert error.problem == "said the server"


def test_an_account_without_money_is_told_by_what_the_api_says() -> None:
    error = error_after(Fault("status", 400, message="Your credit balance is too low."))
    assert error.kind == "denied"
    assert "credit balance is too low. Add money to the account" in str(error)


def test_an_overload_is_told_by_its_type_too() -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "later"}}
    error = error_after(Fault("status", 500, raw=json.dumps(body).encode()))
    assert (error.kind, error.problem) == ("overloaded", "later")


@pytest.mark.parametrize(
    "raw", [b"", b"<html>" + b"bad gateway" * 500, b'{"error": {"message": 3}}']
)
def test_an_error_that_is_not_the_api_s_is_told_by_its_status_alone(raw: bytes) -> None:
    error = error_after(Fault("status", 502, raw=raw))
    assert (error.kind, error.status) == ("failed", 502)
    assert error.problem == "no reason given"


def test_a_long_message_is_cut() -> None:
    assert len(error_after(Fault("status", message="x" * 5000)).problem) == 300


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_call_goes_to_another_place_than_the_one_on_record(status: int) -> None:
    with MessagesServer() as other:
        error = error_after(Fault("status", status, {"location": f"{other.url}/v1/messages"}))
        assert other.connections == 0
    assert (error.kind, error.status) == ("garbled", status)


@pytest.mark.parametrize(("kind", "expected"), [("reset", "connection"), ("cut", "connection")])
def test_a_broken_connection_is_one(kind: str, expected: str) -> None:
    error = error_after(Fault(kind))
    assert error.kind == expected
    assert error.status is None


def test_nobody_there_is_a_failed_connection() -> None:
    with socket.socket() as taken:  # bound but not listening
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(CallError) as caught:
            ask(f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert caught.value.kind == "connection"


@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_a_call_ends_after_its_time_even_if_a_little_keeps_coming(kind: str) -> None:
    error = error_after(Fault(kind), timeout=0.6)
    assert error.kind == "timeout"
    assert error.status is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{not JSON",
        b"[" * 100_000,
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"<html></html>",
        b'{"type": "message", "content": []}',
        b'{"type": "message", "content": "Q", "usage": {"input_tokens": 1, "output_tokens": 1}}',
        b'{"content": [], "stop_reason": "end_turn", "usage": {"output_tokens": 1}}',
        b'{"content": [], "stop_reason": [], "usage": {"input_tokens": 1, "output_tokens": 1}}',
        b'{"content": [{"type": "text"}], "usage": {"input_tokens": 1, "output_tokens": 1}}',
        b'{"content": [], "usage": {"input_tokens": -1, "output_tokens": 1}}',
        b'{"content": [], "usage": {"input_tokens": 1, "output_tokens": "many"}}',
    ],
)
@pytest.mark.parametrize("media", ["application/json", "text/html"])
def test_what_is_no_message_is_garbled(raw: bytes, media: str) -> None:
    with pytest.raises(CallError) as caught:
        reply_to(Answer(raw=raw, media=media))
    assert caught.value.kind == "garbled"
    assert caught.value.status == 200


def test_no_json_the_server_may_send_is_taken_for_more_than_it_is() -> None:
    """Bits of a message, and anything else in their places: a reply, or a garbled call."""
    anything = st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-2, 9)
        | st.text(max_size=3)
        | st.sampled_from(POOL),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["type", "text", "input_tokens"]), inner, max_size=3)
        ),
        max_leaves=5,
    )
    text = st.fixed_dictionaries({"type": st.just("text"), "text": anything})
    count = st.integers(0, 9) | anything
    usage = st.fixed_dictionaries({"input_tokens": count, "output_tokens": count})
    bodies = st.fixed_dictionaries(
        {},
        optional={
            "content": st.lists(text, max_size=2) | anything,
            "usage": usage | anything,
            "stop_reason": st.sampled_from(["end_turn", "max_tokens"]) | anything,
            "model": anything,
        },
    )

    def check(content: object) -> None:
        if isinstance(content, CallError):
            assert content.kind == "garbled"
            return
        assert isinstance(content, Reply)
        assert content.usable == (content.name in POOL) == (content.problem is None)
        assert isinstance(content.text, str)
        assert all(isinstance(count, int) for count in content.usage)
        assert isinstance(content.model, str | None)
        assert isinstance(content.stop, str | None)

    async def main(url: str, calls: int) -> list[object]:
        claude = AnthropicProvider(PLAIN, base_url=url, timeout=TIMEOUT)
        asked = [claude.ask(QUESTION) for _ in range(calls)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        await claude.close()
        return list(outcomes)

    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(bodies, min_size=1, max_size=8))
    def check_all(contents: list[Any]) -> None:
        waiting = iter([json.dumps(content).encode() for content in contents])
        with MessagesServer(answer=lambda _: Answer(raw=next(waiting))) as server:
            for outcome in asyncio.run(main(server.url, len(contents))):
                check(outcome)

    check_all()


@pytest.mark.parametrize("status", [429, 503, 529])
def test_an_error_carries_the_wait(status: int) -> None:
    assert error_after(Fault("status", status, {"retry-after": "3"})).retry_after == 3.0
    assert error_after(Fault("status", status)).retry_after is None


# What a model can do


def prepared(model: str = PLAIN, **serves: Any) -> Capabilities:
    async def use(claude: AnthropicProvider) -> Capabilities:
        return claude.capabilities

    with MessagesServer(**serves) as server:
        return with_claude(server.url, use, model)


@pytest.mark.parametrize(
    ("model", "abilities"),
    [
        (Model(), Capabilities(True, "disabled", None)),
        (Model(thinking=("disabled", "between_tools")), Capabilities(True, "disabled", None)),
        (Model(thinking=("between_tools",)), Capabilities(True, "between_tools", None)),
        (Model(thinking=("adaptive",), effort=("low", "high")), Capabilities(True, None, "low")),
        (Model(thinking=("adaptive",), effort=("high",)), Capabilities(True, None, None)),
        (Model(thinking=(), structured=False), Capabilities(False, None, None)),
        (Model(effort=("low",)), Capabilities(True, "disabled", None)),
        (Model(tells=False), ASSUMED),
    ],
)
def test_abilities_are_what_the_models_endpoint_says(model: Model, abilities: Capabilities) -> None:
    from anthropic.types import ModelInfo

    # As the SDK reads it: without a check, and without what is not there.
    assert capabilities_of(ModelInfo.construct(**model.info("x"))) == abilities
    assert prepared("x", models={"x": model}) == abilities


def test_a_model_that_does_not_exist_is_refused_with_what_to_do() -> None:
    with pytest.raises(MindError, match=r"has no such model\. Choose another"):
        prepared("claude-nobody-9")


def test_a_retired_model_is_refused_and_a_deprecated_one_is_not() -> None:
    with pytest.raises(MindError, match="retired"):
        prepared("x", models={"x": Model(lifecycle="retired")})
    assert prepared("x", models={"x": Model(lifecycle="deprecated")}) == (True, "disabled", None)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", 404, raw=b'{"detail": "Not Found"}'),
        Fault("status", 404, message="Not Found"),
        Fault("status", 404, raw=b'{"error": {"message": "no GET /v1/models/claude-test-1"}}'),
        Fault("status", 405, raw=b""),
        Fault("status", 501, raw=b""),
        Fault("status", 200, raw=b'{"id": "claude-test-1", "object": "model"}'),
    ],
)
def test_a_gateway_without_a_models_endpoint_is_asked_all_the_same(fault: Fault) -> None:
    with MessagesServer(lookup_fault=fault) as server:
        reply = ask(server.url)
        tried, received = server.requests
    assert reply.usable
    assert tried.body["max_tokens"] == 1
    assert received.body["max_tokens"] == 2048
    assert "thinking" not in received.body
    assert "effort" not in received.body["output_config"]
    assert "format" in received.body["output_config"]


GARBLED = [
    Fault("status", 200, raw=b"<html>a page for everything</html>"),
    Fault("status", 200, raw=b""),
]


@pytest.mark.parametrize("fault", GARBLED)
def test_what_is_no_answer_of_a_models_endpoint_says_nothing_if_it_comes_twice(
    fault: Fault,
) -> None:
    async def prepare_twice(url: str) -> Capabilities:
        claude = AnthropicProvider(PLAIN, base_url=url)
        with pytest.raises(CallError) as caught:
            await claude.prepare()
        assert caught.value.kind == "garbled"
        await claude.prepare()
        await claude.close()
        return claude.capabilities

    with MessagesServer(lookup_fault=fault) as server:
        assert asyncio.run(prepare_twice(server.url)) == ASSUMED


@pytest.mark.parametrize("fault", GARBLED)
def test_and_is_asked_for_again_by_a_run_so_that_nothing_has_to_be_assumed(
    fault: Fault,
) -> None:
    with MessagesServer(lookup_fault=lambda number: None if number else fault) as server:
        mind = AnthropicProvider(PLAIN, base_url=server.url).mind()
        llm = LLMSettings(wait=0.01)
        model = NamingGame("complete(n=2)", "QM", mind, rng=1, llm=llm)
        model.step()
        model.close()
        assert len(server.looked_up) == 2
        assert all(it.body["thinking"] == {"type": "disabled"} for it in server.requests)


def test_a_gateway_that_takes_no_schema_is_asked_without_one() -> None:
    def no_schema(_: int, body: Any) -> Fault | None:
        if "output_config" not in body:
            return None
        return Fault("status", 400, message="output_config: Extra inputs are not permitted")

    with MessagesServer(models={PLAIN: Model(tells=False)}, faults=no_schema) as server:

        async def both(claude: AnthropicProvider) -> tuple[Reply, Any]:
            return await claude.ask(QUESTION), claude.parameters

        reply, parameters = with_claude(server.url, both)
    assert reply.usable
    assert "format" not in parameters
    assert ["output_config" in it.body for it in server.requests] == [True, False, False]


def test_and_one_that_refuses_everything_says_why() -> None:
    refusal = Fault("status", 400, message="this key may ask for nothing")
    with (
        MessagesServer(models={PLAIN: Model(tells=False)}, faults=lambda *_: refusal) as server,
        pytest.raises(CallError, match="may ask for nothing"),
    ):
        ask(server.url)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("status", 401), "denied"),
        (Fault("status", 403), "denied"),
        (Fault("status", 500), "failed"),
        (Fault("status", 529), "overloaded"),
        (Fault("reset"), "connection"),
    ],
)
def test_a_models_endpoint_that_fails_is_an_error_of_its_kind(fault: Fault, kind: str) -> None:
    with pytest.raises(CallError) as caught:
        prepared(lookup_fault=fault)
    assert caught.value.kind == kind
