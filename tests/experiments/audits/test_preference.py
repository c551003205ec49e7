"""Minds made symmetric know no name from another, and stay what they were otherwise."""

from __future__ import annotations

import pickle
from collections import Counter

import pytest
from chances import copying
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import planted, symmetric
from strategies import memories

from mesa_llm_norms import Game, load_mind, run_ensemble
from mesa_llm_norms.core.game import Memory, Remembered, read_memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.experiments.audits.preference import (
    FirstChoices,
    MeasuredSymmetric,
    SymmetricMind,
    pattern_of,
    put,
)
from mesa_llm_norms.testing import check_mind

POOL = ("Q", "M", "X", "Y", "F", "J")
CLAUDE = SymmetricMind(load_mind("claude-3.5-sonnet"))  # type: ignore[arg-type]


@settings(max_examples=40)
@given(memories(POOL, max_size=5), st.permutations(POOL))
def test_permuting_the_names_of_a_memory_permutes_what_is_chosen(
    memory: Memory, order: list[str]
) -> None:
    other = dict(zip(POOL, order, strict=True))
    moved = tuple(Remembered(other[own], other[partner]) for own, partner in memory)
    before = dict(zip(POOL, CLAUDE.distribution(memory, POOL), strict=True))
    after = dict(zip(POOL, CLAUDE.distribution(moved, POOL), strict=True))
    assert all(before[name] == pytest.approx(after[other[name]]) for name in POOL)
    assert sum(before.values()) == pytest.approx(1)


@given(memories("QMX", max_size=4))
def test_a_mind_that_is_symmetric_already_stays_as_it_is(memory: Memory) -> None:
    mind = copying("QMX")
    assert SymmetricMind(mind).distribution(memory, "QMX") == pytest.approx(
        list(mind.distribution(memory, "QMX"))
    )


def test_with_two_names_it_is_the_mean_of_both_ways_to_name_them() -> None:
    mind = SymmetricMind(planted())
    assert mind.distribution(read_memory(["QM"]), "QM") == pytest.approx([0.55, 0.45])
    assert mind.distribution(read_memory(["MQ"]), "QM") == pytest.approx([0.45, 0.55])
    assert mind.distribution((), "QM") == [0.5, 0.5]


@given(memories(POOL, max_size=5))
def test_a_pattern_with_the_names_it_came_from_is_the_memory(memory: Memory) -> None:
    pattern, met = pattern_of(memory)
    assert put(pattern, met) == memory


@settings(max_examples=40)
@given(memories(POOL, max_size=4), st.permutations(POOL))
def test_what_was_measured_is_symmetric_too_and_falls_back_on_shorter_memories(
    memory: Memory, order: list[str]
) -> None:
    mind = MeasuredSymmetric({(): (1.0,), ((0, 1),): (0.5, 0.4, 0.1), ((0, 0),): (0.9, 0.1)})
    other = dict(zip(POOL, order, strict=True))
    moved = tuple(Remembered(other[own], other[partner]) for own, partner in memory)
    before = dict(zip(POOL, mind.distribution(memory, POOL), strict=True))
    after = dict(zip(POOL, mind.distribution(moved, POOL), strict=True))
    assert all(before[name] == pytest.approx(after[other[name]]) for name in POOL)
    if memory and memory[-1].own != memory[-1].partner:
        assert before[memory[-1].partner] == pytest.approx(0.4)


def test_they_keep_the_contract_of_minds_and_travel_to_other_processes() -> None:
    check_mind(SymmetricMind(copying("QM")), names="QM")
    first = FirstChoices((0.9, 0.1), "QM", SymmetricMind(planted()))
    check_mind(first, names="QM", memory=2)
    there = pickle.loads(pickle.dumps(first))
    assert there.distribution((), "QM") == [0.9, 0.1]
    assert there.distribution((), "MQ") == [0.1, 0.9]


def test_a_mind_that_differs_from_run_to_run_still_does_and_stays_symmetric() -> None:
    llama = load_mind("llama-3.1-70b-instruct")
    mind = SymmetricMind(llama)  # type: ignore[arg-type]
    game, memory = Game(("Q", "M")), read_memory(["QM", "MM"])
    shares = {
        mind.for_run(game, RandomStream(7, run)).distribution(memory, "QM")[0] for run in range(5)
    }
    assert len(shares) == 5
    this = mind.for_run(game, RandomStream(7, 1))
    mirrored = this.distribution(read_memory(["MQ", "QQ"]), "QM")
    assert this.distribution(memory, "QM") == pytest.approx(list(mirrored)[::-1])


def test_every_name_wins_as_often_as_any_other_on_a_network_with_hubs() -> None:
    """More than 60 wins apart in 200 happen with probability 3e-5 by chance."""
    runs = run_ensemble(
        graph="star(n=8)", names="QM", mind=SymmetricMind(symmetric()), memory=1, runs=200, rng=11
    ).runs
    won = Counter(runs["winner"])
    assert abs(won["Q"] - won["M"]) <= 60
