"""The cells of a sweep: what each is, who plays its runs, and where they are kept.

**Two cells share a file only if their runs are the same.** A cell is filed under a hash of all that
decides its runs, so what is known by a label alone, a mind or a graph, is hashed by its contents;
and order is kept where it matters, as among the names that agents are committed to.

A file is written hidden and renamed, so it is complete or not there at all. It holds what any other
process that plays the same cell would write, so any number of processes may sweep one folder at
once; they need no lock, and at worst play the same runs twice.
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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.files import new_file, read_bytes, write_csv
from mesa_llm_norms.core.formatting import json_text
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import FileFormatError, SpecError
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.networks.adjacency import CONTACTS, Neighbors, to_networkx
from mesa_llm_norms.networks.descriptors import NETWORK, describe_network
from mesa_llm_norms.networks.reading import (
    file_within,
    graph_file,
    move_file_within,
    read_graph,
)
from mesa_llm_norms.networks.registry import find_topology
from mesa_llm_norms.simulation.ensemble import TYPICAL_ROUNDS, How, load_graph, play_part, settle
from mesa_llm_norms.simulation.kernel import can_play
from mesa_llm_norms.simulation.node_table import is_too_large, write_network
from mesa_llm_norms.simulation.pairing import PAIRINGS, read_pairing
from mesa_llm_norms.simulation.run import RUN_COLUMNS, run_table, tally_table
from mesa_llm_norms.simulation.run_record import NodeSums
from mesa_llm_norms.simulation.serialization import to_json
from mesa_llm_norms.simulation.spec import Spec

LENGTH = 24
"""Of hashes, in hexadecimal digits."""

FORMAT = "mesa_llm_norms sweep"

VERSION = 2

RECORD = "sweep.json"

MEASURED = 10
"""Of how many runs the networks are measured at most, where each run has its own."""

_MEASURED_EDGES = 100_000

MINDS = "minds"
"""The folder of recorded minds, in that of a sweep with live ones."""

_META = b"mesa_llm_norms"


class Tables(NamedTuple):
    """Some runs of a cell: a row for each, and one for each of their rounds if these are kept.

    ``numbers`` sums the runs up, where that has been done; ``nodes`` sums up what the nodes did,
    where all runs have the same network.
    """

    runs: pd.DataFrame
    rounds: pd.DataFrame | None = None
    numbers: Mapping[str, Any] | None = None
    nodes: NodeSums | None = None

    def first(self, runs: int) -> Tables:
        """Return the tables of the first runs."""
        if len(self.runs) <= runs:
            return self
        rounds = None if self.rounds is None else self.rounds[self.rounds["run"] < runs]
        return Tables(self.runs[:runs], rounds)


@dataclass(frozen=True)
class Cell:
    """A cell of a grid: ``at`` has its label on each axis, by column.

    ``description`` is what decides its runs, as plain data.
    """

    at: Mapping[str, Any]
    description: Mapping[str, Any]
    spec: Spec
    goal: Goal
    rounds: int

    @cached_property
    def key(self) -> str:
        """The hash that the cell is filed under."""
        text = json.dumps(self.description, sort_keys=True, separators=(",", ":"))
        return _hash(text.encode())

    @property
    def pool(self) -> tuple[str, ...]:
        """The names that may win."""
        return self.spec.game.pool

    @property
    def event(self) -> str:
        """What runs are played until, such as ``converged``; empty without a goal."""
        return self.goal.until or ""

    @property
    def agents(self) -> int:
        """The number of agents; makes run 0 ready, which checks that the cell can be played."""
        return self._ready[0]

    @cached_property
    def _ready(self) -> tuple[int, bool]:
        """The number of agents, and whether the kernel can play them; the graph is not kept."""
        (start,) = replace(self.spec, graph=load_graph(self.spec.graph)).starts(range(1))
        return len(start.neighbors), bool(
            can_play(
                start.minds,
                read_pairing(self.spec.pairing),
                self.spec.game,
                self.spec.rewire,
                self.spec.sees,
            )
        )

    @property
    def network(self) -> str:
        """What decides the networks of its runs, as text."""
        return json.dumps(self.description["graph"], sort_keys=True)

    def measure(self, runs: int) -> dict[str, float]:
        """Return the network in numbers, by column: means over those of the first runs.

        They are those of up to ``MEASURED`` runs where each has a network of its own, fewer if
        these are large. What cannot be measured is nan.
        """
        spec = replace(self.spec, graph=load_graph(self.spec.graph))
        (first,) = spec.starts(range(1))
        most = min(runs, MEASURED, 1 + _MEASURED_EDGES // len(first.neighbors.indices))
        starts = spec.starts(range(most)) if spec.is_random else [first]
        rows = []
        for start in starts:
            degree = float(start.neighbors.degrees.mean())
            rows.append({"mean_degree": degree, **describe_network(start.neighbors)})
        means = pd.DataFrame(rows, columns=NETWORK, dtype=float).mean()
        return {str(name): float(it) for name, it in means.items()}

    def cost(self, runs: int) -> int:
        """Return about how many interactions a number of runs take at least."""
        rounds = self.rounds if self.goal.until is None else min(self.rounds, TYPICAL_ROUNDS)
        return runs * self.agents * rounds

    def player(self, interactions: int, elsewhere: bool, keep_rounds: bool) -> CellPlayer:
        """Return what plays the runs, given how many interactions are to be played in all.

        The kernel is loaded here if it is to be used ``elsewhere``.
        """
        engine = settle("auto", interactions)
        if elsewhere and engine != "python" and self._ready[1]:
            for name in ("interactions", "batches", "small_graphs"):
                load(name)
        how = self.goal, self.rounds, False, engine
        return CellPlayer(replace(self.spec, graph=load_graph(self.spec.graph)), how, keep_rounds)


@dataclass(frozen=True)
class CellPlayer:
    """Plays runs of a cell, in this process or another."""

    spec: Spec
    how: How
    keep_rounds: bool

    def play(self, runs: range) -> Tables:
        """Play these runs; run k does not depend on which others are played."""
        played = [play_part(self.spec, runs, self.how, self.spec.has_one_network)]
        rounds = tally_table(played) if self.keep_rounds else None
        return Tables(run_table(played), rounds, nodes=played[0].nodes)


class Nodes(NamedTuple):
    """What the nodes of a cell did, as ``ensemble_nodes`` has it, in so many runs."""

    table: pd.DataFrame
    runs: int


class MemoryStore:
    """Keeps cells in memory."""

    path: Path | None = None

    def __init__(self) -> None:
        self._kept: dict[str, Tables] = {}
        self._nodes: dict[str, Nodes] = {}

    def read(self, key: str, keep_rounds: bool = False) -> Tables | None:  # noqa: ARG002
        """Return the runs of a cell that are kept, None if there are none."""
        return self._kept.get(key)

    def write(self, key: str, tables: Tables, description: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Keep a cell."""
        self._kept[key] = tables

    def read_nodes(self, key: str) -> Nodes | None:
        """Return what the nodes of a cell did, None where each run has its own."""
        return self._nodes.get(key)

    def write_nodes(self, key: str, nodes: Nodes, *_: Any) -> None:
        """Keep what the nodes of a cell did."""
        self._nodes[key] = nodes

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Keep nothing: the sweep itself has its record."""

    def write_summary(self, cells: pd.DataFrame) -> None:
        """Keep nothing."""


class Folder:
    """Keeps cells in a folder: ``cells/KEY.parquet``, and ``rounds/KEY.parquet`` where kept.

    Where all runs have one network, ``nodes/KEY.parquet`` and ``nodes/KEY.gexf`` have its nodes.
    """

    def __init__(self, path: str | Path) -> None:
        self.path: Path = Path(path)
        try:
            known = (self.path / RECORD).exists() or not self.path.exists()
            taken = not known and any(it.name != MINDS for it in self.path.iterdir())
        except OSError as error:
            raise _refused(self.path, error) from error
        if taken:
            raise SpecError(
                "out",
                str(path),
                f"{path} holds something that is not a sweep, and nothing is overwritten",
                "Give another folder.",
            )

    def read(self, key: str, keep_rounds: bool = False) -> Tables | None:
        """Return the runs of a cell that are kept; a damaged file is moved away, with a warning."""
        there = self._read("cells", key)
        if there is not None and not set(RUN_COLUMNS) <= set(there[0].columns):
            return None  # of an earlier version
        if there is None or not keep_rounds:
            return None if there is None else Tables(there[0], None, there[1])
        rounds = self._read("rounds", key)
        if rounds is None or rounds[0]["run"].max() + 1 < len(there[0]):
            return None
        return Tables(there[0], rounds[0][rounds[0]["run"] < len(there[0])], there[1])

    def write(self, key: str, tables: Tables, description: Mapping[str, Any]) -> None:
        """Write a cell, unless another process has written more of its runs."""
        there = self._read("cells", key)
        if tables.rounds is not None:
            self._write("rounds", key, tables.rounds, description)
        if there is None or len(there[0]) < len(tables.runs):
            self._write("cells", key, tables.runs, description, tables.numbers)

    def read_nodes(self, key: str) -> Nodes | None:
        """Return what the nodes of a cell did, None where that is not kept."""
        there = self._read("nodes", key)
        return None if there is None else Nodes(*there)

    def write_nodes(
        self, key: str, nodes: Nodes, neighbors: Neighbors, pool: Sequence[str]
    ) -> None:
        """Write what the nodes of a cell did, unless another process has written of more runs."""
        there = self.read_nodes(key)
        if there is None or there.runs < nodes.runs:
            if not is_too_large(neighbors):
                with new_file(self.path / "nodes" / f"{key}.gexf") as hidden:
                    write_network(hidden, nodes.table, neighbors, pool)
            self._write("nodes", key, nodes.table, {}, nodes.runs)

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Write what the sweep is."""
        text = json_text({"format": FORMAT, "version": VERSION, **record}, indent=1)
        with new_file(self.path / RECORD) as hidden:
            hidden.write_text(text + "\n", encoding="utf-8")

    def read_record(self) -> dict[str, Any]:
        """Return what the sweep is; ``FileFormatError`` where that cannot be read."""
        path = self.path / RECORD
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileFormatError(path, "it cannot be read", "Name a sweep's folder.") from error
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise FileFormatError(path, "it is not the record of a sweep", "Name a sweep's folder.")
        if record.get("version") != VERSION:
            raise FileFormatError(
                path, "it was written by another version", "Install that version."
            )
        if not {"axes", "cells", "seed", "runs", "keep_rounds"} <= record.keys():
            raise FileFormatError(path, "it is not complete", "Play the sweep again.")
        return record

    def write_summary(self, cells: pd.DataFrame) -> None:
        """Write the table of cells, as CSV and as Parquet."""
        with new_file(self.path / "summary.csv") as hidden:
            write_csv(cells, hidden)
        with new_file(self.path / "summary.parquet") as hidden:
            cells.to_parquet(hidden, index=False)

    def _read(self, kind: str, key: str) -> tuple[pd.DataFrame, Any] | None:
        """Return the table of a file, and the numbers that sum it up, if any."""
        import pyarrow.parquet as pq  # only here: it takes a moment

        path = self.path / kind / f"{key}.parquet"
        try:
            with path.open("rb") as file:
                table = pq.ParquetFile(file, page_checksum_verification=True).read()
            meta = json.loads((table.schema.metadata or {})[_META])
            frame: pd.DataFrame = table.to_pandas()
            whole = meta["key"] == key
            whole &= kind != "cells" or bool((frame["run"].to_numpy() == range(len(frame))).all())
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
        warnings.warn(
            f"{path} is damaged; its runs are played again, and it is kept as {aside}", stacklevel=2
        )
        return None

    def _write(
        self,
        kind: str,
        key: str,
        frame: pd.DataFrame,
        description: Mapping[str, Any],
        numbers: Mapping[str, Any] | int | None = None,
    ) -> None:
        import pyarrow.parquet as pq

        table = pa.Table.from_pandas(frame, preserve_index=False)
        if "winner" in table.column_names:  # of one type, also if no name has won
            place = table.column_names.index("winner")
            table = table.set_column(place, "winner", table["winner"].cast(pa.string()))
        meta = json.dumps({"key": key, "cell": description, "numbers": numbers}).encode()
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _META: meta})
        with new_file(self.path / kind / f"{key}.parquet") as hidden:
            pq.write_table(table, hidden, write_page_checksum=True)


