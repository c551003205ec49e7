"""What calls cost, and what may be spent: a call that could exceed the budget is not made.

Prices come from a dated list that ships, and from the user's own file, which takes precedence.

Before a call, the most it could use is reserved; afterwards, what it did use is counted instead.
Calls in flight count in full. If only they are in the way, the next call waits for them; if one
more call could exceed the budget all the same, ``BudgetError`` is raised.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import read_text
from mesa_llm_norms.core.limits import read_number
from mesa_llm_norms.errors import BudgetError, FileFormatError, SpecError, shown
from mesa_llm_norms.llm.provider import Usage

_REMEDY = (
    'It must have as_of = "2026-11-24" and, for each model, a table such as [my-model] with input '
    "and output in dollars per million tokens."
)
_MILLION = 1_000_000
IN_BATCH = 0.5
"""What a call costs in a batch, as a share of its price alone."""


class Price(NamedTuple):
    """US dollars per million tokens read and written; cached ones count as read."""

    input: float
    output: float

    def cost(self, usage: Usage) -> float:
        """Return the most that a call cost, in dollars; cached tokens may be cheaper."""
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / _MILLION


FREE = Price(0.0, 0.0)


class Prices(NamedTuple):
    """Prices by the beginning of a model's id, and the date they were right."""

    as_of: str
    by_model: Mapping[str, Price]

    def of(self, model: str, *, batch: bool = False) -> Price | None:
        """Return the price under the longest name that ``model`` begins with, or None.

        In a ``batch`` it is the share of it that calls cost there.
        """
        known = [name for name in self.by_model if model.startswith(name)]
        if not known:
            return None
        price = self.by_model[max(known, key=len)]
        return Price(price.input * IN_BATCH, price.output * IN_BATCH) if batch else price

    def as_json(self) -> dict[str, Any]:
        """Return them as ``own_prices`` reads them, for a journal."""
        return {
            "as_of": self.as_of,
            **{name: price._asdict() for name, price in self.by_model.items()},
        }


@cache
def default_prices() -> Prices:
    """Return the prices that ship."""
    file = resources.files(__package__).joinpath("prices.toml")
    return _parse(file.read_text(encoding="utf-8"), "prices.toml")


def read_prices(prices: str | Path | Mapping[str, Any] | None) -> Prices:
    """Return all known prices.

    Parameters
    ----------
    prices : str, pathlib.Path, mapping or None
        A TOML file of prices that take precedence over those that ship, or what stands in one; None
        for those that ship alone.

    Raises
    ------
    FileFormatError
        If the file has no date, or an entry that is not a price.
    """
    if prices is None:
        return default_prices()
    own = own_prices(prices)
    return Prices(own.as_of, {**default_prices().by_model, **own.by_model})


def own_prices(prices: str | Path | Mapping[str, Any]) -> Prices:
    """Return the prices in a file, or of what stands in one; raises what ``read_prices`` does."""
    if isinstance(prices, Mapping):
        return _read(prices, "prices")
    return _parse(read_text(Path(prices), _REMEDY), str(prices))


def _parse(text: str, path: str) -> Prices:
    import tomllib

    try:
        content: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise FileFormatError(path, f"it is not TOML: {error}", _REMEDY) from error
    return _read(content, path)


def _read(content: Mapping[str, Any], path: str) -> Prices:
    by_model = {}
    for model, entry in content.items():
        if not isinstance(entry, Mapping):
            continue
        try:
            if set(entry) != {"input", "output"}:
                raise SpecError(model, entry, "it must have input and output", _REMEDY)
            prices = {name: read_number(name, value, limits.PRICE) for name, value in entry.items()}
        except SpecError as error:
            problem = f"[{shown(model)[1:-1]}] is not a price: {error.problem}"
            raise FileFormatError(path, problem, _REMEDY) from error
        by_model[model] = Price(**prices)
    as_of = content.get("as_of")
    if as_of is None or not by_model:
        raise FileFormatError(path, "it has no date or no price", _REMEDY)
    return Prices(str(as_of), by_model)


class Amount(NamedTuple):
    """Calls, tokens read and written, and US dollars."""

    calls: float = 0
    tokens: float = 0
    usd: float = 0

    def plus(self, other: Amount) -> Amount:
        """Return the sum of both."""
        return Amount(self[0] + other[0], self[1] + other[1], self[2] + other[2])

    def minus(self, other: Amount) -> Amount:
        """Return the difference of both."""
        return Amount(self[0] - other[0], self[1] - other[1], self[2] - other[2])


