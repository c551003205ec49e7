"""The last interactions of a run: counted as they come, and whether they are its end."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.core.stopping import (
    Recent,
    Stop,
    agreeing,
    check_stopping,
    converging,
    flipping,
)
from mesa_llm_norms.errors import SpecError

POOL = range(3)
plays = st.lists(st.tuples(st.sampled_from(POOL), st.sampled_from(POOL)), max_size=40)


@given(plays, st.integers(1, 12), st.sampled_from([0.5, 0.9, 1.0]))
def test_the_window_says_what_the_last_rows_say(
    played: list[tuple[int, int]], size: int, threshold: float
) -> None:
    recent = Recent(size, len(POOL))
    for number, pair in enumerate(played, 1):
        recent.add(*pair)
        last = played[max(0, number - size) : number]
        names = [name for pair in last for name in pair]
        full = number >= size
        assert recent.full == full
        assert recent.success_rate == sum(a == b for a, b in last) / len(last)
        assert [recent.share(name) for name in POOL] == [
            names.count(name) / len(names) for name in POOL
        ]
        assert recent.leader() == max(POOL, key=names.count)
        assert recent.in_order().tolist() == [a << 16 | b for a, b in last]
        assert recent.reaches(converging(size, threshold)) == (
            full and sum(a == b for a, b in last) >= threshold * size
        )
        assert recent.reaches(flipping(size, [0, 2])) == (
            full and any(names.count(name) / len(names) >= 0.95 for name in (0, 2))
        )


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_name_is_agreed_on_from_95_percent_on(size: int, nodes: int) -> None:
    stop = agreeing(size, len(POOL), nodes)
    for needed, total in ((stop.plays, 2 * size), (stop.holders, nodes)):
        assert needed / total >= 0.95 > (needed - 1) / total
    assert stop == Stop(plays=stop.plays, names=(0, 1, 2), holders=stop.holders)


def test_before_anything_is_played_there_is_no_leader_and_no_end() -> None:
    recent = Recent(1, 2)
    assert recent.leader() is None
    assert recent.success_rate == 0
    assert recent.share(0) == 0
    assert not recent.reaches(converging(1, 1.0))
    assert not recent.reaches(flipping(1, [0, 1]))


@given(plays, st.integers(1, 12), st.integers(1, 12))
def test_a_window_of_another_size_keeps_the_newest(
    played: list[tuple[int, int]], size: int, other: int
) -> None:
    recent, expected = Recent(size, len(POOL)), Recent(other, len(POOL))
    for pair in played:
        recent.add(*pair)
    for pair in played[-size:]:
        expected.add(*pair)
    resized = recent.resized(other)
    for pair in [*played, *played]:
        assert resized.in_order().tolist() == expected.in_order().tolist()
        assert resized.played == expected.played
        assert resized.matched == expected.matched
        resized.add(*pair)
        expected.add(*pair)


@given(plays, st.integers(1, 12))
def test_what_something_else_wrote_into_the_ring_is_counted(
    played: list[tuple[int, int]], size: int
) -> None:
    expected, recent = Recent(size, len(POOL)), Recent(size, len(POOL))
    for pair in played:
        expected.add(*pair)
    recent.view[:] = expected.view
    recent.filled, recent.place = expected.filled, expected.place
    recent.recount()
    assert (recent.played, recent.matched) == (expected.played, expected.matched)


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
