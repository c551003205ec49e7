"""Critical committed shares, with minds and in the classical game.

Where chance is tested, seeds are fixed and the rate of false alarms is stated with the test.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from chances import FixedPolicy
from hypothesis import given
from hypothesis import strategies as st
from mean_field_minds import CLAUDE, LLAMA_3_1, RECORDED, TwiceHeard, voter

from mesa_llm_norms import run_classical
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.mean_field.critical import (
    classical_change,
    classical_critical_share,
    classical_mean_field,
    committed_in_equilibrium,
    critical_share,
)
from mesa_llm_norms.mean_field.dynamics import mean_field
from mesa_llm_norms.mean_field.equilibria import basins, fixed_points


@pytest.mark.parametrize("mind", RECORDED[:3])
def test_just_below_the_critical_share_the_incumbent_lasts_and_just_above_it_falls(
    mind: str,
) -> None:
    critical = critical_share(mind, memory=3, incumbent="M", challenger="Q")
    assert critical.kind == "fold"
    for factor, lasts in ((0.98, True), (1.02, False)):
        share = factor * critical.lasting
        points = fixed_points(mind, memory=3, committed={"Q": share})
        ahead = [point for point in points if point.shares["M"] > point.shares["Q"] - share]
        assert any(point.stable for point in ahead) == lasts
    for factor, held in ((0.96, "M"), (1.04, "Q")):
        share = factor * critical.share
        field = mean_field(mind, memory=3, incumbent="M", committed={"Q": share}, rounds=500)
        played = field.shares.iloc[-1]
        assert (played["M"] > played["Q"] - share) == (held == "M")


@pytest.mark.slow
def test_sudden_commitment_overturns_an_incumbent_that_could_last() -> None:
    """Llama 3 with M: between the two shares it could last, but not if it starts from M."""
    critical = critical_share("llama-3-70b-instruct", incumbent="M", challenger="Q")
    assert critical.share < 0.9 * critical.lasting


@pytest.mark.slow
def test_where_a_convention_only_fades_the_critical_share_is_where_both_names_are_level() -> None:
    critical = critical_share(LLAMA_3_1, incumbent="M", challenger="Q")
    assert critical.kind == "crossover"
    assert critical.played == pytest.approx(0.5)
    assert critical_share(LLAMA_3_1, incumbent="Q", challenger="M").kind == "unstable"


def test_a_mind_that_never_listens_is_never_overturned_and_a_voter_by_anybody() -> None:
    never = critical_share(FixedPolicy(0.7, 0.3), memory=1)
    assert (never.kind, never.share) == ("never", 1.0)
    for mind in (voter(), FixedPolicy(0, 1)):
        anybody = critical_share(mind, memory=1)
        assert (anybody.kind, anybody.share) == ("unstable", 0.0)


@pytest.mark.slow
def test_the_critical_share_of_a_mind_without_favourites_is_the_same_in_all_directions() -> None:
    shares = {
        critical_share(TwiceHeard(), "QMX", 2, incumbent, challenger).share
        for incumbent, challenger in ("QM", "XQ")
    }
    assert max(shares) - min(shares) < 1e-8
    assert 0.01 < min(shares) < 0.5


def test_with_three_names_a_recorded_convention_falls_at_a_fold_too() -> None:
    critical = critical_share(CLAUDE, "QMX", 3)
    assert critical.kind == "fold"
    assert critical.share == critical.lasting == pytest.approx(0.1435, abs=1e-4)


# The classical game


def test_the_critical_share_of_the_classical_game_is_the_published_one() -> None:
    """0.0979: Xie et al., Phys. Rev. E 84, 011130 (2011)."""
    assert classical_critical_share() == pytest.approx(0.0979, abs=1e-4)


@given(incumbents=st.floats(0.39, 0.99))
def test_the_committed_share_of_an_equilibrium_keeps_the_classical_population_there(
    incumbents: float,
) -> None:
    committed = committed_in_equilibrium(incumbents)
    both = math.sqrt(incumbents) - incumbents
    others = 1 - committed - incumbents - both
    assert classical_change(np.array([others, incumbents]), committed) == pytest.approx(
        0, abs=1e-12
    )
    assert committed <= classical_critical_share() + 1e-12


def test_the_classical_incumbent_lasts_just_below_the_critical_share_and_falls_above_it() -> None:
    critical = classical_critical_share()
    for factor, lasts in ((0.995, True), (1.005, False)):
        end = classical_mean_field(factor * critical, rounds=2_000).rounds.iloc[-1]
        assert (end["b"] > 0.5) == lasts
        assert lasts or end["b"] < 1e-6


@pytest.mark.slow
def test_the_larger_a_classical_population_the_closer_it_keeps_to_its_limit() -> None:
    """A hundred times the agents, a tenth of the largest distance in words per agent (20 runs).

    Over runs it varies by half its mean, so that a factor of two is six standard errors.
    """
    limit = 1 + classical_mean_field(0.2, rounds=20).rounds["both"].to_numpy()[1:]
    distances = []
    for agents in (100, 1_000, 10_000):
        played = run_classical(
            graph=f"complete(n={agents})",
            names="AB",
            incumbent="B",
            committed={"A": 0.2},
            rng=11,
            runs=20,
            rounds=20,
            until=None,
        ).rounds
        words = played["total_words"].to_numpy().reshape(20, 20) / agents
        distances.append(float(np.abs(words - limit).max(axis=1).mean()))
    assert distances[0] > distances[1] > distances[2]
    assert 5 < distances[0] / distances[2] < 20


def test_critical_shares_and_basins_need_two_different_names_of_the_pool() -> None:
    for challenger in ("Q", "Z"):
        with pytest.raises(SpecError, match="challenger"):
            critical_share(incumbent="Q", challenger=challenger)
    for between in ("QQ", "QZ", "Q"):
        with pytest.raises(SpecError, match="between"):
            basins(between=between)
    for committed, incumbents in ((1.5, None), (0.1, 0.95), (math.nan, None), (True, None)):
        with pytest.raises(SpecError, match="is not a share"):
            classical_mean_field(committed, incumbents)
