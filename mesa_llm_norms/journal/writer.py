"""The thread that writes a journal: what is waiting goes to disk together, then is told so."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias, TypeVar

from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.journal.files import unwritable
from mesa_llm_norms.journal.schema import ENDED_COLUMNS, add_ended
from mesa_llm_norms.journal.waiting import Written, wake

T = TypeVar("T")

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
