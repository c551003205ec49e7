"""The ensemble of ``run --runs``: played, here or in processes, summed up, and written."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mesa_llm_norms.cli import outcome, terminal
from mesa_llm_norms.cli.plan import Plan, conclude
from mesa_llm_norms.ensemble import Ensemble, play_ensemble
from mesa_llm_norms.ensemble import Progress as Report
from mesa_llm_norms.recording import finished_folder, new_folder, write_ensemble

PATIENCE = 2.0
"""Seconds after which an ensemble shows a progress bar."""


def run_many(plan: Plan, runs: int) -> None:
    """Play ``runs`` runs, write their folder, and print them in numbers."""
    _finish(plan, _play(plan, runs))


def _play(plan: Plan, runs: int) -> Ensemble:
    with _progress() as report:
        return play_ensemble(
            plan.spec,
            runs=runs,
            goal=plan.goal,
            rounds=plan.rounds,
            workers=plan.workers,
            keep_interactions=plan.keep,
            progress=report,
            calls=plan.calls,
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
        found = outcome.ensemble_object(ensemble, goal)
        typer.echo(json.dumps(found, ensure_ascii=False))
        if folder is not None:
            terminal.complain("note", f"written to {folder}")
        return
    if plan.talk:
        terminal.stdout().print(outcome.ensemble_table(ensemble, goal))
    used = outcome.used(ensemble.usage, ensemble.discarded, ensemble.voided)
    conclude(outcome.ensemble_sentence(ensemble, goal), folder, used)


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
