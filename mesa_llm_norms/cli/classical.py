"""``mesa-llm-norms classical``: the classical naming game against what is published about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.recording import check_folder, new_folder

if TYPE_CHECKING:
    from mesa_llm_norms.classical.reproduce import Found


def classical(
    quick: Annotated[
        bool, typer.Option("--quick", help="Fewer and smaller runs: seconds instead of minutes.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The seed of all runs.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Threads to play with.")] = 2,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for the table, the runs and the figure.", show_default=False),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")
    ] = False,
) -> None:
    """Play the classical naming game, and compare it with what is published about it.

    No minds and no payoffs: agents pass words on and settle on one (Baronchelli and others, 2006).
    How long that takes, and how many words there are meanwhile, is known for many networks.
    Exponents agree within 0.1 (time) or 0.05 (words), for the sizes are finite. About three minutes
    on one processor.

    [b]Examples[/b]

    mesa-llm-norms classical --quick

    mesa-llm-norms classical --seed 3 --workers 4 --out classical/

    mesa-llm-norms classical --quick --json
    """
    from mesa_llm_norms.classical.reproduce import compare, play_experiments
    from mesa_llm_norms.classical.reproduce import table as as_table

    if out is not None:
        check_folder(out)
    with terminal.progress("compiling", patience=0) as report:
        runs = play_experiments(seed, quick, workers, report)
    found = compare(runs)
    table = as_table(found)
    if out is not None:
        from mesa_llm_norms.classical.reproduce import points, shares
        from mesa_llm_norms.plots import save_figure
        from mesa_llm_norms.plots.classical import plot_classical

        with new_folder(out) as inside:
            table.to_csv(inside / "classical.csv", index=False, float_format="%.6g")
            runs.to_parquet(inside / "runs.parquet", index=False)
            save_figure(plot_classical(points(runs), shares(runs)), inside / "classical")
    if as_json:
        typer.echo(json.dumps(table.to_dict(orient="records"), ensure_ascii=False))
        return
    terminal.stdout().print(_shown(found))
    if out is not None:
        terminal.list_folder(terminal.stdout(), out)


def _shown(found: list[Found]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("", "published", "here", "95% interval", "agrees", "measured at", "runs"):
        table.add_column(column)
    for one in found:
        decimals = 3 if one.claim.published < 1 else 2 if one.claim.published < 100 else 0
        table.add_row(
            Text(one.claim.what),
            *(f"{value:.{decimals}f}" for value in (one.claim.published, one.here)),
            f"{one.low:.{decimals}f} to {one.high:.{decimals}f}",
            "yes" if one.agrees else Text("no", "bold red"),
            " to ".join(f"{x:,g}" for x in dict.fromkeys((one.xs[0], one.xs[-1]))),
            f"{one.runs:,}",
        )
    return table
