"""The experiments with people, played by minds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mesa_llm_norms import load_mind
from mesa_llm_norms.core.game import Remembered
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.minds import CommittedMind, UniformMind
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.reproduction import people, protocol
from mesa_llm_norms.reproduction.observed import Group, Network, People, shipped_people
from mesa_llm_norms.reproduction.people import Attack, Emergence
from mesa_llm_norms.reproduction.protocol import GROWING, TEN, Played

MIND = "claude-3.5-sonnet"
PEOPLE = shipped_people()


def attack(times: list[int], majority: int | None, rounds: int = 40) -> Attack:
    """Return people who came to a majority then, and populations that did at these times."""
    shares = tuple(float(majority is not None and at >= majority) for at in range(rounds))
    group = Group(1, 20, 5, shares, (0.0,) * rounds)
    curves = (np.arange(rounds) >= np.array(times)[:, None]).astype(float)
    return Attack("m", "Q to M", group, curves, np.array(times), np.zeros(len(times), np.int64))


def played(part: str, at: int = 0, runs: int = 8, mind: str = MIND) -> Played:
    experiments = [one for one in people.experiments(PEOPLE, runs) if one.part == part]
    return protocol.play(experiments[at], load_mind(mind), 1)[0]


def test_every_group_is_played_with_its_own_size_minority_and_length_in_both_directions() -> None:
    every = [one for one in people.experiments(PEOPLE, 2) if one.part == people.TIPPING_POINT]
    designs = sorted((one.agents, one.committed, one.rounds) for one in every)
    own = [(one.agents, one.committed, one.rounds) for one in PEOPLE.groups]
    assert designs == sorted(own + own)
    assert {one.names for one in every} == {("Q", "M"), ("M", "Q")}
    assert all(one.incumbent == one.names[0] for one in every)


def test_a_convention_of_people_is_overturned_by_the_choices_of_the_uncommitted_alone() -> None:
    experiment = people.experiments(PEOPLE, 4)[-1]
    stubborn, _ = protocol.play(experiment, CommittedMind(experiment.names[0]), 1)
    (found,) = people.attacks([stubborn], PEOPLE)
    assert (found.curves == 0).all()
    assert found.lasted.all()
    willing, _ = protocol.play(experiment, CommittedMind(experiment.names[1]), 1)
    (found,) = people.attacks([willing], PEOPLE)
    assert (found.curves == 1).all()
    assert (found.times == 0).all()


def test_shares_of_a_group_are_followed_to_its_last_round() -> None:
    longest = max(PEOPLE.groups, key=lambda one: one.rounds)
    at = PEOPLE.groups.index(longest)
    (found,) = people.attacks([played(people.TIPPING_POINT, at)], PEOPLE)
    assert found.group == longest
    assert found.curves.shape == (8, longest.rounds)
    assert not np.isnan(found.curves).any()


def test_people_as_early_as_the_middle_of_populations_are_within_and_others_are_not() -> None:
    times = list(range(1, 40)) * 5
    assert people.place(attack(times, 20)) > 0.9
    assert people.place(attack(times, 0)) < 0.05
    assert people.place(attack([5] * 100, 30)) < 0.05
    assert people.place(attack([40] * 100, 30)) < 0.05


def test_a_group_without_a_majority_is_like_all_populations_that_have_none_either() -> None:
    assert people.place(attack([40] * 100, None)) == 1
    assert people.place(attack([40] * 60 + [3] * 40, None)) == 1
    assert people.place(attack([3] * 100, None)) < 0.05


def test_times_are_compared_with_those_censored_counted_as_longer_than_played() -> None:
    chance = np.random.default_rng(3)
    times = chance.geometric(0.03, (10, 120)).clip(max=40)
    alike = [attack(row.tolist(), int(row[0]) if row[0] < 40 else None) for row in times]
    assert people.survival(alike) > 0.05
    late = [attack(row.tolist(), None) for row in times.clip(max=10)]
    assert people.survival(late) < 0.02
    never = [attack([40] * 100, None)] * 10
    assert people.survival(never) == 1
    assert people.survival([attack([40] * 100, 20)] * 10) < 0.02


def test_a_curve_is_within_if_it_is_one_of_the_populations_and_not_if_it_is_far_from_all() -> None:
    network = replace(PEOPLE.networks[0], leading=(0.5,) * 10)
    near = np.random.default_rng(1).normal(0.5, 0.1, (200, 10))
    for curves, within in ((near, True), (near + 0.4, False)):
        row = people._leading(
            Emergence("m", "10 names", network, curves, np.zeros(len(curves), np.int64))
        )
        assert (row.p_value >= 0.05) == within


@pytest.mark.parametrize("at", [0, 6], ids=["mixed", "ring"])
def test_minds_mostly_agree_where_anybody_may_meet_anybody_and_not_on_rings(at: int) -> None:
    """Of 6 populations; of 1,000 the median share at the end is 1.00 and 0.36."""
    (found,) = people.emergences([played(people.AGREEMENT, at, 6)], PEOPLE)
    assert found.pool == "10 names"
    assert found.curves.shape == (6, len(found.network.answered))
    end = np.median(found.curves[:, -3:])
    assert end > 0.8 if found.network.graph.startswith("complete") else end < 0.6


def test_minds_are_looked_at_when_as_many_pairs_have_met_as_answered() -> None:
    network = Network("complete(n={n})", "x", "a", 2, (0.5,) * 3, (0.0,) * 3, (12, 24, 24), (), "")
    held = People((), (network,))
    experiment = people.experiments(held, 3)[0]
    assert experiment.noted == (12, 36, 60)
    one, ensemble = protocol.play(experiment, load_mind(MIND), 1)
    for run in range(3):
        rows = ensemble.rounds[ensemble.rounds["run"] == run]
        shares = rows[[f"share_{name}" for name in TEN]].to_numpy()[:3]
        assert one.followed[run].tolist() == shares[:, shares.sum(axis=0).argmax()].tolist()


def test_in_a_growing_pool_any_name_is_first_and_later_new_ones_are_as_rare_as_among_ten() -> None:
    mind = load_mind(MIND)
    grown = protocol.growing(mind)
    assert isinstance(mind, RecordedMind)
    assert isinstance(grown, RecordedMind)
    first = grown.distribution((), GROWING)
    assert np.allclose(first, 1 / len(GROWING))
    strangers = [f"stranger{number}" for number in range(len(TEN))]
    for met in (1, 3, 5):
        agreed = [(Remembered(name, name),) * met for name in (GROWING[0], strangers[0])]
        known = grown.distribution(agreed[0], GROWING)[0]
        among_ten = mind.distribution(agreed[1], strangers)[0]
        assert known == pytest.approx(among_ten, abs=1e-9)


def test_a_mind_that_is_not_recorded_has_no_growing_pool_and_a_live_one_is_not_asked_for_it() -> (
    None
):
    with pytest.raises(MindError, match="Use a recorded mind"):
        protocol.growing(UniformMind())
    assert {one.names for one in people.experiments(PEOPLE, 2, live=True) if not one.committed} == {
        TEN
    }


def test_tables_have_a_row_for_every_group_and_network_and_say_where_nobody_turned() -> None:
    stubborn = [
        protocol.play(one, CommittedMind(one.names[0]), 1)[0]
        for one in people.experiments(PEOPLE, 2)
        if one.part == people.TIPPING_POINT
    ]
    table = people.groups(stubborn, PEOPLE)
    assert len(table) == 2 * len(PEOPLE.groups)
    assert table["median"].isna().all()
    assert table["people"].notna().sum() == 10
    assert (table["overturned"] == 0).all()
    rows = people.compare(stubborn, PEOPLE)
    assert {row.part for row in rows} == {people.TIME, people.CURVE}
    assert all(row.published is not None and row.here.value == 0 for row in rows)
