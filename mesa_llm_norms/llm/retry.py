"""Failed calls: what went wrong, in the words of ``CallError``, and whether to call again.

Every provider reads its errors with the functions here, whatever its protocol, so that one retry
policy serves them all. No secret gets into a message.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from mesa_llm_norms.errors import CallError

if TYPE_CHECKING:
    from mesa_llm_norms.llm.settings import LLMSettings

MAX_MESSAGE = 300
"""How many characters of an API's own message are quoted."""
_MOST_CLEANED = 50 * MAX_MESSAGE
"""How many characters of one are looked at."""
LONGEST_SECRET = 1_024
"""The most characters that a key is taken to have."""
_OFTEN = 64
"""A longer text is not expected to come again."""
MIN_SECRET = 8
"""Anything shorter is not a key, and could be any word."""
IDENTICAL = 5
"""This many times the same error in a row, without a reply in between, ends a run."""
LONGEST_BACKOFF = 30.0
"""Seconds that the growing wait never exceeds."""
_KEY_NAME = re.compile(r"(?:^|_)(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$", re.IGNORECASE)
"""What environment variables that hold a key are called."""
_KEY_LIKE = re.compile(
    r"\bsk-[\w-]{8,}"
    r"|\b(?:gsk|hf|xai|pplx|nvapi|csk|r8|fw|ghp|gho|glpat|sk|pk|rk|xox[abp])[_-][\w-]{16,}"
    r"|\bAIza[\w-]{30,}|\bAKIA[A-Z0-9]{16}\b|(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?<=\bBearer )[\w.~+/=-]{16,}"
)
"""What keys of well-known makers look like."""
_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colors, cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-Z\\^-~]"
)
"""What a terminal would obey."""
TRANSIENT = ("failed", "refused", "garbled")
"""Errors that should pass; if they do not, the API cannot answer this call."""


class RetryPolicy:
    """Counts the failures of one provider and says how long to wait after each."""

    def __init__(self, llm: LLMSettings) -> None:
        self.llm = llm
        self._series: _Series | None = None

    def succeeded(self) -> None:
        """Count a reply: whatever went wrong before has passed."""
        self._series = None

    def wait_after(self, error: CallError, failures: int, begun: float, now: float) -> float:
        """Return how many seconds to wait before the call is made again.

        That is what the API asks for, and at least the growing wait with jitter. Raises
        ``CallError`` if the call is not to be repeated: no other call would fare better, it has
        failed as often as it may, the API asks for too long a wait, or the same error has occurred
        five times in a row. ``failures`` counts those of this call, ``begun`` and ``now`` are when
        it began and failed. Of calls that were in flight together and failed alike, one counts.
        """
        if error.kind == "denied":
            raise error
        if self._count(error, begun, now) >= IDENTICAL:
            raise _final(error, f"the same {IDENTICAL} times in a row")
        if failures > self.llm.retries:
            raise _final(error, f"after {failures} tries")
        asked = error.retry_after or 0.0
        if asked > self.llm.longest_wait:
            limit = f"{self.llm.longest_wait:,.0f} is the limit"
            raise _final(error, f"it asks to wait {asked:,.0f} seconds, {limit}")
        growing = min(LONGEST_BACKOFF, self.llm.wait * 2.0 ** min(failures - 1, 30))
        return max(asked, growing * random.uniform(0.5, 1.0))

    def _count(self, error: CallError, begun: float, now: float) -> int:
        """Return how many times in a row this error has occurred."""
        if error.kind not in TRANSIENT:
            return 0
        same = error.kind, error.status, error.problem
        series = self._series
        if series is None or series.error != same:
            series = _Series(same, 1, now)
        elif begun >= series.seen:
            series = _Series(same, series.times + 1, now)
        self._series = series
        return series.times


class _Series(NamedTuple):
    """An error that one provider has given ``times`` times in a row, the last time at ``seen``."""

    error: tuple[str, int | None, str]
    times: int
    seen: float


def _final(error: CallError, why: str) -> CallError:
    problem = f"{error.problem} ({why})"
    return CallError(
        error.provider, error.kind, problem, error.status, error.retry_after, error.remedy
    )


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
    """Return the seconds that an API asks to wait, or None if it asks for nothing sensible.

    It does so in milliseconds (``retry-after-ms``), in seconds or as a date, which is compared with
    the API's own clock if that is sent along.
    """
    for header, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers[header]) * unit
        except (KeyError, ValueError):
            continue
        if 0 <= seconds < math.inf:
            return seconds
    until = _timestamp(headers.get("retry-after"))
    if until is None:
        return None
    now = _timestamp(headers.get("date"))
    return max(0.0, until - (time.time() if now is None else now))


def _timestamp(date: str | None) -> float | None:
    try:
        return None if date is None else parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None


def secrets_in(headers: Mapping[str, object]) -> list[str]:
    """Return every text in the headers of a request that may be a secret, longest first."""
    telling = re.compile("auth|cookie|key|secret|token", re.IGNORECASE)
    sent = [str(value) for header, value in headers.items() if telling.search(header)]
    return _texts_of(sent)


def keys_in_environment() -> list[str]:
    """Return the values of all environment variables that are named like a key, longest first.

    Those include the keys of every provider, also of plugins.
    """
    return _texts_of([value for name, value in os.environ.items() if _KEY_NAME.search(name)])


def without_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """Return a text with each of ``secrets``, each key of the environment and what looks like one
    replaced, and nothing else changed.
    """
    if len(text) < MIN_SECRET:
        return text
    # Most replies are the same few words again and again.
    clean = _cleaned if len(text) <= _OFTEN else _cleaned.__wrapped__
    return clean(text, tuple(secrets))


@lru_cache(1_024)
def _cleaned(text: str, secrets: tuple[str, ...]) -> str:
    for secret in (*secrets, *keys_in_environment()):
        text = text.replace(secret, "[secret]")
    return _KEY_LIKE.sub("[secret]", text)


def redacted(text: str, secrets: Iterable[str] = (), most: int = MAX_MESSAGE) -> str:
    """Return a text as one short printable line ``without_secrets``, terminal escapes removed."""
    some = without_secrets(_ESCAPE.sub("", text[:_MOST_CLEANED]), secrets)
    if len(text) > _MOST_CLEANED:  # its end may be the beginning of a key
        some = some[:-LONGEST_SECRET]
    text = "".join(character if character.isprintable() else " " for character in some)
    return " ".join(text.split())[:most]


def _texts_of(values: Iterable[str]) -> list[str]:
    """Return every form in which a server may repeat one of ``values``, longest first."""
    words = {word for value in values for word in (value, *value.split())}
    forms = {form for word in words for form in (word, quote(word, ""), json.dumps(word)[1:-1])}
    return sorted((form for form in forms if len(form) >= MIN_SECRET), key=len, reverse=True)
