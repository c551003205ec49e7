"""Outages: while a provider does not answer, one call tests for all.

Several failures without an answer in between are an *outage*. Then one call tests from time to time
whether it is over, and all others wait for that: they would only fail too, each on record and
counted in the budget.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time

from mesa_llm_norms.core.formatting import duration
from mesa_llm_norms.errors import CallError
from mesa_llm_norms.llm.retry import RetryPolicy

OUTAGE = 8
"""How many failures without an answer in between are an outage."""
REPORTED_FROM, REPORTED_EVERY = 5.0, 60.0
"""Seconds of waiting from which on it is reported, and between two reports."""

_log = logging.getLogger(__name__)


class Outage:
    """Failures of a provider without an answer in between. Used on one event loop only.

    From ``OUTAGE`` of them on, one call tests from time to time whether it answers again, and all
    others wait for that. Each call is known by its retry policy. ``answered`` is when an answer
    last came, ``held`` who waits.
    """

    def __init__(self, provider: str) -> None:
        self.answered: float = -math.inf
        self.held: dict[asyncio.Future[None], RetryPolicy] = {}
        self._provider = provider
        self._failures = 0
        self._tester: RetryPolicy | None = None
        self._begun: float | None = None
        self._reported = -math.inf

    def stops(self, policy: RetryPolicy) -> bool:
        """Return whether a call must wait because another one tests."""
        return self._tester is not None and self._tester is not policy

    async def wait(self, policy: RetryPolicy) -> None:
        """Wait until no other call tests."""
        while self.stops(policy):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.held[turn] = policy
            try:
                await turn
            finally:
                del self.held[turn]

    def count(self, policy: RetryPolicy) -> None:
        """Count a failure of a call, which may make it the one that tests."""
        self._failures += 1
        if self._tester is None and self._failures >= OUTAGE:
            self._tester = policy
            policy.start_over()

    def end(self, now: float) -> None:
        """Count an answer at a time: all that wait for one go ahead."""
        if self._reported > -math.inf and self._begun is not None:
            _log.warning("%s answers again, after %s", self._provider, duration(now - self._begun))
        self.answered, self._failures = now, 0
        self._tester = self._begun = None
        self._reported = -math.inf
        for turn in self.held:
            if not turn.done():
                turn.set_result(None)

    def leave(self, policy: RetryPolicy) -> None:
        """Have another call test if the one that did is no longer made."""
        if self._tester is policy:
            turn = next((turn for turn in self.held if not turn.done()), None)
            self._tester = None
            if turn is not None:
                self._tester = self.held[turn]
                turn.set_result(None)

    def report(self, error: CallError, now: float, wait: float, until: float) -> None:
        """Log what is waited for, and until when: where it lasts, and then once a minute."""
        if self._begun is None:
            self._begun = now
        if now + wait - self._begun < REPORTED_FROM or now - self._reported < REPORTED_EVERY:
            return
        self._reported = now
        status = "" if error.status is None else f" ({error.status})"
        _log.warning(
            "%s: %s%s: %s; next try at %s, given up at %s",
            error.provider,
            error.kind,
            status,
            error.problem.rstrip("."),
            *(
                time.strftime("%H:%M:%S", time.localtime(time.time() + at - now))
                for at in (now + wait, until)
            ),
        )
