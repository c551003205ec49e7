"""Files and folders: text that users write is read whole, results appear whole or not at all."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mesa_llm_norms.core import limits
from mesa_llm_norms.errors import FileFormatError, SpecError

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("runs")

SPEC = "spec.json"
"""In the folder of a live run the file that is written last: with it the run is complete."""

_HIDDEN = ".unfinished-"


def read_text(path: Path, remedy: str) -> str:
    """Return the contents of a UTF-8 file of at most 20 MB.

    Raises ``FileFormatError`` with ``remedy`` for anything else.
    """
    try:
        if path.exists() and not path.is_file():
            raise FileFormatError(path, "it is not a regular file", remedy)
        if path.stat().st_size not in limits.TEXT_FILE:
            raise FileFormatError(
                path, f"it is larger than {limits.TEXT_FILE.high:,} bytes", remedy
            )
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        problem = error.strerror or "it cannot be read"
        raise FileFormatError(path, problem, "Check the path.") from error
    except FileFormatError:
        raise
    except ValueError as error:
        raise FileFormatError(path, "it is not UTF-8 text", remedy) from error


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Return the JSON object in a file; ``FileFormatError`` with ``remedy`` if there is none."""
    return parse_json(path, read_text(path, remedy), remedy)


def parse_json(path: Path, text: str, remedy: str) -> dict[str, Any]:
    """Return the JSON object in the text of a file, as ``read_json`` does."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise FileFormatError(path, f"it is not JSON: {error}", remedy) from error
    if not isinstance(content, dict):
        raise FileFormatError(path, "it does not hold a JSON object", remedy)
    return content


def write_csv(
    table: pd.DataFrame, file: Path | TextIO, *, index: bool = False, form: str | None = "%.6g"
) -> None:
    """Write a table as CSV of which a spreadsheet takes no text for a formula.

    Text that begins like one gets an apostrophe in front; numbers are written by ``form``.
    """
    safe = table.rename(columns=_not_a_formula, index=_not_a_formula)
    for place, kind in enumerate(table.dtypes):
        if kind.kind not in "biufcmM":
            values = table.iloc[:, place].astype(object)
            values[:] = [_not_a_formula(value) for value in values]
            safe.isetitem(place, values.array)
    safe.to_csv(file, index=index, float_format=form)


def _not_a_formula(value: Any) -> Any:
    if not isinstance(value, str) or not value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def check_folder(folder: Path) -> None:
    """Raise ``SpecError`` unless a new folder can be written there: nothing is overwritten."""
    with _refusing(folder, OSError, ValueError):
        if "\0" in str(folder):
            raise ValueError("there is a null character in its name")
        if folder.is_dir() and not any(folder.iterdir()):
            return
        if folder.is_symlink() or folder.exists():
            raise SpecError(
                "out",
                str(folder),
                f"{folder} exists and nothing is overwritten",
                "Give another folder, or move that one away.",
            )
        Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=_existing_parent(folder))).rmdir()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder to write into, which becomes ``folder`` when the block succeeds.

    On any exception, including an interrupt, it is removed with all that is in it. Raises
    ``SpecError`` where ``folder`` cannot be made or exists.
    """
    check_folder(folder)
    root = _existing_parent(folder)
    hidden: Path | None = None
    try:
        with _refusing(folder, OSError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            hidden = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=folder.parent))
            hidden.chmod(0o777 & ~_umask())
            yield hidden
            check_folder(folder)  # another process may have made it meanwhile
            if folder.is_dir():
                folder.rmdir()
            hidden.rename(folder)
    except BaseException:
        if hidden is not None:
            shutil.rmtree(hidden, ignore_errors=True)
        _remove_empty(folder.parent, root)
        raise


@contextmanager
def finished_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder to write into, whose files go to ``folder`` when the block succeeds.

    ``folder`` is that of a live run, which exists from the start with its journal. Other files in
    it stay.
    """
    with _refusing(folder, OSError):
        hidden = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=folder))
        try:
            yield hidden
            for path in sorted(hidden.iterdir(), key=lambda path: path.name == SPEC):
                path.replace(folder / path.name)
        finally:
            shutil.rmtree(hidden, ignore_errors=True)


@contextmanager
def new_file(path: Path, argument: str = "out") -> Iterator[Path]:
    """Yield a hidden path to write to, which becomes ``path`` when the block succeeds."""
    with _refusing(path, OSError, argument=argument):
        path.parent.mkdir(parents=True, exist_ok=True)
        hidden = path.with_name(f"{_HIDDEN}{secrets.token_hex(6)}-{path.name}")
        try:
            yield hidden
            hidden.replace(path)
        finally:
            hidden.unlink(missing_ok=True)


@contextmanager
def _refusing(path: Path, *kinds: type[Exception], argument: str = "out") -> Iterator[None]:
    """Turn errors of the operating system into ``SpecError``."""
    try:
        yield
    except SpecError:
        raise
    except kinds as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SpecError(
            argument,
            str(path),
            f"{path} cannot be written ({reason})",
            "Give a folder that you may write to.",
        ) from error


def _existing_parent(folder: Path) -> Path:
    return next(parent for parent in folder.absolute().parents if parent.exists())


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove empty parent folders that were made on the way, below ``root``."""
    for parent in (folder.absolute(), *folder.absolute().parents):
        if parent == root:
            return
        with suppress(OSError):
            parent.rmdir()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
