"""How many calls a server gets at once: as many as it takes.

The number starts at the most that is wanted, is halved when the server says that these are too many
(a rate limit), and grows by one for every so many replies after that: additive increase,
multiplicative decrease (Chiu and Jain 1989). A server that is overloaded by others says nothing
about us, so that does not shrink it. Whoever waits, for a place or to try again, holds none.

Where the calls to one server are made: in turn, within budget, again if need be, on record.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from mesa_llm_norms.core.event_loop import GRACE, calling
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.llm.budget import FREE, Amount, Budget, Price
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.tables import Call, Distribution, Ended, Recorded
from mesa_llm_norms.llm.provider import Provider, Question, Reply
from mesa_llm_norms.llm.retry import Patience
from mesa_llm_norms.llm.settings import LLMSettings


class Place(NamedTuple):
    """A place for one call: how many times the limiter had shrunk when it was given."""

    shrunk: int


class Limiter:
    """Gives out places for calls, ``most`` at once and fewer where the server asks for that.

    ``most_at_once`` is the highest number of calls there were. Used on one event loop only.
    """

    def __init__(self, most: int, clock: Callable[[], float] | None = None) -> None:
        self.most = most
        self.limit = float(most)
        self.busy = 0
        self.most_at_once = 0
        self._shrunk = 0
        self._paused_until = 0.0
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._shut: Exception | None = None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[Place]:
        """Wait for a place, first come first served, and hold it for the block."""
        if self._shut is not None:
            raise self._shut
        if self._waiting or not self._free():
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            self._wake()
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled() and turn.exception() is None:  # it had a place already
                    self._release()
                raise
        else:
            self._take()
        try:
            yield Place(self._shrunk)
        finally:
            self._release()

    def succeeded(self) -> None:
        """Count a reply: the limit grows by one for as many replies as it allows calls."""
        if self.limit < self.most:
            self.limit = min(self.most, self.limit + 1 / self.limit)
            self._wake()

    def too_many(self, place: Place, wait: float = 0.0) -> None:
        """Halve the limit, and begin no call for ``wait`` seconds.

        Calls that were begun before the last halving say nothing about the new limit.
        """
        self._paused_until = max(self._paused_until, self._now() + wait)
        if place.shrunk == self._shrunk:
            self._shrunk += 1
            self.limit = max(1.0, self.limit / 2)

    def shut(self, reason: Exception) -> None:
        """Give out no more places; whoever comes for one gets ``reason`` instead."""
        self._shut = reason

    def turn_away(self, reason: Exception) -> None:
        """Give ``reason``, instead of a place, to all who wait for one now."""
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
        """Give free places to those who wait; after a pause, when it is over."""
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


OVERHEAD = 500
"""Tokens that a server may read beside the prompt, such as what it adds for a schema."""


MARGIN = 1.25
"""How many times the most tokens per byte seen so far the next prompt may have."""


T = TypeVar("T")


AT_THE_START = 3
"""How often a server that is not there is tried again before the first call, at most."""


Where = tuple[int, int, int]
"""Run, interaction and seat."""


class Result(NamedTuple):
    """What follows from a usable reply, and goes on record with it."""

    recorded: Recorded
    distribution: Distribution | None = None


Conclude = Callable[[Reply, int], Result]
"""Says what follows from a usable reply, given the number of the call that brought it."""


class Desk:
    """Makes the calls to one server.

    ``price`` is None where it is not known. Raises ``MindError`` if it must be, for a budget.
    """

    def __init__(
        self,
        server: Provider,
        limiter: Limiter,
        llm: LLMSettings,
        budget: Budget,
        journal: Journal,
        price: Price | None,
    ) -> None:
        if price is None and server.free:
            price = FREE
        if price is None and llm.budget_usd is not None:
            raise MindError(
                "mind",
                server.label,
                f"there is no price for {server.model!r}, and a budget in dollars to keep",
                "Give its price in a file (prices=, --prices), or a budget in tokens.",
            )
        self.server = server
        self.limiter = limiter
        self._budget = budget
        self._journal = journal
        self._price = price
        self._calls = llm
        self._patience = Patience(llm)
        self._per_byte = 0.0
        self._stopped: Exception | None = None
        self._sleeping: set[asyncio.Future[None]] = set()
        self._calling: set[asyncio.Task[Any]] = set()
        self._prepared: asyncio.Task[None] | None = None
        self.parameters: Mapping[str, Any] = {}
        """What the server sends beside a prompt, known once it is prepared."""

    async def prepare(self) -> None:
        """Have the server find out what it can do, once; whoever asks meanwhile waits."""
        if self._prepared is None:
            self._prepared = asyncio.get_running_loop().create_task(self._prepare())
            self._prepared.add_done_callback(self._forget_failure)
        await asyncio.shield(self._prepared)

    def _forget_failure(self, prepared: asyncio.Task[None]) -> None:
        """Have another try made where the run is gone on with."""
        if prepared.cancelled() or prepared.exception() is not None:
            self._prepared = None

    async def ask(
        self, where: Where, mind: str, question: Question, conclude: Conclude
    ) -> Recorded | str:
        """Make calls until one brings a reply; return the decision, or why there is none.

        Raises ``CallError`` where no call brings a reply, ``BudgetError`` before one that is beyond
        the budget.
        """
        return await self._persist(
            self._patience, lambda: self._call(where, mind, question, conclude)
        )

    def stop(self, reason: Exception) -> None:
        """Make no more calls; whoever waits to make one gets ``reason``.

        Calls that are being made may end, within some seconds; then they are cancelled.
        """
        self._stopped = reason
        self.limiter.shut(reason)
        self.turn_away(reason)
        asyncio.get_running_loop().call_later(GRACE, self._give_up)

    def turn_away(self, reason: Exception) -> None:
        """Give ``reason`` to all who wait to make a call, for the first time or again."""
        self.limiter.turn_away(reason)
        for waiting in self._sleeping:
            if not waiting.done():
                waiting.set_exception(reason)

    def _give_up(self) -> None:
        for task in self._calling:
            task.cancel()

    async def _sleep(self, seconds: float) -> None:
        if self._stopped is not None:
            raise self._stopped
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[None] = loop.create_future()
        alarm = loop.call_later(seconds, _wake, waiting)
        self._sleeping.add(waiting)
        try:
            await waiting
        finally:
            alarm.cancel()
            self._sleeping.discard(waiting)

    async def _prepare(self) -> None:
        patience = Patience(replace(self._calls, retries=min(self._calls.retries, AT_THE_START)))
        await self._persist(patience, self.server.prepare)
        self.parameters = dict(self.server.parameters)

    async def _persist(self, patience: Patience, call: Callable[[], Awaitable[T]]) -> T:
        """Return what a call brings, made again as often and as late as ``patience`` says."""
        failures = 0
        while True:
            begun = time.monotonic()
            try:
                return await call()
            except CallError as error:
                failures += 1
                wait = patience.after(error, failures, begun, time.monotonic())
            await self._sleep(wait)

    async def _call(
        self, where: Where, mind: str, question: Question, conclude: Conclude
    ) -> Recorded | str:
        call = Call(*where, mind, self.server.place, self.parameters, *question.prompt)
        size = sum(len(text.encode()) for text in question.prompt)
        async with AsyncExitStack() as held:
            spent = await held.enter_async_context(self._budget.set_aside(self._most(size)))
            async with self.limiter.place() as place:
                held.enter_context(calling())
                spent.begin()
                reply, attempt, latency = await self._make(call, question, place)
            spent.tell(reply.usage, self._price or FREE, reply.calls)
            self._per_byte = max(self._per_byte, reply.usage.input_tokens / size)
            self.limiter.succeeded()
            self._patience.succeeded()
            result = conclude(reply, attempt) if reply.usable else None
            ended = self._ended(reply, latency)
            await self._journal.end(attempt, ended, *(result or ()))
        if result is None:
            return reply.problem or "its reply gives no name of the pool"
        return result.recorded

    async def _make(self, call: Call, question: Question, place: Place) -> tuple[Reply, int, float]:
        """Make one call; return its reply, its number and its latency. It is on record before."""
        handed_in = self._journal.begin(call)
        begun = time.monotonic()
        this = asyncio.current_task()
        assert this is not None
        self._calling.add(this)
        try:
            await handed_in
            begun = time.monotonic()
            reply = await self.server.ask(question)
        except CallError as error:
            if error.kind == "rate limit":
                # What is longer than anybody may wait ends the run, and keeps nobody waiting.
                pause = error.retry_after or 0.0
                self.limiter.too_many(place, pause if pause <= self._calls.longest_wait else 0.0)
            problem = f"{error.kind}: {error.problem}"
            ended = Ended("failed", time.monotonic() - begun, problem, error.status)
            await self._journal.end(handed_in.attempt, ended)
            raise
        except BaseException as error:
            ended = Ended("abandoned", time.monotonic() - begun, type(error).__name__)
            self._journal.end(handed_in.attempt, ended)
            raise
        finally:
            self._calling.discard(this)
        return reply, handed_in.attempt, time.monotonic() - begun

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
        )

    def _most(self, size: int) -> Amount:
        """Return the most that one call with a prompt of so many bytes may use.

        A token is a byte at least. Once replies have come, their most tokens per byte tell more.
        """
        read = size + OVERHEAD if not self._per_byte else size * self._per_byte * MARGIN
        price = self._price or FREE
        write = self.server.max_tokens
        usd = (read * price.input + write * price.output) / 1_000_000
        times = self.server.calls_at_most
        return Amount(times, times * (read + write), times * usd)


def _wake(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
