"""``mesa-llm-norms tip``: how many committed agents it takes to overturn a convention."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.recording import check_folder, new_folder
from mesa_llm_norms.typed import read_mind, read_names

if TYPE_CHECKING:
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
    typer.Option(help="A mind or a mind file; several share the nodes.", show_default=False),
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
    runs: Annotated[int, typer.Option(min=1, help="In all, shared by the conditions.")] = 2_000,
    seed: Seed = None,
    workers: Workers = 1,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Find how many committed agents overturn a convention.

    Everybody starts out remembering one name; some are committed to another. Runs go where the
    curve of flips is steep. Every combination of flips, placements, topologies and sizes is a
    condition. Afterwards the committed leave: does the flip last?

    [b]Examples[/b]

    mesa-llm-norms tip --mind llama-2-70b-chat --seed 7

    mesa-llm-norms tip -t "barabasi_albert(n={size}, m=2)" --size 24 --size 100 --placement hubs

    mesa-llm-norms tip --names QMX --flip Q=M --runs 500 --out tipping/ --json
    """
    from mesa_llm_norms.tipping import tip as find

    if out is not None:
        check_folder(out)
    chosen = read_seed(seed)
    with progress("conditions") as report:
        found = find(
            names=read_names(names),
            mind=read_mind(mind or ()),
            pairing=pairing,
            memory=memory,
            directions=[_direction(text) for text in flip] if flip else None,
            placements=placement or ("random",),
            sizes=size,
            topologies=topology or ("complete(n=24)",),
            rounds=rounds,
            after=after,
            most=most,
            runs=runs,
            rng=chosen,
            workers=workers,
            progress=report,
        )
    if out is not None:
        from mesa_llm_norms.tipping.report import write_tipping

        with new_folder(out) as hidden:
            write_tipping(found, hidden)
    if as_json:
        from mesa_llm_norms.tipping.report import tipping_object

        typer.echo(json.dumps(tipping_object(found), ensure_ascii=False))
        return
    console = terminal.stdout()
    console.print(_shown(found))
    told_seed(chosen, given=seed is not None)
    if out is not None:
        terminal.list_folder(console, out)


def told_seed(seed: int, *, given: bool) -> None:
    """Say which seed was drawn, where none was given."""
    if not given:
        terminal.complain("note", f"the seed is {seed}: --seed {seed} plays the same again")


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give what is told of things done, and shows them on a terminal while it lasts."""
    with terminal.stderr().status("playing") as status:
        yield lambda done, total: status.update(f"playing: {done} of {total} {what}")


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
