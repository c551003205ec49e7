"""The options of live minds, which commands share."""

from __future__ import annotations

import inspect
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cache, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.minds.live import LIVE, Calls, LiveMind, live_mind, read_template
from mesa_llm_norms.minds.live.calls import JOURNAL
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.recording import check_folder

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
Forecast = Annotated[
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
        """Those that were typed, as ``Calls`` takes them."""
        options = {field.name: getattr(self, field.name) for field in fields(CallOptions)}
        return {name: value for name, value in options.items() if value is not None}

    def calls(self, folder: Path | None = None, *, resume: bool = False) -> Calls:
        """Return how calls are made, on record in a folder."""
        return Calls(folder=folder, resume=resume, **self.given)


@dataclass(frozen=True, kw_only=True)
class LiveOptions(CallOptions):
    """What was typed for live minds, and for calls to them."""

    forecast: Forecast = False
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
        from mesa_llm_norms.journal import Journal

        for path in sorted(out.rglob(JOURNAL)):
            with Journal.read(path) as journal:
                if isinstance(journal.spec.get("seed"), int):
                    return int(journal.spec["seed"])
    return secrets.randbelow(1_000_000) if seed is None else seed


def check_budget(calls: Calls, minds: Iterable[Mind]) -> None:
    """Raise ``SpecError`` where minds cost something and nothing says how much they may."""
    if any(isinstance(mind, LiveMind) and not mind.server.free for mind in minds):
        require_budget(calls, "all these runs")


def require_budget(calls: Calls, what: str) -> None:
    """Raise ``SpecError`` where nothing says how much may be spent on ``what``."""
    if not calls.bounded:
        raise SpecError(
            "budget",
            None,
            f"there is no budget for {what}",
            "See what it takes with --forecast, then give --budget-usd or --budget-calls.",
        )
