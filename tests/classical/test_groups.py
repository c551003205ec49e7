"""The classical game in groups: as its rules say, and the same for the same seed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms.classical import run_groups, takeovers
from mesa_llm_norms.core.randomness import UNIT, RandomStream, index_of
from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.networks import hypergraph

GROUPS = [(0, 1, 2), (2, 3), (3, 4, 5, 0), (1, 5)]


def by_the_rules(
    groups: list[tuple[int, ...]], names: str, how: dict[str, Any], seed: int, most: int
) -> tuple[int, list[set[str]]]:
    """Play run 0 in plain Python, one rule after the other."""
    nodes = list(dict.fromkeys(node for group in groups for node in group))
    lists = [sorted(nodes.index(node) for node in group) for group in groups]
    held: list[set[str]] = [set() for _ in nodes]
    stream = RandomStream(seed, 0)
    for t in range(most):
        if any(sum(one == {name} for one in held) >= 0.95 * len(nodes) for name in names):
            return t, held
        drawn = stream.interaction(t)
        group = lists[index_of(drawn.node, len(lists))]
        speaker = group[index_of(drawn.neighbor, len(group))]
        if not held[speaker]:
            held[speaker] = {names[index_of(drawn.seat_a, len(names))]}
        known = [name for name in names if name in held[speaker]]
        word = known[index_of(drawn.seat_a, len(known))]
        others = [node for node in group if node != speaker]
        if how["hearers"] == "one":
            others = [others[index_of(stream.of("hearer", t) >> 32, len(others))]]
        knowing = [word in held[node] for node in others]
        if all(knowing) or (how["agreement"] == "any" and any(knowing)):
            if drawn.seat_b < round(how["success"] * UNIT):
                for node in (speaker, *others):
                    held[node] = {word}
        else:
            for node in others:
                held[node].add(word)
    return most, held


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**64 - 1),
    st.sampled_from(["QM", "QMXYF"]),
    st.sampled_from(["all", "any"]),
    st.sampled_from(["group", "one"]),
    st.sampled_from([1.0, 0.5]),
)
def test_runs_follow_the_rules(
    seed: int, names: str, agreement: str, hearers: str, success: float
) -> None:
    how: dict[str, Any] = {"agreement": agreement, "hearers": hearers, "success": success}
    found = run_groups(hypergraph(GROUPS), names, rng=seed, runs=1, rounds=20, **how)
    interactions, held = by_the_rules(GROUPS, names, how, seed, 120)
    assert found["interactions"][0] == interactions
    alone = max(sum(one == {name} for one in held) for name in names)
    assert found["share"][0] == alone / len(held)


def test_groups_of_two_hear_as_one_does() -> None:
    pairs = hypergraph([(0, 1), (1, 2), (2, 0), (2, 3)])
    given: dict[str, Any] = {"graph": pairs, "rng": 4, "runs": 20}
    assert run_groups(**given).equals(run_groups(**given, hearers="one"))
    assert run_groups(**given).equals(run_groups(**given, agreement="any"))


def test_committed_agents_never_change_and_take_over_where_they_are_many() -> None:
    given: dict[str, Any] = {"graph": "groups(n=60, k=3, m=200)", "names": "AB", "rng": 3}
    found = takeovers([0.0, 0.3], "B", "A", runs=20, rounds=100, **given)
    assert found["flipped"].tolist() == [0, 1, 0, 1]
    both = run_groups(**given, committed={"A": 0.2, "B": 0.2}, runs=5, rounds=20)
    assert not both["agreed"].any()


def test_a_graph_without_groups_has_its_cliques() -> None:
    cliques = run_groups("complete(n=5)", rng=2, runs=3)
    assert cliques.equals(run_groups(hypergraph([range(5)]), rng=2, runs=3))


@pytest.mark.parametrize(
    "bad",
    [
        {"agreement": "most"},
        {"hearers": "two"},
        {"success": 0},
        {"success": 1.5},
        {"incumbent": "Z"},
        {"committed": {"Z": 2}},
        {"names": [str(number) for number in range(65)]},
        {"graph": "groups(n=3, k=4)"},
        {"graph": "groups(n=30, k=2, m=3)"},
    ],
)
def test_bad_arguments_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(NormsError):
        run_groups(**{"runs": 1, **bad})
