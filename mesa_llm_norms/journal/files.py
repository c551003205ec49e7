"""The file of a journal: made whole, looked at without a trace, opened only when it is sound."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from platform import python_version

from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.journal.schema import (
    APPLICATION,
    VERSION,
    build,
    is_current,
    migrate,
    version_of,
)

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
