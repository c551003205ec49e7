"""``mesa-llm-norms minds card`` and ``compare``: all that is known of minds, side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import SIMULATING, announce, check_budget
from mesa_llm_norms.cli.options import GAME, LIVE_MINDS, OUTPUT, RUNS, option
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import check_folder, new_file
from mesa_llm_norms.errors import SpecError, shown, some
from mesa_llm_norms.simulation.typed import parse_names

if TYPE_CHECKING:
    from mesa_llm_norms.experiments.audits.runner import AuditPlan
    from mesa_llm_norms.experiments.cards import MindCard

LABEL, NARROW = 20, 12
"""Columns of the names of quantities, and of a mind at least."""

Names = Annotated[
    str | None,
    option(GAME, f"{options.NAMES_TEXT} Default QM, or those of a table or a recording."),
]
Memory = Annotated[
    int | None,
    option(
        GAME,
        "Interactions that an agent remembers. Default 5, or as in a recording.",
        limit=limits.MEMORY,
    ),
]
Populations = Annotated[int, option(RUNS, "Populations of each size.", limit=limits.RUNS)]
CardFile = Annotated[
    Path | None,
    option(OUTPUT, "File to write it to: .html, .json, .png or .svg.", "--out", "-o"),
]
Force = Annotated[bool, option(OUTPUT, "Overwrite the file if it exists.", "--force")]


@options.expanded
def card(
    name: Annotated[str, typer.Argument(help="Mind, mind file or live mind.")],
    names: Names = None,
    memory: Memory = None,
    runs: Populations = 200,
    seed: options.FixedSeed = 1,
    workers: options.Workers = 1,
    out: CardFile = None,
    force: Force = False,
    folder: Annotated[
        Path | None, option(LIVE_MINDS, "New folder for the record of the calls to a live mind.")
    ] = None,
    resume: Annotated[
        bool,
        option(
            LIVE_MINDS,
            "Continue in --folder where it was interrupted; no call is repeated.",
            "--resume",
        ),
    ] = False,
    asks: Annotated[
        int, option(LIVE_MINDS, "Questions for the first choice, and per probe.", limit=limits.ASKS)
    ] = 60,
    asks_after: Annotated[
        int, option(LIVE_MINDS, "Questions for each short memory.", limit=limits.ASKS)
    ] = 12,
    as_json: options.AsJson = False,
    *,
    live: options.LiveOptions,
) -> None:
    """Print the card of a mind: what it does alone, in groups, and how far that was measured.

    First choices and their bias, what it does after a miss, conformity and field of its response,
    equilibria, critical mass both ways, who wins by size of the group, whether a change outlasts
    committed agents, and which memories were measured. [b]mesa-llm-norms minds NAME --card[/b] is
    the same. Some seconds for recorded minds; live minds are asked, alone.

    [b]Examples[/b]

    mesa-llm-norms minds card claude-3.5-sonnet

    mesa-llm-norms minds card llama-2-70b-chat --out card.html

    mesa-llm-norms minds card claude:claude-haiku-5-5 --forecast
    """
    from mesa_llm_norms.experiments.cards.card import plan_card

    _check_file(out, force)
    plan = plan_card(
        live.mind_reader()(name),
        None if names is None else parse_names(names),
        memory,
        runs=runs,
        rng=seed,
        times=asks,
        times_after=asks_after,
    )
    if resume and (folder is None or plan.live is None):
        problem = "only the card of a live mind with a folder can be resumed"
        raise SpecError("resume", True, problem, "Give its --folder.")
    if folder is not None and not resume:
        check_folder(folder)
    llm = live.calls(folder if plan.live is not None else None, resume=resume)
    if live.forecast:
        _print_forecast(plan, llm, as_json)
        return
    check_budget(llm, [plan.mind])
    announce([plan.mind], llm)
    (found,) = _make([plan], workers, llm, out)
    if as_json:
        output.print_json(found.as_object())
        return
    _print_card(found)
    used = output.usage_sentence(found.audit.usage)
    if used is not None:
        output.complain("note", used)
    _say_where(out)


def compare(
    minds: Annotated[list[str], typer.Argument(help="Minds or mind files, two or more.")],
    names: Names = None,
    memory: Memory = None,
    runs: Populations = 200,
    seed: options.FixedSeed = 1,
    workers: options.Workers = 1,
    out: CardFile = None,
    force: Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Print the cards of several minds side by side.

    Every quantity is what it is on a card, with the same names and the same memory for all.

    [b]Examples[/b]

    mesa-llm-norms minds compare claude-3.5-sonnet llama-2-70b-chat

    mesa-llm-norms minds compare claude-3.5-sonnet uniform --names QM --out compared.png
    """
    from mesa_llm_norms.experiments.cards.card import NOT_ASKED, plan_card
    from mesa_llm_norms.plots.cards import MOST_CARDS

    _check_file(out, force)
    if not 2 <= len(minds) <= MOST_CARDS:
        problem = f"{len(minds)} minds cannot be put side by side"
        raise SpecError("minds", minds, problem, f"Give 2 to {MOST_CARDS}.")
    pool = None if names is None else parse_names(names)
    plans = [plan_card(mind, pool, memory, runs=runs, rng=seed) for mind in minds]
    for plan in plans:
        if not plan.sizes:
            problem = f"{shown(plan.mind.label)}: {NOT_ASKED}"
            raise SpecError("minds", plan.mind.label, problem, "minds card has the rest.")
    pools = sorted({plan.spec.game.pool for plan in plans})
    if len(pools) > 1:
        problem = f"these minds play different names: {some(pools)}"
        raise SpecError("names", pools, problem, "Give --names that all of them play.")
    found = _make(plans, workers, None, out)
    if as_json:
        output.print_json([one.as_object() for one in found])
        return
    print_comparison(found)
    _say_where(out)


