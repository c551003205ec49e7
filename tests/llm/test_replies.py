"""Replies of any form: read after the thoughts, quoted in errors, bounded, and without keys."""

from __future__ import annotations

import base64
import gzip
import json
import re
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from chat_server import DEAF, OLLAMA, Body, ChatServer, Fault
from claude import POOL as CLAUDE_POOL
from claude import THINKING, reply_to
from hypothesis import given
from hypothesis import strategies as st
from llama_calls import KEY, POOL, PROMPT, ask, capabilities_of, game, with_llama
from messages_api_rules import Answer
from reasoning_server import IN_CONTENT

from mesa_llm_norms import NamingGame
from mesa_llm_norms.core.limits import RECORDED, RESPONSE
from mesa_llm_norms.errors import CallError, DecisionError, MindError
from mesa_llm_norms.llm.addresses import Key
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.prompt import read_plain
from mesa_llm_norms.llm.provider import Provider, Question, Reply, Usage, live_mind
from mesa_llm_norms.llm.replies import (
    error_in,
    kept,
    misread,
    read_count,
    read_name,
    split_thoughts,
)
from mesa_llm_norms.llm.retry import MAX_MESSAGE, RetryPolicy, redacted, without_secrets
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.testing import FakeProvider

pytestmark = pytest.mark.usefixtures("llama_environment", "claude_environment")


# Thoughts

PLAIN_TEXT = st.text("QM abc.\n", max_size=12)


@given(st.sampled_from(IN_CONTENT), st.lists(PLAIN_TEXT, min_size=1, max_size=3), PLAIN_TEXT)
def test_the_answer_is_what_follows_the_last_closing_mark(
    thinking: Any, thoughts: list[str], answer: str
) -> None:
    text = "".join(f"{thinking.opening}{thought}{thinking.closing}" for thought in thoughts)
    found = split_thoughts(text + answer)
    assert found.answer == answer.strip()
    assert all(thought.strip() in found.thoughts for thought in thoughts)


@given(st.text() | PLAIN_TEXT)
def test_a_text_without_marks_is_all_answer(text: str) -> None:
    if not any(mark in text for mark in "<[◁"):
        assert split_thoughts(text) == ("", text.strip())


@given(st.sampled_from(IN_CONTENT[2:9]), PLAIN_TEXT)
def test_no_name_is_read_from_thoughts_that_do_not_end(thinking: Any, thought: str) -> None:
    for stop in ("stop", "length", None):
        text = f"{thinking.opening}{thought}\nQ"
        found = read_name(text, stop, lambda text: read_plain(text, POOL))
        assert found.name is None
        assert found.problem is not None
        assert found.problem.startswith("it thought and wrote nothing")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>M</think>\n<answer>Q</answer>", "Q"),
        ("<think>M</think>Q<|im_end|>", "Q"),
        ("<think>say </think> at the end</think> Q", "Q"),
        ("<seed:think>M</seed:think>Q", "Q"),
        (
            "<|channel|>analysis<|message|>M<|end|><|start|>assistant<|channel|>final"
            ' <|constrain|>json<|message|>{"name": "Q"}<|return|>',
            '{"name": "Q"}',
        ),
        ("<|channel|>final<|message|>Q", "Q"),
        ("<think>M</think><|begin_of_box|>Q<|end_of_box|>", "Q"),
        ("<think>M</think>", ""),
        ("Q<think>", None),
    ],
)
def test_marks_around_an_answer_are_no_part_of_it(text: str, answer: str | None) -> None:
    assert split_thoughts(text).answer == answer


