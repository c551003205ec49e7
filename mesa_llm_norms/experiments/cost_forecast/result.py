"""What a forecast says, in numbers and in words.

Numbers that are not known yet are a ``Range``: a low and a high end, and about how much.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

from mesa_llm_norms.core import formatting
from mesa_llm_norms.core.formatting import dollars, duration, spread

AS_BATCHES = "half the price; within a day each, mostly within an hour"
"""What a forecast says of calls that are sent as batches."""


class Range(NamedTuple):
    """What may be expected, and how far off it may be on either side.

    Where chance alone decides, one case in ten is below ``low`` and one in ten above ``high``.
    """

    low: float
    expected: float
    high: float

    def plus(self, other: Range) -> Range:
        """Return the sum of two ranges that are low together and high together."""
        return Range(*(a + b for a, b in zip(self, other, strict=True)))

    def times(self, other: Range | float) -> Range:
        """Return the product of two ranges that are low together and high together."""
        factor = other if isinstance(other, Range) else exactly(other)
        return Range(*(a * b for a, b in zip(self, factor, strict=True)))

    def at_most(self, most: Range | float) -> Range:
        """Return the range with none of its numbers above a limit."""
        limit = most if isinstance(most, Range) else exactly(most)
        return Range(*map(min, self, limit))

    def at_least(self, least: Range) -> Range:
        """Return the range with none of its numbers below a limit."""
        return Range(*map(max, self, least))


def exactly(number: float) -> Range:
    """Return the range of a number that is known."""
    return Range(number, number, number)


NOTHING = exactly(0.0)


def sum_up(ranges: Iterable[Range]) -> Range:
    """Return the sum of ranges that are low together and high together."""
    total = NOTHING
    for each in ranges:
        total = total.plus(each)
    return total


def sum_costs(costs: Sequence[Range | None]) -> Range | None:
    """Return the sum of costs, None where one of them is not known."""
    known = [usd for usd in costs if usd is not None]
    return sum_up(known) if len(known) == len(costs) else None


class Proxy(NamedTuple):
    """The recorded mind that a model is simulated with, and whether it is of the model's kind."""

    name: str
    alike: bool


class PerCall(NamedTuple):
    """What one call takes: tokens written, for the answer and for thinking before it; seconds.

    Both kinds of tokens together are at most ``max_tokens``.
    """

    answer: Range
    thinking: Range
    max_tokens: int
    seconds: Range

    @property
    def written(self) -> Range:
        """All tokens written."""
        return self.answer.plus(self.thinking).at_most(self.max_tokens)


@dataclass(frozen=True)
class ProviderForecast:
    """What all runs together take of one provider.

    Attributes
    ----------
    provider, model : str
        Which provider, and which of its models.
    proxy : Proxy
        The recorded mind that the game was played with.
    once : bool or None
        Whether the provider answers equal prompts only once; None if that is not known yet.
    call : PerCall
        What a single call takes.
    calls, read, written, thinking : Range
        Calls, tokens read, tokens written, and those of them spent on thinking.
    usd : Range or None
        The cost in US dollars; None where the model has no known price.
    """

    provider: str
    model: str
    proxy: Proxy
    once: bool | None
    call: PerCall
    calls: Range
    read: Range
    written: Range
    thinking: Range
    usd: Range | None


@dataclass(frozen=True)
class Forecast:
    """What runs with live minds will take.

    Ranges of tokens, dollars and seconds are as wide as what is assumed; those of interactions
    leave out one run in ten on either side.

    Attributes
    ----------
    runs, simulated : int
        How many runs the forecast is of, and how many were played without a call to make it.
    missed : float
        The share of runs that do not reach their goal.
    interactions, rounds, chain : Range
        Of one run; ``chain`` is the longest series of calls that wait for each other.
    calls, read, written, thinking : Range
        Of all runs: calls, tokens read, tokens written, and those of them spent on thinking.
    usd : Range or None
        The cost in US dollars; None where a model has no known price.
    seconds : Range
        How long all runs take.
    providers : tuple of ProviderForecast
        The same by provider.
    assumptions, warnings : tuple of str
        What the forecast rests on, and why runs may not be finished, a sentence each.
    """

    runs: int
    simulated: int
    missed: float
    interactions: Range
    rounds: Range
    chain: Range
    calls: Range
    read: Range
    written: Range
    thinking: Range
    usd: Range | None
    seconds: Range
    providers: tuple[ProviderForecast, ...]
    assumptions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_object(self) -> dict[str, Any]:
        """Return the forecast as plain data.

        Returns
        -------
        dict
            Every attribute; a range as ``{"low": ..., "expected": ..., "high": ...}``.
        """
        return dict(plain(self))


class Part(NamedTuple):
    """Some runs of many, and what they are expected to take, one forecast after the other."""

    label: str
    runs: int
    forecasts: tuple[Forecast, ...]


class Together(NamedTuple):
    """Calls, US dollars (None where a price is not known) and seconds of several forecasts.

    Where a provider answers equal prompts once, those that parts share are counted in each.
    """

    calls: Range
    usd: Range | None
    seconds: Range

    def as_object(self) -> dict[str, Any]:
        """Return the sum as plain data."""
        return dict(plain(self))


def together(found: Sequence[Forecast]) -> Together:
    """Return what several forecasts amount to, their runs played one after the other."""
    return Together(
        sum_up(one.calls for one in found),
        sum_costs([one.usd for one in found]),
        sum_up(one.seconds for one in found),
    )


def describe(forecast: Forecast) -> list[tuple[str, str]]:
    """Return a forecast in words.

    Parameters
    ----------
    forecast : Forecast
        The forecast.

    Returns
    -------
    list of (str, str)
        The rows of a table: a label, and a range or a number as text.
    """
    return list(_rows(forecast))


def _rows(found: Forecast) -> Iterator[tuple[str, str]]:
    several = found.providers if len(found.providers) > 1 else ()
    each = " a run" if found.runs > 1 else ""
    if found.runs > 1:
        yield "runs", formatting.count(found.runs)
    yield f"rounds{each}", spread(found.rounds)
    yield f"interactions{each}", spread(found.interactions)
    if found.missed:
        # which never rounds to all or to nothing
        missed = found.missed if found.missed == 1 else min(max(found.missed, 0.01), 0.99)
        yield "runs that miss their goal", f"{missed:.0%}"
    yield "calls", spread(found.calls)
    for part in several:
        yield f"  to {part.provider}", spread(part.calls)
    yield "tokens read", spread(found.read)
    yield "tokens written", spread(found.written)
    yield "  of them thinking", spread(found.thinking)
    yield "cost", cost(found.usd)
    for part in several:
        yield f"  of {part.provider}", cost(part.usd)
    yield "wall time", spread(found.seconds, duration)


def cost(usd: Range | None) -> str:
    """Return what calls cost, in words."""
    return "not known" if usd is None else spread(usd, dollars) if usd.high else "nothing"


def plain(thing: Any) -> Any:
    """Return dataclasses and named tuples as dictionaries, other tuples as lists."""
    if is_dataclass(thing):
        return {field.name: plain(getattr(thing, field.name)) for field in fields(thing)}
    if hasattr(thing, "_asdict"):
        return {name: plain(part) for name, part in thing._asdict().items()}
    return [plain(part) for part in thing] if isinstance(thing, tuple) else thing
