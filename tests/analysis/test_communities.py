"""Metastable states: several names side by side, none of them gaining."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.analysis.communities import metastable_states
from mesa_llm_norms.errors import SpecError


def rounds(*runs: list[float]) -> pd.DataFrame:
    """Return the rounds of runs with two names, given the share of Q."""
    return pd.DataFrame(
        [
            {"run": run, "round": number, "share_Q": share, "share_M": 1 - share}
            for run, shares in enumerate(runs)
            for number, share in enumerate(shares)
        ]
    )


def brute(shares: np.ndarray[Any, Any], least: int, share: float, tolerance: float) -> list[Any]:
    """Return the stretches of one run, straight from the definition."""

    def holds(first: int, last: int) -> bool:
        part = shares[first:last]
        still = (part.max(axis=0) - part.min(axis=0) <= tolerance + 1e-9).all()
        return bool(still and (part.min(axis=0) >= share - 1e-9).sum() >= 2)

    found, first = [], 0
    while first + least <= len(shares):
        if not holds(first, first + least):
            first += 1
            continue
        last = first + least
        while last < len(shares) and holds(first, last + 1):
            last += 1
        found.append((first, last - 1))
        first = last
    return found


def test_a_plateau_is_found_between_a_climb_and_a_win() -> None:
    run = [0.5, 0.9, 0.1, 0.3, *[0.6, 0.62] * 6, 0.8, 0.9, *[1.0] * 10]
    found = metastable_states(rounds(run), least=8, tolerance=0.05, smooth=1)
    (row,) = found.to_dict("records")
    assert (row["run"], row["start"], row["end"], row["length"]) == (0, 4, 15, 12)
    assert row["names"] == ("Q", "M")
    assert row["shares"] == pytest.approx((0.61, 0.39))
    assert not row["open"]


def test_one_name_alone_and_a_slow_take_over_are_no_coexistence() -> None:
    alone, slow = [0.95] * 40, np.linspace(0.5, 0.9, 40).tolist()
    found = metastable_states(rounds(alone, slow), least=20, tolerance=0.1)
    assert found.empty
    assert list(found.columns) == ["run", "start", "end", "length", "names", "shares", "open"]
    assert metastable_states(rounds(slow), least=40, tolerance=0.4, smooth=1)["open"].tolist() == [
        True
    ]


def test_names_that_take_turns_do_not_coexist() -> None:
    """In every round two names have their share, but no two of them throughout."""
    table = pd.DataFrame({"run": 0, "round": range(30), "share_Q": 0.9})
    table["share_M"] = [0.1, 0.0] * 15
    table["share_X"] = [0.0, 0.1] * 15
    assert metastable_states(table, least=10, tolerance=0.2, smooth=1).empty
    assert len(metastable_states(table.assign(share_M=0.1), least=10, tolerance=0.2)) == 1


def test_smoothing_is_a_centred_mean_shorter_at_the_ends_of_a_run() -> None:
    """With means of three, 0 0 1 becomes 0 1/3 1/2; the next run is not looked into."""
    run = rounds([0.5, 0.5, 0.8], [0.0] * 3)
    kept: dict[str, Any] = {"least": 3, "share": 0.3, "smooth": 3}
    assert len(metastable_states(run, tolerance=0.15, **kept)) == 1
    assert metastable_states(run, tolerance=0.14, **kept).empty


shares = st.lists(st.integers(0, 10).map(lambda tenth: tenth / 10), min_size=1, max_size=30)


@given(
    st.lists(shares, min_size=1, max_size=4), st.integers(1, 8), st.sampled_from([0.1, 0.2, 0.5])
)
def test_stretches_are_those_of_the_definition(
    runs: list[list[float]], least: int, tolerance: float
) -> None:
    table = rounds(*runs)
    found = metastable_states(table, least=least, share=0.2, tolerance=tolerance, smooth=1)
    expected = [
        (number, first, last)
        for number, run in enumerate(runs)
        for first, last in brute(
            np.array([(share, 1 - share) for share in run]), least, 0.2, tolerance
        )
    ]
    got = found[["run", "start", "end"]].to_records(index=False).tolist() if len(found) else []
    assert got == expected
    mixed = table.sample(frac=1, random_state=1)
    again = metastable_states(mixed, least=least, share=0.2, tolerance=tolerance, smooth=1)
    pd.testing.assert_frame_equal(again, found)


def test_a_stretch_of_any_length_is_followed_to_its_end() -> None:
    found = metastable_states(rounds([0.5] * 5_000 + [1.0] * 100), least=10, smooth=1)
    assert found[["start", "end"]].to_numpy().tolist() == [[0, 4_999]]


def test_two_neighbourhoods_that_keep_their_names_are_a_metastable_state() -> None:
    """Everybody is committed: who plays is drawn every round, and nothing else changes."""
    half = {"Q": list(range(12)), "M": list(range(12, 24))}
    result = run_ensemble(
        graph="ring(n=24)", names="QM", committed=half, runs=3, rounds=60, until=None, rng=2
    )
    found = metastable_states(result.rounds, tolerance=0.3)
    assert found["length"].tolist() == [60, 60, 60]
    assert found["open"].all()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"rounds": rounds([0.5]).iloc[:0]}, "rounds"),
        ({"rounds": rounds([0.5]).drop(columns="run")}, "rounds"),
        ({"rounds": rounds([0.5]).drop(columns=["share_Q", "share_M"])}, "rounds"),
        ({"rounds": pd.concat([rounds([0.5])] * 2)}, "rounds"),
        ({"rounds": rounds([np.nan])}, "rounds"),
        ({"rounds": None}, "rounds"),
        ({"least": 0}, "least"),
        ({"smooth": 1.5}, "smooth"),
        ({"share": 0.6}, "share"),
        ({"share": 0}, "share"),
        ({"tolerance": -1}, "tolerance"),
        ({"tolerance": True}, "tolerance"),
    ],
)
def test_what_cannot_be_used_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(SpecError) as caught:
        metastable_states(**{"rounds": rounds([0.5] * 3), **change})
    assert caught.value.argument == named
