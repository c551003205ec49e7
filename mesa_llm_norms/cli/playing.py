"""What ``run`` and ``resume`` do with a plan: play it, show it, write its folder, sum it up."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mesa_llm_norms.cli import output
from mesa_llm_norms.core.files import check_folder
from mesa_llm_norms.core.formatting import percent
from mesa_llm_norms.core.game import SUCCESS_RATE, success_label
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.core.stopping import Goal, check_goal, read_rounds
from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.llm.addresses import is_known
from mesa_llm_norms.llm.budget import own_prices
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.simulation.backends import open_client
from mesa_llm_norms.simulation.ensemble import Ensemble, SingleRun, play_ensemble
from mesa_llm_norms.simulation.node_table import MOST_EDGES, NETWORK, NODES
from mesa_llm_norms.simulation.results import write_ensemble, write_run
from mesa_llm_norms.simulation.run_record import RunRecord
from mesa_llm_norms.simulation.spec import InitialState, Spec

MOST_KEPT = 20_000
"""Agents above which single interactions are not kept."""

ROUNDS_SHOWN = 12
"""Rounds in the live table."""

LEADERS = 4
"""Names shown for each round."""

BAR = 20
"""Characters of the bar that shows a success rate."""

Watcher = Callable[[Round], None]


class Plan(NamedTuple):
    """What is to be played, and what is done with the results.

    ``initial`` is the state that run 0 starts from, ``rounds`` the most population rounds, and
    ``runs`` is None for a single run, which is shown round by round. ``keep`` and ``workers`` are
    about many runs. ``talk`` says that more than the outcome is printed, ``resumed`` that the
    folder holds the journal of a run to be resumed.
    """

    spec: Spec
    initial: InitialState
    goal: Goal
    rounds: int | None
    folder: Path | None
    llm: LLMSettings
    runs: int | None
    keep: bool
    workers: int
    as_json: bool
    talk: bool
    resumed: bool = False

    def check(self) -> None:
        """Raise ``SpecError`` for what cannot be played or written, before anything is."""
        check_goal(self.goal, self.spec.committed_names)
        read_rounds(self.rounds, self.goal.until)
        if self.folder is not None and not self.resumed:
            check_folder(self.folder)

    @property
    def journal_content(self) -> dict[str, Any]:
        """What a journal holds beside the spec, so that ``resume`` can play the same."""
        settings = asdict(replace(self.llm, folder=None, addresses=()))
        for name in ("folder", "resume", "addresses"):
            del settings[name]
        if self.llm.prices is not None:
            settings["prices"] = own_prices(self.llm.prices).as_json()
        how = {"goal": list(self.goal), "rounds": self.rounds, "keep": self.keep}
        return {**how, "llm": settings}


def play(plan: Plan) -> None:
    """Play one run or many, write their folder, and print the outcome."""
    if plan.talk:
        many = f"{plan.runs:,} runs of " if plan.runs is not None else ""
        heading = plan.spec.heading(len(plan.initial.neighbors))
        output.say(output.one_line(f"{many}{heading}"))
    with _resume_hint(plan), _recording(plan) as record:
        played = _play_one(plan, record) if plan.runs is None else _play_many(plan, plan.runs)
        output.finish(
            plan.folder,
            partial(_write, plan, played, record),
            partial(_draw, plan, played),
            partial(_report, plan, played),
            live=plan.spec.live,
        )


def _play_one(plan: Plan, record: RunRecord | None) -> output.Run:
    spec, goal = plan.spec, plan.goal
    if record is not None and not record.keeps_rows:
        text = f"interactions are not written: there are over {MOST_KEPT:,} agents"
        output.complain("note", text)
    most = read_rounds(plan.rounds, goal.until)
    client = open_client(spec, plan.llm, {"run": 0, **plan.journal_content})
    rounds: list[Round] = []
    with closing(client) if client is not None else nullcontext():
        playing = SingleRun(spec, plan.initial, goal, most, record, client)
        usage = (lambda: output.usage_sentence(client.usage)) if client is not None else None
        with _watching(plan.talk, usage, success_label(spec.game)) as watch:
            for one in playing:
                if one is not None:  # every interaction of a round may have been skipped
                    rounds.append(one)
                    watch(one)
    run = playing.run
    ended = plan.initial._replace(neighbors=run.engine.neighbors)
    if record is not None:
        record.initial = ended
    return output.Run(
        spec,
        ended,
        goal,
        rounds,
        run.outcome,
        run.shares,
        run.names_held,
        client.usage if client is not None else None,
        run.engine.discarded,
        run.engine.skipped,
    )


@contextmanager
def _recording(plan: Plan) -> Iterator[RunRecord | None]:
    """Give what takes in the rows of a single run that has a folder."""
    if plan.folder is None or plan.runs is not None:
        yield None
        return
    kept = len(plan.initial.neighbors) <= MOST_KEPT
    with closing(RunRecord(plan.initial, plan.folder if kept else None)) as record:
        yield record


def _play_many(plan: Plan, runs: int) -> Ensemble:
    with output.progress("playing") as report:
        return play_ensemble(
            plan.spec,
            runs=runs,
            goal=plan.goal,
            rounds=plan.rounds,
            workers=plan.workers,
            keep_interactions=plan.keep,
            keep_nodes=plan.folder is not None,
            progress=partial(report, "runs"),
            llm=plan.llm,
            content=plan.journal_content,
        )


def _write(
    plan: Plan, played: output.Run | Ensemble, record: RunRecord | None, folder: Path
) -> None:
    """Write the spec and the tables of what was played."""
    if isinstance(played, Ensemble):
        write_ensemble(folder, played, goal=plan.goal, most=plan.rounds)
    else:
        assert record is not None
        write_run(
            folder,
            plan.spec,
            goal=plan.goal,
            most=plan.rounds,
            rounds=played.rounds,
            record=record,
            outcome=played.outcome,
        )
    if (folder / NODES).exists() and not (folder / NETWORK).exists():
        output.complain("note", f"{NETWORK} is not written: there are over {MOST_EDGES:,} edges")


def _draw(plan: Plan, played: output.Run | Ensemble, folder: Path) -> None:
    """Write the figures of what was played."""
    from mesa_llm_norms import plots

    pool, success = plan.spec.game.pool, success_label(plan.spec.game)
    if isinstance(played, Ensemble):
        if len(played.rounds):
            event = "agreed" if plan.goal.until == "agreed" else "converged"
            figure = plots.plot_ensemble(played.runs, played.rounds, pool, event, success)
            plots.save_figure(figure, folder / "ensemble")
        return
    if played.rounds:
        plots.save_figure(plots.plot_rounds(played.rounds, pool, success), folder / "rounds")
    if played.agents > plots.MOST_NODES:
        output.complain("note", f"the network is not drawn: it has over {plots.MOST_NODES:,} nodes")
        return
    minds = plan.initial.minds_by_node
    committed = {node: it.name for node, it in minds.items() if isinstance(it, CommittedMind)}
    graph = to_networkx(plan.initial.graph)
    if plan.spec.rewire is not None:
        neighbors = played.initial.neighbors
        graph = nx.create_empty_copy(graph)
        graph.add_edges_from((neighbors.nodes[a], neighbors.nodes[b]) for a, b in neighbors.edges)
    figure = plots.plot_network(graph, played.names_held, pool, committed)
    plots.save_figure(figure, folder / "network")


def _report(plan: Plan, played: output.Run | Ensemble) -> None:
    """Print what came out, as JSON or in words."""
    if isinstance(played, Ensemble):
        found = output.ensemble_object(played, plan.goal)
        sentence = output.ensemble_sentence(played, plan.goal)
    else:
        found, sentence = output.run_object(played, plan.folder), output.run_sentence(played)
    if plan.as_json:
        output.print_json(found)
        if plan.folder is not None and isinstance(played, Ensemble):
            output.complain("note", f"results are in {plan.folder}")
        return
    if plan.talk and isinstance(played, Ensemble):
        output.print_ensemble(played, plan.goal)
    output.say(sentence, "bold")
    usage = output.usage_sentence(played.usage, played.discarded, played.skipped)
    if usage is not None:
        output.say(usage)
    if plan.folder is not None:
        output.list_folder(plan.folder)


@contextmanager
def _resume_hint(plan: Plan) -> Iterator[None]:
    """Say how to resume a live run if it is interrupted within the block."""
    try:
        yield
    except (NormsError, KeyboardInterrupt):
        if plan.llm.folder is not None and (Path(plan.llm.folder) / JOURNAL).exists():
            command = f"mesa-llm-norms resume {shlex.quote(str(plan.folder))}"
            providers = [mind.provider for mind in plan.spec.minds if isinstance(mind, LiveMind)]
            places = dict.fromkeys(one.place for one in providers if not is_known(one))
            command += "".join(f" --address {shlex.quote(place)}" for place in places)
            output.complain("note", f"all replies so far are saved; resume with: {command}")
        raise


@contextmanager
def _watching(
    wanted: bool, usage: Callable[[], str | None] | None, success: str
) -> Iterator[Watcher]:
    """Give a function that shows a round: in a table on a terminal, else as a line.

    ``usage`` returns what stands below the table, ``success`` says what the rate is called.
    """
    if not wanted:
        yield lambda _: None
    elif output.stdout().is_terminal:
        rounds: deque[Round] = deque(maxlen=ROUNDS_SHOWN)
        table = partial(_table, rounds, usage, success)
        with Live(get_renderable=table, console=output.stdout(), refresh_per_second=10):
            yield rounds.append
    else:
        with _lines(success) as watch:
            yield watch


def _table(
    rounds: deque[Round], usage: Callable[[], str | None] | None, success: str
) -> RenderableType:
    grid = Table(box=None, header_style="bold", pad_edge=False)
    grid.add_column("round", justify="right")
    grid.add_column(success, no_wrap=True)
    grid.add_column("names played most", no_wrap=True)
    for one in tuple(rounds):
        grid.add_row(f"{one.number + 1}", _success(one), _leaders(one))
    return grid if usage is None else Group(grid, Text(usage() or "", "dim"))


@contextmanager
def _lines(success: str) -> Iterator[Watcher]:
    """Print every round of short runs, every 10th and then 100th of long ones, and the last."""
    console = output.stdout()
    skipped: list[Round] = []
    said = f" {success}" * (success != SUCCESS_RATE)

    def watch(one: Round, last: bool = False) -> None:
        number = one.number + 1
        if not last and number % (1 if number <= 40 else 10 if number <= 400 else 100):
            skipped[:] = [one]
            return
        skipped.clear()
        line = Text.assemble(f"round {number:>4}  ", _success(one), said, "  ", _leaders(one))
        line.rstrip()
        console.print(line, soft_wrap=True)

    yield watch
    if skipped:
        watch(skipped[0], last=True)


def _success(one: Round) -> Text:
    """Return a round's success rate as a bar and a percentage."""
    full = round(one.success_rate * BAR)
    return Text.assemble(
        ("█" * full, "cyan"), ("░" * (BAR - full), "dim"), f" {percent(one.success_rate):>5}"
    )


def _leaders(one: Round) -> Text:
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
