"""``mesa-llm-norms fit``: recorded minds from the study's recordings.

``mesa-llm-norms validate``: recorded minds and their populations against recordings.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import output
from mesa_llm_norms.core.files import check_folder, new_file, new_folder
from mesa_llm_norms.errors import MindError, SpecError, some
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.minds.registry import load_mind, write_recorded
from mesa_llm_norms.simulation.results import versions
from mesa_llm_norms.validation import choose


def fit(
    data: Annotated[
        Path, typer.Argument(help="The study's interactions.csv.gz, or the folder that holds it.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for MODEL.json, made if need be.")],
    model: Annotated[
        list[str] | None,
        typer.Option(help="Fit this model only; may be repeated.", show_default=False),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite minds that are already there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")
    ] = False,
) -> None:
    """Fit recorded minds to recorded populations; about a minute per model.

    The same recordings give the same files, byte by byte. The log-loss is that of odd-numbered
    runs under a fit of the even-numbered ones; the mind that is written is fitted to all.

    [b]Examples[/b]

    mesa-llm-norms fit study/ --out minds/

    mesa-llm-norms fit study/interactions.csv.gz --out minds/ --model claude-3.5-sonnet
    """
    from mesa_llm_norms.study.fit import fit_mind
    from mesa_llm_norms.study.recordings import read_recordings

    console = output.stderr()
    with console.status("reading the recordings"):
        recordings = read_recordings(data)
    models = choose("model", model or (), recordings.models)
    _check_names(models)
    targets = {name: out / f"{name}.json" for name in models}
    _check_targets(targets.values(), force)
    version = versions()["mesa_llm_norms"] or "unknown"
    fitted = []
    for name, target in targets.items():

        def report(step: str, name: str = name) -> None:
            console.print(f"{name}: {step}", markup=False)

        mind = fit_mind(recordings, name, version, report)
        with new_file(target) as hidden:
            write_recorded(mind, hidden)
        report(f"written to {target}")
        fitted.append(mind)
    if as_json:
        written = {
            mind.label: {"file": str(targets[mind.label]), **mind.provenance} for mind in fitted
        }
        typer.echo(json.dumps(written, ensure_ascii=False))
    else:
        output.stdout().print(_table(fitted))


def _check_names(models: Sequence[str]) -> None:
    for name in models:
        if not re.fullmatch(r"\w[\w.+-]*", name):
            raise SpecError("model", name, f"{name!r} cannot name a file", "Rename it in the data.")


def _check_targets(targets: Iterable[Path], force: bool) -> None:
    existing = [str(target) for target in targets if target.exists()]
    if existing and not force:
        raise SpecError(
            "out",
            existing,
            f"already there: {some(existing)}",
            "Give another folder, or --force to overwrite.",
        )


def _table(fitted: Sequence[RecordedMind]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("mind", "condition", "names", "decisions", "log-loss, held out"):
        table.add_column(column)
    for mind in fitted:
        for place, it in enumerate(mind.provenance["conditions"]):
            loss = it["log_loss_even_to_odd"]
            table.add_row(
                Text("" if place else mind.label, "bold"),
                it["kind"],
                Text(" ".join(it["pool"])),
                f"{it['decisions']:,}",
                "-" if loss is None else f"{loss:.3f}",
            )
    return table


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
    from mesa_llm_norms.reports.study import write_report
    from mesa_llm_norms.study.recordings import read_recordings
    from mesa_llm_norms.study.validate import summary
    from mesa_llm_norms.study.validate import validate as compare

    if out is not None:
        check_folder(out)
    console = output.stderr()
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
    output.stdout().print(_shown(table.to_dict(orient="records")))
    if out is not None:
        output.list_folder(output.stdout(), out)


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
