"""What calls cost: a dated list that ships, and entries of the user's own before it.

What may be spent: a call that could pass a budget is not made.

Before a call, the most it could use is set aside; after it, what it did use takes its place. Calls
that are under way count in full meanwhile. Where only they are in the way, the next call waits for
them; where one more call could pass the budget all the same, ``BudgetError`` is raised.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from mesa_llm_norms.core.files import read_text
from mesa_llm_norms.errors import BudgetError, FileFormatError, SpecError
from mesa_llm_norms.llm.provider import Usage

_REMEDY = (
    'It holds as_of = "2026-11-24" and, for each model, a table such as [my-model] with input and '
    "output in dollars for a million tokens."
)


_MILLION = 1_000_000


class Price(NamedTuple):
    """US dollars for a million tokens read and written; cached ones count as read."""

    input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Return what a call cost in dollars, at most: tokens from a cache may cost less."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / _MILLION


FREE = Price(0.0, 0.0)


class Prices(NamedTuple):
    """Prices by the beginning of a model's id, and the day they were right."""

    as_of: str
    by_model: Mapping[str, Price]

    def of(self, model: str) -> Price | None:
        """Return the price under the longest name that ``model`` begins with, or None."""
        known = [name for name in self.by_model if model.startswith(name)]
        return self.by_model[max(known, key=len)] if known else None


@cache
def default_prices() -> Prices:
    """Return the prices that ship."""
    file = resources.files(__package__).joinpath("prices.toml")
    return _parse(file.read_text(encoding="utf-8"), "prices.toml")


def read_prices(path: str | Path | None) -> Prices:
    """Return the prices in a file before those that ship; ``FileFormatError`` if it has none."""
    if path is None:
        return default_prices()
    own = _parse(read_text(Path(path), _REMEDY), str(path))
    return Prices(own.as_of, {**default_prices().by_model, **own.by_model})


def _parse(text: str, path: str) -> Prices:
    import tomllib

    try:
        content: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileFormatError(path, f"it is not TOML: {error}", _REMEDY) from error
    by_model = {}
    for model, entry in content.items():
        if not isinstance(entry, Mapping):
            continue
        values = [entry.get("input"), entry.get("output")]
        if set(entry) != {"input", "output"} or not all(_is_price(value) for value in values):
            raise FileFormatError(path, f"[{model}] is no price", _REMEDY)
        by_model[model] = Price(*(float(value) for value in values if value is not None))
    as_of = content.get("as_of")
    if as_of is None or not by_model:
        raise FileFormatError(path, "it has no date or no price", _REMEDY)
    return Prices(str(as_of), by_model)


def _is_price(value: Any) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    )


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
