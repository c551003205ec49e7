"""What a run shows: shares, entropy, success, round by round."""

from __future__ import annotations

from counting import summarise
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.core.metrics import Tally, entropy
from mesa_llm_norms.simulation import Interaction

POOL = ("Q", "M", "X")
plays = st.lists(st.tuples(st.sampled_from(POOL), st.sampled_from(POOL)), max_size=40)


def rows_of(played: list[tuple[str, str]], round_number: int = 0) -> list[Interaction]:
    return [
        Interaction(0, number, round_number, "u", "v", a, b, 100 if a == b else -50)
        for number, (a, b) in enumerate(played)
    ]


@given(plays.filter(bool))
def test_a_round_in_numbers_is_what_counting_its_rows_gives(played: list[tuple[str, str]]) -> None:
    summary = summarise(rows_of(played, 4), POOL)
    names = [name for pair in played for name in pair]
    assert summary.number == 4
    assert summary.interactions == len(played)
    assert summary.success_rate == sum(a == b for a, b in played) / len(played)
    assert summary.shares == {name: names.count(name) / len(names) for name in POOL}
    assert summary.distinct_names == len(set(names))
    assert names.count(summary.leader) == max(names.count(name) for name in POOL)


def test_entropy_is_in_bits_and_zero_for_one_name() -> None:
    assert entropy({"Q": 0.5, "M": 0.5}) == 1
    assert entropy(dict.fromkeys("ABCDEFGH", 1 / 8)) == 3
    assert str(entropy({"Q": 1.0, "M": 0.0})) == "0.0"


def test_of_equals_the_earlier_in_the_pool_leads() -> None:
    assert summarise(rows_of([("M", "Q")]), ("M", "Q")).leader == "M"


@given(st.lists(plays, max_size=5), st.integers(0, 9), st.integers(0, 99))
def test_a_tally_counts_rounds_as_their_rows_do(
    rounds: list[list[tuple[str, str]]], before: int, interactions: int
) -> None:
    tally = Tally(POOL, before, interactions)
    expected = []
    for number, played in enumerate(rounds, before):
        line = tally.begin_round()
        for pair in played:
            line[0] += 1
            line[1] += pair[0] == pair[1]
            for name in pair:
                line[2 + POOL.index(name)] += 1
        interactions += len(played)
        if played:
            expected.append(
                summarise(rows_of(played, number), POOL)._replace(interactions=interactions)
            )
    assert tally.to_rounds() == expected
    assert tally.last == (expected[-1] if expected else None)
    assert len(tally) == len(rounds)
    copied = Tally(POOL, tally.rounds, tally.interactions)
    copied.extend(tally.counts)
    assert copied.to_rounds() == expected
