"""What ``run`` is about to play: said before, checked before, and concluded after."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from mesa_llm_norms.cli import terminal
from mesa_llm_norms.course import Goal, check_goal, read_rounds
from mesa_llm_norms.minds.live import Calls
from mesa_llm_norms.minds.live.calls import JOURNAL
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
    calls: Calls
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
        kept = asdict(self.calls)
        for name in ("folder", "resume"):
            del kept[name]
        prices = self.calls.prices
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
        f"{many}{len(plan.seating.contacts):,} agents with {spec.mind_label} on {spec.topology}, "
        f"names {' '.join(spec.game.pool[:26])}{' ...' if len(spec.game.pool) > 26 else ''}, "
        f"seed {spec.seed}"
    )
    terminal.stdout().print(terminal.one_line(text), markup=False, soft_wrap=True)


def conclude(sentence: str, folder: Path | None, used: str | None = None) -> None:
    """Print how it ended, what calls were used, and what was written where."""
    console = terminal.stdout()
    console.print(sentence, markup=False, soft_wrap=True, style="bold")
    if used is not None:
        console.print(used, markup=False, soft_wrap=True)
    if folder is not None:
        terminal.list_folder(console, folder)
