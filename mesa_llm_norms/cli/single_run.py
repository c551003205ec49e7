"""One run of ``run``: played and shown round by round, drawn, and written."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from mesa_llm_norms.cli import outcome, terminal
from mesa_llm_norms.cli.plan import Plan, conclude
from mesa_llm_norms.cli.watch import watching
from mesa_llm_norms.course import read_rounds
from mesa_llm_norms.ensemble import start_course
from mesa_llm_norms.minds import CommittedMind
from mesa_llm_norms.recording import new_folder, write_run


def run_one(plan: Plan) -> None:
    """Play one run, show its rounds, write its folder, and print how it ended."""
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
            _draw(played, inside)
    if plan.as_json:
        typer.echo(json.dumps(outcome.run_object(played, plan.folder), ensure_ascii=False))
    else:
        conclude(outcome.run_sentence(played), plan.folder)


def _draw(played: outcome.Run, folder: Path) -> None:
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
