"""What ``run`` is about to play: said before, checked before, and concluded after."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.course import Goal, check_goal, read_rounds
from mesa_llm_norms.recording import check_folder
from mesa_llm_norms.spec import Seating, Spec


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
        check_goal(self.goal, self.spec.committed_names)
        read_rounds(self.rounds, self.goal.until)
        if self.folder is not None:
            check_folder(self.folder)


def introduce(plan: Plan, runs: int | None) -> None:
    """Print what is to be played, in one line."""
    spec = plan.spec
    many = f"{runs:,} runs of " if runs is not None else ""
    text = (
        f"{many}{len(plan.seating.contacts):,} agents with {spec.mind_label} on {spec.topology}, "
        f"names {' '.join(spec.game.pool[:26])}{' ...' if len(spec.game.pool) > 26 else ''}, "
        f"seed {spec.seed}"
    )
    terminal.stdout().print(terminal.one_line(text), markup=False, soft_wrap=True)


def conclude(sentence: str, folder: Path | None) -> None:
    """Print how it ended, and what was written where."""
    console = terminal.stdout()
    console.print(sentence, markup=False, soft_wrap=True, style="bold")
    if folder is not None:
        terminal.list_folder(console, folder)
