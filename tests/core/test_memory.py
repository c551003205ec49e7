"""An agent remembers exactly its last few interactions, oldest first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from strategies import memories

from mesa_llm_norms import Game
from mesa_llm_norms.core.game import Memory, Remembered, filled, read_memory, remember, score

POOL = ("Q", "M", "X")
pairs = st.tuples(st.sampled_from(POOL), st.sampled_from(POOL))


@given(st.lists(pairs, max_size=30), st.integers(1, 12))
def test_a_memory_is_exactly_the_last_interactions(
    played: list[tuple[str, str]], length: int
) -> None:
    memory: Memory = ()
    for number, (own, partner) in enumerate(played, 1):
        memory = remember(memory, own, partner, length)
        assert memory == tuple(played[max(0, number - length) : number])
    assert memory == read_memory(played[-length:])


@given(memories(POOL, max_size=5), pairs)
def test_remembering_changes_nothing_that_is_held_elsewhere(
    memory: Memory, pair: tuple[str, str]
) -> None:
    before = list(memory)
    after = remember(memory, *pair, 5)
    assert list(memory) == before
    assert after[-1] == Remembered(*pair)
    assert after[:-1] == memory[-4:] or len(memory) < 5


@given(memories(POOL, max_size=8), st.integers(-50, 50), st.integers(-50, 50))
def test_the_score_is_the_payoffs_of_what_is_remembered(
    memory: Memory, reward: int, penalty: int
) -> None:
    matched = sum(own == partner for own, partner in memory)
    expected = matched * reward + (len(memory) - matched) * penalty
    assert score(memory, Game(POOL, reward, penalty)) == expected


@given(st.sampled_from(POOL), st.integers(1, 9))
def test_a_filled_memory_is_of_one_name_and_full(name: str, length: int) -> None:
    memory = filled(name, length)
    assert memory == ((name, name),) * length
    assert remember(memory, name, name, length) == memory
