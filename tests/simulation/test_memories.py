"""Memories are packed in numbers, and minds play on them what they play in Python."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from chances import FixedPolicy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import memories, pools

from mesa_llm_norms import load_mind, run_ensemble
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import Game, Memory, read_memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.minds.policies import CommittedMind, UniformMind
from mesa_llm_norms.minds.recorded import RecordedMind, pool_key
from mesa_llm_norms.minds.registry import recorded_names
from mesa_llm_norms.simulation import memories as module
from mesa_llm_norms.simulation.engine import choice_weights
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.memories import BUDGET, KnownMemories, known_for
from mesa_llm_norms.simulation.spec import Spec

TEN = tuple("QMXYFJPRCD")
QM = ("Q", "M")
MANY = tuple(f"name {number}" for number in range(65))
POOLS = st.one_of(
    st.sampled_from(["QM", "MQ", "XY", "FJ", TEN, "FJMQXY", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]).map(
        tuple
    ),
    pools(max_size=26),
)


def learned(known: KnownMemories, state: int) -> list[int]:
    """Return the cumulative weights that the compiled code works out for a state."""
    row = load("logit").learn(known.known, np.uint64(state))
    return [*known.known.steps[row, : len(known.game.pool) - 1].tolist(), 2**32]


@given(st.data(), POOLS, st.integers(1, 6), st.integers(0, 2))
def test_a_state_is_a_mind_and_a_memory(
    data: st.DataObject, pool: tuple[str, ...], length: int, mind: int
) -> None:
    known = KnownMemories(Game(pool, memory=length), [UniformMind()] * 3, length)
    memory = data.draw(memories(pool, max_size=length))
    state = known.state(mind, memory)
    assert known.memory(state) == memory
    assert known.memory(known.with_mind(state, 1)) == memory
    assert known.with_mind(known.with_mind(state, 1), mind) == state
    assert known.last_names(np.array([state], np.uint64)).tolist() == [-1]


@st.composite
def recorded_memories(draw: st.DrawFn) -> tuple[RecordedMind, Game, Memory]:
    """Draw a recorded mind as it is in some run, a game, and a memory it may have."""
    mind: Any = load_mind(draw(st.sampled_from(recorded_names())))
    game = Game(draw(POOLS), memory=draw(st.integers(1, 9)))
    counted = [one for one in mind.counts.get(pool_key(game.pool), {}) if len(one) <= game.memory]
    few = draw(st.lists(st.sampled_from(game.pool), min_size=1, max_size=4))
    anything = memories(few, max_size=game.memory)
    memory = draw(st.sampled_from(counted) | anything if counted else anything)
    return mind.for_run(game, RandomStream(draw(st.integers(0, 99)))), game, memory


@settings(max_examples=300)
@given(recorded_memories())
def test_a_recorded_mind_has_the_distribution_that_it_has_in_python(
    drawn: tuple[RecordedMind, Game, Memory],
) -> None:
    mind, game, memory = drawn
    known = KnownMemories(game, [mind], min(5, game.memory))
    state = known.state(0, memory)
    plain = mind._fitted(memory[-5:], game.pool)
    found = np.zeros(len(game.pool))
    assert load("logit").evaluate(known.known, np.uint64(state), found)
    assert found == pytest.approx(plain, rel=0, abs=1e-12)
    assert learned(known, state) == choice_weights(mind, memory, game)


@given(st.lists(st.floats(-1e9, 1e9) | st.floats(-1, 1), max_size=30))
def test_sums_are_exact(values: list[float]) -> None:
    found = load("logit").fsum(np.array(values), len(values), np.zeros(40))
    assert found == math.fsum(values)


def test_a_mind_of_another_run_has_the_same_table_and_other_weights() -> None:
    game, mind = Game(TEN), load_mind("llama-3-70b-instruct")
    first, second = (mind.for_run(game, RandomStream(1, run)) for run in (0, 1))
    known = known_for(game, [first])
    assert known is not None
    memory = read_memory([TEN[:2]])
    state = known.state(0, memory)
    assert learned(known, state) == choice_weights(first, memory, game)
    assert known_for(game, [second]) is known
    assert learned(known, state) == choice_weights(second, memory, game)


@pytest.mark.parametrize("largest", [1.0, 30.0, 299.0, 301.0, 5_000.0])
@pytest.mark.parametrize("inverse_temperature", [1.0, 0.1, 7.5])
def test_large_utilities_are_weighed_as_in_python(
    largest: float, inverse_temperature: float
) -> None:
    chance = random.Random(f"{largest} {inverse_temperature}")
    shipped: Any = load_mind("claude-3.5-sonnet")
    weights = {
        **shipped.weights,
        "name": {name: chance.uniform(-largest / 2, largest / 2) for name in TEN},
        "lag": {
            f"{at}{letter}": chance.uniform(-largest / 10, largest / 10)
            for at in range(1, 6)
            for letter in "BOPN"
        },
    }
    mind = RecordedMind("odd", weights, inverse_temperature=inverse_temperature)
    game = Game(TEN)
    known = KnownMemories(game, [mind], 5)
    known.known.inverse_temperature[:] = inverse_temperature
    for _ in range(200):
        length = chance.randrange(6)
        memory = read_memory([chance.choices(TEN, k=2) for _ in range(length)])
        state = known.state(0, memory)
        assert learned(known, state) == choice_weights(mind, memory, game)


def test_a_weight_in_the_middle_between_two_numbers_is_rounded_as_in_python() -> None:
    """With a utility for each name alone, a tie of the rounding can be made to order."""
    shipped: Any = load_mind("claude-3.5-sonnet")
    none: Any = {family: {} for family in shipped.weights}
    game = Game(QM)
    for number in range(1, 200):
        chance = (number + 0.5) / 2**32 * 2.0**24
        mind = RecordedMind("even", {**none, "name": {"Q": math.log(chance / (1 - chance))}})
        known = KnownMemories(game, [mind], 5)
        assert learned(known, 1) == choice_weights(mind, (), game)


@pytest.mark.parametrize("mind", ["claude-3.5-sonnet", "llama-3-70b-instruct", "own"])
def test_small_tables_forget_and_rows_stay_the_same(
    monkeypatch: pytest.MonkeyPatch, mind: Any
) -> None:
    if mind == "own":
        mind = FixedPolicy(*[0.1] * 10)
    spec = Spec(graph="complete(n=30)", names=TEN, mind=mind, seed=4)
    expected = play_run(spec, 0, Goal(None), 30, keep=True, engine="python").rows
    for budget, lately, first in ((BUDGET, 1 << 19, 4), (9_000, 800, 4)):
        monkeypatch.setattr(module, "BUDGET", budget)
        monkeypatch.setattr(module, "_LATELY", lately)
        monkeypatch.setattr(module, "_FIRST_ASKED", first)
        monkeypatch.setattr(module, "_kept", type(module._kept)())
        assert play_run(spec, 0, Goal(None), 30, keep=True, engine="kernel").rows == expected
    known = known_for(spec.game, spec.initial_state().minds)
    assert known is not None
    assert known.nbytes <= 9_800


class TestKnownFor:
    def test_what_fits_depends_on_what_minds_look_at(self) -> None:
        recorded, own = load_mind("claude-3.5-sonnet"), FixedPolicy(0.5, 0.5)
        assert known_for(Game(TEN, memory=1_000), [recorded, UniformMind(), CommittedMind("Q")])
        assert known_for(Game(MANY[:64]), [recorded])
        assert not known_for(Game(MANY), [recorded])
        assert known_for(Game(QM, memory=31), [own])
        assert not known_for(Game(QM, memory=32), [own])
        assert not known_for(Game(TEN, memory=8), [recorded], whole=True)

    def test_a_thread_keeps_few_tables(self) -> None:
        games = [Game(QM, memory=length) for length in range(1, module.MAX_KEPT + 3)]
        mind = load_mind("claude-3.5-sonnet")
        made = [known_for(game, [mind], whole=True) for game in games]
        assert known_for(games[-1], [mind], whole=True) is made[-1]
        assert known_for(games[0], [mind], whole=True) is not made[0]

    def test_a_mind_with_other_recordings_has_a_table_of_its_own(self) -> None:
        mind: Any = load_mind("claude-3.5-sonnet")
        other = RecordedMind(mind.label, mind.weights, {}, mind.prior_strength)
        assert known_for(Game(QM), [mind]) is not known_for(Game(QM), [other])


def test_a_recorded_mind_whose_weights_are_no_numbers_fails_as_in_python() -> None:
    shipped: Any = load_mind("claude-3.5-sonnet")
    mind = RecordedMind("odd", {**shipped.weights, "name": {"Q": float("nan")}})
    messages = []
    for engine in ("python", "kernel"):
        for names in ("QM", TEN):
            with pytest.raises(MindError) as caught:
                run_ensemble(names=names, mind=mind, runs=1, rounds=2, rng=1, engine=engine)
            messages.append(str(caught.value))
    assert messages[:2] == messages[2:]
