"""``mesa-llm-norms tip``: how many committed agents it takes to overturn a convention."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import live_options as options
from mesa_llm_norms.cli import outcome, terminal
from mesa_llm_norms.cli.parts_shown import print_parts
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.live import Calls
from mesa_llm_norms.recording import finished_folder, new_folder
from mesa_llm_norms.spec import STUDY_GRAPH
from mesa_llm_norms.typed import read_mind, read_names

if TYPE_CHECKING:
    from mesa_llm_norms.journal import Totals
    from mesa_llm_norms.statistics import Estimate
    from mesa_llm_norms.tipping import Tipping

Topologies = Annotated[
    list[str] | None,
    typer.Option(
        "--topology",
        "-t",
        help="A topology or a graph file; may be repeated. (without: complete(n=24))",
        show_default=False,
    ),
]
Names = Annotated[str, typer.Option(help="The pool: letters, or names between commas.")]
Minds = Annotated[
    list[str] | None,
    typer.Option(
        help="A mind, a mind file, or a live mind; several share the nodes.", show_default=False
    ),
]
Memory = Annotated[int, typer.Option(min=0, help="How many interactions agents remember.")]
PairingRule = Annotated[str, typer.Option(help="Who meets whom: node, edge or matching.")]
Seed = Annotated[
    int | None, typer.Option(min=0, help="The seed; drawn and told without.", show_default=False)
]
Workers = Annotated[int, typer.Option(min=1, max=1_000, help="Processes to play in.")]
Out = Annotated[
    Path | None,
    typer.Option(help="A folder for the report, tables and figure.", show_default=False),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON and nothing else on standard output.")
]


def tip(
    topology: Topologies = None,
    names: Names = "QM",
    mind: Minds = None,
    flip: Annotated[
        list[str] | None,
        typer.Option(
            help="Who overturns whom, Q=M for Q by M; may be repeated. (without: both ways)",
            show_default=False,
        ),
    ] = None,
    placement: Annotated[
        list[str] | None,
        typer.Option(
            help="Where the committed sit: random, hubs, periphery, cluster; may be repeated.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[
        list[int] | None,
        typer.Option(help="Fills in {size} in topologies; may be repeated.", show_default=False),
    ] = None,
    pairing: PairingRule = "node",
    memory: Memory = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Population rounds to flip within.")] = 30,
    after: Annotated[
        int | None,
        typer.Option(
            min=0, help="Rounds after the committed left. (without: --rounds)", show_default=False
        ),
    ] = None,
    most: Annotated[float, typer.Option(help="The largest share committed.")] = 1.0,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="In all, shared by the conditions. (without: 2,000; 40 each with live minds)",
            show_default=False,
        ),
    ] = None,
    seed: Seed = None,
    workers: Workers = 1,
    out: Out = None,
    as_json: AsJson = False,
    resume: options.Resume = False,
    budget_usd: options.BudgetUsd = None,
    budget_calls: options.BudgetCalls = None,
    budget_tokens: options.BudgetTokens = None,
    forecast: options.Forecast = False,
    template: options.TemplateFile = None,
    temperature: options.Temperature = None,
    timeout: options.Timeout = None,
    max_concurrency: options.MaxConcurrency = None,
    ask_again: options.AskAgain = None,
    on_unusable: options.OnUnusable = None,
    prices: options.Prices = None,
) -> None:
    """Find how many committed agents overturn a convention.

    Everybody starts out remembering one name; some are committed to another. Runs go where the
    curve of flips is steep. Every combination of flips, placements, topologies and sizes is a
    condition. Afterwards the committed leave: does the flip last?

    [b]Examples[/b]

    mesa-llm-norms tip --mind llama-2-70b-chat --seed 7

    mesa-llm-norms tip -t "barabasi_albert(n={size}, m=2)" --size 24 --size 100 --placement hubs

    mesa-llm-norms tip --names QMX --flip Q=M --runs 500 --out tipping/ --json

    mesa-llm-norms tip --mind claude:claude-haiku-5-5 --flip Q=M --after 0 --forecast

    mesa-llm-norms tip --mind claude:claude-haiku-5-5 --flip Q=M --budget-usd 20 --out live/
    """
    from mesa_llm_norms.tipping.plan import read_plan
    from mesa_llm_norms.tipping.tip import find_tipping

    read = options.mind_reader(template, options.given(temperature=temperature, timeout=timeout))
    chosen = options.read_seed(seed, out, resume=resume)
    plan = read_plan(
        names=read_names(names),
        mind=read_mind(mind or (), read),
        pairing=pairing,
        memory=memory,
        directions=[_direction(text) for text in flip] if flip else None,
        placements=placement or ("random",),
        sizes=size,
        topologies=topology or (STUDY_GRAPH,),
        rounds=rounds,
        after=after,
        most=most,
        runs=runs,
        rng=chosen,
    )
    live = plan.base.live
    options.check_out(out, live=live, resume=resume)
    calls = Calls(
        folder=out if live else None,
        resume=resume,
        **options.given(
            budget_usd=budget_usd,
            budget_calls=budget_calls,
            budget_tokens=budget_tokens,
            max_concurrency=max_concurrency,
            ask_again=ask_again,
            on_unusable=on_unusable,
            prices=prices,
        ),
    )
    if forecast:
        from mesa_llm_norms.tipping.forecast import forecast_tipping

        with terminal.stderr().status("playing with recorded minds ..."):
            parts = forecast_tipping(plan, calls)
        print_parts(parts, as_json)
        return
    options.check_budget(calls, plan.base.minds)
    with terminal.progress("playing") as report:
        found = find_tipping(
            plan,
            workers=workers,
            progress=lambda done, total: report("runs", done, total),
            calls=calls,
        )
    if out is not None:
        from mesa_llm_norms.tipping.report import write_tipping

        with finished_folder(out) if live else new_folder(out) as inside:
            write_tipping(found, inside)
    if as_json:
        from mesa_llm_norms.tipping.report import tipping_object

        typer.echo(json.dumps(tipping_object(found), ensure_ascii=False))
        return
    console = terminal.stdout()
    console.print(_shown(found))
    tell_rest(chosen, found.usage, given=seed is not None)
    if out is not None:
        terminal.list_folder(console, out)


def tell_rest(seed: int, usage: Totals | None, *, given: bool) -> None:
    """Say what calls to live minds came to, and which seed was drawn where none was given."""
    used = outcome.used(usage)
    if used is not None:
        terminal.complain("note", used)
    if not given:
        terminal.complain("note", f"the seed is {seed}: --seed {seed} plays the same again")


def bounds(estimate: Estimate, form: str) -> str:
    """Return an estimate with its bounds, ``none`` where there is no number."""
    if math.isnan(estimate.value):
        return "none"
    if math.isinf(estimate.low):
        return "more"
    value, low, high = ("more" if math.isinf(bound) else format(bound, form) for bound in estimate)
    return f"{value} ({low} to {high})"


def _direction(text: str) -> tuple[str, str]:
    incumbent, equals, challenger = text.partition("=")
    if not equals or not incumbent or not challenger:
        raise SpecError("flip", text, f"{text!r} does not say who overturns whom", "Write Q=M.")
    return incumbent, challenger


def _shown(found: Tipping) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("flip", "network, who", "critical mass", "share", "stays", "lasts"):
        table.add_column(column)
    for point in found.points:
        question = point.question
        table.add_row(
            Text(str(question.direction)),
            Text(f"{question.topology}, {question.placement}"),
            bounds(point.curve.critical_mass, ".2f"),
            f"{point.critical_share.value:.1%}",
            bounds(point.stability.estimate, ".0%"),
            bounds(point.lasting.estimate, ".0%"),
        )
    return table
