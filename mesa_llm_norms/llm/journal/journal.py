"""The four ways to a journal: begun, gone on with, looked at, and kept in memory alone.

The half of a journal that is read: what was decided, committed and spent so far.

The journal of live runs: every call, decision and interaction, on disk before it counts.

A killed run is played again from its first interaction, with every decision taken from here until
there are no more. What was paid for once is not paid for again.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, get_args

from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.errors import JournalError, SpecError
from mesa_llm_norms.llm.journal import ledger
from mesa_llm_norms.llm.journal.database import (
    BEGUN,
    DECISION,
    DISTRIBUTION,
    ENDED,
    INTERACTION,
    PARAMETERS,
    PROMPT,
    Begun,
    Lock,
    Row,
    Writer,
    Written,
    begin_tables,
    check_there,
    current_copy,
    examined,
    keep_older,
    make,
    now,
    open_for_writing,
)
from mesa_llm_norms.llm.journal.ledger import (
    Asked,
    Heading,
    Ledger,
    Seat,
    heading,
    load,
    reading,
    stored,
    without_outcome,
    write_probabilities,
)
from mesa_llm_norms.llm.journal.tables import (
    VERSION,
    AgentUsage,
    Attempt,
    Call,
    Distribution,
    Ended,
    Ending,
    Recorded,
    Totals,
    Voided,
    join_digests,
    json_object,
    storable,
    text_digest,
    version_of,
)


class Content(NamedTuple):
    """What is taken from a journal when it is opened."""

    ledger: Ledger
    heading: Heading
    in_flight: tuple[Attempt, ...]


class Opened(NamedTuple):
    """An open journal: its content, the connection to the rest, and the lock if it is held."""

    connection: sqlite3.Connection
    path: Path | None
    content: Content
    lock: Lock | None = None
    may_write: bool = True


def created(path: Path, spec: Mapping[str, Any]) -> Opened:
    """Begin a journal where nothing is."""
    text = json_object("spec", spec)
    lock = Lock(path)
    try:
        if path.exists() or path.is_symlink():
            raise JournalError(path, "it is there already", "Go on with it, or name another.")
        make(path, text)
        return _opened(path, lock)
    except BaseException:
        lock.withdraw()
        raise


def opened(path: Path) -> Opened:
    """Take up a journal to go on with it; whatever is refused is left as it was."""
    check_there(path)
    lock = Lock(path)
    try:
        return _opened(path, lock)
    except BaseException:
        lock.withdraw()
        raise


def looked_at(path: Path) -> Opened:
    """Copy a journal as it is now into memory."""
    with examined(path) as found:
        copy = current_copy(found, path)
        try:
            content = _read(copy, path)
        except BaseException:
            copy.close()
            raise
    return Opened(copy, path, content, may_write=False)


def in_memory(spec: Mapping[str, Any]) -> Opened:
    """Begin a journal without a file."""
    text = json_object("spec", spec)
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA foreign_keys = ON")
    begin_tables(connection, text)
    return Opened(connection, None, Content(Ledger(), heading(connection), ()))


def _opened(path: Path, lock: Lock) -> Opened:
    older = None
    with examined(path) as found:
        if version_of(found) == VERSION:
            content = _read(found, path)
        else:
            with closing(current_copy(found, path)) as current:
                content = _read(current, path)
            older = keep_older(found, path)
    try:
        connection = open_for_writing(path, lose=bool(content.in_flight))
    except BaseException:
        if older is not None:
            older.unlink()
        raise
    for attempt in content.in_flight:
        content.ledger.lose(attempt.run)
    lost = tuple(attempt._replace(outcome="lost") for attempt in content.in_flight)
    return Opened(connection, path, content._replace(in_flight=lost), lock)


def _read(connection: sqlite3.Connection, path: Path) -> Content:
    with reading(path):
        return Content(load(connection), heading(connection), without_outcome(connection))


class Records:
    """What an open journal holds; any thread may ask, and sees all that was handed in before."""

    def __init__(self, opened: Opened) -> None:
        self.path = opened.path
        self.spec, self.versions, self.created = opened.content.heading
        self._ledger = opened.content.ledger
        self._in_flight = opened.content.in_flight
        self._file_lock = opened.lock
        self._may_write = opened.may_write
        self._lock = threading.Lock()
        self._is_open = True
        self._writer = Writer(opened.connection, opened.path)

    def decision(self, run: int, interaction: int, seat: int) -> Recorded | None:
        """Return the decision that was made at a seat, None where none was."""
        return self._told().decisions.get((run, interaction, seat))

    def distribution(self, key: str) -> tuple[float, ...] | None:
        """Return the probabilities kept under a key, None where none are."""
        return self._told().distributions.get(key)

    def tries(self, run: int, interaction: int, seat: int, prompt: str) -> int:
        """Return how many unusable replies the prompt of this digest had for this decision."""
        return self._told().unusable.get(((run, interaction, seat), prompt), 0)

    def interaction(self, run: int, number: int) -> Interaction | Voided | None:
        """Return a committed interaction, None where it is not.

        A node id that JSON cannot hold is the text that stands for it.
        """
        return self._told().interaction(run, number)

    def usage(self, run: int | None = None) -> Totals:
        """Return what all calls came to, or those of one run, in this session and before."""
        if run is None:
            return self._ledger.total
        return self._ledger.totals.get(run, Totals())

    def usage_by_agent(self, run: int) -> tuple[AgentUsage, ...]:
        """Return what each agent's calls came to in a run, in the order they were first asked."""
        with ledger.reading(self.path):
            return self._writer.ask(lambda it: ledger.usage_by_agent(it, run))

    def attempts_of(self, run: int, interaction: int) -> tuple[Attempt, ...]:
        """Return the calls made for an interaction, in the order in which they began."""
        with ledger.reading(self.path):
            return self._writer.ask(lambda it: ledger.attempts_of(it, run, interaction))

    def in_flight(self) -> tuple[Attempt, ...]:
        """Return the calls that were under way when the journal was opened.

        To go on with it is to know them lost; to read it is not, for its process may still live.
        """
        return self._in_flight

    def _told(self) -> Ledger:
        if self._writer.failure is not None:
            self._writer.check()
        return self._ledger

    def _error(self, problem: str, remedy: str) -> JournalError:
        return JournalError(self.path or ":memory:", problem, remedy)


