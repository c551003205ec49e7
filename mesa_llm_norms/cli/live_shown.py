"""What a live run would be, before a single call: its prompts and its forecast."""

from __future__ import annotations

import json

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.background import wait_for
from mesa_llm_norms.cli import terminal
from mesa_llm_norms.cli.plan import Plan
from mesa_llm_norms.draws import Draws
from mesa_llm_norms.errors import CallError, MindError
from mesa_llm_norms.memory import Memory, filled, remember
from mesa_llm_norms.minds.live import LiveMind
from mesa_llm_norms.minds.mind import Situation
from mesa_llm_norms.spec import Spec


def print_prompts(spec: Spec) -> None:
    """Print what agents of every wording are told: at first, and with a memory of interactions."""
    minds = [mind for mind in spec.minds if isinstance(mind, LiveMind)]
    if not minds:
        raise _no_live_mind()
    start = filled(spec.incumbent, spec.game.memory) if spec.incumbent is not None else ()
    for mind in {mind.template.version: mind for mind in minds}.values():
        for seat, memory in enumerate((start, _some_memory(spec))):
            situation = Situation(spec.game, memory, 0, Draws(spec.seed), 0, seat)
            prompt = mind.prompt(situation)
            when = "at the start" if not seat else "after some interactions"
            _heading(f"{mind.label}, template {mind.template.version}, {when}: system")
            typer.echo(prompt.system)
            _heading("user")
            typer.echo(prompt.user)


def print_forecast(plan: Plan) -> None:
    """Print what a live run will take, or an object with it."""
    from mesa_llm_norms.forecast import describe, forecast

    if not plan.spec.live:
        raise _no_live_mind()
    _ask_what_models_can_do(plan.spec)
    with terminal.stderr().status("playing with recorded minds ..."):
        found = forecast(plan.spec, plan.goal, plan.rounds, plan.runs, plan.calls)
    if plan.as_json:
        typer.echo(json.dumps(found.as_object(), ensure_ascii=False))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, text in describe(found):
        table.add_row(Text(label, "bold"), Text(text))
    console = terminal.stdout()
    console.print(table)
    for sentence in found.assumptions:
        console.print(Text(f"- {sentence}"), soft_wrap=True)
    for warning in found.warnings:
        terminal.complain("note", warning)


def _ask_what_models_can_do(spec: Spec) -> None:
    """Find out what costs nothing to know, where there is a key and a server."""
    for mind in spec.minds:
        if isinstance(mind, LiveMind):
            try:
                wait_for(mind.server.prepare())
                wait_for(mind.server.close())
            except (CallError, MindError) as error:
                terminal.complain("note", f"forecast without asking the server: {error}")


def _some_memory(spec: Spec) -> Memory:
    memory: Memory = ()
    pool = spec.game.pool
    for number in range(spec.game.memory):
        own = pool[number % 2]
        memory = remember(memory, own, pool[0], spec.game.memory)
    return memory


def _heading(text: str) -> None:
    terminal.stdout().print(Text(f"--- {text}", "bold"), soft_wrap=True)


def _no_live_mind() -> MindError:
    return MindError(
        "mind", None, "no mind is live", "Give one, such as --mind claude:claude-haiku-5-5."
    )
