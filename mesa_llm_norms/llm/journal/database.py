"""The lock that lets one process at a time go on with a journal.

The file of a journal: made whole, looked at without a trace, opened only when it is sound.

Futures of what is to reach the disk: waited for by threads, or awaited on an event loop.

The thread that writes a journal: what is waiting goes to disk together, then is told so.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from pathlib import Path
from platform import python_version
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.llm.journal.tables import (
    APPLICATION,
    ENDED_COLUMNS,
    VERSION,
    add_ended,
    build,
    is_current,
    migrate,
    version_of,
)


class Lock:
    """Held from when it is made until ``release``, or until its process ends, however it ends.

    It is an open transaction on a small SQLite file of its own, beside the journal, for SQLite
    knows how to lock a file on every system. The file stays, for to remove it while another waits
    for it would let two hold it. Raises ``JournalError`` where another has it.
    """

    def __init__(self, journal: Path) -> None:
        self.path = journal.resolve().with_suffix(".lock")  # whatever link leads there
        try:
            self.path.touch(mode=0o600, exist_ok=False)
            self._made = True
        except FileExistsError:
            self._made = False
        except OSError as error:
            raise JournalError(
                journal,
                f"nothing can be written beside it ({error.strerror})",
                "Make its folder writable, or copy the folder to where you may write.",
            ) from error
        self._connection = sqlite3.connect(
            self.path, timeout=0, isolation_level=None, check_same_thread=False
        )
        try:
            self._connection.execute("PRAGMA journal_mode = MEMORY")
            self._connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            self._connection.close()
            if "locked" in str(error):
                raise JournalError(
                    journal,
                    "this run is being gone on with already",
                    "Wait for the process that does, or end it; reading is possible meanwhile.",
                ) from error
            raise JournalError(
                journal,
                f"{self.path.name} beside it cannot be locked ({error})",
                f"If nothing goes on with this run, remove {self.path.name}.",
            ) from error

    def release(self) -> None:
        """Let another have it."""
        self._connection.close()

    def withdraw(self) -> None:
        """Release it and leave nothing behind that was not there before."""
        self._connection.close()
        if self._made:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)


RESTORE = "Put back a copy of it, or start the run again in another folder."


def now() -> str:
    """Return the time in UTC, to the millisecond, as ISO 8601 has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def begin_tables(connection: sqlite3.Connection, spec: str) -> None:
    """Make the tables in an empty database and write the spec down, a JSON object as text."""
    versions = {
        "mesa_llm_norms": _version_installed(),
        "python": python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    connection.execute("BEGIN")
    build(connection)
    connection.execute(
        "INSERT INTO spec (id, spec, versions, created) VALUES (0, ?, ?, ?)",
        (spec, json.dumps(versions), now()),
    )
    connection.execute("COMMIT")


def make(path: Path, spec: str) -> None:
    """Write a new journal that its owner alone may read; under its name it is whole.

    The caller holds the lock and has seen that nothing is there.
    """
    try:
        with _appearing(path) as unfinished, closing(connect(unfinished)) as connection:
            connection.execute("PRAGMA journal_mode = MEMORY")
            begin_tables(connection, spec)
            _to_write_ahead(connection, path)
    except (OSError, sqlite3.Error) as error:
        raise unwritable(path, error) from error


def keep_older(connection: sqlite3.Connection, path: Path) -> Path:
    """Copy a journal of an older version beside it, ``.v1`` after its name; return the copy."""
    copy = path.with_name(f"{path.name}.v{version_of(connection)}")
    try:
        with _appearing(copy) as unfinished, closing(connect(unfinished)) as target:
            connection.backup(target)
    except (OSError, sqlite3.Error) as error:
        raise unwritable(copy, error) from error
    return copy


def open_for_writing(path: Path, lose: bool) -> sqlite3.Connection:
    """Return the connection that a sound journal is gone on with, brought to this version.

    With ``lose`` the calls that were under way are marked as lost. The caller holds the lock. Any
    thread may use the connection, one at a time.
    """
    connection = None
    try:
        connection = connect(path)
        _to_write_ahead(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        migrate(connection)
        if lose:
            connection.execute("UPDATE attempts SET outcome = 'lost' WHERE outcome IS NULL")
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise unwritable(path, error) from error
        raise
    return connection


def check_there(path: Path) -> None:
    """Raise ``JournalError`` where there is no file."""
    if not path.is_file():
        problem = "it is no file" if path.exists() else "there is no such file"
        raise JournalError(path, problem, "Name a run's folder that holds a journal.")


@contextmanager
def examined(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a sound journal to read from, of this version or an older one, as it is on disk.

    Whatever is wrong with it is a ``JournalError``; neither the file nor its write-ahead log is
    written to, whatever is in them. Others may write meanwhile: one state is seen throughout.
    """
    check_there(path)
    real = path.resolve()
    log, index = (real.with_name(real.name + suffix) for suffix in ("-wal", "-shm"))
    makes_index = log.exists() and not index.exists()
    try:
        with closing(_sound(path, log)) as connection:
            connection.execute("BEGIN")
            yield connection
    except JournalError:
        if makes_index:
            with suppress(OSError):
                index.unlink()
        raise


def current_copy(connection: sqlite3.Connection, path: Path) -> sqlite3.Connection:
    """Return a copy of an examined journal in memory, of this version."""
    copy = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    try:
        connection.backup(copy)
        migrate(copy)
        check_tables(copy, path)
    except BaseException as error:
        copy.close()
        if isinstance(error, sqlite3.Error):
            raise unreadable(path, error) from error
        raise
    return copy


def check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Raise ``JournalError`` where a table or a column is missing, or there is one too many."""
    if not is_current(connection):
        raise JournalError(path, "its tables are not those of a journal", RESTORE)


def connect(path: Path, mode: str = "mode=rw") -> sqlite3.Connection:
    """Open an SQLite file that is there, for any thread, with transactions begun by hand."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )


def unreadable(path: Path | str, error: Exception) -> JournalError:
    """Return the error that says why a journal cannot be read."""
    return JournalError(path, f"it is damaged or cannot be read ({error})", RESTORE)


def unwritable(path: Path | str, error: BaseException) -> JournalError:
    """Return the error that says why a journal cannot be written."""
    return JournalError(
        path,
        f"it cannot be written ({error})",
        "See that its folder is there, may be written and has room; what is in it is kept.",
    )


def _sound(path: Path, log: Path) -> sqlite3.Connection:
    """Return an open connection to a journal that has passed every check."""
    if not log.exists():
        # Nobody has it open then, and SQLite need not make a log to read it.
        try:
            return _checked(path, "immutable=1")
        except JournalError:
            if not log.exists():  # otherwise somebody began to write in this moment
                raise
    return _checked(path, "mode=ro")


def _checked(path: Path, mode: str) -> sqlite3.Connection:
    connection = None
    try:
        connection = connect(path, mode)
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION:
            raise JournalError(path, "it is no journal of mesa_llm_norms", RESTORE)
        version = version_of(connection)
        if version > VERSION:
            raise JournalError(
                path,
                f"it is of version {version}, and this package knows {VERSION}",
                "Install the newer mesa_llm_norms that wrote it.",
            )
        if version < 1:
            raise JournalError(path, f"it is damaged (version {version})", RESTORE)
        ((verdict,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise JournalError(path, f"it is damaged ({verdict})", RESTORE)
        if version == VERSION:
            check_tables(connection, path)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise unreadable(path, error) from error
        raise
    return connection


def _to_write_ahead(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalError(
            path,
            "a journal cannot be kept on this file system",
            "Put the run's folder on a disk of this machine.",
        )


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """Give an empty file that takes the name of ``path`` once it is written, or never."""
    unfinished = path.with_name(path.name + ".new")
    for ending in ("", "-wal", "-shm"):  # of a process that was ended at this point
        unfinished.with_name(unfinished.name + ending).unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _version_installed() -> str | None:
    try:
        return metadata.version("mesa-llm-norms")
    except metadata.PackageNotFoundError:
        return None


T = TypeVar("T")


class Written(Future[T], Generic[T]):
    """A future that can be awaited too, on any event loop.

    A loop is woken once for all that became known together. ``asyncio.wrap_future`` would wake it
    for each, and hand the interpreter from thread to thread as often: seconds, where it is busy.
    Whoever stops waiting changes nothing: what was handed in is written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self.waiters: list[asyncio.Future[None]] = []

    def __await__(self) -> Generator[Any, None, T]:
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        if not self.done():  # if it is done after this, the waiter is seen
            yield from waiter
        return self.result()


class Begun(Written[int]):
    """Done when the call is on disk and may be made; the result is the attempt's number.

    ``attempt`` is that number, known at once: whoever stops waiting must still ``end`` it.
    """

    def __init__(self, attempt: int) -> None:
        super().__init__()
        self.attempt = attempt


def wake(futures: Iterable[Written[Any]]) -> None:
    """Wake those that await ``futures``, all of them done, each event loop once."""
    waiters: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for future in futures:
        for waiter in future.waiters:
            waiters.setdefault(waiter.get_loop(), []).append(waiter)
    for loop, its_waiters in waiters.items():
        with suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(_finish, its_waiters)


def _finish(waiters: Iterable[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)


PROMPT, PARAMETERS, BEGUN, ENDED, DISTRIBUTION, DECISION, INTERACTION = range(7)
"""The kinds of row, in the order in which they may refer to each other."""


INSERTS: Sequence[tuple[str, int]] = (
    ("INSERT OR IGNORE INTO prompts (digest, text)", 2),
    ("INSERT OR IGNORE INTO parameters (digest, text)", 2),
    (
        "INSERT INTO attempts (id, run, interaction, seat, try, mind, place, parameters, system,"
        " user, begun)",
        11,
    ),
    (f"INSERT INTO ended (id, {ENDED_COLUMNS})", 13),
    ("INSERT INTO distributions (key, probabilities, attempt)", 3),
    (
        "INSERT OR REPLACE INTO decisions (run, interaction, seat, prompt, name, probability,"
        " attempt)",
        7,
    ),
    (
        "INSERT INTO interactions (run, interaction, round, node_a, node_b, name_a, name_b,"
        " payoff, reason)",
        9,
    ),
)
"""How rows of each kind are written, and how many values one has."""


MOST_ROWS = 64
"""How many rows one statement writes; SQLite takes 999 values everywhere."""


Row: TypeAlias = tuple[int, tuple[Any, ...]]
"""A kind, and the values of its statement."""


Query: TypeAlias = Callable[[sqlite3.Connection], Any]


class Order(NamedTuple):
    """Rows to be written, then a query to be answered, if any; and whom to tell what."""

    rows: Iterable[Row]
    done: Written[Any]
    answer: Any = None
    query: Query | None = None


class Writer:
    """Owns a connection to a journal and does all that is done with it, on a thread of its own.

    All that waits is written in one transaction, in order. A future is done when its rows are on
    disk; it cannot be cancelled, for what was handed in is written. When writing fails, so does
    everything that waits, and whatever is asked afterwards, with the same ``JournalError``.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        add_ended(connection)
        self._connection = connection
        self._path = path
        self._identity = _identity(path)
        self._orders: SimpleQueue[Order | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self.failure: JournalError | None = None
        self._thread = threading.Thread(
            target=self._run, name="mesa_llm_norms journal", daemon=True
        )
        self._thread.start()

    def write(self, rows: Iterable[Row], done: Written[T], answer: T) -> None:
        """Have ``rows`` written together; ``answer`` is then the result of ``done``."""
        self._hand_in(Order(rows, done, answer))

    def ask(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Return the answer of ``query``, which sees all that was handed in before."""
        done: Written[T] = Written()
        self._hand_in(Order((), done, query=query))
        return done.result()

    def close(self) -> None:
        """Write all that waits and close the connection."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._orders.put(None)
        self._thread.join()

    def check(self) -> None:
        """Raise ``JournalError`` where nothing more can be handed in."""
        if self.failure is not None:
            failure = self.failure
            raise JournalError(failure.path, failure.problem, failure.remedy) from failure.__cause__
        if self._closed:
            raise JournalError(
                self._path or ":memory:", "it has been closed", "Open it to go on with it."
            )

    def _hand_in(self, order: Order) -> None:
        with self._lock:  # so that nothing is handed in behind the back of a failure
            self.check()
            self._orders.put(order)

    def _run(self) -> None:
        orders: list[Order] = []
        try:
            while orders := self._next():
                self._write(orders)
                for order in orders:
                    _tell(order, self._connection)
                wake(order.done for order in orders)
        except BaseException as error:
            self._fail(error, orders)
        finally:
            with suppress(sqlite3.Error):
                self._connection.close()

    def _next(self) -> list[Order]:
        """Wait for something to do and return all there is; nothing once that is the end."""
        first = self._orders.get()
        orders = []
        while first is not None:
            orders.append(first)
            try:
                first = self._orders.get_nowait()
            except Empty:
                return orders
        if orders:
            self._orders.put(None)
        return orders

    def _write(self, orders: list[Order]) -> None:
        kinds: list[list[tuple[Any, ...]]] = [[] for _ in INSERTS]
        for order in orders:
            for kind, values in order.rows:
                kinds[kind].append(values)
        if not any(kinds):
            return
        self._connection.execute("BEGIN IMMEDIATE")
        for (insert, width), rows in zip(INSERTS, kinds, strict=True):
            # Many rows to a statement: at each, the thread lets others run and waits for its turn.
            for first in range(0, len(rows), MOST_ROWS):
                some = rows[first : first + MOST_ROWS]
                row = f"({', '.join('?' * width)})"
                statement = f"{insert} VALUES {', '.join([row] * len(some))}"
                self._connection.execute(statement, list(chain.from_iterable(some)))
        self._connection.execute("COMMIT")
        if self._identity != _identity(self._path):
            # A file that was removed takes what is written to it along.
            raise FileNotFoundError("the file was removed or replaced")

    def _fail(self, error: BaseException, orders: list[Order]) -> None:
        failure = unwritable(self._path or ":memory:", error)
        failure.__cause__ = error
        with self._lock:
            self.failure = failure
            while not self._orders.empty():
                order = self._orders.get()
                if order is not None:
                    orders.append(order)
        for order in orders:
            if not order.done.done():
                order.done.set_exception(failure)
        wake(order.done for order in orders)


def _tell(order: Order, connection: sqlite3.Connection) -> None:
    try:
        answer = order.answer if order.query is None else order.query(connection)
    except Exception as error:
        order.done.set_exception(error)
    else:
        order.done.set_result(answer)


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Return what tells a file from another that takes its name, None where there is none."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
