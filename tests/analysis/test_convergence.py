"""Convergence times: censored runs are neither left out nor taken for finished."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from chances import FALSE_ALARM
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.analysis.convergence import compare_convergence, convergence_time
from mesa_llm_norms.analysis.intervals import Estimate, wilson_interval
from mesa_llm_norms.errors import SpecError

observed = st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=1, max_size=30)
FEW = 20


def columns(runs: list[tuple[int, bool]]) -> tuple[list[int], list[bool]]:
    return [time for time, _ in runs], [done for _, done in runs]


def kaplan_meier(runs: list[tuple[int, bool]]) -> dict[int, Fraction]:
    """Return the share still going after each time, straight from the definition."""
    share, curve = Fraction(1), {}
    for time in sorted({time for time, _ in runs}):
        followed = sum(other >= time for other, _ in runs)
        share *= 1 - Fraction(sum(other == time and done for other, done in runs), followed)
        curve[time] = share
    return curve


def first_at_or_below(curve: dict[int, Fraction], share: Fraction) -> float:
    return next((time for time, going in curve.items() if going <= share), math.inf)


def test_a_worked_example() -> None:
    """Ten fan belts, five of them not worn out: Conover (1999), page 91 of his first edition."""
    worn, sound = [77, 47, 81, 56, 80], [62, 60, 43, 71, 37]
    found = convergence_time(worn + sound, [True] * 5 + [False] * 5, horizon=80)
    assert (found.runs, found.censored, found.horizon) == (10, 5, 80)
    going = dict(zip(found.curve["time"], found.curve["going"], strict=True))
    assert going[0] == going[37] == going[43] == 1
    assert going[47] == pytest.approx(7 / 8)
    assert going[56] == pytest.approx(3 / 4)
    assert going[77] == pytest.approx(1 / 2)
    assert going[80] == pytest.approx(1 / 4)
    assert going[81] == 0
    assert found.median.value == 77
    assert found.lower_quartile.value == 56
    assert found.upper_quartile.value == 80
    assert found.restricted_mean.value == pytest.approx(47 + 9 * 7 / 8 + 21 * 3 / 4 + 3 / 2)
    assert found.share.value == pytest.approx(3 / 4)
    last = found.curve[found.curve["time"] == 80].iloc[0]
    assert found.share[1:] == pytest.approx((1 - last["high"], 1 - last["low"]))


def test_the_interval_of_the_curve_is_greenwoods_on_a_log_log_scale() -> None:
    """By hand at the second event: going 3/4, and Greenwood's sum is 1/56 + 1/42."""
    found = convergence_time([47, 56, 60, 60, 60, 60, 60, 60], [True, True, *[False] * 6])
    assert found.curve["going"].tolist() == pytest.approx([1, 7 / 8, 3 / 4, 3 / 4])
    log = math.log(3 / 4)
    spread = 1.959964 * math.sqrt(1 / 56 + 1 / 42) / -log
    low, high = ((3 / 4) ** math.exp(sign * spread) for sign in (1, -1))
    assert found.curve["low"].iloc[2] == pytest.approx(low, abs=1e-6)
    assert found.curve["high"].iloc[2] == pytest.approx(high, abs=1e-6)


@given(observed)
def test_the_curve_and_its_quartiles_are_those_of_the_definition(
    runs: list[tuple[int, bool]],
) -> None:
    found = convergence_time(*columns(runs), resamples=FEW)
    curve = kaplan_meier(runs)
    got = dict(zip(found.curve["time"], found.curve["going"], strict=True))
    assert got == pytest.approx({0: 1.0} | {time: float(share) for time, share in curve.items()})
    for estimate, share in (
        (found.lower_quartile, Fraction(3, 4)),
        (found.median, Fraction(1, 2)),
        (found.upper_quartile, Fraction(1, 4)),
    ):
        assert estimate.value == first_at_or_below(curve, share)
    area = sum(
        float(going) * (min(later, found.horizon) - min(time, found.horizon))
        for (time, going), later in zip(
            {0: Fraction(1), **curve}.items(),
            [*sorted({0, *curve})[1:], found.horizon],
            strict=True,
        )
    )
    assert found.restricted_mean.value == pytest.approx(area)
    assert found.censored == sum(not done for _, done in runs)
    assert found.curve["followed"].iloc[0] == len(runs)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(1, 30))
def test_without_censoring_it_is_plain_counting(times: list[int], horizon: int) -> None:
    found = convergence_time(times, [True] * len(times), horizon=horizon, resamples=FEW)
    plain = np.quantile(times, [0.25, 0.5, 0.75], method="inverted_cdf")
    got = [found.lower_quartile.value, found.median.value, found.upper_quartile.value]
    assert got == plain.tolist()
    assert found.restricted_mean.value == pytest.approx(np.minimum(times, horizon).mean())
    within = sum(time <= horizon for time in times)
    assert found.share == pytest.approx(
        (within / len(times), *map(float, wilson_interval(within, len(times))))
    )


