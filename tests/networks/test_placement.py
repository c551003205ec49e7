"""Where committed agents sit, how firmly they are committed, and for how long."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.placement import (
    PLACEMENTS,
    Commitment,
    place_committed,
    place_together,
    read_committed,
)
from mesa_llm_norms.networks.reading import read_graph


def placed(graph: Any, count: int, placement: str, seed: int = 0) -> list[Any]:
    """Return the nodes that so many committed agents get."""
    neighbors = Neighbors(graph)
    taken = place_committed({"M": (count, placement)}, neighbors, random.Random(seed))
    return [neighbors.nodes[place] for place in taken]


MEASURES: dict[str, Any] = {
    "betweenness": nx.betweenness_centrality,
    "eigenvector": nx.eigenvector_centrality_numpy,
    "k-core": nx.core_number,
    "bridges": lambda graph: Counter(
        node for u, v in nx.local_bridges(graph, with_span=False) for node in (u, v)
    ),
}


@pytest.mark.parametrize("placement", MEASURES)
def test_the_most_central_nodes_are_those_of_networkx(placement: str) -> None:
    for graph in (
        nx.karate_club_graph(),
        nx.les_miserables_graph(),
        nx.barbell_graph(6, 3),
        nx.barabasi_albert_graph(60, 2, seed=1),
        nx.connected_watts_strogatz_graph(40, 4, 0.1, seed=2),
    ):
        plain: nx.Graph[Any] = nx.Graph(graph.edges)
        measure = MEASURES[placement](plain)
        for count in (1, 5, 12):
            chosen = placed(plain, count, placement)
            left = max(measure[node] for node in set(plain) - set(chosen))
            assert min(measure[node] for node in chosen) >= left - 1e-6
            assert len(set(chosen)) == count


def test_equals_are_taken_at_random() -> None:
    for placement in MEASURES:
        assert len({placed(nx.cycle_graph(30), 1, placement, seed)[0] for seed in range(40)}) > 15


def test_a_block_is_one_where_nodes_have_blocks_and_grown_where_not() -> None:
    blocks: Any = read_graph(
        "stochastic_block(sizes=[8, 8, 8], p_in=0.6, p_out=0.1)", random.Random(3)
    )
    for seed in range(10):
        found = Counter(blocks.nodes[node]["block"] for node in placed(blocks, 12, "block", seed))
        assert sorted(found.values()) == [4, 8]
        caves = placed(nx.connected_caveman_graph(5, 6), 6, "block", seed)
        assert len({node // 6 for node in caves}) == 1


def test_bridges_lead_to_other_blocks_where_nodes_have_blocks() -> None:
    graph = nx.complete_graph(8)
    nx.set_node_attributes(graph, {node: node // 7 for node in graph}, "block")
    assert placed(graph, 1, "bridges") == [7]
    assert placed(nx.barbell_graph(5, 1), 1, "bridges") == [5]


@given(
    graphs(),
    st.sampled_from(PLACEMENTS),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=3),
)
def test_several_runs_are_placed_as_each_is_alone(
    graph: Any, placement: str, seeds: list[int]
) -> None:
    neighbors = Neighbors(graph)
    half = len(neighbors) // 2
    committed = {"Q": (half, placement), "M": (len(neighbors) - half, placement)}
    together = place_together(committed, [neighbors] * len(seeds), seeds)
    assert (together is None) == (placement == "cluster" and neighbors.directed)
    for row, seed in zip([] if together is None else together, seeds, strict=False):
        alone = place_committed(committed, neighbors, random.Random(seed))
        expected = [list(committed).index(alone[node]) for node in range(len(neighbors))]
        np.testing.assert_array_equal(row, expected)


def test_how_firm_agents_are_is_read_and_left_out_where_it_says_nothing() -> None:
    read = read_committed({"M": {"agents": "10%", "placement": "hubs", "noise": "25%", "until": 9}})
    assert read == {"M": {"agents": (0.1, "hubs"), "noise": 0.25, "until": 9}}
    assert Commitment.of(read["M"]) == (0.25, 9)
    assert read_committed({"M": {"agents": 5, "noise": 0.0, "until": None}}) == {"M": 5}
    assert read_committed({"M": {"agents": 5, "placement": "block"}}) == {"M": (5, "block")}


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"agents": 5, "noise": 1.5}, "1.5 is out of range"),
        ({"agents": 5, "noise": "loud"}, "'loud' is not a number"),
        ({"agents": 5, "until": 0}, "0 is not a whole number in range"),
        ({"agents": 5, "placement": "betwenness"}, "did you mean 'betweenness'"),
        ({"agents": [0, 1], "placement": "hubs"}, "a placement is for a number or a share"),
        ({"agent": 5}, "'agent' is not known here"),
        ({"noise": 0.1}, "does not say who is committed"),
    ],
)
def test_what_says_nothing_about_commitment_is_refused(where: Any, words: str) -> None:
    with pytest.raises(SpecError, match=words):
        read_committed({"M": where})
