"""Calls sent together: collected until no more come, sent as one batch, waited for, handed out.

**A call of a batch is made once.** It is on record with the batch's key before the batch is sent,
and each call is sent under that key and its own number. What the API calls the batch is recorded
before any result counts. Where that is not known, because the process was killed or the connection
broke while the batch was sent, the API is asked for batches of that time and size, and one is ours
if its results carry our key. Only if there is none, ``SETTLED`` seconds after it was sent, are the
calls sent again.

A batch outlives its process: anyone who asks the same for the same decision again waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from mesa_llm_norms.core.formatting import duration, plural
from mesa_llm_norms.errors import CallError
from mesa_llm_norms.llm.journal import database
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Batch, Call
from mesa_llm_norms.llm.provider import Question, Reply

QUIET = 1.0
"""Seconds without another call after which those collected are sent."""
FIRST_LOOK, LONGEST_LOOK = 2.0, 60.0
"""Seconds between looks at a batch that is out; each wait is half as long again as the last."""
REPORTED_EVERY = 300.0
"""Seconds between two reports of a batch that is out."""
SETTLED = 30.0
"""Seconds after which a batch that was sent is listed, if it ever arrived."""
SKEW = 3_600.0
"""Seconds by which this computer's clock may be ahead of the API's."""
RETRIES = 3
"""How often a call that failed in a batch is repeated, unless the settings say otherwise."""

_log = logging.getLogger(__name__)


class BatchState(NamedTuple):
    """How a batch stands: its calls, how many have ended, when it was made, whether all ended."""

    id: str
    size: int
    done: int
    created: float
    ended: bool


class BatchAPI(ABC):
    """Sends many questions together, for one provider. What fails is a ``CallError``."""

    most: int
    """The most questions in one batch."""
    most_bytes: int
    """The most bytes in one batch."""

    @abstractmethod
    def size(self, question: Question) -> int:
        """Return how many bytes a question takes in a batch, at most."""

    @abstractmethod
    async def create(self, questions: Mapping[str, Question]) -> BatchState:
        """Send questions, each under its id."""

    @abstractmethod
    async def look(self, batch: str) -> BatchState:
        """Return how a batch stands."""

    @abstractmethod
    async def since(self, moment: float) -> list[BatchState]:
        """Return the batches made after a moment, in seconds since 1970, the newest first."""

    @abstractmethod
    async def results(self, batch: str) -> Mapping[str, Any]:
        """Return the results of a batch that has ended, by the ids of its questions."""

    @abstractmethod
    def read(self, result: Any, question: Question) -> Reply:
        """Return the reply in a result; raise ``CallError`` where there is none."""


class BatchError(Exception):
    """Batches can neither be sent nor waited for, and why; the calls in them have not failed."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(reason)
        self.reason = reason


class _Asked:
    """A call that somebody waits for: ``answer`` gets its number and its result."""

    def __init__(self, call: Call, question: Question, attempt: int | None) -> None:
        self.call = call
        self.question = question
        self.attempt = attempt
        self.answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()


Retrying = Callable[[Callable[[Any], Awaitable[Any]]], Awaitable[Any]]
"""Makes a request of the API as often as it takes."""


