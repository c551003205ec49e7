"""Where runs are played: in this process, in worker processes, or here with live minds.

``choose_backend`` decides once. Code that plays runs has the backend call a function for each, and
takes the results as they come, without asking again where that happens. ``SharedCalls`` is
one budget for live models that play one after another.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from mesa_llm_norms.errors import JournalError, SpecError, shown
from mesa_llm_norms.llm.journal.rows import Totals
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings, read_llm
from mesa_llm_norms.simulation.clusters import check_executor
from mesa_llm_norms.simulation.kernel import invalidate_caches
from mesa_llm_norms.simulation.workers import Answer, answers

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.simulation.spec import Spec

LIVE_RUNS_AT_ONCE = 64
"""Runs with live minds that are played at the same time, at most."""

BATCH_RUNS = 250
"""Runs that go to a worker at once, at most."""

MOMENT = 0.2
"""Seconds after which runs played in this process should show progress."""

BATCH_AGENTS = 50_000
"""Agents in them, at most, if they are of more than one run."""


class Backend(ABC):
    """Plays runs by calling a function for each of them."""

    client: LLMClient | None = None
    """What makes the calls of live minds, None where all minds are offline."""

    elsewhere = False
    """Whether calls are made in other processes."""

    @abstractmethod
    def play(
        self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
    ) -> Generator[Answer, None, None]:
        """Call a function for every tuple of arguments.

        Parameters
        ----------
        function : callable
            What plays. With live minds it gets the client as one more argument.
        calls : iterable of tuple
            Its arguments, call by call.

        Yields
        ------
        Answer
            The number of a call and its result, in the order in which they finish. Close the
            generator, as ``contextlib.closing`` does, to end what is under way.

        Raises
        ------
        WorkerError
            If workers are lost again and again. What a call raises is raised, too.
        """

    def parts(self, runs: range, agents: int) -> Iterator[range]:  # noqa: ARG002
        """Yield the runs, each with so many agents, that one call after the other plays."""
        for run in runs:
            yield range(run, run + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Let go of the journal and the connections of live minds."""
        if self.client is not None:
            self.client.close()


