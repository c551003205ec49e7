"""The runs to come, played with recorded minds in the place of live ones."""

from __future__ import annotations

from collections.abc import Set
from typing import NamedTuple

import numpy as np

from mesa_llm_norms.course import Course, Goal
from mesa_llm_norms.ensemble import start_course
from mesa_llm_norms.forecast.ranges import Values
from mesa_llm_norms.forecast.replay import Asked, Replay, Replayer
from mesa_llm_norms.forecast.stand_ins import offline
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.kernel import ask_anew, can_play
from mesa_llm_norms.spec import Seating, Spec

MOST = 199
"""So many runs are played at most: the quantiles are then those of single runs."""
LEAST = 29
"""So many at least, unless they are very long."""
FEWEST = 5
"""So many in any case."""
FACTOR = 10
"""They are, once so many times ``INTERACTIONS`` were played."""

FEW_MEMORIES = 100_000
"""So many different memories, and the kernel soon knows all that agents can be in."""
INTERACTIONS = {True: 1_000_000, False: 10_000}
"""How many interactions are played before no more runs are, where it does and where not; fewer in
proportion with more than ten names. That takes about a second.
"""

REPLAYED = {True: 8_000, False: 3_000}
"""How many decisions of live minds are replayed before no more runs are: more where different
prompts are counted.
"""
KEPT = 300_000
"""Of how many interactions of a run the names are kept, at most."""


class Simulation(NamedTuple):
    """Simulated runs: how long each was, whether it reached its goal; and some of them replayed."""

    interactions: Values
    rounds: Values
    reached: int
    replays: tuple[Replay, ...]

    @property
    def runs(self) -> int:
        """How many runs there are."""
        return len(self.interactions)

    @property
    def chain_rate(self) -> float:
        """How many calls wait for each other in a run, for every interaction of it."""
        return self._per_interaction(sum(replay.chain for replay in self.replays))

    @property
    def later_rate(self) -> float:
        """Likewise in a run that comes after others."""
        last = self.replays[-1]
        return last.later_chain / last.interactions if last.interactions else 0.0

    def load(self, label: str) -> tuple[float, float]:
        """Return how many decisions of a server an interaction has, and how many are begun beyond
        the end of a run.
        """
        asked = self.asked(label)
        decisions = sum(it.decisions for it in asked)
        return self._per_interaction(decisions), sum(it.ahead for it in asked) / len(self.replays)

    def asked(self, label: str) -> list[Asked]:
        """Return what a server is asked in the replayed runs."""
        return [replay.asked[label] for replay in self.replays if label in replay.asked]

    def _per_interaction(self, number: int) -> float:
        return number / max(1, sum(replay.interactions for replay in self.replays))


def simulate(spec: Spec, goal: Goal, most: int, once: Set[str], counted: Set[str]) -> Simulation:
    """Play runs of a spec to its goal, or for ``most`` rounds, as its live minds' stand-ins would.

    ``once`` are the servers that answer each prompt only once, ``counted`` those whose different
    prompts are to be counted. How many runs are played depends on the spec alone, on no clock.
    """
    ask_anew()
    room = REPLAYED[bool(counted)]
    replayer, replays = Replayer(once, counted, room), list[Replay]()
    lengths: list[tuple[int, int]] = []
    reached = played = replayed = 0
    for run in range(MOST):
        seating = spec.seat(run)
        stand_ins = offline(seating)
        course, rows = _play(spec, stand_ins, goal, most, replayed < room)
        outcome = course.outcome
        lengths.append((outcome.interactions, outcome.rounds))
        reached += course.reached
        played += outcome.interactions
        if rows is not None:
            whole = len(rows) == outcome.interactions
            replay = replayer.replay(seating, rows, most, course.reached and whole)
            replays.append(replay)
            replayed += sum(it.decisions for it in replay.asked.values())
        if _enough(run + 1, played, stand_ins):
            break
    interactions, rounds = np.array(lengths, float).T
    return Simulation(interactions, rounds, reached, tuple(replays))


def _play(
    spec: Spec, seating: Seating, goal: Goal, most: int, keep: bool
) -> tuple[Course, list[Interaction] | None]:
    """Play a run; return it and, if wanted, its first interactions, nearly always all of them."""
    course = start_course(spec, seating, "auto")
    course.aim(goal)
    rows = None
    if keep:
        kept = min(most, max(1, KEPT // len(seating.contacts)))
        course.play(kept)
        rows, most = course.rows, most - kept
    if most > 0 and not course.reached:
        course.play(most, keep=False)
    return course, rows


def _enough(runs: int, interactions: int, seating: Seating) -> bool:
    """Whether so many runs do, with so many interactions together."""
    game = seating.game
    few = len(game.pool) ** (2 * game.memory) <= FEW_MEMORIES
    quick = few and bool(can_play(seating.roster, seating.pairing))
    enough = INTERACTIONS[quick] * 10 / max(10, len(game.pool))
    if runs < LEAST:
        enough *= FACTOR
    return runs >= FEWEST and interactions >= enough
