"""Flint, Aiello, Pastor-Satorras and Baronchelli (2025): bias against the size of the group."""

from __future__ import annotations

import math
from typing import NamedTuple

import pandas as pd

from mesa_llm_norms.analysis.intervals import Estimate, share_difference
from mesa_llm_norms.core.randomness import mix
from mesa_llm_norms.mean_field.equilibria import basins
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.minds.registry import STUDY_MINDS, load_mind
from mesa_llm_norms.reproduction.papers.paper import (
    EXACT,
    MORE,
    WILSON,
    Finding,
    Panel,
    Paper,
    Result,
    Series,
    Setting,
)
from mesa_llm_norms.reproduction.protocol import TWO
from mesa_llm_norms.reproduction.rows import exactly, share
from mesa_llm_norms.simulation.run_ensemble import run_ensemble

SIZES = (2, 5, 10, 24, 50, 100, 200)
RUNS, ROUNDS, MEMORY = 200, 300, 5

FEW = 10
"""A small group, which larger ones are compared with."""

DECISIVE = 0.95
"""The share of populations that the mean field's name has to win where chance no longer decides."""


class Curve(NamedTuple):
    """A mind alone, in groups, and in an infinite population.

    ``first`` is how often one agent chooses ``name`` with nothing remembered; ``name`` is what
    infinitely many agents settle on from there. ``wins`` has, for each size, in how many of how
    many populations that settled it won.
    """

    mind: str
    name: str
    first: float
    wins: dict[int, tuple[int, int]]

    def share(self, agents: int) -> Estimate:
        """Return how often the name won at a size; nan where no population settled."""
        won, settled = self.wins[agents]
        return share(won, settled) if settled else Estimate(math.nan, math.nan, math.nan)

    @property
    def critical(self) -> float:
        """The smallest size from which on the name nearly always wins; infinite if none is."""
        found = math.inf
        for agents in reversed(self.wins):
            if not self.share(agents).value >= DECISIVE:
                break
            found = float(agents)
        return found


def play(setting: Setting) -> Result:
    """Play every mind in groups of all sizes, and follow infinitely many agents."""
    curves = []
    for place, mind in enumerate(setting.minds):
        policy = load_mind(mind)
        assert isinstance(policy, Policy)
        name = basins(policy, TWO, MEMORY, points=2).from_nothing or TWO[0]
        wins = {}
        for number, agents in enumerate(SIZES):
            done = place * len(SIZES) + number
            setting.report(f"{mind}, {agents} agents", done, len(setting.minds) * len(SIZES))
            played = run_ensemble(
                graph=f"complete(n={agents})",
                names=TWO,
                mind=policy,
                memory=MEMORY,
                runs=setting.runs(RUNS),
                rounds=ROUNDS,
                rng=mix(mix(setting.seed) + done),
            ).runs
            settled = played[played["converged"]]
            wins[agents] = int((settled["winner"] == name).sum()), len(settled)
        first = policy.distribution((), TWO)[TWO.index(name)]
        curves.append(Curve(mind, name, float(first), wins))
    setting.report("", len(setting.minds) * len(SIZES), len(setting.minds) * len(SIZES))
    table = pd.DataFrame(
        {"mind": it.mind, "name": it.name, "agents": agents, "won": won, "settled": settled}
        for it in curves
        for agents, (won, settled) in it.wins.items()
    )
    panel = Panel(
        "Won by the mean field's name (1: chosen first)",
        "agents",
        "wins",
        tuple(_series(it) for it in curves),
        log_x=True,
        shares=True,
        level=0.5,
    )
    return Result(tuple(row for it in curves for row in _findings(it)), (panel,), NOTES, table)


def _series(curve: Curve) -> Series:
    found = [curve.share(agents) for agents in curve.wins]
    low, high = ([curve.first, *(it[place] for it in found)] for place in (1, 2))
    values = [curve.first, *(it.value for it in found)]
    return Series(curve.mind, [1, *curve.wins], values, low, high)


def _findings(curve: Curve) -> list[Finding]:
    largest = max(curve.wins)
    won, settled = curve.share(largest), curve.wins[largest][1]
    alone = abs(curve.first - 0.5)
    return [
        Finding(curve.mind, f"one agent chooses {curve.name} first", exactly(curve.first), EXACT),
        Finding(
            curve.mind,
            f"bias of {largest} agents less that of one, from one half",
            Estimate(*(abs(it - 0.5) - alone for it in (won.value, *_far(won)))),
            WILSON,
            "groups have biases that one agent does not have",
            MORE,
            settled,
        ),
        Finding(
            curve.mind,
            f"populations of {largest} won by {curve.name}, the mean field's name",
            won,
            WILSON,
            runs=settled,
        ),
        Finding(
            curve.mind,
            f"the same, less those of {FEW}",
            share_difference(curve.wins[largest], curve.wins[FEW]),
            "Newcombe's interval",
            "the larger the group, the surer it goes where the mean field goes",
            MORE,
            settled + curve.wins[FEW][1],
        ),
        Finding(
            curve.mind,
            f"size from which on it wins {DECISIVE:.0%}",
            exactly(curve.critical),
            f"of the sizes {', '.join(map(str, SIZES))}",
            runs=sum(settled for _, settled in curve.wins.values()),
        ),
    ]


def _far(found: Estimate) -> tuple[float, float]:
    """Return which bounds are nearest to and farthest from one half."""
    low, high = sorted((found.low, found.high), key=lambda bound: abs(bound - 0.5))
    return (0.5 if found.low <= 0.5 <= found.high else low), high


NOTES = (
    "The paper's models and pools are others: each recorded mind plays Q and M, complete graphs, a "
    f"memory of {MEMORY}. The abstract says that there is a critical size and names none.",
    f"That large groups go where the mean field goes was first tested at {max(SIZES)} agents. "
    "Claude's went there less often than 95% of the time. A finite size cannot refute a critical "
    "one, so larger groups are now compared with small ones; the share is shown without a verdict.",
    f"Won are populations that settled on a name within {ROUNDS} rounds; others are left out.",
    "Your own table of probabilities is played by --mind FILE; see the measured tables of minds.",
)


PAPER = Paper(
    "flint2025",
    "Flint, Aiello, Pastor-Satorras and Baronchelli (2025), arXiv 2510.22422",
    "the bias of one agent, of groups of each size, and of infinitely many",
    "15 s",
    play,
    minds=STUDY_MINDS,
)
