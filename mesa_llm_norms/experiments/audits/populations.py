"""Populations that play until they agree, which names win, and what would explain that.

A name *wins* a population that settled on it: one that converged and played it more than half of
the time in the last rounds, or that was stopped at its limit and played it at least nine times in
ten. No rule about ties is needed, so no name is favored by its place in the pool.

Populations are compared with nulls, in which minds are as biased as described and no more:

``symmetric``
    The same mind made symmetric. No name has any advantage, so every name is as likely to win as
    any other, exactly; playing it shows how often and how fast such populations settle, and what
    chance and the network alone do to winners.
``first choices``
    First choices as measured, everything after that symmetric. What individual bias, as it is
    usually measured, explains of collective bias.
``drift``
    The classical naming game of Baronchelli et al. (J. Stat. Mech. P06014, 2006), in which every
    agent starts out with one word, drawn by the measured first choices. The same question without
    the mind's way to insist, copy and forget: what wins depends on how often it was there at the
    start, on the network, and on chance.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mesa_llm_norms.analysis.intervals import (
    Estimate,
    exact_test,
    holm,
    same_test,
    share_difference,
    total_variation,
)
from mesa_llm_norms.classical.engine import ClassicalKernel, PackedPlayers, WordTally
from mesa_llm_norms.classical.game import ClassicalSpec
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_list, read_whole
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import Goal, read_rounds
from mesa_llm_norms.experiments.audits.individual import IndividualBias
from mesa_llm_norms.experiments.audits.preference import (
    FirstChoices,
    NameShare,
    Preference,
    counted,
    equal,
)
from mesa_llm_norms.llm.client import SharedBudget
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.networks.registry import fill, is_open
from mesa_llm_norms.simulation.ensemble import play_ensemble
from mesa_llm_norms.simulation.spec import Spec

MAJORITY = 0.5
"""What share of the last plays a name has more than, to win a population that converged."""

NEARLY_ALL = 0.9
"""What share it has at least, to win one that did not."""

Report = Callable[[str, int, int], None]
"""Called with what is being played, the runs done, and the runs in all."""


class PlaySettings(NamedTuple):
    """How populations are played: how many, for how long at most, and where."""

    runs: int
    goal: Goal
    rounds: int | None
    executor: Executor | None
    report: Report | None
    budget: SharedBudget
    """Shared by all calls to live minds."""


@dataclass(frozen=True)
class Populations:
    """Which names won in ``runs`` populations of ``agents``, after ``median`` interactions."""

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
        """Return it as plain data, for JSON."""
        return {
            "agents": self.agents,
            "runs": self.runs,
            "settled": self.settled,
            "wins": dict(zip(self.names, self.wins, strict=True)),
            "interactions_median": self.median,
        }


def play_populations(label: str, spec: Spec, play: PlaySettings) -> Populations:
    """Play populations of a spec and count who wins them; ``label`` is what progress calls them."""
    found = play_ensemble(
        spec,
        runs=play.runs,
        goal=play.goal,
        rounds=play.rounds,
        executor=None if spec.live else play.executor,
        progress=None if play.report is None else partial(play.report, label),
        llm=play.budget.settings_for(label.replace(" ", "-")) if spec.live else None,
    )
    play.budget.add(found.usage)
    won = found.runs[_won(found.runs)]
    return count_wins(spec.game.pool, len(found.held[0]), play.runs, won)


def count_wins(pool: Sequence[str], agents: int, runs: int, won: pd.DataFrame) -> Populations:
    """Count a table of populations that were won, with ``winner`` and ``interactions``."""
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


SIZES = (2, 3, 5, 10, 20, 50, 100, 200, 500, 1_000)

COMPLETE = "complete(n={size})"


EFFECTS = {
    "none": "no name is shown to win more often than others",
    "created": "a name does, and individuals are not biased",
    "amplified": "individuals' favorite wins more often than individuals choose it",
    "damped": "it wins less often than that, and still more often than others",
    "kept": "it wins, and neither of these is shown",
    "reversed": "another name wins most, and individuals' favorite less than they choose it",
    "shifted": "another name wins most; that the favorite wins less is not shown",
}
"""What a group can make of an individual bias."""


class SizePoint(NamedTuple):
    """Populations of one size, and what that size makes of the ``strong`` name.

    ``preference`` compares the winners with equal shares, and ``effect`` is one of ``EFFECTS``.
    Tests are exact, corrected for the number of sizes (Holm).
    """

    played: Populations
    preference: Preference
    effect: str


@dataclass(frozen=True)
class SizeCurve:
    """Collective bias by size; ``strong`` is the name followed, the one groups favour most."""

    topology: str
    strong: str
    individual: float
    points: tuple[SizePoint, ...]

    def as_object(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "topology": self.topology,
            "strong": self.strong,
            "individual_share": self.individual,
            "points": [
                {
                    **point.played.as_object(),
                    "strong_share": point.preference.of(self.strong).share.value,
                    "strong_low": point.preference.of(self.strong).share.low,
                    "strong_high": point.preference.of(self.strong).share.high,
                    "effect": point.effect,
                    "winners": point.preference.as_object(),
                }
                for point in self.points
            ],
        }


def read_sizes(sizes: Any) -> tuple[int, ...]:
    """Return sizes in order, each once, or raise ``SpecError``."""
    listed = read_list("sizes", sizes, "[2, 10, 100]")
    return tuple(sorted({read_whole("sizes", size, limits.POPULATION) for size in listed}))


def open_topology(graph: Any) -> str:
    """Return the topology of every size: the given one if it has ``{size}``, else complete."""
    return graph if is_open(graph) else COMPLETE


def play_sizes(
    spec: Spec,
    topology: str,
    sizes: Sequence[int],
    individual: IndividualBias,
    biased: bool,
    play: PlaySettings,
    level: float,
) -> SizeCurve:
    """Play populations of every size, and find what each makes of individual bias.

    ``biased`` says whether individuals are; ``level`` is the rate of false alarms of all effects of
    one kind together, and intervals hold as often as 1 less it.
    """
    pool = spec.game.pool
    found = [
        play_populations(f"size {size}", replace(spec, graph=fill(topology, size)), play)
        for size in sizes
    ]
    preferences = [counted(pool, one.wins, equal(pool), 1 - level) for one in found]
    total = [sum(one.wins[place] for one in found) for place in range(len(pool))]
    strong = pool[total.index(max(total))]
    first = individual.first
    effects = _effects(preferences, first, biased, level)
    points = tuple(map(SizePoint, found, preferences, effects))
    return SizeCurve(topology, strong, first.of(strong).share.value, points)


def _effects(
    preferences: Sequence[Preference], first: Preference, biased: bool, level: float
) -> list[str]:
    any_bias = holm([one.p_value if one.p_value is not None else 1.0 for one in preferences])
    chosen = first.favorite
    against = holm([_differs(one.of(chosen.name), one.trials, chosen) for one in preferences])
    effects = []
    for preference, p_value, other in zip(preferences, any_bias, against, strict=True):
        favorite = preference.favorite
        more = preference.of(chosen.name).share.value > chosen.share.value
        if p_value >= level:
            effects.append("none")
        elif not biased:
            effects.append("created")
        elif favorite.name != chosen.name:
            effects.append("reversed" if other < level and not more else "shifted")
        elif other >= level:
            effects.append("kept")
        else:
            effects.append("amplified" if more else "damped")
    return effects


def _differs(winner: NameShare, trials: int | None, chosen: NameShare) -> float:
    """Return the p-value of a name winning as often as individuals choose it."""
    wins, share = winner.chosen or 0, chosen.share.value
    return exact_test([wins, (trials or 0) - wins], [share, 1 - share])


def play_drift(spec: Spec, first: Sequence[float], play: PlaySettings) -> Populations:
    """Play as many classical populations on the same network, and count which word wins them.

    Speakers are drawn as under ``pairing="node"``, whatever the spec's pairing is.
    """
    classical = ClassicalSpec(graph=spec.graph, names=spec.game.pool, seed=spec.seed)
    rounds = read_rounds(play.rounds, "converged")
    rows = []
    agents = 0
    for run in range(play.runs):
        agents, winner, interactions = _play_one(classical, run, first, rounds)
        rows.append((winner, interactions))
        if play.report is not None:
            play.report("drift", run + 1, play.runs)
    table = pd.DataFrame(rows, columns=["winner", "interactions"])
    return count_wins(spec.game.pool, agents, play.runs, table[table["winner"].notna()])


def _play_one(
    spec: ClassicalSpec, run: int, first: Sequence[float], rounds: int
) -> tuple[int, str | None, int]:
    initial = spec.initial_state(run)
    packed, tally = PackedPlayers.of_initial_state(initial), WordTally()
    sums = list(accumulate(first))
    chance = initial.stream.generator("first words")
    agents = len(initial.neighbors)
    packed.rows[:, 0] = 1
    packed.rows[:, 2] = np.minimum(
        [bisect_right(sums, chance.random() * sums[-1]) for _ in range(agents)], len(first) - 1
    )
    engine = ClassicalKernel(initial.rules, initial.neighbors, packed, initial.stream, tally)
    engine.play(rounds, "converged", False)
    agreed = (tally.distinct_words, tally.total_words) == (1, agents)
    return (
        agents,
        packed.vocabulary[int(engine.counts.argmax())] if agreed else None,
        tally.interactions,
    )


SYMMETRIC, FIRST, DRIFT = "symmetric", "first choices", "drift"


class Difference(NamedTuple):
    """How much more often one name wins than under the null, with the test of it (corrected)."""

    name: str
    wins: Estimate
    p_value: float


class Comparison(NamedTuple):
    """Populations compared with a null.

    ``p_value`` is that of the test that winners are distributed alike, exact for two names and by
    simulation for more; ``variation`` the total variation between both.
    """

    null: str
    played: Populations
    differences: tuple[Difference, ...]
    p_value: float
    variation: float

    def of(self, name: str) -> Difference:
        """Return the difference of one name."""
        return next(one for one in self.differences if one.name == name)

    def as_object(self) -> dict[str, Any]:
        """Return it as plain data, for JSON."""
        return {
            "null": self.null,
            "populations": self.played.as_object(),
            "p_value": self.p_value,
            "total_variation": self.variation,
            "differences": [
                {"name": one.name, **one.wins._asdict(), "p_value": one.p_value}
                for one in self.differences
            ],
        }


def play_nulls(
    spec: Spec, individual: IndividualBias, play: PlaySettings
) -> tuple[Populations, ...]:
    """Play the populations of every null, in the order of the module's text."""
    symmetric, first = individual.symmetric, individual.first.shares
    biased = FirstChoices(first, spec.game.pool, symmetric)
    return (
        play_populations(SYMMETRIC, _apart(spec, SYMMETRIC, symmetric), play),
        play_populations(FIRST, _apart(spec, FIRST, biased), play),
        play_drift(_apart(spec, DRIFT, biased), first, play),
    )


def compare(null: str, found: Populations, played: Populations, level: float) -> Comparison:
    """Compare populations with those of a null; intervals hold as often as ``level`` says."""
    p_values = [
        same_test([(wins, found.settled - wins), (others, played.settled - others)])
        for wins, others in zip(found.wins, played.wins, strict=True)
    ]
    corrected = holm(p_values) if len(found.names) > 2 else p_values
    differences = tuple(
        Difference(
            name,
            share_difference((wins, found.settled), (others, played.settled), level),
            p_value,
        )
        for name, wins, others, p_value in zip(
            found.names, found.wins, played.wins, corrected, strict=True
        )
    )
    return Comparison(
        null,
        played,
        differences,
        same_test([found.wins, played.wins]),
        total_variation(found.shares, played.shares),
    )


def collective(found: Populations, level: float) -> Preference:
    """Return how often names won, against equal shares, which the symmetric mind gives."""
    return counted(found.names, found.wins, equal(found.names), level)


def _apart(spec: Spec, null: str, mind: Policy) -> Spec:
    """Return the spec with another mind, and randomness independent of the original."""
    return replace(spec, mind=mind, seed=RandomStream(spec.seed).of(f"null: {null}"))
