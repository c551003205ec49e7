"""``mesa-llm-norms run`` and ``resume``: play a population, or continue an interrupted live run."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from mesa_llm_norms.cli import options, output
from mesa_llm_norms.cli.live import announce, print_forecast, print_prompts
from mesa_llm_norms.cli.options import GAME, OUTPUT, RUNS, STOPPING, TOPOLOGY, option
from mesa_llm_norms.cli.playing import Plan, play
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import SPEC, is_free
from mesa_llm_norms.core.stopping import WINDOW, Goal
from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.simulation.results import default_folder
from mesa_llm_norms.simulation.serialization import from_json
from mesa_llm_norms.simulation.spec import DEFAULT_GRAPH, STUDY_GRAPH, Spec
from mesa_llm_norms.simulation.typed import parse_spec


@dataclass(frozen=True, kw_only=True)
class GameOptions:
    """The arguments of the game as typed."""

    topology: Annotated[
        str | None,
        option(
            GAME,
            f"{options.TOPOLOGY_TEXT} Default: a small world for one run, {DEFAULT_GRAPH}; the "
            f"study's complete graph for --runs, {STUDY_GRAPH}.",
            *TOPOLOGY,
        ),
    ] = None
    game: options.OtherGame = None
    names: options.Names = Spec.names
    mind: options.Minds = None
    minds_by_node: Annotated[
        Path | None,
        option(GAME, 'JSON file with the mind of every node: {"0": "claude-3.5-sonnet", ...}.'),
    ] = None
    persona: Annotated[
        str | None,
        option(GAME, "What agents with live minds are told of who they are, before the rules."),
    ] = None
    personas_by_node: Annotated[
        Path | None,
        option(GAME, 'JSON file with the personas of nodes: {"0": "You are a farmer.", ...}.'),
    ] = None
    pairing: options.PairingRule = Spec.pairing
    memory: options.Memory = Spec.memory
    reward: options.Reward = Spec.reward
    penalty: options.Penalty = Spec.penalty
    incumbent: Annotated[
        str | None, option(GAME, "Convention that every agent remembers at the start.")
    ] = None
    committed: Annotated[
        list[str] | None,
        option(
            GAME,
            "Agents that always play one name: M=5, M=10% of the agents (or 0.1), M=5:hubs (or "
            r"another placement, see [b]tip --placement[/b]), or M=\[0,1,2] for nodes. With "
            ":noise=10% they sometimes play another name, with :until=20 only before that "
            "population round. May be repeated.",
        ),
    ] = None
    rewire: Annotated[
        str | None,
        option(
            GAME,
            "Drop an edge for a new one after so many misses in a row: 3, or 3:0.5 to do so with "
            "probability 0.5. Default: the network stays as it is.",
        ),
    ] = None

    def spec(
        self,
        seed: int,
        runs: int | None,
        load: Callable[[str], Any],
        files: options.FileOptions,
    ) -> Spec:
        """Return the spec these stand for; ``load`` makes a mind of each name."""
        usual = DEFAULT_GRAPH if runs is None else STUDY_GRAPH
        (topology,) = files.apply(self.topology or usual)
        typed = {**vars(self), "topology": topology}
        return parse_spec(**typed, seed=seed, load=load)


@options.expanded
def run(
    *,
    game: GameOptions,
    until: Annotated[
        str,
        option(
            STOPPING,
            "converged (the last interactions matched), agreed (95% hold and play one name), "
            "flipped (a committed name took over), or none (then give --rounds).",
        ),
    ] = "converged",
    rounds: options.Rounds = None,
    window: options.Window = WINDOW,
    threshold: options.Threshold = 1.0,
    runs: Annotated[
        int | None,
        option(
            RUNS,
            "Number of runs, summed up at the end. Default: one run, shown.",
            limit=limits.RUNS,
        ),
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
    files: options.FileOptions,
    live: options.LiveOptions,
) -> None:
    """Play the naming game or another, and see whether a convention emerges.

    A single run is shown round by round; --runs sums up many. Both write a folder with the spec,
    the tables as Parquet, and figures. With live minds the folder also holds a journal, from the
    start: [b]mesa-llm-norms resume[/b] continues an interrupted run without repeating a call.

    [b]Examples[/b]

    mesa-llm-norms run

    mesa-llm-norms run --names QM --mind llama-2-70b-chat -t "ring(n=12)"

    mesa-llm-norms run --names QM --incumbent Q --committed M=9 --until flipped

    mesa-llm-norms run --names QM --incumbent Q --committed M=6:k-core:noise=10%:until=20

    mesa-llm-norms run --mind claude-3.5-sonnet=0.7 --mind llama-2-70b-chat=0.3

    mesa-llm-norms run --names QM --runs 400 --seed 1 --json

    mesa-llm-norms run --names QM -t "barabasi_albert(n=96, m=1)" --runs 100 --until agreed

    mesa-llm-norms run --mind classical -t "karate()" --runs 200 --until agreed

    mesa-llm-norms run -t polblogs.gml --read directed=false --clean

    mesa-llm-norms run --game anti_coordination -t "ring(n=24)" --runs 100 --rounds 20

    mesa-llm-norms run --game "public_goods(factor=2)" --pairing neighborhood --rounds 9

    mesa-llm-norms run --names QM --mind claude:claude-haiku-5-5 --forecast

    mesa-llm-norms run --names QM --mind claude:claude-haiku-5-5 --budget-usd 1
    """
    spec = game.spec(options.read_seed(seed), runs, live.mind_reader(), files)
    if spec.whole_game is not None:
        runs = runs or 1
    if show_prompt:
        print_prompts(spec)
        return
    initial = spec.initial_state()
    folder = None if no_files else out or default_folder(spec, len(initial.neighbors), runs)
    plan = Plan(
        spec,
        initial,
        Goal(None if until.lower() == "none" else until, window, threshold),
        rounds,
        folder,
        live.calls(folder if spec.live else None),
        runs,
        keep_interactions,
        workers,
        as_json,
        talk=not as_json and not quiet,
    )
    plan.check()
    if live.forecast:
        print_forecast(plan)
    else:
        announce(spec.minds, plan.llm, quiet=quiet)
        play(plan)


@options.expanded
def resume(
    folder: Annotated[Path, typer.Argument(help="Folder of the run.", metavar="FOLDER")],
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    max_tokens: options.MaxTokens = None,
    *,
    live: options.CallOptions,
) -> None:
    """Resume a run with live minds that was interrupted, killed, or out of budget.

    What its journal holds is replayed without a call; from there the run continues as it would
    have. Options that are omitted stay as they were; budgets include what was used before.

    [b]Examples[/b]

    mesa-llm-norms resume runs/claude-claude-haiku-5-5-watts_strogatz-24-seed7

    mesa-llm-norms resume runs/first --budget-usd 5

    mesa-llm-norms resume runs/first --max-tokens 8000
    """
    talk = not as_json and not quiet
    plan = _plan_of(folder, live.given, as_json, talk=talk, max_tokens=max_tokens)
    plan.check()
    if not quiet:
        prices = "" if plan.llm.prices is None or live.prices else ", at the prices kept in it"
        output.complain("note", f"resuming {folder}, {_budget_left(plan.llm)}{prices}")
    command = f"mesa-llm-norms resume {shlex.quote(str(folder))}"
    announce(plan.spec.minds, plan.llm, command, quiet=quiet)
    play(plan)


def _budget_left(llm: LLMSettings) -> str:
    """Return in words what a run that is resumed may still use."""
    assert llm.folder is not None
    with Journal.read(Path(llm.folder) / JOURNAL) as journal:
        used = journal.usage()
    budgets = {
        "calls": (llm.budget_calls, used.calls),
        "tokens": (llm.budget_tokens, used.tokens),
        "US dollars": (llm.budget_usd, used.cost),
    }
    left = [
        f"{max(0, limit - spent):,.6g} of {limit:,.6g} {what}"
        for what, (limit, spent) in budgets.items()
        if limit is not None
    ]
    return f"with {' and '.join(left)} left" if left else "without a budget"


def _plan_of(
    folder: Path,
    changed: dict[str, Any],
    as_json: bool,
    talk: bool,
    max_tokens: int | None,
) -> Plan:
    """Return the plan in the journal of a folder, with some LLM settings changed."""
    path = folder / JOURNAL
    if is_free(folder):
        raise JournalError(
            path,
            "its run was ended before it began",
            f"Start it again, with --out {folder}.",
        )
    with Journal.read(path) as journal:
        content = journal.spec
    if "goal" not in content:
        raise JournalError(
            path,
            "its run was started from Python",
            "Resume it there: NamingGame.resume(folder), or run_ensemble with "
            "llm=LLMSettings(folder=..., resume=True).",
        )
    if (folder / SPEC).exists():
        raise JournalError(path, "its run is complete", "The results are in the same folder.")
    try:
        spec = from_json(_with_max_tokens(content["spec"], max_tokens))
        # A folder cannot confirm the addresses in it.
        settings = {**content["llm"], "addresses": (), **changed, "folder": folder, "resume": True}
        unknown = sorted(settings.keys() - {field.name for field in fields(LLMSettings)})
        if unknown:
            raise JournalError(
                path,
                f"its run has a setting that this version does not know: {', '.join(unknown)}",
                "Resume it with the version that started it.",
            )
        return Plan(
            spec,
            spec.initial_state(),
            Goal(*content["goal"]),
            content["rounds"],
            folder,
            LLMSettings(**settings),
            content.get("runs"),
            content["keep"],
            1,
            as_json,
            talk,
            resumed=True,
        )
    except (KeyError, TypeError) as error:
        raise JournalError(
            path, f"it does not say how to play its run ({error})", "It cannot be resumed."
        ) from error


def _with_max_tokens(written: Any, most: int | None) -> Any:
    """Return a spec as it is written, with this option of all its live minds if it is given."""
    if most is None or not isinstance(written, (dict, list)):
        return written
    if isinstance(written, list):
        return [_with_max_tokens(part, most) for part in written]
    changed = {key: _with_max_tokens(part, most) for key, part in written.items()}
    if "template" in written and isinstance(written.get("options"), dict):
        changed["options"] = {**written["options"], "max_tokens": most}
    return changed
