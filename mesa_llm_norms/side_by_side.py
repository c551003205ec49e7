"""Runs with live minds, many at once in threads that mostly wait for replies."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, TypeVar

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.workers import answers

if TYPE_CHECKING:
    from mesa_llm_norms.minds.live.session import Session

AT_ONCE = 64
"""Runs with live minds that are played at once, at most."""

T = TypeVar("T")


def side_by_side(
    play: Callable[..., T], calls: Iterable[tuple[Any, ...]], runs: int, session: Session
) -> Generator[T, None, None]:
    """Yield what ``play`` returns for each of ``runs`` runs, as they end; close it when done.

    Where one of them fails, or on an interrupt, the others begin no more calls of ``session``, and
    what they have is on record.
    """
    with ThreadPoolExecutor(min(runs, AT_ONCE)) as threads:
        try:
            with closing(answers(play, calls, executor=threads)) as found:
                for answer in found:
                    yield answer.result
        except BaseException:
            session.stop()
            raise


def check_here(executor: Executor | None, engine: str) -> None:
    """Raise ``SpecError`` if runs with live minds are to be played elsewhere, or compiled."""
    if executor is not None or engine == "kernel":
        raise SpecError(
            "executor" if executor is not None else "engine",
            executor or engine,
            "live minds are called from this process, in plain Python",
            "Leave it out: their runs are played side by side as they are.",
        )
