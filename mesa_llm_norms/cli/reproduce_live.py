"""``reproduce`` with live minds: its forecast, and the protocol played within a budget."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import outcome, terminal
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.forecast import Range
from mesa_llm_norms.minds.live import Calls
from mesa_llm_norms.recording import check_folder, finished_folder
from mesa_llm_norms.reproduction import people as with_people
from mesa_llm_norms.reproduction.comparison import compare
from mesa_llm_norms.reproduction.live import JOURNALS, foresee, play_live, total
from mesa_llm_norms.reproduction.protocol import Experiment, Report, live_experiments
from mesa_llm_norms.reproduction.report import Reproduction, write_report
from mesa_llm_norms.reproduction.rows import judge

if TYPE_CHECKING:
    from mesa_llm_norms.reproduction.recorded import Recorded


def forecast_live(
    minds: Sequence[Any], runs: int, seed: int, calls: Calls, *, people: bool, as_json: bool
) -> None:
    """Print what everything will take, experiment by experiment and together, and play nothing."""
    with terminal.stderr().status("playing with recorded minds ..."):
        found = foresee(minds, _experiments(runs, people), seed, calls)
    every, dollars = total(found)
    if as_json:
        rows = [
            {"mind": one.mind, "experiment": one.experiment.key, **one.forecast.as_object()}
            for one in found
        ]
        together = {"calls": every._asdict(), "usd": None if dollars is None else dollars._asdict()}
        typer.echo(json.dumps({"total": together, "experiments": rows}, ensure_ascii=False))
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("mind", "experiment", "runs", "calls", "US dollars"):
        table.add_column(column)
    for one in found:
        table.add_row(
            Text(terminal.one_line(one.mind)),
            Text(one.experiment.key),
            f"{one.experiment.runs:,}",
            _range(one.forecast.calls, 0),
            _range(one.forecast.usd, 2),
        )
    table.add_row(Text("all", "bold"), "", "", _range(every, 0), _range(dollars, 2))
    terminal.stdout().print(table)
    for sentence in dict.fromkeys(said for one in found for said in one.forecast.assumptions):
        terminal.stdout().print(Text(f"- {sentence}"), soft_wrap=True)


def reproduce_live(
    minds: Sequence[Any],
    runs: int,
    seed: int,
    calls: Calls,
    recorded: Recorded,
    folder: Path | None,
    *,
    people: bool,
    report: Report,
) -> Reproduction:
    """Play the protocol live, write its folder, and return how it compares."""
    from mesa_llm_norms.forecast.stand_ins import nearest

    if (calls.budget_usd, calls.budget_calls, calls.budget_tokens) == (None, None, None):
        raise SpecError(
            "budget",
            None,
            "there is no budget for the whole protocol",
            "See what it takes with --forecast, then give --budget-usd or --budget-calls.",
        )
    if folder is None:
        raise SpecError(
            "out", None, "live replies need a folder to be kept in", "Give --out FOLDER."
        )
    if not (folder / JOURNALS).is_dir():
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    played, used = play_live(minds, _experiments(runs, people), seed, calls, folder, report)
    against = {mind.label: nearest(mind.server.model).name for mind in minds}
    if people:
        rows = with_people.compare(played)
    else:
        rows = compare(played, {mind.label: mind for mind in minds}, recorded, against)
    told = ["mesa-llm-norms reproduce", *(["--people"] if people else [])]
    told += [f"--mind {mind.label}" for mind in minds]
    told += [f"--runs {runs} --seed {seed}"]
    found = Reproduction(" ".join(told), judge(rows), played, recorded, against, people)
    with finished_folder(folder) as inside:
        write_report(found, inside)
    said = outcome.used(used, 0, 0)
    if said is not None:
        terminal.complain("note", said)
    return found


def _experiments(runs: int, people: bool) -> list[Experiment]:
    return with_people.experiments(runs) if people else live_experiments(runs)


def _range(numbers: Range | None, decimals: int) -> str:
    if numbers is None:
        return "no known price"
    low, expected, high = (f"{value:,.{decimals}f}" for value in numbers)
    return f"{low} to {high} (about {expected})"
