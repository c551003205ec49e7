"""Limits are stated once, listed in the documentation, and checked as they are stated."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.core.limits import (
    LIMITS,
    SEED,
    Limit,
    choose,
    read_number,
    read_seed,
    read_whole,
    read_workers,
)
from mesa_llm_norms.errors import SpecError

PAGE = Path(__file__).parents[2] / "docs" / "limits.md"

whole_limits = st.sampled_from([limit for limit in LIMITS if isinstance(limit.low, int)])
limits = st.sampled_from(LIMITS)
nonsense = st.one_of(
    st.none(), st.booleans(), st.text(), st.lists(st.integers()), st.just(math.nan), st.just(1j)
)


@given(whole_limits, st.data())
def test_whole_numbers_within_a_limit_are_kept(limit: Limit[int], data: Any) -> None:
    value = data.draw(st.integers(limit.low, limit.high))
    assert read_whole("it", value, limit) == value
    if value <= np.iinfo(np.int64).max:
        kept = read_whole("it", np.int64(value), limit)
        assert kept == value
        assert type(kept) is int


@given(limits, st.data())
def test_numbers_beyond_a_limit_are_refused_with_the_range(limit: Limit[Any], data: Any) -> None:
    beyond = data.draw(
        st.one_of(
            st.sampled_from([math.inf, -math.inf, 10**400, -(10**400), 10**5000, -(10**5000)]),
            st.integers(min_value=int(limit.high) + 1),
            st.integers(max_value=math.ceil(limit.low) - 1),
            nonsense,
        )
    )
    read: Any = read_whole if isinstance(limit.low, int) else read_number
    with pytest.raises(SpecError) as caught:
        read("it", beyond, limit)
    assert caught.value.argument == "it"
    assert limit.range in caught.value.remedy
    assert len(str(caught.value)) < 500


def test_a_lower_bound_may_be_excluded() -> None:
    limit = Limit("it", 0.0, 1.0, "", "", above=True)
    assert read_number("it", 1, limit) == 1
    with pytest.raises(SpecError, match="more than 0, up to 1"):
        read_number("it", 0, limit)


def test_the_documentation_lists_every_limit() -> None:
    lines = ["| What | Allowed | Unit | Why |", "| --- | --- | --- | --- |"]
    for limit in LIMITS:
        lines.append(f"| {limit.what} | {limit.range} | {limit.unit} | {limit.reason} |")
    table = "\n".join(lines)
    assert table in PAGE.read_text(encoding="utf-8"), f"docs/limits.md should hold:\n{table}"


def test_workers_that_are_not_given_are_as_many_as_there_are_cores() -> None:
    assert read_workers(None) >= 1
    assert read_workers(3) == 3
    with pytest.raises(SpecError, match="workers"):
        read_workers(0)


@given(st.integers(0, SEED.high))
def test_a_whole_number_is_its_own_seed(seed: int) -> None:
    assert read_seed(seed) == seed


def test_a_generator_gives_one_seed_of_64_bits() -> None:
    assert read_seed(np.random.default_rng(1)) == read_seed(np.random.default_rng(1))
    assert read_seed(random.Random(1)) == read_seed(random.Random(1))
    generator = np.random.default_rng(1)
    assert read_seed(generator) != read_seed(generator)
    assert read_seed(np.int64(5)) == 5
    assert read_seed(np.random.RandomState(1)) == read_seed(np.random.RandomState(1))
    sequence = np.random.SeedSequence(1)
    assert read_seed(sequence) == read_seed(sequence) != read_seed(np.random.SeedSequence(2))
    assert max(read_seed(random.Random(seed)) for seed in range(20)) > 2**60


def test_no_seed_at_all_is_a_fresh_one() -> None:
    assert read_seed(None) != read_seed(None)


@pytest.mark.parametrize("rng", [-1, 2**64, 1.5, "7", True, b"1", [1], np.float64(2)])
def test_what_is_no_seed_is_refused(rng: Any) -> None:
    with pytest.raises(SpecError) as caught:
        read_seed(rng)
    assert caught.value.argument == "rng"


def test_a_seed_in_quotes_is_answered_with_how_to_write_it() -> None:
    with pytest.raises(SpecError, match="rng=7"):
        read_seed("7")


def test_a_choice_that_is_not_known_is_answered_with_a_similar_one() -> None:
    assert choose("it", ["b"], ["a", "b"]) == ("b",)
    assert choose("it", [], ["a", "b"]) == ("a", "b")
    with pytest.raises(SpecError, match="did you mean 'hubs'"):
        choose("it", ["hub"], ["random", "hubs"])
