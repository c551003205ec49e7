"""When answers come true, and that exactly one does whatever happens."""

from __future__ import annotations

from collections import Counter
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms import NamingGame
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.web.scenes.answers import (
    COMMUNITIES,
    Condition,
    Possible,
    Result,
    came_true,
    check_answers,
    communities,
    read_condition,
    read_result,
    result_of,
)


def result(**values: Any) -> Result:
    usual: dict[str, Any] = {
        "rounds": 5,
        "time": 4.5,
        "converged": False,
        "names": 2,
        "leader": "Q",
        "leader_share": 0.5,
        "flipped": False,
        "communities": "mixed",
    }
    return Result(**{**usual, **values})


numbers = st.one_of(
    st.integers(1, 6),
    st.builds("up to {}".format, st.integers(1, 6)),
    st.builds("{} or more".format, st.integers(1, 6)),
    st.tuples(st.integers(1, 3), st.integers(0, 3)).map(lambda it: f"{it[0]} to {sum(it)}"),
)
words = {
    "agreed": st.booleans(),
    "names": numbers,
    "leader": st.sampled_from("QMX"),
    "rounds": numbers,
    "flipped": st.booleans(),
    "communities": st.sampled_from(COMMUNITIES),
}
conditions = st.fixed_dictionaries({}, optional=words).filter(bool)
populations = st.builds(
    result,
    rounds=st.integers(1, 6),
    names=st.integers(2, 3),
    leader=st.sampled_from("QM"),
    flipped=st.booleans(),
    communities=st.sampled_from(("a name each", "mixed")),
) | st.builds(
    result,
    rounds=st.integers(1, 6),
    names=st.just(1),
    leader=st.just("M"),
    flipped=st.just(True),
    communities=st.just("one name"),
)


@given(st.lists(conditions, min_size=1, max_size=3), st.booleans(), populations)
def test_answers_that_pass_the_check_have_exactly_one_that_comes_true(
    given_: list[dict[str, Any]], otherwise: bool, outcome: Result
) -> None:
    read = [read_condition(one, 1, "QMX") for one in given_]
    read += [Condition()] * otherwise
    try:
        check_answers(read, [Possible(("Q", "M", "X"), 6, ("M", "Q"), 6)])
    except SpecError:
        return
    holding = [place for place, one in enumerate(read) if one.holds([outcome])]
    assert len(holding) == 1 or (otherwise and not holding)
    assert came_true(read, [outcome]) == (holding[0] if holding else len(read) - 1)


@pytest.mark.parametrize(
    ("when", "first", "second", "holds"),
    [
        ({"sooner": "first"}, {"converged": True, "time": 2}, {"converged": True, "time": 3}, True),
        ({"sooner": "first"}, {"converged": True, "time": 9}, {"converged": False}, True),
        ({"sooner": "second"}, {"converged": False}, {"converged": True}, True),
        ({"sooner": "neither"}, {"converged": False, "time": 2}, {"time": 3}, True),
        ({"sooner": "neither"}, {"converged": True}, {"converged": True}, True),
        ({"more_names": "second"}, {"names": 1}, {"names": 3}, True),
        ({"more_names": "neither"}, {"names": 2}, {"names": 2}, True),
        ({"more_names": "first"}, {"names": 1}, {"names": 3}, False),
        ({"first": {"names": "up to 2"}, "second": {"agreed": True}}, {}, {"names": 1}, True),
        ({"first": {"names": "3 or more"}, "second": {"agreed": True}}, {}, {"names": 1}, False),
    ],
)
def test_two_populations_are_compared(when: Any, first: Any, second: Any, holds: bool) -> None:
    condition = read_condition(when, 2, "QM")
    assert condition.holds([result(**first), result(**second)]) is holds


def test_communities_are_blocks_or_what_bridges_join() -> None:
    barbell = nx.barbell_graph(4, 1)
    assert list(map(set, communities(barbell))) == [{0, 1, 2, 3}, {5, 6, 7, 8}]
    nx.set_node_attributes(barbell, {node: node % 2 for node in barbell}, "block")
    assert list(map(set, communities(barbell))) == [{0, 2, 4, 6, 8}, {1, 3, 5, 7}]
    assert communities(nx.star_graph(4)) == []


@pytest.mark.parametrize(
    ("left", "right", "said"),
    [("Q", "M", "a name each"), ("Q", "Q", "one name"), ("QM", "M", "mixed"), ("", "M", "mixed")],
)
def test_what_communities_say_is_told_in_one_of_three_ways(
    left: str, right: str, said: str
) -> None:
    graph = nx.barbell_graph(4, 0)
    held = {
        node: (names[node % len(names)] if names else None)
        for node in graph
        for names in [left if node < 4 else right]
    }
    groups = communities(graph)
    how: dict[str, Any] = {"rounds": 1, "interactions": 8, "converged": False, "flipped": False}
    stood = read_result(groups, "QM", held, **how)
    assert stood.communities == said
    assert stood.time == 1


def test_a_name_has_taken_over_where_the_outcome_of_the_run_says_so() -> None:
    for count, flips in ((2, False), (20, True)):
        model = NamingGame("complete(n=24)", "QM", incumbent="Q", committed={"M": count}, rng=1)
        outcome = model.run(30, until=None)
        assert result_of(model, outcome.rounds).flipped is outcome.flipped is flips
        assert result_of(model, 30).leader_share == max(
            Counter(model.names_held.values()).values()
        ) / len(model.players)
