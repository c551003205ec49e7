"""Trajectories of infinite populations, and of large ones beside them.

Where chance is tested, seeds are fixed and the rate of false alarms is stated with the test.
"""

from __future__ import annotations

import math
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chances import FixedPolicy
from hypothesis import given, settings
from hypothesis import strategies as st
from mean_field_minds import CLAUDE, LLAMA_3_1, RECORDED, TwiceHeard, table_of
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from mesa_llm_norms import (
    load_mind,
    run_ensemble,
)
from mesa_llm_norms.core.game import Memory, filled, read_memory, remember
from mesa_llm_norms.mean_field.dynamics import mean_field
from mesa_llm_norms.mean_field.equilibria import basins, fixed_points
from mesa_llm_norms.minds.mind import Policy


def simulate(
    mind: Policy, memory: int, agents: int, rounds: int, runs: int, start: Memory
) -> NDArray[np.float64]:
    """Return, by run and round, how often M was played by agents on a complete graph.

    The plainest way there is, and apart from the package's own: pairs are drawn uniformly, N a
    round, and the runs are played side by side.
    """
    chance = np.random.default_rng(agents)
    pairs = list(product("QM", repeat=2))
    every = [read_memory(one) for size in range(memory + 1) for one in product(pairs, repeat=size)]
    numbers = {one: number for number, one in enumerate(every)}
    plays_m = np.array([mind.distribution(one, "QM")[1] for one in every])
    after = np.array(
        [[numbers[remember(one, own, partner, memory)] for own, partner in pairs] for one in every]
    )
    states = np.full((runs, agents), numbers[start])
    lines = np.arange(runs)
    shares = np.zeros((runs, rounds))
    for round_ in range(rounds):
        for _ in range(agents):
            one = chance.integers(agents, size=runs)
            other = (one + chance.integers(1, agents, size=runs)) % agents
            own = chance.random(runs) < plays_m[states[lines, one]]
            partner = chance.random(runs) < plays_m[states[lines, other]]
            states[lines, one] = after[states[lines, one], 2 * own + partner]
            states[lines, other] = after[states[lines, other], 2 * partner + own]
            shares[:, round_] += own.astype(int) + partner
    return shares / (2 * agents)


def test_after_a_round_exp_minus_two_of_the_agents_have_met_nobody() -> None:
    """Each takes part in two interactions per population round, on average, at random times."""
    for rounds in (1, 3):
        field = mean_field(CLAUDE, rounds=rounds)
        assert field.memories[()] == pytest.approx(math.exp(-2 * rounds), rel=1e-6)


def test_in_matching_rounds_everybody_meets_exactly_one_partner() -> None:
    field = mean_field(CLAUDE, rounds=3, pairing="matching")
    lengths = {len(memory) for memory, share in field.memories.items() if share > 0}
    assert lengths == {3}
    first = load_mind(CLAUDE).distribution((), "QM")  # type: ignore[attr-defined]
    assert field.shares.iloc[0].tolist() == pytest.approx(list(first))
    assert field.success_rate.iloc[0] == pytest.approx(sum(p**2 for p in first))


def test_a_large_population_moves_in_the_same_time_as_infinitely_many_agents() -> None:
    """100 agents, 400 runs: their mean is off by a term of the order of 1/N, for which 0.01 is
    allowed, and by four standard errors at most (0.001 false alarms over all 16 comparisons)."""
    kept: dict[str, Any] = {"mind": CLAUDE, "names": "QM", "memory": 2, "committed": {"Q": 0.3}}
    played = run_ensemble(
        graph="complete(n=100)", runs=400, rounds=8, until=None, rng=3, **kept
    ).rounds.groupby("round")
    field = mean_field(rounds=8, **kept)
    assert field.shares["M"].max() - field.shares["M"].min() > 0.2, "nothing moves"
    for column in ("share_M", "success_rate"):
        difference = played[column].mean() - field.rounds[column]
        error = played[column].std() / math.sqrt(400)
        assert (difference.abs() < 0.01 + 4 * error).all(), column


