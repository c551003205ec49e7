"""Failed calls: what went wrong, in the words of ``CallError``, and whether to call again.

Every provider reads its errors with the functions here, whatever its protocol, so that one retry
policy serves them all. No secret gets into a message.
"""

from __future__ import annotations

import base64
import json
import math
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote

from mesa_llm_norms.core.formatting import plural
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
LONGEST_BACKOFF = 30.0
"""Seconds that the growing wait never exceeds."""
LONGEST_WRITTEN = 1e9
"""From here on seconds are written with an exponent."""
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
_NOISE = re.compile(
    rf"{_ESCAPE.pattern}|(?P<gap>[\s\0-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]+)"
    r"|(?<!\\)\\+(?:u(?:0000)?(?P<u>[0-9a-f]{4})|u\{(?P<braced>[0-9a-f]{1,5})\}|x(?P<x>[0-9a-f]{2})"
    r"|[nrt]|(?=/))|%(?P<percent>[0-9a-f]{2})|&\#x0*(?P<html>[0-9a-f]{1,5});"
    r"|&\#0*(?P<decimal>[0-9]{1,6});",
    re.IGNORECASE,
)
"""What may stand between the characters of a key, or for one of them."""
REFUSED = 2
"""How often a call is repeated to which the provider objects: that rarely passes."""
AT_THE_START = 3
"""How often a call is repeated to a provider that has never answered: its address may be wrong."""
UNANSWERED = ("connection", "timeout", "garbled")
"""The kinds of failure that a wrong address has."""


class RetryPolicy:
    """Says of one call how long to wait after each failure, until it is to be given up.

    Attributes
    ----------
    failures : collections.Counter
        How often the call has failed, by kind.
    until : float
        When it is given up, by the clock of ``wait_after``; infinite before the first failure.
    """

    def __init__(self, llm: LLMSettings) -> None:
        self.llm = llm
        self.failures: Counter[str] = Counter()
        self.until: float = math.inf
        self._doublings = 0

    def wait_after(
        self, error: CallError, now: float, answered: float = -math.inf, *, reached: bool = True
    ) -> float:
        """Return how many seconds to wait before the call is made again.

        That is what the provider asks for, and at least the growing wait with jitter. The last try
        is made when the time is up.

        Parameters
        ----------
        error : CallError
            How the call failed this time.
        now : float
            When it failed, in seconds by any clock.
        answered : float, default minus infinity
            When the provider last answered any call. A rate limit is no outage while it answers
            others, so that the time counts from there.
        reached : bool, default True
            Whether the provider was ever heard of; if not, its address may be wrong.

        Returns
        -------
        float
            Seconds.

        Raises
        ------
        CallError
            If the call is to be given up, saying why.
        """
        self.failures[error.kind] += 1
        tries = self.failures.total()
        limit = self.llm.wait_at_most
        if tries == 1:
            self.until = now + limit
        if error.kind == "rate limit":
            self.until = max(self.until, answered + limit)
        left = self.until - now
        asked = error.retry_after or 0.0
        if error.kind == "denied":
            raise error
        if error.kind == "refused" and self.failures["refused"] > REFUSED:
            raise _final(error, f"after {tries} tries")
        if not reached and error.kind in UNANSWERED and tries > AT_THE_START:
            raise _final(error, f"after {tries} tries, and it has never answered")
        if self.llm.retries is not None and tries > self.llm.retries:
            raise _final(error, f"after {plural(tries, 'try', 'tries')}")
        if asked > 0 and asked > left:
            rest = f"{limit:,g} is the limit"
            if tries > 1:
                rest = f"{max(left, 0.0):,.0f} of {limit:,g} are left"
            wish = f"{asked:,.0f}" if asked < LONGEST_WRITTEN else f"{asked:.3g}"
            raise _final(error, f"it asks to wait {wish} seconds, {rest}")
        if left <= 0:
            raise _final(error, f"after {plural(tries, 'try', 'tries')} and {limit:,g} seconds")
        growing = min(LONGEST_BACKOFF, self.llm.wait * 2.0 ** min(self._doublings, 30))
        self._doublings += 1
        return min(left, max(asked, growing * random.uniform(0.5, 1.0)))

    def give_up_after(self, retries: int, error: CallError) -> None:
        """Count a failure; raise it if it cannot pass, or came more often than may be repeated."""
        self.failures[error.kind] += 1
        tries = self.failures.total()
        if error.kind == "denied":
            raise error
        if tries > retries or self.failures["refused"] > REFUSED:
            raise _final(error, f"after {plural(tries, 'try', 'tries')}")

    def start_over(self) -> None:
        """Have the growing wait begin at its shortest again."""
        self._doublings = 0


