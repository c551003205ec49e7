"""What may be spent: a call that could pass a budget is not made.

Before a call, the most it could use is set aside; after it, what it did use takes its place. Calls
that are under way count in full meanwhile. Where only they are in the way, the next call waits for
them; where one more call could pass the budget all the same, ``BudgetError`` is raised.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from mesa_llm_norms.errors import BudgetError, SpecError
from mesa_llm_norms.minds.live.prices import Price
from mesa_llm_norms.minds.live.server import Usage


class Amount(NamedTuple):
    """Calls, tokens read and written, and US dollars."""

    calls: float = 0
    tokens: float = 0
    usd: float = 0

    def plus(self, other: Amount) -> Amount:
        """Return the sum of both."""
        return Amount(self.calls + other.calls, self.tokens + other.tokens, self.usd + other.usd)

    def minus(self, other: Amount) -> Amount:
        """Return the difference of both."""
        return Amount(self.calls - other.calls, self.tokens - other.tokens, self.usd - other.usd)


NO_LIMIT = Amount(math.inf, math.inf, math.inf)


class Spent:
    """What one call used, told within the block of ``Budget.set_aside``."""

    amount = Amount()

    def begin(self) -> None:
        """Say that the call is made: without a reply it counts as a call, and for no tokens."""
        self.amount = Amount(calls=1)

    def tell(self, usage: Usage, price: Price, calls: int = 1) -> None:
        """Say what the call, or the few it took, used."""
        tokens = usage.input_tokens + usage.output_tokens
        self.amount = Amount(calls, tokens, price.cost(usage))


class Budget:
    """How much may be used, ``limit``, and how much of it was, ``used``. For one event loop."""

    def __init__(self, limit: Amount = NO_LIMIT, used: Amount = Amount()) -> None:  # noqa: B008
        self.limit = limit
        self.used = used
        self._aside = Amount()
        self._reserved = 0
        self._shut: Exception | None = None
        self._settled: asyncio.Event | None = None

    @asynccontextmanager
    async def set_aside(self, most: Amount) -> AsyncIterator[Spent]:
        """Hold back the most that one call could use, while it is made.

        What the block tells is then counted as used.
        """
        while True:
            if self._shut is not None:
                raise self._shut
            self._check(self.used.plus(most), most)
            if not self._reserved or self._within(self.used.plus(self._aside).plus(most)):
                break
            if self._settled is None:
                self._settled = asyncio.Event()
            await self._settled.wait()
        self._reserved += 1
        self._aside = self._aside.plus(most)
        spent = Spent()
        try:
            yield spent
        finally:
            self._reserved -= 1
            self._aside = self._aside.minus(most) if self._reserved else Amount()
            self.used = self.used.plus(spent.amount)
            self._wake()

    def shut(self, reason: Exception) -> None:
        """Set nothing more aside; whoever waits, or comes, gets ``reason`` instead."""
        self._shut = reason
        self._wake()

    def _wake(self) -> None:
        if self._settled is not None:
            self._settled.set()
            self._settled = None

    def _within(self, amount: Amount) -> bool:
        most = self.limit
        return (
            amount.calls <= most.calls and amount.tokens <= most.tokens and amount.usd <= most.usd
        )

    def _check(self, needed: Amount, most: Amount) -> None:
        if self._within(needed):
            return
        for name, amount, limit in zip(Amount._fields, needed, self.limit, strict=True):
            if amount > limit:
                raise BudgetError(name, limit, getattr(self.used, name), getattr(most, name))


def read_limit(
    calls: float | None = None, tokens: float | None = None, usd: float | None = None
) -> Amount:
    """Return the limit that these budgets make; None is no limit. ``SpecError`` for nonsense."""
    given = {"budget_calls": calls, "budget_tokens": tokens, "budget_usd": usd}
    for argument, value in given.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if value is not None and (not number or not 0 <= value < math.inf):
            raise SpecError(argument, value, f"{value!r} is no amount", "Give a number from 0 up.")
    return Amount(*(math.inf if value is None else float(value) for value in given.values()))
