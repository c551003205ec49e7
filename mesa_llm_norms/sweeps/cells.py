"""One cell of a sweep: where it is in the grid, and what plays its runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import pandas as pd

from mesa_llm_norms.compiled import load
from mesa_llm_norms.course import Goal
from mesa_llm_norms.ensemble import (
    TYPICAL,
    How,
    load_graph,
    play_run,
    settle,
)
from mesa_llm_norms.kernel import can_play
from mesa_llm_norms.run_tables import run_table, tally_table
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.sweeps.identity import key_of


class Tables(NamedTuple):
    """Some runs of a cell: a row for each, and one for each of their rounds if these are kept.

    ``numbers`` sums the runs up, where that has been done.
    """

    runs: pd.DataFrame
    rounds: pd.DataFrame | None = None
    numbers: Mapping[str, Any] | None = None

    def first(self, runs: int) -> Tables:
        """Return the first runs of them."""
        if len(self.runs) <= runs:
            return self
        rounds = None if self.rounds is None else self.rounds[self.rounds["run"] < runs]
        return Tables(self.runs[:runs], rounds)


class Runner(Protocol):
    """What plays the runs of a cell, in this process or another: the seam for other games."""

    def play(self, runs: range) -> Tables:
        """Play these runs; run k does not depend on which others are played."""


class Game(Protocol):
    """A game as a cell sees it, before anything is played."""

    @property
    def pool(self) -> tuple[str, ...]:
        """The names that may win."""

    @property
    def event(self) -> str:
        """What runs are played until: ``converged`` or ``flipped``; empty for nothing."""

    def prepare(self) -> int:
        """Check that it can be played, and return the number of agents."""

    def cost(self, runs: int) -> int:
        """Return about how many interactions so many runs take."""

    def runner(self, interactions: int, elsewhere: bool, keep_rounds: bool) -> Runner:
        """Return what plays it, where so many interactions are to be played in all."""


@dataclass(frozen=True)
class Cell:
    """A cell: ``at`` has the label on each axis, by column, and ``description`` what it is."""

    at: Mapping[str, Any]
    description: Mapping[str, Any]
    game: Game

    @cached_property
    def key(self) -> str:
        """What it is filed under."""
        return key_of(self.description)

    def __str__(self) -> str:
        return ", ".join(f"{column} {label}" for column, label in self.at.items()) or "the cell"


@dataclass(frozen=True)
class MindsGame:
    """The naming game of minds, as ``run_ensemble`` plays it."""

    spec: Spec
    goal: Goal
    rounds: int

    @property
    def pool(self) -> tuple[str, ...]:
        """The names that may win."""
        return self.spec.game.pool

    @property
    def event(self) -> str:
        """What runs are played until."""
        return self.goal.until or ""

    @cached_property
    def _ready(self) -> tuple[int, bool]:
        """The number of agents, and whether the kernel can play them; the graph is not kept."""
        seating = replace(self.spec, graph=load_graph(self.spec.graph)).seat()
        return len(seating.contacts), bool(can_play(seating.roster, seating.pairing))

    def prepare(self) -> int:
        """Make run 0 ready, and return the number of agents."""
        return self._ready[0]

    def cost(self, runs: int) -> int:
        """Return about how many interactions so many runs take at least."""
        rounds = self.rounds if self.goal.until is None else min(self.rounds, TYPICAL)
        return runs * self.prepare() * rounds

    def runner(self, interactions: int, elsewhere: bool, keep_rounds: bool) -> Runner:
        """Return what plays it; the kernel is loaded here if it is to be used ``elsewhere``."""
        engine = settle("auto", interactions)
        if elsewhere and engine != "python" and self._ready[1]:
            load("game")
        how = self.goal, self.rounds, False, engine
        return MindsRunner(replace(self.spec, graph=load_graph(self.spec.graph)), how, keep_rounds)


@dataclass(frozen=True)
class MindsRunner:
    """Plays runs of a spec."""

    spec: Spec
    how: How
    keep_rounds: bool

    def play(self, runs: range) -> Tables:
        """Play these runs."""
        played = [play_run(self.spec, run, *self.how) for run in runs]
        rounds = tally_table([(one.run, one.tally) for one in played]) if self.keep_rounds else None
        return Tables(run_table(played), rounds)
