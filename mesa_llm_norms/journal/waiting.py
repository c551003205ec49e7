"""Futures of what is to reach the disk: waited for by threads, or awaited on an event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Written(Future[T], Generic[T]):
    """A future that can be awaited too, on any event loop.

    A loop is woken once for all that became known together. ``asyncio.wrap_future`` would wake it
    for each, and hand the interpreter from thread to thread as often: seconds, where it is busy.
    Whoever stops waiting changes nothing: what was handed in is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self.waiters: list[asyncio.Future[None]] = []

    def __await__(self) -> Generator[Any, None, T]:
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        if not self.done():  # if it is done after this, the waiter is seen
            yield from waiter
        return self.result()


class Begun(Written[int]):
    """Done when the call is on disk and may be made; the result is the attempt's number.

    ``attempt`` is that number, known at once: whoever stops waiting must still ``end`` it.
    """

    def __init__(self, attempt: int) -> None:
        super().__init__()
        self.attempt = attempt


def wake(futures: Iterable[Written[Any]]) -> None:
    """Wake those that await ``futures``, all of them done, each event loop once."""
    waiters: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for future in futures:
        for waiter in future.waiters:
            waiters.setdefault(waiter.get_loop(), []).append(waiter)
    for loop, its_waiters in waiters.items():
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(_finish, its_waiters)


def _finish(waiters: Iterable[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