def _final(error: CallError, why: str) -> CallError:
    problem = f"{error.problem} ({why})"
    rest = error.status, error.retry_after, error.remedy
    return CallError(error.provider, error.kind, problem, *rest, said=error.said)


def kind_of(status: int | None, said: object = "") -> str:
    """Return the kind of ``CallError`` that an HTTP status means, given what the API said with it.

    APIs say with various statuses that an account has no money left, in an error's code or in
    words. ``said`` is text or JSON. An error without a status stood in place of
    a reply.
    """
    if (status is None or 400 <= status < 500) and status not in PASSING and means_unpaid(said):
        return "denied"
    if status is None:
        return "failed"
    if status in (503, 529):
        return "overloaded"
    if status in (401, 402, 403, 404, 405):
        return "denied"
    if status == 429:
        return "rate limit"
    if status >= 500 or status in PASSING:
        return "failed"
    return "refused" if status >= 400 else "garbled"


def means_unpaid(said: object) -> bool:
    """Return whether an API says that there is no money left, so that waiting does not help.

    Its code is clear. Words are not: many mention quotas and billing in a rate limit, beside the
    time after which it passes.
    """
    text = str(said)[:READ]
    if _UNPAID_CODE.search(text):
        return True
    return bool(_UNPAID.search(text)) and not _PASSES.search(text)


