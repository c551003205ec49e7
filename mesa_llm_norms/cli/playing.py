"""What ``run`` is about to play: said before, checked before, and concluded after.

Population rounds as they are played: a live table on a terminal, else a line per round.

One run of ``run``: played and shown round by round, drawn, and written.

The ensemble of ``run --runs``: played, here or in processes, summed up, and written.

Playing what is planned; what is cut short with live minds can be gone on with.
"""

from __future__ import annotations

import json
import shlex
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import output
from mesa_llm_norms.core.files import check_folder, finished_folder, new_folder
from mesa_llm_norms.core.formatting import percent
from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.core.stopping import Goal, check_goal, read_rounds
from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.simulation.backends import open_client
from mesa_llm_norms.simulation.ensemble import Ensemble, play_ensemble, start_run
from mesa_llm_norms.simulation.kernel import worthwhile
from mesa_llm_norms.simulation.results import write_ensemble, write_run
from mesa_llm_norms.simulation.spec import InitialState, Spec

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient


class Plan(NamedTuple):
    """What is to be played, and what becomes of it."""

    spec: Spec
    initial: InitialState
    goal: Goal
    rounds: int | None
    folder: Path | None
    as_json: bool
    talk: bool
    llm: LLMSettings
    runs: int | None
    """How many runs; None is one that is shown."""
    keep: bool
    """Whether the interactions of many runs are kept."""
    workers: int
    resumed: bool = False
    """Whether it goes on in a folder that is there."""

    def check(self) -> None:
        """Raise ``SpecError`` for what cannot be played or written, before anything is."""
        check_goal(self.goal, self.spec.committed_names)
        read_rounds(self.rounds, self.goal.until)
        if self.folder is not None and not self.resumed:
            check_folder(self.folder)

    @property
    def journal(self) -> Path:
        """Where the journal of live minds is, if there is one."""
        return (self.folder or Path()) / JOURNAL

    @property
    def journalled(self) -> dict[str, Any]:
        """What a journal holds beside the spec, for ``resume`` to play the same."""
        kept = asdict(self.llm)
        for name in ("folder", "resume"):
            del kept[name]
        prices = self.llm.prices
        return {
            "goal": list(self.goal),
            "rounds": self.rounds,
            "keep": self.keep,
            "calls": {**kept, "prices": str(Path(prices).absolute()) if prices else None},
        }


def introduce(plan: Plan) -> None:
    """Print what is to be played, in one line."""
    spec, runs = plan.spec, plan.runs
    many = f"{runs:,} runs of " if runs is not None else ""
    text = (
        f"{many}{len(plan.initial.neighbors):,} agents with {spec.mind_label} on {spec.topology}, "
        f"names {' '.join(spec.game.pool[:26])}{' ...' if len(spec.game.pool) > 26 else ''}, "
        f"seed {spec.seed}"
    )
    output.stdout().print(output.one_line(text), markup=False, soft_wrap=True)


def conclude(sentence: str, folder: Path | None, used: str | None = None) -> None:
    """Print how it ended, what calls were used, and what was written where."""
    console = output.stdout()
    console.print(sentence, markup=False, soft_wrap=True, style="bold")
    if used is not None:
        console.print(used, markup=False, soft_wrap=True)
    if folder is not None:
        output.list_folder(folder)


Watcher = Callable[[Round], None]


SHOWN = 12
"""How many rounds the live table holds."""


LEADERS = 4


BAR = 20


@contextmanager
def watching(wanted: bool, now: Callable[[], str | None] | None = None) -> Iterator[Watcher]:
    """Give what is told of every round, and shows it; or, where that is not wanted, is silent.

    ``now`` says what there is to say meanwhile, below the rounds, on a terminal.
    """
    if not wanted:
        yield lambda _: None
    elif output.stdout().is_terminal:
        with _live(now) as watcher:
            yield watcher
    else:
        with _lines() as watcher:
            yield watcher


@contextmanager
def _live(now: Callable[[], str | None] | None) -> Iterator[Watcher]:
    rounds: deque[Round] = deque(maxlen=SHOWN)

    def table() -> RenderableType:
        grid = Table(box=None, header_style="bold", pad_edge=False)
        grid.add_column("round", justify="right")
        grid.add_column("success rate", no_wrap=True)
        grid.add_column("names played most", no_wrap=True)
        for one in tuple(rounds):
            grid.add_row(f"{one.number + 1}", success(one), leaders(one))
        return grid if now is None else Group(grid, Text(now() or "", "dim"))

    with Live(get_renderable=table, console=output.stdout(), refresh_per_second=10):
        yield rounds.append


@contextmanager
def _lines() -> Iterator[Watcher]:
    """Print a line per round, of long runs every tenth and then every hundredth, and the last."""
    console = output.stdout()
    skipped: list[Round] = []

    def write(one: Round) -> None:
        line = Text.assemble(f"round {one.number + 1:>4}  ", success(one), "  ", leaders(one))
        console.print(line, soft_wrap=True)

    def watcher(one: Round) -> None:
        number = one.number + 1
        if number % (1 if number <= 40 else 10 if number <= 400 else 100) == 0:
            skipped.clear()
            write(one)
        else:
            skipped[:] = [one]

    yield watcher
    for one in skipped:
        write(one)


def success(one: Round) -> Text:
    """Return a round's success rate as a bar and a percentage."""
    full = round(one.success_rate * BAR)
    return Text.assemble(
        ("█" * full, "cyan"),
        ("░" * (BAR - full), "dim"),
        f" {percent(one.success_rate):>5}",
    )