@pytest.mark.parametrize("committed", [{}, {"M": 0.3}])
def test_a_trajectory_solves_the_equation_to_nine_digits(committed: dict[str, float]) -> None:
    """As solved by scipy, very exactly, memory by memory."""
    mind, length, free = TwiceHeard([0.2, 0.8]), 2, 1 - sum(committed.values())
    start = {"Q": 0.5, "M": 0.3}
    field = mean_field(mind, memory=length, start=start, committed=committed, rounds=20)
    memories = list(field.memories)
    numbers = {memory: number for number, memory in enumerate(memories)}
    chances = np.array([mind.distribution(memory, "QM") for memory in memories])

    def change(_: float, distribution: NDArray[np.float64]) -> NDArray[np.float64]:
        heard = np.array([committed.get(name, 0.0) for name in "QM"]) + distribution @ chances
        heard /= heard.sum()  # or an error in their number would grow like exp(2t)
        after = -distribution
        for number, memory in enumerate(memories):
            for own, partner in product((0, 1), repeat=2):
                then = numbers[remember(memory, "QM"[own], "QM"[partner], length)]
                after[then] += distribution[number] * chances[number, own] * heard[partner]
        return 2 * after

    begun = np.zeros(len(memories))
    for memory, share in ((filled("Q", 2), 0.5), (filled("M", 2), 0.3), ((), 0.2)):
        begun[numbers[memory]] = free * share
    solved = solve_ivp(change, (0, 20), begun, method="DOP853", rtol=1e-12, atol=1e-14)
    assert list(field.memories.values()) == pytest.approx(solved.y[:, -1], abs=1e-9)


def test_the_larger_a_population_the_closer_it_keeps_to_the_limit() -> None:
    """A hundred times the agents, a tenth of the distance (root mean square over 40 runs).

    By chance, the ratio of two such distances is off by a factor of two in 2 of 100,000 cases (F
    distribution, 40 degrees of freedom each), and the mean of the largest populations by five
    standard errors in 1 of 80,000 (t distribution).
    """
    mind = load_mind(LLAMA_3_1)
    assert isinstance(mind, Policy)
    field = mean_field(mind, memory=2, incumbent="Q", rounds=2)
    distances = []
    for agents in (100, 1_000, 10_000):
        played = simulate(mind, 2, agents, 2, 40, filled("Q", 2))
        gaps = (played - field.shares["M"].to_numpy())[:, -1]
        distances.append(float(np.sqrt((gaps**2).mean())))
    assert distances[0] > distances[1] > distances[2]
    assert 5 < distances[0] / distances[2] < 20
    assert abs(gaps.mean()) < 5 * gaps.std() / math.sqrt(40)


@settings(max_examples=12, deadline=None)
@given(
    mind=st.sampled_from([*RECORDED, {CLAUDE: 0.3, "llama-2-70b-chat": 0.7}]),
    memory=st.integers(1, 3),
    committed=st.floats(0, 0.9),
    remembering=st.floats(0, 1),
    rounds=st.integers(1, 200),
    pairing=st.sampled_from(["node", "edge", "matching"]),
)
def test_agents_are_neither_lost_nor_made(
    mind: Any, memory: int, committed: float, remembering: float, rounds: int, pairing: str
) -> None:
    field = mean_field(
        mind,
        memory=memory,
        committed={"M": committed},
        start={"Q": remembering},
        rounds=rounds,
        pairing=pairing,
    )
    assert sum(field.memories.values()) == pytest.approx(1 - committed, abs=1e-9)
    assert min(field.memories.values()) >= 0
    assert field.shares.sum(axis=1).to_numpy() == pytest.approx(1)
    assert field.shares.to_numpy().min() >= 0
    assert field.shares["M"].min() > committed - 1e-9


