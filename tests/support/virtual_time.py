"""Minutes in milliseconds: an event loop for minds whose clock jumps to the next timer.

with virtual_time() as now:
    begun = now()
    ...  # play; whoever sleeps is woken as soon as nothing else can happen
    assert now() - begun > 600
"""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from mesa_llm_norms.core import event_loop

OTHERS = 0.002
"""Real seconds that other threads, such as the journal's, are given before the clock jumps."""


class _Selector(selectors.DefaultSelector):
    skipped = 0.0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        found = super().select(OTHERS)
        if not found:
            self.skipped += timeout
        return found


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.skipped


@contextmanager
def virtual_time() -> Iterator[Callable[[], float]]:
    """Have minds awaited on a loop of virtual time within the block; give its clock."""
    loop = _Loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    with mock.patch.object(event_loop, "_loop", return_value=loop):
        yield loop.time
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
