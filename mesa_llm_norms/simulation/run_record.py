"""What becomes of rows as they are played: streamed to a file, and read for when agents changed.

Where a run is long, its rows are never all in memory.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.files import existing_parent, refusing
from mesa_llm_norms.core.game import Game, GameRules, Row
from mesa_llm_norms.core.referee import Referee

if TYPE_CHECKING:
    from mesa_llm_norms.simulation.spec import InitialState

ROWS_AT_ONCE = 1 << 16
"""Rows that are written to a file in one piece."""

_INT64 = range(-(2**63), 2**63)


class RowSink(Protocol):
    """Takes rows as they are played."""

    def append(self, row: Row) -> None:
        """Take one row."""

    def take(self, rows: NDArray[np.int32], rounds: NDArray[np.int64], first: int) -> None:
        """Take rows as arrays: two nodes and two names as indices, their rounds, and the number
        of the first one.
        """


Rows: TypeAlias = list[Any] | RowSink
"""What takes rows: a list of them, or something that takes arrays as well."""


class NodeHistory:
    """The name that each agent of a run holds, and since when.

    Parameters
    ----------
    nodes, names
        How many there are; both are indices here.

    Attributes
    ----------
    held : numpy.ndarray of int16
        The name played last, -1 for none, shape (nodes,).
    changed : numpy.ndarray of int32
        The round in which that name took the place of another, or was the first; -1 for none.
    first : numpy.ndarray of int32
        The first round in which each name was played, -1 for none, shape (nodes, names).
    """

    def __init__(self, nodes: int, names: int) -> None:
        self.held: NDArray[np.int16] = np.full(nodes, -1, np.int16)
        self.changed: NDArray[np.int32] = np.full(nodes, -1, np.int32)
        self.first: NDArray[np.int32] = np.full((nodes, names), -1, np.int32)

    def add(self, node: int, name: int, round_: int) -> None:
        """Take in what one agent played."""
        if self.held[node] != name:
            self.held[node] = name
            self.changed[node] = round_
            if self.first[node, name] < 0:
                self.first[node, name] = round_

    def take(self, rows: NDArray[np.int32], rounds: NDArray[np.int64]) -> None:
        """Take in rows as arrays; see ``RowSink``."""
        load("histories").note(rows, rounds, self.held, self.changed, self.first)


class NodeSums(NamedTuple):
    """What the nodes of one network did, summed up over runs.

    Parameters
    ----------
    names
        In how many runs each node held each name at the end, shape (nodes, names).
    changes
        The sum of the rounds in which nodes took up the name they held at the end, shape (nodes,).
    firsts
        In how many runs each node ever played the name that won, and the sum of the first rounds in
        which it did, shape (nodes, 2).
    """

    names: NDArray[np.int64]
    changes: NDArray[np.int64]
    firsts: NDArray[np.int64]

    @classmethod
    def zeros(cls, nodes: int, names: int) -> NodeSums:
        """Return the sums over no run."""
        shapes = (nodes, names), (nodes,), (nodes, 2)
        return cls(*(np.zeros(shape, np.int64) for shape in shapes))

    @classmethod
    def of(cls, runs: Sequence[tuple[NodeHistory | None, int]]) -> NodeSums | None:
        """Return the sums over runs, each with the index of its winner; None without histories."""
        sums = None
        for history, winner in runs:
            if history is not None:
                sums = sums or cls.zeros(*history.first.shape)
                one = history.held, history.changed, history.first
                loops = load("histories")
                loops.add_up(loops.History(*one, *sums), winner)
        return sums

    def plus(self, other: NodeSums) -> NodeSums:
        """Return the sums over the runs of both."""
        return NodeSums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class RunRecord:
    """What the folder of one run tells of its interactions and of its nodes.

    Parameters
    ----------
    initial
        The state that the run starts from.
    folder
        The folder to be written; beside it rows wait in a file without a name, which is gone with
        the process. None if the rows are not kept.
    """

    def __init__(self, initial: InitialState, folder: Path | None = None) -> None:
        self.initial = initial
        self.history: NodeHistory = NodeHistory(len(initial.neighbors), len(initial.game.pool))
        self._names = {name: index for index, name in enumerate(initial.game.pool)}
        self._writer = None if folder is None else _RowFile(initial, folder)

    @property
    def keeps_rows(self) -> bool:
        """Whether the rows themselves are kept."""
        return self._writer is not None

    def append(self, row: Row) -> None:
        """Take one row."""
        nodes = [self.initial.neighbors.index[node] for node in row.nodes]
        names = [self._names[name] for name in row.names]
        for node, name in zip(nodes, names, strict=True):
            self.history.add(node, name, row.round)
        if self._writer is not None:
            self._writer.append((*nodes, *names), row.round, row.interaction)

    def take(self, rows: NDArray[np.int32], rounds: NDArray[np.int64], first: int) -> None:
        """Take rows as arrays; see ``RowSink``."""
        self.history.take(rows, rounds)
        if self._writer is not None:
            self._writer.take(rows, rounds, np.arange(first, first + len(rows)))

    def write_rows(self, path: Path) -> None:
        """Write the rows that were kept, once, as Parquet."""
        assert self._writer is not None
        self._writer.copy_to(path)

    def close(self) -> None:
        """Let go of the rows."""
        if self._writer is not None:
            self._writer.close()


class _RowFile:
    """Rows of a run on their way to Parquet, in a file without a name."""

    def __init__(self, initial: InitialState, folder: Path) -> None:
        import pyarrow as pa  # only here: it takes a moment
        import pyarrow.parquet as pq

        game = initial.game
        self._run = initial.stream.run
        ids = node_ids(initial.neighbors.nodes)
        self._nodes = pa.array(ids, pa.large_string() if ids.dtype == object else None)
        self._pool = pa.array(game.pool, pa.large_string())
        self._game, self._referee = game, Referee(game)
        self._by_names = _columns_by_names(game) if game.seats == 2 else {}
        self._folder = folder
        self._waiting: list[tuple[Any, Any, Any]] = []
        self._singles: list[tuple[Any, int, int]] = []
        self._count = 0
        self._file: BinaryIO
        with refusing(folder, OSError):
            self._file = tempfile.TemporaryFile(dir=existing_parent(folder))  # noqa: SIM115
        empty = self._table(self._stacked(()), *np.zeros((2, 0), np.int64))
        repeating = [
            one.name
            for one in empty.schema
            if one.name != "interaction" and not pa.types.is_list(one.type)
        ]
        self._writer = pq.ParquetWriter(
            self._file,
            empty.schema,
            use_dictionary=repeating,
            column_encoding={"interaction": "DELTA_BINARY_PACKED"},
        )

    def append(self, row: Sequence[int], round_: int, number: int) -> None:
        self._singles.append((row, round_, number))
        if len(self._singles) == ROWS_AT_ONCE:
            self._gather()

    def take(
        self, rows: NDArray[np.int32], rounds: NDArray[np.int64], numbers: NDArray[np.int64]
    ) -> None:
        self._gather()
        self._waiting.append((rows, rounds, numbers))
        self._count += len(rows)
        if self._count >= ROWS_AT_ONCE:
            self._flush()

    def copy_to(self, path: Path) -> None:
        self._gather()
        self._flush()
        self._writer.close()
        self._file.seek(0)
        with path.open("wb") as file:
            shutil.copyfileobj(self._file, file, 1 << 20)
        self.close()

    def close(self) -> None:
        with suppress(OSError, ValueError):  # of a disk that is full
            self._writer.close()
        with suppress(OSError):
            self._file.close()

    def _gather(self) -> None:
        """Turn single rows into arrays."""
        if self._singles:
            rows, rounds, numbers = zip(*self._singles, strict=True)
            self._singles = []
            self.take(self._stacked(rows), np.array(rounds), np.array(numbers))

    def _stacked(self, rows: Sequence[Sequence[int]]) -> NDArray[Any]:
        """Return single rows as an array of lines, or of rows where these differ in length."""
        if self._game.seats == 2:
            return np.array(rows, np.int32).reshape(-1, 4)
        return np.fromiter(rows, object, len(rows))

    def _flush(self) -> None:
        if self._count:
            rows, rounds, numbers = map(np.concatenate, zip(*self._waiting, strict=True))
            self._waiting, self._count = [], 0
            with refusing(self._folder, OSError):
                self._writer.write_table(self._table(rows, rounds, numbers))

    def _table(self, rows: Any, rounds: Any, numbers: Any) -> Any:
        import pyarrow as pa

        fixed = {
            "run": np.full(len(rows), self._run, np.int64),
            "interaction": numbers.astype(np.int64),
            "round": rounds.astype(np.int64),
        }
        if self._game.seats != 2:
            return pa.table(fixed | self._groups(rows))
        a, b, name_a, name_b = rows.T
        columns = {
            **fixed,
            "node_a": self._nodes.take(pa.array(a)),
            "node_b": self._nodes.take(pa.array(b)),
            "name_a": self._pool.take(pa.array(name_a)),
            "name_b": self._pool.take(pa.array(name_b)),
            **{
                column: table.take(pa.array(name_a.astype(np.int64) * len(self._pool) + name_b))
                for column, table in self._by_names.items()
            },
        }
        return pa.table(columns)

    def _groups(self, rows: Sequence[Sequence[int]]) -> dict[str, Any]:
        """Return the columns of rows with any number of players: a list by seat in each."""
        import pyarrow as pa

        halves = [(row[: len(row) // 2], row[len(row) // 2 :]) for row in rows]
        moves = [tuple(self._game.pool[it] for it in names) for _, names in halves]
        nodes = [self._nodes.take(pa.array(it, pa.int64())).to_pylist() for it, _ in halves]
        return {
            "nodes": pa.array(nodes, pa.list_(self._nodes.type)),
            "names": pa.array(moves, pa.list_(self._pool.type)),
            "payoffs": pa.array(map(self._referee.payoffs, moves), pa.list_(pa.float64())),
            "outcome": pa.array((self._game.outcome(*it) for it in moves), self._pool.type),
        }


def _columns_by_names(game: GameRules) -> dict[str, Any]:
    """Return what follows from the names of both, by column, for one pair after the other."""
    import pyarrow as pa

    pool = game.pool
    if isinstance(game, Game):
        kind = np.int64 if {type(game.penalty), type(game.reward)} == {int} else np.float64
        table = np.full((len(pool), len(pool)), game.penalty, kind)
        np.fill_diagonal(table, game.reward)
        return {"payoff": pa.array(table.ravel())}
    referee, pairs = Referee(game), list(product(pool, repeat=2))
    payoffs_a, payoffs_b = zip(*map(referee.payoffs, pairs), strict=True)
    outcomes = pa.array((game.outcome(*moves) for moves in pairs), pa.large_string())
    return {
        "payoff_a": pa.array(payoffs_a, pa.float64()),
        "payoff_b": pa.array(payoffs_b, pa.float64()),
        "outcome": outcomes,
    }


def node_ids(nodes: Sequence[Any]) -> NDArray[Any]:
    """Return node ids as a column: whole numbers if all are, and text if not."""
    if isinstance(nodes, range):
        return np.array(nodes, np.int64)
    if all(type(node) is int and node in _INT64 for node in nodes):
        return np.array(nodes, np.int64)
    return np.array([node_name(node) for node in nodes], object)


def node_name(node: Any) -> str:
    """Return a node id as text, as it stands in tables; of a set the same in every process."""
    text = str(node)
    if isinstance(node, (set, frozenset)):
        text = f"{type(node).__name__}({{{', '.join(sorted(map(repr, node)))}}})"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
