"""Live minds before the first call: their prompts, the forecast of their cost, and the budget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.text import Text

from mesa_llm_norms.cli import output
from mesa_llm_norms.cli.playing import Plan
from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.core.formatting import count, duration, spread
from mesa_llm_norms.core.game import Memory, keep
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.referee import Referee
from mesa_llm_norms.errors import CallError, MindError, SpecError
from mesa_llm_norms.experiments.cost_forecast.result import Forecast, Part, cost, together
from mesa_llm_norms.llm.addresses import check, confirm, destination
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Mind, Situation
from mesa_llm_norms.simulation.spec import Spec

SIMULATING = "simulating with recorded minds"
"""What a forecast does while it is made."""


def check_budget(llm: LLMSettings, minds: Iterable[Mind]) -> None:
    """Raise ``SpecError`` where minds cost money and there is no budget."""
    if any(isinstance(mind, LiveMind) and not mind.provider.free for mind in minds):
        require_budget(llm, "all these runs")


def require_budget(llm: LLMSettings, what: str) -> None:
    """Raise ``SpecError`` where there is no budget for ``what``."""
    if not llm.bounded:
        raise SpecError(
            "budget",
            None,
            f"there is no budget for {what}",
            "Estimate the cost with --forecast, then give --budget-usd or --budget-calls.",
        )


def announce(
    minds: Iterable[Mind], llm: LLMSettings, command: str = "", *, quiet: bool = False
) -> None:
    """Print where the calls of live minds will go, and with which key, before the first is made.

    Raises ``MindError`` if an address has to be confirmed; ``command`` is what does it, with
    ``--address``. Nothing is printed if ``quiet``.
    """
    live = {id(mind.provider): mind.provider for mind in minds if isinstance(mind, LiveMind)}
    providers = list(live.values())
    for provider in providers:
        confirm(provider, llm.addresses)
    check(providers, command)
    for line in () if quiet else dict.fromkeys(map(destination, providers)):
        output.complain("note", line)


def print_prompts(spec: Spec) -> None:
    """Print the prompts of every template: without a memory, and with a full one."""
    minds = [mind for mind in spec.minds if isinstance(mind, LiveMind)]
    if not minds:
        raise no_live_mind()
    persona, *others = spec.personas
    if others:
        output.say(f"The first of {1 + len(others)} personas:")
    for mind in {mind.template.version: mind for mind in minds}.values():
        for seat, memory in enumerate((spec.start, _some_memory(spec))):
            situation = Situation(spec.game, memory, 0, RandomStream(spec.seed), 0, seat)
            prompt = mind.with_persona(persona).sent(situation)
            when = "at the start" if not seat else "after some interactions"
            _heading(f"{mind.label}, template {mind.template.version}, {when}: system")
            output.echo(prompt.system)
            _heading("user")
            output.echo(prompt.user)


def print_forecast(plan: Plan) -> None:
    """Print what a live run will take, in words or as JSON."""
    from mesa_llm_norms.experiments.cost_forecast.estimate import forecast
    from mesa_llm_norms.experiments.cost_forecast.result import describe

    if not plan.spec.live:
        raise no_live_mind()
    _ask_capabilities(plan.spec, plan.llm)
    with output.progress(SIMULATING):
        found = forecast(plan.spec, plan.goal, plan.rounds, plan.runs, plan.llm)
    if plan.as_json:
        output.print_json(found.as_object())
        return
    output.print_pairs(describe(found))
    for sentence in found.assumptions:
        output.say(f"- {sentence}")
    for warning in found.warnings:
        output.complain("note", warning)


def print_parts(parts: Sequence[Part], as_json: bool) -> None:
    """Print the forecast of an experiment, part by part and in all, as a table or as JSON."""
    forecasts = [one for part in parts for one in part.forecasts]
    if as_json:
        found = [
            {
                "part": part.label,
                "runs": part.runs,
                **together(part.forecasts).as_object(),
                "legs": [one.as_object() for one in part.forecasts],
            }
            for part in parts
        ]
        output.print_json({"total": together(forecasts).as_object(), "parts": found})
        return
    rows = [_row(output.one_line(part.label), part.runs, part.forecasts) for part in parts]
    if len(parts) > 1:
        rows.append(_row("all", sum(part.runs for part in parts), forecasts))
    output.print_table(("", "runs", "calls", "cost", "wall time"), rows)
    for sentence in dict.fromkeys(said for one in forecasts for said in one.assumptions):
        output.say(f"- {sentence}")


def _ask_capabilities(spec: Spec, llm: LLMSettings) -> None:
    """Ask the providers what they can do, which is free, where there is a key and a connection."""
    for mind in spec.minds:
        if isinstance(mind, LiveMind):
            try:
                announce([mind], llm)
                wait_for(mind.provider.prepare())
                wait_for(mind.provider.close())
            except (CallError, MindError) as error:
                output.complain("note", f"forecast made without asking the provider: {error}")


def _some_memory(spec: Spec) -> Memory:
    memory: Memory = ()
    game, referee = spec.game, Referee(spec.game)
    others = (game.pool[0],) * ((game.seats or 3) - 1)
    seat = 0 if game.symmetric else 1
    for number in range(game.memory):
        moves = list(others)
        moves.insert(seat, game.pool[number % 2])
        memory = keep(memory, referee.experience(tuple(moves), seat), game.memory)
    return memory


def _heading(text: str) -> None:
    output.say(Text(f"--- {text}", "bold"))


def no_live_mind() -> MindError:
    """Return the error for a forecast or prompts where no mind is live."""
    return MindError(
        "mind", None, "no mind is live", "Give one, such as --mind claude:claude-haiku-5-5."
    )


def _row(label: str, runs: int, forecasts: Sequence[Forecast]) -> list[str]:
    every = together(forecasts)
    return [
        label,
        count(runs),
        spread(every.calls),
        cost(every.usd),
        spread(every.seconds, duration),
    ]
