"""Reading the study's own files: pickles, each holding the runs of one condition.

A pickle can run any code when it is loaded. This reader refuses, before anything is loaded, every
pickle that holds more than plain data (numbers, text, lists, tuples and dictionaries), and gives
the unpickler no global at all.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.study.recordings import COLUMNS, NAMES

MAX_BYTES = 200_000_000

PLAIN = frozenset(
    (
        "PROTO",
        "FRAME",
        "STOP",
        "MARK",
        "POP",
        "POP_MARK",
        "NONE",
        "NEWTRUE",
        "NEWFALSE",
        "BININT",
        "BININT1",
        "BININT2",
        "LONG1",
        "BINFLOAT",
        "SHORT_BINUNICODE",
        "BINUNICODE",
        "EMPTY_LIST",
        "APPEND",
        "APPENDS",
        "LIST",
        "EMPTY_TUPLE",
        "TUPLE",
        "TUPLE1",
        "TUPLE2",
        "TUPLE3",
        "EMPTY_DICT",
        "DICT",
        "SETITEM",
        "SETITEMS",
        "BINGET",
        "LONG_BINGET",
        "BINPUT",
        "LONG_BINPUT",
        "MEMOIZE",
    )
)
"""The operations of a pickle that holds plain data."""

_REMEDY = "Give a file as the authors of the study publish them."


def read_original(
    path: str | Path, model: str, kind: str = "baseline", pool: Sequence[str] | None = None
) -> pd.DataFrame:
    """Return the interactions in a file of the study as a table like its ``interactions.csv``.

    The files do not say which ``model`` or ``kind`` they hold, nor the order of the pool: without
    ``pool`` it is the names played, sorted. Players keep their numbers. Raises
    ``FileFormatError`` for anything else than such a file, and never runs what is in it.
    """
    path = Path(path)
    content = _load_plain(path)
    rows: list[tuple[int, int, int, int, str, str]] = []
    length = 0
    try:
        runs = {key: run for key, run in content.items() if isinstance(key, int)}
        for number, run in sorted(runs.items()):
            tracker = run["tracker"]
            length = max(length, len(run["simulation"]))
            pairs = zip(tracker["players"], tracker["answers"], strict=True)
            for t, ((a, b), (name_a, name_b)) in enumerate(pairs):
                rows.append((number, t, int(a), int(b), str(name_a), str(name_b)))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileFormatError(
            path, f"it does not hold runs of the study ({error!r})", _REMEDY
        ) from error
    if not rows:
        raise FileFormatError(path, "it holds no interaction", _REMEDY)
    table = pd.DataFrame(rows, columns=["run", "t", "player_a", "player_b", *NAMES])
    played = sorted({*table["name_a"], *table["name_b"]})
    table = table.assign(
        model=model, kind=kind, pool=" ".join(pool or played), memory=5, population=length
    )
    return table[[*COLUMNS, *NAMES]]


class _NoGlobals(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"it refers to something outside, {pid!r}")


def _load_plain(path: Path) -> dict[Any, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileFormatError(path, f"it is larger than {MAX_BYTES:,} bytes", _REMEDY)
        data = path.read_bytes()
    except OSError as error:
        raise FileFormatError(
            path, error.strerror or "it cannot be read", "Check the path."
        ) from error
    try:
        for operation, argument, _ in pickletools.genops(data):
            if operation.name not in PLAIN:
                raise FileFormatError(
                    path,
                    f"it is not plain data: it uses {operation.name}",
                    "Do not trust this file.",
                )
            if operation.name in ("BINPUT", "LONG_BINPUT") and int(argument or 0) > len(data):
                raise FileFormatError(
                    path, "it reserves memory it does not use", "Do not trust it."
                )
        content = _NoGlobals(io.BytesIO(data)).load()
    except FileFormatError:
        raise
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise FileFormatError(path, f"it is no readable pickle ({error})", _REMEDY) from error
    if not isinstance(content, dict):
        raise FileFormatError(path, "it does not hold a dictionary of runs", _REMEDY)
    return content
