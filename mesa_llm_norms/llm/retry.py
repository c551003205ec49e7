"""What goes wrong on the way to a server, in the words of ``CallError``, whatever the protocol.

When a failed call is made again, after how long, and when that is no use.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from mesa_llm_norms.errors import CallError
from mesa_llm_norms.llm.settings import LLMSettings

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


IDENTICAL = 5
"""So many times the same error in a row, with no reply in between, end a run."""


LONGEST_PAUSE = 30.0
"""Seconds that a growing wait does not outgrow."""


SHOULD_PASS = ("failed", "refused", "garbled")
"""Errors that mean something else when they do not pass: a call that this server cannot answer."""


class _Series(NamedTuple):
    """An error that one server has given ``times`` times in a row, the last time at ``seen``."""

    error: tuple[str, int | None, str]
    times: int
    seen: float


class Patience:
    """Counts the failures of one server and says how long to wait after each."""

    def __init__(self, llm: LLMSettings) -> None:
        self.llm = llm
        self._series: _Series | None = None

    def succeeded(self) -> None:
        """Count a reply: whatever went wrong before has passed."""
        self._series = None

    def after(self, error: CallError, failures: int, begun: float, now: float) -> float:
        """Return the seconds to wait before the call is made again.

        Raises ``CallError`` where it is not to be: no other call would fare better, this one has
        failed as often as it may, the wait that the server asks for is too long, or the same error
        has come five times in a row. ``failures`` counts those of this call, this one included;
        ``begun`` and ``now`` are the times at which it began and failed. Of calls that were under
        way together and failed alike, one counts.
        """
        if error.kind == "denied":
            raise error
        if self._count(error, begun, now) >= IDENTICAL:
            raise _for_good(error, f"the same {IDENTICAL} times in a row")
        if failures > self.llm.retries:
            raise _for_good(error, f"after {failures} tries")
        if error.retry_after is not None and error.retry_after > self.llm.longest_wait:
            asked = f"it asks to wait {error.retry_after:,.0f} seconds"
            raise _for_good(error, f"{asked}, {self.llm.longest_wait:,.0f} is the limit")
        growing = min(LONGEST_PAUSE, self.llm.wait * 2.0 ** min(failures - 1, 30))
        return max(error.retry_after or 0.0, growing * random.uniform(0.5, 1.0))

    def _count(self, error: CallError, begun: float, now: float) -> int:
        if error.kind not in SHOULD_PASS:
            return 0
        same = error.kind, error.status, error.problem
        series = self._series
        if series is None or series.error != same:
            series = _Series(same, 1, now)
        elif begun >= series.seen:
            series = _Series(same, series.times + 1, now)
        self._series = series
        return series.times


def _for_good(error: CallError, why: str) -> CallError:
    return CallError(
        error.server, error.kind, f"{error.problem} ({why})", error.status, error.retry_after
    )
