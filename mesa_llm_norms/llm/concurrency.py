"""Calls to one provider: each waits for its budget and a slot, is retried, and goes on record.

How many calls a provider gets at once follows *additive increase, multiplicative decrease* (Chiu
and Jain 1989): the limit starts at the most that is wanted, is halved when the API answers with a
rate limit, and grows by one for every so many replies after that. Halvings with no reply in between
say little about how many it takes: after them the limit doubles as in a *slow start* (Jacobson
1988) up to where the first one left it. An API that is overloaded by others says nothing about us,
so that does not shrink it. Whatever waits, for a slot or to try again, holds no slot.

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
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from mesa_llm_norms.core.event_loop import GRACE_PERIOD, POLL_INTERVAL, CancelScope
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.batches import RETRIES, BatchError, BatchQueue
from mesa_llm_norms.llm.budget import FREE, Amount, Budget, Price
from mesa_llm_norms.llm.journal.database import Written
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Call, Distribution, Ended, Recorded
from mesa_llm_norms.llm.outages import Outage
from mesa_llm_norms.llm.provider import Provider, Question, Reply
from mesa_llm_norms.llm.replies import clean_error, located, recordable
from mesa_llm_norms.llm.retry import UNANSWERED, RetryPolicy
from mesa_llm_norms.llm.settings import LLMSettings

OVERHEAD = 500
"""Tokens that an API may read besides the prompt, such as what it adds for a schema."""
MARGIN = 1.25
"""How many times the most tokens per byte seen so far the next prompt may have."""
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

    Anyone who uses it before lets nothing leave the process that depends on it: the next call is
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
        self._batches: BatchQueue | None = None
        if llm.batch:
            self._batches = self._batch_queue()

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
        if self._batches is not None:
            return await self._in_batches(request)
        return await self._retrying(lambda policy: self._call(request, policy))

    def stop(self, reason: Exception) -> None:
        """Make no more calls: whatever waits to make one, or comes to, gets ``reason``.

        Calls under way may finish within ``GRACE_PERIOD`` seconds; then they are cancelled.
        """
        self._stopped = reason
        self.limiter.shut(reason)
        self.turn_away(reason)
        if self._batches is not None:
            self._batches.stop(reason)
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
        if self._batches is not None:
            self._batches.turn_away(reason)
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
        call = Call(*request[:4], self.provider.place, self.parameters, *prompt)
        most = self._most(size)
        # What is out with a batch counts as a call already.
        is_out = self._batches is not None and self._batches.is_out(call)
        async with self._budget.reserve(most._replace(calls=0) if is_out else most) as spending:
            async with self.limiter.slot(first=bool(policy.failures)) as halved:
                if self._outage.stops(policy):
                    raise _HeldError
                with request.scope.calling():
                    if not is_out:
                        spending.begin()
                    make = self._make if self._batches is None else self._make_in_batch
                    reply, attempt, latency = await make(call, request.question, halved)
            # Nothing waits from here on, so that a reply is recorded before it can be unwanted.
            spending.settle(reply.usage, self._price or FREE, 0 if is_out else reply.calls)
            used = reply.usage.input_tokens / size
            self._tokens_per_byte = max(self._tokens_per_byte, used)
            self.limiter.succeeded()
            self._reached = True
            self._note_model(request.mind, reply.model)
            given = request.conclude(reply, attempt) if reply.usable else None
            written = self._journal.end(attempt, self._ended(reply, latency), *(given or ()))
        return Answer(given[0] if given is not None else reply, written)

    async def _make(self, call: Call, question: Question, halved: int) -> tuple[Reply, int, float]:
        """Make one call, on record before it is made; return its reply, number and latency."""
        recorded = self._journal.begin(call)
        begun = time.monotonic()
        this = asyncio.current_task()
        assert this is not None
        self._calling.add(this)
        try:
            await recorded
            begun = time.monotonic()
            answer = await self._answered(self.provider.ask(question))
            reply = recordable(self.provider, answer, question.pool)
        except CallError as error:
            if error.kind == "rate limit":
                # A pause longer than allowed ends the run, and need keep nobody waiting.
                pause = error.retry_after or 0.0
                self.limiter.too_many(halved, pause if pause <= self._llm.wait_at_most else 0.0)
            raise await self._failed(recorded.attempt, error, begun) from None
        except BaseException as error:
            ended = Ended("abandoned", time.monotonic() - begun, type(error).__name__)
            self._journal.end(recorded.attempt, ended)
            raise
        finally:
            self._calling.discard(this)
        return reply, recorded.attempt, time.monotonic() - begun

    async def _failed(self, attempt: int, error: CallError, begun: float) -> CallError:
        """Record that a call failed, and return its error as it may be shown."""
        problem = f"{error.kind}: {error.problem}"
        latency = time.monotonic() - begun
        ended = Ended("failed", latency, problem, error.status, self._once(error.said))
        await self._journal.end(attempt, ended)
        return located(error, self._journal.path)

    # Batches

    def _batch_queue(self) -> BatchQueue:
        provider = self.provider
        if provider.batches is None:
            raise MindError(
                "batch",
                provider.label,
                f"the API of {provider.label} takes no batches",
                "Leave batch out (--batch), or ask a Claude model.",
            )
        return BatchQueue(
            provider.batches,
            provider.label,
            self._journal,
            lambda call: self._retrying(lambda policy: self._answered(call(policy))),
            self._calling,
        )

    async def _in_batches(self, request: Request) -> Answer:
        """Ask in one batch after another until a reply comes; time does not matter here."""
        policy = RetryPolicy(self._llm)
        most = RETRIES if self._llm.retries is None else self._llm.retries
        while True:
            await self._outage.wait(policy)
            try:
                return await self._call(request, policy)
            except _HeldError:
                continue
            except BatchError as error:
                raise error.reason from None
            except CallError as error:
                policy.give_up_after(most, error)

    async def _make_in_batch(
        self, call: Call, question: Question, _: int
    ) -> tuple[Reply, int, float]:
        """Make one call together with others; return its reply, number and latency."""
        assert self._batches is not None
        begun = time.monotonic()
        attempt, read = await self._batches.ask(call, question)
        try:
            reply = recordable(self.provider, read(), question.pool)
        except CallError as error:
            cleaned = clean_error(error, self.provider.secrets)
            raise await self._failed(attempt, cleaned, begun) from None
        return reply, attempt, time.monotonic() - begun

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


class Limiter:
    """Gives out slots for concurrent calls, first come first served. Used on one event loop only.

    There are at most ``most`` slots, and fewer while the API asks for that. ``most_at_once`` is the
    highest number of slots ever held together.
    """

    def __init__(self, most: int, clock: Callable[[], float] | None = None) -> None:
        self.most = most
        self.limit: float = float(most)
        self.busy: int = 0
        self.most_at_once: int = 0
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
