"""Interactions decided concurrently, before it is their turn, and handed over in order.

Pairs are planned without looking at choices, so an interaction depends on nothing but the previous
one of each of its agents. It starts as soon as those are decided, in whatever round it is, and
its outcome is the one it would have had in its turn. How long a run takes is then the longest chain
of interactions that wait for each other, not their number.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import NamedTuple, TypeAlias

from mesa_llm_norms.core.event_loop import (
    GRACE_PERIOD,
    POLL_INTERVAL,
    CancelScope,
    loop,
    result_of,
    start,
)
from mesa_llm_norms.core.game import Memory, keep
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.errors import (
    DecisionError,
    InterruptionError,
    PairingError,
    SkippedError,
    shown,
)
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.pairing import Pairing, checked_pairs

WINDOW = 2
"""Population rounds of interactions that may be decided ahead of the next one to be committed.

More gain nothing: with two, the longest chain is met within 3% on rings of 200 and exactly on
denser networks; with one, rings take 20% longer.
"""


class Planned(NamedTuple):
    """An interaction to come: its round, number, and whether it ends its round.

    ``nodes`` has the index of who sits where, the one drawn first in front.
    """

    round: int
    number: int
    nodes: tuple[int, ...]
    last: bool


Names: TypeAlias = tuple[str, ...]
"""The names that the agents of an interaction chose, by seat."""


class Decided(NamedTuple):
    """An interaction with its names, or the reason why it is skipped.

    ``memories`` is what its agents, by index, remember after it.
    """

    planned: Planned
    names: Names | None
    skipped: SkippedError | None
    memories: Mapping[int, Memory]


Ask = Callable[[Planned, Sequence[Memory], CancelScope], Awaitable[Names]]
"""Has the minds of an interaction choose, each from its memory; ``SkippedError`` skips it."""


def plan_rounds(
    pairing: Pairing,
    neighbors: Neighbors,
    stream: RandomStream,
    first_round: int,
    first: int,
    rounds: int,
) -> Iterator[Planned]:
    """Plan the interactions of some population rounds.

    Parameters
    ----------
    pairing : Pairing
        The rule that draws pairs.
    neighbors : Neighbors
        The network.
    stream : RandomStream
        The run's random draws.
    first_round : int
        Number of the first round, from 0.
    first : int
        Number of its first interaction, from 0.
    rounds : int
        How many rounds to plan.

    Yields
    ------
    Planned
        The interactions in order.

    Raises
    ------
    PairingError
        If a round has no pair, or a pair is not an edge.
    """
    number = first
    for round_ in range(first_round, first_round + rounds):
        held: tuple[int, ...] | None = None
        try:
            for pair in checked_pairs(pairing, neighbors, round_, number, stream):
                if held is not None:
                    yield Planned(round_, number, held, last=False)
                    number += 1
                held = tuple(pair)
        except Exception:
            if held is not None:
                yield Planned(round_, number, held, last=False)
            raise
        if held is None:
            raise PairingError(
                "pairing", pairing, f"{shown(pairing)} drew no pair", "Draw at least one a round."
            )
        yield Planned(round_, number, held, last=True)
        number += 1


class Pipeline:
    """Has planned interactions decided concurrently, and hands them over in order.

    What an agent remembers is the agent's own; here it only passes from one undecided interaction
    to the next. Created and read by the thread that plays; the rest happens on the event loop.

    Parameters
    ----------
    ask
        Has the minds of an interaction choose.
    plan
        The interactions to come.
    memories
        What every node's agent remembers now, by index.
    referee
        Says what is remembered of an interaction.
    """

    def __init__(
        self, ask: Ask, plan: Iterator[Planned], memories: Sequence[Memory], referee: Referee
    ) -> None:
        self._ask = ask
        self._plan = plan
        self._start = memories
        self._referee = referee
        self._window = WINDOW * len(memories)
        # How often the loop hears that there is room: waking it every time would cost more.
        self._stride = max(1, len(memories) // 4)
        self._latest: dict[int, asyncio.Task[Decided]] = {}
        self._tasks: deque[asyncio.Task[Decided]] = deque()
        self._scopes: dict[asyncio.Task[Decided], CancelScope] = {}
        self._planned = self._begun = self._taken = 0
        self._failure: BaseException | None = None
        self._stopped = False
        self._ready: SimpleQueue[Decided | BaseException] = SimpleQueue()
        self._started = False

    def next(self) -> Decided:
        """Return the next interaction in order once it is decided; raise what prevented it.

        Nothing starts before the first call, when everybody can know of this and interrupt it.
        """
        if not self._started:
            self._started = True
            self._advance()
        while True:
            with suppress(Empty):
                found = self._ready.get(timeout=POLL_INTERVAL)
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

    def close(self, grace: float = GRACE_PERIOD) -> int:
        """Start nothing more; return how many interactions were started and not handed over.

        Calls under way may end within ``grace`` seconds, so that their replies are on record; what
        only waits is cancelled. An interrupt meanwhile cancels everything at once.
        """
        ending = start(self._close(grace))
        try:
            return result_of(ending)
        except KeyboardInterrupt:
            with suppress(CancelledError, TimeoutError):
                start(self._close(0)).result(timeout=GRACE_PERIOD)
            raise

    def _advance(self) -> None:
        loop().call_soon_threadsafe(self._start_more)

    # On the loop

    def _start_more(self) -> None:
        while not self._stopped and self._planned - self._taken < self._window:
            try:
                planned = next(self._plan)
            except StopIteration:
                return
            except Exception as error:
                self._failure = error
                self._window = 0
                self._hand_over()
                return
            self._planned += 1
            before = {node: self._latest.get(node) for node in planned.nodes}
            task = asyncio.get_running_loop().create_task(self._decide(planned, before))
            self._latest.update(dict.fromkeys(planned.nodes, task))
            self._tasks.append(task)
            task.add_done_callback(self._done)

    async def _decide(
        self, planned: Planned, before: Mapping[int, asyncio.Task[Decided] | None]
    ) -> Decided:
        seen = {node: await self._memory_after(task, node) for node, task in before.items()}
        if self._stopped:
            raise asyncio.CancelledError
        this = asyncio.current_task()
        assert this is not None
        scope = self._scopes[this] = CancelScope()
        self._begun += 1
        try:
            names = await self._ask(planned, [seen[node] for node in planned.nodes], scope)
        except SkippedError as reason:
            return Decided(planned, None, reason, seen)
        after = {
            node: keep(seen[node], self._referee.experience(names, seat), self._referee.length)
            for seat, node in enumerate(planned.nodes)
        }
        return Decided(planned, names, None, after)

    async def _memory_after(self, task: asyncio.Task[Decided] | None, node: int) -> Memory:
        """Return what an agent remembers after its previous interaction, once that is decided."""
        if task is None:
            return self._start[node]
        if not task.done():
            await asyncio.wait([task])
        if task.cancelled() or task.exception() is not None:
            raise asyncio.CancelledError
        return task.result().memories[node]

    def _done(self, task: asyncio.Task[Decided]) -> None:
        self._scopes.pop(task, None)
        self._hand_over()

    def _hand_over(self) -> None:
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
        for scope in self._scopes.values():
            scope.cancelled = True
        end = asyncio.get_running_loop().time() + grace
        while True:
            left = end - asyncio.get_running_loop().time()
            calling = [task for task in self._tasks if left > 0 and self._is_calling(task)]
            for task in self._tasks:
                if task not in calling:
                    task.cancel()
            if not calling:
                break
            await asyncio.wait(calling, timeout=min(left, POLL_INTERVAL / 10))
        await asyncio.gather(*self._tasks, return_exceptions=True)
        return self._begun - self._taken

    def _is_calling(self, task: asyncio.Task[Decided]) -> bool:
        scope = self._scopes.get(task)
        return scope is not None and scope.calls > 0
