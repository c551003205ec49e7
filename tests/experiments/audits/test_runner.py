"""The audit finds a planted bias, stays quiet where there is none, and says what explains what."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from chances import FixedPolicy, Waiting, copying
from planted import chance_of_m, planted, symmetric, table
from scipy import stats

from mesa_llm_norms import audit
from mesa_llm_norms.analysis.intervals import exact_interval
from mesa_llm_norms.errors import MindError, SpecError
from mesa_llm_norms.experiments import Audit
from mesa_llm_norms.experiments.audits.populations import DRIFT, FIRST, SYMMETRIC

SMALL: dict[str, Any] = {"graph": "complete(n=6)", "memory": 1, "runs": 60, "sizes": ()}


def small(mind: Any, **changes: Any) -> Audit:
    return audit(mind, **{**SMALL, "rng": 1, **changes})


def test_a_group_that_has_a_bias_no_individual_has_is_flagged() -> None:
    found = small(planted(), graph="complete(n=24)", runs=100)
    assert found.individual.first.variation.value == 0
    assert found.individual.leans[0].towards == pytest.approx((-0.075, 0.075))
    assert found.verdict.kind == "created"
    assert found.verdict.flagged
    assert found.winners is not None
    assert found.winners.favorite.name == "M"
    assert found.winners.favorite.effect.low > 0


def alarms(seeds: range) -> tuple[int, int]:
    """Return how often a symmetric mind is found biased in groups, and how often it is flagged."""
    found = [small(symmetric(), runs=40, rng=seed).verdict for seed in seeds]
    return sum(one.collective for one in found), sum(one.flagged for one in found)


def test_symmetric_minds_raise_no_more_alarms_than_stated() -> None:
    """Of 40 audits at level .05, more than 8 would alarm with probability 3e-4 if it held."""
    collective, flagged = alarms(range(40))
    assert collective <= 8
    assert flagged <= collective


@pytest.mark.slow
def test_symmetric_minds_raise_no_more_alarms_than_stated_over_a_thousand_seeds() -> None:
    """More than 76 of 1,000 would alarm with probability 1e-4 if the level of .05 held."""
    collective, flagged = alarms(range(1_000))
    assert stats.binom.sf(76, 1_000, 0.05) < 2e-4
    assert collective <= 76
    assert flagged <= 76


@pytest.mark.slow
def test_first_choices_that_explain_all_are_not_called_more_than_that_over_many_seeds() -> None:
    """More than 28 of 300 would alarm with probability 1e-3 if the level of .05 held."""
    found = [small(table(0.6, 0.45, 0.45), runs=40, rng=seed).verdict for seed in range(300)]
    assert sum(one.beyond for one in found) <= 28


def test_a_bias_that_first_choices_explain_is_said_to_be_explained() -> None:
    found = small(table(0.75, 0.45, 0.45), runs=100)
    assert found.verdict.kind == "explained"
    assert not found.verdict.flagged


@pytest.mark.parametrize(
    ("mind", "kind"),
    [
        (table(0.4, 0.7, 0.2), "amplified"),
        (table(0.7, 0.9, 0.02), "reversed"),
        (table(0.9, 0.5, 0.42), "damped"),
    ],
)
def test_a_group_can_amplify_damp_and_reverse_what_individuals_prefer(mind: Any, kind: str) -> None:
    found = small(mind, graph="complete(n=16)", runs=200)
    assert found.verdict.kind == kind, found.verdict.sentences


def test_populations_that_never_settle_give_no_verdict() -> None:
    found = small(FixedPolicy(0.5, 0.5), runs=10, rounds=30)
    assert found.verdict.kind == "unsettled"
    assert not found.verdict.flagged


def test_the_nulls_are_played_apart_from_the_mind_they_are_held_against() -> None:
    """With the same draws a symmetric mind would meet itself, and no alarm could ever be false."""
    found = small(symmetric())
    assert [one.null for one in found.comparisons] == [SYMMETRIC, FIRST, DRIFT]
    assert found.played is not None
    assert found.comparison(SYMMETRIC).played.median != found.played.median
    assert 0 < found.comparison(DRIFT).played.wins[0] < 60


def test_the_same_arguments_give_the_same_audit() -> None:
    assert small(planted()).as_object() == small(planted()).as_object()


@pytest.mark.slow
def test_the_number_of_processes_makes_no_difference() -> None:
    found = small(planted(), sizes=(2, 5), workers=2)
    assert found.as_object() == small(planted(), sizes=(2, 5)).as_object()


def test_the_curve_by_size_of_a_table_is_what_follows_from_it_exactly() -> None:
    """With 600 populations, one share off by 0.08 has probability 1e-4."""
    sizes = (2, 3, 8)
    found = small(planted(), runs=0, size_runs=600, sizes=sizes).sizes
    assert found is not None
    assert found.strong == "M"
    for point in found.points:
        exact = chance_of_m(planted(), point.played.agents)
        assert point.preference.of("M").share.value == pytest.approx(exact, abs=0.08)
    assert found.points[-1].effect == "created"


@pytest.mark.slow
def test_the_curve_by_size_is_within_two_hundredths_with_many_populations() -> None:
    """With 20,000 populations, one share off by 0.02 has probability below 1e-7."""
    found = small(planted(), runs=0, size_runs=20_000, sizes=(2, 3, 10)).sizes
    assert found is not None
    for point in found.points:
        exact = chance_of_m(planted(), point.played.agents)
        assert point.preference.of("M").share.value == pytest.approx(exact, abs=0.02)


def test_sizes_are_played_on_the_topology_where_it_leaves_its_size_open() -> None:
    found = small(planted(), graph="ring(n={size}, k=4)", size=12, sizes=(6, 10), size_runs=5)
    assert found.played is not None
    assert found.played.agents == 12
    assert found.sizes is not None
    assert found.sizes.topology == "ring(n={size}, k=4)"
    assert [point.played.agents for point in found.sizes.points] == [6, 10]


def test_a_mind_that_gives_no_probabilities_is_asked() -> None:
    found = small(Waiting(planted()), runs=30, times=200, times_after=120)
    individual = found.individual
    assert not individual.exact
    assert individual.first.trials == 200
    share = individual.first.of("M").share
    assert (share.low, share.high) == exact_interval(individual.first.of("M").chosen or 0, 200)
    assert not found.verdict.individual
    assert individual.leans[0].p_value is not None
    assert individual.leans[0].p_value < 0.05
    assert found.probes.why_not is not None
    symmetric_on_failure = individual.symmetric.distribution(individual.choices[2].memory, "QM")
    assert symmetric_on_failure[0] == pytest.approx(0.55, abs=0.15)


@pytest.mark.slow
def test_with_many_names_p_values_are_corrected_and_no_name_is_left_out() -> None:
    found = audit(copying("QMXYF"), "QMXYF", "complete(n=6)", runs=40, sizes=(), rng=1, rounds=200)
    assert found.winners is not None
    assert [one.name for one in found.winners.names] == list("QMXYF")
    assert sum(found.winners.counts) == found.winners.trials
    assert all(one.p_value is not None for one in found.winners.names)
    assert found.individual.leans[0].bias == pytest.approx(0, abs=1e-12)


def test_everything_found_fits_into_json() -> None:
    found = small(planted(), sizes=(2, 4), size_runs=10)
    content = json.loads(json.dumps(found.as_object(), allow_nan=False))
    assert content["verdict"]["kind"] == found.verdict.kind
    assert content["sizes"]["points"][0]["agents"] == 2
    assert len(content["individual"]["choices"]) == 5
    assert not content["probes"]["applicable"]
    assert math.isclose(sum(content["collective"]["populations"]["wins"].values()), 60)


def test_what_cannot_be_audited_is_refused_before_anything_is_played() -> None:
    with pytest.raises(MindError, match="one by one"):
        audit({"uniform": 1})
    for wrong in ({"level": 0}, {"sizes": (1,)}, {"sizes": "2"}, {"runs": -1}, {"size": 5}):
        with pytest.raises(SpecError):
            small(planted(), **wrong)
