"""How a chart of the page reads its shares."""

from __future__ import annotations

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"


def decode(text: str) -> list[float | None]:
    """Return the shares of a text, as the chart reads it."""
    pairs = [text[start : start + 2] for start in range(0, len(text), 2)]
    return [
        None if pair == "  " else (64 * DIGITS.index(pair[0]) + DIGITS.index(pair[1])) / 4095
        for pair in pairs
    ]
