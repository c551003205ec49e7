"""``mesa-llm-norms resume``: go on with a live run that was cut short."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mesa_llm_norms.cli import live_options as options
from mesa_llm_norms.cli import terminal
from mesa_llm_norms.cli.plan import Plan
from mesa_llm_norms.cli.play import play
from mesa_llm_norms.course import Goal
from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.journal import Journal
from mesa_llm_norms.minds.live import Calls
from mesa_llm_norms.minds.live.calls import JOURNAL
from mesa_llm_norms.recording import SPEC
from mesa_llm_norms.saved import restore
from mesa_llm_norms.spec import Spec


@options.expanded
def resume(
    folder: Annotated[
        Path, typer.Argument(help="The folder of the run.", show_default=False, metavar="FOLDER")
    ],
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object and nothing else on standard output."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only say how it ended.")] = False,
    *,
    live: options.CallOptions,
) -> None:
    """Go on with a run of live minds that was interrupted, killed, or out of budget.

    What is on record in its journal is played again without a call; from there on it is played as
    it would have been. Options that are not given are those it was begun with, and budgets count
    what was used before.

    [b]Examples[/b]

    mesa-llm-norms resume runs/claude-claude-haiku-5-5-watts_strogatz-24-seed7

    mesa-llm-norms resume runs/first --budget-usd 5
    """
    path = folder / JOURNAL
    with Journal.read(path) as journal:
        content = dict(journal.spec)
    if "goal" not in content:
        raise JournalError(
            path,
            "it was begun from Python",
            "Go on there: NamingGame.resume(folder), or run_ensemble with "
            "calls=Calls(folder=..., resume=True).",
        )
    if (folder / SPEC).exists():
        raise JournalError(path, "its run came to its end", "Its results are beside it.")
    play(
        _plan(
            folder,
            content,
            as_json,
            quiet,
            live.given,
        )
    )


def _plan(
    folder: Path, content: dict[str, Any], as_json: bool, quiet: bool, changed: dict[str, Any]
) -> Plan:
    path = folder / JOURNAL
    try:
        arguments = restore(content["spec"], path)
        spec = Spec(seed=arguments.pop("rng"), **arguments)
        calls = Calls(**content["calls"])
    except (KeyError, TypeError) as error:
        raise JournalError(
            path, f"what it says of its run is incomplete ({error})", "It cannot be gone on with."
        ) from error
    plan = Plan(
        spec,
        spec.seat(),
        Goal(*content["goal"]),
        content["rounds"],
        folder,
        as_json,
        talk=not as_json and not quiet,
        calls=replace(calls, folder=folder, resume=True, **changed),
        runs=content.get("runs"),
        keep=content["keep"],
        workers=1,
        resumed=True,
    )
    plan.check()
    if plan.talk:
        terminal.complain("note", f"going on with {folder}")
    return plan
