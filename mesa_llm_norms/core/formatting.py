"""Numbers as text: how shares, intervals, p-values, amounts and times are written.

Tables, pages, figures and sentences all use these functions, so that a number reads the same
wherever it is shown. An estimate is any ``(value, low, high)``, such as ``analysis.Estimate``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Rounding = Callable[[float], int]
"""``round``, ``math.floor`` or ``math.ceil``."""

_UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))


def json_text(content: Any, **layout: Any) -> str:
    """Return JSON that every program can read.

    Parameters
    ----------
    content : object
        Mappings, sequences, texts and numbers, also those of numpy and pandas. Numbers that are
        infinite or missing become null, which JSON has instead.
    **layout
        ``indent``, ``separators`` and ``ensure_ascii`` (here False by default) of ``json.dumps``.
    """
    layout = {"ensure_ascii": False, **layout}
    try:
        return json.dumps(content, allow_nan=False, **layout)
    except (TypeError, ValueError):
        return json.dumps(_finite(content), allow_nan=False, **layout)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(part) for key, part in value.items()}
    value = value.tolist() if hasattr(value, "tolist") else value  # of numpy
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    missing = type(value).__name__ in ("NAType", "NaTType")  # of pandas
    return None if missing or (isinstance(value, float) and not math.isfinite(value)) else value


def count(number: float) -> str:
    """Return a whole number with thousands separated, as in ``12,000``."""
    return f"{number:,.0f}"


def signed(value: float) -> str:
    """Return a number of points with its sign: ``+100``, ``-50``, ``0``."""
    return f"{value:+.15g}" if value else "0"


def plural(number: int, noun: str, nouns: str | None = None) -> str:
    """Return a number of things: ``1 run``, ``2 runs``, ``1,000 runs``.

    Parameters
    ----------
    number : int
        How many there are.
    noun : str
        The singular.
    nouns : str, optional
        The plural (default: ``noun`` with an s).
    """
    return f"{count(number)} {noun if number == 1 else nouns or f'{noun}s'}"


def percent(share: float, digits: int = 0) -> str:
    """Return a share as a percentage that never rounds to nothing or to everything.

    Parameters
    ----------
    share : float
        From 0 to 1.
    digits : int
        Digits after the decimal point (default 0).

    Returns
    -------
    str
        ``62%``; ``<1%`` for 0.001, and with one digit more, rounded down, ``99.9%`` for 0.9999.
    """
    least = 10.0 ** -(digits + 2)
    if 0 < share < least / 2:
        return f"<{least:.{digits}%}"
    if 1 - least / 2 <= share < 1:
        scale = 10 ** (digits + 3)
        return f"{math.floor(share * scale) / scale:.{digits + 1}%}"
    return f"{share:.{digits}%}"


def number(value: float, form: str = ".3f", beyond: str = "more") -> str:
    """Return a number by a format; ``none`` if it is nan, and ``beyond`` if it is infinite."""
    if math.isnan(value):
        return "none"
    return beyond if math.isinf(value) else format(value, form)


def estimate(found: Iterable[float], form: str = ".3f", beyond: str = "more") -> str:
    """Return an estimate with its interval, as in ``0.500 (0.250 to 0.750)``.

    Parameters
    ----------
    found : iterable of three floats
        Value, lower and upper bound.
    form : str
        The format of each number (default ``.3f``).
    beyond : str
        What stands for an infinite number (default ``more``).

    Returns
    -------
    str
        The value alone where it is known exactly, or is no finite number.
    """
    value, low, high = found
    if low == high or not math.isfinite(value):
        return number(value, form, beyond)
    return f"{number(value, form, beyond)} ({bounds((value, low, high), form, beyond)})"


def bounds(found: Iterable[float], form: str = ".3f", beyond: str = "more") -> str:
    """Return only the interval of an estimate, as in ``0.250 to 0.750``."""
    _, low, high = found
    return f"{number(low, form, beyond)} to {number(high, form, beyond)}"


def p_number(p_value: float | None) -> str:
    """Return a p-value for a table: ``< 0.001``, ``0.034``, ``0.25``.

    ``known`` where nothing had to be tested (None), ``none`` where there is no test (nan).
    """
    if p_value is None:
        return "known"
    if p_value < 0.001:
        return "< 0.001"
    return number(p_value, ".3f" if p_value < 0.1 else ".2f")


def p_value(p_value: float | None) -> str:
    """Return a p-value for a sentence: ``p < 0.001``, ``p = 0.034``, ``known``."""
    text = p_number(p_value)
    if p_value is None or math.isnan(p_value):
        return text
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def about(amount: float, rounding: Rounding = round) -> str:
    """Return an amount with two significant digits, as in ``1,200``."""
    return count(_two_digits(amount, rounding, most=0)[0])


def dollars(usd: float, rounding: Rounding = round) -> str:
    """Return an amount of money, to the cent or to its second significant digit."""
    rounded, places = _two_digits(usd, rounding)
    return f"${rounded:,.{max(2, places) if rounded < 10 else 0}f}"


def duration(seconds: float, rounding: Rounding = round) -> str:
    """Return a time in the largest unit of which there are at least two, as in ``90 minutes``."""
    size, unit = next((it for it in _UNITS if seconds >= 2 * it[0]), _UNITS[-1])
    rounded, _ = _two_digits(seconds / size, rounding)
    return f"{rounded:,g} {unit}{'' if rounded == 1 else 's'}"


def spread(
    numbers: tuple[float, float, float], write: Callable[[float, Rounding], str] = about
) -> str:
    """Return a range, as in ``1,200 to 3,400 (about 2,100)``, rounded away from the middle.

    Parameters
    ----------
    numbers : tuple of three floats
        The low end, the middle and the high end.
    write : callable
        Writes each of them: ``about`` (the default), ``dollars`` or ``duration``.

    Returns
    -------
    str
        A single number where all three are the same; a whole amount is then not rounded.
    """
    low, middle, high = numbers
    if low == high:
        return count(low) if write is about else write(low, round)
    return f"{write(low, math.floor)} to {write(high, math.ceil)} (about {write(middle, round)})"


def _two_digits(amount: float, rounding: Rounding, most: int = 99) -> tuple[float, int]:
    """Return an amount with two digits, at most ``most`` of them decimals, and how many are."""
    places = min(most, 1 - math.floor(math.log10(amount))) if amount else 0
    # The inner rounding keeps what is 1.2 but for the last bit from becoming 1.3.
    if places >= 0:
        return rounding(round(amount * 10**places, 6)) / 10**places, places
    return float(rounding(round(amount / 10**-places, 6)) * 10**-places), 0
