"""``mesa-llm-norms run``: one run shown round by round, or many in numbers."""

from __future__ import annotations

import json
import secrets
import signal
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mesa_llm_norms.cli import outcome, terminal
from mesa_llm_norms.cli.arguments import read_spec
from mesa_llm_norms.cli.watch import watching
from mesa_llm_norms.course import WINDOW, Goal, read_rounds
from mesa_llm_norms.draws import MASK
from mesa_llm_norms.ensemble import Ensemble, play_ensemble, start_course
from mesa_llm_norms.ensemble import Progress as Report
from mesa_llm_norms.errors import GraphWarning, SpecError
from mesa_llm_norms.minds import DEFAULT_MIND, CommittedMind
from mesa_llm_norms.recording import (
    check_folder,
    default_folder,
    new_folder,
    write_ensemble,
    write_run,
)
from mesa_llm_norms.spec import DEFAULT_GRAPH, DEFAULT_NAMES, STUDY_GRAPH, Seating, Spec

PATIENCE = 2.0
"""Seconds after which an ensemble shows a progress bar."""

_GAME, _CHANCE, _ENDING, _OUTPUT = "The game", "Runs and chance", "When a run ends", "Output"


class Plan(NamedTuple):
    """What is to be played, and what becomes of it."""

    spec: Spec
    seating: Seating
    goal: Goal
    rounds: int | None
    folder: Path | None
    as_json: bool
    talk: bool

    def check(self) -> None:
        """Raise ``SpecError`` for what cannot be played or written, before anything is."""
        start_course(self.spec, self.seating).aim(*self.goal)
        read_rounds(self.rounds, self.goal.until)
        if self.folder is not None:
            check_folder(self.folder)


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
            help="Who always plays one name: M=5, M=5:hubs (or random, periphery, cluster), or "
            r"M=\[0,1,2] for nodes. May be given for several names.",
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
) -> None:
    """Let a population play the naming game, and see whether a convention emerges.

    One run is shown round by round; with --runs, many are summed up. Either leaves a folder with
    the spec, the tables as Parquet, and figures.

    [b]Examples[/b]

    mesa-llm-norms run

    mesa-llm-norms run --mind llama-2-70b-chat --names QM --topology "ring(n=12)"

    mesa-llm-norms run --names QM --incumbent Q --committed M=8:hubs --until flipped

    mesa-llm-norms run --mind claude-3.5-sonnet=0.5 --mind llama-3-70b-instruct=0.5

    mesa-llm-norms run --names QM --runs 400 --seed 1 --json
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
    )
    seating = spec.seat()
    goal = Goal(None if until.lower() == "none" else until, window, threshold)
    folder = None if no_files else out or default_folder(spec, len(seating.minds), runs)
    plan = Plan(spec, seating, goal, rounds, folder, as_json, talk=not as_json and not quiet)
    plan.check()
    if plan.talk:
        _introduce(plan, runs)
    if runs is None:
        _run_one(plan)
    else:
        _finish_many(plan, _play_many(plan, runs, workers, keep_interactions))


def _read_seed(seed: int | None) -> int:
    if seed is None:
        return secrets.randbelow(1_000_000)
    if not 0 <= seed <= MASK:
        raise SpecError("seed", seed, f"{seed} is no seed", "Use 0 to 2**64 - 1.")
    return seed


def _introduce(plan: Plan, runs: int | None) -> None:
    spec = plan.spec
    many = f"{runs:,} runs of " if runs is not None else ""
    text = (
        f"{many}{len(plan.seating.minds):,} agents with {spec.mind_label} on {spec.topology}, "
        f"names {' '.join(spec.game.pool[:26])}{' ...' if len(spec.game.pool) > 26 else ''}, "
        f"seed {spec.seed}"
    )
    terminal.stdout().print(terminal.one_line(text), markup=False, soft_wrap=True)


def _run_one(plan: Plan) -> None:
    spec, seating, goal = plan.spec, plan.seating, plan.goal
    most = read_rounds(plan.rounds, goal.until)
    course = start_course(spec, seating)
    course.aim(*goal)
    played = outcome.Run(spec, seating, goal, [], [], course.outcome)
    with watching(plan.talk) as watcher:
        while len(played.rounds) < most and not (played.rounds and course.reached):
            played.rows.extend(course.play_round())
            assert course.last_round is not None
            played.rounds.append(course.last_round)
            watcher(course.last_round)
    played = played._replace(outcome=course.outcome)
    if plan.folder is not None:
        with new_folder(plan.folder) as inside:
            write_run(
                inside,
                spec,
                goal=goal,
                most=plan.rounds,
                rounds=played.rounds,
                rows=played.rows,
                outcome=played.outcome,
            )
            _draw_one(played, inside)
    if plan.as_json:
        typer.echo(json.dumps(outcome.run_object(played, plan.folder), ensure_ascii=False))
    else:
        _conclude(outcome.run_sentence(played), plan.folder)


def _draw_one(played: outcome.Run, folder: Path) -> None:
    from mesa_llm_norms import plots

    pool, graph = played.spec.game.pool, played.seating.graph
    if played.rounds:
        plots.save_figure(plots.plot_rounds(played.rounds, pool), folder / "rounds")
    if len(graph) > plots.MOST_NODES:
        terminal.complain(
            "note", f"the network is not drawn, it has over {plots.MOST_NODES:,} nodes"
        )
        return
    minds = played.seating.minds
    committed = {node: it.name for node, it in minds.items() if isinstance(it, CommittedMind)}
    figure = plots.plot_network(graph, played.names_held, pool, committed)
    plots.save_figure(figure, folder / "network")


def _play_many(plan: Plan, runs: int, workers: int, keep: bool) -> Ensemble:
    with ExitStack() as stack:
        report = stack.enter_context(_progress())
        executor = stack.enter_context(_worker_pool(workers)) if workers > 1 else None
        return play_ensemble(
            plan.spec,
            runs=runs,
            goal=plan.goal,
            rounds=plan.rounds,
            workers=workers,
            executor=executor,
            keep_interactions=keep,
            progress=report,
        )


def _finish_many(plan: Plan, ensemble: Ensemble) -> None:
    goal, folder = plan.goal, plan.folder
    if folder is not None:
        from mesa_llm_norms import plots

        pool = plan.spec.game.pool
        with new_folder(folder) as inside:
            write_ensemble(inside, ensemble, goal=goal, most=plan.rounds)
            if len(ensemble.rounds):
                figure = plots.plot_ensemble(ensemble.runs, ensemble.rounds, pool)
                plots.save_figure(figure, inside / "ensemble")
    if plan.as_json:
        found = outcome.ensemble_object(ensemble, goal)
        typer.echo(json.dumps(found, ensure_ascii=False))
        if folder is not None:
            terminal.complain("note", f"written to {folder}")
        return
    if plan.talk:
        terminal.stdout().print(outcome.ensemble_table(ensemble, goal))
    _conclude(outcome.ensemble_sentence(ensemble, goal), folder)


def _conclude(sentence: str, folder: Path | None) -> None:
    console = terminal.stdout()
    console.print(sentence, markup=False, soft_wrap=True, style="bold")
    if folder is not None:
        terminal.list_folder(console, folder)


@contextmanager
def _progress() -> Iterator[Report]:
    """Give what is told of runs done, and shows a bar on a terminal once it takes a while."""
    console, started = terminal.stderr(), time.monotonic()
    columns = (TextColumn("runs"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True)
    task: Any = None

    def report(done: int, total: int) -> None:
        nonlocal task
        if task is None and console.is_terminal and time.monotonic() - started > PATIENCE:
            bar.start()
            task = bar.add_task("runs", total=total)
        if task is not None:
            bar.update(task, completed=done)

    try:
        yield report
    finally:
        if task is not None:
            bar.stop()


@contextmanager
def _worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Give processes that leave warnings and interrupts to this one, and end with it at once."""
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_prepare_worker
    )
    before = set(active_children())
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(active_children()) - before:
            process.terminate()
        raise
    pool.shutdown()


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore", GraphWarning)
