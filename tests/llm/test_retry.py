"""Against a server that fails in every way: the same trajectory, or a stop that says why."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chances import LoggedGame
from hypothesis import given
from hypothesis import strategies as st
from messages_server import FAULTS, Fault, MessagesServer, share_of_faults

from mesa_llm_norms import NamingGame, NormsError, run_ensemble
from mesa_llm_norms.errors import BudgetError, CallError, DecisionError, MindError
from mesa_llm_norms.llm.provider import live_mind
from mesa_llm_norms.llm.retry import LONGEST_BACKOFF as LONGEST
from mesa_llm_norms.llm.retry import RetryPolicy, kind_of
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.simulation import Interaction

KEY = "a-key-that-nobody-may-see"
MODEL = "claude:claude-test-1"
ROUNDS = 4


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)


@pytest.fixture
def expected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Interaction]]:
    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        yield play().log
    monkeypatch.delenv("ANTHROPIC_BASE_URL")


def play(timeout: float = 5.0, **calls: Any) -> LoggedGame:
    game = LoggedGame(
        graph="ring(n=10)",
        names="QMX",
        mind=live_mind(MODEL, timeout=timeout),
        rng=3,
        llm=LLMSettings(**{"wait": 0.005, "ask_again": 20, "retries": 20, **calls}),
    )
    try:
        game.run(rounds=ROUNDS, until=None)
    finally:
        game.close()
    return game


@pytest.mark.parametrize(
    "fault",
    [pytest.param(it, marks=pytest.mark.slow if it.kind == "hang" else ()) for it in FAULTS],
    ids=lambda fault: f"{fault.kind} {fault.status}",
)
def test_a_third_of_calls_failing_one_way_changes_nothing(
    fault: Fault, expected: list[Interaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    with MessagesServer(faults=share_of_faults(0.3, [fault], seed=1)) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        game = play(timeout=0.4 if fault.kind == "hang" else 5.0)
        assert game.log == expected
        assert game.client is not None
        usage = game.client.usage
        # A call whose short time was up before the server had read it is not among its own.
        unread = usage.calls - len(server.requests)
        assert 0 <= unread <= (usage.failed if fault.kind == "hang" else 0)
        assert usage.answered == 2 * len(expected)
        assert usage.failed + usage.unusable == usage.calls - usage.answered > 0


def test_a_third_of_calls_failing_in_all_ways_changes_nothing(
    expected: list[Interaction], monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = share_of_faults(0.3, FAULTS, seed=2)
    with MessagesServer(faults=faults, latency=0.005) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        assert play(timeout=0.5).log == expected


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault.kind} {fault.status}")
def test_a_server_that_never_recovers_stops_the_run_and_says_why(
    fault: Fault, expected: list[Interaction], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was played before is kept, and the run goes on with a server that works."""
    with MessagesServer(faults=lambda number, _: fault if number >= 30 else None) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        timeout = 0.6 if fault.kind == "hang" else 5.0
        with pytest.raises((CallError, DecisionError)) as caught:
            play(timeout, ask_again=1, retries=2, folder=tmp_path / "run")
        assert KEY not in str(caught.value)
        assert str(caught.value)
    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        game = LoggedGame.resume(tmp_path / "run", LLMSettings())
        game.run(rounds=ROUNDS, until=None)
        game.close()
        assert game.log == expected
        assert len(server.answered) <= 2 * len(expected) - 20


def test_unusable_replies_make_interactions_void_where_that_is_chosen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    faults = share_of_faults(0.3, [Fault("refusal"), Fault("foreign")], seed=4)
    with MessagesServer(faults=faults) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        game = play(ask_again=0, on_unusable="skip")
        assert 0 < game.skipped < 10 * ROUNDS
        assert game.interactions + game.skipped == 10 * ROUNDS


def test_a_rate_limit_halves_the_calls_at_once_and_an_overload_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = {}
    for status in (429, 529):
        fault = Fault("status", status, {"retry-after": "0"})
        faults = share_of_faults(0.3, [fault], seed=1)
        with MessagesServer(faults=faults) as server:
            monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
            game = play(max_concurrency=16)
            assert game.client is not None
            (desk,) = game.client._queues.values()
            limits[status] = desk.limiter.limit
    assert limits[429] < 16
    assert limits[529] == 16


