"""The drift null: the classical naming game, begun with the first choices that were measured.

Every agent starts out with one word, drawn by the mind's first choices, and from then on words are
passed on and dropped by the rules of Baronchelli and others (2006), which know no word from
another. What wins is a matter of how often it was there at the start, of the network, and of luck.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import pandas as pd

from mesa_llm_norms.audits.populations import Play, Populations, count_wins
from mesa_llm_norms.classical.engine import Tally
from mesa_llm_norms.classical.kernel import KernelEngine, pack_seating
from mesa_llm_norms.classical.spec import ClassicalSpec
from mesa_llm_norms.course import read_rounds
from mesa_llm_norms.spec import Spec


def play_drift(spec: Spec, first: Sequence[float], play: Play) -> Populations:
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
    seating = spec.seat(run)
    packed, tally = pack_seating(seating), Tally()
    sums = list(accumulate(first))
    chance = seating.draws.generator("first words")
    agents = len(seating.contacts)
    packed.rows[:, 0] = 1
    packed.rows[:, 2] = np.minimum(
        [bisect_right(sums, chance.random() * sums[-1]) for _ in range(agents)], len(first) - 1
    )
    engine = KernelEngine(seating.rules, seating.contacts, packed, seating.draws, tally)
    engine.play(rounds, True, False)
    agreed = (tally.distinct_words, tally.total_words) == (1, agents)
    return (
        agents,
        packed.vocabulary[int(engine.counts.argmax())] if agreed else None,
        tally.interactions,
    )
