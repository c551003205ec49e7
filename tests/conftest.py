"""What every test runs under: no key, no network, no screen, and the same examples in CI."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from typing import Any

import matplotlib
import pytest
from hypothesis import settings

matplotlib.use("Agg")
os.environ["MPLBACKEND"] = "Agg"  # for the processes that tests start

# A slow machine is not a failure, and CI must not fail on an example nobody can get back.
settings.register_profile(
    "mesa_llm_norms", deadline=None, max_examples=50, derandomize="CI" in os.environ
)
settings.load_profile("mesa_llm_norms")


def pytest_xdist_auto_num_workers() -> int:
    """Let three processes share two cores, for nearly half of what a test does is wait."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture(scope="session", autouse=True)
def no_key_and_no_network() -> Iterator[None]:
    """Fail at once on a connection that leaves this machine, and hide the keys it may hold."""
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = str(address[0])
            if host not in ("localhost", "::1") and not host.startswith("127."):
                raise AssertionError(f"a test tried to reach {host}; tests use no network")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect_here)
        for variable in [name for name in os.environ if name.endswith("_API_KEY")]:
            patch.delenv(variable)
        yield


@pytest.fixture
def thread_with_loop() -> Iterator[None]:
    """Give the thread an event loop, as a server of pages does; ``asyncio.run`` takes it away."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()
