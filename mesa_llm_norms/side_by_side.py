"""Runs with live minds, many at once in threads that mostly wait for replies."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar

from mesa_llm_norms.minds.live.session import Session
from mesa_llm_norms.workers import answers

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
