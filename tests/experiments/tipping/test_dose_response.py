"""The dose-response curve: right where it is known, there where counts are apart, and covering."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments.tipping.dose_response import Dose, fit_dose_response


def drawn(chance: np.random.Generator, middle: float, slope: float, runs: int) -> list[Dose]:
    counts = range(9)
    shares = special.expit(slope * (np.array(counts) - middle))
    return [
        Dose(count, int(chance.binomial(runs, share)), runs)
        for count, share in zip(counts, shares, strict=True)
    ]


@pytest.mark.slow
def test_the_interval_of_the_critical_mass_covers_it_as_often_as_it_says() -> None:
    """200 data sets; an interval of exactly 95% fails 1 time in 1,000."""
    chance = np.random.default_rng(5)
    inside = 0
    for _ in range(200):
        found = fit_dose_response(drawn(chance, 3.7, 1.4, 20)).critical_mass
        assert found.low <= found.value <= found.high
        inside += found.low <= 3.7 <= found.high
    least, most = stats.binom.interval(0.999, 200, 0.95)
    assert least <= inside <= most


def test_many_runs_find_middle_and_slope() -> None:
    found = fit_dose_response(drawn(np.random.default_rng(1), 4.2, 0.9, 20_000))
    assert found.critical_mass.value == pytest.approx(4.2, abs=0.05)
    assert found.slope == pytest.approx(0.9, abs=0.03)
    assert found.misfit > 0.001
    assert found.probability(np.array([4.2]))[0] == pytest.approx(0.5, abs=0.02)


def test_counts_that_never_and_always_flip_give_a_finite_interval_between_them() -> None:
    found = fit_dose_response([Dose(0, 0, 50), Dose(3, 0, 50), Dose(4, 50, 50), Dose(9, 50, 50)])
    assert found.critical_mass.value == pytest.approx(3.5, abs=0.05)
    assert 3 <= found.critical_mass.low < found.critical_mass.high <= 4
    assert found.bracket == (3, 4)


def test_a_convention_that_nothing_overturns_has_an_infinite_critical_mass() -> None:
    found = fit_dose_response([Dose(0, 0, 30), Dose(12, 2, 30)])
    assert tuple(found.critical_mass) == (math.inf, 12, math.inf)
    assert found.bracket == (12, math.inf)


def test_a_convention_that_falls_by_itself_has_a_critical_mass_of_none() -> None:
    found = fit_dose_response([Dose(0, 28, 30), Dose(12, 30, 30)])
    assert tuple(found.critical_mass) == (0, 0, 0)
    assert found.bracket == (-1, 0)


def test_counts_that_scatter_about_the_curve_widen_the_interval() -> None:
    even = [Dose(1, 10, 200), Dose(2, 60, 200), Dose(3, 140, 200), Dose(4, 190, 200)]
    uneven = [Dose(1, 60, 200), Dose(2, 10, 200), Dose(3, 190, 200), Dose(4, 140, 200)]
    calm, rough = fit_dose_response(even), fit_dose_response(uneven)
    assert calm.heterogeneity == 1
    assert rough.misfit < 0.001
    assert rough.heterogeneity > 10
    widths = [one.critical_mass.high - one.critical_mass.low for one in (calm, rough)]
    assert widths[1] > 2 * widths[0]


def test_one_count_makes_no_curve() -> None:
    with pytest.raises(SpecError, match="two different numbers"):
        fit_dose_response([Dose(3, 1, 10), Dose(3, 4, 10), Dose(5, 0, 0)])


@given(st.lists(st.tuples(st.integers(0, 24), st.integers(0, 20)), min_size=2, max_size=8))
def test_any_counts_give_an_ordered_interval(given_: list[tuple[int, int]]) -> None:
    doses = [Dose(count, min(flipped, 20), 20) for count, flipped in given_]
    if len({dose.committed for dose in doses}) < 2:
        return
    found = fit_dose_response(doses).critical_mass
    assert 0 <= found.low <= found.value <= found.high


def test_splitting_the_runs_of_a_count_changes_nothing() -> None:
    whole = fit_dose_response([Dose(1, 3, 20), Dose(3, 15, 20), Dose(4, 19, 20)])
    split = [Dose(3, 5, 10), Dose(1, 3, 20), Dose(3, 10, 10), Dose(4, 19, 20)]
    assert fit_dose_response(split) == whole
