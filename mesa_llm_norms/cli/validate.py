"""``mesa-llm-norms validate``: recorded minds and their populations against recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.minds import Policy, load_mind
from mesa_llm_norms.recording import check_folder, new_folder
from mesa_llm_norms.typed import choose


def validate(
    data: Annotated[
        Path, typer.Argument(help="The study's interactions.csv.gz, or the folder that holds it.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for the page, tables and figure.", show_default=False),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Validate this recorded model only; may be repeated.", show_default=False
        ),
    ] = None,
    mind: Annotated[
        str | None,
        typer.Option(
            help="Hold this mind or mind file against the recordings, instead of each model's own.",
            show_default=False,
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=10, help="Simulated populations per condition.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="The seed of the simulated populations.")] = 1,
    workers: Annotated[int, typer.Option(min=1, help="Processes to simulate with.")] = 2,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")
    ] = False,
) -> None:
    """Hold minds, and populations made of them, against what was recorded.

    Scores every recorded decision (log-loss, calibration), simulates populations under the recorded
    conditions, and tests how long they take and which names win. About a minute per 100 runs for
    the whole study.

    [b]Examples[/b]

    mesa-llm-norms validate study/ --out validation/

    mesa-llm-norms validate study/ --model claude-3.5-sonnet --runs 200

    mesa-llm-norms validate study/ --model llama-3-70b-instruct --mind mine.json
    """
    from mesa_llm_norms.study.recordings import read_recordings
    from mesa_llm_norms.study.report import write_report
    from mesa_llm_norms.study.validate import summary
    from mesa_llm_norms.study.validate import validate as compare

    if out is not None:
        check_folder(out)
    console = terminal.stderr()
    with console.status("reading the recordings"):
        recordings = read_recordings(data)
    models = choose("model", model or (), recordings.models)
    minds = {name: _policy(mind or name) for name in models}
    with console.status("") as status:
        found = compare(
            recordings,
            minds,
            runs=runs,
            rng=seed,
            workers=workers,
            report=lambda condition: status.update(f"{condition}: scoring decisions"),
            progress=lambda done, total: status.update(f"simulating: {done} of {total} runs"),
        )
    table = summary(found)
    if out is not None:
        with new_folder(out) as hidden:
            write_report(found, hidden, runs=runs, seed=seed)
    if as_json:
        typer.echo(json.dumps(table.to_dict(orient="records"), ensure_ascii=False))
        return
    terminal.stdout().print(_shown(table.to_dict(orient="records")))
    if out is not None:
        terminal.list_folder(terminal.stdout(), out)


def _policy(mind: str) -> Policy:
    loaded = load_mind(mind)
    if not isinstance(loaded, Policy):
        raise MindError(
            "mind", mind, f"{mind!r} gives no probabilities", "Use a recorded mind or a table."
        )
    return loaded


def _shown(rows: list[dict[Any, Any]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in (
        "model",
        "names",
        "log-loss",
        "median recorded",
        "simulated",
        "p",
        "winner",
        "p",
        "drift p",
    ):
        table.add_column(column)
    for row in rows:
        table.add_row(
            Text(row["model"]),
            Text(row["pool"] if len(row["pool"]) < 24 else row["pool"][:20] + " ..."),
            f"{row['log_loss']:.3f}",
            f"{row['median_recorded']:.0f}",
            f"{row['median_simulated']:.0f}",
            f"{row['time_p']:.3f}",
            Text(f"{row['winner']} {row['share_recorded']:.2f} / {row['share_simulated']:.2f}"),
            f"{row['winners_p']:.3f}",
            f"{row['drift_p']:.3f}",
        )
    return table
