"""Playing a plan: what is missing, in batches of runs, here or wherever an executor has them.

A sweep in numbers: one row per cell.

A sweep that was played, or is being: its cells in numbers, and all of its runs.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from mesa_llm_norms.analysis.convergence import convergence_time
from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments.sweeps.cells import Cell, Folder, Memory, Runner, Tables, versions
from mesa_llm_norms.experiments.sweeps.grid import Plan, column_of, make_plan
from mesa_llm_norms.simulation.ensemble import Progress, batch_size
from mesa_llm_norms.simulation.kernel import invalidate_caches
from mesa_llm_norms.simulation.workers import Shared, answers, connected, interrupts_held
from mesa_llm_norms.validation import read_whole

ANYBODY = 16
"""As many workers an executor is taken to have, where nobody says."""


class Missing(NamedTuple):
    """A cell, how many of its runs there are, and these."""

    cell: Cell
    have: int
    there: Tables | None


def find_missing(plan: Plan, store: Folder | Memory, cells: list[Cell]) -> list[Missing]:
    """Return the cells of which runs are missing."""
    found = []
    for cell in cells:
        there = store.read(cell.key, plan.keep_rounds)
        have = 0 if there is None else len(there.runs)
        if have < plan.runs:
            found.append(Missing(cell, have, there))
    return found


def play_missing(
    plan: Plan,
    missing: list[Missing],
    store: Folder | Memory,
    workers: int,
    executor: Executor | None,
    progress: Progress | None,
) -> None:
    """Play the runs that are missing, and keep each cell as soon as all of its runs are there.

    What there is of the others is kept too, where this ends early in whatever way leaves time.
    """
    invalidate_caches()
    total = sum(plan.runs - one.have for one in missing)
    done = 0
    parts = [_Part(plan, one) for one in missing]
    owners: list[_Part] = []
    calls = _calls(plan, parts, owners, workers, executor)
    try:
        with closing(answers(_play, calls, workers, executor)) as found:
            for number, (runs, tables) in found:
                part = owners[number]
                with interrupts_held():
                    part.add(runs, tables)
                    if part.complete:
                        part.keep(store)
                done += len(runs)
                if progress is not None:
                    progress(done, total)
    finally:
        with interrupts_held():
            for part in owners:
                part.keep(store)


class _Part:
    """The runs of a cell that are being played."""

    def __init__(self, plan: Plan, missing: Missing) -> None:
        self.cell, self.have, self.there = missing
        self.runs = plan.runs
        self.played: dict[int, tuple[range, Tables]] = {}
        self.left = plan.runs - missing.have

    def add(self, runs: range, tables: Tables) -> None:
        self.played[runs.start] = runs, tables
        self.left -= len(runs)

    @property
    def complete(self) -> bool:
        return not self.left

    def keep(self, store: Folder | Memory) -> None:
        """Write the runs there are from run 0 on, if there are new ones."""
        tables, end = [self.there] if self.there else [], self.have
        while end in self.played:
            runs, some = self.played.pop(end)
            tables.append(some)
            end = runs.stop
        if end > self.have:
            rounds = [one.rounds for one in tables if one.rounds is not None]
            self.there = Tables(
                pd.concat([one.runs for one in tables], ignore_index=True),
                pd.concat(rounds, ignore_index=True) if rounds else None,
            )
            self.have = end
            if self.complete:
                game = self.cell.game
                numbers = summarise(self.there.runs, game.pool, game.event)
                self.there = self.there._replace(numbers=numbers)
            store.write(self.cell.key, self.there, self.cell.description)
        if self.complete:
            self.there = None


def _calls(
    plan: Plan,
    parts: list[_Part],
    owners: list[_Part],
    workers: int,
    executor: Executor | None,
) -> Iterator[tuple[Any, ...]]:
    """Yield the calls that play what is missing, and note whose each is."""
    elsewhere = executor is not None or workers > 1
    interactions = sum(part.cell.game.cost(part.left) for part in parts)
    for part in parts:
        agents = part.cell.game.prepare()
        runner = part.cell.game.runner(interactions, elsewhere, plan.keep_rounds)
        shared = Shared(runner)
        size = batch_size(part.left, agents, ANYBODY if executor is not None else workers)
        for first in range(part.have, plan.runs, size):
            owners.append(part)
            yield shared, range(first, min(first + size, plan.runs)), versions()


def _play(shared: Shared[Runner], runs: range, expected: Any) -> tuple[range, Tables]:
    """Play some runs; refuse where other versions would play others."""
    here = versions()
    if here != expected:
        raise SpecError(
            "scheduler",
            dict(here),
            f"a worker has {_written(here)}, not {_written(expected)}",
            "Install the same versions everywhere.",
        )
    return runs, shared.value.play(runs)


def _written(found: Any) -> str:
    return ", ".join(f"{package} {version}" for package, version in found)


def summarise(runs: pd.DataFrame, pool: Sequence[str], event: str) -> dict[str, Any]:
    """Return the runs of a cell in numbers.

    ``event`` is what runs were played until: the ``share`` of runs that got there has Wilson's
    interval, the time until then its median with the runs that did not get there censored. Names
    are won by the runs that count: those that got there, and where runs had no goal, all.
    """
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
        "local_agreement": float(runs["local_agreement"].mean()),
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


def cell_table(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the rows as a table; a name that is in no pool of a cell has nothing there."""
    table = pd.DataFrame(list(rows))
    wins = [column for column in table.columns if str(column).startswith("wins_")]
    won = [column for column in table.columns if str(column).startswith("won_")]
    others = [column for column in table.columns if column not in {*wins, *won}]
    return table[[*others, *wins, *won]].astype(dict.fromkeys(wins, "Int64"))


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
