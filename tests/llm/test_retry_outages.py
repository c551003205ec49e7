"""Outages of a provider amid a run, in virtual time: the same rows, and nothing asked twice.

``docs/live.md`` says how long each kind of failure is waited for; its table is walked here.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chances import LoggedGame
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import virtual_time

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.errors import CallError
from mesa_llm_norms.llm.provider import Question
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.simulation.ensemble import Ensemble
from mesa_llm_norms.testing import FakeProvider

ROOT = Path(__file__).parents[2]
PASSING = {
    "429": CallError("fake:model", "rate limit", "too many", 429),
    "429 that asks for 7 seconds": CallError("fake:model", "rate limit", "too many", 429, 7.0),
    "429 that asks for 2 minutes": CallError("fake:model", "rate limit", "too many", 429, 120.0),
    "500": CallError("fake:model", "failed", "internal", 500),
    "502": CallError("fake:model", "failed", "bad gateway", 502),
    "503": CallError("fake:model", "overloaded", "later", 503),
    "504": CallError("fake:model", "failed", "gateway timeout", 504),
    "529": CallError("fake:model", "overloaded", "later", 529),
    "no network": CallError("fake:model", "connection", "the connection failed"),
    "no reply": CallError("fake:model", "timeout", "no reply within 60 seconds"),
    "the page of a gateway": CallError("fake:model", "garbled", "not one of this API", 200),
}


def play(provider: FakeProvider, rounds: int = 4, **calls: Any) -> LoggedGame:
    game = LoggedGame(
        graph="ring(n=10)", names="QMX", mind=provider.mind(), rng=3, llm=LLMSettings(**calls)
    )
    try:
        game.run(rounds=rounds, until=None)
    finally:
        game.close()
    return game


def failing(
    error: CallError | Callable[[], CallError], clock: Callable[[], float], start: float, end: float
) -> tuple[FakeProvider, Counter[Question]]:
    """Return a provider that answers in half a second but from ``start`` to ``end``, and counts."""
    begun, answered = clock(), Counter[Question]()

    def answer(question: Question, _: int) -> CallError | None:
        if start <= clock() - begun < end:
            return error if isinstance(error, CallError) else error()
        answered[question] += 1
        return None

    return FakeProvider(answer, delay=0.5), answered


@settings(max_examples=30)
@given(
    st.sampled_from(list(PASSING)),
    st.floats(0.6, 12),
    st.sampled_from([0.3, 1, 8, 60, 600]),
    st.sampled_from([1, 4, 32]),
)
def test_an_outage_of_up_to_ten_minutes_changes_no_row_and_repeats_no_answered_call(
    kind: str, start: float, length: float, most: int
) -> None:
    expected = play(FakeProvider()).log
    with virtual_time() as clock:
        provider, answered = failing(PASSING[kind], clock, start, start + length)
        game = play(provider, max_concurrency=most)
        assert game.log == expected
        assert set(answered.values()) == {1}
        assert game.client is not None
        usage = game.client.usage
        assert usage.calls == len(provider.asked) == usage.answered + usage.failed
        assert usage.failed <= 12 + 10 + length / 10


@settings(max_examples=10)
@given(st.lists(st.sampled_from(list(PASSING)), min_size=2, max_size=5), st.integers(0, 99))
def test_so_does_one_that_fails_now_this_way_and_now_that(kinds: list[str], seed: int) -> None:
    turn = iter(range(seed, 10_000))
    expected = play(FakeProvider()).log
    with virtual_time() as clock:
        provider, answered = failing(lambda: PASSING[kinds[next(turn) % len(kinds)]], clock, 3, 503)
        assert play(provider).log == expected
        assert set(answered.values()) == {1}


def crowd(provider: FakeProvider, **llm: Any) -> Ensemble:
    """Return eight runs of 24 agents who may all meet, in four rounds."""
    return run_ensemble(
        graph="complete(n=24)",
        names="QM",
        mind=provider.mind(),
        rng=1,
        runs=8,
        rounds=4,
        until=None,
        llm=LLMSettings(max_concurrency=32, **llm),
    )


def test_an_outage_costs_some_dozens_of_calls_however_many_agents_wait() -> None:
    with virtual_time() as clock:
        provider, answered = failing(PASSING["no network"], clock, 5, 605)
        result = crowd(provider, budget_calls=8 * 4 * 48 + 100)
    assert result.usage is not None
    assert result.usage.answered == 8 * 4 * 48 == answered.total()
    assert result.usage.failed < 100


def rows_of_the_table() -> list[tuple[str, str, str, str]]:
    text = (ROOT / "docs" / "live.md").read_text()
    table = text.partition("## When a call fails")[2].partition("\n\n- ")[0]
    found = re.findall(r"^\| `([a-z ]+)` \| (.*) \| (.*) \| (.*) \|$", table, re.MULTILINE)
    assert len(found) == 8
    return found


@pytest.mark.parametrize("row", rows_of_the_table(), ids=lambda row: row[0])
@pytest.mark.parametrize("before", [True, False], ids=["before the first answer", "later"])
def test_every_kind_is_waited_for_as_long_as_the_documentation_says(
    row: tuple[str, str, str, str], before: bool
) -> None:
    kind, examples, later, at_first = row
    status = re.match(r"\d{3}", examples)
    error = CallError("fake:model", kind, "as told", int(status[0]) if status else None)
    with virtual_time() as clock:
        failed: defaultdict[Question, list[float]] = defaultdict(list)

        def answer(question: Question, _: int) -> CallError | None:
            if not before and question is provider.asked[0]:
                return None
            failed[question].append(clock())
            return error

        provider = FakeProvider(answer)
        with pytest.raises(CallError, match="as told"):
            play(provider)
    number, unit = (at_first if before else later).split()
    if unit == "seconds":
        longest = max(times[-1] - times[0] for times in failed.values())
        assert longest == pytest.approx(float(number))
        assert len(provider.asked) < 100
    else:
        assert max(map(len, failed.values())) == int(number)


def test_retries_limit_how_often_a_call_is_repeated() -> None:
    with virtual_time():
        provider = FakeProvider(lambda *_: PASSING["529"])
        with pytest.raises(CallError, match="after 6 tries"):
            play(provider, max_concurrency=1, retries=5)
    assert max(Counter(provider.asked).values()) == 6


def test_a_limit_of_zero_repeats_nothing() -> None:
    provider = FakeProvider(lambda *_: PASSING["529"])
    with pytest.raises(CallError, match="after 1 try"):
        play(provider, max_concurrency=1, wait_at_most=0)
    assert max(Counter(provider.asked).values()) == 1


def test_calls_at_once_recover_after_a_long_rate_limit() -> None:
    """Within as many replies as there are slots it is half of what it was."""
    with virtual_time() as clock:
        provider, _ = failing(PASSING["429"], clock, 5, 605)
        result = crowd(provider)
        assert clock() < 605 + 30 + (8 * 4 * 48 / 16) * 0.5
    assert result.usage is not None


def test_a_wait_that_lasts_is_reported_with_its_ends_and_so_is_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), virtual_time() as clock:
        play(failing(PASSING["503"], clock, 3, 203)[0])
    first, *others, last = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(
        r"fake:model: overloaded \(503\): later; next try at ..:..:.., given up at ..:..:..", first
    )
    assert 2 <= len(others) <= 4
    assert re.fullmatch(r"fake:model answers again, after 3.[3-9] minutes", last)


def test_a_short_one_is_not(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), virtual_time() as clock:
        play(failing(PASSING["503"], clock, 3, 4)[0])
    assert not caplog.records
