"""Loops compiled by numba; imported when needed, through ``load``, because that takes a moment.

What a loop computes is defined by a module in plain Python; here are only the innermost parts.
Compiled code is kept in ``__pycache__`` (or where ``NUMBA_CACHE_DIR`` says) and compiled again when
any of these files changes, for each holds code of others. Processes that start together wait for
the one that compiles. Where nothing can be written, code is kept for the process.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from mesa_llm_norms.core.interrupts import leftovers

WAITING_SECONDS = 300.0
"""Seconds for which a process waits for another that compiles, before it does so itself."""

SILENT_SECONDS = 1.0
"""Compiling that takes longer is mentioned on standard error."""

_STAMP = "sources.sha256"
"""The file that says what compiled code was made from."""

_loaded: dict[str, ModuleType] = {}
_loading = threading.RLock()


def load(name: str) -> ModuleType:
    """Return the compiled module ``name`` of this package, compiled if it must be.

    Threads that ask for it at the same time all wait until it is there.
    """
    if name not in _loaded:
        with _loading:
            if name not in _loaded:
                _loaded[name] = _load(f"{__name__}.{name}", name)
    return _loaded[name]


def is_switched_off() -> bool:
    """Whether numba was told to compile nothing, by ``NUMBA_DISABLE_JIT``."""
    try:
        return int(os.environ.get("NUMBA_DISABLE_JIT") or 0) != 0
    except ValueError:  # which numba takes for 0
        return False


def note_switched_off() -> None:
    """Warn that plain Python takes the place of compiled code."""
    warnings.warn(
        "NUMBA_DISABLE_JIT is set, so nothing is compiled: the same is played in plain Python, "
        "which takes much longer",
        stacklevel=2,
    )


def is_loaded(name: str) -> bool:
    """Whether the compiled module ``name`` is there already."""
    return name in _loaded


def _load(module: str, name: str) -> ModuleType:
    numba: Any = import_module("numba")
    folder = Path(__file__).parent
    if is_switched_off():
        # What wraps around as it should is an overflow to numpy.
        warnings.filterwarnings("ignore", "overflow", RuntimeWarning, re.escape(__name__))
        note_switched_off()
        return import_module(module)
    telling: AbstractContextManager[None] = nullcontext()
    if not _is_compiled(name, folder):
        text = f"mesa_llm_norms: compiling the {name} kernel, once, for a few seconds ..."
        telling = _telling(text)
    with telling, _alone(folder):
        if not _loaded:
            forget_outdated(folder)
        try:
            return import_module(module)
        except RuntimeError as error:
            if "cannot cache function" not in str(error):
                raise
            numba.config.CACHE_DIR = tempfile.mkdtemp(prefix="mesa_llm_norms-")
            leftovers.add(numba.config.CACHE_DIR)
            atexit.register(shutil.rmtree, numba.config.CACHE_DIR, ignore_errors=True)
            return import_module(module)


def forget_outdated(folder: Path) -> None:
    """Remove the compiled code of a folder unless it was made from its files as they are now.

    Numba compiles a function again when its own file changes, but it holds code of others.
    """
    kept = folder / "__pycache__"
    with suppress(OSError):
        if _stamped(folder):
            return
        for code in kept.glob("*.nb[ci]"):
            code.unlink(missing_ok=True)
        (kept / _STAMP).write_text(_stamp(folder))


def _stamp(folder: Path) -> str:
    texts = (path.read_bytes() for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(b"\0".join(texts)).hexdigest()


def _stamped(folder: Path) -> bool:
    path = folder / "__pycache__" / _STAMP
    return path.is_file() and path.read_text() == _stamp(folder)


def _is_compiled(name: str, folder: Path) -> bool:
    """Whether there is compiled code of a module, so that loading it will not take long."""
    elsewhere = os.environ.get("NUMBA_CACHE_DIR")
    kept = Path(elsewhere) if elsewhere else folder / "__pycache__"
    with suppress(OSError):
        python = f"py{sys.version_info.major}{sys.version_info.minor}"
        current = bool(_loaded) or _stamped(folder)  # looked at before the first is loaded
        return current and any(kept.rglob(f"{name}.*.{python}*.nbi"))
    return False


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other processes from compiling the same at the same time, where files can be locked."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "__pycache__" / "compiling.lock")
    with suppress(OSError, NotImplementedError, Timeout):
        lock.acquire(timeout=WAITING_SECONDS)
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _telling(text: str) -> Iterator[None]:
    timer = threading.Timer(SILENT_SECONDS, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
