"""``mesa-llm-norms run``: one run shown round by round, or many in numbers.

``mesa-llm-norms resume``: go on with a live run that was cut short.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mesa_llm_norms.cli import live as options
from mesa_llm_norms.cli import output
from mesa_llm_norms.cli.live import print_forecast, print_prompts
from mesa_llm_norms.cli.playing import Plan, play
from mesa_llm_norms.core.files import SPEC
from mesa_llm_norms.core.randomness import MASK
from mesa_llm_norms.core.stopping import WINDOW, Goal
from mesa_llm_norms.errors import JournalError, SpecError
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.simulation.results import default_folder
from mesa_llm_norms.simulation.serialization import read_spec, restore
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH, DEFAULT_NAMES, STUDY_GRAPH, Spec

_GAME, _CHANCE, _ENDING, _OUTPUT = "The game", "Runs and chance", "When a run ends", "Output"


@options.expanded
def run(
    topology: Annotated[
        str | None,
        typer.Option(
            "--topology",
            "--graph",
            "-t",
            help="Who can meet whom: a topology (see [b]mesa-llm-norms topologies[/b]) or a graph "
            f"file. Without it: a small world for one run, {DEFAULT_GRAPH}; the study's complete "
            f"graph for many, {STUDY_GRAPH}.",
            show_default=False,
            rich_help_panel=_GAME,
        ),
    ] = None,
    names: Annotated[
        str,
        typer.Option(
            help="The pool: letters (QM), or names between commas (yes,no,maybe).",
            rich_help_panel=_GAME,
        ),
    ] = DEFAULT_NAMES,
    mind: Annotated[
        list[str] | None,
        typer.Option(
            help="Who decides: a name (see [b]mesa-llm-norms minds[/b]) or a mind file. Several "
            "minds share the nodes equally, or as in --mind NAME=0.7 --mind OTHER=0.3. "
            f"Without it {DEFAULT_MIND}.",
            show_default=False,
            rich_help_panel=_GAME,
        ),
    ] = None,
    minds_by_node: Annotated[
        Path | None,
        typer.Option(
            help='A JSON file that gives every node its mind: {"0": "claude-3.5-sonnet", ...}.',
            rich_help_panel=_GAME,
        ),
    ] = None,
    pairing: Annotated[
        str, typer.Option(help="Who meets: node, edge or matching.", rich_help_panel=_GAME)
    ] = "node",
    memory: Annotated[
        int,
        typer.Option(help="Interactions an agent remembers.", rich_help_panel=_GAME),
    ] = 5,
    reward: Annotated[
        float, typer.Option(help="Points to both for equal names.", rich_help_panel=_GAME)
    ] = 100,
    penalty: Annotated[
        float, typer.Option(help="Points to both for different names.", rich_help_panel=_GAME)
    ] = -50,
    incumbent: Annotated[
        str | None,
        typer.Option(
            help="The convention that everybody starts out remembering.", rich_help_panel=_GAME
        ),
    ] = None,
    committed: Annotated[
        list[str] | None,
        typer.Option(
            help="Who always plays one name: M=5, M=10% of the agents (or 0.1), M=5:hubs (or "
            r"random, periphery, cluster), or M=\[0,1,2] for nodes. May be repeated.",
            show_default=False,
            rich_help_panel=_GAME,
        ),
    ] = None,
    until: Annotated[
        str,
        typer.Option(
            help="converged (the last interactions matched), flipped (a committed name has taken "
            "over), or none (then give --rounds).",
            rich_help_panel=_ENDING,
        ),
    ] = "converged",
    rounds: Annotated[
        int | None,
        typer.Option(
            help="Population rounds at most; without it 1,000.",
            show_default=False,
            rich_help_panel=_ENDING,
        ),
    ] = None,
    window: Annotated[
        float,
        typer.Option(
            help="How many population rounds back --until looks.", rich_help_panel=_ENDING
        ),
    ] = WINDOW,
    threshold: Annotated[
        float,
        typer.Option(
            help="Share of those interactions that must match to count as converged.",
            rich_help_panel=_ENDING,
        ),
    ] = 1.0,
    runs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Play this many runs and tell about all of them; without it one run is shown.",
            show_default=False,
            rich_help_panel=_CHANCE,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            help="The same seed gives the same runs; without it a fresh one is drawn and told.",
            show_default=False,
            rich_help_panel=_CHANCE,
        ),
    ] = None,
    workers: Annotated[
        int,
        typer.Option(
            min=1,
            max=1_000,
            help="Processes for --runs; the results are the same.",
            rich_help_panel=_CHANCE,
        ),
    ] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder to write, which must be new; without it one in ./runs.",
            show_default=False,
            rich_help_panel=_OUTPUT,
        ),
    ] = None,
    keep_interactions: Annotated[
        bool,
        typer.Option(
            "--keep-interactions",
            help="Write every interaction of --runs too (of one run they always are).",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    no_files: Annotated[
        bool, typer.Option("--no-files", help="Write no folder.", rich_help_panel=_OUTPUT)
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object and nothing else on standard output.",
            rich_help_panel=_OUTPUT,
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="Only say how it ended.", rich_help_panel=_OUTPUT),
    ] = False,
    show_prompt: options.ShowPrompt = False,
    *,
    live: options.LiveOptions,
) -> None:
    """Let a population play the naming game, and see whether a convention emerges.

    One run is shown round by round; with --runs, many are summed up. Either leaves a folder with
    the spec, the tables as Parquet, and figures. With live minds it holds a journal too, from the
    start: [b]mesa-llm-norms resume[/b] goes on with what was cut short, and asks nothing twice.

    [b]Examples[/b]

    mesa-llm-norms run

    mesa-llm-norms run --mind llama-2-70b-chat --names QM --topology "ring(n=12)"

    mesa-llm-norms run --names QM --incumbent Q --committed M=8:hubs --until flipped

    mesa-llm-norms run --mind claude-3.5-sonnet=0.5 --mind llama-3-70b-instruct=0.5

    mesa-llm-norms run --names QM --runs 400 --seed 1 --json

    mesa-llm-norms run --names QM --mind claude:claude-haiku-5-5 --rounds 15 --forecast

    mesa-llm-norms run --names QM --mind claude:claude-haiku-5-5 --rounds 15 --budget-usd 1
    """
    spec = read_spec(
        topology=topology or (DEFAULT_GRAPH if runs is None else STUDY_GRAPH),
        names=names,
        mind=mind or (),
        minds_by_node=minds_by_node,
        pairing=pairing,
        memory=memory,
        reward=reward,
        penalty=penalty,
        incumbent=incumbent,
        committed=committed or (),
        seed=_read_seed(seed),
        read=live.mind_reader(),
    )
    if show_prompt:
        print_prompts(spec)
        return
    initial = spec.initial_state()
    goal = Goal(None if until.lower() == "none" else until, window, threshold)
    folder = None if no_files else out or default_folder(spec, len(initial.neighbors), runs)
    calls = live.calls(folder if spec.live else None)
    plan = Plan(
        spec,
        initial,
        goal,
        rounds,
        folder,
        as_json,
        talk=not as_json and not quiet,
        llm=calls,
        runs=runs,
        keep=keep_interactions,
        workers=workers,
    )
    plan.check()
    if live.forecast:
        print_forecast(plan)
        return
    play(plan)


def _read_seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbelow(1_000_000)
    if not 0 <= seed <= MASK:
        raise SpecError("seed", seed, f"{seed} is no seed", "Use 0 to 2**64 - 1.")
    return seed


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
        calls = LLMSettings(**content["calls"])
    except (KeyError, TypeError) as error:
        raise JournalError(
            path, f"what it says of its run is incomplete ({error})", "It cannot be gone on with."
        ) from error
    plan = Plan(
        spec,
        spec.initial_state(),
        Goal(*content["goal"]),
        content["rounds"],
        folder,
        as_json,
        talk=not as_json and not quiet,
        llm=replace(calls, folder=folder, resume=True, **changed),
        runs=content.get("runs"),
        keep=content["keep"],
        workers=1,
        resumed=True,
    )
    plan.check()
    if plan.talk:
        output.complain("note", f"going on with {folder}")
    return plan
