"""Visits to a served page without a browser: they press Play, read what comes, and leave."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import NamedTuple

import psutil
from kernel_client import Viewer
from served import Served
from websockets.exceptions import ConnectionClosed

QUERY = "/?names=QM&speed=inf"


class Load(NamedTuple):
    """What a server's process holds: threads, open descriptors, and MB of memory."""

    threads: int
    descriptors: int
    memory: float


def load(server: Served) -> Load:
    process = psutil.Process(server.pid)
    return Load(process.num_threads(), process.num_fds(), process.memory_info().rss / 1e6)


def busy(server: Served, seconds: float = 1.0) -> float:
    """Return the share of a core that a server uses now."""
    return float(psutil.Process(server.pid).cpu_percent(seconds)) / 100


@contextmanager
def playing(
    server: Served, query: str = QUERY, beacon: bool = True, opened: Viewer | None = None
) -> Iterator[Viewer]:
    """Open a page and press Play; what comes is read until the block ends.

    Then the page is closed as a browser does it, with a ``beacon``, or its connection just breaks.
    """
    with ExitStack() as stack:
        viewer = opened or stack.enter_context(Viewer(server))
        if opened is None:
            viewer.run(query)
        viewer.press("play")
        ended = threading.Event()

        def read() -> None:
            with suppress(ConnectionClosed, TimeoutError):
                while not ended.is_set():
                    viewer.read()
                    viewer.heard.clear()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield viewer
        finally:
            ended.set()
            if beacon:
                viewer.leave()
            viewer.drop()
            reader.join()


def visits(server: Served, number: int, seconds: float, beacons: Sequence[bool] = (True,)) -> None:
    """Visit a page so many times, one after another, and play for so long each time."""
    for visit in range(number):
        with playing(server, beacon=beacons[visit % len(beacons)]):
            time.sleep(seconds)


def crowd(server: Served, number: int, seconds: float, query: str = QUERY) -> None:
    """Have so many people on a page at the same time, all of whom play for so long and leave."""
    with ExitStack() as stack:
        viewers = []
        for _ in range(number):
            viewers.append(stack.enter_context(Viewer(server)))
            viewers[-1].run(query)
        for viewer in viewers:
            stack.enter_context(playing(server, beacon=False, opened=viewer))
        time.sleep(seconds)