NO_LIMIT = Amount(math.inf, math.inf, math.inf)


class Spending:
    """What one call uses, reported within the block of ``Budget.reserve``, which this is."""

    def __init__(self, budgets: Sequence[Budget], most: Amount) -> None:
        self.amount: Amount = Amount()
        self._budgets = budgets
        self._most = most

    async def __aenter__(self) -> Spending:
        while (full := self._first_full()) is not None:
            await full.settled()
        for budget in self._budgets:
            budget.take(self._most)
        return self

    async def __aexit__(self, *_: object) -> None:
        for budget in self._budgets:
            budget.settle(self._most, self.amount)

    def _first_full(self) -> Budget | None:
        """Return a budget in which calls in flight are in the way, None if there is room."""
        for budget in self._budgets:
            budget.check(self._most)
        return next((it for it in self._budgets if not it.has_room(self._most)), None)

    def begin(self) -> None:
        """Report that the call is made: without a reply it counts as a call without tokens."""
        self.amount = Amount(calls=1)

    def settle(self, usage: Usage, price: Price, calls: int = 1) -> None:
        """Report what the reply used, over the calls that it took."""
        tokens = usage.input_tokens + usage.output_tokens
        self.amount = Amount(calls, tokens, price.cost(usage))


class Budget:
    """How much may be used, ``limit``, and how much of it was, ``used``. For one event loop.

    ``before`` is what was used of a larger budget, of which this is the rest; errors tell of both.
    """

    def __init__(self, limit: Amount = NO_LIMIT, used: Amount = Amount()) -> None:  # noqa: B008
        self.limit = limit
        self.used: Amount = used
        self.before: Amount = Amount()
        self._reserved = Amount()
        self._calls = 0
        self._shut: Exception | None = None
        self._settled: asyncio.Event | None = None
        self._joined: Budget | None = None

    def join(self, other: Budget) -> None:
        """Count everything that is used from now on in ``other`` too, and stay within its limit."""
        self._joined = other

    def reserve(self, most: Amount) -> Spending:
        """Reserve the most that one call could use, for the ``async with`` block that makes it.

        What the block reports is then counted as used. Raises ``BudgetError`` if the call could
        exceed the limit even if those in flight use nothing.
        """
        return Spending((self,) if self._joined is None else (self, self._joined), most)

    def shut(self, reason: Exception) -> None:
        """Reserve nothing more: everything that waits, or comes to, gets ``reason`` instead."""
        self._shut = reason
        self._wake()
        if self._joined is not None:
            self._joined._wake()

    # For ``Spending``

    def check(self, most: Amount) -> None:
        """Raise ``BudgetError`` if a call could exceed the limit, or why nothing is reserved."""
        if self._shut is not None:
            raise self._shut
        needed = self.used.plus(most)
        if not self._within(needed):
            name = next(
                it for it in Amount._fields if getattr(needed, it) > getattr(self.limit, it)
            )
            limit, used = self.limit.plus(self.before), self.used.plus(self.before)
            raise BudgetError(name, getattr(limit, name), getattr(used, name), getattr(most, name))

    def has_room(self, most: Amount) -> bool:
        """Return whether a call stays within the limit together with those in flight."""
        return not self._calls or self._within(self.used.plus(self._reserved).plus(most))

    async def settled(self) -> None:
        """Wait until a call in flight has ended, or the budget is shut."""
        if self._settled is None:
            self._settled = asyncio.Event()
        await self._settled.wait()

    def take(self, most: Amount) -> None:
        """Set aside the most that a call could use."""
        self._calls += 1
        self._reserved = self._reserved.plus(most)

    def settle(self, most: Amount, used: Amount) -> None:
        """Count what a call used instead of what was set aside for it."""
        self._calls -= 1
        self._reserved = self._reserved.minus(most) if self._calls else Amount()
        self.used = self.used.plus(used)
        self._wake()

    def _wake(self) -> None:
        if self._settled is not None:
            self._settled.set()
            self._settled = None

    def _within(self, amount: Amount) -> bool:
        limit = self.limit
        return amount[0] <= limit[0] and amount[1] <= limit[1] and amount[2] <= limit[2]


def read_limit(
    calls: float | None = None, tokens: float | None = None, usd: float | None = None
) -> Amount:
    """Return the limit that these budgets make; None is no limit. ``SpecError`` for nonsense."""
    given = {"budget_calls": calls, "budget_tokens": tokens, "budget_usd": usd}
    return Amount(
        *(
            math.inf if value is None else float(read_number(argument, value, limits.BUDGET))
            for argument, value in given.items()
        )
    )
