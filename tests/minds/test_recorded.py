"""Recorded minds: the contract, no bias that was not recorded, and the quality of their fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mind_conformance import TEN, UNKNOWN, MindConformance, recorded
from recordings import needs_study, study
from strategies import memories, pools

from mesa_llm_norms import Game, Mind, load_mind, minds, run_ensemble
from mesa_llm_norms.core.game import Remembered, read_memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.minds import RecordedMind
from mesa_llm_norms.minds.recorded import DEPTH, pool_key, sharpen
from mesa_llm_norms.minds.registry import DEFAULT_MIND, STUDY_MINDS, recorded_names
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.study.fit import Smoothing, build, log_loss, sample

RECORDED = (*STUDY_MINDS, "smollm2-135m-memory-3")


class RecordedConformance(MindConformance):
    """What every mind of the study keeps on top."""

    name: str

    def mind(self, pool: Sequence[str]) -> Mind:  # noqa: ARG002
        return load_mind(self.name)

    def test_it_ships_under_its_label_with_its_provenance(self) -> None:
        mind = recorded(self.name)
        assert mind.label == self.name
        assert {"source", "licence", "fitted_by", "conditions"} <= set(mind.provenance)
        assert mind.known(TEN)
        assert mind.known(UNKNOWN) == ()


class TestClaude35Sonnet(RecordedConformance):
    name = "claude-3.5-sonnet"


class TestLlama2(RecordedConformance):
    name = "llama-2-70b-chat"


class TestLlama3(RecordedConformance):
    name = "llama-3-70b-instruct"


class TestLlama31(RecordedConformance):
    name = "llama-3.1-70b-instruct"


def test_every_mind_of_the_study_has_its_class_here() -> None:
    assert [kind.name for kind in RecordedConformance.__subclasses__()] == list(STUDY_MINDS)


each_recorded = pytest.mark.parametrize("name", RECORDED)
few = settings(max_examples=60)


@each_recorded
@few
@given(pool=pools(max_size=12), data=st.data())
def test_probabilities_sum_to_one_on_any_pool(
    name: str, pool: tuple[str, ...], data: st.DataObject
) -> None:
    given_ = recorded(name).distribution(data.draw(memories(pool)), pool)
    assert len(given_) == len(pool)
    assert all(0 <= p <= 1 for p in given_)
    assert math.isclose(math.fsum(given_), 1, abs_tol=1e-12)


@each_recorded
@few
@given(
    known=st.lists(st.sampled_from(TEN), max_size=4, unique=True),
    data=st.data(),
)
def test_two_unknown_names_are_the_same_to_it_under_swapping(
    name: str, known: list[str], data: st.DataObject
) -> None:
    """Neither is preferred: with their parts in memory swapped, so are their probabilities."""
    pool = data.draw(st.permutations([*known, "left", "right"]))
    memory = data.draw(memories(pool))
    swap = {"left": "right", "right": "left"}
    swapped = tuple(Remembered(swap.get(a, a), swap.get(b, b)) for a, b in memory)
    mind = recorded(name)
    one = dict(zip(pool, mind.distribution(memory, pool), strict=True))
    other = dict(zip(pool, mind.distribution(swapped, pool), strict=True))
    for played in pool:
        assert math.isclose(one[played], other[swap.get(played, played)], abs_tol=1e-12)


@each_recorded
@pytest.mark.parametrize("size", [2, 3, 10, 26])
def test_with_nothing_remembered_unknown_names_are_equal(name: str, size: int) -> None:
    pool = [f"word {number}" for number in range(size)]
    for p in recorded(name).distribution((), pool):
        assert math.isclose(p, 1 / size, abs_tol=1e-12)


@each_recorded
@few
@given(pool=st.one_of(st.just(("Q", "M")), st.just(TEN), pools()), data=st.data())
def test_only_the_last_five_interactions_count(
    name: str, pool: tuple[str, ...], data: st.DataObject
) -> None:
    memory = data.draw(memories(pool, min_size=DEPTH, max_size=9))
    mind = recorded(name)
    assert mind.distribution(memory, pool) == mind.distribution(memory[-DEPTH:], pool)


@each_recorded
@few
@given(pool=st.one_of(st.just(("Q", "M")), st.just(TEN), pools()), data=st.data())
def test_the_order_of_the_pool_means_nothing(
    name: str, pool: tuple[str, ...], data: st.DataObject
) -> None:
    memory = data.draw(memories(pool))
    other = data.draw(st.permutations(pool))
    mind = recorded(name)
    one = dict(zip(pool, mind.distribution(memory, pool), strict=True))
    two = dict(zip(other, mind.distribution(memory, other), strict=True))
    assert all(math.isclose(one[played], two[played], abs_tol=1e-12) for played in pool)


def test_what_was_counted_in_the_very_pool_comes_first() -> None:
    memory = read_memory([("Q", "M")])
    counts = {pool_key("QM"): {memory: {"Q": 60, "M": 30}}}
    mind = RecordedMind("counted", read_empty(), counts, prior_strength=10)
    assert mind.distribution(memory, "QM") == pytest.approx([65 / 100, 35 / 100])
    assert mind.distribution(memory, "MQ") == pytest.approx([35 / 100, 65 / 100])
    assert mind.distribution(memory, "QMX") == pytest.approx([1 / 3] * 3)
    assert mind.distribution((), "QM") == [0.5, 0.5]


def read_empty() -> dict[str, dict[str, float]]:
    return {family: {} for family in recorded(DEFAULT_MIND).weights}


def test_the_weight_of_a_name_is_in_log_odds() -> None:
    weights = {**read_empty(), "name": {"Q": 1.0}}
    q, m = RecordedMind("leaning", weights).distribution((), "QM")
    assert math.log(q / m) == pytest.approx(1)
    assert RecordedMind("leaning", weights).known("XQM") == ("Q",)


def test_no_inverse_temperature_is_too_large() -> None:
    assert sharpen([0.2, 0.5, 0.3], 1e9) == [0, 1, 0]
    assert sharpen([0.5, 0.5], 1e9) == [0.5, 0.5]
    assert sharpen([0.2, 0.8, 0.0], 1e-9) == pytest.approx([0.5, 0.5, 0.0])


@given(st.lists(st.floats(1e-6, 1), min_size=2, max_size=10), st.floats(0.1, 5))
def test_sharpening_keeps_the_order_and_the_sum(weights: list[float], power: float) -> None:
    total = sum(weights)
    before = [weight / total for weight in weights]
    after = sharpen(before, power)
    assert math.fsum(after) == pytest.approx(1)
    for one, other in zip(before, after, strict=True):
        assert math.isclose(
            math.log(other / after[0]), power * math.log(one / before[0]), abs_tol=1e-6
        )


def test_a_mind_that_drifts_is_another_in_every_run_and_the_same_in_each() -> None:
    drift = {pool_key("QM"): (1.0, 0.5)}
    weights = {**read_empty(), "name": {"Q": 1.0}}
    mind = RecordedMind("drifting", weights, drift=drift)
    game = Game(("Q", "M"))
    runs = [mind.for_run(game, RandomStream(1, run)).distribution((), "QM")[0] for run in range(20)]
    again = [
        mind.for_run(game, RandomStream(1, run)).distribution((), "QM")[0] for run in range(20)
    ]
    assert runs == again
    assert len(set(runs)) == 20
    assert mind.for_run(Game(("Q", "X")), RandomStream(1)) is mind


# How well they fit, and how populations of them behave

PAIR = ("Q", "M")
PROTOTYPE = {
    "claude-3.5-sonnet": {PAIR: 0.063, TEN: 0.240},
    "llama-2-70b-chat": {PAIR: 0.034, TEN: 0.598},
    "llama-3-70b-instruct": {PAIR: 0.066, TEN: 0.219},
    "llama-3.1-70b-instruct": {PAIR: 0.202, TEN: 0.281},
}
"""Mean log-loss per decision on odd runs of a simpler fit on even runs, which these must beat."""


def test_the_models_of_the_study_ship() -> None:
    assert set(STUDY_MINDS) < set(recorded_names())


@pytest.mark.parametrize("name", sorted(set(recorded_names()) - set(STUDY_MINDS)))
def test_a_recording_that_ships_is_small_and_says_what_was_measured(name: str) -> None:
    mind = recorded(name)
    file = resources.files(minds) / "recordings" / f"{name}.json"
    (recording,), about = mind.recordings, mind.provenance
    assert mind.label == name
    assert len(file.read_bytes()) < 250_000
    assert len(recording.answers) == about["memories"] > 0
    assert about["share_of_choices_on_memories_never_asked"] <= 0.05
    assert {"model", "server", "sampling", "prompt_sha256", "date", "calls"} <= set(about)
    game = recording.game
    runs = run_ensemble("complete(n=8)", game.pool, name, memory=game.memory, runs=5, rng=1)
    assert len(runs.runs) == 5


@pytest.mark.parametrize("name", STUDY_MINDS)
def test_a_mind_says_where_it_is_from_and_how_well_it_fits(name: str) -> None:
    provenance = recorded(name).provenance
    assert "Science Advances" in provenance["source"]
    assert provenance["licence"] == "MIT"
    assert provenance["fitted_by"].startswith("mesa_llm_norms ")
    held = {
        tuple(condition["pool"]): condition["log_loss_even_to_odd"]
        for condition in provenance["conditions"]
        if condition["kind"] == "baseline"
    }
    for pool, loss in PROTOTYPE[name].items():
        assert held[pool] < loss


@needs_study
@pytest.mark.parametrize(
    "name",
    [STUDY_MINDS[0], *(pytest.param(name, marks=pytest.mark.slow) for name in STUDY_MINDS[1:])],
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


@pytest.mark.parametrize("name", STUDY_MINDS[:3])
def test_a_consensus_lasts(name: str) -> None:
    """The recorded populations of these three models never left a consensus in 500 interactions."""
    runs = run_ensemble(
        "complete(n=24)", "QM", name, incumbent="M", runs=20, rounds=21, until=None, rng=1
    )
    assert runs.rounds["success_rate"].mean() > 0.998


def test_a_mind_whose_runs_were_recorded_to_differ_is_one_thing_within_a_run() -> None:
    """Llama 3.1 drifted: runs differ in inverse temperature, agents of a run do not."""
    mind = recorded("llama-3.1-70b-instruct")
    assert "M Q" in mind.drift
    spec = Spec(graph="complete(n=6)", names="QM", mind=mind, seed=3)
    powers = [
        {
            mind.inverse_temperature
            for mind in spec.initial_state(run).minds_by_node.values()
            if isinstance(mind, RecordedMind)
        }
        for run in range(5)
    ]
    assert all(len(one) == 1 for one in powers)
    assert len(set.union(*powers)) == 5
    assert powers[0] == {
        mind.inverse_temperature
        for mind in spec.initial_state(0).minds_by_node.values()
        if isinstance(mind, RecordedMind)
    }
