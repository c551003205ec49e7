"""Executors that are given, above all those of Dask clusters, whose parts may be gone at any time.

A cluster that does not answer, has no workers or loses its scheduler ends what waits for it with
one error. Dask itself would wait, or print what its threads run into.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, TypeVar

from mesa_llm_norms.core.event_loop import POLL_INTERVAL, wait_for
from mesa_llm_norms.errors import SpecError, WorkerError, shown

CONNECT_SECONDS = 10
"""Seconds in which a scheduler has to answer."""

RECONNECT_SECONDS = 5
"""Seconds in which a connection that was lost has to be there again."""

WORKERLESS_SECONDS = 15
"""Seconds for which a cluster may have no worker, or a scheduler may not answer."""

ASKING_INTERVAL = 1.0
"""Seconds between two questions to a scheduler for its workers."""

_LIBRARIES = ("distributed", "tornado", "asyncio", "concurrent")

T = TypeVar("T")


class ClusterExecutor(Executor):
    """The executor of a Dask client, with a look at whether there is a cluster behind it.

    Parameters
    ----------
    client
        The client.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._executor: Executor = client.get_executor()
        self._address: str = client.scheduler.address if client.scheduler else "its address"
        self._asked = self._staffed = time.monotonic()
        self.lost: bool = False
        """Whether the scheduler is gone, and with it all calls."""

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a call made."""
        try:
            return self._executor.submit(function, *args, **kwargs)
        except Exception:
            self.check()
            raise

    def check(self) -> None:
        """Raise ``WorkerError`` if the scheduler is gone, or has had no worker for long."""
        deadline = time.monotonic() + RECONNECT_SECONDS
        while self._client.status != "running":
            if self._client.status != "connecting" or time.monotonic() > deadline:
                raise self._gone(f"the Dask scheduler at {self._address} is gone")
            time.sleep(POLL_INTERVAL)
        now = time.monotonic()
        if now - self._asked < ASKING_INTERVAL:
            return
        self._asked = now
        workers = self._count_workers()
        if workers or (workers is not None and self._client.cluster is not None):
            self._staffed = now  # a cluster object starts its workers by itself, in its own time
        elif now - self._staffed > WORKERLESS_SECONDS:
            if workers is None:
                raise self._gone(f"the Dask scheduler at {self._address} does not answer any more")
            raise WorkerError(
                f"the Dask scheduler at {self._address} has no workers",
                f"Start some, with dask worker {self._address}.",
            )

    def _count_workers(self) -> int | None:
        """Return how many workers there are, None if the scheduler does not say."""
        client = self._client
        with suppress(OSError, asyncio.TimeoutError):
            return len(client.sync(client.scheduler.ncores, callback_timeout=RECONNECT_SECONDS))
        return None

    def _gone(self, problem: str) -> WorkerError:
        self.lost = True
        return WorkerError(problem, "Start it again, and its workers.")


def check_cluster(executor: Executor) -> None:
    """Raise ``WorkerError`` if the cluster behind an executor, if there is one, is gone."""
    if isinstance(executor, ClusterExecutor):
        executor.check()


def is_lost(executor: Executor) -> bool:
    """Return whether an executor has lost its cluster, so that nothing can be cancelled."""
    return isinstance(executor, ClusterExecutor) and executor.lost


def check_executor(given: Any) -> None:
    """Raise ``SpecError`` for what ``as_executor`` cannot use."""
    if given is not None and not isinstance(given, Executor) and _of_dask(given) is None:
        raise SpecError(
            "executor",
            given,
            f"{given!r} is not an executor",
            "Give one of concurrent.futures, or a Client or a LocalCluster of Dask.",
        )


@contextmanager
def as_executor(given: Any) -> Iterator[Executor]:
    """Yield the executor that is given, or that of a Dask client or cluster."""
    if isinstance(given, Executor):
        yield given
    elif _of_dask(given) == "Client":
        yield ClusterExecutor(given)
    else:
        with taking_calls():
            client = import_module("distributed").Client(given, set_as_default=False)
        with client:
            yield ClusterExecutor(client)


@contextmanager
def taking_calls() -> Iterator[None]:
    """Raise ``WorkerError`` for an executor that takes no calls, such as one shut down."""
    try:
        yield
    except (BrokenExecutor, SpecError, WorkerError):
        raise
    except Exception as error:  # each kind of executor has its own
        problem = f"the executor takes no calls ({type(error).__name__}: {error})".rstrip(".")
        raise WorkerError(problem, "Give one that is running, or none.") from error


def _of_dask(given: Any) -> str | None:
    """Return whether this is a ``Client`` or a ``Cluster`` of Dask; None if it is neither."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    kinds = {"Client": distributed.Client, "Cluster": distributed.deploy.Cluster}
    return next((name for name, kind in kinds.items() if isinstance(given, kind)), None)


@contextmanager
def connected(address: str) -> Iterator[Executor]:
    """Yield an executor whose calls are made by the workers of a Dask cluster.

    Calls of a worker that is lost are made by another. Raises ``SpecError`` where Dask is not
    installed or no scheduler answers.
    """
    try:
        distributed = import_module("distributed")
    except ImportError as error:
        raise SpecError(
            "scheduler",
            address,
            "Dask is not installed",
            'Run pip install "mesa-llm-norms[dask]".',
        ) from error
    with _silenced():
        _check_scheduler(distributed, address)
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        try:
            yield ClusterExecutor(client)
        finally:
            client.close()


def _check_scheduler(distributed: Any, address: str) -> None:
    """Raise ``SpecError`` unless a scheduler answers; a ``Client`` of none is hard to end."""

    async def ask() -> str:
        options = distributed.Security().get_connection_args("client")
        async with distributed.rpc(address, connection_args=options) as there:
            return str((await there.identity())["type"])

    try:
        kind = wait_for(asyncio.wait_for(ask(), CONNECT_SECONDS))
    except Exception as error:  # of whatever answers there
        problem = f"no scheduler answers at {shown(address)}"
        cause: BaseException | None = error
    else:
        problem, cause = f"what answers at {shown(address)} is a {kind.lower()}", None
        if kind == "Scheduler":
            return
    raise SpecError(
        "scheduler",
        address,
        problem,
        "Start one with dask scheduler, and give the tcp:// address that it prints.",
    ) from cause


@contextmanager
def _silenced() -> Iterator[None]:
    """Within the block, what the threads of Dask run into is not logged."""
    names = [it for it in logging.root.manager.loggerDict if it.partition(".")[0] in _LIBRARIES]
    before = {logging.getLogger(name): logging.getLogger(name).disabled for name in names}
    for logger in before:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, disabled in before.items():
            logger.disabled = disabled
