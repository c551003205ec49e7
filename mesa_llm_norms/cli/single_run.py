"""One run of ``run``: played and shown round by round, drawn, and written."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mesa_llm_norms.cli import outcome, terminal
from mesa_llm_norms.cli.plan import Plan, conclude
from mesa_llm_norms.cli.watch import watching
from mesa_llm_norms.course import read_rounds
from mesa_llm_norms.ensemble import start_course
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.kernel import worthwhile
from mesa_llm_norms.metrics import Round
from mesa_llm_norms.minds import CommittedMind
from mesa_llm_norms.recording import finished_folder, new_folder, write_run
from mesa_llm_norms.saved import save
from mesa_llm_norms.topologies import to_networkx

if TYPE_CHECKING:
    from mesa_llm_norms.minds.live.session import Session

MOST_KEPT = 20_000
"""With more agents than this, single interactions are not kept."""


def run_one(plan: Plan) -> None:
    """Play one run, show its rounds, write its folder, and print how it ended."""
    spec, goal = plan.spec, plan.goal
    if spec.live:
        from mesa_llm_norms.minds.live.session import Session

        kept = plan.calls.folder is not None
        content = {"spec": save(spec), "run": 0, **plan.journalled} if kept else {}
        with closing(Session(plan.calls, content)) as session:
            played = _play(plan, session)
    else:
        played = _play(plan)
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
        typer.echo(json.dumps(outcome.run_object(played, plan.folder), ensure_ascii=False))
    else:
        conclude(
            outcome.run_sentence(played),
            plan.folder,
            outcome.used(played.usage, played.discarded, played.voided),
        )


def _play(plan: Plan, session: Session | None = None) -> outcome.Run:
    spec, seating, goal = plan.spec, plan.seating, plan.goal
    agents = len(seating.contacts)
    keep = agents <= MOST_KEPT
    if not keep and plan.folder is not None:
        terminal.complain(
            "note", f"interactions are not written, there are over {MOST_KEPT:,} agents"
        )
    most = read_rounds(plan.rounds, goal.until)
    course = start_course(spec, seating, "auto" if worthwhile(agents) else "python", session)
    course.aim(goal)
    rounds: list[Round] = []
    rows: list[Interaction] = []
    now = (lambda: outcome.used(session.usage)) if session is not None else None
    with watching(plan.talk, now) as watcher, course.engine.looking_ahead(most):
        for _ in range(most):
            last = course.play(1, keep).last
            rows += course.rows
            if last is not None:  # every interaction of a round may have been void
                rounds.append(last)
                watcher(last)
            if course.reached:
                break
    return outcome.Run(
        spec,
        seating,
        goal,
        rounds,
        rows if keep else None,
        course.outcome,
        course.shares,
        course.names_held,
        session.usage if session is not None else None,
        course.engine.discarded,
        course.engine.voided,
    )


def _draw(played: outcome.Run, folder: Path) -> None:
    from mesa_llm_norms import plots

    pool, graph = played.spec.game.pool, played.seating.graph
    if played.rounds:
        plots.save_figure(plots.plot_rounds(played.rounds, pool), folder / "rounds")
    if played.agents > plots.MOST_NODES:
        terminal.complain(
            "note", f"the network is not drawn, it has over {plots.MOST_NODES:,} nodes"
        )
        return
    minds = played.seating.minds
    committed = {node: it.name for node, it in minds.items() if isinstance(it, CommittedMind)}
    figure = plots.plot_network(to_networkx(graph), played.names_held, pool, committed)
    plots.save_figure(figure, folder / "network")
