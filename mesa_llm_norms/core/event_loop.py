"""The event loop on which minds are awaited: one per process, in a thread of its own.

Callers stay plain Python, also in Jupyter and web pages, where a loop of their own may be running.
A ``CancelScope`` tells a task that is making a paid call from one that merely waits, so that work
nobody wants any more can be ended without losing a reply.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")

POLL_INTERVAL = 0.2
"""Seconds between looks at pending interrupts while waiting.

A signal that the system delivers to another thread does not wake the one in which it takes effect.
"""

GRACE_PERIOD = 1.5
"""Seconds that calls under way are given to finish once no more are wanted.

Less than ``interrupts.ENDING_SECONDS``, so that their replies are on record by then.
"""


class CancelScope:
    """Counts the calls being made for one piece of work, and refuses more once cancelled."""

    def __init__(self) -> None:
        self.calls: int = 0
        self.cancelled = False

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Make a call in the block.

        Raises
        ------
        asyncio.CancelledError
            Instead of running the block, if the scope is cancelled.
        """
        if self.cancelled:
            raise asyncio.CancelledError
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1


def start(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Start a coroutine on the loop; the future may be waited for or cancelled from any thread."""
    return asyncio.run_coroutine_threadsafe(work, loop())


def wait_for(work: Coroutine[Any, Any, T], grace: float = 0.0) -> T:
    """Run a coroutine on the loop and return its result; an interrupt cancels it.

    It may end within ``grace`` seconds first.
    """
    future = start(work)
    try:
        return result_of(future)
    except KeyboardInterrupt:
        with suppress(Exception):
            future.result(timeout=grace)
        future.cancel()
        raise


def result_of(future: Future[T]) -> T:
    """Wait for the result of something started, waking up now and then for interrupts."""
    while True:
        try:
            return future.result(timeout=POLL_INTERVAL)
        except TimeoutError:
            if future.done():
                return future.result()


def loop() -> asyncio.AbstractEventLoop:
    """Return the loop, which runs as long as the process."""
    with _making:  # threads that ask for the first time at once must get the same loop
        return _loop()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="mesa_llm_norms minds", daemon=True).start()
    return made


_making = threading.Lock()


def _forget_loop() -> None:
    """Drop the loop in a forked process, which has inherited it but not the thread that runs it."""
    global _making
    _making = threading.Lock()
    _loop.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_loop)
