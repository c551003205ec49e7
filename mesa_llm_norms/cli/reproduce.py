"""``reproduce`` with live minds: its forecast, and the protocol played within a budget.

``mesa-llm-norms reproduce``: the study's main results again, beside what was recorded.

``mesa-llm-norms classical``: the classical naming game against what is published about it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import live as options
from mesa_llm_norms.cli import output
from mesa_llm_norms.cli.live import print_parts, require_budget
from mesa_llm_norms.core.files import check_folder, finished_folder, new_folder
from mesa_llm_norms.errors import MindError, SpecError
from mesa_llm_norms.llm.mind import LIVE
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.registry import load_mind, recorded_names
from mesa_llm_norms.reports.reproduction import Reproduction, write_report
from mesa_llm_norms.reproduction import people as with_people
from mesa_llm_norms.reproduction.protocol import (
    JOURNALS,
    Experiment,
    Report,
    foresee,
    live_experiments,
    play_live,
)
from mesa_llm_norms.reproduction.results import compare
from mesa_llm_norms.reproduction.rows import judge

if TYPE_CHECKING:
    from mesa_llm_norms.classical.published import Found
    from mesa_llm_norms.reproduction.recorded import Recorded


def forecast_live(
    minds: Sequence[Any], runs: int, seed: int, llm: LLMSettings, *, people: bool, as_json: bool
) -> None:
    """Print what everything will take, experiment by experiment and together, and play nothing."""
    with output.stderr().status("playing with recorded minds ..."):
        found = foresee(minds, _experiments(runs, people), seed, llm)
    print_parts(found, as_json)


def reproduce_live(
    minds: Sequence[Any],
    runs: int,
    seed: int,
    llm: LLMSettings,
    recorded: Recorded,
    folder: Path | None,
    *,
    people: bool,
    report: Report,
) -> Reproduction:
    """Play the protocol live, write its folder, and return how it compares."""
    from mesa_llm_norms.experiments.cost_forecast.result import nearest

    require_budget(llm, "the whole protocol")
    if folder is None:
        raise SpecError(
            "out", None, "live replies need a folder to be kept in", "Give --out FOLDER."
        )
    if not (folder / JOURNALS).is_dir():
        check_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
    played, used = play_live(minds, _experiments(runs, people), seed, llm, folder, report)
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
    said = output.used(used, 0, 0)
    if said is not None:
        output.complain("note", said)
    return found


def _experiments(runs: int, people: bool) -> list[Experiment]:
    return with_people.experiments(runs) if people else live_experiments(runs)


QUICK = 0.1


@options.expanded
def reproduce(
    people: Annotated[
        bool,
        typer.Option(
            "--people", help="Two experiments with people instead: networks and tipping points."
        ),
    ] = False,
    mind: Annotated[
        list[str] | None,
        typer.Option(
            help="A recorded mind, or a live one; may be repeated. Without it all recorded minds.",
            show_default=False,
        ),
    ] = None,
    study: Annotated[
        Path | None,
        typer.Option(
            help="The study's recordings, to compare with them instead of the numbers that ship.",
            show_default=False,
        ),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the runs: a look, not a result.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="The seed of all runs.")] = 1,
    workers: Annotated[int, typer.Option(min=1, max=1_000, help="Processes to play with.")] = 2,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for the report, JSON and figures.", show_default=False),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")
    ] = False,
    runs: Annotated[
        int,
        typer.Option(
            min=2, help="Runs of each experiment with a live mind.", rich_help_panel=options.PANEL
        ),
    ] = 5,
    *,
    live: options.LiveOptions,
) -> None:
    """Derive the study's main results again, and say which come out.

    Recorded minds play, offline: success rates, who wins, single decisions, how lasting conventions
    are, critical mass, 200 agents, wider pools. Every result stands beside what was recorded or
    published, with a test. A minute or two on two processors. With a live mind the main conditions
    are played live, within a budget: [b]--forecast[/b] says what that takes. The same command goes
    on where a live one was cut short.

    [b]Examples[/b]

    mesa-llm-norms reproduce --quick

    mesa-llm-norms reproduce --seed 1 --out reproduction/

    mesa-llm-norms reproduce --study study/ --mind claude-3.5-sonnet --json

    mesa-llm-norms reproduce --people --out people/

    mesa-llm-norms reproduce --mind claude:claude-haiku-5-5 --runs 2 --forecast

    mesa-llm-norms reproduce --mind claude:claude-haiku-5-5 --runs 2 --budget-usd 20 --out live/
    """
    from mesa_llm_norms.reports.reproduction import write_report
    from mesa_llm_norms.reproduction.recorded import shipped, summarise

    labels = list(dict.fromkeys(mind or recorded_names()))
    asks = _are_live(labels)
    if out is not None and not asks:
        check_folder(out)
    with output.stderr().status("reading what was recorded"):
        recorded = shipped() if study is None else summarise(study)
    if asks:
        read, calls = live.mind_reader(), live.calls()
        minds = [read(label) for label in labels]
        if live.forecast:
            forecast_live(minds, runs, seed, calls, people=people, as_json=as_json)
            return
        with output.progress("playing") as report:
            found = reproduce_live(
                minds, runs, seed, calls, recorded, out, people=people, report=report
            )
    else:
        if live.forecast:
            raise MindError("mind", labels, "no mind is live", "Recorded minds cost nothing.")
        with output.progress("playing") as report:
            found = _offline(labels, recorded, seed, workers, quick, people, report)
        if out is not None:
            with new_folder(out) as inside:
                write_report(found, inside)
                if study is not None:
                    from mesa_llm_norms.reproduction.recorded import write_recorded

                    write_recorded(recorded, inside / "recorded.json")
    if as_json:
        typer.echo(json.dumps(found.as_object(), ensure_ascii=False, allow_nan=False))
        return
    show(found)
    if out is not None:
        output.list_folder(output.stdout(), out)


def _are_live(labels: Sequence[str]) -> bool:
    """Return whether the minds are live; raise where some are, or where one is of neither kind."""
    live = [label.partition(":")[0] in LIVE for label in labels]
    for label, is_live in zip(labels, live, strict=True):
        if not is_live and label not in recorded_names():
            load_mind(label)  # says what is wrong with the name, if anything
            raise MindError(
                "mind",
                label,
                f"{label!r} was never recorded, so there is nothing to hold it against",
                "Use a recorded mind or a live one; try yours with validate --mind.",
            )
    if any(live) and not all(live):
        raise SpecError(
            "mind", list(labels), "recorded and live minds together", "Give one command for each."
        )
    return all(live)


def _offline(
    labels: Sequence[str],
    recorded: Recorded,
    seed: int,
    workers: int,
    quick: bool,
    people: bool,
    report: Report,
) -> Reproduction:
    from mesa_llm_norms.reports.reproduction import Reproduction
    from mesa_llm_norms.reproduction import people as with_people
    from mesa_llm_norms.reproduction import protocol as offline
    from mesa_llm_norms.reproduction import results as comparison
    from mesa_llm_norms.reproduction.rows import judge

    scale = QUICK if quick else 1.0
    if people:
        todo = with_people.tasks(labels, round(with_people.RUNS * scale))
    else:
        todo = offline.tasks(recorded, labels, scale)
    played = offline.play_tasks(todo, seed, workers, report)
    minds = {label: load_mind(label) for label in labels}
    rows = with_people.compare(played) if people else comparison.compare(played, minds, recorded)
    told = ["mesa-llm-norms", "reproduce", *(["--people"] if people else [])]
    if tuple(labels) != recorded_names():
        told += [f"--mind {shlex.quote(label)}" for label in labels]
    told += [*(["--quick"] if quick else []), f"--seed {seed}"]
    against = {label: label for label in labels}
    return Reproduction(" ".join(told), judge(rows), played, recorded, against, people)


def show(found: Reproduction) -> None:
    """Print what does not match first, then every row."""
    from mesa_llm_norms.reproduction.rows import estimate, mismatches, p_text, published_text

    console = output.stdout()
    console.print(Text("What does not match", "bold"))
    for line in mismatches(found.judged):
        if line:
            console.print(Text(output.one_line(line.replace("**", ""))), soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("mind", "", "published", "recorded", "here", "corrected p", ""):
        table.add_column(column)
    for one in found.judged:
        row = one.row
        table.add_row(
            Text(output.one_line(row.mind)),
            Text(row.what),
            published_text(row.published),
            estimate(row.recorded),
            estimate(row.here),
            p_text(one.corrected),
            Text(one.verdict, "" if one.within else "bold red"),
        )
    console.print(table)


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
    from mesa_llm_norms.classical.published import compare, play_experiments
    from mesa_llm_norms.classical.published import table as as_table

    if out is not None:
        check_folder(out)
    with output.progress("compiling", patience=0) as report:
        runs = play_experiments(seed, quick, workers, report)
    found = compare(runs)
    table = as_table(found)
    if out is not None:
        from mesa_llm_norms.classical.published import points, shares
        from mesa_llm_norms.plots.comparisons import plot_classical
        from mesa_llm_norms.plots.style import save_figure

        with new_folder(out) as inside:
            table.to_csv(inside / "classical.csv", index=False, float_format="%.6g")
            runs.to_parquet(inside / "runs.parquet", index=False)
            save_figure(plot_classical(points(runs), shares(runs)), inside / "classical")
    if as_json:
        typer.echo(json.dumps(table.to_dict(orient="records"), ensure_ascii=False))
        return
    output.stdout().print(_shown(found))
    if out is not None:
        output.list_folder(output.stdout(), out)


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
