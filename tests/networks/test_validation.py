"""Graphs the game can and cannot be played on."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Hashable
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs

from mesa_llm_norms.errors import GraphError, GraphWarning
from mesa_llm_norms.networks.validation import (
    CLEANING,
    EdgeTable,
    UnreadableError,
    check_graph,
    clean,
    components,
)


def weighted(weight: object) -> nx.Graph[Any]:
    """Return a path of three whose second edge has that weight."""
    graph: nx.Graph[Any] = nx.path_graph(3)
    graph.edges[1, 2]["weight"] = weight
    return graph


def carry_out(remedy: str, graph: nx.Graph[Any]) -> Any:
    """Do what a remedy says: the first call on ``graph`` that it shows, methods after it too."""
    start = re.search(r"(graph|nx)\.\w+\(", remedy)
    assert start is not None
    text, end = remedy[start.start() :], 0
    for found in re.finditer(r"\)", text):
        with suppress(SyntaxError):
            compile(text[: found.end()], "remedy", "eval")
            end = found.end()
    return eval(text[:end], {"nx": nx, "graph": graph})


def refusal(graph: nx.Graph[Any]) -> GraphError:
    """Return the error that a graph is refused with."""
    with pytest.raises(GraphError) as raised:
        check_graph(graph)
    return raised.value


@given(graph=graphs())
def test_connected_simple_graphs_with_any_node_ids_weights_and_directions_pass(
    graph: nx.Graph[Any],
) -> None:
    """No error, no warning, and the graph is left as it was."""
    before = graph.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_graph(graph)
    assert nx.utils.graphs_equal(before, graph)


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph, nx.MultiGraph, nx.MultiDiGraph])
def test_fewer_than_two_nodes_are_refused(kind: type[nx.Graph[Any]]) -> None:
    """There is no pair to play."""
    assert "no nodes" in str(refusal(kind()))
    alone = kind()
    alone.add_node("me")
    assert refusal(alone).nodes == ("me",)


@pytest.mark.parametrize("thing", [None, "ring", {"a": ["b"]}, [(0, 1)]])
def test_what_is_no_networkx_graph_is_refused(thing: Any) -> None:
    """The message says what to give."""
    assert "nx.Graph(" in str(refusal(thing))


def test_nodes_that_meet_nobody_are_refused_by_name_and_the_remedy_works() -> None:
    """nx.isolates finds the same nodes."""
    graph: nx.Graph[Hashable] = nx.Graph([("a", "b")])
    graph.add_nodes_from([("x", 1), frozenset({2})])
    error = refusal(graph)
    assert error.nodes == (("x", 1), frozenset({2}))
    assert "('x', 1)" in str(error)
    carry_out(error.remedy, graph)
    check_graph(graph)


def test_many_nodes_in_the_way_are_named_in_part_and_all_kept_on_the_error() -> None:
    """Five in the message, all on the error."""
    graph = nx.path_graph(2)
    graph.add_nodes_from(range(2, 50))
    error = refusal(graph)
    assert len(error.nodes) == 48
    assert "2, 3, 4, 5, 6 and 43 more" in str(error)


def test_a_directed_node_that_is_only_met_is_fine_and_one_without_arrows_is_not() -> None:
    """In-edges alone are enough to play."""
    graph: nx.DiGraph[Any] = nx.DiGraph([("hub", "a"), ("hub", "b")])
    check_graph(graph)
    graph.add_node("c")
    assert refusal(graph).nodes == ("c",)


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph])
def test_self_loops_are_refused_and_the_remedy_works(kind: type[nx.Graph[Any]]) -> None:
    """Nobody plays alone."""
    graph = kind([(0, 1), (1, 1), (1, 2), (2, 2)])
    error = refusal(graph)
    assert error.nodes == (1, 2)
    carry_out(error.remedy, graph)
    check_graph(graph)


@pytest.mark.parametrize("kind", [nx.MultiGraph, nx.MultiDiGraph])
def test_multigraphs_are_refused_naming_the_parallel_edges(kind: type[nx.Graph[Any]]) -> None:
    """With the call that makes a simple graph, directed if it was."""
    error = refusal(kind([("a", "b"), ("a", "b"), ("b", "c")]))
    assert set(error.nodes) == {"a", "b"}
    assert ("nx.DiGraph(multigraph)" in error.remedy) == (kind is nx.MultiDiGraph)
    assert refusal(kind([(0, 1), (1, 2)])).nodes == ()


@pytest.mark.parametrize(
    "weight",
    [0, -1, 0.0, -0.5, math.nan, math.inf, -math.inf, 10**400, None, "3", "heavy", True, [1], 1j],
)
def test_weights_that_are_not_positive_finite_numbers_are_refused(weight: object) -> None:
    """Naming the edge, the weight, and a call that makes all edges equal."""
    graph = weighted(weight)
    error = refusal(graph)
    assert error.nodes == (1, 2)
    assert f"1 to 2: {weight!r}"[:50] in str(error)
    carry_out(error.remedy, graph)
    check_graph(graph)


def test_decimal_weights_are_refused_as_networkx_cannot_add_them_to_floats() -> None:
    """A Decimal is no real number to Python."""
    assert refusal(weighted(Decimal(1))).nodes == (1, 2)


@pytest.mark.parametrize("weight", [1, 0.25, 1e300, Fraction(1, 3), np.float32(2), np.int64(3)])
def test_weights_of_any_real_type_pass_and_missing_ones_count_as_one(weight: object) -> None:
    """The other edge has none."""
    check_graph(weighted(weight))


def test_weights_that_add_up_to_infinity_are_refused() -> None:
    """Probabilities would not be numbers."""
    graph = nx.path_graph(3)
    nx.set_edge_attributes(graph, dict.fromkeys(graph.edges, 1e308), "weight")
    assert "too large to add up" in str(refusal(graph))


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph])
def test_separate_components_are_warned_of_with_sizes_nodes_and_a_remedy_that_works(
    kind: type[nx.Graph[Any]],
) -> None:
    """Consensus across them cannot happen."""
    graph = kind([("x", "y"), ("a", "b"), ("b", "c"), ("c", "a")])
    with pytest.warns(GraphWarning) as caught:
        check_graph(graph)
    message = str(caught[0].message)
    assert "2 components" in message
    assert "3 nodes, such as 'a', 'b'; 2 nodes, such as 'x', 'y'" in message
    assert "cannot happen" in message
    assert caught[0].filename == __file__
    largest = carry_out(message.rpartition("or play")[2], graph)
    assert set(largest) == {"a", "b", "c"}
    check_graph(largest)
    graph.add_edge("a", "x")
    check_graph(graph)


def test_a_graph_of_very_many_components_is_warned_of_in_one_short_message() -> None:
    """Three components are described, the others counted."""
    graph: nx.Graph[int] = nx.Graph([(node, node + 1) for node in range(0, 2_000, 2)])
    with pytest.warns(GraphWarning, match="1000 components.*and 997 more") as caught:
        check_graph(graph)
    assert len(str(caught[0].message)) < 600


def test_components_come_largest_first_with_nodes_in_the_order_of_the_graph() -> None:
    """Whatever order sets iterate in."""
    graph: nx.Graph[str] = nx.Graph([("x", "y"), ("c", "b"), ("b", "a")])
    assert components(graph) == [["c", "b", "a"], ["x", "y"]]


def table(edges: str, *, directed: bool = False, weights: list[float] | None = None) -> EdgeTable:
    """Return the edges of a text like ``ab bc``, between the nodes a to e."""
    ends = np.array([["abcde".index(node) for node in edge] for edge in edges.split()])
    return EdgeTable(
        nodes=list("abcde"),
        ends=ends.reshape(-1, 2).astype(np.int64),
        weights=None if weights is None else np.array(weights, float),
        directed=directed,
    )


def listed(found: EdgeTable) -> list[tuple[str, float | None]]:
    """Return the edges again, each with its weight."""
    graph: Any = found.graph()
    return [(f"{u}{v}", weight) for u, v, weight in graph.edges(data="weight")]


def test_cleaning_does_what_its_options_say_and_says_what_it_did() -> None:
    found = table("aa ab ab bc de", weights=[1, 2, 3, 0, 1])
    clean(found, {"loops": "drop", "nonpositive": "drop", "parallel": "sum", "isolated": "drop"})
    assert listed(found) == [("ab", 5), ("de", 1)]
    assert found.done == [
        "dropped 1 edge from a node to itself",
        "dropped 1 edge with a weight of 0 or less",
        "merged 1 parallel edge into others (added their weights)",
        "dropped 1 node without any edge",
    ]
    clean(found, {"part": "largest"})
    assert found.nodes == ["a", "b"]
    assert found.done[-1] == "kept the largest of 2 parts, 2 of 4 nodes"


def test_what_there_is_nothing_to_do_about_is_not_said_to_be_done() -> None:
    found = table("ab bc cd de")
    clean(found, dict.fromkeys(["loops", "nonpositive", "isolated"], "drop") | {"part": "largest"})
    assert (len(found.nodes), found.done) == (5, [])


@pytest.mark.parametrize(("how", "right"), [("sum", 6), ("max", 3), ("first", 2)])
def test_parallel_edges_become_one(how: str, right: float) -> None:
    found = table("ab ba ab", weights=[2, 3, 1])
    clean(found, {"parallel": how})
    assert listed(found) == [("ab", right)]
    found = table("ab ba ab", directed=True, weights=[2, 3, 1])
    clean(found, {"parallel": "sum"})
    assert listed(found) == [("ab", 3), ("ba", 3)]


def test_numbers_of_edges_without_weights_are_their_weights_when_they_are_added_up() -> None:
    found = table("ab ab bc")
    clean(found, {"parallel": "sum"})
    assert listed(found) == [("ab", 2), ("bc", 1)]
    found = table("ab ab bc")
    clean(found, {"parallel": "first"})
    assert listed(found) == [("ab", None), ("bc", None)]


def test_without_directions_both_of_a_pair_are_one_edge_or_parallel_ones() -> None:
    found = table("ab ba bc", directed=True)
    clean(found, {"directed": False})
    assert listed(found) == [("ab", None), ("bc", None)]
    found = table("ab ba bc", directed=True, weights=[1, 2, 1])
    clean(found, {"directed": False})
    assert found.parallel == 1
    found = table("ab ba bc", directed=True, weights=[2, 2, 1])
    clean(found, {"directed": False, "parallel": "sum"})
    assert listed(found) == [("ab", 4), ("bc", 1)]
    with pytest.raises(UnreadableError, match="no direction"):
        clean(table("ab"), {"directed": True})


@given(graph=graphs(), data=st.data())
def test_a_graph_that_can_be_played_on_is_left_as_it_is_by_cleaning(
    graph: nx.Graph[Any], data: st.DataObject
) -> None:
    place = {node: at for at, node in enumerate(graph)}
    ends = np.array([(place[u], place[v]) for u, v in graph.edges], np.int64).reshape(-1, 2)
    weights = np.array([it for _, _, it in graph.edges(data="weight", default=1)], float)
    found = EdgeTable(nodes=list(graph), ends=ends, weights=weights, directed=graph.is_directed())
    names = [name for name in CLEANING if name != "directed"]
    chosen = data.draw(st.sets(st.sampled_from(names)))
    clean(found, {name: data.draw(st.sampled_from(CLEANING[name][0])) for name in chosen})
    assert found.done == []
    again = found.graph()
    assert list(again) == list(graph)
    assert nx.utils.edges_equal(
        again.edges(data="weight"),
        graph.edges(data="weight", default=1.0),
        directed=graph.is_directed(),
    )
