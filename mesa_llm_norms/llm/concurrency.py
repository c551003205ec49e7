"""Calls to one provider: each waits for its budget and a slot, is retried, and goes on record.

How many calls a provider gets at once follows *additive increase, multiplicative decrease* (Chiu
and Jain 1989): the limit starts at the most that is wanted, is halved when the API answers with a
rate limit, and grows by one for every so many replies after that. Halvings with no reply in between
say little about how many it takes: after them the limit doubles as in a *slow start* (Jacobson
1988) up to where the first one left it. An API that is overloaded by others says nothing about us,
so that does not shrink it. Whatever waits, for a slot or to try again, holds no slot.

Several failures without an answer in between are an *outage*. Then one call tests from time to time
whether it is over, and all others wait for that: they would only fail too, each on record and
counted in the budget.

References
----------
Chiu, D.-M. and Jain, R. (1989). Analysis of the increase and decrease algorithms for congestion
avoidance in computer networks. Computer Networks and ISDN Systems 17, 1-14.

Jacobson, V. (1988). Congestion avoidance and control. ACM SIGCOMM Computer Communication Review 18,
314-329.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from mesa_llm_norms.core.event_loop import GRACE_PERIOD, POLL_INTERVAL, CancelScope
from mesa_llm_norms.core.formatting import duration
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.budget import FREE, Amount, Budget, Price
from mesa_llm_norms.llm.journal.database import Written
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Call, Distribution, Ended, Recorded
from mesa_llm_norms.llm.provider import Provider, Question, Reply
from mesa_llm_norms.llm.replies import clean_error, located, recordable
from mesa_llm_norms.llm.retry import UNANSWERED, RetryPolicy
from mesa_llm_norms.llm.settings import LLMSettings

OVERHEAD = 500
"""Tokens that an API may read besides the prompt, such as what it adds for a schema."""
MARGIN = 1.25
"""How many times the most tokens per byte seen so far the next prompt may have."""
OUTAGE = 8
"""How many failures without an answer in between are an outage."""
REPORTED_FROM, REPORTED_EVERY = 5.0, 60.0
"""Seconds of waiting from which on it is reported, and between two reports."""

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Request(NamedTuple):
    """A question for which a reply is wanted, and the decision it is asked for.

    ``conclude`` says what follows from a usable reply, given the number of the call that brought
    it; ``scope``, whether the reply is still wanted.
    """

    run: int
    interaction: int
    seat: int
    mind: str
    question: Question
    conclude: Callable[[Reply, int], tuple[Recorded, Distribution | None]]
    scope: CancelScope


class Answer(NamedTuple):
    """What came of a request: the decision, or a reply that gives none; ``written`` once on disk.

    Whoever uses it before lets nothing leave the process that depends on it: the next call is
    written after it and made once both are on disk.
    """

    result: Recorded | Reply
    written: Written[None]


class RequestQueue:
    """Makes the calls to one provider. Used on one event loop only.

    Providers of one label share a limiter, all providers the budget and the journal. Raises
    ``MindError`` if the price is not known and a budget in dollars must be kept.
    """

    def __init__(
        self,
        provider: Provider,
        limiter: Limiter,
        llm: LLMSettings,
        budget: Budget,
        journal: Journal,
        price: Price | None,
    ) -> None:
        if price is None and provider.free:
            price = FREE
        if price is None and llm.budget_usd is not None:
            raise MindError(
                "mind",
                provider.label,
                f"there is no price for {provider.model!r}, and a budget in dollars to keep",
                "Give its price in a file (prices=, --prices), or a budget in tokens.",
            )
        self.provider = provider
        self.limiter = limiter
        self.parameters: Mapping[str, Any] = {}
        self._budget = budget
        self._journal = journal
        self._price = price
        self._llm = llm
        self._tokens_per_byte = 0.0
        self._said: str | None = None
        self._noted = False
        self._stopped: Exception | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._outage = Outage(provider.label)
        self._reached = False
        self._calling: set[asyncio.Task[Any]] = set()
        self._prepared: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Have the provider find out what it can do, once; callers meanwhile wait.

        After a failure, the next caller tries again. ``stop`` ends it: nothing of it is recorded.
        """
        if self._prepared is None:
            self._prepared = asyncio.get_running_loop().create_task(self._prepare())
            self._prepared.add_done_callback(self._forget_failure)
        prepared = self._prepared
        if prepared.done():
            return prepared.result()
        try:
            await asyncio.shield(prepared)
        except asyncio.CancelledError:
            if self._stopped is not None and prepared.cancelled():
                raise self._stopped from None
            raise

    async def ask(self, request: Request) -> Answer:
        """Make calls until one brings a reply; return what came of it.

        Raises ``CallError`` if no call brings a reply, ``BudgetError`` before one that could exceed
        the budget.
        """
        return await self._retrying(lambda policy: self._call(request, policy))

    def stop(self, reason: Exception) -> None:
        """Make no more calls: whatever waits to make one, or comes to, gets ``reason``.

        Calls under way may finish within ``GRACE_PERIOD`` seconds; then they are cancelled.
        """
        self._stopped = reason
        self.limiter.shut(reason)
        self.turn_away(reason)
        if self._prepared is not None:
            self._prepared.cancel()
        asyncio.get_running_loop().call_later(GRACE_PERIOD, self._give_up)

    async def finish_calls(self) -> None:
        """Wait for the calls under way, once ``stop`` was called; they end by then."""
        while self._calling:
            await asyncio.wait(tuple(self._calling), timeout=POLL_INTERVAL / 10)

    def turn_away(self, reason: Exception) -> None:
        """Raise ``reason`` in everything that now waits to make a call, first or repeated."""
        self.limiter.turn_away(reason)
        for waiting in (*self._waiting, *self._outage.held):
            if not waiting.done():
                waiting.set_exception(reason)

    def _give_up(self) -> None:
        for task in self._calling:
            task.cancel()

    async def _prepare(self) -> None:
        await self._retrying(lambda _: self._answered(self.provider.prepare()), in_steps=True)
        self.parameters = dict(self.provider.parameters)

    def _forget_failure(self, prepared: asyncio.Task[None]) -> None:
        if prepared.cancelled() or prepared.exception() is not None:
            self._prepared = None

    async def _retrying(
        self, call: Callable[[RetryPolicy], Awaitable[T]], *, in_steps: bool = False
    ) -> T:
        """Return what a call brings, repeated as often and as late as the retry policy says.

        One ``in_steps`` consists of many requests and keeps what was answered: after each answer it
        counts as a new one.
        """
        policy, now = RetryPolicy(self._llm), asyncio.get_running_loop().time
        try:
            while True:
                await self._outage.wait(policy)
                answered = self.provider.answered
                try:
                    result = await call(policy)
                except _HeldError:
                    continue
                except CallError as error:
                    if in_steps and self.provider.answered > answered:
                        policy = RetryPolicy(self._llm)
                        self._outage.end(now())
                    if error.status is not None and error.kind not in UNANSWERED:
                        self._reached = True
                    self._outage.count(policy)
                    reached = self._reached or self.provider.answered > 0
                    wait = policy.wait_after(error, now(), self._outage.answered, reached=reached)
                    self._outage.report(error, now(), wait, policy.until)
                else:
                    self._outage.end(now())
                    return result
                await self._sleep(wait)
        finally:
            self._outage.leave(policy)

    async def _sleep(self, seconds: float) -> None:
        """Wait, unless all that wait are turned away."""
        if self._stopped is not None:
            raise self._stopped
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            async with asyncio.timeout(seconds):
                await waiting
        except TimeoutError:
            return
        finally:
            self._waiting.discard(waiting)

    async def _call(self, request: Request, policy: RetryPolicy) -> Answer:
        """Make one call within budget and slot, and have what came of it recorded.

        One that failed before goes before those that did not: its time is limited.
        """
        prompt = request.question.prompt
        size = len(prompt.system.encode()) + len(prompt.user.encode())
        async with self._budget.reserve(self._most(size)) as spending:
            async with self.limiter.slot(first=bool(policy.failures)) as halved:
                if self._outage.stops(policy):
                    raise _HeldError
                with request.scope.calling():
                    spending.begin()
                    reply, attempt, latency = await self._make(request, halved)
            # Nothing waits from here on, so that a reply is recorded before it can be unwanted.
            spending.settle(reply.usage, self._price or FREE, reply.calls)
            used = reply.usage.input_tokens / size
            self._tokens_per_byte = max(self._tokens_per_byte, used)
            self.limiter.succeeded()
            self._reached = True
            self._note_model(request.mind, reply.model)
            given = request.conclude(reply, attempt) if reply.usable else None
            written = self._journal.end(attempt, self._ended(reply, latency), *(given or ()))
        return Answer(given[0] if given is not None else reply, written)

    async def _make(self, request: Request, halved: int) -> tuple[Reply, int, float]:
        """Make one call, on record before it is made; return its reply, number and latency."""
        call = Call(*request[:4], self.provider.place, self.parameters, *request.question.prompt)
        recorded = self._journal.begin(call)
        begun = time.monotonic()
        this = asyncio.current_task()
        assert this is not None
        self._calling.add(this)
        try:
            await recorded
            begun = time.monotonic()
            answer = await self._answered(self.provider.ask(request.question))
            reply = recordable(self.provider, answer, request.question.pool)
        except CallError as error:
            if error.kind == "rate limit":
                # A pause longer than allowed ends the run, and need keep nobody waiting.
                pause = error.retry_after or 0.0
                self.limiter.too_many(halved, pause if pause <= self._llm.wait_at_most else 0.0)
            problem = f"{error.kind}: {error.problem}"
            latency = time.monotonic() - begun
            ended = Ended("failed", latency, problem, error.status, self._once(error.said))
            await self._journal.end(recorded.attempt, ended)
            raise located(error, self._journal.path) from None
        except BaseException as error:
            ended = Ended("abandoned", time.monotonic() - begun, type(error).__name__)
            self._journal.end(recorded.attempt, ended)
            raise
        finally:
            self._calling.discard(this)
        return reply, recorded.attempt, time.monotonic() - begun

    async def _answered(self, answering: Awaitable[T]) -> T:
        """Return what a provider answers, or raise its error as it may be recorded and shown."""
        try:
            return await answering
        except CallError as error:
            raise clean_error(error, self.provider.secrets) from None

    def _note_model(self, mind: str, model: str | None) -> None:
        """Say once if another model answers than in the beginning; which one is with every call."""
        first = self._journal.model(mind)
        if None not in (first, model) and first != model and not self._noted:
            self._noted = True
            _log.warning("%s: %s answers now, and %s did in the beginning", mind, model, first)

    def _once(self, said: str | None) -> str | None:
        """Return what came with an error, unless it is what came with the one before."""
        if said == self._said:
            return None
        self._said = said
        return said

    def _ended(self, reply: Reply, latency: float) -> Ended:
        return Ended(
            "distribution" if reply.distribution else "name" if reply.name else "unusable",
            latency,
            reply.problem,
            None,
            reply.text,
            reply.model,
            reply.stop,
            *reply.usage,
            self._price.cost(reply.usage) if self._price is not None else None,
            reply.thoughts,
        )

    def _most(self, size: int) -> Amount:
        """Return the most that one call with a prompt of so many bytes may use.

        A token is at least a byte. Once replies have come, their tokens per byte say more.
        """
        per_byte = self._tokens_per_byte
        read = size * per_byte * MARGIN if per_byte else size + OVERHEAD
        price = self._price or FREE
        write = self.provider.max_tokens
        usd = (read * price.input + write * price.output) / 1_000_000
        times = self.provider.calls_at_most
        return Amount(times, times * (read + write), times * usd)


