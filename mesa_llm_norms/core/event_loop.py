"""The event loop on which minds are awaited: one for the process, in a thread of its own.

Callers stay plain Python, inside Jupyter and web pages too, where a loop of theirs may be running.

What a task does for whoever waits for an interaction: which calls it has under way for that.

A task and all it starts share one errand, so that somebody who wants no more can tell calls that
are being made, and may be paid for, from mere waiting.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


AWAKE = 0.2
"""Seconds after which an interrupt has its effect at the latest.

A signal that the system gave to another thread does not wake the one in which it takes effect.
"""


def start(work: Coroutine[Any, Any, T]) -> Future[T]:
    """Begin a coroutine on the loop; what is returned may be waited for or cancelled."""
    return asyncio.run_coroutine_threadsafe(work, loop())


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Return the result of a coroutine run on the loop; an interrupt cancels it."""
    future = start(work)
    try:
        return result_of(future)
    except KeyboardInterrupt:
        future.cancel()
        raise


def result_of(future: Future[T]) -> T:
    """Return the result of what was begun, waking up now and then to be interrupted."""
    while True:
        try:
            return future.result(timeout=AWAKE)
        except TimeoutError:
            if future.done():
                return future.result()


def loop() -> asyncio.AbstractEventLoop:
    """Return the loop, which runs for as long as the process."""
    with _making:  # threads that ask for it first at the same time are to get the same
        return _loop()


@cache
def _loop() -> asyncio.AbstractEventLoop:
    made = asyncio.new_event_loop()
    threading.Thread(target=made.run_forever, name="mesa_llm_norms minds", daemon=True).start()
    return made


_making = threading.Lock()


def _start_anew() -> None:
    """In a forked process, which has the loop but not the thread that ran it."""
    global _making
    _making = threading.Lock()
    _loop.cache_clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)


GRACE = 5.0
"""Seconds that calls under way are given to end when no more are wanted."""


class Errand:
    """``calls`` are being made; once it is ``over`` none may begin."""

    def __init__(self) -> None:
        self.calls = 0
        self.over = False


_current: ContextVar[Errand | None] = ContextVar("errand", default=None)


def set_out() -> Errand:
    """Begin an errand: that of this task from now on, and of all it starts."""
    errand = Errand()
    _current.set(errand)
    return errand


@contextmanager
def calling() -> Iterator[None]:
    """Make a call in the block; where the errand is over, the task is cancelled instead."""
    errand = _current.get() or Errand()
    if errand.over:
        raise asyncio.CancelledError
    errand.calls += 1
    try:
        yield
    finally:
        errand.calls -= 1
