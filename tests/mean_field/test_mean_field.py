"""The limit of infinitely many agents: what large populations tend to, and where they tip.

Where chance is tested, seeds are fixed and the rate of false alarms is stated with the test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chances import FixedPolicy, Waiting, copying
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import solve_ivp

from mesa_llm_norms import (
    MindError,
    PairingError,
    PoolError,
    SpecError,
    TableMind,
    UniformMind,
    load_mind,
    run_classical,
    run_ensemble,
)
from mesa_llm_norms.core.game import Memory, filled, read_memory, remember
from mesa_llm_norms.mean_field.critical import (
    classical_change,
    classical_critical_share,
    classical_mean_field,
    committed_in_equilibrium,
    critical_share,
)
from mesa_llm_norms.mean_field.dynamics import MeanField, mean_field
from mesa_llm_norms.mean_field.equilibria import basins, fixed_points
from mesa_llm_norms.mean_field.population import MAX_CACHED, MAX_GAMES, _cached_states
from mesa_llm_norms.minds.mind import Policy

CLAUDE, LLAMA_3_1 = "claude-3.5-sonnet", "llama-3.1-70b-instruct"
RECORDED = [CLAUDE, "llama-2-70b-chat", "llama-3-70b-instruct", LLAMA_3_1]


def table_of(label: str, rows: dict[str, list[float]]) -> TableMind:
    """Return a mind for Q and M whose memories are written like "QM MM"."""
    return TableMind(label, "QM", {read_memory(key.split()): row for key, row in rows.items()})


def voter() -> TableMind:
    """Plays what its partner played last."""
    rows = {"QQ": [1.0, 0.0], "MQ": [1.0, 0.0], "QM": [0.0, 1.0], "MM": [0.0, 1.0]}
    return table_of("voter", {"": [0.5, 0.5], **rows})


def stubborn() -> TableMind:
    """Plays what it played last, whatever it hears."""
    rows = {"QQ": [1.0, 0.0], "QM": [1.0, 0.0], "MQ": [0.0, 1.0], "MM": [0.0, 1.0]}
    return table_of("stubborn", {"": [0.5, 0.5], **rows})


class TwiceHeard(Policy):
    """Takes up a name heard twice running, or first, and otherwise keeps its own; nearly always.

    Of a first choice, ``first`` is the chance of each name, all alike if not given.
    """

    label = "twice heard"

    def __init__(self, first: Sequence[float] | None = None) -> None:
        self.first = first

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        if not memory:
            return self.first or [1 / len(pool)] * len(pool)
        heard = {pair.partner for pair in memory[-2:]}
        chosen = heard.pop() if len(heard) == 1 else memory[-1].own
        return [0.99 if name == chosen else 0.01 / (len(pool) - 1) for name in pool]


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


# Trajectories


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

    def change(_: float, spread: NDArray[np.float64]) -> NDArray[np.float64]:
        heard = np.array([committed.get(name, 0.0) for name in "QM"]) + spread @ chances
        heard /= heard.sum()  # or an error in their number would grow like exp(2t)
        after = -spread
        for number, memory in enumerate(memories):
            for own, partner in product((0, 1), repeat=2):
                then = numbers[remember(memory, "QM"[own], "QM"[partner], length)]
                after[then] += spread[number] * chances[number, own] * heard[partner]
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


# States of rest


@pytest.mark.parametrize("mind", RECORDED)
def test_a_population_put_at_rest_stays_and_one_beside_it_goes_back_if_it_is_stable(
    mind: str,
) -> None:
    points = fixed_points(mind)
    assert any(point.stable for point in points)
    stable = [point.stable for point in points]
    assert stable == [place % 2 == 0 for place in range(len(points))], "stable ones alternate"
    ends = mean_field(mind, rounds=300).shares.iloc[-1]
    assert any(
        point.stable and point.shares["M"] == pytest.approx(ends["M"], abs=0.01) for point in points
    )


def test_the_growth_rate_is_how_fast_a_population_leaves_a_saddle_or_nears_rest() -> None:
    """Distances from rest, a few rounds on, are multiplied by exp(rate) per round."""
    mind = table_of(
        "leaning", {"": [0.5, 0.5], "QQ": [0.95, 0.05], "MM": [0.1, 0.9], "QM": [0.6, 0.4]}
    )
    (point,) = fixed_points(mind, memory=1)
    distance = mean_field(mind, memory=1, rounds=12).shares["M"] - point.shares["M"]
    assert math.log(distance[9] / distance[8]) == pytest.approx(point.growth_rate, abs=0.02)
    middle = next(point for point in fixed_points(CLAUDE) if not point.stable)
    left = mean_field(CLAUDE, start={"Q": 0.4987, "M": 0.5013}, rounds=8).shares["M"]
    distance = left - middle.shares["M"]
    assert math.log(distance[6] / distance[5]) == pytest.approx(middle.growth_rate, rel=0.03)


def test_a_voter_rests_anywhere_and_a_stubborn_agent_where_it_began_and_both_are_refused() -> None:
    for mind in (voter(), stubborn()):
        with pytest.raises(SpecError, match="Follow a population from each start"):
            fixed_points(mind, memory=1)
        assert mean_field(mind, memory=1, start={"Q": 0.3, "M": 0.7}).shares["Q"].to_numpy() == (
            pytest.approx(0.3)
        )


def test_a_consensus_that_is_sure_is_found_exactly_though_it_be_unstable() -> None:
    consensus = fixed_points(copying("QM"))[0]
    assert consensus.shares == {"Q": 1, "M": 0}
    assert consensus.success_rate == 1
    assert not consensus.stable


def test_with_three_names_each_is_a_convention_and_their_mixtures_are_unstable() -> None:
    points = fixed_points(TwiceHeard(), "QMX", memory=2)
    stable = [point for point in points if point.stable]
    assert sorted(max(point.shares, key=lambda name: point.shares[name]) for point in stable) == [
        "M",
        "Q",
        "X",
    ]
    (even,) = [
        point for point in points if list(point.shares.values()) == pytest.approx([1 / 3] * 3)
    ]
    assert not even.stable


# Basins


def test_the_edge_between_two_basins_is_in_the_middle_for_a_mind_without_favourites() -> None:
    found = basins(TwiceHeard(), memory=2, points=4)
    assert found.edges == pytest.approx([0.5], abs=1e-4)
    assert found.table["winner"].tolist() == ["Q", "Q", "M", "M", ""]
    assert found.from_nothing == ""


@pytest.mark.slow
def test_on_either_side_of_the_edge_populations_go_to_different_names() -> None:
    (edge,) = basins("llama-2-70b-chat", memory=3, points=3).edges
    for share, winner in ((edge - 0.002, "Q"), (edge + 0.002, "M")):
        start = {"Q": 1 - share, "M": share}
        assert mean_field("llama-2-70b-chat", memory=3, start=start, rounds=150).leader == winner


# Critical shares


@pytest.mark.parametrize("mind", RECORDED[:3])
def test_just_below_the_critical_share_the_incumbent_lasts_and_just_above_it_falls(
    mind: str,
) -> None:
    critical = critical_share(mind, memory=3, incumbent="M", challenger="Q")
    assert critical.kind == "fold"
    for factor, lasts in ((0.98, True), (1.02, False)):
        share = factor * critical.lasting
        points = fixed_points(mind, memory=3, committed={"Q": share})
        ahead = [point for point in points if point.shares["M"] > point.shares["Q"] - share]
        assert any(point.stable for point in ahead) == lasts
    for factor, held in ((0.96, "M"), (1.04, "Q")):
        share = factor * critical.share
        field = mean_field(mind, memory=3, incumbent="M", committed={"Q": share}, rounds=500)
        played = field.shares.iloc[-1]
        assert (played["M"] > played["Q"] - share) == (held == "M")


@pytest.mark.slow
def test_a_population_taken_by_surprise_falls_before_rest_with_the_incumbent_is_gone() -> None:
    """Llama 3 with M: between the two shares it is at rest there, but not if it starts from M."""
    critical = critical_share("llama-3-70b-instruct", incumbent="M", challenger="Q")
    assert critical.share < 0.9 * critical.lasting


@pytest.mark.slow
def test_where_a_convention_only_fades_the_critical_share_is_where_both_names_are_level() -> None:
    critical = critical_share(LLAMA_3_1, incumbent="M", challenger="Q")
    assert critical.kind == "crossover"
    assert critical.played == pytest.approx(0.5)
    assert critical_share(LLAMA_3_1, incumbent="Q", challenger="M").kind == "unstable"


def test_a_mind_that_never_listens_is_never_overturned_and_a_voter_by_anybody() -> None:
    never = critical_share(FixedPolicy(0.7, 0.3), memory=1)
    assert (never.kind, never.share) == ("never", 1.0)
    for mind in (voter(), FixedPolicy(0, 1)):
        anybody = critical_share(mind, memory=1)
        assert (anybody.kind, anybody.share) == ("unstable", 0.0)


@pytest.mark.slow
def test_the_critical_share_of_a_mind_without_favourites_is_the_same_in_all_directions() -> None:
    shares = {
        critical_share(TwiceHeard(), "QMX", 2, incumbent, challenger).share
        for incumbent, challenger in ("QM", "XQ")
    }
    assert max(shares) - min(shares) < 1e-8
    assert 0.01 < min(shares) < 0.5


def test_with_three_names_a_recorded_convention_falls_at_a_fold_too() -> None:
    critical = critical_share(CLAUDE, "QMX", 3)
    assert critical.kind == "fold"
    assert critical.share == critical.lasting == pytest.approx(0.1435, abs=1e-4)


# The classical game


def test_the_critical_share_of_the_classical_game_is_the_published_one() -> None:
    """0.0979: Xie et al., Phys. Rev. E 84, 011130 (2011)."""
    assert classical_critical_share() == pytest.approx(0.0979, abs=1e-4)


@given(incumbents=st.floats(0.39, 0.99))
def test_the_committed_share_at_rest_leaves_the_classical_population_at_rest(
    incumbents: float,
) -> None:
    committed = committed_in_equilibrium(incumbents)
    both = math.sqrt(incumbents) - incumbents
    others = 1 - committed - incumbents - both
    assert classical_change(np.array([others, incumbents]), committed) == pytest.approx(
        0, abs=1e-12
    )
    assert committed <= classical_critical_share() + 1e-12


def test_the_classical_incumbent_lasts_just_below_the_critical_share_and_falls_above_it() -> None:
    critical = classical_critical_share()
    for factor, lasts in ((0.995, True), (1.005, False)):
        end = classical_mean_field(factor * critical, rounds=2_000).rounds.iloc[-1]
        assert (end["b"] > 0.5) == lasts
        assert lasts or end["b"] < 1e-6


def test_the_larger_a_classical_population_the_closer_it_keeps_to_its_limit() -> None:
    """A hundred times the agents, a tenth of the largest distance in words per agent (20 runs).

    Over runs it varies by half its mean, so that a factor of two is six standard errors.
    """
    limit = 1 + classical_mean_field(0.2, rounds=20).rounds["both"].to_numpy()[1:]
    distances = []
    for agents in (100, 1_000, 10_000):
        played = run_classical(
            graph=f"complete(n={agents})",
            names="AB",
            incumbent="B",
            committed={"A": 0.2},
            rng=11,
            runs=20,
            rounds=20,
            until=None,
        ).rounds
        words = played["total_words"].to_numpy().reshape(20, 20) / agents
        distances.append(float(np.abs(words - limit).max(axis=1).mean()))
    assert distances[0] > distances[1] > distances[2]
    assert 5 < distances[0] / distances[2] < 20


# What is kept of memories, and what is asked anew


class Counting(Policy):
    """Plays as another, and counts which memories it is asked about."""

    label = "counting"

    def __init__(self, mind: Policy) -> None:
        self.mind = mind
        self.asked: list[Memory] = []

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        self.asked.append(memory)
        return self.mind.distribution(memory, pool)


def with_an_empty_cache(mind: Any, **arguments: Any) -> MeanField:
    """Return the trajectory as in a new process."""
    _cached_states.cache_clear()
    return mean_field(mind, **arguments)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_trajectory_is_the_same_whatever_was_worked_out_before(data: st.DataObject) -> None:
    """Some of the minds never play a name after some memories, so that memories differ too."""
    memories = ["", "QQ", "QM", "MQ", "MM"]
    chance = st.sampled_from([0.0, 0.1, 0.5, 1.0])
    rows = st.fixed_dictionaries({key: chance.map(lambda p: [p, 1 - p]) for key in memories})
    arguments: dict[str, Any] = {"memory": 2, "committed": {"M": 0.2}, "rounds": 5}
    one, other = (table_of(label, data.draw(rows)) for label in ("one", "other"))
    alone = [with_an_empty_cache(mind, **arguments) for mind in (one, other)]
    for mind, before in [(one, alone[0]), (other, alone[1])] * 2:
        after = mean_field(mind, **arguments)
        assert after.rounds.equals(before.rounds)
        assert after.memories == before.memories


def test_a_mind_that_was_changed_is_not_answered_from_before() -> None:
    mind = table_of("changing", {"": [0.5, 0.5], "QQ": [0.9, 0.1], "MM": [0.2, 0.8]})
    before = mean_field(mind, memory=2)
    for row in ((0.3, 0.7), (1.0, 0.0)):
        mind.table[()] = row
        changed = mean_field(mind, memory=2)
        assert changed.rounds.equals(with_an_empty_cache(mind, memory=2).rounds)
        assert not changed.rounds.equals(before.rounds)


def test_a_mind_is_asked_about_the_memories_its_agents_may_have_and_no_other() -> None:
    """Also after another mind, whose agents may remember more, played the same game."""
    with_an_empty_cache(UniformMind(), memory=3)
    always = Counting(FixedPolicy(1, 0))
    mean_field(always, memory=3)
    may = {filled("Q", size) for size in range(4)}
    assert set(always.asked) == may
    always.asked.clear()
    mean_field(always, memory=3)
    assert len(always.asked) == len(may)
    assert set(always.asked) == may


def test_memories_are_kept_of_a_few_games_only_and_of_none_that_has_very_many() -> None:
    for memory in range(1, MAX_GAMES + 3):
        mean_field(FixedPolicy(1, 0), memory=memory, rounds=1)
    assert _cached_states.cache_info().currsize == MAX_GAMES
    many = Counting(UniformMind())
    with_an_empty_cache(many, memory=7, rounds=1)
    assert len(many.asked) > MAX_CACHED
    assert not _cached_states(("Q", "M"), 7, 1, ((),), ())


# Tables from files


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


# What cannot be done


@pytest.mark.parametrize(
    ("arguments", "error", "what"),
    [
        ({"names": "QMXYFJPRCD", "memory": 3, "mind": "uniform"}, SpecError, "more than 100,000"),
        ({"names": "Q"}, PoolError, "a pool of 1"),
        ({"memory": 0}, SpecError, "whole number"),
        ({"incumbent": "Z"}, SpecError, "'Z' is not in the pool"),
        ({"committed": {"Z": 0.1}}, SpecError, "'Z' is not in the pool"),
        ({"committed": {"M": 5}}, SpecError, "a share is committed"),
        ({"committed": {"M": True}}, SpecError, "a share is committed"),
        ({"committed": {"M": (0.1, "hubs")}}, SpecError, "a share is committed"),
        ({"committed": {"M": -0.1}}, SpecError, "a share is committed"),
        ({"committed": {"M": math.nan}}, SpecError, "a share is committed"),
        ({"committed": 0.1}, SpecError, "a share is committed"),
        ({"committed": {"Q": 0.5, "M": 0.5}}, SpecError, "everybody is committed"),
        ({"start": {"Q": 0.7, "M": 0.7}}, SpecError, "at most 1.0"),
        ({"start": {"Z": 0.7}}, SpecError, "'Z' is not in the pool"),
        ({"start": {"Q": 1.0}, "incumbent": "Q"}, SpecError, "either start or incumbent"),
        ({"rounds": 0}, SpecError, "whole number"),
        ({"pairing": "nodes"}, PairingError, "no pairing rule 'nodes'"),
        ({"mind": {0: CLAUDE, 1: CLAUDE}}, MindError, "no nodes"),
        ({"mind": Waiting(UniformMind())}, MindError, "in advance"),
        ({"mind": FixedPolicy(0.5, 0.6)}, MindError, "summing to 1"),
        ({"mind": "nobody"}, MindError, "there is no mind 'nobody'"),
    ],
)
def test_what_has_no_limit_is_refused_and_the_error_says_what_to_do(
    arguments: dict[str, Any], error: type[SpecError], what: str
) -> None:
    with pytest.raises(error, match=what):
        mean_field(**arguments)


def test_critical_shares_and_basins_need_two_different_names_of_the_pool() -> None:
    for challenger in ("Q", "Z"):
        with pytest.raises(SpecError, match="challenger"):
            critical_share(incumbent="Q", challenger=challenger)
    for between in ("QQ", "QZ", "Q"):
        with pytest.raises(SpecError, match="between"):
            basins(between=between)
    for committed, incumbents in ((1.5, None), (0.1, 0.95), (math.nan, None), (True, None)):
        with pytest.raises(SpecError, match="is not a share"):
            classical_mean_field(committed, incumbents)
