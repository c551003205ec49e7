"""``mesa-llm-norms sweep``: many runs in every cell of a grid that a file describes."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import output
from mesa_llm_norms.core.files import RUNS
from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.simulation.ensemble import Progress as Report

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.sweeps.grid import Plan
    from mesa_llm_norms.experiments.sweeps.sweep import Missing, Sweep


INTERRUPTED = 130


SHOWN = 60
"""Cells that are listed at most; all of them are in the summary."""


EVERY = 10.0
"""Seconds between two lines of progress where there is no terminal."""


def sweep(
    spec: Annotated[Path, typer.Argument(help="A TOML file: what is fixed, and a table [grid\\].")],
    out: Annotated[
        Path | None,
        typer.Option(help="The folder; without it runs/ and the file's name.", show_default=False),
    ] = None,
    runs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs in every cell, instead of the file's.", show_default=False),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=1_000, help="Processes to play in.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Play on a Dask cluster: its scheduler's address.", show_default=False),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the cells and what is missing; play nothing.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object and nothing else on standard output."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only say how it ended.")] = False,
) -> None:
    """Play every cell of a grid: topologies, minds, sizes, committed shares and so on.

    Each cell is written as it gets done. The same command goes on where another was ended, and
    plays only what is missing when values are added to the grid, or runs.

    [b]Examples[/b]

    mesa-llm-norms sweep grid.toml --dry-run

    mesa-llm-norms sweep grid.toml --workers 8

    mesa-llm-norms sweep grid.toml --runs 1000 --out results/ --json

    mesa-llm-norms sweep grid.toml --scheduler tcp://10.0.0.5:8786
    """
    from mesa_llm_norms.experiments.sweeps.grid import read_plan
    from mesa_llm_norms.experiments.sweeps.sweep import play_sweep

    plan = read_plan(spec)
    if runs is not None:
        plan = replace(plan, runs=runs)
    folder = out or RUNS / spec.stem
    if dry_run:
        _list_missing(plan, folder, as_json)
        return
    talk = not as_json and not quiet
    if talk:
        text = f"{_many(len(plan), 'cell')} of {_many(plan.runs, 'run')}, seed {plan.seed}"
        output.stdout().print(text, markup=False, soft_wrap=True)
    try:
        with _progress(shown=not quiet) as report:
            found = play_sweep(plan, folder, workers=workers, scheduler=scheduler, progress=report)
        _draw(found, folder)
    except KeyboardInterrupt as error:
        kept = f"what was finished is in {folder}; the same command goes on from there."
        output.complain("interrupted", kept if folder.exists() else "nothing was written.")
        raise typer.Exit(INTERRUPTED) from error
    if as_json:
        typer.echo(json.dumps(_object(found), ensure_ascii=False, allow_nan=False))
        return
    console = output.stdout()
    if talk:
        console.print(_table(found))
    console.print(_sentence(found), markup=False, soft_wrap=True, style="bold")
    output.list_folder(console, folder)


def _list_missing(plan: Plan, folder: Path, as_json: bool) -> None:
    from mesa_llm_norms.experiments.sweeps.cells import Folder
    from mesa_llm_norms.experiments.sweeps.sweep import find_missing

    cells = list(plan.cells())
    missing = {one.cell.key: one for one in find_missing(plan, Folder(folder), cells)}
    agents = [cell.game.prepare() for cell in cells]

    def there(key: str) -> int:
        found: Missing | None = missing.get(key)
        return plan.runs if found is None else found.have

    left = sum(plan.runs - there(cell.key) for cell in cells)
    if as_json:
        rows = [
            {**cell.at, "agents": size, "runs": there(cell.key)}
            for cell, size in zip(cells, agents, strict=True)
        ]
        found = {"out": str(folder), "runs": plan.runs, "missing": left, "cells": rows}
        typer.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for axis in (*(axis.column for axis in plan.axes), "agents", "runs there"):
        table.add_column(axis)
    for cell, size in zip(cells[:SHOWN], agents, strict=False):
        labels = [Text(str(label)) for label in cell.at.values()]
        table.add_row(*labels, f"{size:,}", f"{there(cell.key):,}")
    console = output.stdout()
    console.print(table)
    more = f" ({len(cells) - SHOWN:,} not listed)" if len(cells) > SHOWN else ""
    text = f"{_many(len(cells), 'cell')}{more}, {_many(left, 'run')} to be played into {folder}"
    console.print(text, markup=False, soft_wrap=True, style="bold")


def _draw(found: Sweep, folder: Path) -> None:
    from mesa_llm_norms import plots
    from mesa_llm_norms.experiments.sweeps.cells import Folder

    try:
        figure = plots.plot_sweep(found)
    except NormsError as error:
        output.complain("note", f"no figure: {error}")
        return
    for kind in ("png", "svg"):
        Folder(folder).save(f"sweep.{kind}", lambda path: plots.write_figure(figure, path))


@contextmanager
def _progress(shown: bool) -> Iterator[Report]:
    """Give what is told of runs done: a bar with the time left on a terminal, else lines."""
    console, began = output.stderr(), time.monotonic()
    if not console.is_terminal:
        told = began

        def tell(done: int, total: int) -> None:
            nonlocal told
            now = time.monotonic()
            if now - told >= EVERY or (done == total and told > began):
                told = now
                left = (now - began) / done * (total - done)
                text = f"{done:,} of {total:,} runs, about {_span(left)} left"
                console.print(text, markup=False, soft_wrap=True)

        yield tell if shown else lambda *_: None
        return
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not shown) as bar:
        task = bar.add_task("runs", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _table(found: Sweep) -> Table:
    cells = found.cells
    event = "flipped" if (cells["event"] == "flipped").any() else "converged"
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in (*found.axes, "agents", "runs", event, "interactions (95%)", "won most"):
        table.add_column(column)
    for row in cells[:SHOWN].to_dict(orient="records"):
        table.add_row(
            *(Text(str(row[axis])) for axis in found.axes),
            f"{row['agents']:,}",
            f"{row['runs']:,}",
            output.percent(row["share"]),
            _median(row),
            Text(_winner(row)),
        )
    if len(cells) > SHOWN:
        table.add_row(f"and {len(cells) - SHOWN:,} more in summary.csv")
    return table


def _median(row: dict[Any, Any]) -> str:
    def written(value: float) -> str:
        return "..." if math.isinf(value) else f"{value:,.0f}"

    if math.isnan(row["median"]):
        return ""
    if math.isinf(row["median"]):
        return "more than were played"
    return f"{row['median']:,.0f} ({written(row['median_low'])} to {written(row['median_high'])})"


def _winner(row: dict[Any, Any]) -> str:
    won = {name[4:]: row[name] for name in row if str(name).startswith("won_")}
    won = {name: share for name, share in won.items() if share == share and share > 0}
    if not won:
        return ""
    name = max(won, key=lambda name: won[name])
    return f"{name} {output.percent(won[name])}"


def _sentence(found: Sweep) -> str:
    cells = found.cells
    event = "flipped" if (cells["event"] == "flipped").any() else "converged"
    return (
        f"{_many(len(cells), 'cell')}, {_many(int(cells['runs'].sum()), 'run')}: "
        f"{_least(cells)} to {output.percent(cells['share'].max())} of them {event}."
    )


def _least(cells: Any) -> str:
    return output.percent(cells["share"].min())


def _object(found: Sweep) -> dict[str, Any]:
    rows = [
        {key: _plain(value) for key, value in row.items()}
        for row in found.cells.to_dict(orient="records")
    ]
    return {
        "out": str(found.folder),
        "runs": found.record["runs"],
        "seed": found.seed,
        "cells": rows,
    }


def _plain(value: Any) -> Any:
    """Return a value of a table as JSON has it: what is not finite, or not there, is null."""
    if value is None or value != value or value in (math.inf, -math.inf):
        return None
    return value.item() if hasattr(value, "item") else value


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _span(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
