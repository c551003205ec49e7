"""What a cell is, in writing: all that decides its runs, and the hash it is filed under.

**Two cells share a file only if their runs are the same.** So what is known by a label alone, a
mind or a graph, is in it by its contents; and order is kept where it matters, as among the names
that agents are committed to.

One cell of a sweep: where it is in the grid, and what plays its runs.

Where the cells of a sweep are kept: a folder, one file for each, or memory alone.

A file is written hidden and renamed, so it is there whole or not at all. It holds what anybody else
who plays the same cell would write, so any number of processes may sweep one folder at once; they
need no lock, and at worst play the same runs twice.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import pickle
import secrets
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import FileFormatError, SpecError
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.placement import read_committed
from mesa_llm_norms.networks.reading import names_file, read_graph
from mesa_llm_norms.networks.registry import find_topology
from mesa_llm_norms.simulation.ensemble import TYPICAL, How, load_graph, play_run, settle
from mesa_llm_norms.simulation.kernel import can_play
from mesa_llm_norms.simulation.pairing import PAIRINGS, read_pairing
from mesa_llm_norms.simulation.run import run_table, tally_table
from mesa_llm_norms.simulation.spec import Spec

LENGTH = 24


class Digests:
    """Hashes of minds and graphs, each worked out once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}

    def of(self, thing: Any) -> str:
        """Return the hash of a mind, a pairing rule, a graph or a graph file."""
        known = self._known.get(id(thing))
        if known is None:
            known = self._known[id(thing)] = thing, _digest(thing)
        return known[1]


def describe(spec: Spec, goal: Goal, rounds: int, digests: Digests) -> dict[str, Any]:
    """Return all that decides the runs of a cell, but for how many there are, as plain data."""
    pairing = read_pairing(spec.pairing)
    rule: Any = pairing.label
    if type(pairing) is not PAIRINGS.get(rule):
        rule = [rule, digests.of(pairing)]
    return {
        "game": "naming game of minds",
        "graph": _graph(spec.graph, digests),
        "names": list(spec.game.pool),
        "mind": _minds(spec, digests),
        "pairing": rule,
        "memory": int(spec.memory),
        "reward": float(spec.reward),
        "penalty": float(spec.penalty),
        "incumbent": spec.incumbent,
        "committed": [[name, _where(it)] for name, it in read_committed(spec.committed).items()],
        "seed": spec.seed,
        "until": goal.until,
        "window": float(goal.window),
        "threshold": float(goal.threshold),
        "rounds": rounds,
        "versions": dict(versions()),
    }


def key_of(description: Mapping[str, Any]) -> str:
    """Return the hash of a description."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Return the versions that trajectories may depend on: ours, and those that draw graphs."""
    found = []
    for package, parts in (("mesa-llm-norms", 3), ("networkx", 2), ("numpy", 2), ("scipy", 2)):
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            version = "unknown"
        found.append((package, ".".join(version.split(".")[:parts])))
    return tuple(found)


def _graph(graph: Any, digests: Digests) -> Any:
    if isinstance(graph, (str, Path)) and names_file(graph):
        return {"file": digests.of(Path(graph))}
    if not isinstance(graph, str):
        return {"graph": digests.of(graph)}
    made = find_topology(graph)
    code = _code(made.function) if made else b""
    return {"topology": graph, "code": _hash(code)} if code else graph


def _minds(spec: Spec, digests: Digests) -> Any:
    def known(mind: Any) -> list[str]:
        loaded = load_mind(mind)
        return [loaded.label, digests.of(loaded)]

    if not isinstance(spec.mind, Mapping):
        return known(spec.mind)
    if all(isinstance(share, (int, float)) for share in spec.mind.values()):
        return [[*known(mind), float(share)] for mind, share in spec.mind.items()]
    return [[_node(node), *known(mind)] for node, mind in spec.mind.items()]


def _where(where: Any) -> Any:
    """Return who is committed as data; an amount and its place are told from two nodes."""
    where = where.tolist() if isinstance(where, np.ndarray) else where
    if isinstance(where, np.generic):
        where = where.item()
    if isinstance(where, tuple):
        return {"given": [_node(one) for one in where]}
    if isinstance(where, (list, set, frozenset)):
        nodes = [_node(one) for one in where]
        return {"nodes": nodes if isinstance(where, list) else sorted(nodes, key=str)}
    return _node(where)


def _node(node: Any) -> Any:
    return node if isinstance(node, (str, int, float)) else repr(node)


def _digest(thing: Any) -> str:
    if isinstance(thing, Path):
        try:
            return _hash(thing.read_bytes())
        except OSError:
            return "unreadable"
    if isinstance(thing, Mind) or hasattr(thing, "label"):
        return _hash(_pickled(thing))
    import random

    neighbors = Neighbors(read_graph(thing, random.Random(0)))
    weights = b"" if neighbors.weights is None else neighbors.weights.tobytes()
    names = neighbors.nodes
    nodes = repr(names) if isinstance(names, range) else "\n".join(map(repr, names))
    arrays = neighbors.indptr.tobytes() + neighbors.indices.tobytes() + weights
    return _hash(nodes.encode("utf-8", "backslashreplace") + bytes([neighbors.directed]) + arrays)