def leaders(one: Round) -> Text:
    """Return the names played most in a round with their shares, the first in bold."""
    played = [name for name in one.shares if one.shares[name]]
    order = sorted(played, key=lambda name: -one.shares[name])
    text = Text()
    for place, name in enumerate(order[:LEADERS]):
        text.append(f"{name} {percent(one.shares[name])}", "" if place else "bold")
        text.append("  ")
    if len(order) > LEADERS:
        text.append(f"and {len(order) - LEADERS} more", "dim")
    return text


MOST_KEPT = 20_000
"""With more agents than this, single interactions are not kept."""


def run_one(plan: Plan) -> None:
    """Play one run, show its rounds, write its folder, and print how it ended."""
    spec, goal = plan.spec, plan.goal
    client = open_client(spec, plan.llm, {"run": 0, **plan.journalled})
    with closing(client) if client is not None else nullcontext():
        played = _play(plan, client)
    if plan.folder is not None:
        with finished_folder(plan.folder) if spec.live else new_folder(plan.folder) as inside:
            write_run(
                inside,
                spec,
                goal=goal,
                most=plan.rounds,
                rounds=played.rounds,
                rows=played.rows,
                outcome=played.outcome,
            )
            _draw(played, inside)
    if plan.as_json:
        typer.echo(json.dumps(output.run_object(played, plan.folder), ensure_ascii=False))
    else:
        conclude(
            output.run_sentence(played),
            plan.folder,
            output.usage_sentence(played.usage, played.discarded, played.skipped),
        )


def _play(plan: Plan, client: LLMClient | None = None) -> output.Run:
    spec, initial, goal = plan.spec, plan.initial, plan.goal
    agents = len(initial.neighbors)
    keep = agents <= MOST_KEPT
    if not keep and plan.folder is not None:
        output.complain(
            "note", f"interactions are not written, there are over {MOST_KEPT:,} agents"
        )
    most = read_rounds(plan.rounds, goal.until)
    game_run = start_run(spec, initial, "auto" if worthwhile(agents) else "python", client)
    rounds: list[Round] = []
    rows: list[Interaction] = []
    now = (lambda: output.usage_sentence(client.usage)) if client is not None else None
    with watching(plan.talk, now) as watcher:
        for one in game_run.each_round(goal, most, keep):
            rows += game_run.rows
            if one is not None:  # every interaction of a round may have been skipped
                rounds.append(one)
                watcher(one)
    return output.Run(
        spec,
        initial,
        goal,
        rounds,
        rows if keep else None,
        game_run.outcome,
        game_run.shares,
        game_run.names_held,
        client.usage if client is not None else None,
        game_run.engine.discarded,
        game_run.engine.skipped,
    )


def _draw(played: output.Run, folder: Path) -> None:
    from mesa_llm_norms import plots

    pool, graph = played.spec.game.pool, played.initial.graph
    if played.rounds:
        plots.save_figure(plots.plot_rounds(played.rounds, pool), folder / "rounds")
    if played.agents > plots.MOST_NODES:
        output.complain("note", f"the network is not drawn, it has over {plots.MOST_NODES:,} nodes")
        return
    minds = played.initial.minds_by_node
    committed = {node: it.name for node, it in minds.items() if isinstance(it, CommittedMind)}
    figure = plots.plot_network(to_networkx(graph), played.names_held, pool, committed)
    plots.save_figure(figure, folder / "network")


def run_many(plan: Plan, runs: int) -> None:
    """Play ``runs`` runs, write their folder, and print them in numbers."""
    _finish(plan, _play_ensemble(plan, runs))


def _play_ensemble(plan: Plan, runs: int) -> Ensemble:
    with output.progress("playing") as report:
        return play_ensemble(
            plan.spec,
            runs=runs,
            goal=plan.goal,
            rounds=plan.rounds,
            workers=plan.workers,
            keep_interactions=plan.keep,
            progress=partial(report, "runs"),
            llm=plan.llm,
            content=plan.journalled,
        )


def _finish(plan: Plan, ensemble: Ensemble) -> None:
    goal, folder = plan.goal, plan.folder
    if folder is not None:
        from mesa_llm_norms import plots

        pool = plan.spec.game.pool
        with finished_folder(folder) if plan.spec.live else new_folder(folder) as inside:
            write_ensemble(inside, ensemble, goal=goal, most=plan.rounds)
            if len(ensemble.rounds):
                figure = plots.plot_ensemble(ensemble.runs, ensemble.rounds, pool)
                plots.save_figure(figure, inside / "ensemble")
    if plan.as_json:
        found = output.ensemble_object(ensemble, goal)
        typer.echo(json.dumps(found, ensure_ascii=False))
        if folder is not None:
            output.complain("note", f"written to {folder}")
        return
    if plan.talk:
        output.stdout().print(output.ensemble_table(ensemble, goal))
    used = output.usage_sentence(ensemble.usage, ensemble.discarded, ensemble.skipped)
    conclude(output.ensemble_sentence(ensemble, goal), folder, used)


def play(plan: Plan) -> None:
    """Play one run or many, as the plan says."""
    if plan.talk:
        introduce(plan)
    with _telling_how_to_go_on(plan):
        if plan.runs is None:
            run_one(plan)
        else:
            run_many(plan, plan.runs)


@contextmanager
def _telling_how_to_go_on(plan: Plan) -> Iterator[None]:
    try:
        yield
    except (NormsError, KeyboardInterrupt):
        if plan.llm.folder is not None and plan.journal.exists():
            command = f"mesa-llm-norms resume {shlex.quote(str(plan.folder))}"
            output.complain("note", f"every reply so far is kept; go on with: {command}")
        raise
