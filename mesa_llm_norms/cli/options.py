"""The options that commands share: one declaration each, so that they read the same everywhere.

The options of live minds are the fields of two dataclasses. A command takes one of these as a
parameter and is decorated with ``expanded``, which turns every field into an option.
"""

from __future__ import annotations

import inspect
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial, wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from mesa_llm_norms.cli import output
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import check_folder
from mesa_llm_norms.core.limits import Limit, check_seed, read_number, read_whole
from mesa_llm_norms.core.stopping import MAX_ROUNDS
from mesa_llm_norms.errors import SpecError, some
from mesa_llm_norms.llm.prompt import read_template
from mesa_llm_norms.llm.provider import LiveMind, live_mind
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.minds.policies import UniformMind
from mesa_llm_norms.minds.registry import DEFAULT_MIND, is_live
from mesa_llm_norms.networks.kinds import OPTIONS
from mesa_llm_norms.networks.reading import names_file, with_options
from mesa_llm_norms.simulation.typed import GAMES

GAME, STOPPING, RUNS, OUTPUT = "Game", "Stopping", "Runs", "Output"
"""The panels of a command's help."""

GRAPH_FILES = "Graph files"

LIVE_MINDS = "Live minds (claude:MODEL, openai:MODEL, llama:URL#MODEL)"

TOPOLOGY = ("--topology", "--graph", "-t")
"""The names of the option for a network."""


TOPOLOGY_TEXT = "Topology (see mesa-llm-norms topologies) or graph file."
NAMES_TEXT = "Pool of names: letters (QM), or names separated by commas (yes,no,maybe)."


def option(
    panel: str, help: str, *names: str, limit: Limit[Any] | None = None, **rules: Any
) -> Any:
    """Return a typer option of a panel, whose numbers are within a limit."""
    if limit is not None:
        rules["callback"] = _within(limit)
    return typer.Option(*names, help=help, rich_help_panel=panel, **rules)


def _within(limit: Limit[Any]) -> Callable[[typer.CallbackParam, Any], Any]:
    """Return what checks the numbers of an option when they are read."""
    read: Callable[..., Any] = read_whole if isinstance(limit.low, int) else read_number

    def check(param: typer.CallbackParam, value: Any) -> Any:
        for one in value if isinstance(value, (list, tuple)) else (value,):
            if one is not None:
                read(max(param.opts, key=len), one, limit)
        return value

    return check


Topology = Annotated[str, option(GAME, TOPOLOGY_TEXT, *TOPOLOGY)]
Names = Annotated[str, option(GAME, NAMES_TEXT)]
OtherGame = Annotated[
    str | None,
    option(
        GAME,
        f"Play another game than the naming game: {', '.join(GAMES)}, also with numbers, as in "
        r'"prisoners_dilemma(temptation=6, memory=3)". Needs a mind that knows it; the default is '
        f"then {UniformMind.label}.",
    ),
]
Minds = Annotated[
    list[str] | None,
    option(
        GAME,
        "Mind (see mesa-llm-norms minds), mind file or live mind. Repeat it to share the nodes "
        f"equally, or by NAME=0.7 or NAME=70%. Default {DEFAULT_MIND}.",
    ),
]
PairingRule = Annotated[
    str,
    option(
        GAME,
        "Pairing rule: node, edge, matching, contacts (of a contact sequence), or neighborhood "
        "(for games of any number of players).",
    ),
]
Memory = Annotated[int, option(GAME, "Interactions that an agent remembers.", limit=limits.MEMORY)]
Reward = Annotated[
    float, option(GAME, "Points for both agents when the names match.", limit=limits.POINTS)
]
Penalty = Annotated[
    float, option(GAME, "Points for both agents when the names differ.", limit=limits.POINTS)
]

Rounds = Annotated[
    int | None,
    option(STOPPING, f"Most population rounds. Default {MAX_ROUNDS:,}.", limit=limits.ROUNDS),
]
Window = Annotated[
    float,
    option(
        STOPPING,
        "Population rounds over which it is measured whether a run stops.",
        limit=limits.WINDOW_ROUNDS,
    ),
]
Threshold = Annotated[
    float,
    option(
        STOPPING,
        "Share of those interactions that must match to count as converged.",
        limit=limits.THRESHOLD,
    ),
]

Seed = Annotated[
    int | None, option(RUNS, "Random seed; random if omitted (and printed).", limit=limits.SEED)
]
FixedSeed = Annotated[int, option(RUNS, "Random seed.", limit=limits.SEED)]
Workers = Annotated[
    int, option(RUNS, "Worker processes; they do not change the results.", limit=limits.WORKERS)
]

Out = Annotated[Path | None, option(OUTPUT, "New folder for the report, tables and figures.")]
AsJson = Annotated[
    bool, option(OUTPUT, "Print one line of JSON to standard output, and nothing else.", "--json")
]
Quiet = Annotated[bool, option(OUTPUT, "Print only the outcome.", "--quiet", "-q")]

