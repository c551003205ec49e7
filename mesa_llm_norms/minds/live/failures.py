"""What goes wrong on the way to a server, in the words of ``CallError``, whatever the protocol."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime

LONGEST = 300
"""How many characters of what a server says go into a message."""

SHORTEST_SECRET = 8
"""What is shorter is no key, and could be any word."""


def kind_of(status: int) -> str:
    """Return the kind of ``CallError`` that an HTTP status means."""
    if status in (503, 529):
        return "overloaded"
    if status in (401, 402, 403, 404, 405):
        return "denied"
    if status == 429:
        return "rate limit"
    if status >= 500 or status in (408, 409, 425):
        return "failed"
    return "refused" if status >= 400 else "garbled"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a server asks to wait, or None where it asks for nothing sensible.

    It says so in milliseconds (``retry-after-ms``), in seconds or as a date; a date counts from the
    server's own clock where that is sent along.
    """
    for header, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[header]) * unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < math.inf:
            return seconds
    until = _moment(headers.get("retry-after"))
    if until is None:
        return None
    now = _moment(headers.get("date"))
    return max(0.0, until - (time.time() if now is None else now))


def secrets_of(headers: Mapping[str, object]) -> list[str]:
    """Return every text in what a client sends along that may be a secret, longest first."""
    telling = re.compile("auth|cookie|key|secret|token", re.IGNORECASE)
    sent = [str(value) for header, value in headers.items() if telling.search(header)]
    words = {word for value in sent for word in (value, *value.split())}
    return sorted((word for word in words if len(word) >= SHORTEST_SECRET), key=len, reverse=True)


def plain(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` as one short printable line in which no secret stands."""
    for secret in secrets:
        text = text.replace(secret, "[secret]")
    text = re.sub(r"\bsk-[\w-]{8,}", "[secret]", text)
    text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())[:LONGEST]


def _moment(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
