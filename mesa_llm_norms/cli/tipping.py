"""``mesa-llm-norms tip`` and ``intervene``: what overturns or prevents a convention."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import SIMULATING, announce, check_budget, print_parts
from mesa_llm_norms.cli.options import GAME, RUNS, STOPPING, TOPOLOGY, option
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import estimate, number, p_number
from mesa_llm_norms.errors import NormsError, SpecError, shown
from mesa_llm_norms.networks.placement import PLACEMENTS
from mesa_llm_norms.simulation.spec import STUDY_GRAPH
from mesa_llm_norms.simulation.typed import parse_mind, parse_names

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.tipping.interventions import Comparison, Intervention
    from mesa_llm_norms.experiments.tipping.search import Tipping

_REMEDY = (
    "Write committed=3, committed=3:hubs, noise=10%, memory=2, rewired=20% or "
    "other=llama-2-70b-chat:25%; separate those that go together by commas."
)


@options.expanded
def tip(
    topology: Annotated[
        list[str] | None,
        option(
            GAME,
            f"Topology or graph file; may be repeated. Default {STUDY_GRAPH}.",
            *TOPOLOGY,
        ),
    ] = None,
    names: options.Names = "QM",
    mind: options.Minds = None,
    flip: Annotated[
        list[str] | None,
        option(
            GAME,
            "Which convention is overturned by which name, Q=M for Q by M; may be repeated. "
            "Default: every direction.",
        ),
    ] = None,
    placement: Annotated[
        list[str] | None,
        option(
            GAME,
            f"Where the committed agents are: {', '.join(PLACEMENTS)}; may be repeated. Default: "
            "random.",
        ),
    ] = None,
    size: Annotated[
        list[int] | None,
        option(GAME, "Value of {size} in --topology; may be repeated.", limit=limits.SPARSE_NODES),
    ] = None,
    pairing: options.PairingRule = "node",
    memory: options.Memory = 5,
    rounds: Annotated[
        int, option(STOPPING, "Population rounds to flip within.", limit=limits.FLIPPING_ROUNDS)
    ] = 30,
    after: Annotated[
        int | None,
        option(
            STOPPING,
            "Population rounds after the committed agents left. Default: as --rounds.",
            limit=limits.ROUNDS,
        ),
    ] = None,
    most: Annotated[
        float, option(GAME, "Largest share of committed agents to try.", limit=limits.SHARE)
    ] = 1.0,
    noise: Annotated[
        float,
        option(GAME, "Chance that a committed agent plays another name.", limit=limits.SHARE),
    ] = 0.0,
    runs: Annotated[
        int | None,
        option(
            RUNS,
            "Runs in all, divided among the conditions. Default 2000 (40 per condition for live "
            "minds).",
            limit=limits.RUNS,
        ),
    ] = None,
    *,
    files: options.FileOptions,
    how: options.ExperimentOptions,
    live: options.LiveOptions,
) -> None:
    """Find how many committed agents it takes to overturn a convention.

    All agents start out remembering one name; some are committed to another. Most runs go to the
    numbers of committed agents where the share of flips rises. Every combination of direction,
    placement, topology and size is a condition. After a flip the committed agents leave, to see
    whether it lasts.

    [b]Examples[/b]

    mesa-llm-norms tip --mind llama-2-70b-chat --seed 7

    mesa-llm-norms tip --mind claude:claude-haiku-5-5 --flip Q=M --after 0 --forecast
    """
    from mesa_llm_norms.experiments.tipping.conditions import plan_tipping
    from mesa_llm_norms.experiments.tipping.search import forecast_tipping, play_tipping
    from mesa_llm_norms.reports.experiments import draw_tipping, tipping_object, write_tipping

    read = live.mind_reader()
    seed = how.read_seed()
    plan = plan_tipping(
        names=parse_names(names),
        mind=parse_mind(mind or (), read),
        pairing=pairing,
        memory=memory,
        directions=[_direction(text) for text in flip] if flip else None,
        placements=placement or ("random",),
        sizes=size,
        topologies=files.apply(*(topology or (STUDY_GRAPH,))),
        rounds=rounds,
        after=after,
        most=most,
        noise=noise,
        runs=runs,
        rng=seed,
    )
    asked = plan.base.live
    llm = how.settings(live, live=asked)
    if live.forecast:
        with output.progress(SIMULATING):
            parts = forecast_tipping(plan, llm)
        print_parts(parts, how.as_json)
        return
    check_budget(llm, plan.base.minds)
    announce(plan.base.minds, llm)
    with output.progress("playing") as report:
        found = play_tipping(plan, workers=how.workers, progress=partial(report, "runs"), llm=llm)
    how.finish(found, seed, write_tipping, draw_tipping, tipping_object, _print_tipping, live=asked)


def _direction(text: str) -> tuple[str, str]:
    incumbent, equals, challenger = text.partition("=")
    if not equals or not incumbent or not challenger:
        raise SpecError(
            "flip", text, f"{shown(text)} does not say which name overturns which", "Write Q=M."
        )
    return incumbent, challenger


def _print_tipping(found: Tipping) -> None:
    rows = []
    for point in found.points:
        question = point.question
        condition = f"{question.direction}, {question.topology}, {question.placement}"
        shares = (point.critical_share, point.stability.estimate, point.lasting.estimate)
        rows.append(
            (
                condition,
                estimate(point.curve.critical_mass, ".2f"),
                number(shares[0].value, ".1%"),
                *(number(share.value, ".0%") for share in shares[1:]),
            )
        )
    output.print_table(("condition", "critical mass (95%)", "share", "stays", "lasts"), rows)


@options.expanded
def intervene(
    convention: Annotated[str, typer.Argument(help="Name to remove or prevent.")],
    alternative: Annotated[str, typer.Argument(help="Name to replace it with.")],
    attempt: Annotated[
        list[str],
        option(GAME, "Intervention, such as committed=3:hubs,memory=2; may be repeated.", "--try"),
    ],
    prevent: Annotated[
        bool,
        option(GAME, "Start with empty memories instead of the convention.", "--prevent"),
    ] = False,
    topology: options.Topology = STUDY_GRAPH,
    names: options.Names = "QM",
    mind: options.Minds = None,
    pairing: options.PairingRule = "node",
    memory: options.Memory = 5,
    rounds: Annotated[
        int, option(STOPPING, "Population rounds to work within.", limit=limits.FLIPPING_ROUNDS)
    ] = 30,
    runs: Annotated[
        int | None,
        option(
            RUNS, "Runs of each intervention. Default 500 (20 for live minds).", limit=limits.RUNS
        ),
    ] = None,
    enough: Annotated[
        float,
        option(STOPPING, "Share of runs in which an intervention must work.", limit=limits.SHARE),
    ] = 0.5,
    agent_price: Annotated[
        float, option(STOPPING, "Cost of each agent that is changed.", limit=limits.PRICE_OF_CHANGE)
    ] = 1.0,
    edge_price: Annotated[
        float, option(STOPPING, "Cost of each edge moved.", limit=limits.PRICE_OF_CHANGE)
    ] = 1.0,
    *,
    files: options.FileOptions,
    how: options.ExperimentOptions,
    live: options.LiveOptions,
) -> None:
    """Compare ways to overturn or prevent a convention, and find the cheapest.

    Each --try is one intervention: agents committed to the alternative, another memory length,
    edges rewired with every degree kept, a share of another mind, or several of these together.

    [b]Examples[/b]

    mesa-llm-norms intervene M Q --try committed=4 --try "committed=4,memory=2" --seed 7

    mesa-llm-norms intervene M Q --try committed=4:hubs --try "committed=4:hubs,noise=10%"

    mesa-llm-norms intervene M Q --prevent --try other=claude-3.5-sonnet:50% --mind llama-2-70b-chat
    """
    from mesa_llm_norms.experiments.tipping.interventions import (
        forecast_interventions,
        plan_interventions,
        play_interventions,
    )
    from mesa_llm_norms.reports.experiments import (
        comparison_object,
        draw_comparison,
        write_comparison,
    )

    read = live.mind_reader()
    seed = how.read_seed()
    plan = plan_interventions(
        convention,
        alternative,
        [_read_intervention(text, read) for text in attempt],
        goal="prevent" if prevent else "undo",
        graph=files.apply(topology)[0],
        names=parse_names(names),
        mind=parse_mind(mind or (), read),
        pairing=pairing,
        memory=memory,
        rounds=rounds,
        runs=runs,
        enough=enough,
        agent_price=agent_price,
        edge_price=edge_price,
        rng=seed,
    )
    llm = how.settings(live, live=plan.live)
    if live.forecast:
        with output.progress(SIMULATING):
            parts = forecast_interventions(plan, llm)
        print_parts(parts, how.as_json)
        return
    minds = [mind for spec in plan.specs for mind in spec.minds]
    check_budget(llm, minds)
    announce(minds, llm)
    with output.progress("playing") as report:
        found = play_interventions(
            plan, workers=how.workers, progress=partial(report, "runs"), llm=llm
        )
    how.finish(
        found,
        seed,
        write_comparison,
        draw_comparison,
        comparison_object,
        _print_comparison,
        live=plan.live,
    )


def _read_intervention(text: str, read: Callable[[str], Any]) -> Intervention:
    """Return the intervention that was typed; ``read`` makes a mind of its name."""
    from mesa_llm_norms.experiments.tipping.interventions import Intervention

    given: dict[str, Any] = {}
    for part in text.split(","):
        kind, _, value = part.strip().partition("=")
        try:
            if kind == "committed":
                committed, _, placement = value.partition(":")
                given |= {"committed": int(committed), "placement": placement or "random"}
            elif kind == "noise":
                given["noise"] = _share(value)
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
        except NormsError:  # of the mind, which says what is wrong with it
            raise
        except ValueError:
            raise SpecError(
                "try", text, f"{shown(part.strip())} is not an intervention", _REMEDY
            ) from None
    return Intervention(**given)


def _share(text: str) -> float:
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _print_comparison(found: Comparison) -> None:
    rows = []
    for row in found.table.to_dict(orient="records"):
        baseline = row["intervention"] == "nothing"
        worked = (row["worked"], row["worked_low"], row["worked_high"])
        rows.append(
            (
                row["intervention"],
                estimate(worked, ".0%"),
                "" if baseline else number(row["more"], "+.0%"),
                "" if baseline else p_number(row["p"]),
                number(row["rounds"], ".1f"),
                number(row["lasts"], ".0%"),
                f"{row['cost']:g}",
            )
        )
    interval = f"works ({found.level:.0%})"
    head = ("intervention", interval, "gain", "p", "rounds", "lasts", "cost")
    output.print_table(head, rows)
    output.say(found.sentence)
