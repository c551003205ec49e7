"""What ``tip`` and ``intervene`` share: options, and how estimates and what it took are told.

``mesa-llm-norms tip``: how many committed agents it takes to overturn a convention.

``mesa-llm-norms intervene``: what undoes or prevents a convention, and at what cost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.cli import live as options
from mesa_llm_norms.cli import output
from mesa_llm_norms.cli.live import print_parts
from mesa_llm_norms.core.files import finished_folder, new_folder
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.simulation.serialization import read_mind, read_names
from mesa_llm_norms.simulation.spec import STUDY_GRAPH

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.tipping.comparison import Comparison
    from mesa_llm_norms.experiments.tipping.interventions import Intervention
    from mesa_llm_norms.experiments.tipping.tip import Tipping
    from mesa_llm_norms.llm.journal.tables import Totals


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


def tell_rest(seed: int, usage: Totals | None, *, given: bool) -> None:
    """Say what calls to live minds came to, and which seed was drawn where none was given."""
    used = output.used(usage)
    if used is not None:
        output.complain("note", used)
    if not given:
        output.complain("note", f"the seed is {seed}: --seed {seed} plays the same again")


def bounds(estimate: Estimate, form: str) -> str:
    """Return an estimate with its bounds, ``none`` where there is no number."""
    if math.isnan(estimate.value):
        return "none"
    if math.isinf(estimate.low):
        return "more"
    value, low, high = ("more" if math.isinf(bound) else format(bound, form) for bound in estimate)
    return f"{value} ({low} to {high})"


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
    from mesa_llm_norms.experiments.tipping.question import read_plan
    from mesa_llm_norms.experiments.tipping.tip import find_tipping

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
        from mesa_llm_norms.experiments.tipping.comparison import forecast_tipping

        with output.stderr().status("playing with recorded minds ..."):
            parts = forecast_tipping(plan, calls)
        print_parts(parts, as_json)
        return
    options.check_budget(calls, plan.base.minds)
    with output.progress("playing") as report:
        found = find_tipping(
            plan,
            workers=workers,
            progress=lambda done, total: report("runs", done, total),
            llm=calls,
        )
    if out is not None:
        from mesa_llm_norms.reports.tipping import write_tipping

        with finished_folder(out) if plan.base.live else new_folder(out) as inside:
            write_tipping(found, inside)
    if as_json:
        from mesa_llm_norms.reports.tipping import tipping_object

        typer.echo(json.dumps(tipping_object(found), ensure_ascii=False))
        return
    console = output.stdout()
    console.print(_shown(found))
    tell_rest(chosen, found.usage, given=seed is not None)
    if out is not None:
        output.list_folder(console, out)


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


_REMEDY = (
    "Write committed=3, committed=3:hubs, memory=2, rewired=20% or other=llama-2-70b-chat:25%, and"
    " commas between those that go together."
)


@options.expanded
def intervene(
    convention: Annotated[str, typer.Argument(help="The name that is to go, or not to come.")],
    alternative: Annotated[str, typer.Argument(help="The name that is to take its place.")],
    attempt: Annotated[
        list[str],
        typer.Option("--try", help="An intervention: committed=3:hubs,memory=2; repeat it."),
    ],
    prevent: Annotated[
        bool, typer.Option("--prevent", help="Begin with empty memories, not with the convention.")
    ] = False,
    topology: Annotated[
        str, typer.Option("--topology", "-t", help="A topology or a graph file.")
    ] = "complete(n=24)",
    names: Names = "QM",
    mind: Minds = None,
    pairing: PairingRule = "node",
    memory: Memory = 5,
    rounds: Annotated[int, typer.Option(min=1, help="Population rounds to do it within.")] = 30,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Of every intervention. (without: 500; 20 with live minds)",
            show_default=False,
        ),
    ] = None,
    enough: Annotated[
        float, typer.Option(min=0, max=1, help="The share of runs it has to work in.")
    ] = 0.5,
    agent_price: Annotated[float, typer.Option(min=0, help="Of an agent touched.")] = 1.0,
    edge_price: Annotated[float, typer.Option(min=0, help="Of an edge moved.")] = 1.0,
    seed: Seed = None,
    workers: Workers = 1,
    out: Out = None,
    as_json: AsJson = False,
    resume: options.Resume = False,
    *,
    live: options.LiveOptions,
) -> None:
    """Compare what undoes or prevents a convention, and say which is cheapest.

    Each --try is one intervention: agents committed to the alternative, another length of memory,
    edges exchanged with every degree kept, a share of another mind, or several of these together.

    [b]Examples[/b]

    mesa-llm-norms intervene Q M --try committed=3 --try committed=3:hubs -t "star(n=24)"

    mesa-llm-norms intervene M Q --try committed=4 --try "committed=4,memory=2" --seed 7

    mesa-llm-norms intervene M Q --prevent --try other=claude-3.5-sonnet:50% --mind llama-2-70b-chat

    mesa-llm-norms intervene Q M --try other=claude:claude-haiku-5-5:25% --budget-usd 5 --out live/
    """
    from mesa_llm_norms.experiments.tipping.comparison import compare
    from mesa_llm_norms.experiments.tipping.interventions import read_trials

    read = live.mind_reader()
    chosen = options.read_seed(seed, out, resume=resume)
    trials = read_trials(
        convention,
        alternative,
        [read_intervention(text, read) for text in attempt],
        goal="prevent" if prevent else "undo",
        graph=topology,
        names=read_names(names),
        mind=read_mind(mind or (), read),
        pairing=pairing,
        memory=memory,
        rounds=rounds,
        runs=runs,
        enough=enough,
        agent_price=agent_price,
        edge_price=edge_price,
        rng=chosen,
    )
    options.check_out(out, live=trials.live, resume=resume)
    calls = live.calls(out if trials.live else None, resume=resume)
    if live.forecast:
        from mesa_llm_norms.experiments.tipping.comparison import forecast_trials

        with output.stderr().status("playing with recorded minds ..."):
            parts = forecast_trials(trials, calls)
        print_parts(parts, as_json)
        return
    options.check_budget(calls, (mind for spec in trials.specs for mind in spec.minds))
    with output.progress("playing") as report:
        found = compare(
            trials,
            workers=workers,
            progress=lambda done, total: report("runs", done, total),
            llm=calls,
        )
    if out is not None:
        from mesa_llm_norms.reports.tipping import write_comparison

        with finished_folder(out) if trials.live else new_folder(out) as inside:
            write_comparison(found, inside)
    if as_json:
        from mesa_llm_norms.reports.tipping import comparison_object

        typer.echo(json.dumps(comparison_object(found), ensure_ascii=False))
        return
    console = output.stdout()
    console.print(_intervention_shown(found))
    console.print(Text(found.sentence), soft_wrap=True)
    tell_rest(chosen, found.usage, given=seed is not None)
    if out is not None:
        output.list_folder(console, out)


def read_intervention(text: str, read: Callable[[str], Any] = str) -> Intervention:
    """Return the intervention that was typed; ``SpecError`` for what is none.

    ``read`` makes a mind, or the name of one, of what was typed for it.
    """
    from mesa_llm_norms.experiments.tipping.interventions import Intervention

    given: dict[str, object] = {}
    for part in text.split(","):
        kind, _, value = part.strip().partition("=")
        try:
            if kind == "committed":
                count, _, placement = value.partition(":")
                given |= {"committed": int(count), "placement": placement or "random"}
            elif kind == "memory":
                given["memory"] = int(value)
            elif kind == "rewired":
                given["rewired"] = _share(value)
            elif kind == "other":
                mind, _, share = value.rpartition(":")
                if not mind:
                    raise ValueError(value)
                given |= {"other": read(mind), "other_share": _share(share)}
            else:
                raise ValueError(kind)
        except ValueError:
            raise SpecError("try", text, f"{part.strip()!r} is no intervention", _REMEDY) from None
    return Intervention(**given)  # type: ignore[arg-type]


def _share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _intervention_shown(found: Comparison) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("", "works", "more than nothing", "p", "rounds", "lasts", "agents", "edges"):
        table.add_column(column)
    for row in found.table.to_dict(orient="records"):

        def told(name: str, form: str, row: dict[object, float] = row) -> str:
            return bounds(Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"]), form)

        p_value = row["p"]
        table.add_row(
            Text(row["intervention"]),
            told("worked", ".0%"),
            "" if row["intervention"] == "nothing" else told("more", "+.0%"),
            "" if row["intervention"] == "nothing" else _p(p_value),
            told("rounds", ".1f"),
            told("lasts", ".0%"),
            str(row["agents"]),
            str(row["edges"]),
        )
    return table


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.2g}"
