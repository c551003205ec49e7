"""The event loop on which minds are awaited: one for the process, in a thread of its own.

Callers stay plain Python, inside Jupyter and web pages too, where a loop of theirs may be running.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
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