ShowPrompt = Annotated[
    bool, option(LIVE_MINDS, "Print the prompts word for word and play nothing.", "--show-prompt")
]
MaxTokens = Annotated[
    int | None,
    option(
        LIVE_MINDS,
        "Most tokens one call may write, thoughts included. Default 128, or 2048 for models that "
        "think.",
        limit=limits.MAX_TOKENS,
    ),
]
Resume = Annotated[
    bool,
    option(
        LIVE_MINDS, "Continue in --out where it was interrupted; no call is repeated.", "--resume"
    ),
]


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """How graph files are read and cleaned, as typed."""

    read: Annotated[
        list[str] | None,
        option(
            GRAPH_FILES,
            "How to read the file of --topology, such as part=largest, directed=false or "
            f"weight=value; may be repeated. There are {', '.join(OPTIONS)}.",
            metavar="OPTION=VALUE",
        ),
    ] = None
    clean: Annotated[
        bool,
        option(
            GRAPH_FILES,
            "Leave out loops, edges without weight and nodes without edges, add up parallel edges, "
            "and keep the largest part. What was done is printed.",
            "--clean",
        ),
    ] = False

    def apply(self, *topologies: str) -> list[str]:
        """Return topologies with these options for those that are files.

        Raises ``TopologyError`` if none is, or for an option that is not known.
        """
        typed = {}
        for text in self.read or ():
            name, given, value = (part.strip() for part in text.partition("="))
            if not given or not value:
                problem = f"{text!r} is not OPTION=VALUE"
                raise SpecError("read", text, problem, "Write --read part=largest or the like.")
            typed[name] = value
        files = any(map(names_file, topologies))
        return [
            with_options(it, typed, clean=self.clean) if names_file(it) or not files else it
            for it in topologies
        ]


@dataclass(frozen=True, kw_only=True)
class CallOptions:
    """The settings of calls to live minds as typed; None stands for what was not typed."""

    budget_usd: Annotated[
        float | None,
        option(
            LIVE_MINDS,
            "Stop before a call that could take the cost above this (US dollars).",
            limit=limits.BUDGET,
        ),
    ] = None
    budget_calls: Annotated[
        int | None, option(LIVE_MINDS, "Stop after this many calls.", limit=limits.BUDGET)
    ] = None
    budget_tokens: Annotated[
        int | None,
        option(
            LIVE_MINDS,
            "Stop before a call that could take input and output tokens above this.",
            limit=limits.BUDGET,
        ),
    ] = None
    max_concurrency: Annotated[
        int | None,
        option(
            LIVE_MINDS,
            f"Most calls to a provider at a time. Default {LLMSettings.max_concurrency}.",
            limit=limits.CONCURRENCY,
        ),
    ] = None
    batch: Annotated[
        bool | None,
        option(
            LIVE_MINDS,
            "Send questions to single agents together, at half the price (Claude's Message "
            "Batches); may take a day. Needs --out; Ctrl-C leaves a batch out, --resume reads it.",
            "--batch",
        ),
    ] = None
    wait_at_most: Annotated[
        float | None,
        option(
            LIVE_MINDS,
            "Seconds for which a failing call is repeated before the run stops. "
            f"Default {LLMSettings.wait_at_most:.0f}.",
            min=0,
            max=86_400,
        ),
    ] = None
    retries: Annotated[
        int | None,
        option(
            LIVE_MINDS,
            "How often to repeat a failing call. Default: as often as --wait-at-most allows.",
            min=0,
            max=1_000,
        ),
    ] = None
    ask_again: Annotated[
        int | None,
        option(
            LIVE_MINDS,
            "How often to ask again after a reply that names nothing in the pool. "
            f"Default {LLMSettings.ask_again}.",
            limit=limits.ASK_AGAIN,
        ),
    ] = None
    on_unusable: Annotated[
        str | None,
        option(
            LIVE_MINDS,
            "What to do after that: stop the run (stop, the default) or skip the "
            "interaction (skip).",
        ),
    ] = None
    prices: Annotated[
        Path | None, option(LIVE_MINDS, "Price file; takes precedence over the built-in prices.")
    ] = None
    addresses: Annotated[
        list[str] | None,
        option(
            LIVE_MINDS,
            "Address that may be called although it is from a file, such as a run's folder; may be "
            "repeated.",
            "--address",
        ),
    ] = None

    @property
    def given(self) -> dict[str, Any]:
        """The settings that were typed."""
        options = {field.name: getattr(self, field.name) for field in fields(CallOptions)}
        return {name: value for name, value in options.items() if value is not None}

    def calls(self, folder: Path | None = None, *, resume: bool = False) -> LLMSettings:
        """Return the settings of calls that are recorded in a folder."""
        return LLMSettings(folder=folder, resume=resume, **self.given)