class BatchQueue:
    """Sends the calls of one provider in batches. Used on one event loop only.

    ``calling`` holds the tasks that must not be cut while they send.
    """

    def __init__(
        self,
        api: BatchAPI,
        label: str,
        journal: Journal,
        retrying: Retrying,
        calling: set[asyncio.Task[Any]],
    ) -> None:
        self._api = api
        self._label = label
        self._journal = journal
        self._retrying = retrying
        self._calling = calling
        self._collected: list[_Asked] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._out: dict[str, list[_Asked]] = {}
        """Who waits for a batch, by its key."""
        self._results: dict[str, Mapping[str, Any]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopped: Exception | None = None

    def is_out(self, call: Call) -> bool:
        """Return whether a call was sent before, for the same decision and in the same way."""
        return self._found(call) is not None

    async def ask(self, call: Call, question: Question) -> tuple[int, Callable[[], Reply]]:
        """Have a call made; return its number, and what reads its reply or raises ``CallError``.

        Raises ``BatchError`` if no batch can be sent or waited for.
        """
        if self._stopped is not None:
            raise BatchError(self._stopped)
        found = self._found(call)
        asked = _Asked(call, question, None if found is None else found[0])
        if found is None:
            self._collect(asked)
        else:
            self._wait_for(found[1].key, asked)
        attempt, result = await asked.answer
        return attempt, lambda: self._read(result, question)

    def stop(self, reason: Exception) -> None:
        """Send nothing more and wait for nothing: all get ``reason``, and batches stay out."""
        self._stopped = reason
        self.turn_away(reason)
        for key, task in self._tasks.items():
            if task not in self._calling:
                task.cancel()
            self._give_up(self._out.pop(key, ()), reason)
            batch = self._batch(key)
            if batch is not None and batch.id is not None and key not in self._results:
                _log.warning(
                    "%s: the batch %s of %s stays out; resume (--resume), and its replies are read",
                    self._label,
                    batch.id,
                    plural(batch.size, "call"),
                )

    def turn_away(self, reason: Exception) -> None:
        """Raise ``reason`` in everything that is collected and not sent."""
        collected, self._collected, self._bytes = self._collected, [], 0
        self._give_up(collected, reason)

    # Collecting

    def _found(self, call: Call) -> tuple[int, Batch] | None:
        found = self._journal.out(call)
        return found if found is not None and found[1].place == call.place else None

    def _collect(self, asked: _Asked) -> None:
        size = self._api.size(asked.question)
        full = len(self._collected) >= self._api.most or self._bytes + size > self._api.most_bytes
        if self._collected and full:
            self._send()
        self._collected.append(asked)
        self._bytes += size
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET, self._send)

    def _send(self) -> None:
        collected, self._collected, self._bytes = self._collected, [], 0
        wanted = [it for it in collected if not it.answer.done()]
        if wanted:
            key = secrets.token_hex(8)
            self._out[key] = wanted
            self._start(key, self._sending(key, wanted))

    def _start(self, key: str, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[key] = task

        def ended(task: asyncio.Task[None]) -> None:
            if self._tasks.get(key) is task:
                del self._tasks[key]
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self._give_up(self._out.pop(key, ()), error)

        task.add_done_callback(ended)

    async def _sending(self, key: str, wanted: Sequence[_Asked]) -> None:
        """Record calls, send them, record what the API calls the batch, and wait for it."""
        this = asyncio.current_task()
        assert this is not None
        self._calling.add(this)
        try:
            for asked in wanted:
                if asked.attempt is None:
                    asked.attempt = self._journal.begin(asked.call).attempt
            attempts = [it.attempt for it in wanted if it.attempt is not None]
            place = wanted[0].call.place
            batch = Batch(key, place, len(attempts), database.now())
            await self._journal.batch(batch, attempts)
            questions = {f"{key}-{it.attempt}": it.question for it in wanted}
            batch = batch._replace(id=await self._created(batch, questions))
            await self._journal.batch(batch, ())
        finally:
            self._calling.discard(this)
        if self._stopped is not None:
            return
        _log.warning(
            "%s: %s are out as one batch (%s), at half the price; it may take a day. Ctrl-C leaves "
            "it out, and --resume reads its replies",
            self._label,
            plural(batch.size, "call"),
            batch.id,
        )
        await self._watch(batch)

    async def _created(self, batch: Batch, questions: Mapping[str, Question]) -> str:
        """Send a batch and return what the API calls it; it is sent again only if it is not there.

        After a failure that does not say so, that has to be found out.
        """
        unsure = False

        async def create(_: Any) -> str:
            nonlocal unsure
            if unsure and (found := await self._find(batch)) is not None:
                return found
            unsure = True
            try:
                return (await self._api.create(questions)).id
            except CallError as error:
                unsure = error.status is None or not 400 <= error.status < 500
                raise

        name: str = await self._retrying(create)
        return name

    async def _find(self, batch: Batch) -> str | None:
        """Return what the API calls a batch that was sent, None if it never arrived."""
        known = {it.id for it in self._journal.batches()}
        begun = datetime.fromisoformat(batch.begun).timestamp()
        while True:
            listed_at = time.time()
            for state in await self._api.since(begun - SKEW):
                if state.size == batch.size and state.id not in known:
                    # Not retried here: the whole search is.
                    await self._ended(state.id, self._api.look)
                    results = await self._api.results(state.id)
                    if any(name.startswith(f"{batch.key}-") for name in results):
                        return state.id
                    known.add(state.id)
            if listed_at >= begun + SETTLED:
                return None
            await asyncio.sleep(max(0.0, begun + SETTLED - time.time()))

    # Waiting

    def _wait_for(self, key: str, asked: _Asked) -> None:
        """Give a call its result once its batch has ended."""
        if key in self._results:
            self._hand_out(key, [asked])
            return
        self._out.setdefault(key, []).append(asked)
        batch = self._batch(key)
        assert batch is not None
        if key not in self._tasks:
            self._start(key, self._resumed(batch))

    async def _resumed(self, batch: Batch) -> None:
        """Wait for a batch that another process sent, or send its calls again if it never did."""
        if batch.id is None:
            name = await self._retrying(lambda _: self._find(batch))
            if name is None:
                for asked in self._out.pop(batch.key, ()):
                    self._collect(asked)
                return
            batch = batch._replace(id=name)
            await self._journal.batch(batch, ())
        _log.warning("%s: waiting for the batch %s", self._label, batch.id)
        await self._watch(batch)

    async def _watch(self, batch: Batch) -> None:
        """Wait until a batch has ended, and hand out its results."""
        assert batch.id is not None
        try:
            await self._ended(batch.id, self._look)
            results = await self._retrying(lambda _: self._api.results(batch.id or ""))
        except CallError as error:
            if error.status != 404:
                raise
            _log.warning("%s: the batch %s is not there any more", self._label, batch.id)
            results = {}
        self._results[batch.key] = results
        self._hand_out(batch.key, self._out.pop(batch.key, ()))

    async def _look(self, name: str) -> BatchState:
        state: BatchState = await self._retrying(lambda _: self._api.look(name))
        return state

    async def _ended(self, name: str, look: Callable[[str], Awaitable[BatchState]]) -> None:
        wait, begun = FIRST_LOOK, time.monotonic()
        reported = begun
        while True:
            state = await look(name)
            if state.ended:
                return
            if time.monotonic() - reported >= REPORTED_EVERY:
                reported = time.monotonic()
                _log.warning(
                    "%s: %d of %d calls of the batch %s have ended after %s",
                    self._label,
                    state.done,
                    state.size,
                    name,
                    duration(reported - begun),
                )
            await asyncio.sleep(wait)
            wait = min(LONGEST_LOOK, wait * 1.5)

    def _hand_out(self, key: str, waiting: Sequence[_Asked]) -> None:
        for asked in waiting:
            if not asked.answer.done():
                result = self._results[key].get(f"{key}-{asked.attempt}")
                asked.answer.set_result((asked.attempt, result))

    def _read(self, result: Any, question: Question) -> Reply:
        if result is None:
            raise CallError(self._label, "failed", "its batch has no result for it")
        return self._api.read(result, question)

    def _batch(self, key: str) -> Batch | None:
        return next((it for it in self._journal.batches() if it.key == key), None)

    def _give_up(self, waiting: Sequence[_Asked], reason: BaseException) -> None:
        error = BatchError(reason) if isinstance(reason, Exception) else reason
        for asked in waiting:
            if not asked.answer.done():
                asked.answer.set_exception(error)
