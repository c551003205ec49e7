"""What a finding says of a statement, and the samples that intervals are made from."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.reproduction.papers.paper import (
    AGREES,
    CONTRARY,
    DIFFERS,
    LESS,
    MORE,
    UNDECIDED,
    Finding,
    difference,
)


def found(published: object, allowed: object, *here: float) -> str:
    return Finding("m", "w", Estimate(*here), "t", published, allowed).verdict  # type: ignore[arg-type]


def test_a_number_agrees_where_its_interval_meets_what_is_published_with_its_error() -> None:
    assert found(1.4, (1.3, 1.5), 1.2, 1.1, 1.35) == AGREES
    assert found(1.4, (1.3, 1.5), 1.2, 1.1, 1.29) == DIFFERS


@given(low=st.integers(-9, 9), size=st.integers(1, 9))
def test_a_sentence_is_undecided_exactly_where_the_interval_reaches_across_zero(
    low: int, size: int
) -> None:
    high = low + size
    more, less = (found("s", it, (low + high) / 2, low, high) for it in (MORE, LESS))
    assert (more == UNDECIDED) == (low <= 0 <= high) == (less == UNDECIDED)
    if more != UNDECIDED:
        assert {more, less} == {AGREES, CONTRARY}
        assert (more == AGREES) == (low > 0)


def test_what_is_not_published_gets_no_verdict_and_what_is_not_measured_none_either() -> None:
    assert found(None, None, 1, 1, 1) == ""
    assert found("s", MORE, math.nan, math.nan, math.nan) == UNDECIDED


def test_the_interval_of_a_difference_holds_it_and_leaves_missing_values_out() -> None:
    estimate = difference([3.0, 4.0, 5.0, math.nan] * 20, [1.0, 2.0] * 20)
    assert estimate.value == pytest.approx(2.5)
    assert estimate.low < 2.5 < estimate.high
    assert math.isnan(difference([math.nan], [1.0]).value)
