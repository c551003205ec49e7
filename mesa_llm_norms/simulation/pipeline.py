"""Interactions decided before it is their turn, and handed over in order all the same.

Pairs are planned without looking at choices, so an interaction depends on nothing but the one
before it of each of its two agents. It begins as soon as those are decided, in whatever round it
is, and what comes of it is what would have come of it in its turn. How long a run takes is then the
longest chain of interactions that wait for each other, not their number.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple

from mesa_llm_norms.core.event_loop import AWAKE, GRACE, Errand, loop, result_of, set_out, start
from mesa_llm_norms.core.game import Memory, remember
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import (
    DecisionError,
    InterruptionError,
    PairingError,
    SkippedError,
)
from mesa_llm_norms.networks.adjacency import Neighbors, Pair
from mesa_llm_norms.simulation.pairing import Pairing, checked_pairs

WINDOW = 2
"""How many population rounds of interactions may be begun before the next to be committed.

More gain nothing: with two, the longest chain is met within 3% on rings of 200 and exactly on
denser networks; with one, rings take 20% longer.
"""


class Planned(NamedTuple):
    """An interaction to come: its round, its number, its nodes by index; ``last`` of its round."""

    round: int
    number: int
    a: int
    b: int
    last: bool


class Names(NamedTuple):
    """The names that two agents chose."""

    a: str
    b: str


class Decided(NamedTuple):
    """An interaction with what came of it: names, or the reason why it is void."""

    planned: Planned
    names: Names | None
    void: SkippedError | None


Ask = Callable[[Planned, Memory, Memory], Awaitable[Names]]
"""Has both minds of an interaction choose from these memories; ``SkippedError`` makes it void."""


def plan_rounds(
    pairing: Pairing,
    neighbors: Neighbors,
    stream: RandomStream,
    first_round: int,
    first: int,
    rounds: int,
) -> Iterator[Planned]:
    """Yield the interactions of some rounds; raise ``PairingError`` where a round has none."""
    number = first
    for round_ in range(first_round, first_round + rounds):
        held: Pair | None = None
        try:
            for pair in checked_pairs(pairing, neighbors, round_, number, stream):
                if held is not None:
                    yield Planned(round_, number, *held, last=False)
                    number += 1
                held = pair
        except Exception:
            if held is not None:
                yield Planned(round_, number, *held, last=False)
            raise
        if held is None:
            raise PairingError(
                "pairing", pairing, f"{pairing!r} drew no pair", "Draw at least one a round."
            )
        yield Planned(round_, number, *held, last=True)
        number += 1


def _calls(errand: Errand | None) -> bool:
    return errand is not None and errand.calls > 0


class Lookahead:
    """Has planned interactions decided, as many at once as may be, and gives them out in order.

    ``memories`` is what every node's agent remembers now; what it will remember is worked out here,
    by ``memory.remember``. Made and asked by the thread that plays; the rest happens on the loop.
    """

    def __init__(
        self, ask: Ask, plan: Iterator[Planned], memories: Sequence[Memory], length: int
    ) -> None:
        self._ask = ask
        self._plan = plan
        self._memories = list(memories)
        self._length = length
        self._window = WINDOW * len(memories)
        # How often the loop is told that there is room: to wake it every time would cost more.
        self._stride = max(1, len(memories) // 4)
        self._latest: dict[int, asyncio.Task[Decided]] = {}
        self._tasks: deque[asyncio.Task[Decided]] = deque()
        self._under_way: dict[asyncio.Task[Decided], Errand] = {}
        self._planned = self._begun = self._taken = 0
        self._failure: BaseException | None = None
        self._stopped = False
        self._ready: SimpleQueue[Decided | BaseException] = SimpleQueue()
        self._started = False

    def next(self) -> Decided:
        """Return the next interaction in order, once decided; raise what kept it from being.

        Nothing is begun before it is first called, when all can know of this and interrupt it.
        """
        if not self._started:
            self._started = True
            self._advance()
        while True:
            with suppress(Empty):
                found = self._ready.get(timeout=AWAKE)
                break
        if isinstance(found, BaseException):
            raise found
        self._taken += 1
        if self._taken % self._stride == 0:
            self._advance()
        return found

    def interrupt(self) -> None:
        """Have ``next``, called in another thread or later, raise ``InterruptionError``."""
        self._ready.put(InterruptionError())

    def close(self, grace: float = GRACE) -> int:
        """Begin nothing more, and return how many interactions were begun and are not given out.

        Calls under way may end within ``grace`` seconds, so that their replies are on record; what
        only waits is cancelled. An interrupt meanwhile cancels everything at once.
        """
        ending = start(self._close(grace))
        try:
            return result_of(ending)
        except KeyboardInterrupt:
            with suppress(CancelledError, TimeoutError):
                start(self._close(0)).result(timeout=GRACE)
            raise

    def _advance(self) -> None:
        loop().call_soon_threadsafe(self._begin_more)

    # On the loop

    def _begin_more(self) -> None:
        while not self._stopped and self._planned - self._taken < self._window:
            try:
                planned = next(self._plan)
            except StopIteration:
                return
            except Exception as error:
                self._failure = error
                self._window = 0
                self._give_out()
                return
            self._planned += 1
            before = [self._latest.get(planned.a), self._latest.get(planned.b)]
            task = asyncio.get_running_loop().create_task(self._decide(planned, before))
            self._latest[planned.a] = self._latest[planned.b] = task
            self._tasks.append(task)
            task.add_done_callback(self._done)

    async def _decide(
        self, planned: Planned, before: Sequence[asyncio.Task[Decided] | None]
    ) -> Decided:
        for task in before:
            if task is not None and not task.done():
                await asyncio.wait([task])
            if task is not None and (task.cancelled() or task.exception() is not None):
                raise asyncio.CancelledError
        if self._stopped:
            raise asyncio.CancelledError
        this = asyncio.current_task()
        assert this is not None
        self._under_way[this] = set_out()
        self._begun += 1
        a, b = planned.a, planned.b
        try:
            names = await self._ask(planned, self._memories[a], self._memories[b])
        except SkippedError as reason:
            return Decided(planned, None, reason)
        self._memories[a] = remember(self._memories[a], names.a, names.b, self._length)
        self._memories[b] = remember(self._memories[b], names.b, names.a, self._length)
        return Decided(planned, names, None)

    def _done(self, task: asyncio.Task[Decided]) -> None:
        self._under_way.pop(task, None)
        self._give_out()

    def _give_out(self) -> None:
        """Hand over what is decided, up to the first that is not, or that failed."""
        while not self._stopped and self._tasks and self._tasks[0].done():
            task = self._tasks.popleft()
            error: BaseException | None = (
                DecisionError("a mind", "it was cancelled while it decided")
                if task.cancelled()
                else task.exception()
            )
            self._stopped = error is not None
            self._ready.put(task.result() if error is None else error)
        if not self._tasks and self._failure is not None and not self._stopped:
            self._stopped = True
            self._ready.put(self._failure)

    async def _close(self, grace: float) -> int:
        self._stopped = True
        for errand in self._under_way.values():
            errand.over = True
        end = asyncio.get_running_loop().time() + grace
        while True:
            left = end - asyncio.get_running_loop().time()
            calling = [
                task for task in self._tasks if left > 0 and _calls(self._under_way.get(task))
            ]
            for task in self._tasks:
                if task not in calling:
                    task.cancel()
            if not calling:
                break
            await asyncio.wait(calling, timeout=min(left, AWAKE / 10))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self._begun - self._taken
