"""``mesa-llm-norms intervene``: what undoes or prevents a convention, and at what cost."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

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
from mesa_llm_norms.statistics import Estimate
from mesa_llm_norms.typed import read_mind, read_names

if TYPE_CHECKING:
    from mesa_llm_norms.tipping import Comparison, Intervention

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
    from mesa_llm_norms.tipping.comparison import compare
    from mesa_llm_norms.tipping.trials import read_trials

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
        from mesa_llm_norms.tipping.forecast import forecast_trials

        with terminal.stderr().status("playing with recorded minds ..."):
            parts = forecast_trials(trials, calls)
        print_parts(parts, as_json)
        return
    options.check_budget(calls, (mind for spec in trials.specs for mind in spec.minds))
    with terminal.progress("playing") as report:
        found = compare(
            trials,
            workers=workers,
            progress=lambda done, total: report("runs", done, total),
            calls=calls,
        )
    if out is not None:
        from mesa_llm_norms.tipping.report import write_comparison

        with finished_folder(out) if trials.live else new_folder(out) as inside:
            write_comparison(found, inside)
    if as_json:
        from mesa_llm_norms.tipping.report import comparison_object

        typer.echo(json.dumps(comparison_object(found), ensure_ascii=False))
        return
    console = terminal.stdout()
    console.print(_shown(found))
    console.print(Text(found.sentence), soft_wrap=True)
    tell_rest(chosen, found.usage, given=seed is not None)
    if out is not None:
        terminal.list_folder(console, out)


def read_intervention(text: str, read: Callable[[str], Any] = str) -> Intervention:
    """Return the intervention that was typed; ``SpecError`` for what is none.

    ``read`` makes a mind, or the name of one, of what was typed for it.
    """
    from mesa_llm_norms.tipping import Intervention

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


def _shown(found: Comparison) -> Table:
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
