"""Which states agents can reach, what is cached of them, and what has no limit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from chances import FixedPolicy, Waiting
from hypothesis import given, settings
from hypothesis import strategies as st
from mean_field_minds import CLAUDE, table_of

from mesa_llm_norms.core.game import Memory, filled
from mesa_llm_norms.errors import MindError, PairingError, PoolError, SpecError
from mesa_llm_norms.mean_field.dynamics import MeanField, mean_field
from mesa_llm_norms.mean_field.population import MAX_CACHED, MAX_GAMES, _cached_states
from mesa_llm_norms.minds import UniformMind
from mesa_llm_norms.minds.mind import Policy


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