class _HeldError(Exception):
    """An outage began while a call waited for its slot."""


class Outage:
    """Failures of a provider without an answer in between. Used on one event loop only.

    From ``OUTAGE`` of them on, one call tests from time to time whether it answers again, and all
    others wait for that. Each call is known by its retry policy. ``answered`` is when an answer
    last came, ``held`` who waits.
    """

    def __init__(self, provider: str) -> None:
        self.answered = -math.inf
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


class Limiter:
    """Gives out slots for concurrent calls, first come first served. Used on one event loop only.

    There are at most ``most`` slots, and fewer while the API asks for that. ``most_at_once`` is the
    highest number of slots ever held together.
    """

    def __init__(self, most: int, clock: Callable[[], float] | None = None) -> None:
        self.most = most
        self.limit = float(most)
        self.busy = 0
        self.most_at_once = 0
        self._halved = 0
        self._aim = float(most)
        self._answered = True
        self._paused_until = 0.0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._first: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._shut: Exception | None = None

    def slot(self, first: bool = False) -> Slot:
        """Return a slot to wait for and hold for an ``async with`` block.

        The block gets how often the limit was halved before. ``first`` is for those that go before
        others.
        """
        return Slot(self, first)

    async def take(self, first: bool) -> int:
        """Wait for a slot and take it; return how often the limit was halved so far."""
        if self._shut is not None:
            raise self._shut
        queue = self._first if first else self._waiting
        if not queue and self._free():
            self._take()
            return self._halved
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        self._wake()
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled() and turn.exception() is None:  # it had a slot already
                self.release()
            raise
        return self._halved

    def release(self) -> None:
        """Give a slot back."""
        self.busy -= 1
        self._wake()

    def succeeded(self) -> None:
        """Count a reply: the limit grows by one for as many replies as it allows calls.

        It grows by one for each up to half of what it was when replies last came.
        """
        self._answered = True
        if self.limit < self.most:
            more = 1.0 if self.limit < self._aim else 1 / self.limit
            self.limit = min(self.most, self.limit + more)
            self._wake()

    def too_many(self, halved: int, wait: float = 0.0) -> None:
        """Halve the limit, and give out no slot for ``wait`` seconds.

        A call whose slot was given out before the last halving says nothing about the new limit.
        """
        self._paused_until = max(self._paused_until, self._now() + wait)
        if halved == self._halved:
            self._halved += 1
            self.limit = max(1.0, self.limit / 2)
            if self._answered:
                self._aim, self._answered = self.limit, False

    def shut(self, reason: Exception) -> None:
        """Give out no more slots: ``slot`` raises ``reason`` from now on."""
        self._shut = reason

    def turn_away(self, reason: Exception) -> None:
        """Raise ``reason`` in everything that waits for a slot now."""
        for queue in (self._first, self._waiting):
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_exception(reason)

    def _now(self) -> float:
        return (self._clock or asyncio.get_running_loop().time)()

    def _free(self) -> bool:
        return self.busy < int(self.limit) and self._now() >= self._paused_until

    def _take(self) -> None:
        self.busy += 1
        self.most_at_once = max(self.most_at_once, self.busy)

    def _wake(self) -> None:
        """Give free slots to those that wait; after a pause, once it is over."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if not self._first and not self._waiting:
            return
        for queue in (self._first, self._waiting):
            while queue and self._free():
                turn = queue.popleft()
                if not turn.cancelled():
                    self._take()
                    turn.set_result(None)
        pause = self._paused_until - self._now()
        if (self._first or self._waiting) and pause > 0:
            self._alarm = asyncio.get_running_loop().call_later(pause, self._wake)


class Slot:
    """One slot of a limiter, held for a block."""

    def __init__(self, limiter: Limiter, first: bool) -> None:
        self._limiter = limiter
        self._first = first

    async def __aenter__(self) -> int:
        return await self._limiter.take(self._first)

    async def __aexit__(self, *_: object) -> None:
        self._limiter.release()
