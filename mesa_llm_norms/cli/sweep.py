"""``mesa-llm-norms sweep``: many runs in every cell of a grid that a file describes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import SIMULATING, announce, no_live_mind
from mesa_llm_norms.cli.options import OUTPUT, RUNS, option
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import RUNS as RUNS_FOLDER
from mesa_llm_norms.core.formatting import bounds, count, percent, plural
from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.networks.descriptors import NETWORK
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.recording.recorder import RecordingPlan
    from mesa_llm_norms.experiments.sweeps import Sweep
    from mesa_llm_norms.experiments.sweeps.grid import SweepPlan
    from mesa_llm_norms.llm.settings import LLMSettings

SHOWN = 60
"""Most cells that are listed; the summary has all of them."""


@options.expanded
def sweep(
    spec: Annotated[
        Path, typer.Argument(help="TOML file: fixed arguments, and a table \\[grid] of lists.")
    ],
    runs: Annotated[
        int | None,
        option(RUNS, "Runs in each cell. Default: those of the file.", limit=limits.RUNS),
    ] = None,
    workers: options.Workers = 1,
    scheduler: Annotated[
        str | None, option(RUNS, "Play on a Dask cluster: the address of its scheduler.")
    ] = None,
    dry_run: Annotated[
        bool,
        option(RUNS, "List the cells and how many runs each has; play nothing.", "--dry-run"),
    ] = False,
    out: Annotated[
        Path | None, option(OUTPUT, "Folder of the sweep. Default runs/ and the file's name.")
    ] = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    *,
    files: options.FileOptions,
    live: options.LiveOptions,
) -> None:
    """Play every cell of a grid of topologies, minds, sizes, committed shares and so on.

    Every cell is saved when it is finished. The same command resumes a sweep that was interrupted,
    and plays only what is missing after values or runs were added. A live mind is recorded first,
    once for each game of the grid, and the cells play the recordings.

    [b]Examples[/b]

    mesa-llm-norms sweep grid.toml --dry-run

    mesa-llm-norms sweep grid.toml --workers 8 --out results/

    mesa-llm-norms sweep networks.toml --clean --read directed=false

    mesa-llm-norms sweep models.toml --forecast
    """
    from mesa_llm_norms.experiments.sweeps import play_sweep, read_plan
    from mesa_llm_norms.experiments.sweeps.recordings import find_live

    plan = _with_options(read_plan(spec, live.mind_reader(given=False)), files)
    if runs is not None:
        plan = replace(plan, runs=runs)
    folder = out or RUNS_FOLDER / spec.stem
    wanted = find_live(plan)
    if live.forecast:
        _print_forecast(wanted, live.calls(), as_json)
        return
    if dry_run:
        _print_missing(plan, folder, as_json)
        return
    talk = not as_json and not quiet
    if talk:
        output.say(f"{plural(len(plan), 'cell')} of {plural(plan.runs, 'run')}, seed {plan.seed}")
    try:
        llm = live.calls()
        _announce(wanted, folder, llm)
        with output.progress("playing") as report:
            found = play_sweep(
                plan,
                folder,
                workers=workers,
                scheduler=scheduler,
                progress=partial(report, "runs"),
                llm=llm,
                recording=report,
            )
        # The cells and their summary are in the folder already.
        draw, show = partial(_draw, found), partial(_show, found, folder, as_json, talk)
        output.finish(folder, lambda _: None, draw, show, live=True)
    except KeyboardInterrupt:
        if folder.exists():
            kept = f"finished cells are in {folder}; run the same command again to resume"
            output.complain("note", kept)
        raise


def _announce(wanted: Mapping[str, RecordingPlan], folder: Path, llm: LLMSettings) -> None:
    """Say which live minds are recorded first, and where their calls go."""
    from mesa_llm_norms.experiments.sweeps.recordings import check_budget, find_recorded

    recorded = find_recorded(wanted, folder)
    missing = {name: plan for name, plan in wanted.items() if name not in recorded}
    check_budget(missing, llm)
    announce([plan.mind for plan in missing.values()], llm)
    for plan in missing.values():
        pool, memory = ",".join(plan.game.pool), plan.game.memory
        said = f"{plan.mind.label} is live, so it is recorded first: names {pool}, memory {memory}"
        output.complain("note", said)


def _print_forecast(wanted: Mapping[str, RecordingPlan], llm: LLMSettings, as_json: bool) -> None:
    """Print what the recordings of live minds will take."""
    from mesa_llm_norms.experiments.recording.forecast import forecast_recording

    if not wanted:
        raise no_live_mind()
    with output.progress(SIMULATING):
        expected = {name: forecast_recording(plan, llm) for name, plan in wanted.items()}
    if as_json:
        output.print_json({name: one.as_object() for name, one in expected.items()})
        return
    for name, one in expected.items():
        output.say(f"Recording {name}", "bold")
        output.print_pairs(one.rows())


def _with_options(plan: SweepPlan, files: options.FileOptions) -> SweepPlan:
    """Return a plan whose graph files are read as the options say."""
    from mesa_llm_norms.experiments.sweeps.grid import read_axis

    if not files.read and not files.clean:
        return plan
    axes, fixed = list(plan.axes), dict(plan.fixed)
    for place, axis in enumerate(axes):
        if axis.argument == "graph":
            read = files.apply(*map(str, axis.values))
            axes[place] = read_axis("graph", dict(zip(map(str, axis.labels), read, strict=True)))
            return replace(plan, axes=tuple(axes))
    (fixed["graph"],) = files.apply(str(fixed.get("graph", DEFAULT_GRAPH)))
    return replace(plan, fixed=fixed)


def _show(found: Sweep, folder: Path, as_json: bool, talk: bool) -> None:
    if as_json:
        content = {"out": str(folder), "runs": found.record["runs"], "seed": found.seed}
        output.print_json({**content, "cells": found.cells.to_dict(orient="records")})
        return
    if talk:
        _print_networks(found)
        _print_cells(found)
    output.say(_sentence(found), "bold")
    output.list_folder(folder)


def _print_missing(plan: SweepPlan, folder: Path, as_json: bool) -> None:
    """Print the cells with the runs that were played, and how many are missing."""
    from mesa_llm_norms.experiments.sweeps.cells import Folder
    from mesa_llm_norms.experiments.sweeps.recordings import (
        find_live,
        find_recorded,
        with_recordings,
    )
    from mesa_llm_norms.experiments.sweeps.runner import find_missing

    wanted = find_live(plan)
    unknown = dict.fromkeys(wanted, load_mind("uniform"))  # of which no cell was played yet
    plan = with_recordings(plan, {**unknown, **find_recorded(wanted, folder)})
    cells = list(plan.cells())
    missing = {one.cell.key: one.have for one in find_missing(plan, Folder(folder), cells)}
    agents = [cell.agents for cell in cells]
    have = [missing.get(cell.key, plan.runs) for cell in cells]
    left = sum(plan.runs - runs for runs in have)
    if as_json:
        rows = [
            {**cell.at, "agents": size, "runs": runs}
            for cell, size, runs in zip(cells, agents, have, strict=True)
        ]
        output.print_json({"out": str(folder), "runs": plan.runs, "missing": left, "cells": rows})
        return
    head = (*(axis.column for axis in plan.axes), "agents", "runs played")
    listed = list(zip(cells, agents, have, strict=True))[:SHOWN]
    output.print_table(
        head,
        [(*map(str, cell.at.values()), count(size), count(runs)) for cell, size, runs in listed],
    )
    more = f" ({len(cells) - SHOWN:,} not listed)" if len(cells) > SHOWN else ""
    output.say(
        f"{plural(len(cells), 'cell')}{more}, {plural(left, 'run')} to play into {folder}", "bold"
    )


def _draw(found: Sweep, folder: Path) -> None:
    from mesa_llm_norms import plots

    try:
        figure = plots.plot_sweep(found)
    except NormsError as error:
        output.complain("note", f"no figure: {error}")
        return
    plots.save_figure(figure, folder / "sweep")


def _print_networks(found: Sweep) -> None:
    """Print the networks in numbers, unless all cells have the same."""
    axes = [axis for axis in found.axes if axis in ("graph", "size")]
    measured = [column for column in NETWORK if column in found.cells]
    if "largest_part" in measured and (found.cells["largest_part"] == 1).all():
        measured.remove("largest_part")
    networks = found.cells[[*axes, "agents", *measured]].drop_duplicates(axes or None)
    if not axes or not measured or len(networks) == 1:
        return
    rows = [
        (*(str(row[axis]) for axis in axes), count(row["agents"]), *map(_number, row[measured]))
        for _, row in networks[:SHOWN].iterrows()
    ]
    heads = (column.split("_")[-1] for column in measured)
    output.print_table((*axes, "agents", *heads), rows)
    output.say("")


def _number(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.2f}"


def _print_cells(found: Sweep) -> None:
    rows = [
        (
            *(str(row[axis]) for axis in found.axes),
            count(row["agents"]),
            count(row["runs"]),
            percent(row["share"]),
            percent(row["one_name"]),
            _median(row),
            _winner(row),
        )
        for row in found.cells[:SHOWN].to_dict(orient="records")
    ]
    head = (
        *found.axes,
        "agents",
        "runs",
        _event(found),
        "one name",
        "interactions (95%)",
        "won most",
    )
    output.print_table(head, rows)
    if len(found.cells) > SHOWN:
        output.say(f"and {len(found.cells) - SHOWN:,} more in summary.csv")


def _median(row: Mapping[Any, Any]) -> str:
    value, interval = row["median"], (row["median"], row["median_low"], row["median_high"])
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "more than were played"
    return f"{count(value)} ({bounds(interval, ',.0f')})"


def _winner(row: Mapping[Any, Any]) -> str:
    won = {name[4:]: row[name] for name in row if str(name).startswith("won_")}
    won = {name: share for name, share in won.items() if share > 0}
    if not won:
        return ""
    name = max(won, key=lambda name: won[name])
    return f"{name} {percent(won[name])}"


def _event(found: Sweep) -> str:
    events = set(found.cells["event"])
    return str(events.pop()) if len(events) == 1 else "reached the goal"


def _sentence(found: Sweep) -> str:
    shares, runs = found.cells["share"], int(found.cells["runs"].sum())
    one = found.cells["one_name"]
    return (
        f"{plural(len(shares), 'cell')}, {plural(runs, 'run')}: "
        f"{percent(shares.min())} to {percent(shares.max())} of them {_event(found)}, "
        f"{percent(one.min())} to {percent(one.max())} ended with one name."
    )
