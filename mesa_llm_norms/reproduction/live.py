"""The protocol with live minds: forecast first, then played within one budget for all of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mesa_llm_norms.forecast import Part, forecast
from mesa_llm_norms.minds.live import Calls, LiveMind
from mesa_llm_norms.minds.live.accounts import Accounts
from mesa_llm_norms.reproduction.protocol import Experiment, Played, play

if TYPE_CHECKING:
    from mesa_llm_norms.journal import Totals

JOURNALS = "journals"
"""Where the journals are in the folder of a reproduction, one folder for each experiment."""


def foresee(
    minds: Sequence[LiveMind], experiments: Sequence[Experiment], seed: int, calls: Calls
) -> list[Part]:
    """Return what each experiment with each mind will take; nothing is asked of a server."""
    return [
        Part(
            f"{mind.label}, {one.key}",
            one.runs,
            (forecast(one.spec(mind, seed), one.goal, one.rounds, one.runs, calls),),
        )
        for mind in minds
        for one in experiments
    ]


def play_live(
    minds: Sequence[LiveMind],
    experiments: Sequence[Experiment],
    seed: int,
    calls: Calls,
    folder: Path,
    report: Callable[[str, int, int], None] = lambda *_: None,
) -> tuple[list[Played], Totals | None]:
    """Play all experiments with each mind, one after the other, and return them and what they used.

    The budgets of ``calls`` are for everything together. Each experiment has a journal in
    ``folder``; where that is there already, what it holds is taken from it and not asked again.

    Raises ``BudgetError`` at the call that could pass a budget, with all that was answered on
    record, and whatever else play with live minds raises.
    """
    played: list[Played] = []
    accounts = Accounts(replace(calls, folder=folder / JOURNALS, resume=True))
    todo = [(mind, one) for mind in minds for one in experiments]
    for number, (mind, one) in enumerate(todo):
        report(f"{mind.label}, {one.key}", number, len(todo))
        done, ensemble = play(one, mind, seed, accounts.calls_for(f"{number:02}"))
        played.append(done)
        accounts.add(ensemble.usage)
    report("", len(todo), len(todo))
    return played, accounts.used