def test_taking_the_limit_for_a_time_and_leaving_runs_out_are_both_wrong() -> None:
    times, done = [10, 20, 90, 100, 100], [True, True, True, False, False]
    found = convergence_time(times, done)
    assert found.median.value == 90
    assert np.median([10, 20, 90]) == 20
    assert found.upper_quartile == Estimate(math.inf, found.upper_quartile.low, math.inf)


def test_a_median_that_was_not_reached_is_infinite_and_so_is_its_upper_bound() -> None:
    found = convergence_time([5, 5, 9, 9, 9, 9, 9], [True, True, *[False] * 5])
    assert found.median.value == math.inf
    assert found.median.high == math.inf
    assert found.restricted_mean.value == pytest.approx((2 * 5 + 5 * 9) / 7)
    assert found.share.value == pytest.approx(2 / 7)


def test_nothing_finished_and_everything_finished_at_once_have_intervals_all_the_same() -> None:
    never = convergence_time([9] * 10, [False] * 10)
    assert never.median == Estimate(math.inf, math.inf, math.inf)
    assert never.share.value == never.share.low == 0
    assert never.share.high == pytest.approx(0.2775, abs=1e-4)  # Wilson, 0 of 10
    assert never.restricted_mean == Estimate(9, 9, 9)
    always = convergence_time([9] * 10, [True] * 10)
    assert always.median == Estimate(9, 9, 9)
    assert always.share.high == 1
    assert always.share.low == pytest.approx(0.7225, abs=1e-4)
    one = convergence_time([9], [True], horizon=100)
    assert one.restricted_mean == Estimate(9, 9, 9)


def test_runs_lost_early_leave_less_to_go_by() -> None:
    """Four runs were lost before the only two events; Wilson's interval is that of 1 of 1."""
    found = convergence_time([1, 1, 1, 1, 5, 6], [False] * 4 + [True] * 2, horizon=6)
    assert found.share == pytest.approx((1, *map(float, wilson_interval(1, 1))))
    never = convergence_time([1, 1, 9, 9], [False] * 4, horizon=5)
    assert never.share == pytest.approx((0, *map(float, wilson_interval(0, 2))))


def test_the_runs_of_an_ensemble_are_read_as_they_are() -> None:
    runs = run_ensemble(graph="ring(n=12)", names="QM", runs=20, rounds=8, rng=3).runs
    found = convergence_time(runs)
    assert found.censored == (~runs["converged"]).sum() > 0
    again = convergence_time(runs["interactions"], runs["converged"])
    assert again.row() == found.row()
    by_round = convergence_time(runs, unit="rounds")
    assert by_round.horizon == 8
    assert set(found.row()) >= {"median", "median_low", "share_high", "runs", "unit", "horizon"}


def test_the_same_seed_gives_the_same_intervals_also_in_small_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times, done = np.arange(1, 41), np.arange(40) % 3 > 0
    whole = convergence_time(times, done, rng=4)
    monkeypatch.setattr("mesa_llm_norms.analysis.intervals._ROOM", 1_000)
    assert convergence_time(times, done, rng=4).row() == whole.row()
    assert convergence_time(times, done, rng=5).row() != whole.row()


def assert_coverage(hits: int, cases: int, level: float) -> None:
    """Fail if intervals hold more or less often than they say."""
    chance = stats.binomtest(hits, cases, level).pvalue
    assert chance > FALSE_ALARM, f"p={chance:.1e}: {hits} of {cases} at {level}"