class InProcess(Backend):
    """Calls one after the other, in this process."""

    def play(
        self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
    ) -> Generator[Answer, None, None]:
        """Call a function for every tuple of arguments; see ``Backend.play``."""
        for number, call in enumerate(calls):
            yield Answer(number, function(*call))

    def parts(self, runs: range, agents: int) -> Iterator[range]:
        """Yield more runs than before while they take less than a moment, first many more."""
        start, size, most = runs.start, 1, max(1, BATCH_AGENTS // agents)
        while start < runs.stop:
            before = time.perf_counter()
            yield range(start, min(start + size, runs.stop))
            start += size
            taken = time.perf_counter() - before
            if taken < MOMENT / 2:
                size = min(most, (8 if taken < MOMENT / 16 else 2) * size)
            elif taken > MOMENT:
                size = max(1, size // 2)


class InWorkers(Backend):
    """Calls in worker processes of its own, or by any executor."""

    elsewhere = True

    def __init__(self, workers: int, executor: Executor | None) -> None:
        self.workers = workers
        self.executor = executor

    def play(
        self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
    ) -> Generator[Answer, None, None]:
        """Call a function for every tuple of arguments; see ``Backend.play``."""
        return answers(function, calls, self.workers, self.executor)

    def parts(self, runs: range, agents: int) -> Iterator[range]:
        """Yield so many runs at once that no worker is idle and none waits long."""
        size = batch_size(len(runs), agents, self.workers)
        for start in range(runs.start, runs.stop, size):
            yield range(start, min(start + size, runs.stop))


class Live(Backend):
    """Calls at the same time in threads of this process, which mostly wait for replies."""

    def __init__(self, client: LLMClient) -> None:
        self.client: LLMClient = client

    def play(
        self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
    ) -> Generator[Answer, None, None]:
        """Call a function for every tuple of arguments; see ``Backend.play``.

        If one call fails, or on an interrupt, the others start no more calls of the client, and
        the replies they have are on record.
        """
        with ThreadPoolExecutor(LIVE_RUNS_AT_ONCE) as threads:
            try:
                every = ((*call, self.client) for call in calls)
                with closing(answers(function, every, LIVE_RUNS_AT_ONCE, threads)) as found:
                    yield from found
            except BaseException:
                self.client.stop()
                raise


def choose_backend(
    client: LLMClient | None = None,
    *,
    workers: int = 1,
    executor: Executor | None = None,
) -> Backend:
    """Return what plays runs; minds are asked again how they choose, should they have changed.

    Parameters
    ----------
    client : LLMClient or None, default None
        What makes the calls of live minds; the backend closes it. None where all are offline.
    workers : int, default 1
        Processes to play in; 1 is this one. Live minds are played in this process.
    executor : concurrent.futures.Executor, optional
        What plays instead of processes of our own.

    Returns
    -------
    Backend
        To be used in a ``with`` block.
    """
    invalidate_caches()
    check_executor(executor)
    if client is not None:
        return Live(client)
    if executor is None and workers == 1:
        return InProcess()
    return InWorkers(workers, executor)


def batch_size(runs: int, agents: int, workers: int) -> int:
    """Return how many runs go to a worker at once, so that none is idle and none waits long."""
    return max(1, min(BATCH_RUNS, math.ceil(runs / (4 * workers)), BATCH_AGENTS // agents))


class SharedCalls:
    """How calls are made for several models, with one budget: the ``llm=`` of each of them.

    Models play one after another, as in a loop or in Mesa's ``batch_run``: making the next one ends
    the calls of the one before. Each has a journal of its own in the folder, ``model-0``,
    ``model-1`` and so on in the order in which they are made. What is played again with the same
    folder is found there, and nothing is paid for twice.

    Parameters
    ----------
    llm : LLMSettings or mapping, optional
        How calls are made, with the budgets of all models together.

    Raises
    ------
    SpecError
        If the settings cannot be used.
    JournalError
        If a journal in the folder is damaged or in use.
    """

    def __init__(self, llm: LLMSettings | Mapping[str, Any] | None = None) -> None:
        from mesa_llm_norms.llm.client import SharedBudget
        from mesa_llm_norms.llm.journal.journal import Journal

        self._llm = replace(read_llm(llm), resume=False)
        self._budget = SharedBudget(self._llm)
        self._client: LLMClient | None = None
        self._opened = 0
        self._used: dict[str, Totals] = {}
        """What each model used, also those of before that are not made again yet."""
        if self._llm.folder is not None:
            for path in sorted(Path(self._llm.folder).glob(f"model-*/{JOURNAL}")):
                journal = Journal.open(path)
                self._used[path.parent.name] = journal.usage()
                journal.close()

    @property
    def client(self) -> LLMClient | None:
        """What makes the calls of the model that plays, None between models."""
        return self._client

    @property
    def usage(self) -> Totals:
        """What the calls of all models on record used."""
        self._note()
        total = Totals()
        for used in self._used.values():
            total = total.plus(used)
        return total

    def open(self, played: Mapping[str, Any]) -> LLMClient:
        """Return what makes the calls of the next model, after ending those of the one before.

        Parameters
        ----------
        played : mapping
            What is played, as JSON can hold it.

        Returns
        -------
        LLMClient
            With what is left of the budget.

        Raises
        ------
        JournalError
            If another model is on record in this place.
        """
        self.close()
        part = f"model-{self._opened}"
        self._used.pop(part, None)
        self._budget.used = self.usage
        folder = self._llm.folder
        there = folder is not None and (Path(folder) / part / JOURNAL).exists()
        self._client = self._budget.client(part, played, resume=there)
        self._opened += 1
        return self._client

    def close(self) -> None:
        """End the calls of the last model, and let go of its journal."""
        if self._client is not None:
            self._client.close()
            self._note()
            self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise SpecError(
            "llm",
            type(self).__name__,
            "it can neither be copied nor leave its process, which holds the budget",
            "Play batch runs with number_processes=1.",
        )

    def _note(self) -> None:
        if self._client is not None:
            self._used[f"model-{self._opened - 1}"] = self._client.usage


def open_client(
    spec: Spec,
    llm: LLMSettings | SharedCalls | Mapping[str, Any] | None,
    content: Mapping[str, Any],
    *,
    executor: Executor | None = None,
    engine: str = "auto",
) -> LLMClient | None:
    """Return what makes the calls of a spec's live minds, None where it has none.

    Parameters
    ----------
    spec : Spec
        What is played.
    llm : LLMSettings, SharedCalls, mapping or None
        How calls are made.
    content : mapping
        What the journal holds beside the spec.
    executor, engine
        What the caller was given; live minds can have neither an executor nor the kernel.

    Returns
    -------
    LLMClient or None
        To be closed, or given to ``choose_backend``.

    Raises
    ------
    SpecError
        If live minds are to be played elsewhere or compiled.
    JournalError
        If a run is resumed with another persona, or shown other attributes.
    """
    if not isinstance(llm, SharedCalls):
        llm = read_llm(llm)
    if not spec.live:
        return None
    check_here(executor, engine)
    from mesa_llm_norms.llm.client import LLMClient
    from mesa_llm_norms.simulation.serialization import to_json

    if isinstance(llm, SharedCalls):
        return llm.open({"spec": to_json(spec), **content})
    llm.check_plays()
    kept = llm.folder is not None
    written: dict[str, Any] = {} if spec.rules is None else {"spec": {"game": None}}
    if kept:
        written = {"spec": to_json(spec), **content}
    client = LLMClient(llm, written)
    for name in ("persona", "sees"):
        before, now = (it.get("spec", {}).get(name) for it in (client.journal.spec, written))
        if before != now:
            client.close()
            problem = f"the {name} was {shown(before)}, and now is {shown(now)}"
            raise JournalError(
                client.journal.path or "", problem, "Resume it as it was started, or start another."
            )
    return client


def check_here(executor: Executor | None, engine: str) -> None:
    """Raise ``SpecError`` if runs with live minds are to be played elsewhere, or compiled."""
    if executor is not None or engine == "kernel":
        raise SpecError(
            "executor" if executor is not None else "engine",
            executor or engine,
            "live minds are called from this process, in plain Python",
            "Leave it out: runs with live minds are played at the same time as they are.",
        )