@settings(max_examples=10, deadline=None)
@given(share=st.floats(0, 1), committed=st.floats(0, 0.4), names=st.sampled_from(["QM", "QMX"]))
def test_a_mind_without_favourites_treats_names_alike(
    share: float, committed: float, names: str
) -> None:
    kept: dict[str, Any] = {"memory": 2, "rounds": 20, "names": names}
    one = mean_field(
        TwiceHeard(), start={"Q": share, "M": 1 - share}, committed={"Q": committed}, **kept
    )
    other = mean_field(
        TwiceHeard(), start={"M": share, "Q": 1 - share}, committed={"M": committed}, **kept
    )
    swapped = other.shares[["M", "Q", *names[2:]]].to_numpy()
    assert one.shares.to_numpy() == pytest.approx(swapped, abs=1e-6)
    assert one.success_rate.to_numpy() == pytest.approx(other.success_rate.to_numpy(), abs=1e-6)


def test_minds_in_shares_play_as_so_many_agents_of_each() -> None:
    """Without memories of each other they are a weighted mean; alone, they are themselves."""
    always, never = FixedPolicy(1, 0, label="Q"), FixedPolicy(0, 1, label="M")
    alone = mean_field({CLAUDE: 1.0, "llama-2-70b-chat": 0}, rounds=5)
    assert alone.shares.equals(mean_field(CLAUDE, rounds=5).shares)
    first = [load_mind(mind).distribution((), "QM")[1] for mind in RECORDED[:2]]  # type: ignore[attr-defined]
    both = mean_field({RECORDED[0]: 1, RECORDED[1]: 3}, rounds=1, pairing="matching")
    assert both.shares["M"].iloc[0] == pytest.approx(0.25 * first[0] + 0.75 * first[1])
    assert mean_field(always).leader == "Q"
    assert mean_field(never).leader == "M"


def test_two_halves_of_one_mind_are_that_mind() -> None:
    one, other = (table_of(label, {"": [0.3, 0.7], "MQ": [0.9, 0.1]}) for label in ("one", "other"))
    halves = mean_field({one: 0.5, other: 0.5}, memory=2)
    assert halves.shares.to_numpy() == pytest.approx(mean_field(one, memory=2).shares.to_numpy())
    assert len(fixed_points({one: 0.5, other: 0.5}, memory=2)) == len(fixed_points(one, memory=2))


@pytest.mark.slow
def test_a_measured_table_in_a_file_gives_the_curve_that_populations_of_any_size_near(
    tmp_path: Path,
) -> None:
    """How much M is played after 40 rounds grows with size, towards the limit.

    At each size, 500 runs of the ensemble and as many of the plain simulation agree to within
    five standard errors (2 false alarms in a million), and so do 2, 3, 10 and 100 agents differ.
    """
    mind = TwiceHeard([0.35, 0.65])
    pairs = list(product("QM", repeat=2))
    lines = ["memory,Q,M"]
    for size in (0, 1, 2):
        for one in product(pairs, repeat=size):
            row = mind.distribution(read_memory(one), "QM")
            lines.append(",".join([" ".join("/".join(pair) for pair in one), *map(str, row)]))
    path = tmp_path / "measured.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    field = mean_field(str(path), memory=2, rounds=40)
    assert field.shares.equals(mean_field(mind, memory=2, rounds=40).shares)
    assert basins(path, memory=2, points=2).from_nothing == "M"
    curve = []
    for agents in (2, 3, 10, 100):
        rounds = run_ensemble(
            graph=f"complete(n={agents})",
            names="QM",
            mind=path,
            memory=2,
            runs=500,
            rounds=40,
            until=None,
            rng=5,
        ).rounds
        last = rounds[rounds["round"] == 39]["share_M"]
        plain = simulate(mind, 2, agents, 40, 500, ())[:, -1]
        error = math.sqrt((last.var() + plain.var()) / 500)
        assert abs(last.mean() - plain.mean()) < 5 * error
        curve.append(float(last.mean()))
    curve.append(field.shares["M"].iloc[-1])
    assert all(one < other - 0.02 for one, other in pairwise(curve)), curve
