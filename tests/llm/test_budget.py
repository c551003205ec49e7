"""What calls cost, and budgets, which no order of calls exceeds."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms.errors import BudgetError, FileFormatError
from mesa_llm_norms.llm.budget import Amount, Budget, Price, default_prices, read_prices
from mesa_llm_norms.llm.provider import Usage


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


@settings(max_examples=60)
@given(
    st.integers(0, 60),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 20), st.floats(0, 1), st.integers(0, 4)),
        max_size=20,
    ),
)
def test_budgets_that_join_another_stay_within_it_together(
    limit: int, calls: list[tuple[int, int, float, int]]
) -> None:
    """Each call is of one of four budgets; any of them may be shut while its calls wait."""

    async def main() -> None:
        shared = Budget(Amount(float("inf"), limit, float("inf")))
        parts = [Budget(Amount(float("inf"), 30, float("inf"))) for _ in range(4)]
        for part in parts:
            part.join(shared)

        async def call(part: int, most: int, share: float, turns: int) -> None:
            async with parts[part].reserve(Amount(1, most, 0)) as spent:
                for _ in range(turns):
                    await asyncio.sleep(0)
                spent.settle(Usage(int(most * share), 0), Price(0, 0))

        async def shut() -> None:
            await asyncio.sleep(0)
            parts[0].shut(KeyError("shut"))

        async with asyncio.timeout(5):
            found = await asyncio.gather(
                *(call(*one) for one in calls), shut(), return_exceptions=True
            )
        assert shared.used.tokens == sum(part.used.tokens for part in parts) <= limit
        assert all(part.used.tokens <= 30 for part in parts)
        assert all(one is None or isinstance(one, (BudgetError, KeyError)) for one in found)

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
