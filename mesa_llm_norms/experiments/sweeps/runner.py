"""``sweep``: play what is missing of a grid, here or wherever an executor has workers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from functools import cached_property, reduce
from pathlib import Path
from typing import Any

import pandas as pd

from mesa_llm_norms.analysis.convergence import convergence_time
from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.core.formatting import plural
from mesa_llm_norms.core.interrupts import interrupts_held
from mesa_llm_norms.core.limits import read_workers, seeded_by_rng
from mesa_llm_norms.errors import SpecError, WorkerError, shown
from mesa_llm_norms.experiments.recording.questions import Report
from mesa_llm_norms.experiments.sweeps.cells import (
    Cell,
    CellPlayer,
    Folder,
    MemoryStore,
    Nodes,
    Tables,
    versions,
)
from mesa_llm_norms.experiments.sweeps.grid import SweepPlan, column_of, plan_sweep
from mesa_llm_norms.experiments.sweeps.recordings import find_live, record_minds, with_recordings
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.simulation.backends import batch_size, choose_backend
from mesa_llm_norms.simulation.clusters import connected
from mesa_llm_norms.simulation.ensemble import Progress
from mesa_llm_norms.simulation.node_table import add_committed, ensemble_nodes, node_sums
from mesa_llm_norms.simulation.run import mean_left
from mesa_llm_norms.simulation.run_record import NodeSums
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.simulation.workers import Shared

ASSUMED_WORKERS = 16
"""How many workers a given executor is assumed to have."""


@seeded_by_rng
def sweep(
    folder: str | Path | None = None,
    grid: Mapping[str, Any] | None = None,
    *,
    runs: int = 100,
    rng: Any = None,
    keep_rounds: bool = False,
    workers: int | None = 1,
    executor: Executor | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
    recording: Report | None = None,
    **fixed: Any,
) -> Sweep:
    """Play many runs in every cell of a grid over arguments of ``run_ensemble``.

    All cells share the seed: run k of every cell begins with the same random draws, so cells can be
    compared in pairs, as ``analysis.compare_convergence`` does. The results are the same for any
    ``workers``, ``executor`` and ``scheduler``.

    A live mind is recorded first, as ``record`` does, once for each game of the grid, and the cells
    play the recordings, which are kept in ``minds`` in the folder.

    Parameters
    ----------
    folder : str or Path, optional
        Every cell is written there when it is finished, and what is there already is not played
        again: after an interrupt, with more values in the grid, or with more runs. By default
        everything stays in memory.
    grid : mapping, optional
        For each axis the argument and its values, as a list or as ``{label: value}``. ``size``
        fills in ``{size}`` in topologies (and ``{rows}``, ``{columns}``, ``{size / 2}`` and the
        like).
    runs : int
        Runs in each cell (default 100).
    rng : int or generator, optional
        The seed; random by default.
    keep_rounds : bool
        Whether every population round is kept too (default False).
    workers : int or None
        Processes to play in (default 1); None for one per processor.
    executor : concurrent.futures.Executor, optional
        Plays instead of processes of its own.
    scheduler : str, optional
        The address of a Dask scheduler, instead of an executor.
    progress : callable, optional
        Called with the runs done and the runs in all.
    llm : LLMSettings, optional
        How live minds are called while they are recorded. One that costs money needs a budget.
    recording : callable, optional
        Called, while live minds are recorded, with what is being done, how much of it is done, and
        how much there is.
    **fixed
        Arguments of ``run_ensemble`` that are the same in every cell.

    Returns
    -------
    Sweep
        The cells in numbers, and all runs.

    Raises
    ------
    SpecError
        For a cell that is not valid, before anything is played; where there is no budget to record
        a live mind, or too small a one.
    WorkerError
        Where workers are lost time and again.
    """
    plan = plan_sweep(grid, fixed, runs, rng, keep_rounds)
    return play_sweep(
        plan,
        folder,
        workers=workers,
        executor=executor,
        scheduler=scheduler,
        progress=progress,
        llm=llm,
        recording=recording,
    )


def play_sweep(
    plan: SweepPlan,
    folder: str | Path | None = None,
    *,
    workers: int | None = 1,
    executor: Executor | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
    llm: LLMSettings | None = None,
    recording: Report | None = None,
) -> Sweep:
    """Play a plan, such as ``read_plan`` reads from a file.

    Parameters
    ----------
    plan : SweepPlan
        The grid.
    folder : str or Path, optional
        As in ``sweep``, like all that follow.
    workers : int or None
        Processes to play in (default 1).
    executor : concurrent.futures.Executor, optional
        Plays instead of processes of its own.
    scheduler : str, optional
        The address of a Dask scheduler.
    progress : callable, optional
        Called with the runs done and the runs in all.
    llm : LLMSettings, optional
        How live minds are called while they are recorded.
    recording : callable, optional
        Called while they are.

    Returns
    -------
    Sweep
        The cells in numbers, and all runs.

    Raises
    ------
    SpecError
        For a cell that is not valid, before anything is played.
    """
    processes = read_workers(workers)
    if executor is not None and scheduler is not None:
        raise SpecError("scheduler", scheduler, "an executor is given too", "Give one of them.")
    store = MemoryStore() if folder is None else Folder(folder)
    wanted = find_live(plan)
    if wanted:
        minds = record_minds(wanted, store.path, llm, recording)
        plan = with_recordings(plan, minds)
    cells = list(plan.cells())
    missing = find_missing(plan, store, cells)
    record = _describe(plan, cells) | ({"recorded": sorted(wanted)} if wanted else {})
    with ExitStack() as stack:
        if missing and scheduler is not None:
            executor = stack.enter_context(connected(scheduler))
        store.write_record(record)
        if missing:
            try:
                _play_missing(plan, missing, store, processes, executor, progress)
            except WorkerError as error:
                remedy = _kept(error.remedy, missing, cells, store)
                raise WorkerError(error.problem, remedy) from error
    found = Sweep(record, store)
    store.write_summary(found.cells)
    return found


def read_sweep(folder: str | Path) -> Sweep:
    """Read the sweep in a folder, finished or not; nothing is played.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    Sweep
        What is there.

    Raises
    ------
    FileFormatError
        Where there is no sweep.
    """
    store = Folder(folder)
    return Sweep(store.read_record(), store)


class Sweep:
    """The cells of a grid and their runs, read when they are first asked for.

    Parameters
    ----------
    record : mapping
        What the sweep is, as ``sweep.json`` has it.
    store : Folder or MemoryStore
        Where the runs are kept.

    Attributes
    ----------
    axes : tuple of str
        The columns that say where a cell is in the grid.
    folder : Path or None
        Where the sweep is kept; None if that is in memory.
    seed : int
        The seed of all cells.
    """

    def __init__(self, record: Mapping[str, Any], store: Folder | MemoryStore) -> None:
        self.record = record
        self.axes: tuple[str, ...] = tuple(axis["column"] for axis in record["axes"])
        self.folder: Path | None = store.path
        self.seed: int = record["seed"]
        self._store = store

    def __repr__(self) -> str:
        return f"<Sweep of {len(self.record['cells'])} cells over {', '.join(self.axes) or '1'}>"

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell of which there are runs: the axes, and the runs in numbers.

        ``agents``; the network in numbers, as ``describe_network`` has them, and its
        ``mean_degree``, means over the first runs where each has a network of its own; ``runs``;
        ``event``, what runs were played until, and the ``share`` of runs that
        reached it, with Wilson's 95% interval; the ``median`` of interactions until then with a 95%
        interval, runs that did not get there counted as ``censored`` (infinite where fewer than
        half did, nan where runs had no goal); ``one_name``, the share of runs that
        ended with one name; ``local_agreement``, ``names_left``, ``clusters`` and
        ``largest_cluster``, means over runs; ``cell``, the name of its files; ``wins_Q``, the runs
        won by Q, and ``won_Q``, their share of those that reached the event.
        """
        rows = []
        for cell, (runs, _, known, _) in self._tables():
            numbers = known or _summarize(runs, cell["pool"], cell["event"])
            measured = cell.get("network", {}).items()
            network = {column: math.nan if it is None else it for column, it in measured}
            row = {**cell["at"], "agents": cell["agents"], **network, **numbers}
            rows.append(row | {"cell": cell["key"]})
        return _cell_table(rows) if rows else pd.DataFrame(columns=[*self.axes, "runs"])

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Every run: the axes, then the columns of ``Ensemble.runs``."""
        return self._joined([(cell, tables.runs) for cell, tables in self._tables()])

    @cached_property
    def rounds(self) -> pd.DataFrame | None:
        """Every population round: the axes, then the columns of ``Ensemble.rounds``.

        None unless rounds were kept.
        """
        if not self.record["keep_rounds"]:
            return None
        found = [(cell, tables.rounds) for cell, tables in self._tables()]
        return self._joined([(cell, rounds) for cell, rounds in found if rounds is not None])

    def select(self, **at: Any) -> pd.DataFrame:
        """Return the runs of one cell.

        Parameters
        ----------
        **at
            A label for each axis; an axis of one value need not be named.

        Returns
        -------
        pandas.DataFrame
            The columns of ``Ensemble.runs``.

        Raises
        ------
        SpecError
            Unless exactly one cell has these labels, and was played.
        """
        tables = self._store.read(self._find(at)["key"])
        if tables is None:
            raise SpecError("cell", at, "it was not played yet", "Resume the sweep.")
        return tables.first(self.record["runs"]).runs

    def nodes(self, **at: Any) -> pd.DataFrame:
        """Return what the nodes of one cell did, means over all runs of it that are kept.

        Parameters
        ----------
        **at
            A label for each axis, as for ``select``.

        Returns
        -------
        pandas.DataFrame
            One row per node, with the columns of ``nodes.parquet`` of an ensemble.

        Raises
        ------
        SpecError
            Unless exactly one cell has these labels, was played, and has one network in all runs.
        """
        found = self._store.read_nodes(self._find(at)["key"])
        if found is None:
            problem = "it was not played yet, or its runs have different networks"
            raise SpecError("cell", at, problem, "Give a graph that is not drawn for every run.")
        return found.table

    def _find(self, at: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the one cell with these labels; ``SpecError`` unless there is exactly one."""
        wanted = {column_of(name): label for name, label in at.items()}
        for name in wanted:
            if name not in self.axes:
                raise SpecError(
                    name, at, f"there is no axis {shown(name)}", f"Axes are {', '.join(self.axes)}."
                )
        found: list[Mapping[str, Any]] = [
            cell
            for cell in self.record["cells"]
            if all(cell["at"][column] == label for column, label in wanted.items())
        ]
        if len(found) != 1:
            raise SpecError("cell", at, f"{len(found)} cells match", "Name a label on every axis.")
        return found[0]

    def _tables(self) -> Iterator[tuple[Mapping[str, Any], Tables]]:
        for cell in self.record["cells"]:
            tables = self._store.read(cell["key"], self.record["keep_rounds"])
            if tables is not None:
                yield cell, tables.first(self.record["runs"])

    def _joined(self, tables: list[tuple[Mapping[str, Any], pd.DataFrame]]) -> pd.DataFrame:
        if not tables:
            return pd.DataFrame(columns=[*self.axes, "run"])
        joined = pd.concat([table for _, table in tables], ignore_index=True)
        lengths = [len(table) for _, table in tables]
        for place, column in enumerate(self.axes):
            labels = pd.Series([cell["at"][column] for cell, _ in tables])
            joined.insert(place, column, labels.repeat(lengths).to_numpy())
        return joined


