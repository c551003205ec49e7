"""The rules: payoffs, what may be a pool of names, and what an agent remembers."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import memories, pools

from mesa_llm_norms import Game
from mesa_llm_norms.core.game import (
    Memory,
    Remembered,
    filled,
    read_memory,
    read_pool,
    remember,
    score,
)
from mesa_llm_norms.errors import PoolError, SpecError
from mesa_llm_norms.simulation import Interaction

POOL = ("Q", "M", "X")
pairs = st.tuples(st.sampled_from(POOL), st.sampled_from(POOL))
points = st.one_of(st.integers(-1000, 1000), st.floats(-1e6, 1e6))


@given(pools(), points, points, st.data())
def test_payoffs_are_symmetric_and_there_are_only_two(
    pool: tuple[str, ...], reward: float, penalty: float, data: st.DataObject
) -> None:
    game = Game(pool, reward, penalty)
    one, other = data.draw(st.sampled_from(pool)), data.draw(st.sampled_from(pool))
    assert game.payoff(one, other) == game.payoff(other, one)
    assert game.payoff(one, other) == (reward if one == other else penalty)


@given(pools())
def test_a_pool_is_read_once_and_for_all(pool: tuple[str, ...]) -> None:
    assert read_pool(pool) == pool
    assert read_pool(list(pool)) == pool
    assert Game(pool).pool == pool


@pytest.mark.parametrize("names", ["QM", "Q M", " Q  M ", ["Q", "M"], ("Q", "M"), iter("QM")])
def test_letters_and_sequences_mean_the_same_pool(names: Any) -> None:
    assert read_pool(names) == ("Q", "M")


def test_names_may_be_words_in_any_script() -> None:
    words = ("left side", "правая", "右", "n/a")
    assert read_pool(words) == words


BAD_POOLS: list[Any] = [
    "yes,no",
    "Q,M",
    "yes no",
    "Q no",
    "",
    " ",
    "Q",
    "QQ",
    [],
    ["Q"],
    ["Q", "Q"],
    ["Q", ""],
    ["Q", " M"],
    ["Q", "M\n"],
    ["Q", "M\u200b"],
    ["Q", "\ud800"],
    ["Q", "M" * 33],
    ["Q", 3],
    ["Q", None],
    ["Q", ["M"]],
    None,
    7,
    3.5,
    b"QM",
    {"Q": 1, "M": 2},
    [str(number) for number in range(1_001)],
]


@pytest.mark.parametrize("names", BAD_POOLS, ids=lambda names: repr(names)[:30])
def test_what_is_no_pool_is_refused_with_a_remedy(names: Any) -> None:
    with pytest.raises(PoolError) as caught:
        read_pool(names)
    assert caught.value.argument == "names"
    assert caught.value.remedy


def test_words_in_one_string_are_answered_with_the_list_of_them() -> None:
    """On the command line they are separated by commas; in Python they would be letters."""
    with pytest.raises(PoolError) as caught:
        read_pool("yes, no")
    assert "names=['yes', 'no']" in caught.value.remedy


@pytest.mark.parametrize("mark", [*";|/.:-_&·、\uff0c\uff1b\uff0f\uff5c", " | ", "; "])
def test_whatever_separates_letters_is_answered_with_the_list_of_them(mark: str) -> None:
    for words in (["Q", "M"], ["yes", "no"], ["是", "否"], ["1", "2"]):
        with pytest.raises(PoolError) as caught:
            read_pool(mark.join(words))
        assert f"names={words}" in caught.value.remedy
        assert read_pool(words) == tuple(words)


@pytest.mark.parametrize("names", ["🍎🍊", "★☆", "Q★", "+Q", "Q1", "?!", "→ ←"])
def test_symbols_are_names_as_letters_are(names: str) -> None:
    assert read_pool(names) == tuple(names.replace(" ", ""))


@pytest.mark.parametrize("names", [{"Q", "M"}, frozenset("QM")])
def test_a_set_is_no_pool_for_its_order_differs_from_process_to_process(names: Any) -> None:
    with pytest.raises(PoolError):
        read_pool(names)


@pytest.mark.parametrize("argument", ["reward", "penalty"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, True, "100", None])
def test_points_are_finite_numbers(argument: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        Game(("Q", "M"), **{argument: value})
    assert caught.value.argument == argument


@pytest.mark.parametrize("memory", [0, -1, 1_001, 2.0, "5", None, True])
def test_the_memory_is_a_whole_number_of_interactions(memory: Any) -> None:
    with pytest.raises(SpecError) as caught:
        Game(("Q", "M"), memory=memory)
    assert caught.value.argument == "memory"


def test_a_row_says_whether_it_matched() -> None:
    row = Interaction(0, 0, 0, "a", "b", "Q", "Q", 100)
    assert row.matched
    assert not row._replace(name_b="M").matched


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
