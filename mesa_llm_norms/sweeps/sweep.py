"""A sweep that was played, or is being: its cells in numbers, and all of its runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from mesa_llm_norms.ensemble import Progress
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.sweeps.axes import column_of
from mesa_llm_norms.sweeps.cells import Tables
from mesa_llm_norms.sweeps.folder import Folder, Memory
from mesa_llm_norms.sweeps.plan import Plan, make_plan
from mesa_llm_norms.sweeps.play import find_missing, play_missing
from mesa_llm_norms.sweeps.scheduler import connected
from mesa_llm_norms.sweeps.summary import cell_table, summarise


class Sweep:
    """The cells of a grid and their runs, read when they are asked for.

    ``axes`` are the columns that say where a cell is in the grid. ``folder`` is where it is kept,
    None for memory. Tables are of what there was when they were first asked for.
    """

    def __init__(self, record: Mapping[str, Any], store: Folder | Memory) -> None:
        self.record = record
        self.axes: tuple[str, ...] = tuple(axis["column"] for axis in record["axes"])
        self.folder = store.path
        self.seed: int = record["seed"]
        self._store = store

    def __repr__(self) -> str:
        return f"<Sweep of {len(self.record['cells'])} cells over {', '.join(self.axes) or '1'}>"

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row per cell of which there are runs: the axes, and the runs in numbers.

        ``share`` of the runs reached the ``event`` they were played until, ``share_low`` to
        ``share_high`` is Wilson's 95% interval. ``median`` interactions it took, the ``censored``
        runs that did not get there counted as such, with a 95% interval; infinite where fewer than
        half did, nan where runs had no goal. ``local_agreement`` is the mean over runs, ``wins_Q``
        the runs won by Q, and ``won_Q`` their share of those that got there.
        """
        rows = []
        for cell, (runs, _, known) in self._tables():
            numbers = known or summarise(runs, cell["pool"], cell["event"])
            rows.append({**cell["at"], "agents": cell["agents"], **numbers})
        return cell_table(rows) if rows else pd.DataFrame(columns=[*self.axes, "runs"])

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
        """Return the runs of the one cell with these labels on the axes.

        An axis of one value need not be named. Raises ``SpecError`` unless that is one cell.
        """
        wanted = {column_of(name): label for name, label in at.items()}
        for name in wanted:
            if name not in self.axes:
                raise SpecError(
                    name, at, f"there is no axis {name!r}", f"Axes are {', '.join(self.axes)}."
                )
        found = [
            cell
            for cell in self.record["cells"]
            if all(cell["at"][column] == label for column, label in wanted.items())
        ]
        if len(found) != 1:
            raise SpecError(
                "cell", at, f"{len(found)} cells are there", "Name a label on every axis."
            )
        tables = self._store.read(found[0]["key"])
        if tables is None:
            raise SpecError("cell", at, "it was not played yet", "Go on with the sweep.")
        return tables.first(self.record["runs"]).runs

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
    **fixed: Any,
) -> Sweep:
    """Play ``runs`` runs in every cell of a grid over arguments of ``run_ensemble``.

    ``grid`` gives for each of its axes the values, as a list or as ``{label: value}``; ``fixed``
    are the arguments that are the same everywhere. Both may have ``size``, which takes the place of
    ``{size}`` in topologies (and of ``{rows}``, ``{columns}``, ``{size / 2}`` and the like).

    **All cells share the seed**: run k of every cell begins with the same draws, so cells compare
    in pairs, as ``statistics.compare_convergence`` does. Without ``rng`` a seed is drawn.

    With a ``folder``, every cell is written as it gets done, and what is there already is not
    played again: after an interrupt, with more values in the grid, or with more runs.

    ``workers`` is the number of processes (None: one per processor), ``executor`` any
    ``concurrent.futures.Executor`` instead, ``scheduler`` the address of a Dask scheduler. The
    results are the same for every choice. Raises ``SpecError`` before anything is played for cells
    that cannot be, ``WorkerError`` where workers are lost time and again.
    """
    plan = make_plan(grid, fixed, runs, rng, keep_rounds)
    return play_sweep(
        plan, folder, workers=workers, executor=executor, scheduler=scheduler, progress=progress
    )


def play_sweep(
    plan: Plan,
    folder: str | Path | None = None,
    *,
    workers: int | None = 1,
    executor: Executor | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Play a plan, such as ``read_plan`` reads from a file; see ``sweep``."""
    processes = read_whole("workers", os.cpu_count() or 1 if workers is None else workers, 1, 1_000)
    if executor is not None and scheduler is not None:
        raise SpecError("scheduler", scheduler, "an executor is given too", "Give one of them.")
    store = Memory() if folder is None else Folder(folder)
    cells = list(plan.cells())
    missing = find_missing(plan, store, cells)
    record = describe_plan(plan, cells)
    with ExitStack() as stack:
        if missing and scheduler is not None:
            executor = stack.enter_context(connected(scheduler))
        store.write_record(record)
        if missing:
            play_missing(plan, missing, store, processes, executor, progress)
    found = Sweep(record, store)
    store.write_summary(found.cells)
    return found


def read_sweep(folder: str | Path) -> Sweep:
    """Return the sweep in a folder, finished or not; nothing is played.

    Raises ``FileFormatError`` where no sweep is there.
    """
    store = Folder(folder)
    return Sweep(store.read_record(), store)


def describe_plan(plan: Plan, cells: list[Any]) -> dict[str, Any]:
    """Return what a sweep is, as plain data: its axes, and what each cell is filed under."""
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
                "agents": cell.game.prepare(),
                "pool": list(cell.game.pool),
                "event": cell.game.event,
            }
            for cell in cells
        ],
    }