class PartialCell:
    """A cell of which runs are missing: ``have`` of them are kept, as ``tables``."""

    def __init__(self, cell: Cell, runs: int, tables: Tables | None) -> None:
        self.cell = cell
        self.tables = tables
        self.spec: Spec | None = None
        """What its runs are played by, with the graph read, from when they are."""
        self.have: int = 0 if tables is None else len(tables.runs)
        self.left: int = runs - self.have
        self._played: dict[int, tuple[range, Tables]] = {}

    def add(self, runs: range, tables: Tables) -> None:
        """Take in some runs that were played."""
        self._played[runs.start] = runs, tables
        self.left -= len(runs)

    def keep(self, store: Folder | MemoryStore) -> None:
        """Write the runs there are from run 0 on, if there are new ones."""
        tables, end = [self.tables] if self.tables else [], self.have
        while end in self._played:
            runs, some = self._played.pop(end)
            tables.append(some)
            end = runs.stop
        if end > self.have:
            rounds = [one.rounds for one in tables if one.rounds is not None]
            nodes = [one.nodes for one in tables if one.nodes is not None]
            self.have = end
            self.tables = Tables(
                pd.concat([one.runs for one in tables], ignore_index=True),
                pd.concat(rounds, ignore_index=True) if rounds else None,
                nodes=reduce(NodeSums.plus, nodes) if nodes else None,
            )
            if not self.left:
                numbers = _summarize(self.tables.runs, self.cell.pool, self.cell.event)
                self.tables = self.tables._replace(numbers=numbers)
            if self.tables.nodes is not None and self.spec is not None:
                (start,) = self.spec.starts(range(1))
                table = ensemble_nodes(start.neighbors, self.cell.pool, self.tables.nodes)
                found = Nodes(add_committed(table, self.spec, self.have), self.have)
                store.write_nodes(self.cell.key, found, start.neighbors, self.cell.pool)
            store.write(self.cell.key, self.tables, self.cell.description)
        if not self.left:
            self.tables = self.spec = None  # which may be large


