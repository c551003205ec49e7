"""The four ways to a journal: begun, gone on with, looked at, and kept in memory alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.journal.files import (
    begin_tables,
    check_there,
    current_copy,
    examined,
    keep_older,
    make,
    open_for_writing,
)
from mesa_llm_norms.journal.ledger import Ledger, load
from mesa_llm_norms.journal.lock import Lock
from mesa_llm_norms.journal.reading import Heading, heading, reading, without_outcome
from mesa_llm_norms.journal.rows import Attempt
from mesa_llm_norms.journal.schema import VERSION, version_of
from mesa_llm_norms.journal.texts import json_object


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