def _check_file(out: Path | None, force: bool) -> None:
    from mesa_llm_norms.reports.mind_cards import check_ending

    if out is not None:
        check_ending(out)
        options.check_files([out], force)


def _measure(plans: Sequence[AuditPlan], workers: int, llm: Any) -> list[MindCard]:
    from mesa_llm_norms.experiments.cards.card import run_card

    found = []
    with output.progress("measuring") as report:
        for plan in plans:

            def step(what: str, done: int, total: int, label: str = plan.mind.label) -> None:
                report(f"{label}: {what}", done, total)

            found.append(run_card(plan, workers=workers, progress=step, llm=llm))
    return found


def _make(plans: Sequence[AuditPlan], workers: int, llm: Any, out: Path | None) -> list[MindCard]:
    """Measure cards and write them; where they cannot be written, nothing is measured."""
    from mesa_llm_norms.reports.mind_cards import write_cards

    if out is None:
        return _measure(plans, workers, llm)
    with new_file(out) as hidden:
        found = _measure(plans, workers, llm)
        write_cards(found, hidden, out.suffix.lower())
    return found


def _say_where(out: Path | None) -> None:
    if out is not None:
        output.say(f"Written to {out}")


def _print_forecast(plan: AuditPlan, llm: Any, as_json: bool) -> None:
    from mesa_llm_norms.experiments.audits.runner import forecast_audit

    with output.progress(SIMULATING):
        found = forecast_audit(plan, llm)
    if as_json:
        output.print_json(found.as_object())
    else:
        output.print_pairs(found.rows())


def _print_card(card: MindCard) -> None:
    from mesa_llm_norms.reports.mind_cards import rows_of

    game = card.audit.spec.game
    about = f"names {' '.join(card.pool)}, memory of {game.memory}"
    output.say(Text.assemble((output.one_line(card.mind), "bold"), f": {about}"))
    for section, rows in rows_of([card]):
        output.say(f"\n{section}", "bold")
        output.print_pairs((one.quantity.ljust(LABEL), one.text) for (one,) in rows)
    output.say("\nEach quantity is defined in the pages that --out writes, and in docs/cards.md.")


def print_comparison(cards: Sequence[MindCard]) -> None:
    """Print cards side by side: as many minds at a time as fit, and the others below them."""
    from mesa_llm_norms.reports.mind_cards import rows_of

    console = output.stdout()
    room = console.width - LABEL - 3
    together = max(1, min(len(cards), room // (NARROW + 2)))
    for first in range(0, len(cards), together):
        some = cards[first : first + together]
        width = min(room // len(some) - 2, 24)
        table = Table(box=None, pad_edge=False)
        table.add_column("", width=LABEL + 1)
        for one in some:
            table.add_column(Text(_wrapped(one.mind, width), "bold"), width=width)
        sections = rows_of(some)
        for section, rows in sections:
            known = [row for row in rows if any(one.value is not None for one in row)]
            if known:
                table.add_row(Text(section, "bold"))
            for row in known:
                table.add_row(row[0].quantity, *(_wrapped(one.text, width) for one in row))
        console.print(table)
        unknown = [
            row[0].quantity
            for row in chain.from_iterable(rows for _, rows in sections)
            if all(one.value is None for one in row)
        ]
        if unknown:
            output.say(f"Not known of any of these: {', '.join(unknown)}.")


def _wrapped(text: str, width: int) -> str:
    parts = text.split(", ")
    lines = [textwrap.wrap(part, width) for part in parts]
    return "\n".join(chain.from_iterable(lines))
