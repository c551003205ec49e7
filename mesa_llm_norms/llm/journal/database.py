"""The file of a journal: its lock, its checks, and the thread that writes it.

A journal is made whole, examined without a trace, and opened only if it is sound. Everything that
waits to be written goes to disk in one transaction, and only then is reported as written.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from itertools import chain
from pathlib import Path
from platform import python_version
from queue import Empty, SimpleQueue
from typing import Any, Generic, NamedTuple, TypeVar

from filelock import FileLock, Timeout

from mesa_llm_norms.core.files import is_file, is_folder, sync
from mesa_llm_norms.core.limits import BUDGET, TOKENS
from mesa_llm_norms.errors import JournalError, shown
from mesa_llm_norms.llm.journal.rows import (
    APPLICATION,
    ENDED_COLUMNS,
    GAME_INTERACTIONS,
    INSERTS,
    TABLES,
    VERSION,
    Row,
)

ROWS_PER_STATEMENT = 64
"""How many rows one statement writes; SQLite takes 999 values everywhere."""
RESTORE = "Restore a copy of it, or start the run again in another folder."

T = TypeVar("T")


# The lock


class Lock:
    """Lets one process at a time resume a journal; held until ``release`` or the process ends.

    The operating system holds it for the process, so a killed process releases it as well. The file
    beside the journal stays: if it were removed while another opens it, two could hold the lock.
    """

    def __init__(self, journal: Path) -> None:
        self.path: Path = journal.resolve().with_suffix(".lock")  # also through a link
        self._made = not self.path.exists()
        self._lock = FileLock(self.path, timeout=0, mode=0o600, thread_local=False)
        try:
            self.path.parent.stat()  # acquiring would make a missing folder
            self._lock.acquire()
        except Timeout as error:
            raise JournalError(
                journal,
                "another process is already resuming this run",
                "Wait until that process ends, or end it; the journal can be read meanwhile.",
            ) from error
        except (OSError, NotImplementedError) as error:
            raise JournalError(
                journal,
                f"nothing can be locked beside it ({getattr(error, 'strerror', None) or error})",
                "Make its folder writable, or copy the folder to where you may write.",
            ) from error

    def release(self) -> None:
        """Let another process have it."""
        self._lock.release()

    def withdraw(self) -> None:
        """Release it, and leave nothing behind that was not there before."""
        self.release()
        if self._made:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)


# The file


def connect(path: Path, mode: str = "mode=rw") -> sqlite3.Connection:
    """Open an existing SQLite file, for any thread, with transactions begun by hand."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )


def in_memory() -> sqlite3.Connection:
    """Open a database that exists only as long as its connection."""
    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)


def make_tables(connection: sqlite3.Connection, spec: str) -> None:
    """Make the tables in an empty database and write the spec, a JSON object as text."""
    versions = {
        "mesa_llm_norms": _installed_version(),
        "python": python_version(),
        "sqlite": sqlite3.sqlite_version,
    }
    connection.execute("BEGIN")
    _build(connection, of_other_game(json.loads(spec)))
    connection.execute(
        "INSERT INTO spec (id, spec, versions, created) VALUES (0, ?, ?, ?)",
        (spec, json.dumps(versions), now()),
    )
    connection.execute("COMMIT")


def make(path: Path, spec: str) -> None:
    """Write a new journal that only its owner may read; it gets its name once it is whole.

    The caller holds the lock and has checked that there is no such file.
    """
    unfinished = path.with_name(path.name + ".new")
    with reported(path, unwritable, OSError):
        for old in with_logs(unfinished):  # of a process that was killed at this point
            old.unlink(missing_ok=True)
        unfinished.touch(mode=0o600, exist_ok=False)
        try:
            with closing(connect(unfinished)) as connection:
                connection.execute("PRAGMA journal_mode = MEMORY")
                make_tables(connection, spec)
                _use_write_ahead_log(connection, path)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
        sync(path.parent)


def open_for_writing(path: Path, lose: bool) -> sqlite3.Connection:
    """Return the connection by which a sound journal is resumed.

    With ``lose``, the calls that were in flight are marked as lost. The caller holds the lock. Any
    thread may use the connection, one at a time.
    """
    with reported(path, unwritable), ExitStack() as on_error:
        connection = on_error.enter_context(closing(connect(path)))
        _use_write_ahead_log(connection, path)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        if lose:
            connection.execute(
                "UPDATE attempts SET outcome = 'lost' WHERE outcome IS NULL"
                " AND id NOT IN (SELECT attempt FROM batched)"
            )
        on_error.pop_all()
    return connection


