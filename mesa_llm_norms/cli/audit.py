"""What the command ``audit`` says: a forecast first, a verdict at the end.

``mesa-llm-norms audit``: the bias of one mind, alone and in groups.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import live as options
from mesa_llm_norms.cli import output
from mesa_llm_norms.core.files import finished_folder, new_folder
from mesa_llm_norms.core.stopping import WINDOW
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.simulation.serialization import read_names
from mesa_llm_norms.simulation.spec import STUDY_GRAPH

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.audits.audit import Plan
    from mesa_llm_norms.experiments.audits.verdict import Audit


def tell_forecast(plan: Plan, llm: LLMSettings, as_json: bool, alone: bool) -> None:
    """Print what a live audit will take: as the result where it is all that is asked for."""
    from mesa_llm_norms.experiments.audits.audit import forecast_audit

    with output.stderr().status("playing with recorded minds ..."):
        found = forecast_audit(plan, llm)
    if as_json:
        typer.echo(json.dumps(found.as_object(), ensure_ascii=False))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, text in found.rows():
        table.add_row(Text(label, "bold"), Text(text))
    (output.stdout() if alone else output.stderr()).print(table)


def show(found: Audit) -> None:
    """Print the verdict, the curve by size, and what probes show."""
    from mesa_llm_norms.experiments.audits.probes import comprehension_sentence
    from mesa_llm_norms.experiments.audits.verdict import KINDS

    console, verdict = output.stdout(), found.verdict
    console.print(
        Text(output.one_line(f"{found.mind}: {KINDS[verdict.kind]}"), "bold"), soft_wrap=True
    )
    for sentence in verdict.sentences:
        console.print(Text(output.one_line(sentence)), soft_wrap=True)
    if found.sizes is not None:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for column in ("agents", "settled", f"{found.sizes.strong} wins", "95% interval", "effect"):
            table.add_column(Text(column.replace("95%", f"{1 - found.level:.0%}")))
        for point in found.sizes.points:
            share = point.preference.of(found.sizes.strong).share
            table.add_row(
                f"{point.played.agents:,}",
                f"{point.played.settled:,} of {point.played.runs:,}",
                f"{share.value:.3f}",
                f"{share.low:.3f} to {share.high:.3f}",
                point.effect,
            )
        console.print(table)
    for one in found.probes.probes:
        console.print(Text(output.one_line(f"{one.kind}: {one.sentence}")), soft_wrap=True)
    if found.probes.comprehension:
        console.print(Text(comprehension_sentence(found.probes)), soft_wrap=True)
    console.print(Text(f"Seed {found.spec.seed}."))


@options.expanded
def audit(
    mind: Annotated[
        str,
        typer.Option(
            help="Who is audited: a name (see [b]mesa-llm-norms minds[/b]), a mind file, such as a "
            "measured table, or a live mind."
        ),
    ] = DEFAULT_MIND,
    names: Annotated[
        str, typer.Option(help="The pool: letters (QM), or names between commas (yes,no,maybe).")
    ] = "QM",
    topology: Annotated[
        str,
        typer.Option(
            "--topology",
            "--graph",
            "-t",
            help="Who can meet whom; with {size} in it, as in ring(n={size}, k=4), --sizes are "
            "played on it too. Otherwise they are on complete graphs.",
        ),
    ] = STUDY_GRAPH,
    size: Annotated[
        int | None,
        typer.Option(help="Fills in {size} of --topology; 24 without it.", show_default=False),
    ] = None,
    pairing: Annotated[str, typer.Option(help="Who meets: node, edge or matching.")] = "node",
    memory: Annotated[int, typer.Option(help="Interactions an agent remembers.")] = 5,
    reward: Annotated[float, typer.Option(help="Points to both for equal names.")] = 100,
    penalty: Annotated[float, typer.Option(help="Points to both for different names.")] = -50,
    runs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Populations, and as many of every null. Without it 1,000; 20 of a mind that has "
            "to be asked.",
            show_default=False,
        ),
    ] = None,
    sizes: Annotated[
        str | None,
        typer.Option(
            help="Sizes between commas (2,10,100), or none. Without it from 2 to 1,000; none for a "
            "mind that has to be asked.",
            show_default=False,
        ),
    ] = None,
    size_runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Populations of every size; as many as --runs without it.",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(help="Population rounds at most; without it 1,000.", show_default=False),
    ] = None,
    window: Annotated[
        float, typer.Option(help="How many population rounds must match for a convention.")
    ] = WINDOW,
    threshold: Annotated[
        float, typer.Option(help="Share of their interactions that must match.")
    ] = 1.0,
    level: Annotated[
        float, typer.Option(help="How often a mind without bias may raise an alarm.")
    ] = 0.05,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The same seed gives the same audit; without it a fresh one is drawn and told.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=1_000, help="Processes to play with.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            help="A new folder for the page, the figure and all numbers as JSON.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")
    ] = False,
    asks: Annotated[
        int,
        typer.Option(
            min=1,
            help="How often a live mind is asked for its first choice, and in every probe.",
            rich_help_panel=options.PANEL,
        ),
    ] = 60,
    asks_after: Annotated[
        int,
        typer.Option(
            min=1,
            help="How often on every memory of one and two interactions.",
            rich_help_panel=options.PANEL,
        ),
    ] = 12,
    no_probes: Annotated[
        bool,
        typer.Option(
            "--no-probes",
            help="Leave out wordings, orders, made-up names and comprehension questions.",
            rich_help_panel=options.PANEL,
        ),
    ] = False,
    resume: options.Resume = False,
    *,
    live: options.LiveOptions,
) -> None:
    r"""Find out whether a mind is biased by itself, and whether groups of it are.

    A group can prefer a name that none of its members prefers. First choices and those after one
    and two interactions are held against equal shares and against the same mind made symmetric;
    winners of many populations, against what first choices alone would explain. A verdict in words,
    intervals, and the same by size of the group. About a minute for two names.

    [b]Examples[/b]

    mesa-llm-norms audit --mind llama-2-70b-chat --names QM --out audit/

    mesa-llm-norms audit --mind table.csv --sizes 2,3,10,100 --size-runs 3000 --json

    mesa-llm-norms audit --topology "ring(n={size}, k=4)" --size 48 --sizes 12,24,96

    mesa-llm-norms audit --mind claude:claude-haiku-5-5 --runs 0 --forecast

    mesa-llm-norms audit --mind claude:claude-haiku-5-5 --runs 0 --budget-usd 1 --out live/
    """
    from mesa_llm_norms.experiments.audits.audit import make_audit, read_plan

    read = live.mind_reader()
    plan = read_plan(
        mind=read(mind),
        names=read_names(names),
        graph=topology,
        size=size,
        pairing=pairing,
        memory=memory,
        reward=reward,
        penalty=penalty,
        rng=options.read_seed(seed, out, resume=resume),
        runs=runs,
        rounds=rounds,
        window=window,
        threshold=threshold,
        sizes=_read_sizes(sizes),
        size_runs=size_runs,
        level=level,
        times=asks,
        times_after=asks_after,
        probes=not no_probes,
    )
    options.check_out(out, live=plan.live is not None, resume=resume)
    calls = live.calls(out if plan.live is not None else None, resume=resume)
    if live.forecast or plan.live is not None:
        tell_forecast(plan, calls, as_json and live.forecast, alone=live.forecast)
    if live.forecast:
        return
    with output.progress("asking") as report:
        found = make_audit(plan, workers=workers, progress=report, llm=calls)
    if out is not None:
        _write(found, out)
    if as_json:
        typer.echo(json.dumps(found.as_object(), ensure_ascii=False, allow_nan=False))
        return
    show(found)
    if out is not None:
        output.list_folder(output.stdout(), out)


def _read_sizes(text: str | None) -> list[int] | None:
    if text is None:
        return None
    if text.strip().lower() in ("none", ""):
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SpecError(
            "sizes", text, f"{text!r} is no list of sizes", "Write 2,10,100, or none."
        ) from None


def _write(found: Audit, folder: Path) -> None:
    from mesa_llm_norms.reports.audits import write_report

    live = found.usage is not None
    with finished_folder(folder) if live else new_folder(folder) as inside:
        write_report(found, inside)
