"""How many calls a server gets at once: as many as it takes.

The number starts at the most that is wanted, is halved when the server says that these are too many
(a rate limit), and grows by one for every so many replies after that: additive increase,
multiplicative decrease (Chiu and Jain 1989). A server that is overloaded by others says nothing
about us, so that does not shrink it. Whoever waits, for a place or to try again, holds none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple


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