@contextmanager
def examined(path: Path) -> Iterator[sqlite3.Connection]:
    """Give a sound journal to read from, as it is on disk.

    Anything wrong with it is a ``JournalError``; neither the file nor its write-ahead log is
    written to, whatever they contain. Others may write meanwhile: one state is seen throughout.
    """
    check_exists(path)
    _, log, index = with_logs(path.resolve())
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


def check_exists(path: Path) -> None:
    """Raise ``JournalError`` if there is no such file."""
    if not is_file(path):
        problem = "it is not a file" if is_folder(path) else "there is no such file"
        raise JournalError(path, problem, "Name a run's folder that contains a journal.")


def with_logs(path: Path) -> tuple[Path, Path, Path]:
    """Return the paths of an SQLite file, its write-ahead log and the index of that."""
    return path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


@contextmanager
def reported(
    path: Path | str,
    error_of: Callable[[Path | str, Exception], JournalError],
    *kinds: type[Exception],
) -> Iterator[None]:
    """Report errors of SQLite and damaged text in the block, and further kinds, by ``error_of``."""
    expected: tuple[type[Exception], ...] = (sqlite3.Error, UnicodeError, *kinds)
    try:
        yield
    except JournalError:  # which is a ValueError
        raise
    except expected as error:
        raise error_of(path, error) from error


def unreadable(path: Path | str, error: Exception) -> JournalError:
    """Return the error for a journal that cannot be read."""
    return JournalError(path, f"it is damaged or cannot be read ({error})", RESTORE)


def unwritable(path: Path | str, error: BaseException) -> JournalError:
    """Return the error for a journal that cannot be written."""
    return JournalError(
        path,
        f"it cannot be written ({error})",
        "Check that its folder exists, is writable and has room; what is in it is kept.",
    )


def check_amounts(connection: sqlite3.Connection, columns: Iterable[str]) -> None:
    """Raise ``ValueError`` for an amount that no call can have: budgets count on them.

    No tokens are known of calls without an outcome, and no cost where no price was.
    """
    ended = "outcome IN ('name', 'distribution', 'unusable', 'failed', 'abandoned')"
    for column in columns:
        is_cost = column == "cost"
        kind, high = ("real", BUDGET.high) if is_cost else ("integer", TOKENS.high)
        known = "FALSE" if is_cost else ended
        found = connection.execute(
            f"SELECT id, {column} FROM attempts WHERE CASE WHEN {column} IS NULL"
            f" THEN {known} ELSE typeof({column}) != ? OR {column} NOT BETWEEN 0 AND ? END",
            (kind, high),
        ).fetchone()
        if found is not None:
            raise ValueError(f"the {column} of call {found[0]} cannot be {shown(found[1], 30)}")


def now() -> str:
    """Return the time in UTC, to the millisecond, in ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _sound(path: Path, log: Path) -> sqlite3.Connection:
    """Return an open connection to a journal that has passed every check."""
    if not log.exists():
        # Nobody has it open then, and SQLite need not make a log to read it.
        try:
            return _checked(path, "immutable=1")
        except JournalError:
            if not log.exists():  # otherwise another process has just begun to write
                raise
    return _checked(path, "mode=ro")


def _checked(path: Path, mode: str) -> sqlite3.Connection:
    with reported(path, unreadable), ExitStack() as on_error:
        connection = on_error.enter_context(closing(connect(path, mode)))
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION:
            raise JournalError(path, "it is not a journal of mesa_llm_norms", RESTORE)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version != VERSION:
            raise JournalError(
                path,
                f"it has format version {version}, and this package reads version {VERSION}",
                "Open it with the version of mesa_llm_norms that wrote it.",
            )
        ((verdict,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
        if verdict != "ok":
            raise JournalError(path, f"it is damaged ({verdict})", RESTORE)
        with closing(in_memory()) as fresh:
            _build(fresh, has_game_table(connection))
            if _columns(connection) != _columns(fresh):
                raise JournalError(path, "its tables are not those of a journal", RESTORE)
        on_error.pop_all()
    return connection


def of_other_game(spec: Mapping[str, Any]) -> bool:
    """Return whether what a journal starts with says that it is not of the naming game."""
    return isinstance(spec.get("spec"), dict) and "game" in spec["spec"]


def has_game_table(connection: sqlite3.Connection) -> bool:
    """Return whether a journal has the table of another game than the naming game."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'game_interactions'")
    return found.fetchone() is not None


