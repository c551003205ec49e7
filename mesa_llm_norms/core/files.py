"""Files and folders: text that users write is read whole, results appear whole or not at all.

Results are written into hidden files and folders, which are locked as long as their process lives:
what a killed one left is removed by the next that writes there. They get their names once they are
on disk, also after a power cut.
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import secrets
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.interrupts import interrupts_held, leftovers
from mesa_llm_norms.errors import FileFormatError, ReportError, SpecError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    import pandas as pd

RUNS = Path("runs")

SPEC = "spec.json"
"""In the folder of a live run the file that is written last: with it the run is complete."""

_HIDDEN = ".unfinished-"

_REMNANT = re.compile(rf"{re.escape(_HIDDEN)}|journal\.lock$|journal\.sqlite\.new")
"""What a process leaves that is killed while it makes a folder or a journal."""
_XZ_MEMORY = 200_000_000
"""The most bytes that unpacking may take besides what is unpacked."""


_SMALLER_GRAPH = (
    "Read it yourself and give the graph itself, or save it with scipy.sparse.save_npz."
)


def is_folder(path: Path) -> bool:
    """Return whether a folder is there; a name that cannot be one is of none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Return whether a regular file is there; a name that cannot be one is of none."""
    try:
        return path.is_file()
    except OSError:
        return False


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


def read_bytes(path: Path, most: int, remedy: str = _SMALLER_GRAPH) -> bytes:
    """Return the contents of a regular file, unpacked if it is packed by gzip, bzip2 or xz.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    most : int
        How many bytes it may have, packed and unpacked.
    remedy : str, optional
        What to do about a larger one. Default: for graph files.

    Raises
    ------
    FileFormatError
        If there is no such file, or it has more.
    """
    try:
        regular = path.is_file() or not path.exists()
        data = _first_bytes(path, most + 1) if regular else b""
    except FileNotFoundError as error:
        remedy = "Check the path; it starts from the folder you run in."
        raise FileFormatError(path, "no such file", remedy) from error
    except (OSError, ValueError) as error:
        remedy = "Check the path and its permissions."
        raise FileFormatError(path, f"cannot be opened ({error})", remedy) from error
    if not regular:
        raise FileFormatError(path, "not a regular file", "Give the path of a file.")
    try:
        data = _unpacked(data, most + 1)
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        remedy = "Check that the file is complete."
        raise FileFormatError(path, f"cannot be unpacked ({error})", remedy) from error
    if len(data) > most:
        raise FileFormatError(path, f"larger than {most // 1_000_000:,} MB", remedy)
    return data


def _first_bytes(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _unpacked(data: bytes, count: int) -> bytes:
    """Return at most ``count`` bytes of what is packed."""
    if data.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=io.BytesIO(data)).read(count)
    if data.startswith(b"BZh"):
        return bz2.BZ2File(io.BytesIO(data)).read(count)
    if data.startswith(b"\xfd7zXZ\0"):
        unpacker = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
        unpacked = unpacker.decompress(data, count)
        if not unpacker.eof and len(unpacked) < count:
            raise EOFError("it ends too early")
        return unpacked
    return data


def check_folder(folder: Path) -> None:
    """Raise ``SpecError`` unless a new folder can be written there: nothing is overwritten."""
    with refusing(folder, OSError, ValueError):
        if "\0" in str(folder):
            raise ValueError("there is a null character in its name")
        if is_free(folder):
            return
        if folder.is_symlink() or folder.exists():
            raise SpecError(
                "out",
                str(folder),
                f"{folder} exists and nothing is overwritten",
                "Give another folder, or move that one away.",
            )
        with suppress(FileNotFoundError):  # another process may take it for a remnant
            Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=existing_parent(folder))).rmdir()


def is_free(folder: Path) -> bool:
    """Whether a folder is there with nothing in it but what a process left that was killed."""
    return folder.is_dir() and all(_is_remnant(path) for path in folder.iterdir())


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder to write into, which becomes ``folder`` when the block succeeds.

    On any exception, including an interrupt, it is removed with all that is in it. Raises
    ``SpecError`` where ``folder`` cannot be made or exists.
    """
    check_folder(folder)
    root = existing_parent(folder)
    try:
        with refusing(folder, OSError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with _hidden_folder(folder.parent) as hidden:
                hidden.chmod(0o777 & ~_umask())
                yield hidden
                _sync_all(hidden)
                check_folder(folder)  # another process may have made it meanwhile
                if folder.is_dir():
                    _empty(folder)
                    folder.rmdir()
                hidden.rename(folder)
                sync(folder.parent)
    except BaseException:
        _remove_empty(folder.parent, root)
        raise


@contextmanager
def finished_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder to write into, whose files go to ``folder`` when the block succeeds.

    ``folder`` exists, such as that of a live run, which has its journal there from the start. Other
    files in it stay.
    """
    with refusing(folder, OSError), _hidden_folder(folder) as hidden:
        yield hidden
        _move(hidden, folder)
        _move(hidden, folder, last=True)


@contextmanager
def new_file(path: Path, argument: str = "out") -> Iterator[Path]:
    """Yield a hidden path to write to, which becomes ``path`` when the block succeeds."""
    with refusing(path, OSError, argument=argument):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_remnants_once(path.parent.absolute())
        with interrupts_held():
            hidden = path.with_name(f"{_HIDDEN}{secrets.token_hex(6)}-{path.name}")
            mark = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
            _lock(mark)
            leftovers.add(str(hidden))
        try:
            yield hidden
            sync(hidden)
            hidden.replace(path)
            sync(path.parent)
        finally:
            hidden.unlink(missing_ok=True)
            leftovers.discard(str(hidden))
            os.close(mark)


def write_results(
    folder: Path,
    write: Callable[[Path], None],
    draw: Callable[[Path], None],
    *,
    live: bool = False,
) -> None:
    """Write results so that nothing that is made of them can take them along when it fails.

    Parameters
    ----------
    folder : Path
        Where they go; new unless ``live``.
    write : callable
        Writes the results into a folder: tables and what else took time to compute.
    draw : callable
        Writes what is made of these: figures and a report.
    live : bool, default False
        Whether the folder is that of a live run. It then gets ``SPEC`` last, so that a run whose
        figures could not be drawn can be resumed, which takes no call.

    Raises
    ------
    ReportError
        If ``draw`` fails; what ``write`` wrote is there.
    SpecError
        If the folder cannot be written.
    """
    if live:
        with finished_folder(folder) as inside:
            write(inside)
            _move(inside, folder)
            with drawing(folder):
                draw(inside)
        return
    with new_folder(folder) as inside:
        write(inside)
    with drawing(folder), finished_folder(folder) as inside:
        draw(inside)


@contextmanager
def drawing(folder: Path) -> Iterator[None]:
    """Raise ``ReportError`` for whatever goes wrong in the block; results are in ``folder``."""
    try:
        yield
    except Exception as error:
        raise ReportError(str(folder), f"{type(error).__name__}: {error}") from error


def sync(path: Path) -> None:
    """Have a file or a folder on disk, and not only on its way there, when this returns."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_all(folder: Path) -> None:
    for path in folder.rglob("*"):
        sync(path)
    sync(folder)


def _move(hidden: Path, folder: Path, last: bool = False) -> None:
    """Move all files but ``SPEC``, or the ``last`` one, that."""
    paths = [path for path in hidden.iterdir() if (path.name == SPEC) is last]
    for path in paths:
        sync(path)
    for path in paths:
        path.replace(folder / path.name)
    if paths:
        sync(folder)


# Hidden files and folders, and what is left of them by processes that were killed


@contextmanager
def _hidden_folder(parent: Path) -> Iterator[Path]:
    """Yield a new hidden folder, which is removed again if it still has its name."""
    _remove_remnants(parent)
    with interrupts_held():
        hidden = Path(tempfile.mkdtemp(prefix=_HIDDEN, dir=parent))
        mark = os.open(hidden, os.O_RDONLY) if os.name == "posix" else None
        if mark is not None:
            _lock(mark)
        leftovers.add(str(hidden))
    try:
        yield hidden
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        leftovers.discard(str(hidden))
        if mark is not None:
            os.close(mark)


def _lock(descriptor: int) -> bool:
    """Mark as in use, until it is closed or the process ends; return whether that is possible."""
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _is_remnant(path: Path) -> bool:
    """Whether a file or folder is what a process leaves that was killed before its first call."""
    if path.is_dir() and not path.is_symlink() and not path.name.startswith(_HIDDEN):
        inside = list(path.iterdir())
        return bool(inside) and all(map(_is_remnant, inside))
    return bool(_REMNANT.match(path.name))


def _empty(folder: Path) -> None:
    """Remove the remnants in a folder that is free."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove_remnants(folder: Path) -> None:
    """Remove hidden files and folders whose processes were killed: nobody holds their locks."""
    if sys.platform == "win32":
        return
    for path in folder.glob(f"{_HIDDEN}*"):
        with suppress(OSError):
            mark = os.open(path, os.O_RDONLY)
            try:
                if _lock(mark):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
            finally:
                os.close(mark)


_remove_remnants_once = cache(_remove_remnants)
"""For folders of very many files, which would be looked through for each."""


@contextmanager
def refusing(path: Path, *kinds: type[Exception], argument: str = "out") -> Iterator[None]:
    """Turn errors of the operating system into ``SpecError``."""
    try:
        yield
    except (SpecError, ReportError):
        raise
    except kinds as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise SpecError(
            argument,
            str(path),
            f"{path} cannot be written ({reason})",
            "Give a folder that you may write to.",
        ) from error


def existing_parent(folder: Path) -> Path:
    """Return the first folder above that is there."""
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