def _kept(
    remedy: str, missing: Sequence[PartialCell], cells: Sequence[Cell], store: Folder | MemoryStore
) -> str:
    """Return a remedy with what is kept of a sweep that has ended early, and how to continue."""
    if store.path is None:
        return f"{remedy} Nothing is kept: give the sweep a folder."
    finished = len(cells) - sum(one.left > 0 for one in missing)
    return (
        f"{remedy} {finished:,} of {plural(len(cells), 'cell')} are finished and kept in "
        f"{store.path}: the same sweep once more plays only what is missing."
    )


def find_missing(
    plan: SweepPlan, store: Folder | MemoryStore, cells: Sequence[Cell]
) -> list[PartialCell]:
    """Return the cells of which runs are missing."""
    found = [PartialCell(cell, plan.runs, _kept_tables(plan, store, cell)) for cell in cells]
    return [one for one in found if one.left > 0]


def _kept_tables(plan: SweepPlan, store: Folder | MemoryStore, cell: Cell) -> Tables | None:
    """Return what is kept of a cell, None where it lacks rounds or nodes that are to be kept."""
    tables = store.read(cell.key, plan.keep_rounds)
    if tables is None or not cell.spec.has_one_network:
        return tables
    nodes = store.read_nodes(cell.key)
    if nodes is None or nodes.runs != len(tables.runs):
        return None
    return tables._replace(nodes=node_sums(nodes.table, cell.pool))