UNITS = ("<think>", "</think>", "assistantfinal", "<|end|>", " ", "<answer>", "<|channel|>final",
         "eyJ-", "\x1b]", "\x9d", "sk-", "a<")  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_no_text_takes_long_to_read(unit: str) -> None:
    """In time that grew with the square of its length, this test would not end."""
    text = "analysis" + unit * (1_000_000 // len(unit))
    assert read_name(text, "stop", lambda text: read_plain(text, POOL)).name is None
    assert len(kept(text)) <= RECORDED.high
    assert len(redacted(text, ())) <= MAX_MESSAGE


# What a server says that is no reply


def openrouter(code: Any, message: str = "Provider returned error") -> Body:
    raw = {"raw": "upstream says: slow down", "provider_name": "Some"}
    return {"error": {"code": code, "message": message, "metadata": raw}, "user_id": "u"}


@pytest.mark.parametrize(
    ("content", "kind", "status", "words"),
    [
        (openrouter(429), "rate limit", 429, "upstream says: slow down"),
        (openrouter(402, "Insufficient credits"), "denied", 402, "Insufficient credits"),
        (openrouter("502", "Bad gateway"), "failed", 502, "Bad gateway"),
        ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, "overloaded", 529,
         "Overloaded"),
        ({"choices": [{"error": {"code": 503, "message": "gone"}, "message": {"content": "Q"},
                       "finish_reason": "error"}]}, "overloaded", 503, "gone"),
        ({"object": "error", "message": "too long", "code": 400}, "refused", 400, "too long"),
        ({"error": "model is loading"}, "overloaded", 503, "model is loading"),
        ({"error": {"code": "invalid_api_key", "message": "wrong"}}, "denied", 401, "wrong"),
        ({"error": {"type": "insufficient_quota", "message": "none left"}}, "denied", None,
         "none left"),
        ({"error": {"message": "who knows"}}, "failed", None, "who knows"),
        ({"errors": [{"code": 7003, "message": "no route"}]}, "failed", None, "no route"),
        ({"detail": "not now"}, "failed", None, "not now"),
        ([{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota"}}],
         "rate limit", 429, "quota"),
    ],
)  # fmt: skip
def test_an_error_inside_a_200_is_one_with_the_words_of_the_server(
    content: Any, kind: str, status: int | None, words: str
) -> None:
    with (
        ChatServer(OLLAMA, fault=game(Fault("raw", content=json.dumps(content)))) as server,
        pytest.raises(CallError) as caught,
    ):
        ask(server.url)
    error = caught.value
    assert (error.kind, error.status) == (kind, status)
    assert words in error.problem


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (401, "key"),
        (402, "credit"),
        (404, "address and the model's name"),
        (429, "fewer calls"),
    ],
)
def test_the_remedy_follows_from_the_cause(code: int, remedy: str) -> None:
    """Whether it is the status of the response or stands inside a 200."""
    inside = Fault("raw", content=json.dumps(openrouter(code, "No")))
    for fault in (Fault("status", code, content={"error": "No"}), inside):
        with ChatServer(DEAF, fault=game(fault)) as server, pytest.raises(CallError) as caught:
            ask(server.url)
        assert remedy in str(caught.value)


@pytest.mark.parametrize(
    ("type_", "kind"),
    [
        ("overloaded_error", "overloaded"),
        ("rate_limit_error", "rate limit"),
        ("api_error", "failed"),
        ("authentication_error", "denied"),
    ],
)
def test_an_error_inside_a_200_is_one_of_claude_too(type_: str, kind: str) -> None:
    body = {"type": "error", "error": {"type": type_, "message": "in its words"}}
    with pytest.raises(CallError) as caught:
        reply_to(Answer(raw=json.dumps(body).encode()))
    assert (caught.value.kind, caught.value.problem) == (kind, "in its words")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["error", "errors", "code", "message", "choices", "type", "metadata", "raw"]
                ),
                inner,
                max_size=3,
            )
        ),
    )
)
def test_an_error_is_looked_for_in_anything(content: Any) -> None:
    found = error_in(content)
    assert found is None or (isinstance(found[0], str) and (found[1] is None or found[1] >= 400))


def test_a_reply_with_an_empty_error_is_a_reply() -> None:
    empties: tuple[Any, ...] = (None, "", {}, [])
    for empty in empties:
        content = {"choices": [{"message": {"content": "Q"}}], "error": empty}
        assert error_in(content) is None


