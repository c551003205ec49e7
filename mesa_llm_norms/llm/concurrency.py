"""Calls to one provider: each waits for its budget and a slot, is retried, and goes on record.

How many calls a provider gets at once follows *additive increase, multiplicative decrease* (Chiu
and Jain 1989): the limit starts at the most that is wanted, is halved when the API answers with a
rate limit, and grows by one for every so many replies after that. An API that is overloaded by
others says nothing about us, so that does not shrink it. Whatever waits, for a slot or to try
again, holds no slot.

References
----------
Chiu, D.-M. and Jain, R. (1989). Analysis of the increase and decrease algorithms for congestion
avoidance in computer networks. Computer Networks and ISDN Systems 17, 1-14.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from mesa_llm_norms.core.event_loop import GRACE_PERIOD, POLL_INTERVAL, CancelScope
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.budget import FREE, Amount, Budget, Price
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Call, Distribution, Ended, Recorded
from mesa_llm_norms.llm.provider import Provider, Question, Reply
from mesa_llm_norms.llm.replies import clean_error, located, recordable
from mesa_llm_norms.llm.retry import RetryPolicy
from mesa_llm_norms.llm.settings import LLMSettings

OVERHEAD = 500
"""Tokens that an API may read besides the prompt, such as what it adds for a schema."""
MARGIN = 1.25
"""How many times the most tokens per byte seen so far the next prompt may have."""
AT_THE_START = 3
"""How often a provider that cannot be reached is retried before the first call, at most."""

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
        self._retry = RetryPolicy(llm)
        self._tokens_per_byte = 0.0
        self._said: str | None = None
        self._noted = False
        self._stopped: Exception | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._calling: set[asyncio.Task[Any]] = set()
        self._prepared: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Have the provider find out what it can do, once; callers meanwhile wait.

        After a failure, the next caller tries again.
        """
        if self._prepared is None:
            self._prepared = asyncio.get_running_loop().create_task(self._prepare())
            self._prepared.add_done_callback(self._forget_failure)
        await asyncio.shield(self._prepared)

    async def ask(self, request: Request) -> Recorded | Reply:
        """Make calls until one brings a reply; return the decision, or a reply that gives none.

        Either is on disk.

        Raises ``CallError`` if no call brings a reply, ``BudgetError`` before one that could exceed
        the budget.
        """
        return await self._retrying(self._retry, lambda: self._call(request))

    def stop(self, reason: Exception) -> None:
        """Make no more calls: whatever waits to make one, or comes to, gets ``reason``.

        Calls under way may finish within ``GRACE_PERIOD`` seconds; then they are cancelled.
        """
        self._stopped = reason
        self.limiter.shut(reason)
        self.turn_away(reason)
        asyncio.get_running_loop().call_later(GRACE_PERIOD, self._give_up)

    async def finish_calls(self) -> None:
        """Wait for the calls under way, once ``stop`` was called; they end by then."""
        while self._calling:
            await asyncio.wait(tuple(self._calling), timeout=POLL_INTERVAL / 10)

    def turn_away(self, reason: Exception) -> None:
        """Raise ``reason`` in everything that now waits to make a call, first or repeated."""
        self.limiter.turn_away(reason)
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(reason)

    def _give_up(self) -> None:
        for task in self._calling:
            task.cancel()

    async def _prepare(self) -> None:
        retry = RetryPolicy(replace(self._llm, retries=min(self._llm.retries, AT_THE_START)))
        await self._retrying(retry, lambda: self._answered(self.provider.prepare()))
        self.parameters = dict(self.provider.parameters)

    def _forget_failure(self, prepared: asyncio.Task[None]) -> None:
        if prepared.cancelled() or prepared.exception() is not None:
            self._prepared = None

    async def _retrying(self, policy: RetryPolicy, call: Callable[[], Awaitable[T]]) -> T:
        """Return what a call brings, repeated as often and as late as a policy says."""
        failures = 0
        while True:
            begun = time.monotonic()
            try:
                return await call()
            except CallError as error:
                failures += 1
                wait = policy.wait_after(error, failures, begun, time.monotonic())
            await self._sleep(wait)

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

    async def _call(self, request: Request) -> Recorded | Reply:
        """Make one call within budget and slot, and record what came of it."""
        prompt = request.question.prompt
        size = sum(len(text.encode()) for text in prompt)
        async with AsyncExitStack() as held:
            spending = await held.enter_async_context(self._budget.reserve(self._most(size)))
            async with self.limiter.slot() as halved:
                # To the end of the stack, so that a reply gets on record before it is unwanted.
                held.enter_context(request.scope.calling())
                spending.begin()
                reply, attempt, latency = await self._make(request, halved)
            spending.settle(reply.usage, self._price or FREE, reply.calls)
            used = reply.usage.input_tokens / size
            self._tokens_per_byte = max(self._tokens_per_byte, used)
            self.limiter.succeeded()
            self._retry.succeeded()
            self._note_model(request.mind, reply.model)
            result = request.conclude(reply, attempt) if reply.usable else None
            await self._journal.end(attempt, self._ended(reply, latency), *(result or ()))
        return result[0] if result is not None else reply

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
            reply = await self._answered(self.provider.ask(request.question))
        except CallError as error:
            if error.kind == "rate limit":
                # A pause longer than allowed ends the run, and need keep nobody waiting.
                pause = error.retry_after or 0.0
                self.limiter.too_many(halved, pause if pause <= self._llm.longest_wait else 0.0)
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
        """Return what a provider answers, fit to be recorded and shown, as are its errors."""
        provider = self.provider
        try:
            answer = await answering
        except CallError as error:
            raise clean_error(error, provider.secrets) from None
        if isinstance(answer, Reply):
            return recordable(provider.label, answer, provider.secrets)  # type: ignore[return-value]
        return answer

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
        self._paused_until = 0.0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._shut: Exception | None = None

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Wait for a slot and hold it for the block; give how often the limit was halved before."""
        if self._shut is not None:
            raise self._shut
        if self._waiting or not self._free():
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            self._wake()
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled() and turn.exception() is None:  # it had a slot already
                    self._release()
                raise
        else:
            self._take()
        try:
            yield self._halved
        finally:
            self._release()

    def succeeded(self) -> None:
        """Count a reply: the limit grows by one for as many replies as it allows calls."""
        if self.limit < self.most:
            self.limit = min(self.most, self.limit + 1 / self.limit)
            self._wake()

    def too_many(self, halved: int, wait: float = 0.0) -> None:
        """Halve the limit, and give out no slot for ``wait`` seconds.

        A call whose slot was given out before the last halving says nothing about the new limit.
        """
        self._paused_until = max(self._paused_until, self._now() + wait)
        if halved == self._halved:
            self._halved += 1
            self.limit = max(1.0, self.limit / 2)

    def shut(self, reason: Exception) -> None:
        """Give out no more slots: ``slot`` raises ``reason`` from now on."""
        self._shut = reason

    def turn_away(self, reason: Exception) -> None:
        """Raise ``reason`` in everything that waits for a slot now."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_exception(reason)

    def _now(self) -> float:
        return (self._clock or asyncio.get_running_loop().time)()

    def _free(self) -> bool:
        return self.busy < int(self.limit) and self._now() >= self._paused_until

    def _take(self) -> None:
        self.busy += 1
        self.most_at_once = max(self.most_at_once, self.busy)

    def _release(self) -> None:
        self.busy -= 1
        self._wake()

    def _wake(self) -> None:
        """Give free slots to those that wait; after a pause, once it is over."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        while self._waiting and self._free():
            turn = self._waiting.popleft()
            if not turn.cancelled():
                self._take()
                turn.set_result(None)
        pause = self._paused_until - self._now()
        if self._waiting and pause > 0:
            self._alarm = asyncio.get_running_loop().call_later(pause, self._wake)
