"""The interactions of a run on record, and the calls of live minds that they took."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pyarrow as pa

from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.journal import Attempt, Journal
from mesa_llm_norms.viz.frame import Exchange, Usage
from mesa_llm_norms.viz.model_source import exchange
from mesa_llm_norms.viz.recorded_spec import understanding
from mesa_llm_norms.viz.setting import MOST_AT

_ANOTHER = "Put back a copy of it, or play the run again into another folder."
_KINDS = {
    "node_a": (pa.types.is_integer, pa.types.is_string, pa.types.is_large_string),
    "name_a": (pa.types.is_string, pa.types.is_large_string),
    "payoff": (pa.types.is_floating, pa.types.is_integer),
}
_KINDS |= {"node_b": _KINDS["node_a"], "name_b": _KINDS["name_a"]}
"""What a column of a table may hold, where that is not whole numbers."""


class RecordedCalls(NamedTuple):
    """The calls of live minds in a run.

    ``usages`` is what they came to before the first interaction and after each; ``exchanges`` the
    last one of each decision, by the number of the interaction and the seat.
    """

    usages: tuple[Usage, ...]
    exchanges: Mapping[tuple[int, int], Exchange]


class Journalled(NamedTuple):
    """What a journal holds of one run."""

    content: Mapping[str, Any]
    run: int
    rows: tuple[Interaction, ...]
    calls: RecordedCalls


def read_journal(path: Path, run: int | None) -> Journalled:
    """Return what a journal holds of a run, the first where none is named; others may write to it.

    Void interactions are in no result, what they took is. Raises ``JournalError``, or
    ``FileFormatError`` for rows that no run can have.
    """
    with Journal.read(path) as journal, understanding(path):
        content = journal.spec
        run = int(content.get("run", 0)) if run is None else run
        rows: list[Interaction] = []
        total, texts = Usage(0, 0, 0.0), dict[str, str]()
        usages, exchanges = [total], dict[tuple[int, int], Exchange]()
        for number in itertools.count():
            row = journal.interaction(run, number)
            if row is None:
                break
            for call in journal.attempts_of(run, number):
                total = _plus(total, call)
                system = texts.setdefault(call.system, call.system)
                exchanges[number, call.seat] = exchange(call._replace(system=system))
            if isinstance(row, Interaction):
                rows.append(row)
                usages.append(total)
                _check_length(path, len(rows))
    if not rows:
        held = f"run {content['run']}" if "run" in content else f"{content.get('runs', 0):,} runs"
        _refuse(
            path,
            f"it holds no interaction of run {run}",
            f"It is that of {held}: name another, or wait until something has been played.",
        )
    usages[-1] = total
    return Journalled(content, run, tuple(rows), RecordedCalls(tuple(usages), exchanges))


def read_table(path: Path, run: int | None) -> tuple[Interaction, ...]:
    """Return the interactions of a run in a table, of the first one there if none is named.

    Node ids are as they are in the table: whole numbers or text. Raises ``FileFormatError``.
    """
    try:
        rows = list(_rows_of(path, run))
    except FileFormatError:
        raise
    except (OSError, pa.ArrowException, ValueError, TypeError, LookupError) as error:
        _refuse(path, f"it is damaged or no table of interactions ({error})", _ANOTHER, error)
    if not rows:
        named = "" if run is None else f" of run {run}"
        _refuse(path, f"it holds no interaction{named}", "Name another run, or another folder.")
    return tuple(rows)


def check_rows(rows: Sequence[Interaction], pool: Sequence[str], path: Path) -> None:
    """Raise ``FileFormatError`` for rows that no run of this package can have left."""
    names = set(pool)
    number, round_ = -1, 0
    for row in rows:
        if row.interaction <= number or row.round < round_:
            _refuse(path, f"interaction {row.interaction} is out of order", _ANOTHER)
        if row.name_a not in names or row.name_b not in names:
            _refuse(path, f"in interaction {row.interaction} a name is not of the pool", _ANOTHER)
        if row.node_a == row.node_b:
            _refuse(
                path,
                f"two agents are both called {str(row.node_a)!r} in it",
                "Give agents ids that stay different as text, and play it again.",
            )
        number, round_ = row.interaction, row.round


def _rows_of(path: Path, run: int | None) -> Iterator[Interaction]:
    import pyarrow.parquet as pq  # late, for it takes a moment

    columns = list(Interaction._fields)
    with path.open("rb") as file:
        table = pq.ParquetFile(file)
        kinds = table.schema_arrow
        for column in columns:
            allowed = _KINDS.get(column, (pa.types.is_integer,))
            if not any(is_of(kinds.field(column).type) for is_of in allowed):
                _refuse(path, f"its {column} cannot be {kinds.field(column).type}", _ANOTHER)
        shown = 0
        for batch in table.iter_batches(columns=columns):
            if any(batch.column(column).null_count for column in columns):
                _refuse(path, "some of it is empty", _ANOTHER)
            values = [batch.column(column).to_pylist() for column in columns]
            for row in map(Interaction._make, zip(*values, strict=True)):
                run = row.run if run is None else run
                if row.run == run:
                    shown += 1
                    _check_length(path, shown)
                    yield row


def _plus(total: Usage, call: Attempt) -> Usage:
    """Return both together; that a price is not known is known of calls with a reply."""
    unpriced = total.usd is None or (call.reply is not None and call.cost is None)
    return Usage(
        total.calls + 1,
        total.tokens + (call.input_tokens or 0) + (call.output_tokens or 0),
        None if unpriced else (total.usd or 0.0) + (call.cost or 0.0),
    )


def _check_length(path: Path, interactions: int) -> None:
    if interactions > MOST_AT:
        _refuse(
            path,
            f"there are over {MOST_AT:,} interactions in it",
            "That is too much to look at one by one; read it with pandas.",
        )


def _refuse(path: Path, problem: str, remedy: str, error: Exception | None = None) -> NoReturn:
    raise FileFormatError(path, problem, remedy) from error
