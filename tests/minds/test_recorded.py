"""The minds that ship: better than the prototype, and in populations like the recorded ones."""

from __future__ import annotations

import pytest
from recordings import needs_study, study

from mesa_llm_norms import RecordedMind, load_mind, run_ensemble
from mesa_llm_norms.minds.registry import recorded_names
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.study.fit import Smoothing, build, log_loss, sample

MODELS = ("claude-3.5-sonnet", "llama-2-70b-chat", "llama-3-70b-instruct", "llama-3.1-70b-instruct")
TEN = "QMXYFJPRCD"
PROTOTYPE = {
    "claude-3.5-sonnet": {"QM": 0.063, TEN: 0.240},
    "llama-2-70b-chat": {"QM": 0.034, TEN: 0.598},
    "llama-3-70b-instruct": {"QM": 0.066, TEN: 0.219},
    "llama-3.1-70b-instruct": {"QM": 0.202, TEN: 0.281},
}
"""Mean log-loss per decision on odd runs of a simpler fit on even runs, which these must beat."""


def recorded(name: str) -> RecordedMind:
    mind = load_mind(name)
    assert isinstance(mind, RecordedMind)
    return mind


def test_the_four_recorded_models_ship() -> None:
    assert recorded_names() == MODELS


@pytest.mark.parametrize("name", MODELS)
def test_a_mind_says_where_it_is_from_and_how_well_it_fits(name: str) -> None:
    provenance = recorded(name).provenance
    assert "Science Advances" in provenance["source"]
    assert provenance["licence"] == "MIT"
    assert provenance["fitted_by"].startswith("mesa_llm_norms ")
    held = {
        "".join(condition["pool"]): condition["log_loss_even_to_odd"]
        for condition in provenance["conditions"]
        if condition["kind"] == "baseline"
    }
    for pool, loss in PROTOTYPE[name].items():
        assert held[pool] < loss


@needs_study
@pytest.mark.parametrize(
    "name",
    [MODELS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in MODELS[1:])],
)
def test_its_held_out_loss_is_what_a_fit_on_even_runs_gives(name: str) -> None:
    """The figures in the provenance are those of the recordings, not of somebody's notes."""
    shipped = recorded(name)
    recordings = study()
    smoothing = Smoothing(shipped.provenance["strength"], shipped.prior_strength)
    half = build(name, sample(recordings, name, lambda run: run % 2 == 0), smoothing)
    losses = log_loss(half, sample(recordings, name, lambda run: run % 2 == 1))
    for condition in shipped.provenance["conditions"]:
        found = [
            loss
            for key, loss in losses.items()
            if key.kind == condition["kind"] and list(key.pool) == condition["pool"]
        ]
        assert found == pytest.approx(
            [condition["log_loss_even_to_odd"]] if found else [], abs=2e-4
        )


def test_claude_with_two_names_takes_as_long_as_recorded_and_prefers_the_same_name() -> None:
    """Recorded: median 171 interactions, M wins 0.65 of 40 runs."""
    runs = run_ensemble("complete(n=24)", "QM", "claude-3.5-sonnet", runs=400, rng=1).runs
    assert runs["converged"].all()
    assert runs["interactions"].median() == pytest.approx(171, rel=0.10)
    assert 0.55 <= (runs["winner"] == "M").mean() <= 0.75


@pytest.mark.slow
def test_llama_2_with_ten_names_ends_on_the_recorded_one() -> None:
    """Recorded: R wins 0.90 of 20 runs, a bias no single agent has."""
    runs = run_ensemble("complete(n=24)", TEN, "llama-2-70b-chat", runs=200, rng=1).runs
    assert 0.83 <= (runs["winner"] == "R").mean() <= 0.96


@pytest.mark.parametrize("name", MODELS[:3])
def test_a_consensus_lasts(name: str) -> None:
    """The recorded populations of these three models never left a consensus in 500 interactions."""
    runs = run_ensemble(
        "complete(n=24)", "QM", name, incumbent="M", runs=20, rounds=21, until=None, rng=1
    )
    assert runs.rounds["success_rate"].mean() > 0.998


def test_a_mind_whose_runs_were_recorded_to_differ_is_one_thing_within_a_run() -> None:
    """Llama 3.1 drifted between recordings: runs differ in sharpness, agents of a run do not."""
    mind = recorded("llama-3.1-70b-instruct")
    assert "M Q" in mind.drift
    spec = Spec(graph="complete(n=6)", names="QM", mind=mind, seed=3)
    sharpness = [
        {
            mind.inverse_temperature
            for mind in spec.initial_state(run).minds_by_node.values()
            if isinstance(mind, RecordedMind)
        }
        for run in range(5)
    ]
    assert all(len(one) == 1 for one in sharpness)
    assert len(set.union(*sharpness)) == 5
    assert sharpness[0] == {
        mind.inverse_temperature
        for mind in spec.initial_state(0).minds_by_node.values()
        if isinstance(mind, RecordedMind)
    }