def test_no_key_and_no_model_are_told_before_any_call(monkeypatch: pytest.MonkeyPatch) -> None:
    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        model = NamingGame(names="QM", mind="claude:no-such-model", rng=1)
        with pytest.raises(MindError):
            model.step()
        model.close()
        monkeypatch.delenv("ANTHROPIC_API_KEY")
        model = NamingGame(names="QM", mind=MODEL, rng=1)
        with pytest.raises(MindError, match="ANTHROPIC_API_KEY"):
            model.step()
        model.close()
        assert server.requests == []


def test_the_key_is_in_no_file_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fault = Fault("status", 401, message=f"bad key {KEY}")
    with MessagesServer(faults=lambda number, _: fault if number > 20 else None) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        with caplog.at_level(0), pytest.raises(NormsError) as caught:
            play(folder=tmp_path / "run")
    assert KEY not in f"{caught.value!r} {caught.value} {caplog.text}"
    for path in (tmp_path / "run").iterdir():
        assert KEY.encode() not in path.read_bytes()


def test_runs_of_an_ensemble_share_a_budget_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {
        "graph": "ring(n=6)",
        "names": "QM",
        "mind": MODEL,
        "rng": 2,
        "runs": 5,
        "rounds": 2,
        "until": None,
    }
    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        result = run_ensemble(**arguments)
        assert result.usage is not None
        assert result.usage.calls == len(server.answered) == 120
        with pytest.raises(BudgetError):
            run_ensemble(**arguments, llm=LLMSettings(budget_calls=50))
        assert len(server.requests) == 170


# The policy alone


def failure(kind: str = "overloaded", wait: float | None = None) -> CallError:
    return CallError("fake", kind, "as told", 500, wait)


def test_waits_grow_with_some_chance_and_have_an_end() -> None:
    policy = RetryPolicy(LLMSettings(wait=1, wait_at_most=86_400))
    waits = [policy.wait_after(failure(), 0) for _ in range(1, 60)]
    assert 0.5 <= waits[0] <= 1
    assert all(wait <= LONGEST for wait in waits)
    assert waits[-1] >= LONGEST / 2
    assert len(set(waits)) > 50


def test_what_the_server_asks_for_is_waited() -> None:
    assert RetryPolicy(LLMSettings(wait=1)).wait_after(failure(wait=7), 0) >= 7


@given(
    st.floats(0, 3_600),
    st.lists(st.tuples(st.floats(0, 90), st.none() | st.floats(0, 90)), min_size=1, max_size=90),
)
def test_the_last_try_is_made_when_the_time_is_up_and_none_after_that(
    limit: float, calls: list[tuple[float, float | None]]
) -> None:
    policy, now = RetryPolicy(LLMSettings(wait_at_most=limit)), 0.0
    for latency, asked in calls:
        try:
            wait = policy.wait_after(failure(wait=asked), now)
        except CallError:
            assert now >= limit or now + (asked or 0) > limit
            return
        assert wait >= (asked or 0)
        assert now < now + wait <= limit or wait == 0
        now += wait + latency


def test_a_rate_limit_is_no_outage_while_others_are_answered() -> None:
    policy = RetryPolicy(LLMSettings(wait_at_most=60))
    for now in range(0, 600, 20):
        policy.wait_after(failure("rate limit"), now, answered=now - 15)
    with pytest.raises(CallError, match="after 31 tries and 60 seconds"):
        policy.wait_after(failure("rate limit"), 700, answered=600)


def test_a_wait_that_ends_too_late_is_refused_with_both_numbers() -> None:
    policy = RetryPolicy(LLMSettings(wait_at_most=60))
    policy.wait_after(failure(), 0)
    with pytest.raises(CallError, match="to wait 30 seconds, 20 of 60 are left"):
        policy.wait_after(failure(wait=30), 40)


# The cause behind a status


ERRORS = Path(__file__).parents[1] / "support" / "api_errors.jsonl"
"""What vendors and gateways say when no money is left, or that only sounds like it."""


@pytest.mark.parametrize("line", ERRORS.read_text().splitlines())
def test_no_money_left_is_denied_and_what_only_mentions_it_is_not(line: str) -> None:
    error = json.loads(line)
    assert kind_of(error["status"], error["said"]) == error["kind"]
