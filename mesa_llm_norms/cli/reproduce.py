"""``mesa-llm-norms reproduce``: the study's main results again, beside what was recorded."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import live_options as options
from mesa_llm_norms.cli import terminal
from mesa_llm_norms.errors import MindError, SpecError
from mesa_llm_norms.minds import load_mind
from mesa_llm_norms.minds.catalogue import recorded_names
from mesa_llm_norms.minds.live import LIVE
from mesa_llm_norms.recording import check_folder, new_folder

if TYPE_CHECKING:
    from mesa_llm_norms.reproduction.protocol import Report
    from mesa_llm_norms.reproduction.recorded import Recorded
    from mesa_llm_norms.reproduction.report import Reproduction

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
    from mesa_llm_norms.reproduction.recorded import shipped, summarise
    from mesa_llm_norms.reproduction.report import write_report

    labels = list(dict.fromkeys(mind or recorded_names()))
    asks = _are_live(labels)
    if out is not None and not asks:
        check_folder(out)
    with terminal.stderr().status("reading what was recorded"):
        recorded = shipped() if study is None else summarise(study)
    if asks:
        from mesa_llm_norms.cli.reproduce_live import forecast_live, reproduce_live

        read, calls = live.mind_reader(), live.calls()
        minds = [read(label) for label in labels]
        if live.forecast:
            forecast_live(minds, runs, seed, calls, people=people, as_json=as_json)
            return
        with terminal.progress("playing") as report:
            found = reproduce_live(
                minds, runs, seed, calls, recorded, out, people=people, report=report
            )
    else:
        if live.forecast:
            raise MindError("mind", labels, "no mind is live", "Recorded minds cost nothing.")
        with terminal.progress("playing") as report:
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
        terminal.list_folder(terminal.stdout(), out)


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
    from mesa_llm_norms.reproduction import comparison, offline
    from mesa_llm_norms.reproduction import people as with_people
    from mesa_llm_norms.reproduction.report import Reproduction
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
    from mesa_llm_norms.reproduction.words import estimate, mismatches, p_text, published_text

    console = terminal.stdout()
    console.print(Text("What does not match", "bold"))
    for line in mismatches(found.judged):
        if line:
            console.print(Text(terminal.one_line(line.replace("**", ""))), soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("mind", "", "published", "recorded", "here", "corrected p", ""):
        table.add_column(column)
    for one in found.judged:
        row = one.row
        table.add_row(
            Text(terminal.one_line(row.mind)),
            Text(row.what),
            published_text(row.published),
            estimate(row.recorded),
            estimate(row.here),
            p_text(one.corrected),
            Text(one.verdict, "" if one.within else "bold red"),
        )
    console.print(table)
