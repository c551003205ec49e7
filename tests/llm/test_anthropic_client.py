"""Keys, addresses and connections of the Claude provider; no secret is ever shown."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import pickle
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest
from claude import (
    KEY,
    PLAIN,
    QUESTION,
    TIMEOUT,
    ask,
    with_claude,
)
from messages_api_rules import choose
from messages_server import FAULTS, Fault, MessagesServer

from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.anthropic import AnthropicProvider
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import Reply

pytestmark = pytest.mark.usefixtures("claude_environment")


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


def test_credentials_in_files_are_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    (tmp_path / "configs").mkdir()
    with MessagesServer() as server:
        profile = {
            "version": "1.0",
            "base_url": server.url,
            "authentication": {"type": "user_oauth", "client_id": "x"},
        }
        for name in ("default", "mine"):
            (tmp_path / "configs" / f"{name}.json").write_text(json.dumps(profile))
        token = {"version": "1.0", "type": "oauth_token", "access_token": "from-a-file"}
        (tmp_path / "credentials").mkdir()
        (tmp_path / "credentials" / "mine.json").write_text(json.dumps(token))
        monkeypatch.setenv("ANTHROPIC_CONFIG_DIR", str(tmp_path))
        monkeypatch.setenv("ANTHROPIC_PROFILE", "mine")
        assert AnthropicProvider(PLAIN).place == "https://api.anthropic.com"
        with pytest.raises(MindError, match="Set ANTHROPIC_API_KEY"):
            ask(server.url)
        assert server.connections == 0


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