@dataclass(frozen=True, kw_only=True)
class LiveOptions(CallOptions):
    """The options of commands that may play with live minds."""

    forecast: Annotated[
        bool,
        option(
            LIVE_MINDS,
            "Print the expected calls, tokens, cost and time; play nothing.",
            "--forecast",
        ),
    ] = False
    template: Annotated[Path | None, option(LIVE_MINDS, "File with your own prompt.")] = None
    temperature: Annotated[
        float | None,
        option(
            LIVE_MINDS,
            "Sampling temperature, for models that accept one.",
            limit=limits.TEMPERATURE,
        ),
    ] = None
    timeout: Annotated[
        float | None,
        option(LIVE_MINDS, "Seconds that one call may take. Default 60.", limit=limits.TIMEOUT),
    ] = None
    max_tokens: MaxTokens = None

    def mind_reader(self, *, given: bool = True) -> Callable[[str], Any]:
        """Return a function that makes live minds of their names, and keeps other names.

        The same name always gives the same mind. Names from a file are not ``given``.
        """
        template = read_template(self.template) if self.template is not None else None
        options: dict[str, Any] = {
            "temperature": self.temperature,
            "timeout": self.timeout,
            "max_tokens": self.max_tokens,
        }
        typed = {name: value for name, value in options.items() if value is not None}

        @cache
        def read(name: str) -> str | LiveMind:
            return live_mind(name, template, given=given, **typed) if is_live(name) else name

        return read


@dataclass(frozen=True, kw_only=True)
class ExperimentOptions:
    """The options of audits, tipping points and interventions, and what is done with results."""

    seed: Seed = None
    workers: Workers = 1
    out: Out = None
    as_json: AsJson = False
    resume: Resume = False

    def read_seed(self) -> int:
        """Return the seed that was given, else that of what is resumed, else a random one."""
        if self.seed is None and self.resume and self.out is not None:
            from mesa_llm_norms.llm.journal.journal import Journal

            for path in sorted(self.out.rglob(JOURNAL)):
                with Journal.read(path) as journal:
                    if isinstance(journal.spec.get("seed"), int):
                        return int(journal.spec["seed"])
        return read_seed(self.seed)

    def settings(self, typed: CallOptions, *, live: bool) -> LLMSettings:
        """Return the settings of calls; raise ``SpecError`` if --out and --resume do not fit."""
        if self.resume and (self.out is None or not live):
            raise SpecError(
                "resume",
                True,
                "only a live experiment in a folder can be resumed",
                "Give its --out.",
            )
        if self.out is not None and not self.resume:
            check_folder(self.out)
        return typed.calls(self.out if live else None, resume=self.resume)

    def finish(
        self,
        found: Any,
        seed: int,
        write: Callable[[Any, Path], None],
        draw: Callable[[Any, Path], None],
        content: Callable[[Any], Any],
        show: Callable[[Any], None],
        *,
        live: bool,
    ) -> None:
        """Write the results and the report, and print what was found, as JSON or in words."""
        output.finish(
            self.out,
            partial(write, found),
            partial(draw, found),
            partial(self._show, found, seed, content, show),
            live=live,
        )

    def _show(
        self,
        found: Any,
        seed: int,
        content: Callable[[Any], Any],
        show: Callable[[Any], None],
    ) -> None:
        if self.as_json:
            output.print_json(content(found))
            return
        show(found)
        used = output.usage_sentence(found.usage)
        if used is not None:
            output.complain("note", used)
        if self.seed is None:
            output.complain("note", f"the seed is {seed}; repeat this with --seed {seed}")
        if self.out is not None:
            output.list_folder(self.out)


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command with an option for every field of each parameter that is a dataclass."""
    own = inspect.signature(command, eval_str=True).parameters
    groups = {
        name: inspect.signature(one.annotation, eval_str=True).parameters
        for name, one in own.items()
        if isinstance(one.annotation, type) and is_dataclass(one.annotation)
    }

    @wraps(command)
    def run(**typed: Any) -> None:
        for name, parts in groups.items():
            typed[name] = own[name].annotation(**{part: typed.pop(part) for part in parts})
        command(**typed)

    parameters = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for name, one in own.items()
        for parameter in groups.get(name, {name: one}).values()
    ]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def typed(context: typer.Context, names: Iterable[str]) -> dict[str, Any]:
    """Return those of a command's options that were typed, with their values."""
    sources = {name: context.get_parameter_source(name) for name in names}
    return {
        name: context.params[name]
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    }


def register(app: typer.Typer, *commands: Callable[..., None]) -> None:
    """Add commands to an app, under the names of their functions (``import_`` is ``import``)."""
    for command in commands:
        app.command(command.__name__.rstrip("_"), help=help_of(command))(command)


def help_of(command: Callable[..., None]) -> str:
    """Return a docstring with the lines of each paragraph joined, for a terminal of any width."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(command) or "")


def check_files(targets: Iterable[Path], force: bool) -> None:
    """Raise ``SpecError`` if files are to be written that exist, or one of them twice."""
    files = list(map(str, targets))
    twice = sorted({file for file in files if files.count(file) > 1})
    if twice:
        remedy = "Do one of them at a time."
        raise SpecError("out", twice, f"these files would be written twice: {some(twice)}", remedy)
    existing = [file for file in files if Path(file).exists()]
    if existing and not force:
        remedy = "Give another folder, or --force to overwrite them."
        raise SpecError("out", existing, f"these files exist: {some(existing)}", remedy)


def read_seed(seed: int | None) -> int:
    """Return the seed that was given, or a random one."""
    if seed is None:
        return secrets.randbelow(1_000_000)
    check_seed(seed)
    return seed