class Journal(Records):
    """What live runs did, any number of them side by side, in one SQLite file.

    ``create`` begins one, ``open`` goes on with one, ``read`` looks at one, and ``memory`` keeps
    one that is not wanted on disk. Any thread may call anything. Whatever writes returns a future
    and never waits; rows reach the disk in the order of the calls, those of one call together.
    What has been handed in is seen at once by every method, though no row can be on disk without
    the ones handed in before it.

    When writing fails, all that waits raises ``JournalError`` and so does every call from then on,
    but for ``usage``, which still says what was spent, and ``close``, which raises it at last.
    """

    _parameters: tuple[Mapping[str, Any] | None, str] = (None, "")
    """Those of the last call, as they were given and as they were written."""

    @classmethod
    def create(cls, path: str | Path, spec: Mapping[str, Any]) -> Journal:
        """Begin a journal in a folder that is there; ``spec`` is any JSON object.

        Raises ``JournalError`` where something is there already.
        """
        return cls(created(Path(path), spec))

    @classmethod
    def open(cls, path: str | Path) -> Journal:
        """Go on with a journal; calls that were under way when its process ended are then lost.

        One of an older version is brought to this one, and a copy as it was is left beside it. One
        that is damaged or newer, or that another process goes on with, is a ``JournalError``, and
        nothing has been changed.
        """
        return cls(opened(Path(path)))

    @classmethod
    def read(cls, path: str | Path) -> Journal:
        """Return a journal as it is on disk now; others may go on with it.

        It can be read, and told again what it holds, as a replay does; nothing can be added.
        """
        return cls(looked_at(Path(path)))

    @classmethod
    def memory(cls, spec: Mapping[str, Any]) -> Journal:
        """Begin a journal that is gone when it is closed."""
        return cls(in_memory(spec))

    def begin(self, call: Call) -> Begun:
        """Write down that a call is about to be made, before it is."""
        seat = _seat(call.run, call.interaction, call.seat)
        texts = storable(call.system), storable(call.user)
        parameters = self._parameters_of(call)
        system, user = map(text_digest, texts)
        named = storable(call.mind), storable(call.place), text_digest(parameters)
        with self._lock:
            self._check()
            number = self._ledger.made[seat]
            begun = Begun(self._ledger.begin(Asked(seat, join_digests(system, user))))
            rows = (
                (PROMPT, (system, texts[0])),
                (PROMPT, (user, texts[1])),
                (PARAMETERS, (named[2], parameters)),
                (BEGUN, (begun.attempt, *seat, number, *named, system, user, now())),
            )
            self._writer.write(rows, begun, begun.attempt)
        return begun

    def end(
        self,
        attempt: int,
        ended: Ended,
        recorded: Recorded | None = None,
        distribution: Distribution | None = None,
    ) -> Written[None]:
        """Write down what came of a call and, inseparably, the decision or distribution it gave.

        Of two distributions under one key the first stays. A reply that is told of without its
        decision would be paid for again if the process ended in between.
        """
        if ended.outcome not in get_args(Ending):
            raise SpecError(
                "outcome",
                ended.outcome,
                f"no call ends as {ended.outcome!r}",
                f"Give one of {', '.join(get_args(Ending))}.",
            )
        done: Written[None] = Written()
        with self._lock:
            self._check()
            asked = self._ledger.under_way.get(attempt)
            if asked is None:
                raise self._error(
                    f"attempt {attempt} is not under way", "End each once, where it was begun."
                )
            rows = [(ENDED, (attempt, *_values(ended)))]
            if distribution is not None and distribution.key not in self._ledger.distributions:
                text = write_probabilities(distribution.probabilities)
                rows.append((DISTRIBUTION, (distribution.key, text, attempt)))
            if recorded is not None:
                rows += self._decision(asked.seat, recorded)
                self._ledger.decisions[asked.seat] = recorded
            if distribution is not None:
                given = tuple(map(float, distribution.probabilities))
                self._ledger.distributions.setdefault(distribution.key, given)
            self._ledger.end(attempt, ended)
            self._writer.write(rows, done, None)
        return done

    def decide(self, run: int, interaction: int, seat: int, recorded: Recorded) -> Written[None]:
        """Write down a decision that no new call gave.

        It takes the place of one that came to nothing, because agents were changed since; where the
        interaction is committed, another decision is a ``JournalError``.
        """
        done: Written[None] = Written()
        key = _seat(run, interaction, seat)
        with self._lock:
            rows = self._decision(key, recorded)
            self._check(adds=bool(rows))
            self._ledger.decisions[key] = recorded
            self._writer.write(rows, done, None)
        return done

    def commit(self, *committed: Interaction | Voided) -> Written[None]:
        """Write down interactions; nobody need wait for it.

        One that is there is compared: the same again does nothing, another is a ``JournalError``.
        """
        done: Written[None] = Written()
        rows: list[Row] = []
        with self._lock:
            for row in committed:
                key, new = (int(row.run), int(row.interaction)), stored(row)
                known = self._ledger.interactions.get(key, new)
                if known != new:
                    raise self._error(
                        f"interaction {key[1]} of run {key[0]} went otherwise before",
                        "Go on with the spec and the version that it was begun with.",
                    )
                if known is new:
                    rows.append((INTERACTION, (*key, *new)))
            self._check(adds=bool(rows))
            for _, values in rows:
                self._ledger.interactions[values[0], values[1]] = values[2:]
            self._writer.write(rows, done, None)
        return done

    def flush(self) -> None:
        """Wait until all that was handed in is on disk."""
        self._writer.ask(lambda _: None)

    def close(self) -> None:
        """Write all that waits and let go of the file; raises ``JournalError`` if that failed."""
        with self._lock:
            was_open, self._is_open = self._is_open, False
        self._writer.close()
        if self._file_lock is not None:
            self._file_lock.release()
        if was_open and self._writer.failure is not None:
            self._writer.check()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except JournalError:
            if error is None:  # otherwise that is what is to be told
                raise

    def _parameters_of(self, call: Call) -> str:
        """Return the parameters as text, which is known where the last call had the very same."""
        given, text = self._parameters
        if given is not call.parameters:
            given, text = call.parameters, json_object("parameters", call.parameters)
            self._parameters = given, text
        return text

    def _check(self, adds: bool = True) -> None:
        self._writer.check()
        if adds and not self._may_write:
            raise self._error("it was opened to be read", "Go on with it by Journal.open.")

    def _decision(self, seat: Seat, recorded: Recorded) -> list[Row]:
        known = self._ledger.decisions.get(seat)
        run, interaction, number = seat
        if known not in (None, recorded) and (run, interaction) in self._ledger.interactions:
            raise self._error(
                f"seat {number} of interaction {interaction} in run {run} was decided before",
                "Take the decision from the journal.",
            )
        if recorded.attempt is not None and not 1 <= recorded.attempt <= self._ledger.last:
            raise self._error(
                f"there is no attempt {recorded.attempt}", "Name the one that gave the decision."
            )
        return [] if known == recorded else [(DECISION, (*seat, *recorded))]


def _seat(run: int, interaction: int, seat: int) -> Seat:
    if seat not in (0, 1):
        raise SpecError("seat", seat, f"there is no seat {seat!r}", "Give 0 or 1.")
    return int(run), int(interaction), int(seat)


def _values(ended: Ended) -> tuple[Any, ...]:
    """Return what is known after a call in the order of ``Ended``, as it is written."""
    return tuple(storable(one) if isinstance(one, str) else one for one in ended)
