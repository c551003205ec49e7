"""What a run shows: shares, entropy, success, and when a run has reached its end."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms import Interaction, SpecError
from mesa_llm_norms.metrics import (
    Recent,
    check_stopping,
    entropy,
    name_shares,
    success_rate,
    summarise,
)

POOL = ("Q", "M", "X")
plays = st.lists(st.tuples(st.sampled_from(POOL), st.sampled_from(POOL)), max_size=40)


def rows_of(played: list[tuple[str, str]], round_number: int = 0) -> list[Interaction]:
    return [
        Interaction(0, number, round_number, "u", "v", a, b, 100 if a == b else -50)
        for number, (a, b) in enumerate(played)
    ]


@given(plays.filter(bool))
def test_a_round_in_numbers_is_what_counting_its_rows_gives(played: list[tuple[str, str]]) -> None:
    summary = summarise(rows_of(played, 4), POOL)
    names = [name for pair in played for name in pair]
    assert summary.number == 4
    assert summary.interactions == len(played)
    assert summary.success_rate == sum(a == b for a, b in played) / len(played)
    assert summary.shares == {name: names.count(name) / len(names) for name in POOL}
    assert summary.distinct_names == len(set(names))
    assert names.count(summary.leader) == max(names.count(name) for name in POOL)


def test_nothing_played_has_no_success_rate_and_no_shares() -> None:
    assert math.isnan(success_rate([]))
    assert name_shares([], POOL) == {"Q": 0, "M": 0, "X": 0}


def test_entropy_is_in_bits_and_zero_for_one_name() -> None:
    assert entropy({"Q": 0.5, "M": 0.5}) == 1
    assert entropy(dict.fromkeys("ABCDEFGH", 1 / 8)) == 3
    assert str(entropy({"Q": 1.0, "M": 0.0})) == "0.0"


@given(plays, st.integers(1, 12), st.sampled_from([0.5, 0.9, 1.0]))
def test_the_window_says_what_the_last_rows_say(
    played: list[tuple[str, str]], size: int, threshold: float
) -> None:
    recent = Recent(size)
    for number, pair in enumerate(played, 1):
        recent.add(*pair)
        last = played[max(0, number - size) : number]
        names = [name for pair in last for name in pair]
        full = number >= size
        assert recent.full == full
        assert recent.success_rate == sum(a == b for a, b in last) / len(last)
        assert {name: recent.share(name) for name in POOL} == {
            name: names.count(name) / len(names) for name in POOL
        }
        assert recent.converged(threshold) == (
            full and sum(a == b for a, b in last) >= threshold * size
        )
        assert recent.flipped(["Q", "X"]) == (
            full and any(names.count(name) / len(names) >= 0.95 for name in ("Q", "X"))
        )


def test_before_anything_is_played_there_is_no_leader_and_no_end() -> None:
    recent = Recent(1)
    assert recent.leader(POOL) is None
    assert recent.success_rate == 0
    assert recent.share("Q") == 0
    assert not recent.converged()
    assert not recent.flipped(POOL)


@given(plays, st.integers(1, 12), st.integers(1, 12))
def test_a_window_made_smaller_keeps_the_newest(
    played: list[tuple[str, str]], size: int, smaller: int
) -> None:
    recent, expected = Recent(size), Recent(min(size, smaller))
    for pair in played:
        recent.add(*pair)
        expected.add(*pair)
    resized = recent.resized(min(size, smaller))
    assert resized.success_rate == expected.success_rate
    assert resized.full == expected.full
    assert [resized.share(name) for name in POOL] == [expected.share(name) for name in POOL]


def test_of_equals_the_earlier_in_the_pool_leads() -> None:
    recent = Recent(2)
    recent.add("M", "Q")
    assert recent.leader(("Q", "M")) == "Q"
    assert recent.leader(("M", "Q")) == "M"
    assert summarise(rows_of([("M", "Q")]), ("M", "Q")).leader == "M"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("until", "convergence"),
        ("until", ""),
        ("until", True),
        ("until", 3),
        ("window", 0),
        ("window", -1),
        ("window", math.nan),
        ("window", math.inf),
        ("window", "3"),
        ("window", True),
        ("threshold", 0),
        ("threshold", 1.01),
        ("threshold", math.nan),
        ("threshold", None),
    ],
)
def test_no_way_to_end_a_run_is_refused(argument: str, value: Any) -> None:
    arguments: dict[str, Any] = {"until": "converged", "window": 3, "threshold": 1.0}
    with pytest.raises(SpecError) as caught:
        check_stopping(**{**arguments, argument: value})
    assert caught.value.argument == argument