def _build(connection: sqlite3.Connection, other_game: bool) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    tables = TABLES + ";" + GAME_INTERACTIONS if other_game else TABLES
    for table in tables.split(";"):
        connection.execute(table)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def _columns(connection: sqlite3.Connection) -> dict[str, frozenset[tuple[str, str, int, int]]]:
    """Return each table's columns: name, type, whether never NULL, place in the primary key."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    columns = 'SELECT name, type, "notnull", pk FROM pragma_table_info(?)'
    return {name: frozenset(connection.execute(columns, (name,))) for (name,) in tables}


def _use_write_ahead_log(connection: sqlite3.Connection, path: Path) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalError(
            path,
            "a journal cannot be kept on this file system",
            "Put the run's folder on a local disk.",
        )


def _installed_version() -> str | None:
    try:
        return metadata.version("mesa-llm-norms")
    except metadata.PackageNotFoundError:
        return None


# The thread that writes


class Written(Future[T], Generic[T]):
    """A future of something to be written, which can be awaited too, on any event loop.

    A loop is woken once for everything that became known together. ``asyncio.wrap_future`` would
    wake it for each, handing the interpreter from thread to thread as often: seconds, if it is
    busy. Giving up waiting changes nothing: what was handed in is written.
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

    ``attempt`` is that number, known at once: a caller that stops waiting must still ``end`` it.
    """

    def __init__(self, attempt: int) -> None:
        super().__init__()
        self.attempt = attempt


class Order(NamedTuple):
    """Rows to write, then a query to answer, and the future that gets the answer."""

    rows: Iterable[Row]
    done: Written[Any]
    query: Callable[[sqlite3.Connection], Any]


class Writer:
    """Owns a connection to a journal and does everything with it, on a thread of its own.

    Everything that waits is written in one transaction, in order. A future is done once its rows
    are on disk; it cannot be cancelled. When writing fails, so does everything that waits, and
    everything that is asked afterwards, with the same ``JournalError``. ``path`` is None in memory.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        _add_ended(connection)
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
        """Have rows written together; ``answer`` is then the result of ``done``."""
        self._hand_in(Order(rows, done, lambda _: answer))

    def ask(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Return the answer to a query, which sees everything handed in before."""
        done: Written[T] = Written()
        self._hand_in(Order((), done, query))
        return done.result()

    def close(self) -> None:
        """Write everything that waits and close the connection."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._orders.put(None)
        self._thread.join()

    def check(self) -> None:
        """Raise ``JournalError`` if nothing more can be handed in."""
        if self.failure is not None:
            failure = self.failure
            raise JournalError(failure.path, failure.problem, failure.remedy) from failure.__cause__
        if self._closed:
            raise JournalError(self._path or ":memory:", "it is closed", "Open it to resume it.")

    def _hand_in(self, order: Order) -> None:
        with self._lock:  # so that nothing is handed in while a failure is being reported
            self.check()
            self._orders.put(order)

    def _run(self) -> None:
        orders: list[Order] = []
        try:
            while orders := self._next():
                self._write(orders)
                for order in orders:
                    _answer(order, self._connection)
                _wake(order.done for order in orders)
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
        for insert, rows in zip(INSERTS, kinds, strict=True):
            row = f"({', '.join('?' * (insert.count(',') + 1))})"
            # Many rows per statement: after each, this thread yields and waits for its next turn.
            for first in range(0, len(rows), ROWS_PER_STATEMENT):
                some = rows[first : first + ROWS_PER_STATEMENT]
                statement = f"INSERT {insert} VALUES {', '.join([row] * len(some))}"
                self._connection.execute(statement, list(chain.from_iterable(some)))
        self._connection.execute("COMMIT")
        if self._identity != _identity(self._path):
            # Whatever is written to a file that was removed is gone with it.
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
        _wake(order.done for order in orders)


def _add_ended(connection: sqlite3.Connection) -> None:
    """Make ``ended`` for this connection: inserting into it completes rows of attempts.

    So one statement completes many rows, which SQLite could not do before 3.33.
    """
    values = ", ".join(f"new.{column}" for column in ENDED_COLUMNS.split(", "))
    connection.execute(f"CREATE TEMP VIEW ended AS SELECT id, {ENDED_COLUMNS} FROM attempts")
    connection.execute(
        "CREATE TEMP TRIGGER ending INSTEAD OF INSERT ON ended BEGIN"
        f" UPDATE attempts SET ({ENDED_COLUMNS}) = ({values}) WHERE id = new.id; END"
    )


def _answer(order: Order, connection: sqlite3.Connection) -> None:
    try:
        order.done.set_result(order.query(connection))
    except Exception as error:
        order.done.set_exception(error)


def _wake(futures: Iterable[Written[Any]]) -> None:
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


def _identity(path: Path | None) -> tuple[int, int] | None:
    """Return what distinguishes a file from another that takes its name, None if there is none."""
    if path is None:
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
