"""What a task does for whoever waits for an interaction: which calls it has under way for that.

A task and all it starts share one errand, so that somebody who wants no more can tell calls that
are being made, and may be paid for, from mere waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