def test_the_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Exponential times, a third of them censored; a right program fails once in a million."""
    chance = np.random.default_rng(20)
    cases, size, horizon = 200, 80, 1.0
    truth = {
        "median": math.log(2),
        "lower_quartile": math.log(4 / 3),
        "restricted_mean": 1 - math.exp(-horizon),
        "share": 1 - math.exp(-horizon),
    }
    hits = dict.fromkeys(truth, 0)
    for case in range(cases):
        times, limits = chance.exponential(1, size), chance.uniform(0.2, 3, size)
        limits[0], times[0] = 3, 3.1  # so that the horizon is always within what was observed
        found = convergence_time(
            np.minimum(times, limits), times <= limits, horizon=horizon, resamples=300, rng=case
        )
        for name, value in truth.items():
            estimate = getattr(found, name)
            hits[name] += estimate.low <= value <= estimate.high
    for count in hits.values():
        assert_coverage(count, cases, 0.95)


def test_wilsons_interval_by_hand() -> None:
    """8 of 10 is the textbook case: 0.490 to 0.943."""
    low, high = wilson_interval([8, 0, 10, 0], [10, 10, 10, 0])
    assert low[:3] == pytest.approx([0.4902, 0, 0.7225], abs=1e-4)
    assert high[:3] == pytest.approx([0.9433, 0.2775, 1], abs=1e-4)
    assert np.isnan([low[3], high[3]]).all()


def censored(runs: list[tuple[int, bool]]) -> stats.CensoredData:
    return stats.CensoredData(
        uncensored=[time for time, done in runs if done],
        right=[time for time, done in runs if not done],
    )


@given(observed, observed)
def test_the_log_rank_test_is_scipys(
    one: list[tuple[int, bool]], other: list[tuple[int, bool]]
) -> None:
    found = compare_convergence(columns(one), columns(other), resamples=FEW)
    with np.errstate(invalid="ignore"):
        theirs = stats.logrank(censored(one), censored(other))
    if math.isnan(found.statistic):
        assert not np.isfinite(theirs.statistic) or abs(theirs.statistic) < 1e-6
    else:
        assert found.statistic == pytest.approx(float(theirs.statistic), abs=1e-9)
        assert found.p_value == pytest.approx(float(theirs.pvalue))


def test_the_log_rank_test_of_many_runs_with_equal_times_does_not_overflow() -> None:
    """Half against 49% finish first: as good as the z test of two shares, 0.01 / 0.002236."""
    size, done = 100_000, [True] * 100_000
    one, other = ([1] * half + [2] * (size - half) for half in (50_000, 49_000))
    found = compare_convergence((one, done), (other, done), resamples=2)
    assert found.statistic == pytest.approx(4.472, abs=1e-3)


def table(times: Any, done: Any) -> pd.DataFrame:
    numbers = np.arange(len(times))
    return pd.DataFrame({"run": numbers, "interactions": times, "converged": done})


def test_pairing_by_run_takes_out_what_the_runs_share() -> None:
    chance = np.random.default_rng(5)
    base = chance.lognormal(5, 1, 200)
    slow, fast = table(base * 1.5, base < 400), table(base, base < 400)
    paired = compare_convergence(slow, fast.sample(frac=1, random_state=1), rng=2)
    apart = compare_convergence(slow, fast, paired=False, rng=2)
    assert paired.paired
    assert not apart.paired
    assert paired.ratio.value == apart.ratio.value == pytest.approx(1.5)
    assert paired.ratio.low == pytest.approx(1.5)
    assert paired.ratio.high == pytest.approx(1.5)
    assert apart.ratio.low < 1.4 < 1.6 < apart.ratio.high
    assert paired.statistic == apart.statistic < 0
    assert paired.mean_difference.low > 0
    assert compare_convergence(slow, fast.assign(run=7)).paired is False


def test_sets_that_do_not_converge_can_still_be_compared() -> None:
    slow, fast = ([9.0] * 8, [False] * 8), ([2.0] * 8, [True] * 8)
    found = compare_convergence(slow, fast, paired=True)
    assert found.ratio == Estimate(math.inf, math.inf, math.inf)
    assert found.mean_difference == Estimate(7, 7, 7)
    assert found.statistic < 0
    neither = compare_convergence(slow, slow, paired=True)
    assert math.isnan(neither.ratio.value)
    assert neither.ratio[1:] == (0, math.inf)
    assert math.isnan(neither.p_value)


def test_no_difference_is_rarely_taken_for_one() -> None:
    chance = np.random.default_rng(8)
    cases, hits = 200, 0
    for case in range(cases):
        times = np.round(chance.exponential(50, (2, 60))) + 1
        sets = [(np.minimum(one, 90), one <= 90) for one in times]
        found = compare_convergence(*sets, resamples=300, rng=case)
        hits += found.ratio.low <= 1 <= found.ratio.high
    assert_coverage(hits, cases, 0.95)


GOOD = pd.DataFrame({"interactions": [1, 2], "rounds": 1, "converged": True, "flipped": False})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"runs": GOOD.iloc[:0]}, "runs"),
        ({"runs": GOOD.drop(columns="converged")}, "runs"),
        ({"runs": []}, "finished"),
        ({"runs": [], "finished": []}, "runs"),
        ({"runs": GOOD, "finished": [True, True]}, "finished"),
        ({"runs": [1, 2], "finished": [True]}, "finished"),
        ({"runs": [1, 2], "finished": [1, 2]}, "finished"),
        ({"runs": [1, math.nan], "finished": [True, True]}, "runs"),
        ({"runs": [1, -1], "finished": [True, True]}, "runs"),
        ({"runs": ["a"], "finished": [True]}, "runs"),
        ({"runs": [1, 5], "finished": [True, False], "horizon": 6}, "horizon"),
        ({"runs": GOOD, "horizon": -1}, "horizon"),
        ({"runs": GOOD, "horizon": math.inf}, "horizon"),
        ({"runs": GOOD, "horizon": True}, "horizon"),
        ({"runs": GOOD, "unit": "steps"}, "unit"),
        ({"runs": GOOD, "event": "ended"}, "event"),
        ({"runs": GOOD, "level": 95}, "level"),
        ({"runs": GOOD, "resamples": 0}, "resamples"),
        ({"runs": GOOD, "rng": -1}, "rng"),
    ],
)
def test_what_cannot_be_used_is_refused(arguments: dict[str, Any], named: str) -> None:
    with pytest.raises(SpecError) as caught:
        convergence_time(**arguments)
    assert caught.value.argument == named


def test_pairs_that_are_none_are_refused() -> None:
    one, other = ([1, 2], [True, True]), ([1], [True])
    with pytest.raises(SpecError, match="the same runs"):
        compare_convergence(one, other, paired=True)
    with pytest.raises(SpecError, match="the same runs"):
        compare_convergence(table(*one), table(*other), paired=True)
    with pytest.raises(SpecError, match="successes"):
        wilson_interval(3, 2)
