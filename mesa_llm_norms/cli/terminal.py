"""What the commands say: results on standard output, notes and errors on standard error."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

PATIENCE = 2.0
"""Seconds after which a progress bar is shown."""
Report = Callable[[str, int, int], None]
"""Told what is being done, how much of it is done, and how much there is."""


def stdout() -> Console:
    """Return the console for results."""
    return Console(highlight=False)


def stderr() -> Console:
    """Return the console for notes, errors and progress."""
    return Console(stderr=True, highlight=False)


def complain(kind: str, text: str) -> None:
    """Write one line to standard error, ``kind: text``."""
    style = "yellow" if kind == "note" else "bold red"
    line = Text.assemble((f"{kind}:", style), " ", one_line(text))
    stderr().print(line, soft_wrap=True)


def one_line(text: str) -> str:
    """Return ``text`` on one line and without control characters."""
    words = " ".join(text.split())
    return "".join(
        letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words
    )


@contextmanager
def progress(waiting: str, patience: float = PATIENCE) -> Iterator[Report]:
    """Give what is told a label and how much is done; on a terminal a bar shows it after a while.

    ``waiting`` is what the bar says before anything is told, ``patience`` the seconds before it.
    """
    console, started = stderr(), time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(waiting, total=None, visible=not patience)
        yield lambda label, done, total: bar.update(
            task,
            description=one_line(label) or waiting,
            completed=done,
            total=total,
            visible=time.monotonic() - started >= patience,
        )


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Write what is warned of as notes, each text once."""
    said: set[str] = set()

    def note(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
        text = str(message)
        if issubclass(category, UserWarning) and text not in said:
            said.add(text)
            complain("note", text)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = note
        yield


def list_folder(console: Console, folder: Path) -> None:
    """Say what a folder holds."""
    files = ", ".join(sorted(path.name for path in folder.iterdir()))
    console.print(Text.assemble(("In ", ""), (f"{folder}/", "bold"), f": {files}"), soft_wrap=True)


def percent(share: float) -> str:
    """Return a share as a percentage that never rounds to all or to nothing."""
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return f"{int(share * 1000) / 10:.1f}%"
    return f"{share:.0%}"
