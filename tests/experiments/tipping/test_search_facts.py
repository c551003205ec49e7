"""How often few committed agents flip the classical binary game, exact and played.

24 agents on a complete graph within 30 population rounds: by the rules as published, 2 committed
agents flip .173 of all populations, 3 .610, 4 .919 and 5 .992.
"""

from __future__ import annotations

from binary_chain import flipped_within

from mesa_llm_norms.classical.ensemble import run_classical

RUNS = 3_000


def test_the_exact_chain_gives_what_the_game_itself_gives() -> None:
    """Four standard errors each: fewer than 1 in 3,000 false alarms over all four."""
    for count in (2, 3, 4, 5):
        chance = flipped_within(24, count, 30 * 24)
        played = run_classical(
            names="QM",
            incumbent="Q",
            committed={"M": count},
            runs=RUNS,
            rounds=30,
            rng=1,
            keep_rounds=False,
        ).runs["converged"]
        error = (chance * (1 - chance) / RUNS) ** 0.5
        assert abs(played.mean() - chance) < 4 * error, count