READ = 10_000
"""How many characters of an error are searched for its cause."""
PASSING = (408, 409, 425)
"""The statuses below 500 of errors that may pass."""
_UNPAID_CODE = re.compile(
    r"insufficient_(quota|balance|credits?|funds)|not_enough_(balance|credits?)|billing_(error|not_active"
    r"|hard_limit_reached)|exceeded_current_quota|spend(ing)?_limit_reached|payment_required"
    r"|credit_balance|budget_exceeded|exceeded_?budget|arrearage",
    re.IGNORECASE,
)
_UNPAID = re.compile(
    r"""
    \b(insufficient|not[ ]enough|out[ ]of|no[ ]more|ran[ ]out[ ]of|requires?[ ]more|purchase[ ]more)
        [ ](\w+[ ])?(credits?|balance|funds|money|quota)\b
    | \b(credits?|balance|funds|free[ ]tier)\b[ ](\S+[ ]){0,4}
        (too[ ]low|insufficient|exhausted|depleted|used[ ]up|expired|negative)\b
    | \bused[ ](up[ ])?(all[ ])?(\w+[ ]){0,3}credits\b
    | \b(spend|spending|credit|billing|budget|usage|monthly)[ ](hard[ ])?(limits?|caps?|quota)[ ]
        (\w+[ ]){0,2}(reached|exceeded|hit)\b
    | \b(reached|exceed(s|ed|ing)?|hit)[ ](\w+[ ]){0,4}
        ((spend|spending|credit|billing|usage|monthly)[ ](limits?|cap|quota)
        |credits|current[ ]quota)\b
    | \bbudget[ ]has[ ]been[ ]exceeded | \bexceeded[ ]\w+[ ]budget
    | \baccount(\W\S+)?[ ](\w+[ ]){0,2}
        (not[ ]active|inactive|suspended|deactivated|in[ ]good[ ]standing)\b
    | \bcheck[ ]your[ ](\w+[ ]and[ ])?billing\b | \bpayment[ ](is[ ])?(required|overdue)\b
    | \b(unpaid|overdue)[ ]\w+ | \brecharge\b | \btop[ ]up[ ]your\b
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PASSES = re.compile(
    r"\b(try again|retry|wait|resets?|retry.?delay|retry.?after)\W+(in|after|at|for|\d)\b"
    r"|\bretry_?(delay|after)|\bper.(second|min|minute|hour|day)\b|\b[RT]P[SMD]\b",
    re.IGNORECASE,
)


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
    return forms_of(sent)


def keys_in_environment() -> list[str]:
    """Return the values of all environment variables that are named like a key, longest first.

    Those include the keys of every provider, also of plugins.
    """
    return forms_of([value for name, value in os.environ.items() if _KEY_NAME.search(name)])


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
    known = (*secrets, *keys_in_environment())
    for secret in known:
        text = text.replace(secret, "[secret]")
    return _KEY_LIKE.sub("[secret]", _without_disguised(text, known))


def _without_disguised(text: str, secrets: Iterable[str]) -> str:
    """Return a text without the secrets that are split, escaped or encoded in it."""
    plain, begins, ends = _plain(text)
    spans = []
    for form in {form for secret in secrets for form in _disguises(secret)}:
        at = plain.find(form)
        while at >= 0:
            spans.append((begins[at], ends[at + len(form) - 1]))
            at = plain.find(form, at + len(form))
    clean, done = [], 0
    for begin, end in sorted(spans):
        if begin >= done:
            clean += [text[done:begin], "[secret]"]
        done = max(done, end)
    return "".join((*clean, text[done:]))


def _plain(text: str) -> tuple[str, list[int], list[int]]:
    """Return a text without what may split a key and with escapes read, and where each character
    begins and ends in the text.
    """
    parts: list[str] = []
    begins: list[int] = []
    ends: list[int] = []
    done = 0
    for noise in _NOISE.finditer(text):
        parts.append(text[done : noise.start()])
        begins += range(done, noise.start())
        ends += range(done + 1, noise.start() + 1)
        done = noise.end()
        kind = noise.lastgroup
        if kind is None or kind == "gap":
            continue
        code = int(noise[kind], 10 if kind == "decimal" else 16)
        if not _NOISE.match(character := chr(code)):
            parts.append(character)
            begins.append(noise.start())
            ends.append(noise.end())
    parts.append(text[done:])
    begins += range(done, len(text))
    ends += range(done + 1, len(text) + 1)
    return "".join(parts), begins, ends


@lru_cache(1_024)
def _disguises(secret: str) -> tuple[str, ...]:
    """Return a secret as ``_plain`` gives it, in hexadecimal, and in base64 inside any text."""
    content = secret.encode("utf-8", "surrogatepass")
    forms = [_plain(secret)[0], content.hex(), content.hex().upper()]
    for before in range(3):
        coded = base64.b64encode(bytes(before) + content).decode()
        # Less the characters that depend on what stands before and after it too.
        whole = coded[(0, 2, 3)[before] : (before + len(content)) * 8 // 6]
        forms += whole, whole.replace("+", "-").replace("/", "_")
    return tuple({form for form in forms if len(form) >= MIN_SECRET})


def redacted(text: str, secrets: Iterable[str] = (), most: int = MAX_MESSAGE) -> str:
    """Return a text as one short printable line ``without_secrets``, terminal escapes removed."""
    clean = _redacted if len(text) <= _OFTEN else _redacted.__wrapped__
    return clean(text, tuple(secrets), most)


@lru_cache(1_024)
def _redacted(text: str, secrets: tuple[str, ...], most: int) -> str:
    some = without_secrets(_ESCAPE.sub("", text[:_MOST_CLEANED]), secrets)
    if len(text) > _MOST_CLEANED:  # its end may be the beginning of a key
        some = some[:-LONGEST_SECRET]
    text = "".join(character if character.isprintable() else " " for character in some)
    return " ".join(text.split())[:most]


def forms_of(values: Iterable[str]) -> list[str]:
    """Return every form in which a server may repeat one of ``values``, longest first."""
    words = {word for value in values for word in (value, *value.split())}
    forms = {form for word in words for form in (word, quote(word, ""), json.dumps(word)[1:-1])}
    return sorted((form for form in forms if len(form) >= MIN_SECRET), key=len, reverse=True)
