"""Places for calls, money for calls, patience with calls, and prices."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms import BudgetError, CallError, FileFormatError
from mesa_llm_norms.llm.budget import Amount, Budget, Price, default_prices, read_prices
from mesa_llm_norms.llm.concurrency import Limiter
from mesa_llm_norms.llm.provider import Usage
from mesa_llm_norms.llm.retry import IDENTICAL, RetryPolicy
from mesa_llm_norms.llm.retry import LONGEST_BACKOFF as LONGEST
from mesa_llm_norms.llm.settings import LLMSettings

# Places


@settings(max_examples=60)
@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["ok", "429", "cancel"])), max_size=40),
)
def test_no_more_calls_than_there_are_places_and_no_place_is_lost(
    most: int, calls: list[tuple[int, str]]
) -> None:
    async def main() -> None:
        limiter = Limiter(most)

        async def call(turns: int, how: str) -> None:
            async with limiter.slot() as place:
                assert limiter.busy <= most
                for _ in range(turns):
                    await asyncio.sleep(0)
                if how == "429":
                    limiter.too_many(place)
                else:
                    limiter.succeeded()

        tasks = [asyncio.create_task(call(*one)) for one in calls]
        await asyncio.sleep(0)
        for task, (_, how) in zip(tasks, calls, strict=True):
            if how == "cancel":
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.busy == 0
        assert 1 <= limiter.limit <= most
        assert limiter.most_at_once <= most

    asyncio.run(main())


def test_a_burst_of_refusals_halves_once_and_replies_win_places_back_slowly() -> None:
    async def main() -> None:
        limiter = Limiter(16)
        async with limiter.slot() as one, limiter.slot() as other:
            limiter.too_many(one)
            limiter.too_many(other)
        assert limiter.limit == 8
        async with limiter.slot() as later:
            limiter.too_many(later)
        assert limiter.limit == 4
        for _ in range(4):
            limiter.succeeded()
        assert 4.8 < limiter.limit <= 5
        for _ in range(1_000):
            limiter.succeeded()
        assert limiter.limit == 16

    asyncio.run(main())


def test_whoever_waits_for_a_pause_to_end_holds_no_place() -> None:
    async def main() -> None:
        now = 0.0
        limiter = Limiter(2, clock=lambda: now)
        async with limiter.slot() as place:
            limiter.too_many(place, wait=30)
        waiting = asyncio.create_task(_enter(limiter))
        await asyncio.sleep(0)
        assert limiter.busy == 0
        assert not waiting.done()
        now = 31.0
        limiter.succeeded()
        limiter._wake()
        await waiting

    asyncio.run(main())


async def _enter(limiter: Limiter) -> None:
    async with limiter.slot():
        pass


# Money


@settings(max_examples=60)
@given(
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(1, 20), st.floats(0, 1), st.integers(0, 4)), max_size=20),
)
def test_no_order_of_calls_passes_a_budget(limit: int, calls: list[tuple[int, float, int]]) -> None:
    """Each may use so much at most, and uses a share of that, after so many turns."""

    async def main() -> None:
        budget = Budget(Amount(float("inf"), limit, float("inf")))

        async def call(most: int, share: float, turns: int) -> None:
            async with budget.reserve(Amount(1, most, 0)) as spent:
                for _ in range(turns):
                    await asyncio.sleep(0)
                spent.settle(Usage(int(most * share), 0), Price(0, 0))

        found = await asyncio.gather(*(call(*one) for one in calls), return_exceptions=True)
        assert budget.used.tokens <= limit
        assert all(one is None or isinstance(one, BudgetError) for one in found)
        refused = [most for (most, _, _), one in zip(calls, found, strict=True) if one is not None]
        assert all(budget.used.tokens + most > limit for most in refused)

    asyncio.run(main())


@pytest.mark.parametrize("made", [True, False])
def test_a_call_without_a_reply_counts_as_a_call_once_it_is_made(made: bool) -> None:
    budget = Budget()

    async def call() -> None:
        async with budget.reserve(Amount(1, 10, 1)) as spent:
            if made:
                spent.begin()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(call())
    assert budget.used == Amount(int(made), 0, 0)


def test_nobody_waits_for_what_is_left_of_sums_of_fractions() -> None:
    """0.1 + 0.2 - 0.1 - 0.2 is not zero; with nothing set aside there is nothing to wait for."""

    async def main() -> None:
        budget = Budget(Amount(99, 99, 0.5 + 0.3))
        for together in ((0.1, 0.2), (0.2, 0.1), (0.1,)):
            held = [budget.reserve(Amount(1, 1, usd)) for usd in together]
            for one in held:
                await one.__aenter__()
            for one in held:
                await one.__aexit__(None, None, None)
        budget.used = Amount(0, 0, 0.3)
        async with asyncio.timeout(5), budget.reserve(Amount(1, 1, 0.5)):
            pass

    asyncio.run(main())


# RetryPolicy


def failure(kind: str = "overloaded", wait: float | None = None) -> CallError:
    return CallError("fake", kind, "as told", 500, wait)


def test_waits_grow_with_some_chance_and_have_an_end() -> None:
    patience = RetryPolicy(LLMSettings(wait=1, retries=100))
    waits = [patience.wait_after(failure(), number, 0, 0) for number in range(1, 60)]
    assert 0.5 <= waits[0] <= 1
    assert all(wait <= LONGEST for wait in waits)
    assert waits[-1] >= LONGEST / 2
    assert len(set(waits)) > 50


def test_what_the_server_asks_for_is_waited() -> None:
    assert RetryPolicy(LLMSettings(wait=1)).wait_after(failure(wait=7), 1, 0, 0) >= 7


def test_of_calls_that_fail_together_alike_one_counts_and_a_reply_ends_the_series() -> None:
    patience = RetryPolicy(LLMSettings())
    for _ in range(40):
        patience.wait_after(failure("failed"), 1, begun=0, now=1)
    for turn in range(1, IDENTICAL - 1):
        patience.wait_after(failure("failed"), 1, begun=turn, now=turn + 1)
    patience.succeeded()
    for turn in range(1, IDENTICAL):
        patience.wait_after(failure("failed"), 1, begun=10 * turn, now=10 * turn + 1)
    with pytest.raises(CallError, match="5 times in a row"):
        patience.wait_after(failure("failed"), 1, begun=99, now=100)


def test_different_errors_are_no_series() -> None:
    patience = RetryPolicy(LLMSettings(retries=100))
    for turn in range(20):
        error = CallError("fake", "failed", f"error {turn % 2}", 500)
        patience.wait_after(error, 1, begun=turn, now=turn + 0.5)


# Prices


def test_a_price_is_that_of_the_longest_name_a_model_begins_with() -> None:
    prices = default_prices()
    assert prices.of("claude-opus-5-5-20261001") == Price(4, 20)
    assert prices.of("claude-opus-5") == Price(5, 25)
    assert prices.of("gpt") is None
    assert Price(4, 20).cost(Usage(1_000_000, 500_000, 100, 5)) == 14


def test_prices_of_ones_own_come_first(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text('as_of = 2027-01-01\n["claude-opus-5"]\ninput = 1\noutput = 2.5\n', "utf-8")
    prices = read_prices(path)
    assert prices.of("claude-opus-5") == Price(1, 2.5)
    assert prices.of("claude-haiku-5-5") == default_prices().of("claude-haiku-5-5")
    assert prices.as_of == "2027-01-01"


@pytest.mark.parametrize(
    "text",
    [
        "[x",
        "[x]\ninput = 1\noutput = 1",
        'as_of = "2026"',
        'as_of = "2026"\n[x]\ninput = 1',
        'as_of = "2026"\n[x]\ninput = 1\noutput = -1',
        'as_of = "2026"\n[x]\ninput = 1\noutput = nan',
        'as_of = "2026"\n[x]\ninput = 1\noutput = "free"',
        'as_of = "2026"\n[x]\ninput = 1\noutput = true',
        'as_of = "2026"\n[x]\ninput = 1\noutput = 1\ncache = 1',
    ],
)
def test_a_file_that_holds_no_prices_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(FileFormatError):
        read_prices(path)
