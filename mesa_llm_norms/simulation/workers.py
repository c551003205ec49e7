"""Processes to play in, and calls spread over them or over any executor.

The processes are spawned afresh. They leave Ctrl-C and SIGHUP, which a terminal sends to all of
them, to the process that started them, which ends them, and they end by themselves when that
process is gone, even if it was killed.
"""

from __future__ import annotations

import os
import pickle
import secrets
import signal
import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from importlib import import_module
from multiprocessing import parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

from mesa_llm_norms.compat import close_writing_end, manager_thread, start_resource_tracker
from mesa_llm_norms.core.event_loop import POLL_INTERVAL
from mesa_llm_norms.core.interrupts import SIGNALS, interrupts_held
from mesa_llm_norms.errors import GraphWarning, SpecError, WorkerError

MAX_SUBMITTED = 2_000
"""Calls that an executor has at the same time, at most."""

TRIES = 4
"""How often a call is made, at most, if the worker that has it is lost."""

JOIN_SECONDS = 5.0
"""Seconds that the own thread of an ended pool is given to notice."""

MAX_SHARED = 8
"""Shared values that a process keeps for later calls."""

CONNECT_SECONDS = 10
"""Seconds in which a scheduler has to answer."""

LEFT_TO_PARENT = {number for number in SIGNALS if number != signal.SIGTERM}
"""Signals that worker processes ignore."""

T = TypeVar("T")
Call = tuple[Any, ...]


class WorkerPool(ProcessPoolExecutor):
    """Spawned processes, ended at once when the ``with`` block around their use fails.

    The block may fail by Ctrl-C: nothing is printed then, neither by the processes nor by the
    threads of the pool.
    """

    def __init__(self, workers: int) -> None:
        start_resource_tracker()  # or the queues of the pool would
        self._context = _Context()
        super().__init__(workers, mp_context=self._context, initializer=prepare_worker)

    def abort(self) -> None:
        """End the processes now, whatever they are doing; what was submitted is lost."""
        with interrupts_held():
            manager = manager_thread(self)
            self.shutdown(wait=False, cancel_futures=True)
            started = [worker for worker in self._context.started if worker.pid is not None]
            for worker in started:
                worker.kill()
            for worker in started:
                worker.join()
            # A process that was ended while it wrote leaves half a result, and its reader waits for
            # the rest as long as some process could still write it: this one.
            for queue in self._context.queues:
                close_writing_end(queue)
            if manager is not None:
                manager.join(JOIN_SECONDS)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Wait for all calls to be done, or after an exception, an interrupt too, ``abort``."""
        if kind is None:
            return super().__exit__(kind, error, trace)
        self.abort()
        return None


class _Context(SpawnContext):
    """Makes the processes and queues of a pool, and remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []
        self.queues: list[Any] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        worker = _Worker(*args, **kwargs)
        # Kept: a process whose handle is gone concludes that this one is, too.
        self.started.append(worker)
        return worker

    def SimpleQueue(self) -> Any:  # noqa: N802
        queue = super().SimpleQueue()
        self.queues.append(queue)
        return queue