def _play_missing(
    plan: SweepPlan,
    missing: list[PartialCell],
    store: Folder | MemoryStore,
    workers: int,
    executor: Executor | None,
    progress: Progress | None,
) -> None:
    """Play the runs that are missing, and keep each cell as soon as all of its runs are there.

    If this ends early, the runs that were played of other cells are kept too.
    """
    backend = choose_backend(workers=workers, executor=executor)
    total, done = sum(one.left for one in missing), 0
    owners: list[PartialCell] = []
    calls = _calls(plan, missing, owners, workers, executor)
    try:
        with closing(backend.play(_play, calls)) as found:
            for number, (runs, tables) in found:
                with interrupts_held():
                    owners[number].add(runs, tables)
                    if not owners[number].left:
                        owners[number].keep(store)
                done += len(runs)
                if progress is not None:
                    progress(done, total)
    finally:
        with interrupts_held():
            for one in owners:
                one.keep(store)


def _calls(
    plan: SweepPlan,
    missing: list[PartialCell],
    owners: list[PartialCell],
    workers: int,
    executor: Executor | None,
) -> Iterator[tuple[Any, ...]]:
    """Yield the calls that play what is missing, and note the cell of each in ``owners``."""
    elsewhere = executor is not None or workers > 1
    interactions = sum(one.cell.cost(one.left) for one in missing)
    for one in missing:
        plain = one.cell.player(interactions, elsewhere, plan.keep_rounds)
        player, one.spec = Shared(plain), plain.spec
        assumed = ASSUMED_WORKERS if executor is not None else workers
        size = batch_size(one.left, one.cell.agents, assumed)
        for first in range(one.have, plan.runs, size):
            owners.append(one)
            yield player, range(first, min(first + size, plan.runs)), versions()