def _refused(path: Path, error: OSError) -> SpecError:
    return SpecError(
        "out",
        str(path),
        f"{path} cannot be read ({error.strerror or error})",
        "Give a folder that you may write to.",
    )


class Digests:
    """Hashes of minds and graphs, each computed once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}

    def of(self, thing: Any) -> str:
        """Return the hash of a mind, a pairing rule, a graph or a graph file."""
        known = self._known.get(id(thing))
        if known is None:
            known = self._known[id(thing)] = thing, _digest(thing)
        return known[1]


def describe(spec: Spec, goal: Goal, rounds: int, digests: Digests) -> dict[str, Any]:
    """Return all that decides the runs of a cell, except their number, as plain data."""

    def mind(given: Any) -> list[str]:
        loaded = load_mind(given)
        return [loaded.label, digests.of(loaded)]

    def pairing(given: Any) -> Any:
        rule = read_pairing(given)
        known = type(rule) is PAIRINGS.get(rule.label)
        return rule.label if known else [rule.label, digests.of(rule)]

    return {
        "game": "naming game of minds",
        **to_json(spec, graph=partial(_graph, digests=digests), mind=mind, pairing=pairing),
        "reward": float(spec.reward),
        "penalty": float(spec.penalty),
        "until": goal.until,
        "window": float(goal.window),
        "threshold": float(goal.threshold),
        "rounds": rounds,
        "versions": dict(versions()),
    }


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
    file = graph_file(graph)
    if file is not None:
        options = {"options": dict(file.options)} if file.options else {}
        return {"file": digests.of(file.path), **options}
    if not isinstance(graph, str):
        return {"graph": digests.of(graph)}
    within = file_within(graph)
    if within is not None:
        return {"file": digests.of(within.path), "topology": move_file_within(graph, Path("FILE"))}
    made = find_topology(graph)
    code = _code(made.function) if made else b""
    return {"topology": graph, "code": _hash(code)} if code else graph


def _digest(thing: Any) -> str:
    if isinstance(thing, Path):
        return _hash(read_bytes(thing, limits.SPARSE_FILE.high))
    if isinstance(thing, Mind) or hasattr(thing, "label"):
        return _hash(_pickled(thing))
    import random

    graph = read_graph(thing, random.Random(0))
    neighbors = Neighbors(graph)
    weights = b"" if neighbors.weights is None else neighbors.weights.tobytes()
    names = neighbors.nodes
    nodes = repr(names) if isinstance(names, range) else "\n".join(map(repr, names))
    blocks = b"" if neighbors.blocks is None else neighbors.blocks.tobytes()
    arrays = neighbors.indptr.tobytes() + neighbors.indices.tobytes() + weights + blocks
    if neighbors.contacts is not None:
        contacts = to_networkx(graph).graph[CONTACTS]
        arrays += repr(contacts.written(list(names))).encode()
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
            f"{getattr(thing, 'label', thing)!r} cannot be identified ({error})",
            "Define it in a module and keep it free of what cannot be pickled.",
        ) from error
    return written.getvalue() + _code(type(thing))


def _code(thing: Any) -> bytes:
    """Return the source of a user's function or class, and of its module; nothing for ours."""
    if thing.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return b""
    found = []
    for source in (thing, sys.modules.get(thing.__module__)):
        with suppress(OSError, TypeError):  # defined interactively, perhaps
            found.append(inspect.getsource(source).encode() if source is not None else b"")
    return b"\0".join(found)


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:LENGTH]