def _pickled(thing: Any) -> bytes:
    """Return an object as bytes that depend on its contents, not on which parts are one object."""
    written = io.BytesIO()
    pickler = pickle.Pickler(written, 4)
    pickler.fast = True
    try:
        pickler.dump(thing)
    except Exception as error:
        raise SpecError(
            "mind",
            thing,
            f"{getattr(thing, 'label', thing)!r} cannot be told from others ({error})",
            "Define it in a module, so that it can be pickled, and keep it free of what cannot be.",
        ) from error
    return written.getvalue() + _code(type(thing))


def _code(thing: Any) -> bytes:
    """Return the source of a function or class of the user's, and of its module; none for ours."""
    if thing.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return b""
    found = []
    for source in (thing, sys.modules.get(thing.__module__)):
        with suppress(OSError, TypeError):  # typed in somewhere, perhaps
            found.append(inspect.getsource(source).encode() if source is not None else b"")
    return b"\0".join(found)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:LENGTH]


class Tables(NamedTuple):
    """Some runs of a cell: a row for each, and one for each of their rounds if these are kept.

    ``numbers`` sums the runs up, where that has been done.
    """

    runs: pd.DataFrame
    rounds: pd.DataFrame | None = None
    numbers: Mapping[str, Any] | None = None

    def first(self, runs: int) -> Tables:
        """Return the first runs of them."""
        if len(self.runs) <= runs:
            return self
        rounds = None if self.rounds is None else self.rounds[self.rounds["run"] < runs]
        return Tables(self.runs[:runs], rounds)


class Runner(Protocol):
    """What plays the runs of a cell, in this process or another: the seam for other games."""

    def play(self, runs: range) -> Tables:
        """Play these runs; run k does not depend on which others are played."""


class Game(Protocol):
    """A game as a cell sees it, before anything is played."""

    @property
    def pool(self) -> tuple[str, ...]:
        """The names that may win."""

    @property
    def event(self) -> str:
        """What runs are played until: ``converged`` or ``flipped``; empty for nothing."""

    def prepare(self) -> int:
        """Check that it can be played, and return the number of agents."""

    def cost(self, runs: int) -> int:
        """Return about how many interactions so many runs take."""

    def runner(self, interactions: int, elsewhere: bool, keep_rounds: bool) -> Runner:
        """Return what plays it, where so many interactions are to be played in all."""


@dataclass(frozen=True)
class Cell:
    """A cell: ``at`` has the label on each axis, by column, and ``description`` what it is."""

    at: Mapping[str, Any]
    description: Mapping[str, Any]
    game: Game

    @cached_property
    def key(self) -> str:
        """What it is filed under."""
        return key_of(self.description)

    def __str__(self) -> str:
        return ", ".join(f"{column} {label}" for column, label in self.at.items()) or "the cell"


@dataclass(frozen=True)
class MindsGame:
    """The naming game of minds, as ``run_ensemble`` plays it."""

    spec: Spec
    goal: Goal
    rounds: int

    @property
    def pool(self) -> tuple[str, ...]:
        """The names that may win."""
        return self.spec.game.pool

    @property
    def event(self) -> str:
        """What runs are played until."""
        return self.goal.until or ""

    @cached_property
    def _ready(self) -> tuple[int, bool]:
        """The number of agents, and whether the kernel can play them; the graph is not kept."""
        initial = replace(self.spec, graph=load_graph(self.spec.graph)).initial_state()
        return len(initial.neighbors), bool(can_play(initial.minds, initial.pairing))

    def prepare(self) -> int:
        """Make run 0 ready, and return the number of agents."""
        return self._ready[0]

    def cost(self, runs: int) -> int:
        """Return about how many interactions so many runs take at least."""
        rounds = self.rounds if self.goal.until is None else min(self.rounds, TYPICAL)
        return runs * self.prepare() * rounds

    def runner(self, interactions: int, elsewhere: bool, keep_rounds: bool) -> Runner:
        """Return what plays it; the kernel is loaded here if it is to be used ``elsewhere``."""
        engine = settle("auto", interactions)
        if elsewhere and engine != "python" and self._ready[1]:
            load("interactions")
        how = self.goal, self.rounds, False, engine
        return MindsRunner(replace(self.spec, graph=load_graph(self.spec.graph)), how, keep_rounds)


@dataclass(frozen=True)
class MindsRunner:
    """Plays runs of a spec."""

    spec: Spec
    how: How
    keep_rounds: bool

    def play(self, runs: range) -> Tables:
        """Play these runs."""
        played = [play_run(self.spec, run, *self.how) for run in runs]
        rounds = tally_table([(one.run, one.tally) for one in played]) if self.keep_rounds else None
        return Tables(run_table(played), rounds)


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
