"""Where the cells of a sweep are kept: a folder, one file for each, or memory alone.

A file is written hidden and renamed, so it is there whole or not at all. It holds what anybody else
who plays the same cell would write, so any number of processes may sweep one folder at once; they
need no lock, and at worst play the same runs twice.
"""

from __future__ import annotations

import json
import secrets
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from mesa_llm_norms.errors import FileFormatError, SpecError
from mesa_llm_norms.sweeps.cells import Tables

FORMAT = "mesa_llm_norms sweep"
VERSION = 1
RECORD = "sweep.json"
_META = b"mesa_llm_norms"


class Memory:
    """Keeps cells in memory."""

    path: Path | None = None

    def __init__(self) -> None:
        self._kept: dict[str, Tables] = {}

    def read(self, key: str, keep_rounds: bool = False) -> Tables | None:  # noqa: ARG002
        """Return what there is of a cell."""
        return self._kept.get(key)

    def write(self, key: str, tables: Tables, description: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Keep a cell."""
        self._kept[key] = tables

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Keep nothing: whoever has the sweep has its record."""

    def write_summary(self, cells: pd.DataFrame) -> None:
        """Keep nothing."""


class Folder:
    """Keeps cells in a folder: ``cells/KEY.parquet``, and ``rounds/KEY.parquet`` where kept."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            known = (self.path / RECORD).exists() or not self.path.exists()
            taken = not known and any(self.path.iterdir())
        except OSError as error:
            raise _refused(self.path, error) from error
        if taken:
            raise SpecError(
                "out",
                str(path),
                f"{path} holds something that is no sweep, and nothing is overwritten",
                "Give another folder.",
            )

    def read(self, key: str, keep_rounds: bool = False) -> Tables | None:
        """Return what there is of a cell; a damaged file is put aside, with a warning."""
        there = self._read("cells", key)
        if there is None or not keep_rounds:
            return None if there is None else Tables(there[0], None, there[1])
        rounds = self._read("rounds", key)
        if rounds is None or rounds[0]["run"].max() + 1 < len(there[0]):
            return None
        return Tables(there[0], rounds[0][rounds[0]["run"] < len(there[0])], there[1])

    def write(self, key: str, tables: Tables, description: Mapping[str, Any]) -> None:
        """Write a cell, unless more of its runs are there, from another process perhaps."""
        there = self._read("cells", key)
        if tables.rounds is not None:
            self._write("rounds", key, tables.rounds, description)
        if there is None or len(there[0]) < len(tables.runs):
            self._write("cells", key, tables.runs, description, tables.numbers)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write down what the sweep is."""
        text = json.dumps({"format": FORMAT, "version": VERSION, **record}, indent=1)
        with self._new(self.path / RECORD) as hidden:
            hidden.write_text(text + "\n", encoding="utf-8")

    def read_record(self) -> dict[str, Any]:
        """Return what the sweep is; ``FileFormatError`` where that cannot be read."""
        path = self.path / RECORD
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileFormatError(path, "it cannot be read", "Name a sweep's folder.") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise FileFormatError(path, "it is of no sweep", "Name a sweep's folder.")
        if record.get("version") != VERSION:
            raise FileFormatError(path, "it is of another version", "Install that one.")
        if not {"axes", "cells", "seed", "runs", "keep_rounds"} <= record.keys():
            raise FileFormatError(path, "it is not whole", "Play the sweep again.")
        return record

    def write_summary(self, cells: pd.DataFrame) -> None:
        """Write the table of cells, as CSV and as Parquet."""
        with self._new(self.path / "summary.csv") as hidden:
            cells.to_csv(hidden, index=False, float_format="%.6g")
        with self._new(self.path / "summary.parquet") as hidden:
            cells.to_parquet(hidden, index=False)

    def _read(self, kind: str, key: str) -> tuple[pd.DataFrame, Any] | None:
        """Return the table of a file, and the numbers that sum it up if they are there."""
        import pyarrow.parquet as pq  # late, for it takes a moment

        path = self.path / kind / f"{key}.parquet"
        try:
            with path.open("rb") as file:
                table = pq.ParquetFile(file, page_checksum_verification=True).read()
            meta = json.loads((table.schema.metadata or {})[_META])
            frame: pd.DataFrame = table.to_pandas()
            numbers = frame["run"].to_numpy()
            whole = meta["key"] == key and (kind != "cells" or (numbers == range(len(frame))).all())
        except FileNotFoundError:
            return None
        except (PermissionError, NotADirectoryError) as error:
            raise _refused(path, error) from error
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException):
            whole = False
        if whole:
            return frame, meta.get("numbers")
        aside = self.path / "damaged" / f"{key}-{secrets.token_hex(3)}.parquet"
        aside.parent.mkdir(exist_ok=True)
        path.replace(aside)
        warnings.warn(f"{path} is damaged; it is played again, and kept as {aside}", stacklevel=2)
        return None

    def _write(
        self,
        kind: str,
        key: str,
        frame: pd.DataFrame,
        description: Mapping[str, Any],
        numbers: Mapping[str, Any] | None = None,
    ) -> None:
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame, preserve_index=False)
        if "winner" in table.column_names:  # of one type, also where nobody has won
            place = table.column_names.index("winner")
            table = table.set_column(place, "winner", table["winner"].cast(pa.string()))
        meta = json.dumps({"key": key, "cell": description, "numbers": numbers}).encode()
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _META: meta})
        with self._new(self.path / kind / f"{key}.parquet") as hidden:
            pq.write_table(table, hidden, write_page_checksum=True)

    @contextmanager
    def _new(self, path: Path) -> Iterator[Path]:
        """Give a hidden path to write to, which becomes ``path`` when the block ends well."""
        hidden = path.with_name(f".unfinished-{secrets.token_hex(6)}-{path.name}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield hidden
                hidden.replace(path)
            finally:
                hidden.unlink(missing_ok=True)
        except OSError as error:
            raise _refused(path, error) from error

    def save(self, name: str, write: Callable[[Path], Any]) -> None:
        """Have a file of this name written as all are: hidden, then renamed."""
        with self._new(self.path / name) as hidden:
            write(hidden)


def _refused(path: Path, error: OSError) -> SpecError:
    return SpecError(
        "out",
        str(path),
        f"{path} cannot be read or written ({error.strerror or error})",
        "Give a place that you may write to.",
    )
