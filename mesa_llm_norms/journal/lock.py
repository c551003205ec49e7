"""The lock that lets one process at a time go on with a journal."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from pathlib import Path

from mesa_llm_norms.errors import JournalError


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
