"""Drawings say what is there, in whatever order, with whatever ids and weights."""

from __future__ import annotations

import json
from collections.abc import Hashable
from typing import Any

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs, pools

from mesa_llm_norms.networks.drawing import (
    CROWDED,
    SPAN,
    WIDTHS,
    drawing_text,
    layout,
    name_colors,
)


@given(graphs(), pools())
def test_a_drawing_has_every_node_edge_and_name(
    graph: nx.Graph[Any], pool: tuple[str, ...]
) -> None:
    drawing = json.loads(drawing_text(graph, pool))
    nodes = list(graph)
    assert drawing["ids"] == [str(node) for node in nodes]
    assert [(nodes[i], nodes[j]) for i, j in drawing["edges"]] == list(graph.edges)
    assert drawing["directed"] is graph.is_directed()
    assert drawing["degrees"] == [graph.degree[node] for node in nodes]
    assert tuple(drawing["names"]) == pool
    assert drawing["colors"] == [name_colors(pool)[name] for name in pool]
    assert len(drawing["inks"]) == len(pool)
    for axis in "xy":
        assert len(drawing[axis]) == len(nodes)
        assert all(isinstance(value, int) and 0 <= value <= SPAN for value in drawing[axis])


@pytest.mark.parametrize("node", ["</script><script>alert(1)</script>", ("a", 1), frozenset({2})])
def test_ids_of_any_kind_are_written_as_they_are(node: Hashable) -> None:
    graph: nx.Graph[Any] = nx.Graph([(node, "other")])
    assert json.loads(drawing_text(graph, "QM"))["ids"] == [str(node), "other"]


def test_a_drawing_keeps_its_proportions_and_its_y_points_downwards() -> None:
    graph: nx.Graph[Any] = nx.path_graph(3)
    nx.set_node_attributes(graph, {0: (0, 0), 1: (2, 1), 2: (4, 0)}, "pos")
    drawing = json.loads(drawing_text(graph, "QM"))
    assert drawing["x"] == [0, 500, 1000]
    assert drawing["y"] == [625, 375, 625]


def test_nodes_stay_in_places_that_are_given_while_edges_change() -> None:
    graph: nx.Graph[Any] = nx.petersen_graph()
    places = layout(graph)
    before = json.loads(drawing_text(graph, "QM", places))
    graph.add_edge(0, 2)
    after = json.loads(drawing_text(graph, "QM", places))
    assert (after["x"], after["y"]) == (before["x"], before["y"])
    assert [0, 2] in after["edges"]


def test_nodes_are_smaller_where_there_is_less_room() -> None:
    sizes = [json.loads(drawing_text(nx.cycle_graph(n), "QM"))["size"] for n in (4, 24, 60, 300)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 2


def test_edges_are_as_wide_as_they_are_heavy() -> None:
    graph: nx.Graph[Any] = nx.Graph()
    graph.add_weighted_edges_from([(0, 1, 100), (1, 2, 25), (2, 3, 1)])
    assert json.loads(drawing_text(graph, "QM"))["widths"] == [WIDTHS, 3, 1]
    assert json.loads(drawing_text(nx.path_graph(4), "QM"))["widths"] == []


@given(st.lists(st.floats(0, 1e9), min_size=2, max_size=30))
def test_no_weight_is_without_a_width(weights: list[float]) -> None:
    graph: nx.Graph[Any] = nx.Graph()
    graph.add_weighted_edges_from((i, i + 1, weight) for i, weight in enumerate(weights))
    widths = json.loads(drawing_text(graph, "QM"))["widths"]
    assert all(1 <= width <= WIDTHS for width in widths)
    assert len(widths) == (len(weights) if len(set(weights)) > 1 else 0)
    found = sorted(zip(widths, weights, strict=False))
    assert [weight for _, weight in found] == (sorted(weights) if widths else [])


@pytest.mark.parametrize(("n", "unseen"), [(100, 0), (101, 5_050), (300, 44_850)])
def test_a_complete_network_of_many_draws_no_web(n: int, unseen: int) -> None:
    drawing = json.loads(drawing_text(nx.complete_graph(n), "QM"))
    assert drawing["unseen"] == unseen
    assert len(drawing["edges"]) == (0 if unseen else n * (n - 1) // 2)


def test_a_large_network_that_is_sparse_is_drawn() -> None:
    graph: nx.Graph[Any] = nx.circulant_graph(600, list(range(1, 10)))
    drawing = json.loads(drawing_text(graph, "QM"))
    assert len(drawing["edges"]) == 5_400 > CROWDED
    assert drawing["unseen"] == 0
