"""Equilibria of infinite populations, and the basins of what they attract."""

from __future__ import annotations

import math

import pytest
from chances import copying
from mean_field_minds import CLAUDE, RECORDED, TwiceHeard, stubborn, table_of, voter

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.mean_field.dynamics import mean_field
from mesa_llm_norms.mean_field.equilibria import basins, fixed_points


@pytest.mark.parametrize("mind", RECORDED)
def test_a_population_stays_in_equilibrium_and_stable_and_unstable_ones_alternate(
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


def test_the_growth_rate_is_how_fast_a_population_leaves_a_saddle_or_nears_equilibrium() -> None:
    """Distances from equilibrium, a few rounds on, are multiplied by exp(rate) per round."""
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


def test_minds_with_as_many_equilibria_as_starts_are_refused() -> None:
    """A voter is in equilibrium anywhere, and a stubborn agent where it started."""
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
