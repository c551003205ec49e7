"""``mesa-llm-norms run`` and ``resume``: play a population, or continue an interrupted live run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import print_forecast, print_prompts
from mesa_llm_norms.cli.options import GAME, OUTPUT, RUNS, STOPPING, TOPOLOGY, option
from mesa_llm_norms.cli.playing import Plan, play
from mesa_llm_norms.core.files import SPEC
from mesa_llm_norms.core.stopping import WINDOW, Goal
from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.llm.journal import Journal
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.simulation.results import default_folder
from mesa_llm_norms.simulation.serialization import from_json, parse_spec
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH, DEFAULT_NAMES, STUDY_GRAPH


@options.expanded
def run(
    topology: Annotated[
        str | None,
        option(
            GAME,
            "Topology (see mesa-llm-norms topologies) or graph file. Default: a small world for "
            f"one run, {DEFAULT_GRAPH}; the study's complete graph for --runs, {STUDY_GRAPH}.",
            *TOPOLOGY,
        ),
    ] = None,
    names: options.Names = DEFAULT_NAMES,
    mind: options.Minds = None,
    minds_by_node: Annotated[
        Path | None,
        option(GAME, 'JSON file with the mind of every node: {"0": "claude-3.5-sonnet", ...}.'),
    ] = None,
    pairing: options.PairingRule = "node",
    memory: options.Memory = 5,
    reward: options.Reward = 100,
    penalty: options.Penalty = -50,
    incumbent: Annotated[
        str | None, option(GAME, "Convention that every agent remembers at the start.")
    ] = None,
    committed: Annotated[
        list[str] | None,
        option(
            GAME,
            "Agents that always play one name: M=5, M=10% of the agents (or 0.1), M=5:hubs (or "
            r"random, periphery, cluster), or M=\[0,1,2] for nodes. May be repeated.",
        ),
    ] = None,
    until: Annotated[
        str,
        option(
            STOPPING,
            "converged (the last interactions matched), flipped (a committed name took over), or "
            "none (then give --rounds).",
        ),
    ] = "converged",
    rounds: options.Rounds = None,
    window: options.Window = WINDOW,
    threshold: options.Threshold = 1.0,
    runs: Annotated[
        int | None,
        option(RUNS, "Number of runs, summed up at the end. Default: one run, shown.", min=1),
    ] = None,
    seed: options.Seed = None,
    workers: options.Workers = 1,
    out: Annotated[
        Path | None, option(OUTPUT, "New folder for the results. Default: a new one in runs/.")
    ] = None,
    keep_interactions: Annotated[
        bool,
        option(
            OUTPUT,
            "Also write the interactions of --runs (those of a single run always are).",
            "--keep-interactions",
        ),
    ] = False,
    no_files: Annotated[bool, option(OUTPUT, "Write no folder.", "--no-files")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    show_prompt: options.ShowPrompt = False,
    *,
    live: options.LiveOptions,
) -> None:
    """Play the naming game, and see whether a convention emerges.

    A single run is shown round by round; --runs sums up many. Both write a folder with the spec,
    the tables as Parquet, and figures. With live minds the folder also holds a journal, from the
    start: [b]mesa-llm-norms resume[/b] continues an interrupted run without repeating a call.

    [b]Examples[/b]

    mesa-llm-norms run --names QM --mind llama-2-70b-chat --topology "ring(n=12)" --seed 7

    mesa-llm-norms run --names QM --incumbent Q --committed M=8:hubs --until flipped --runs 400
    """
    spec = parse_spec(
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
        seed=options.read_seed(seed),
        load=live.mind_reader(),
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


@options.expanded
def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="FOLDER")],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    *,
    live: options.CallOptions,
) -> None:
    """Resume a run with live minds that was interrupted, killed, or out of budget.

    What its journal holds is replayed without a call; from there the run continues as it would
    have. Options that are omitted stay as they were; budgets include what was used before.

    [b]Examples[/b]

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
        spec = from_json(content["spec"])
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
