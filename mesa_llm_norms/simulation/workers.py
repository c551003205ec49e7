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
import sys
import threading
import warnings
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import suppress
from io import BytesIO
from multiprocessing import connection, parent_process
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FunctionType, TracebackType
from typing import Any, Generic, NamedTuple, TypeVar

from mesa_llm_norms.compat import (
    close_writing_end,
    is_importing_main,
    manager_thread,
    start_resource_tracker,
)
from mesa_llm_norms.core.event_loop import POLL_INTERVAL
from mesa_llm_norms.core.interrupts import SIGNALS, interrupts_held
from mesa_llm_norms.errors import GraphWarning, MindError, PairingError, SpecError, WorkerError
from mesa_llm_norms.simulation.clusters import (
    as_executor,
    check_cluster,
    is_lost,
    taking_calls,
)

MAX_SUBMITTED = 2_000
"""Calls that an executor has at the same time, at most."""

TRIES = 4
"""How often a call is made, at most, if the worker that has it is lost."""

UNGUARDED = 76
"""Exit status of a worker that was about to start workers itself."""

JOIN_SECONDS = 5.0
"""Seconds that the own thread of an ended pool is given to notice."""

MAX_SHARED = 8
"""Shared values that a process keeps for later calls."""

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
        if is_importing_main():
            # This is a worker that imports the script it was started by, which starts workers.
            os._exit(UNGUARDED)
        start_resource_tracker()  # or the queues of the pool would
        self._workers = workers
        self._context = _Context()
        self.statuses: set[int | None] = set()
        super().__init__(workers, mp_context=self._context, initializer=prepare_worker)

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have a call made; ``SpecError`` if the processes could not import the main module."""
        _check_main(self._workers)
        return super().submit(function, *args, **kwargs)

    def abort(self) -> None:
        """End the processes now, whatever they are doing; what was submitted is lost."""
        with interrupts_held():
            manager = manager_thread(self)
            self.shutdown(wait=False, cancel_futures=True)
            started = [worker for worker in self._context.started if worker.pid is not None]
            # A process that has begun to end, but can only be waited for in a moment, is one.
            ended = [worker for worker in started if connection.wait([worker.sentinel], 0)]
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
            self.statuses = {worker.exitcode for worker in ended}

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

    def why(self) -> tuple[str, str]:
        """Return why the processes ended, after ``abort``, and what to do.

        Raises
        ------
        SpecError
            If they ended because they tried to start processes of their own.
        """
        if UNGUARDED in self.statuses:
            raise SpecError(
                "workers",
                self._workers,
                "every worker process imports the script that starts it, and so came to start "
                "workers itself",
                'Put what the script does below the line if __name__ == "__main__":',
            ) from None
        # One that ends by itself takes the others with it, by SIGTERM.
        known = [status for status in self.statuses if status]
        ended = sorted(known, key=lambda one: (one == -signal.SIGTERM, one))
        if not ended:
            return "a worker process ended", "Play with workers=1 to see why."
        if ended[0] >= 0:
            return (
                f"a worker process ended with status {ended[0]}",
                "Play with workers=1 to see why.",
            )
        name = signal.Signals(-ended[0]).name
        problem = f"a worker process was ended by signal {-ended[0]} ({name})"
        if name == "SIGKILL":
            return problem, "If memory ran out, which a system ends so: use fewer workers."
        return problem, "Find out what sent it, or play with workers=1."


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
        self._value = value
        self._token = secrets.token_hex(16)
        self._packed: bytes | None = None

    @property
    def value(self) -> T:
        """The value; ``WorkerError`` if it came from another process and makes no sense here."""
        if not hasattr(self, "_value"):
            assert self._packed is not None
            try:
                self._value = pickle.loads(self._packed)
            except Exception as error:
                problem = f"a worker cannot use what it was sent ({type(error).__name__}: {error})"
                raise WorkerError(problem, f"{_MODULE} that the workers can import.") from error
        return self._value

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpack, (self._token, self.pack())

    def pack(self, with_main: bool = True) -> bytes:
        """Return the value as bytes, which are kept; ``with_main`` is as for ``_pack``."""
        if self._packed is None:
            self._packed = _pack(self.value, with_main)
        return self._packed


_unpacked: OrderedDict[str, Shared[Any]] = OrderedDict()
_unpacking = threading.Lock()


def _unpack(token: str, packed: bytes) -> Shared[Any]:
    with _unpacking:
        shared = _unpacked.pop(token, None)
        if shared is None:
            shared = Shared.__new__(Shared)
            shared._token, shared._packed = token, packed
        _unpacked[token] = shared
        while len(_unpacked) > MAX_SHARED:
            _unpacked.popitem(last=False)
        return shared


# What other processes can be sent

_MODULE = "Put what you wrote into a module, a .py file,"
_PLAIN = "Keep in it only what can be pickled: no lambda, open file or lock"


def check_call(call: Call, executor: Executor) -> None:
    """Raise ``SpecError`` for a call with a mind, a rule or a graph that cannot be sent."""
    with_main = isinstance(executor, ProcessPoolExecutor) and _main_is_imported()
    try:
        for part in call:
            part.pack(with_main) if isinstance(part, Shared) else _pack(part, with_main)
    except Exception as error:
        for kind, argument, thing in _own_things(call):
            try:
                _pack(thing, with_main)
            except Exception as reason:
                raise _unsendable(kind, argument, getattr(thing, "label", thing), reason) from error
        raise _unsendable(SpecError, "workers", call, error) from error


def _unsendable(kind: type[SpecError], argument: str, value: Any, reason: Exception) -> SpecError:
    problem = f"{value!r} cannot be sent to other processes: {reason}".rstrip(".")
    homeless = "defined in a notebook" in problem
    remedy = f"{_MODULE} and import it from there" if homeless else _PLAIN
    return kind(argument, value, problem, f"{remedy}, or play with workers=1 and no executor.")


def _own_things(call: Call) -> Iterator[tuple[type[SpecError], str, Any]]:
    """Yield what users may have made among the arguments of a call, such as minds and graphs."""
    for part in call:
        value = part.value if isinstance(part, Shared) else part
        inner = (getattr(value, name, None) for name in ("spec", "base"))
        spec = next((one for one in inner if hasattr(one, "pairing")), value)
        minds = [*getattr(spec, "minds", ()), getattr(value, "other", None)]
        yield from ((MindError, "mind", mind) for mind in minds)
        yield PairingError, "pairing", getattr(spec, "pairing", None)
        yield SpecError, "graph", getattr(spec, "graph", None)
        yield SpecError, "model", getattr(value, "model", None)


class _Packer(pickle.Pickler):
    """Refuses what the process that unpacks it would have to import from a script or notebook."""

    def reducer_override(self, it: Any) -> Any:
        if isinstance(it, (type, FunctionType)) and it.__module__ == "__main__":
            raise pickle.PicklingError(
                f"{it.__qualname__} is defined in a notebook or script, where they do not find it"
            )
        return NotImplemented


def _pack(value: Any, with_main: bool) -> bytes:
    """Return a value as bytes; ``with_main`` says whether the main module is imported there."""
    packed = BytesIO()
    packer = pickle.Pickler if with_main else _Packer
    packer(packed, pickle.HIGHEST_PROTOCOL).dump(value)
    return packed.getvalue()


def _main_is_imported() -> bool:
    """Whether a process that is spawned imports the main module of this one."""
    name = getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", None)
    if name is not None:
        return not name.endswith("__main__")
    path = _script()
    return path is not None and path.is_file()


def _script() -> Path | None:
    """Return the path that a process which is spawned imports as its main module, if any."""
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    if path is None or getattr(main, "__spec__", None) or Path(path).stem == "ipython":
        return None
    return Path(path)


def _check_main(workers: int) -> None:
    """Raise ``SpecError`` if the main module is not in a file, as on standard input."""
    path = _script()
    if path is not None and not path.is_file():
        raise SpecError(
            "workers",
            workers,
            f"every worker process imports the script that starts it, and {path} is not a file",
            'Put the script into a .py file, with what it does below if __name__ == "__main__":',
        )


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
        If a call has lost its worker four times, or if a given executor is broken or shut
        down. What a call raises is raised, too.
    SpecError
        Before anything is called, if the arguments cannot be sent to other processes.
    """
    todo = _Todo(function, calls)
    if executor is not None:
        with as_executor(executor) as given:
            try:
                yield from todo.work(given)
            except BrokenExecutor as error:
                if isinstance(given, WorkerPool):
                    given.abort()
                    raise WorkerError(*given.why()) from error
                raise WorkerError("the executor is broken", "Give another one.") from error
        return
    while not todo.done:
        with WorkerPool(workers) as pool:
            try:
                yield from todo.work(pool)
            except BrokenExecutor as error:  # another pool takes its place
                pool.abort()
                todo.put_back(workers, error, pool.why())


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
                check_cluster(pool)
                with interrupts_held():
                    self._submit(pool, finished)
                if not self.out:
                    self.done = True
                    return
                future = self._wait(pool, finished)
                with interrupts_held():
                    answer = self._take(future)
                if answer is not None:
                    yield answer
        finally:
            if not isinstance(pool, WorkerPool) and not is_lost(pool):
                with interrupts_held():
                    for future in self.out:
                        future.cancel()

    @staticmethod
    def _wait(pool: Executor, finished: SimpleQueue[Future[Any]]) -> Future[Any]:
        """Return the next call that is done, waking up now and then for interrupts."""
        while True:
            with suppress(Empty):
                return finished.get(timeout=POLL_INTERVAL)
            check_cluster(pool)

    def _submit(self, pool: Executor, finished: SimpleQueue[Future[Any]]) -> None:
        threads = isinstance(pool, ThreadPoolExecutor)
        while len(self.again) + len(self.out) < MAX_SUBMITTED:
            one = next(self.calls, None)
            if one is None:
                break
            self.again.append(one)
            if not threads:
                check_call(one[1], pool)  # all of them, before the first worker starts
        while self.again and len(self.out) < MAX_SUBMITTED:
            one = self.again[0]  # not lost if submitting fails
            attempt = _attempt if threads else _attempt_here
            with taking_calls():
                future = pool.submit(attempt, self.function, one[1])
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
            self._count(one, trouble, (f"{type(trouble).__name__}: {trouble}",))
            self.again.append(one)
            return None
        number, _ = self.out.pop(future)
        if error is not None:
            raise error
        return Answer(number, result)

    def put_back(self, workers: int, trouble: BaseException, why: Sequence[str]) -> None:
        """Have the calls that were lost with an executor made again.

        The first it was given, one for each worker, may be the ones that broke it.
        """
        lost = list(self.out.values())
        for one in lost[:workers]:
            self._count(one, trouble, why)
        self.again = deque(sorted([*lost, *self.again], key=lambda one: one[0]))
        self.out = {}

    def _count(self, one: tuple[int, Call], trouble: BaseException, why: Sequence[str]) -> None:
        """Count a loss; raise if there were too many."""
        self.lost[one[0]] = self.lost.get(one[0], 0) + 1
        if self.lost[one[0]] >= TRIES:
            problem, *remedy = why
            lost = f"{TRIES} workers were lost over the same runs, the last because {problem}"
            raise WorkerError(lost, *remedy) from trouble


def _attempt(function: Callable[..., Any], call: Call) -> tuple[Any, Exception | None]:
    """Return what a call returns or raises, to tell its errors from the loss of a worker."""
    try:
        return function(*call), None
    except Exception as error:
        return None, error


def _attempt_here(function: Callable[..., Any], call: Call) -> tuple[Any, Exception | None]:
    """Attempt a call of another process; an error that cannot be sent back is put into words."""
    result, failed = _attempt(function, call)
    try:
        pickle.loads(pickle.dumps(failed))
    except Exception:
        return None, WorkerError(f"a run failed ({type(failed).__name__}: {failed})")
    return result, failed
