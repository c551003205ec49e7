"""``mesa-llm-norms tip``: how many committed agents it takes to overturn a convention."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import live_options as options
from mesa_llm_norms.cli import terminal
from mesa_llm_norms.cli.parts_shown import print_parts
from mesa_llm_norms.cli.tipping import (
    AsJson,
    Memory,
    Minds,
    Names,
    Out,
    PairingRule,
    Seed,
    Workers,
    bounds,
    tell_rest,
)
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.recording import finished_folder, new_folder
from mesa_llm_norms.spec import STUDY_GRAPH
from mesa_llm_norms.typed import read_mind, read_names

if TYPE_CHECKING:
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


@options.expanded
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
    *,
    live: options.LiveOptions,
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

    read = live.mind_reader()
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
    options.check_out(out, live=plan.base.live, resume=resume)
    calls = live.calls(out if plan.base.live else None, resume=resume)
    if live.forecast:
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

        with finished_folder(out) if plan.base.live else new_folder(out) as inside:
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
