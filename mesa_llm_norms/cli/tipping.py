"""What ``tip`` and ``intervene`` share: options, and how estimates and what it took are told."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mesa_llm_norms.cli import outcome, terminal

if TYPE_CHECKING:
    from mesa_llm_norms.journal import Totals
    from mesa_llm_norms.statistics import Estimate

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
