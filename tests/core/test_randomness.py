"""Every draw is a pure function of what it is for, and as good as chance."""

from __future__ import annotations

import itertools
import random
from bisect import bisect_right
from typing import Any

import numpy as np
import pytest
from chances import assert_frequencies, assert_independent
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.core.randomness import (
    GOLDEN,
    MASK,
    UNIT,
    RandomStream,
    cumulative_weights,
    index_of,
    interaction_draws,
    mix,
    mix_array,
)

seeds = st.integers(0, MASK)
runs = st.integers(0, 10**6)
numbers = st.one_of(st.integers(0, 5_000), st.integers(0, 2**40))

# The definition, word for word as the module gives it, in plain whole numbers.


def scramble(value: int) -> int:
    value %= 2**64
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
    return value ^ (value >> 31)


def four_draws(seed: int, run: int, t: int) -> tuple[int, int, int, int]:
    golden = 0x9E3779B97F4A7C15
    key = scramble(scramble(seed) + run * golden)
    plan = scramble(key + (2 * t + 1) * golden)
    seats = scramble(key + (2 * t + 2) * golden)
    return plan >> 32, plan % 2**32, seats >> 32, seats % 2**32


@given(seeds, runs, numbers)
def test_the_draws_are_what_the_definition_says(seed: int, run: int, number: int) -> None:
    assert RandomStream(seed, run).interaction(number) == four_draws(seed, run, number)


@pytest.mark.parametrize("number", [0, 1, 1_023, 1_024, 1_025, 2_047, 2_048])
def test_the_definition_holds_where_blocks_meet(number: int) -> None:
    stream = RandomStream(5, 2)
    stream.interaction(1_000)
    assert stream.interaction(number) == four_draws(5, 2, number)


@given(seeds, runs, st.lists(numbers, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_the_order_of_asking_does_not_matter(
    seed: int, run: int, asked: list[int], chance: random.Random
) -> None:
    stream = RandomStream(seed, run)
    first = {number: stream.interaction(number) for number in asked}
    chance.shuffle(asked)
    assert all(stream.interaction(number) == first[number] for number in asked)
    assert all(RandomStream(seed, run).interaction(number) == first[number] for number in asked)


def test_the_draws_of_seed_0_run_0_are_frozen() -> None:
    """Changing them changes every published trajectory; no version of the package may."""
    stream = RandomStream(0, 0)
    assert [tuple(stream.interaction(number)) for number in (0, 1, 1_024)] == GOLDEN_DRAWS
    assert RandomStream(7, 3).of("committed") == GOLDEN_OF[0]
    assert RandomStream(7, 3).of("matching", 4) == GOLDEN_OF[1]


@given(seeds, st.integers(0, 2**40), st.integers(1, 50))
def test_arrays_are_mixed_as_single_numbers_are(key: int, first: int, count: int) -> None:
    expected = [mix(key + (n + 1) * GOLDEN) for n in range(first, first + count)]
    assert mix_array(key, count, first).tolist() == expected


def columns(seed: int, run: int, count: int = 2**16) -> Any:
    return interaction_draws(RandomStream(seed, run).key, 0, count)


@pytest.mark.parametrize("which", range(4), ids=["node", "neighbor", "seat a", "seat b"])
def test_each_draw_is_uniform(which: int) -> None:
    """Chi-square on 256 high and 256 low parts; false alarms one in a million each."""
    drawn = columns(1, 0)[which].astype(np.int64)
    for part in (drawn >> 24, drawn & 255):
        assert_frequencies(np.bincount(part, minlength=256).tolist(), [1.0] * 256)


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations(range(4), 2)))
def test_the_draws_of_one_interaction_do_not_go_together(one: int, other: int) -> None:
    drawn = columns(2, 0)
    assert_independent(drawn[one], drawn[other])


@pytest.mark.parametrize(("one", "other"), list(itertools.product(range(4), repeat=2)))
def test_neighbouring_interactions_runs_and_seeds_do_not_go_together(one: int, other: int) -> None:
    drawn = columns(3, 0)
    assert_independent(drawn[one][:-1], drawn[other][1:])
    assert_independent(drawn[one], columns(3, 1)[other])
    assert_independent(drawn[one], columns(4, 0)[other])


def test_runs_and_seeds_do_not_share_draws() -> None:
    """64-bit values of nearby seeds and runs all differ: not one is the other shifted along."""
    values = [
        value
        for seed, run in itertools.product(range(8), range(8))
        for value in mix_array(RandomStream(seed, run).key, 2_000).tolist()
    ]
    assert len(set(values)) == len(values)


@given(seeds, st.text(max_size=8), st.text(max_size=8), st.lists(st.integers(0, 99), max_size=3))
def test_each_purpose_and_position_has_a_draw_of_its_own(
    seed: int, one: str, other: str, position: list[int]
) -> None:
    stream = RandomStream(seed, 1)
    assert stream.of(one, *position) == RandomStream(seed, 1).of(one, *position)
    assert (stream.of(one, *position) == stream.of(other, *position)) == (one == other)
    assert stream.of(one, *position, 0) != stream.of(one, *position, 1)
    assert stream.generator(one).random() == stream.generator(one).random()


weights = st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), min_size=1, max_size=20).filter(
    any
)


@given(weights)
def test_thresholds_follow_the_weights_to_the_last_bit(given_weights: list[float]) -> None:
    steps = cumulative_weights(given_weights)
    total = sum(given_weights)
    assert steps[-1] == UNIT
    assert steps == sorted(steps)
    widths = np.diff([0, *steps])
    assert widths.sum() == UNIT
    for width, weight in zip(widths.tolist(), given_weights, strict=True):
        assert abs(width - weight / total * UNIT) <= 1.01
        assert width == 0 or weight > 0


@given(weights, st.integers(0, UNIT - 1))
def test_a_draw_never_picks_a_weight_of_zero(given_weights: list[float], draw: int) -> None:
    steps = cumulative_weights(given_weights)
    for edge in (draw, 0, UNIT - 1, *(step for step in steps if step < UNIT)):
        assert given_weights[bisect_right(steps, edge)] > 0


def test_frequencies_follow_the_weights() -> None:
    """Chi-square on 65,536 draws; false alarms one in a million."""
    shares = [3.0, 0.0, 1.0, 5.0, 0.5, 0.0]
    steps = cumulative_weights(shares)
    picked = [bisect_right(steps, draw) for draw in columns(5, 0)[2].tolist()]
    assert_frequencies(np.bincount(picked, minlength=6).tolist(), shares)


@given(st.integers(0, UNIT - 1), st.integers(1, 10**5))
def test_an_index_is_within_its_range(draw: int, size: int) -> None:
    assert 0 <= index_of(draw, size) < size
    assert index_of(0, size) == 0
    assert index_of(UNIT - 1, size) == size - 1


def test_indices_are_uniform() -> None:
    """Chi-square on 65,536 draws; false alarms one in a million."""
    picked = [index_of(draw, 24) for draw in columns(6, 0)[0].tolist()]
    assert_frequencies(np.bincount(picked, minlength=24).tolist(), [1.0] * 24)


GOLDEN_DRAWS = [
    (3793791033, 2065550767, 1853398634, 2713282036),
    (113532184, 2148091215, 4169906344, 1917616620),
    (2133260898, 25272253, 2078447873, 4145050123),
]
GOLDEN_OF = (2743374666011597188, 7353655556179613160)