class _Worker(SpawnProcess):
    """A process that never sees ``LEFT_TO_PARENT``, not even while it is starting."""

    def start(self) -> None:
        if not hasattr(signal, "pthread_sigmask"):
            super().start()
            return
        # A new process inherits what is blocked. The tracker of shared resources has to be there
        # already, because starting it would end the blocking.
        start_resource_tracker()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_PARENT)
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def prepare_worker() -> None:
    """Leave interrupts and warnings to the parent process, and end when it is gone."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    for number in LEFT_TO_PARENT:
        signal.signal(number, signal.SIG_IGN)
    warnings.simplefilter("ignore", GraphWarning)
    threading.Thread(target=watch, daemon=True).start()


class Shared(Generic[T]):
    """A value that many calls carry: a process that receives it unpacks it once."""

    def __init__(self, value: T) -> None:
        self.value = value
        self._token = secrets.token_hex(16)
        self._packed: bytes | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        if self._packed is None:
            self._packed = pickle.dumps(self.value, pickle.HIGHEST_PROTOCOL)
        return _unpack, (self._token, self._packed)


_unpacked: OrderedDict[str, Shared[Any]] = OrderedDict()
_unpacking = threading.Lock()


def _unpack(token: str, packed: bytes) -> Shared[Any]:
    with _unpacking:
        shared = _unpacked.pop(token, None)
        if shared is None:
            shared = Shared(pickle.loads(packed))
            shared._token, shared._packed = token, packed
        _unpacked[token] = shared
        while len(_unpacked) > MAX_SHARED:
            _unpacked.popitem(last=False)
        return shared


class Answer(NamedTuple):
    """The result of a call, with its number."""

    number: int
    result: Any


def answers(
    function: Callable[..., Any],
    calls: Iterable[Call],
    workers: int,
    executor: Executor | None = None,
) -> Generator[Answer, None, None]:
    """Have a function called in other processes or by an executor.

    Parameters
    ----------
    function : callable
        What is called.
    calls : iterable of tuple
        Its arguments, call by call.
    workers : int
        How many processes to use, if there is no executor.
    executor : concurrent.futures.Executor, optional
        What makes the calls; it is left running.

    Yields
    ------
    Answer
        The number of a call and its result, in the order in which they finish. Close the
        generator, as ``contextlib.closing`` does, to end what is under way.

    Raises
    ------
    WorkerError
        If a call has lost its worker four times, or if a given executor is broken. What a call
        raises is raised, too.
    """
    todo = _Todo(function, calls)
    if executor is not None:
        try:
            yield from todo.work(executor)
        except BrokenExecutor as error:
            raise WorkerError("the executor is broken") from error
        return
    while not todo.done:
        # suppress is outside, so that the pool is ended as broken, and another takes its place.
        with suppress(BrokenExecutor), WorkerPool(workers) as pool:
            try:
                yield from todo.work(pool)
            except BrokenExecutor as error:
                todo.put_back(workers, error)
                raise


class _Todo:
    """Calls still to be made, and those that an executor has."""

    def __init__(self, function: Callable[..., Any], calls: Iterable[Call]) -> None:
        self.function = function
        self.calls = enumerate(calls)
        self.again: deque[tuple[int, Call]] = deque()
        self.lost: dict[int, int] = {}
        self.out: dict[Future[Any], tuple[int, Call]] = {}
        self.done = False

    def work(self, pool: Executor) -> Iterator[Answer]:
        """Have the calls made by one executor; raise ``BrokenExecutor`` if it breaks.

        An interrupt takes effect only while waiting. Anywhere else it could leave the lock of a
        future taken, for which a thread of the pool would wait forever.
        """
        finished: SimpleQueue[Future[Any]] = SimpleQueue()
        self.out = {}
        try:
            while True:
                with interrupts_held():
                    self._submit(pool, finished)
                if not self.out:
                    self.done = True
                    return
                future = self._wait(finished)
                with interrupts_held():
                    answer = self._take(future)
                if answer is not None:
                    yield answer
        finally:
            if not isinstance(pool, WorkerPool):
                with interrupts_held():
                    for future in self.out:
                        future.cancel()

    @staticmethod
    def _wait(finished: SimpleQueue[Future[Any]]) -> Future[Any]:
        """Return the next call that is done, waking up now and then for interrupts."""
        while True:
            with suppress(Empty):
                return finished.get(timeout=POLL_INTERVAL)

    def _submit(self, pool: Executor, finished: SimpleQueue[Future[Any]]) -> None:
        while len(self.out) < MAX_SUBMITTED:
            one = self.again.popleft() if self.again else next(self.calls, None)
            if one is None:
                return
            self.again.appendleft(one)  # not lost if submitting fails
            future = pool.submit(_attempt, self.function, one[1])
            self.again.popleft()
            self.out[future] = one
            future.add_done_callback(finished.put)

    def _take(self, future: Future[Any]) -> Answer | None:
        """Return the answer of a call, or None if it has to be made again."""
        try:
            result, error = future.result()
        except BrokenExecutor:
            raise
        except (Exception, CancelledError) as trouble:  # of the executor: calls return theirs
            one = self.out.pop(future)
            self._count(one, trouble)
            self.again.append(one)
            return None
        number, _ = self.out.pop(future)
        if error is not None:
            raise error
        return Answer(number, result)

    def put_back(self, workers: int, trouble: BaseException) -> None:
        """Have the calls that were lost with an executor made again.

        The first it was given, one for each worker, may be the ones that broke it.
        """
        lost = list(self.out.values())
        for one in lost[:workers]:
            self._count(one, trouble)
        self.again = deque(sorted([*lost, *self.again], key=lambda one: one[0]))
        self.out = {}

    def _count(self, one: tuple[int, Call], trouble: BaseException) -> None:
        """Count a loss; raise if there were too many."""
        self.lost[one[0]] = self.lost.get(one[0], 0) + 1
        if self.lost[one[0]] >= TRIES:
            raise WorkerError(f"{TRIES} workers were lost over the same runs") from trouble


def _attempt(function: Callable[..., Any], call: Call) -> tuple[Any, Exception | None]:
    """Return what a call returns or raises, to tell its errors from the loss of a worker."""
    try:
        return function(*call), None
    except Exception as error:
        return None, error


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
    try:
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SpecError(
            "scheduler",
            address,
            f"no scheduler answers at {address}",
            "Start one with dask scheduler, and give the tcp:// address that it prints.",
        ) from error
    try:
        yield client.get_executor()
    finally:
        client.close()