@pytest.mark.parametrize(
    "content", ["<html>\x1b[31mfrom a proxy</html>", '{"ok": true}', "[1, 2]", "data: {}\n\n"]
)
def test_what_is_no_reply_is_quoted(content: str) -> None:
    with (
        ChatServer(DEAF, fault=game(Fault("raw", content=content))) as server,
        pytest.raises(CallError) as caught,
    ):
        ask(server.url)
    assert caught.value.kind == "garbled"
    assert " ".join(content.replace("\x1b[31m", "").split()) in caught.value.problem


@pytest.mark.parametrize(
    "listing",
    [
        [{"id": "m"}, {"id": "other"}],
        {"data": [{"id": "m"}]},
        {"models": [{"name": "m"}]},
        {"models": [{"model": "m:latest"}]},
        {"object": "list", "data": [{"id": "models/m"}]},
        ["m", "other"],
        {"data": [{"id": "dated", "aliases": ["m"]}]},
        {"data": {"something": "else"}},
        {"data": [{"size": 3}]},
        {"data": [{"id": "another"}], "has_more": True},
        {},
        7,
    ],
)
def test_a_list_of_models_may_have_any_form(listing: Any) -> None:
    with ChatServer(OLLAMA) as server:
        server.listing = listing
        assert ask(server.url).name in POOL


@pytest.mark.parametrize("listing", [[{"id": "n"}], {"models": [{"name": "n"}]}, ["n"]])
def test_one_without_the_model_says_what_there_is(listing: Any) -> None:
    with ChatServer(OLLAMA) as server:
        server.listing = listing
        with pytest.raises(MindError, match=r"It has: n\."):
            with_llama(server.url, capabilities_of)


# Numbers that are none


@pytest.mark.parametrize("count", [2**63, 2**200, -1, 1.5, True, "9", [], 1e30])
def test_a_number_of_tokens_that_cannot_be_is_quoted(count: Any) -> None:
    for usage in ({"prompt_tokens": count}, {"prompt_tokens": 1, "completion_tokens": count}):
        with ChatServer(DEAF) as server:

            def spoil(_: Body, server: ChatServer = server, usage: Body = usage) -> None:
                server.usage = usage

            server.alter = spoil
            with pytest.raises(CallError, match="not a number of tokens") as caught:
                ask(server.url)
        assert caught.value.kind == "garbled"


def test_nor_does_one_from_a_provider_of_your_own_reach_the_journal(tmp_path: Path) -> None:
    provider = FakeProvider(lambda *_: Reply("Q", Usage(2**63), name="Q"))
    with pytest.raises(CallError, match="input_tokens is 9223372036854775808, not a number"):
        play(provider, folder=tmp_path / "run")


@pytest.mark.parametrize(
    "reply",
    [
        Reply("I say Z", Usage(), name="Z"),
        Reply("I say Z", Usage(), distribution=(0.5, 0.3, 0.2)),
        Reply("I say Z", Usage(), distribution=(0.5, float("nan"))),
        Reply("I say Z", Usage(), distribution=(1.5, -0.5)),
        Reply("I say Z", Usage(), distribution=(0.2, 0.3)),
        Reply("I say Z", Usage(), distribution=("Q", "M")),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_a_choice_is_an_unusable_reply(reply: Reply, tmp_path: Path) -> None:
    """Of a provider of your own; so nothing comes of it, now or when the run is resumed."""
    with pytest.raises(DecisionError, match='it says "I say Z"'):
        play(FakeProvider(lambda *_: reply), tmp_path / "run")
    with Journal.read(tmp_path / "run" / JOURNAL) as journal:
        assert journal.decision(0, 0, 0) is None
        assert journal.attempts_of(0, 0)[0].outcome == "unusable"


@pytest.mark.parametrize(
    "answer",
    [
        Reply(7, Usage(), name="Q"),  # type: ignore[arg-type]
        Reply("Q", None, name="Q"),  # type: ignore[arg-type]
        Reply("Q", Usage(), name="Q", model=b"bytes"),  # type: ignore[arg-type]
    ],
)
def test_what_is_not_a_reply_is_garbled(answer: Reply) -> None:
    with pytest.raises(CallError, match="the reply cannot be used"):
        play(FakeProvider(lambda *_: answer), wait_at_most=0.01)


def test_thoughts_counted_apart_are_among_the_tokens_written() -> None:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 2,
        "completion_tokens_details": {"reasoning_tokens": 100},
    }
    with ChatServer(OLLAMA, usage=usage) as server:
        assert ask(server.url).usage == Usage(9, 102, 100, 0)


# Claude's thoughts


def test_thoughts_of_claude_are_kept_and_never_read() -> None:
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": '{"name": "Q"}', "signature": ""},
        {"type": "text", "text": '{"name": "M"}'},
    ]
    reply = reply_to(Answer(content=blocks), THINKING)
    assert (reply.name, reply.thoughts) == ("M", 'Hm.\n{"name": "Q"}')
    assert reply.name in CLAUDE_POOL


