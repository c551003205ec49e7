"""Claude through the real SDK, against a server on this machine that speaks the Messages API."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import pickle
import socket
import ssl
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from messages_api_rules import Answer, Model, choose
from messages_server import FAULTS, Fault, MessagesServer

from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.anthropic import ASSUMED, AnthropicProvider, Capabilities, capabilities_of
from mesa_llm_norms.llm.prompt import Prompt, name_schema
from mesa_llm_norms.llm.provider import Question, Reply, Usage

KEY = "-".join(("sk", "ant", "api03", "not", "a", "key", "but", "it", "looks", "like", "one"))
PLAIN = "claude-test-1"
THINKING = "claude-test-thinking-1"
BETWEEN = "claude-test-between-1"
UNSTRUCTURED = "claude-test-plain-1"
POOL = ("Q", "M", "Zoë “the” 2nd")
QUESTION = Question(Prompt("These are the rules.", "Pick M or Q."), POOL, 7)
TIMEOUT = 20.0

Result = TypeVar("Result")

CERTIFICATES = ssl.create_default_context()


@pytest.fixture(autouse=True)
def certificates_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not used here, and reading them for every client takes longer than all else."""
    monkeypatch.setattr("httpcore2.default_ssl_context", lambda **_: CERTIFICATES)


@pytest.fixture(autouse=True)
def only_this_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the SDK find one credential, whatever this machine holds."""
    for variable in ("AUTH_TOKEN", "BASE_URL", "PROFILE", "CUSTOM_HEADERS", "CONFIG_DIR", "LOG"):
        monkeypatch.delenv(f"ANTHROPIC_{variable}", raising=False)
    for variable in ("HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


def with_claude(
    url: str,
    use: Callable[[AnthropicProvider], Awaitable[Result]],
    model: str = PLAIN,
    **options: Any,
) -> Result:
    async def main() -> Result:
        claude = AnthropicProvider(model, base_url=url, **{"timeout": TIMEOUT, **options})
        try:
            await claude.prepare()
            return await use(claude)
        finally:
            await claude.close()

    return asyncio.run(main())


def ask(url: str, model: str = PLAIN, question: Question = QUESTION, **options: Any) -> Reply:
    return with_claude(url, lambda claude: claude.ask(question), model, **options)


def reply_to(answer: Answer, model: str = PLAIN) -> Reply:
    with MessagesServer(answer=lambda _: answer) as server:
        return ask(server.url, model)


def error_after(fault: Fault, **options: Any) -> CallError:
    with MessagesServer(faults=lambda *_: fault) as server:
        with pytest.raises(CallError) as caught:
            ask(server.url, **options)
        assert len(server.requests) == 1, "a server does not repeat a call"
        assert server.answered == []
    return caught.value


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
@pytest.mark.parametrize("stop", ["end_turn", "stop_sequence"])
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
        ("model_context_window_exceeded", "it was cut off at the end of the model's context window"),
        ("tool_use", "it called a tool, and there is none"),
        ("pause_turn", "it paused instead of ending"),
        ("a_new_reason", "it ended for an unknown reason: a_new_reason"),
        (None, "it does not say why it ended"),
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
    assert error.problem == "said the [1mserver"


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
        Fault("status", 200, raw=b"<html>a page for everything</html>"),
        Fault("status", 200, raw=b'{"id": "claude-test-1", "object": "model"}'),
    ],
)
def test_a_gateway_without_a_models_endpoint_is_asked_all_the_same(fault: Fault) -> None:
    with MessagesServer(lookup_fault=fault) as server:
        reply = ask(server.url)
        (received,) = server.requests
    assert reply.usable
    assert received.body["max_tokens"] == 2048
    assert "thinking" not in received.body
    assert "effort" not in received.body["output_config"]
    assert "format" in received.body["output_config"]


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


# Keys


def test_without_a_key_nothing_is_called_and_the_variable_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with MessagesServer() as server:
        with pytest.raises(MindError, match="Set ANTHROPIC_API_KEY in the environment"):
            ask(server.url)
        assert server.connections == 0


def test_a_key_set_after_all_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")

    async def main(url: str) -> None:
        claude = AnthropicProvider(PLAIN, base_url=url, timeout=TIMEOUT)
        with pytest.raises(MindError):
            await claude.prepare()
        assert claude.parameters["model"] == PLAIN
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        await claude.prepare()
        await claude.close()

    with MessagesServer(key=KEY) as server:
        asyncio.run(main(server.url))


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
def test_a_key_is_taken_from_the_variables_of_the_sdk(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv(variable, "another-key")
    with MessagesServer(key="another-key") as server:
        assert ask(server.url).usable


def test_a_gateway_s_own_header_will_do_for_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "X-Api-Key: of the gateway")
    with MessagesServer(key="of the gateway") as server:
        assert ask(server.url).usable


@pytest.mark.parametrize("variable", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"])
@pytest.mark.parametrize("key", ["two words-here", f"{KEY}\n", "clé-clé-clé"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, variable: str, key: str
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv(variable, key)
    with MessagesServer() as server:
        with pytest.raises(MindError, match=variable) as caught:
            ask(server.url)
        assert server.connections == 0
    assert not any(part in told(caught.value) for part in key.split())


def test_a_profile_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    monkeypatch.setenv("ANTHROPIC_PROFILE", "nobody")
    with MessagesServer() as server, pytest.raises(MindError, match="credentials cannot be read"):
        ask(server.url)


def told(error: BaseException) -> str:
    """Everything an error tells anyone who prints it."""
    values = [repr(vars(error)), str(error), repr(error)]
    return "".join([*values, *traceback.format_exception(error)])


def echo(headers: dict[str, str]) -> Fault:
    """A server that repeats in its error what it was sent."""
    return Fault("status", 401, headers, message=f"no such key: {KEY} (Bearer {KEY})")


@pytest.mark.parametrize(
    "fault",
    [
        *(fault for fault in FAULTS if fault.kind != "hang"),
        echo({"retry-after": "1"}),
        Fault("status", 400, raw=f"<p>{KEY}</p>".encode()),
        Fault("status", 400, raw=json.dumps({"error": {"message": "x" * 280 + KEY}}).encode()),
    ],
)
def test_the_key_is_in_no_error_log_record_or_repr(
    fault: Fault, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("anthropic", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, name)

    async def use(claude: AnthropicProvider) -> list[str]:
        shown = [repr(claude), str(claude), repr(claude.parameters), claude.place, claude.label]
        shown += [repr(vars(claude)), repr(claude.options)]
        try:
            shown.append(repr(await claude.ask(QUESTION)))
        except CallError as error:
            shown += [told(error), repr(pickle.loads(pickle.dumps(error)))]
        return shown

    with MessagesServer(faults=lambda *_: fault) as server:
        shown = with_claude(server.url, use)
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "POST" in caplog.text, "the SDK does log its calls"
    assert not any(KEY[:12] in text for text in [*shown, caplog.text])


@pytest.mark.parametrize("variable", ["ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"])
def test_other_secrets_that_are_sent_are_cut_out_of_errors_too(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    secret = "swordfish-of-another-form"
    header = "Authorization: Basic " if variable.endswith("HEADERS") else ""
    monkeypatch.setenv(variable, header + secret)
    fault = Fault("status", 401, message=f"not welcome here: {secret}")
    with (
        MessagesServer(lookup_fault=fault) as server,
        pytest.raises(CallError, match=r"not welcome here: \[secret\]") as caught,
    ):
        ask(server.url)
    assert secret not in told(caught.value)


# Addresses


def test_the_place_is_the_address_given_that_of_the_environment_or_the_sdk_s_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from anthropic import AsyncAnthropic

    monkeypatch.delenv("ANTHROPIC_API_KEY")  # a place is known without
    assert (
        AnthropicProvider(PLAIN, base_url="http://127.0.0.1:9/api/").place
        == "http://127.0.0.1:9/api"
    )
    own = str(AsyncAnthropic(api_key="x").base_url).rstrip("/")
    assert AnthropicProvider(PLAIN).place == own
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:7")
    assert AnthropicProvider(PLAIN).place == "http://127.0.0.1:7"


@pytest.mark.parametrize(
    "address",
    [
        "http://me:swordfish@127.0.0.1:9",
        "http://swordfish@127.0.0.1:9",
        "http://127.0.0.1:9/?key=swordfish",
        "http://127.0.0.1:9/#swordfish",
        "ftp://swordfish",
        "swordfish",
        "http://swordfish:port",
        "http://[swordfish",
        "http://",
    ],
)
def test_an_address_that_holds_more_or_is_none_is_refused_without_showing_it(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    with pytest.raises(MindError, match="base_url") as caught:
        AnthropicProvider(PLAIN, base_url=address)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
    with pytest.raises(MindError) as caught_later:
        _ = AnthropicProvider(PLAIN).place
    for error in (caught.value, caught_later.value):
        assert "swordfish" not in f"{error} {vars(error)}"


def test_a_missing_package_is_named_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    claude = AnthropicProvider(PLAIN)  # for which it is not needed
    monkeypatch.setitem(sys.modules, "anthropic", None)
    for use in (claude.prepare(), claude.ask(QUESTION)):
        with pytest.raises(MindError, match="pip install 'anthropic"):
            asyncio.run(use)


# Connections


def test_one_connection_serves_call_after_call() -> None:
    async def use(claude: AnthropicProvider) -> None:
        for _ in range(5):
            await claude.ask(QUESTION)

    with MessagesServer() as server:
        with_claude(server.url, use)
        assert len(server.answered) == 5
        assert server.connections == 1


def test_calls_run_side_by_side_and_each_gets_its_own_reply() -> None:
    questions = [
        QUESTION._replace(prompt=Prompt("Rules.", f"Question {number}.")) for number in range(24)
    ]

    async def use(claude: AnthropicProvider) -> list[Reply]:
        return list(await asyncio.gather(*(claude.ask(question) for question in questions)))

    with MessagesServer(latency=lambda number, _: 0.2 - number / 150) as server:
        replies = with_claude(server.url, use)
        assert server.most_in_flight == 24
        assert server.in_flight == 0
        usual = {body["messages"][0]["content"]: choose(body, ()) for body in server.answered}
    assert [reply.text for reply in replies] == [
        usual[question.prompt.user].text for question in questions
    ]


def test_it_is_used_from_the_background_loop_and_once_closed_opens_again() -> None:
    with MessagesServer() as server:
        claude = AnthropicProvider(PLAIN, base_url=server.url, timeout=TIMEOUT)
        wait_for(claude.prepare())
        first = wait_for(claude.ask(QUESTION))
        wait_for(claude.close())
        wait_for(claude.close())
        assert wait_for(claude.ask(QUESTION)) == first
        wait_for(claude.close())
        assert server.connections == 2


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_another_event_loop_gets_connections_of_its_own() -> None:
    """As in a forked process, which must not write to the connections of its parent."""
    with MessagesServer() as server:
        claude = AnthropicProvider(PLAIN, base_url=server.url, timeout=TIMEOUT)
        first = asyncio.run(claude.ask(QUESTION))  # left open
        assert wait_for(claude.ask(QUESTION)) == first
        wait_for(claude.close())
        assert server.connections == 2
    gc.collect()


def test_a_cancelled_call_is_cancelled_on_the_way() -> None:
    async def use(claude: AnthropicProvider) -> None:
        call = asyncio.create_task(claude.ask(QUESTION))
        while not server.in_flight:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        async with asyncio.timeout(TIMEOUT):
            while server.in_flight:
                await asyncio.sleep(0.01)

    with MessagesServer(faults=lambda *_: Fault("hang")) as server:
        with_claude(server.url, use)
        assert len(server.requests) == 1
        assert server.answered == []


def test_nothing_is_traced_whatever_the_application_does() -> None:
    async def use(claude: AnthropicProvider) -> Any:
        assert claude._client is not None
        return claude._client.open_telemetry

    with MessagesServer() as server:
        assert with_claude(server.url, use)["traces"]["enabled"] is False
