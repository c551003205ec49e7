"""Populations that play until they agree, and which names they agree on.

A name *wins* a population that settled on it: one that converged and played it more than half of
the time in the last rounds, or that was stopped at its limit and played it at least nine times in
ten. No rule about ties is needed, so no name is favoured by its place in the pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, NamedTuple

import pandas as pd

from mesa_llm_norms.course import Goal
from mesa_llm_norms.ensemble import play_ensemble
from mesa_llm_norms.minds.live.accounts import Accounts
from mesa_llm_norms.spec import Spec

MAJORITY = 0.5
"""What share of the last plays a name has more than, to win a population that converged."""
NEARLY_ALL = 0.9
"""What share it has at least, to win one that did not."""

Report = Callable[[str, int, int], None]
"""Called with what is being played, the runs done, and the runs in all."""


class Play(NamedTuple):
    """How populations are played: how many, for how long at most, and by whom."""

    runs: int
    goal: Goal
    rounds: int | None
    executor: Executor | None
    report: Report | None
    accounts: Accounts
    """What calls to live minds are made from."""


@dataclass(frozen=True)
class Populations:
    """Which names won, of ``runs`` populations of ``agents``; ``median`` interactions till then."""

    agents: int
    runs: int
    names: tuple[str, ...]
    wins: tuple[int, ...]
    median: float | None

    @property
    def settled(self) -> int:
        """How many populations a name has won."""
        return sum(self.wins)

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of every name in those that settled; zeros where none did."""
        return tuple(wins / max(1, self.settled) for wins in self.wins)

    def as_object(self) -> dict[str, Any]:
        """Return all of it as JSON can hold it."""
        return {
            "agents": self.agents,
            "runs": self.runs,
            "settled": self.settled,
            "wins": dict(zip(self.names, self.wins, strict=True)),
            "interactions_median": self.median,
        }


def play_populations(label: str, spec: Spec, play: Play) -> Populations:
    """Play populations of a spec and count who wins them; ``label`` is what progress calls them."""
    found = play_ensemble(
        spec,
        runs=play.runs,
        goal=play.goal,
        rounds=play.rounds,
        executor=None if spec.live else play.executor,
        progress=None if play.report is None else _telling(play.report, label),
        calls=play.accounts.calls_for(label.replace(" ", "-")) if spec.live else None,
    )
    play.accounts.add(found.usage)
    won = found.runs[_won(found.runs)]
    return count_wins(spec.game.pool, len(found.held[0]), play.runs, won)


def count_wins(pool: Sequence[str], agents: int, runs: int, won: pd.DataFrame) -> Populations:
    """Return what a table of populations that were won says: a ``winner`` and ``interactions``."""
    wins = won["winner"].value_counts()
    return Populations(
        agents,
        runs,
        tuple(pool),
        tuple(int(wins.get(name, 0)) for name in pool),
        float(won["interactions"].median()) if len(won) else None,
    )


def _won(runs: pd.DataFrame) -> Any:
    agreed = runs["converged"] & (runs["share"] > MAJORITY)
    return agreed | (runs["share"] >= NEARLY_ALL)


def _telling(report: Report, label: str) -> Callable[[int, int], None]:
    return lambda done, total: report(label, done, total)
