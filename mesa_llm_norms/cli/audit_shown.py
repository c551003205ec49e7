"""What the command ``audit`` says: a forecast first, a verdict at the end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.minds.live import Calls

if TYPE_CHECKING:
    from mesa_llm_norms.audits import Audit, Plan


def tell_forecast(plan: Plan, calls: Calls, as_json: bool, alone: bool) -> None:
    """Print what a live audit will take: as the result where it is all that is asked for."""
    from mesa_llm_norms.audits.forecast import forecast_audit

    with terminal.stderr().status("playing with recorded minds ..."):
        found = forecast_audit(plan, calls)
    if as_json:
        typer.echo(json.dumps(found.as_object(), ensure_ascii=False))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, text in found.rows():
        table.add_row(Text(label, "bold"), Text(text))
    (terminal.stdout() if alone else terminal.stderr()).print(table)


def show(found: Audit) -> None:
    """Print the verdict, the curve by size, and what probes show."""
    from mesa_llm_norms.audits.probes import comprehension_sentence
    from mesa_llm_norms.audits.verdict import KINDS

    console, verdict = terminal.stdout(), found.verdict
    console.print(
        Text(terminal.one_line(f"{found.mind}: {KINDS[verdict.kind]}"), "bold"), soft_wrap=True
    )
    for sentence in verdict.sentences:
        console.print(Text(terminal.one_line(sentence)), soft_wrap=True)
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
        console.print(Text(terminal.one_line(f"{one.kind}: {one.sentence}")), soft_wrap=True)
    if found.probes.comprehension:
        console.print(Text(comprehension_sentence(found.probes)), soft_wrap=True)
    console.print(Text(f"Seed {found.spec.seed}."))
