"""A forecast in words: rows for a table, each a label and a range."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from mesa_llm_norms.forecast.ranges import Range
from mesa_llm_norms.forecast.result import Forecast

Rounding = Callable[[float], int]
Write = Callable[[float, Rounding | None], str]
"""Writes a number, rounded in this direction, or as it is."""

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def describe(forecast: Forecast) -> list[tuple[str, str]]:
    """Return the rows that say what runs will take: a label, and a range or a number as text."""
    return list(_rows(forecast))


def _rows(found: Forecast) -> Iterator[tuple[str, str]]:
    several = found.servers if len(found.servers) > 1 else ()
    each = " a run" if found.runs > 1 else ""
    if found.runs > 1:
        yield "runs", f"{found.runs:,}"
    yield f"rounds{each}", in_words(found.rounds, count)
    yield f"interactions{each}", in_words(found.interactions, count)
    if found.missed:
        yield "runs that miss their goal", share(found.missed)
    yield "calls", in_words(found.calls, count)
    for part in several:
        yield f"  to {part.server}", in_words(part.calls, count)
    yield "tokens read", in_words(found.read, count)
    yield "tokens written", in_words(found.written, count)
    yield "  of them thinking", in_words(found.thinking, count)
    yield "cost", cost(found.usd)
    for part in several:
        yield f"  of {part.server}", cost(part.usd)
    yield "wall time", in_words(found.seconds, duration)


def in_words(numbers: Range, write: Write) -> str:
    """Return a range as text, ``1,200 to 3,400 (about 2,100)``; a number that is known, alone.

    Ends have two digits and are rounded away from the middle.
    """
    low, expected, high = numbers
    if low == high:
        return write(low, None)
    return f"{write(low, math.floor)} to {write(high, math.ceil)} (about {write(expected, round)})"


def count(number: float, towards: Rounding | None) -> str:
    """Return a number of things."""
    return f"{number if towards is None else _two_digits(number, towards, most=0)[0]:,.0f}"


def dollars(usd: float, towards: Rounding | None) -> str:
    """Return an amount of money, to the cent or to its second digit."""
    rounded, places = _two_digits(usd, towards or round)
    return f"${rounded:,.{max(2, places) if rounded < 10 else 0}f}"


def duration(seconds: float, towards: Rounding | None) -> str:
    """Return a time in the largest unit of which there are two at least."""
    size, unit = next((it for it in _UNITS if seconds >= 2 * it[0]), _UNITS[-1])
    rounded, _ = _two_digits(seconds / size, towards or round)
    return f"{rounded:,g} {unit}{'' if rounded == 1 else 's'}"


def share(part: float) -> str:
    """Return a share as a percentage that never rounds to all or to nothing."""
    return f"{part:.0%}" if part == 1 else f"{min(max(part, 0.01), 0.99):.0%}"


def cost(usd: Range | None) -> str:
    """Return what calls cost."""
    return "not known" if usd is None else in_words(usd, dollars) if usd.high else "nothing"


def _two_digits(number: float, towards: Rounding, most: int = 99) -> tuple[float, int]:
    """Return a number with its first two digits, and ``most`` places behind the point, at most;
    and how many places there are.
    """
    places = min(most, 1 - math.floor(math.log10(number))) if number else 0
    # The inner rounding keeps what is 1.2 but for the last bit from becoming 1.3.
    if places >= 0:
        return towards(round(number * 10**places, 6)) / 10**places, places
    return float(towards(round(number / 10**-places, 6)) * 10**-places), 0
