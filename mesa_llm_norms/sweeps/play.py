"""Playing a plan: what is missing, in batches of runs, here or wherever an executor has them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import closing
from typing import Any, NamedTuple

import pandas as pd

from mesa_llm_norms.ensemble import Progress, batch_size
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.kernel import ask_anew
from mesa_llm_norms.sweeps.cells import Cell, Runner, Tables
from mesa_llm_norms.sweeps.folder import Folder, Memory
from mesa_llm_norms.sweeps.identity import versions
from mesa_llm_norms.sweeps.plan import Plan
from mesa_llm_norms.sweeps.summary import summarise
from mesa_llm_norms.workers import Shared, answers, interrupts_held

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
    ask_anew()
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