def test_a_thought_of_claude_that_leaves_no_room_says_what_to_raise() -> None:
    blocks: list[dict[str, Any]] = [{"type": "thinking", "thinking": "Hm", "signature": ""}]
    reply = reply_to(Answer(content=blocks, stop="max_tokens"), THINKING)
    assert reply.problem == "it thought and wrote nothing: raise --max-tokens"


# Bounds


def played_with(fault: Fault, folder: Path) -> tuple[CallError, int]:
    """Return how a run ends that always gets this, and the most memory it took."""
    with ChatServer(DEAF, fault=game_only(fault)) as server:
        mind = live_mind(f"llama:{server.url}#m")
        tracemalloc.start()
        try:
            with pytest.raises(CallError) as caught:
                play(mind.provider, folder=folder)
            return caught.value, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def game_only(fault: Fault) -> Callable[[Body], Fault | None]:
    return lambda body: fault if "Pick a name" in body["messages"][-1]["content"] else None


def play(provider: Provider, folder: Path | None = None, **settings: Any) -> None:
    finish(begun(provider, folder, **settings))


def begun(provider: Provider, folder: Path | None = None, **settings: Any) -> NamingGame:
    llm = LLMSettings(**{"folder": folder, "wait": 0.0, "retries": 2, "ask_again": 0, **settings})
    return NamingGame("ring(n=4)", "QM", provider.mind(), rng=1, llm=llm)


def resumed(provider: Provider, folder: Path) -> NamingGame:
    return NamingGame.resume(folder, LLMSettings(ask_again=0), mind=provider.mind())


def finish(model: NamingGame) -> None:
    try:
        model.run(rounds=1, until=None)
    finally:
        model.close()


def answer_of(size: int) -> bytes:
    text = '{"choices": [{"message": {"content": "' + "M" * size + '"}, "finish_reason": "stop"}]}'
    return text.encode()


@pytest.mark.parametrize("encoding", [None, "gzip", "gzip, gzip"])
def test_a_response_of_any_length_is_cut_off_while_it_is_read(
    tmp_path: Path, encoding: str | None
) -> None:
    """It fits into memory, whatever it unpacks to, and little of it is on record, once."""
    packed = answer_of(120_000_000 if encoding else 30_000_000)
    for _ in encoding.split(", ") if encoding else ():
        packed = gzip.compress(packed, 1)
    headers = {"content-encoding": encoding} if encoding else {}
    error, memory = played_with(Fault("raw", headers=headers, content=packed), tmp_path / "run")
    assert error.kind == "garbled"
    assert f"longer than {RESPONSE.high:,} bytes" in error.problem
    assert "MMMMMM" in error.problem
    assert memory < 100_000_000
    with Journal.read(tmp_path / "run" / JOURNAL) as journal:
        calls = [one for n in range(9) for one in journal.attempts_of(0, n)]
    assert {call.outcome for call in calls} <= {"failed", "abandoned"}
    (text,) = [call.reply for call in calls if call.reply is not None]
    assert len(text) <= RECORDED.high
    size = f"{len(packed):,}" if encoding is None else f"more than {RESPONSE.high:,}"
    assert text.endswith(f"M\n[cut here: {size} bytes in all]")
    assert "(more of it is in" in error.problem


@pytest.mark.parametrize(("status", "kind"), [(200, "garbled"), (500, "garbled")])
def test_a_response_without_an_end_is_cut_off_too(status: int, kind: str) -> None:
    with (
        ChatServer(DEAF, fault=game(Fault("endless", status))) as server,
        pytest.raises(CallError, match="longer than") as caught,
    ):
        ask(server.url)
    assert (caught.value.kind, caught.value.status) == (kind, status)