def _play(player: Shared[CellPlayer], runs: range, expected: Any) -> tuple[range, Tables]:
    """Play some runs; refuse where other versions would play others."""
    here = versions()
    if here != expected:
        raise SpecError(
            "scheduler",
            dict(here),
            f"a worker has {_written(here)}, not {_written(expected)}",
            "Install the same versions everywhere.",
        )
    return runs, player.value.play(runs)


def _written(found: Any) -> str:
    return ", ".join(f"{package} {version}" for package, version in found)


def _summarize(runs: pd.DataFrame, pool: Sequence[str], event: str) -> dict[str, Any]:
    """Return the runs of a cell in numbers, as ``Sweep.cells`` describes them."""
    kind = event or "converged"
    there = runs[kind]
    low, high = wilson_interval(int(there.sum()), len(runs))
    row: dict[str, Any] = {
        "runs": len(runs),
        "event": kind,
        "share": float(there.mean()),
        "share_low": float(low),
        "share_high": float(high),
        **dict.fromkeys(("median", "median_low", "median_high"), math.nan),
        "censored": int((~there).sum()) if event else 0,
        "one_name": float(runs["one_name"].mean()),
        "local_agreement": float(runs["local_agreement"].mean()),
        **mean_left(runs),
    }
    if event:
        median = convergence_time(runs, event=event).median
        row |= {"median": median.value, "median_low": median.low, "median_high": median.high}
    counted = runs[there] if event else runs
    wins = counted["winner"].value_counts()
    row |= {f"wins_{name}": int(wins.get(name, 0)) for name in pool}
    row |= {
        f"won_{name}": wins.get(name, 0) / len(counted) if len(counted) else math.nan
        for name in pool
    }
    return row


def _cell_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the rows as a table; names that are not in the pool of a cell are missing there."""
    table = pd.DataFrame(list(rows))
    wins = [column for column in table.columns if str(column).startswith("wins_")]
    won = [column for column in table.columns if str(column).startswith("won_")]
    others = [column for column in table.columns if column not in {*wins, *won}]
    return table[[*others, *wins, *won]].astype(dict.fromkeys(wins, "Int64"))


def _describe(plan: SweepPlan, cells: Sequence[Cell]) -> dict[str, Any]:
    """Return what a sweep is, as plain data: its axes, the key and the network of each cell."""
    networks: dict[str, dict[str, float]] = {}
    for cell in cells:
        if cell.network not in networks:
            networks[cell.network] = cell.measure(plan.runs)
    return {
        "runs": plan.runs,
        "seed": plan.seed,
        "keep_rounds": plan.keep_rounds,
        "axes": [
            {
                "column": axis.column,
                "labels": list(axis.labels),
                "numbers": None if axis.numbers is None else list(axis.numbers),
                "unit": axis.unit,
            }
            for axis in plan.axes
        ],
        "cells": [
            {
                "key": cell.key,
                "at": dict(cell.at),
                "agents": cell.agents,
                "network": networks[cell.network],
                "pool": list(cell.pool),
                "event": cell.event,
            }
            for cell in cells
        ],
    }
