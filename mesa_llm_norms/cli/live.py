"""The options of live minds, which commands share.

What a live run would be, before a single call: its prompts and its forecast.

What an experiment of many parts will take with live minds, part by part and together.
"""

from __future__ import annotations

import inspect
import json
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import output
from mesa_llm_norms.cli.playing import Plan
from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.core.files import check_folder
from mesa_llm_norms.core.game import Memory, filled, remember
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import CallError, MindError, SpecError
from mesa_llm_norms.experiments.cost_forecast.result import (
    Forecast,
    Part,
    cost,
    count,
    duration,
    in_words,
    together,
)
from mesa_llm_norms.llm.mind import LIVE, LiveMind, live_mind
from mesa_llm_norms.llm.prompt import read_template
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.minds.mind import Mind, Situation
from mesa_llm_norms.simulation.spec import Spec

PANEL = "Live minds (claude:MODEL, llama:URL#MODEL)"


BudgetUsd = Annotated[
    float | None,
    typer.Option(
        help="Stop before a call that could bring the cost above so many US dollars.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


BudgetCalls = Annotated[
    int | None,
    typer.Option(help="Stop after so many calls.", show_default=False, rich_help_panel=PANEL),
]


BudgetTokens = Annotated[
    int | None,
    typer.Option(
        help="Stop before a call that could bring the tokens, read and written, above this.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


MaxConcurrency = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000,
        help="Calls to one server at once, at most; fewer where it asks for that. Without it 32.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


OnUnusable = Annotated[
    str | None,
    typer.Option(
        help="What becomes of an interaction in which a model gives no name, asked repeatedly: "
        "stop (the run, the default) or void (the interaction).",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


AskAgain = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=100,
        help="How often a reply without a name is asked for again. Without it 2.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


Prices = Annotated[
    Path | None,
    typer.Option(
        help="A file of prices that come before those that ship.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


Temperature = Annotated[
    float | None,
    typer.Option(
        help="The temperature of sampling, for models that take one.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


Timeout = Annotated[
    float | None,
    typer.Option(
        help="Seconds that one call may last. Without it 60.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


TemplateFile = Annotated[
    Path | None,
    typer.Option(
        "--template",
        help="A file with your own wording of the prompt.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]


ShowPrompt = Annotated[
    bool,
    typer.Option(
        "--show-prompt",
        help="Print what an agent would be told, word for word, and play nothing.",
        rich_help_panel=PANEL,
    ),
]


ForecastOnly = Annotated[
    bool,
    typer.Option(
        "--forecast",
        help="Say what the run will take (calls, tokens, cost, time), and play nothing.",
        rich_help_panel=PANEL,
    ),
]


Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on in --out with what was cut short; nothing is asked twice.",
        rich_help_panel=PANEL,
    ),
]


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """What was typed for calls to live minds; None is what was not."""

    budget_usd: BudgetUsd = None
    budget_calls: BudgetCalls = None
    budget_tokens: BudgetTokens = None
    max_concurrency: MaxConcurrency = None
    ask_again: AskAgain = None
    on_unusable: OnUnusable = None
    prices: Prices = None

    @property
    def given(self) -> dict[str, Any]:
        """Those that were typed, as ``LLMSettings`` takes them."""
        options = {field.name: getattr(self, field.name) for field in fields(CallOptions)}
        return {name: value for name, value in options.items() if value is not None}

    def calls(self, folder: Path | None = None, *, resume: bool = False) -> LLMSettings:
        """Return how calls are made, on record in a folder."""
        return LLMSettings(folder=folder, resume=resume, **self.given)


@dataclass(frozen=True, kw_only=True)
class LiveOptions(CallOptions):
    """What was typed for live minds, and for calls to them."""

    forecast: ForecastOnly = False
    template: TemplateFile = None
    temperature: Temperature = None
    timeout: Timeout = None

    def mind_reader(self) -> Callable[[str], Any]:
        """Return what makes a mind of a name: a live one with these options, others as they are.

        The same name gives the same mind.
        """
        wording = read_template(self.template) if self.template is not None else None
        options = {"temperature": self.temperature, "timeout": self.timeout}
        typed = {name: value for name, value in options.items() if value is not None}

        @cache
        def read(name: str) -> str | LiveMind:
            if name.partition(":")[0] not in LIVE:
                return name
            return live_mind(name, wording, **typed)

        return read


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose last parameter, one of these classes, is an option for each field."""
    *own, last = inspect.signature(command, eval_str=True).parameters.values()
    parts = inspect.signature(last.annotation, eval_str=True).parameters

    @wraps(command)
    def run(**typed: Any) -> None:
        options = {name: typed.pop(name) for name in parts}
        command(**typed, **{last.name: last.annotation(**options)})

    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for parameter in (*own, *parts.values())
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def check_out(out: Path | None, *, live: bool, resume: bool) -> None:
    """Raise ``SpecError`` unless a folder may be written, or gone on with."""
    if resume and (out is None or not live):
        raise SpecError(
            "resume",
            resume,
            "only what live minds play in a folder can be gone on with",
            "Give its --out.",
        )
    if out is not None and not resume:
        check_folder(out)


def read_seed(seed: int | None, out: Path | None, *, resume: bool) -> int:
    """Return the seed that was given, or that of what is gone on with, or a fresh one."""
    if seed is None and resume and out is not None:
        from mesa_llm_norms.llm.journal.journal import Journal

        for path in sorted(out.rglob(JOURNAL)):
            with Journal.read(path) as journal:
                if isinstance(journal.spec.get("seed"), int):
                    return int(journal.spec["seed"])
    return secrets.randbelow(1_000_000) if seed is None else seed


def check_budget(llm: LLMSettings, minds: Iterable[Mind]) -> None:
    """Raise ``SpecError`` where minds cost something and nothing says how much they may."""
    if any(isinstance(mind, LiveMind) and not mind.server.free for mind in minds):
        require_budget(llm, "all these runs")


def require_budget(llm: LLMSettings, what: str) -> None:
    """Raise ``SpecError`` where nothing says how much may be spent on ``what``."""
    if not llm.bounded:
        raise SpecError(
            "budget",
            None,
            f"there is no budget for {what}",
            "See what it takes with --forecast, then give --budget-usd or --budget-calls.",
        )


def print_prompts(spec: Spec) -> None:
    """Print what agents of every wording are told: at first, and with a memory of interactions."""
    minds = [mind for mind in spec.minds if isinstance(mind, LiveMind)]
    if not minds:
        raise _no_live_mind()
    start = filled(spec.incumbent, spec.game.memory) if spec.incumbent is not None else ()
    for mind in {mind.template.version: mind for mind in minds}.values():
        for seat, memory in enumerate((start, _some_memory(spec))):
            situation = Situation(spec.game, memory, 0, RandomStream(spec.seed), 0, seat)
            prompt = mind.prompt(situation)
            when = "at the start" if not seat else "after some interactions"
            _heading(f"{mind.label}, template {mind.template.version}, {when}: system")
            typer.echo(prompt.system)
            _heading("user")
            typer.echo(prompt.user)


def print_forecast(plan: Plan) -> None:
    """Print what a live run will take, or an object with it."""
    from mesa_llm_norms.experiments.cost_forecast.estimate import forecast
    from mesa_llm_norms.experiments.cost_forecast.result import describe

    if not plan.spec.live:
        raise _no_live_mind()
    _ask_what_models_can_do(plan.spec)
    with output.stderr().status("playing with recorded minds ..."):
        found = forecast(plan.spec, plan.goal, plan.rounds, plan.runs, plan.llm)
    if plan.as_json:
        typer.echo(json.dumps(found.as_object(), ensure_ascii=False))
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    for label, text in describe(found):
        table.add_row(Text(label, "bold"), Text(text))
    console = output.stdout()
    console.print(table)
    for sentence in found.assumptions:
        console.print(Text(f"- {sentence}"), soft_wrap=True)
    for warning in found.warnings:
        output.complain("note", warning)


def _ask_what_models_can_do(spec: Spec) -> None:
    """Find out what costs nothing to know, where there is a key and a server."""
    for mind in spec.minds:
        if isinstance(mind, LiveMind):
            try:
                wait_for(mind.server.prepare())
                wait_for(mind.server.close())
            except (CallError, MindError) as error:
                output.complain("note", f"forecast without asking the server: {error}")


def _some_memory(spec: Spec) -> Memory:
    memory: Memory = ()
    pool = spec.game.pool
    for number in range(spec.game.memory):
        own = pool[number % 2]
        memory = remember(memory, own, pool[0], spec.game.memory)
    return memory


def _heading(text: str) -> None:
    output.stdout().print(Text(f"--- {text}", "bold"), soft_wrap=True)


def _no_live_mind() -> MindError:
    return MindError(
        "mind", None, "no mind is live", "Give one, such as --mind claude:claude-haiku-5-5."
    )


def print_parts(parts: Sequence[Part], as_json: bool) -> None:
    """Print the forecast of all parts, as a table or as one JSON object."""
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
        typer.echo(
            json.dumps(
                {"total": together(forecasts).as_object(), "parts": found}, ensure_ascii=False
            )
        )
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("", "runs", "calls", "cost", "wall time"):
        table.add_column(column)
    for part in parts:
        table.add_row(Text(output.one_line(part.label)), *_told(part.runs, part.forecasts))
    if len(parts) > 1:
        runs = sum(part.runs for part in parts)
        table.add_row(Text("all", "bold"), *_told(runs, forecasts))
    console = output.stdout()
    console.print(table)
    for sentence in dict.fromkeys(said for one in forecasts for said in one.assumptions):
        console.print(Text(f"- {sentence}"), soft_wrap=True)


def _told(runs: int, forecasts: Sequence[Forecast]) -> list[str]:
    every = together(forecasts)
    return [
        f"{runs:,}",
        in_words(every.calls, count),
        cost(every.usd),
        in_words(every.seconds, duration),
    ]
