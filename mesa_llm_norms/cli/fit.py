"""``mesa-llm-norms fit``: recorded minds from the study's recordings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.errors import SpecError, some
from mesa_llm_norms.minds import RecordedMind, write_recorded
from mesa_llm_norms.recording import new_file, versions
from mesa_llm_norms.typed import choose


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

    console = terminal.stderr()
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
        terminal.stdout().print(_table(fitted))


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
