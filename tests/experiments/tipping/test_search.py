"""Tipping points: where runs go, what they come to, and whether it is the same for everybody."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from scipy import special

from mesa_llm_norms import ScriptedMind, TableMind, run_ensemble, tip
from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments.tipping.conditions import Phases, play_phases
from mesa_llm_norms.experiments.tipping.dose_response import Dose, next_count
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.simulation.spec import Spec

SMALL: dict[str, Any] = {"graph": "complete(n=12)", "rounds": 20}


class Stubborn(Policy):
    """Plays the name it remembers having played, or else the first of the pool."""

    label = "stubborn"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        own = memory[-1].own if memory else pool[0]
        return [float(name == own) for name in pool]


class Copying(Policy):
    """Plays what its partner played last."""

    label = "copying"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        seen = memory[-1].partner if memory else pool[0]
        return [float(name == seen) for name in pool]


def explored(middle: float, slope: float, most: int, batches: int, runs: int) -> dict[int, int]:
    """Return how many runs each count gets where flips follow a logistic curve."""
    chance = np.random.default_rng(3)
    doses: list[Dose] = []
    for _ in range(batches):
        count = next_count(doses, most, runs)
        flipped = int(chance.binomial(runs, special.expit(slope * (count - middle))))
        doses.append(Dose(count, flipped, runs))
    played: dict[int, int] = {}
    for dose in doses:
        played[dose.committed] = played.get(dose.committed, 0) + dose.runs
    return played


def test_runs_go_where_the_curve_is_steep() -> None:
    """At the best counts of a logistic curve one run in six flips, or does not: 30 +- 3.3 here."""
    played = explored(30, 0.5, 100, 40, 25)
    near = sum(runs for count, runs in played.items() if 24 <= count <= 36)
    assert near >= 0.7 * sum(played.values())
    assert {0, 100} <= set(played)


def test_counts_are_bisected_before_they_are_learned() -> None:
    chosen: list[int] = []
    doses: list[Dose] = []
    for _ in range(6):
        count = next_count(doses, 64, 10)
        chosen.append(count)
        doses.append(Dose(count, 10 * (count > 20), 10))
    assert chosen == [0, 64, 32, 16, 24, 20]


def test_the_same_seed_gives_the_same_runs_on_every_engine_and_with_any_workers() -> None:
    one = tip(**SMALL, runs=200, rng=7, engine="python").runs
    assert one.equals(tip(**SMALL, runs=200, rng=7, engine="kernel").runs)
    with ThreadPoolExecutor(2) as threads:
        assert one.equals(tip(**SMALL, runs=200, rng=7, executor=threads).runs)
    assert not one.equals(tip(**SMALL, runs=200, rng=8).runs)


def test_a_run_is_that_of_an_ensemble_with_as_many_committed() -> None:
    found = tip(**SMALL, directions=[("Q", "M")], runs=100, rng=7).runs
    for committed in found["committed"].unique():
        here = found[found["committed"] == committed].reset_index(drop=True)
        again = run_ensemble(
            graph="complete(n=12)",
            names="QM",
            incumbent="Q",
            committed={"M": (int(committed), "random")},
            rounds=20,
            until="flipped",
            runs=len(here),
            rng=7,
        ).runs
        for column in ("flipped", "interactions", "winner", "share"):
            assert here[column].tolist() == again[column].tolist()


def test_all_runs_of_the_budget_are_played_and_counted() -> None:
    found = tip(**SMALL, placements=("random", "cluster"), runs=403, rng=1)
    assert len(found.points) == 4
    assert len(found.runs) == 400
    assert found.doses["runs"].sum() == 400
    assert (found.doses["flipped"] <= found.doses["runs"]).all()
    critical = found.table
    assert (critical["critical_low"] <= critical["critical"]).all()
    assert (critical["critical"] <= critical["critical_high"]).all()


def test_nobody_overturns_the_stubborn_but_everybody() -> None:
    """A flip is 95% of the names played, which one agent in twelve may keep from being there."""
    found = tip(**SMALL, mind=Stubborn(), directions=[("Q", "M")], runs=100, rng=1).points[0]
    assert found.stability.estimate.value == 1
    assert {dose.committed for dose in found.doses if dose.flipped} <= {11, 12}
    assert found.curve.critical_mass.low > 10
    small = tip(**SMALL, mind=Stubborn(), directions=[("Q", "M")], most=0.5, runs=100, rng=1)
    assert math.isinf(small.points[0].curve.critical_mass.value)
    assert small.points[0].curve.bracket == (6, math.inf)


def test_a_flip_lasts_with_minds_that_copy_and_falls_with_minds_that_return() -> None:
    """The released remember only M, and play by the mind they would have had."""
    copying = tip(**SMALL, mind=Copying(), directions=[("Q", "M")], runs=100, rng=1).points[0]
    assert copying.lasting.trials > 20
    assert copying.lasting.estimate.value == 1
    returning = TableMind("returning", "QM", {(): (1.0, 0.0)})
    fallen = tip(**SMALL, mind=returning, directions=[("Q", "M")], runs=100, rng=1).points[0]
    assert fallen.lasting.trials > 0
    assert fallen.lasting.estimate.value == 0
    assert fallen.lasting.estimate.high < 1


def test_the_second_phase_is_left_out_where_nobody_asks_for_it() -> None:
    found = tip(**SMALL, directions=[("Q", "M")], after=0, runs=100, rng=1).points[0]
    assert found.runs["lasts"].isna().all()
    assert math.isnan(found.lasting.estimate.value)
    spec = Spec(graph="complete(n=12)", names="QM", incumbent="Q", committed={"M": 12})
    assert play_phases(spec, 0, Phases("M", 20)).lasts is None


def test_hubs_overturn_with_fewer_than_the_periphery() -> None:
    found = tip(
        graph="star(n=12)",
        placements=("hubs", "periphery"),
        directions=[("Q", "M")],
        rounds=20,
        runs=200,
        rng=1,
    )
    hubs, periphery = found.points
    assert hubs.curve.critical_mass.high < periphery.curve.critical_mass.low


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"names": "QMX"}, "not clear which overturns which"),
        ({"directions": [("Q", "Q")]}, "not a pair of different names"),
        ({"directions": []}, "there are none"),
        ({"placements": ("middle",)}, "no 'middle'"),
        ({"runs": 30}, "runs each"),
        ({"most": 0}, "nobody would be committed"),
        ({"topologies": ()}, "no condition"),
        ({"sizes": (12,)}, "nothing to fill in"),
    ],
)
def test_what_cannot_be_asked_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        tip(**{**SMALL, **given})


def test_a_mind_that_is_no_policy_is_played_in_plain_python() -> None:
    scripted = ScriptedMind(["Q"] * 10_000)
    found = tip(graph="complete(n=4)", mind=scripted, directions=[("Q", "M")], rounds=5, runs=100)
    assert found.points[0].stability.estimate.value == 1