def test_a_response_of_claude_is_cut_off_too() -> None:
    with pytest.raises(CallError, match="longer than") as caught:
        reply_to(Answer("M" * (RESPONSE.high + 1)))
    assert caught.value.kind == "garbled"


def test_a_compressed_response_is_read() -> None:
    for encoding, pack in (("gzip", gzip.compress), ("deflate", zlib.compress)):
        fault = Fault("raw", headers={"content-encoding": encoding}, content=pack(answer_of(1)))
        with ChatServer(DEAF, fault=game(fault)) as server:
            assert ask(server.url).name == "M"
            assert server.headers[0]["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("charset", ["zlib", "base64", "utf-7", "nonsense", "idna", ""])
def test_a_charset_that_gives_no_text_is_passed_over(charset: str) -> None:
    """Python knows some that make bytes of bytes, even unpack them."""
    headers = {"content-type": f"application/json; charset={charset}"}
    fault = Fault("raw", headers=headers, content=answer_of(1))
    with ChatServer(DEAF, fault=game(fault)) as server:
        assert ask(server.url).name == "M"
    fault = Fault("status", 500, headers=headers, content="said in vain")
    with ChatServer(DEAF, fault=game(fault)) as server, pytest.raises(CallError) as caught:
        ask(server.url)
    assert caught.value.problem == "said in vain"


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip"])
def test_a_response_that_cannot_be_unpacked_is_garbled(encoding: str) -> None:
    fault = Fault("raw", headers={"content-encoding": encoding}, content=answer_of(1))
    with ChatServer(DEAF, fault=game(fault)) as server, pytest.raises(CallError) as caught:
        ask(server.url)
    assert caught.value.kind == "garbled"
    assert "compressed" in caught.value.problem


@given(st.integers(RECORDED.high - 5, 3 * RECORDED.high))
def test_what_was_cut_is_not_cut_again(length: int) -> None:
    once = kept("x" * length)
    assert kept(once) == once
    assert len(once) <= RECORDED.high


def test_a_long_text_is_recorded_as_far_as_its_limit(tmp_path: Path) -> None:
    provider = FakeProvider(
        lambda *_: Reply("x" * 5_000_000, Usage(), problem="no", thoughts="y" * 1_000_000)
    )
    with pytest.raises(DecisionError, match=r"5,000,000|32,"):
        play(provider, folder=tmp_path / "run")
    with Journal.read(tmp_path / "run" / JOURNAL) as journal:
        (first, *_) = [one for n in range(4) for one in journal.attempts_of(0, n)]
    assert first.reply is not None
    assert first.reply.endswith("[cut here: 5,000,000 characters in all]")
    assert first.thoughts is not None
    assert first.thoughts.endswith("[cut here: 1,000,000 characters in all]")
    assert (tmp_path / "run" / JOURNAL).stat().st_size < 2_000_000


# Errors that quote


def test_an_unusable_reply_is_quoted_with_where_the_whole_of_it_is(tmp_path: Path) -> None:
    said = "I would\nrather \x1b[1mnot. " + "Because. " * 100
    provider = FakeProvider(lambda *_: said)
    for start in (begun, resumed):
        with pytest.raises(DecisionError) as caught:
            finish(start(provider, tmp_path / "run"))
        message = str(caught.value)
        assert "it is not a name of the pool" in message
        assert redacted(said, ())[:MAX_MESSAGE] in message
        assert str(tmp_path / "run" / JOURNAL) in message
        assert len(message) < 1_000
        assert message.isprintable()


def test_a_thought_is_quoted_where_there_is_nothing_else() -> None:
    provider = FakeProvider(lambda *_: Reply("", Usage(), problem="no", thoughts="Q, or M?"))
    with pytest.raises(DecisionError, match='its thoughts: "Q, or M\\?"'):
        play(provider)


# The model that answers


def renamed_after(first: int) -> FakeProvider:
    """Return a provider behind which another model answers after so many replies."""

    def answer(question: Question, _: int) -> Reply:
        model = "old" if len(provider.asked) <= first else f"new {len(provider.asked)}"
        return Reply(question.pool[0], Usage(), name=question.pool[0], model=model)

    provider = FakeProvider(answer)
    return provider


def test_another_model_than_in_the_beginning_is_noted_once_and_on_record(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play(renamed_after(5), tmp_path / "run")
    (record,) = caplog.records
    assert re.fullmatch(
        r"fake:model: new \d answers now, and old did in the beginning", record.getMessage()
    )
    with Journal.read(tmp_path / "run" / JOURNAL) as journal:
        calls = [one for number in range(4) for one in journal.attempts_of(0, number)]
    assert [call.model for call in calls].count("old") == 5


def test_so_it_is_where_the_model_changed_before_the_run_was_resumed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    play(renamed_after(99), tmp_path / "run")
    assert not caplog.records
    model = resumed(renamed_after(0), tmp_path / "run")
    try:
        model.run(rounds=2, until=None)
    finally:
        model.close()
    (record,) = caplog.records
    assert "old did in the beginning" in record.getMessage()


# Keys


def echoes(key: str) -> list[str]:
    return [
        key,
        f"Bearer {key}",
        quote(key, ""),
        json.dumps(key),
        f"\x1b[1m{key}\x1b[0m",
        f"before\n{key}\nafter " * 50,
        "x" * (MAX_MESSAGE - 10) + key,
        "x" * (RECORDED.high - 10) + key,
    ]


SECRETS = ("LLAMA_API_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN",
           "MY_PLUGIN_KEY", "SOME_TOKEN")  # fmt: skip


@pytest.mark.parametrize(
    ("variable", "place"),
    [(SECRETS[0], place) for place in range(8)] + [(variable, 0) for variable in SECRETS[1:]],
)
def test_a_key_that_is_echoed_is_neither_recorded_nor_shown(
    variable: str, place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any part of a reply or an error, of any provider."""
    key = base64.b64encode(b"a key/that+nobody may ever see").decode()
    monkeypatch.setenv(variable, key)
    text = echoes(key)[place]
    problems = []
    for number, answer in enumerate(
        [
            Reply(text, Usage(), problem=text, model=text, stop=text, thoughts=text),
            CallError("fake:model", "failed", text, 500, said=text),
        ]
    ):
        with pytest.raises((DecisionError, CallError)) as caught:
            play(FakeProvider(lambda *_, it=answer: it), folder=tmp_path / str(number), retries=0)
        problems.append(str(caught.value))
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for trace in (key, quote(key, ""), key[:12]):
        assert trace.encode() not in stored
        assert not any(trace in problem for problem in problems)


def test_so_is_one_that_only_its_provider_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_WAY_IN", "open sesame and more")
    provider = FakeProvider(lambda *_: "you said open sesame and more to me")
    provider.keys = (Key("MY_WAY_IN", "MY_ADDRESS", "here"),)
    with pytest.raises(DecisionError, match=r"you said \[secret\] to me"):
        play(provider, tmp_path / "run")
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sesame and more" not in stored


def test_one_in_the_reason_why_a_reply_ended_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Of a real server, through the real SDK."""
    monkeypatch.setenv("LLAMA_API_KEY", KEY)

    def alter(choice: Body) -> None:
        if server.bodies[-1]["messages"][-1]["content"] != PROMPT.user:
            choice["finish_reason"] = f"because of {KEY}"
            choice["message"]["content"] = f"Q, said {KEY}"

    with ChatServer(DEAF, alter=alter) as server, pytest.raises(DecisionError) as caught:
        play(live_mind(f"llama:{server.url}#m").provider, folder=tmp_path / "run")
    assert "it ended for an unknown reason: because of [secret]" in str(caught.value)
    assert '"Q, said [secret]"' in str(caught.value)
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in stored


@pytest.mark.parametrize(
    "key",
    [
        "sk-proj-abcdefgh12345678",
        "sk" + "-ant-api03-abcdefgh",
        "gsk_abcdefghijklmnop1234",
        "hf_abcdefghijklmnopqrstuv",
        "AIza" + "x" * 35,
        "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
    ],
)
def test_what_looks_like_a_key_is_taken_for_one(key: str) -> None:
    assert without_secrets(f"the key {key} is wrong") == "the key [secret] is wrong"


DISGUISES: list[Callable[[str], str]] = [
    " ".join,
    "\n".join,
    "\u200b".join,
    "\u2060\t".join,
    "\\n".join,
    "\\u200b".join,
    "\x1b[31m".join,
    lambda key: f"{key[:9]}\r\n   {key[9:]}",
    lambda key: "".join(f"\\u{ord(one):04x}" for one in key),
    lambda key: "".join(f"\\\\u{ord(one):04X}" for one in key),
    lambda key: "".join(f"\\x{ord(one):02x}" for one in key),
    lambda key: "".join(f"%{ord(one):02x}" for one in key),
    lambda key: "".join(f"&#{ord(one)};" for one in key),
    lambda key: f"{key[:5]}\\u{ord(key[5]):04x}{key[6:]}",
    lambda key: key.encode().hex(),
    lambda key: key.encode().hex(" ").upper(),
]
"""Ways of writing a key in which it can still be read."""


@given(
    st.text(
        st.characters(codec="ascii", categories=("L", "N"), include_characters="-_"), min_size=20
    )
)
def test_a_key_is_found_split_escaped_and_in_hexadecimal(key: str) -> None:
    for disguise in DISGUISES:
        assert without_secrets(f"<{disguise(key)}>", [key]) == "<[secret]>"
        assert redacted(f"<{disguise(key)}>", [key]) == "<[secret]>"


@given(
    st.binary(max_size=9) | st.just(b"Bearer "),
    st.text(
        st.characters(codec="ascii", categories=("L", "N"), include_characters="-_"), min_size=20
    ),
    st.binary(max_size=9),
    st.sampled_from([base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes]),
)
def test_a_key_is_found_in_base64_whatever_stands_around_it(
    before: bytes, key: str, after: bytes, encode: Callable[[bytes], bytes]
) -> None:
    coded = encode(before + key.encode() + after).decode()
    shown = without_secrets(coded, [key])
    assert shown.count("[secret]") == 1
    left = len(coded) - (len(shown) - len("[secret]"))
    assert left >= len(key) * 8 // 6 - 2


@given(st.text(), st.text(min_size=8))
def test_a_text_without_a_key_is_unchanged(text: str, key: str) -> None:
    """Nor is anything else: what is not printable, escapes, and letters far apart."""
    harmless = f"{text}\\u0041 %41 &#65; \u200b\n"
    if without_secrets(harmless) == harmless and "[secret]" not in harmless:
        assert without_secrets(harmless, [f"{key}-never-in-there"]) == harmless


@pytest.mark.parametrize("tokens", [10**300, 1e300, 10**4_000, -(10**5_000)], ids=lambda _: "")
def test_a_number_of_tokens_that_is_far_too_long_is_shortened(tokens: Any) -> None:
    with pytest.raises(ValueError, match="not a number of tokens") as caught:
        read_count(tokens, "input_tokens")
    assert len(str(caught.value)) < 120
    assert "1000000000000000000000000000000000" not in str(caught.value)


def test_a_number_of_too_many_digits_is_said_in_plain_words() -> None:
    with pytest.raises(ValueError, match="digits") as caught:
        json.loads("9" * 5_000)
    assert misread(caught.value) == "a number in it has too many digits"


def test_a_wait_of_very_many_seconds_is_written_short() -> None:
    error = CallError("m", "rate limit", "wait", 429, float("9" * 300))
    with pytest.raises(CallError, match=r"it asks to wait 1e\+300 seconds"):
        RetryPolicy(LLMSettings()).wait_after(error, 0.0)


@given(st.text())
def test_a_message_is_one_short_printable_line(text: str) -> None:
    shown = redacted(text + "\x1b[31m\x9b1m\u202e" + text, ())
    assert len(shown) <= MAX_MESSAGE
    assert shown == "" or shown.isprintable()
    assert shown == " ".join(shown.split())
