"""Exact tests, corrections and intervals for counts by name."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mesa_llm_norms.analysis.intervals import (
    DRAWS,
    Estimate,
    between,
    chi_square_test,
    cohens_h,
    exact_interval,
    exact_test,
    holm,
    same_test,
    share_difference,
    total_variation,
    variation_from,
    widened,
)
from mesa_llm_norms.errors import SpecError


def test_the_exact_test_of_three_names_adds_up_all_outcomes_as_far_off_or_farther() -> None:
    shares, counts = (0.5, 0.3, 0.2), (1, 2, 5)
    due = np.array(shares) * 8

    def distance(seen: tuple[int, ...]) -> float:
        return float(((np.array(seen) - due) ** 2 / due).sum())

    outcomes = [seen for seen in itertools.product(range(9), repeat=3) if sum(seen) == 8]
    expected = sum(
        stats.multinomial.pmf(seen, 8, shares)
        for seen in outcomes
        if distance(seen) >= distance(counts) - 1e-9
    )
    assert exact_test(counts, shares) == pytest.approx(expected)


def test_with_many_names_the_simulated_test_is_near_chi_square_where_that_holds() -> None:
    counts = [120, 90, 95, 105, 110, 80, 100, 98, 102, 100]
    assert exact_test(counts, [0.1] * 10) == pytest.approx(
        chi_square_test(counts, [0.1] * 10), abs=4 * math.sqrt(0.25 / DRAWS)
    )


def test_impossible_counts_have_no_chance_and_no_counts_show_nothing() -> None:
    assert exact_test([1, 0], [0, 1]) == 0
    assert exact_test([0, 5], [0, 1]) == 1
    assert exact_test([0, 0], [0.5, 0.5]) == 1
    assert math.isnan(chi_square_test([2, 1], [0.5, 0.5]))
    with pytest.raises(SpecError):
        exact_test([1, 2], [1 / 3] * 3)


@pytest.mark.parametrize(("names", "size"), [(2, 25), (3, 12), (10, 60)])
def test_false_alarms_of_the_exact_test_are_not_above_its_level(names: int, size: int) -> None:
    """Of 200 samples at level .05, more than 23 would alarm with probability 1e-4 if it held."""
    drawn = np.random.default_rng(1).multinomial(size, [1 / names] * names, 200)
    alarms = sum(exact_test(row.tolist(), [1 / names] * names) < 0.05 for row in drawn)
    assert alarms <= 23


def test_rows_with_the_same_shares_seldom_alarm_and_others_do() -> None:
    """Of 150 pairs at level .05, more than 19 would alarm with probability 1e-4 if it held."""
    chance = np.random.default_rng(2)
    alike = chance.multinomial(40, [0.6, 0.3, 0.1], (150, 2))
    assert sum(same_test(table) < 0.05 for table in alike) <= 19
    assert same_test([[30, 5, 5], [5, 5, 30]]) < 0.001
    assert same_test([[10, 0], [7, 0]]) == same_test([[0, 0], [3, 4]]) == 1


def test_holm_multiplies_by_how_many_are_left_and_never_lets_order_turn_round() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx((0.06, 0.03, 0.06))
    assert holm([0.9, 0.8]) == (1.0, 1.0)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), max_size=8))
def test_corrected_p_values_are_never_smaller_and_keep_their_order(p_values: list[float]) -> None:
    corrected = holm(p_values)
    assert all(q >= p for p, q in zip(p_values, corrected, strict=True))
    for (p, q), (r, s) in itertools.pairwise(sorted(zip(p_values, corrected, strict=True))):
        assert p <= r
        assert q <= s


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5])
def test_exact_intervals_hold_at_least_as_often_as_they_say(share: float) -> None:
    chances = np.asarray(stats.binom.pmf(range(31), 30, share))
    inside = [low <= share <= high for low, high in (exact_interval(k, 30) for k in range(31))]
    assert chances[inside].sum() >= 0.95
    assert exact_interval(0, 0) == (0.0, 1.0)


def test_the_difference_of_two_shares_is_as_newcombe_prints_it() -> None:
    """Table II of Newcombe (1998), example (a), method 10."""
    found = share_difference((56, 70), (48, 80))
    assert found.value == pytest.approx(0.2)
    assert found.low == pytest.approx(0.0524, abs=5e-5)
    assert found.high == pytest.approx(0.3339, abs=5e-5)
    assert math.isnan(share_difference((0, 0), (1, 2)).value)


def test_cohens_h_of_equal_shares_is_none_and_of_a_half_and_all_is_half_of_pi() -> None:
    assert cohens_h(0.3, 0.3) == 0
    assert cohens_h(1, 0.5) == pytest.approx(math.pi / 2)


def test_total_variation_bounds_hold_and_reach_zero_where_nothing_is_off() -> None:
    """Of 150 samples, fewer than 130 would be inside with probability 1e-4 at a level of .95."""
    shares, true = [0.25] * 4, [0.4, 0.3, 0.2, 0.1]
    drawn = np.random.default_rng(3).multinomial(50, true, 150)
    bounds = [variation_from(row.tolist(), shares) for row in drawn]
    real = total_variation(true, shares)
    assert sum(one.low <= real <= one.high for one in bounds) >= 130
    assert variation_from([13, 12, 12, 13], shares).low == 0
    assert total_variation([1, 0], [0, 1]) == 1


def test_what_groups_differ_by_beyond_chance_is_found() -> None:
    """The variance is known to 0.007 where groups are alike and to 0.04 where they differ."""
    chance = np.random.default_rng(0)
    groups = np.repeat(np.arange(100), 20)
    noise = chance.normal(size=2_000)
    assert between(noise, groups) < 0.2
    assert between(noise + chance.normal(0, 0.5, 100)[groups], groups) == pytest.approx(
        0.5, rel=0.4
    )
    assert between(noise, np.zeros(2_000)) == 0
    assert between(np.ones(2_000), groups) == 0
    assert between([1.0], [3]) == between([], []) == 0


def test_an_interval_is_widened_by_an_error_of_its_own() -> None:
    found = Estimate(0.5, 0.44, 0.56)
    assert widened(found, 0.0) == found
    assert widened(found, 0.08 / 1.96) == pytest.approx((0.5, 0.4, 0.6), abs=1e-5)
    assert widened(Estimate(0.9, 0.8, 0.95), 1.0, 0.0, 1.0) == (0.9, 0.0, 1.0)
