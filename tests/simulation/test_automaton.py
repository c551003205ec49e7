"""What does not fit into packed memories is a finite automaton, worked out as it is met."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from chances import FixedPolicy
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import pools

from mesa_llm_norms import load_mind
from mesa_llm_norms.core.game import Game, Memory, remember
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.minds import UniformMind
from mesa_llm_norms.simulation import automaton as module
from mesa_llm_norms.simulation.automaton import MAX_AUTOMATA, Automaton, automaton_for
from mesa_llm_norms.simulation.engine import choice_weights
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.spec import Spec


@settings(max_examples=50)
@given(st.data(), pools(max_size=13), st.integers(1, 4))
def test_states_are_memories_and_lead_to_the_next_ones(
    data: st.DataObject, pool: tuple[str, ...], length: int
) -> None:
    game, mind = Game(pool, memory=length), load_mind("claude-3.5-sonnet")
    automaton = Automaton(game, [mind])
    memory: Memory = ()
    state = automaton.state(0, memory)
    assert automaton.last_names(np.array([state], np.uint32)).tolist() == [-1]
    place = st.integers(0, len(pool) - 1)
    for own, partner in data.draw(st.lists(st.tuples(place, place), max_size=12)):
        automaton.learn(state)
        assert automaton.steps[state].tolist() == choice_weights(mind, memory, game)[:-1]
        became = automaton.connect(state, own, partner)
        memory = remember(memory, pool[own], pool[partner], length)
        state = became
        assert automaton.memory(state) == memory
        assert automaton.last_names(np.array([state], np.uint32)).tolist() == [own]


class Wandering(UniformMind):
    """A mind of which nobody knows that it looks at nothing."""


def test_what_nobody_remembers_any_more_is_forgotten_and_play_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pool = "QMXYFJPRCDAB"
    spec = Spec(graph="complete(n=10)", names=pool, mind=Wandering(), memory=9, seed=4)
    expected = play_run(spec, 0, Goal(), 40, keep=True, engine="python").rows
    monkeypatch.setattr(module, "BUDGET", 30_000)
    monkeypatch.setattr(module, "_kept", type(module._kept)())
    sizes = []
    forgetting = Automaton.only

    def counted(self: Automaton, states: Any) -> Any:
        other, numbers = forgetting(self, states)
        sizes.append((len(self), len(other)))
        return other, numbers

    monkeypatch.setattr(Automaton, "only", counted)
    assert play_run(spec, 0, Goal(), 40, keep=True, engine="kernel").rows == expected
    assert len(sizes) > 3
    assert all(after <= 10 < before for before, after in sizes)


def test_a_thread_keeps_few_of_them() -> None:
    games = [Game(("Q", "M"), memory=length) for length in range(1, MAX_AUTOMATA + 3)]
    mind = UniformMind()
    made = [automaton_for(game, [mind]) for game in games]
    assert automaton_for(games[-1], [mind]) is made[-1]
    assert automaton_for(games[0], [mind]) is not made[0]


def test_weights_of_a_mind_that_changed_are_worked_out_again() -> None:
    first, second = FixedPolicy(0.2, 0.8), FixedPolicy(0.9, 0.1)
    automaton = Automaton(Game(("Q", "M")), [first, UniformMind()])
    states = [automaton.state(mind, ()) for mind in (0, 1)]
    for state in states:
        automaton.learn(state)
    known = automaton.steps[states].tolist()
    automaton.recast([second, automaton.minds[1]])
    assert automaton.steps[states].tolist() == [[-1], known[1]]
