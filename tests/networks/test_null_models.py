"""Null models: what they keep of a graph, and that the rest is random."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs

from mesa_llm_norms.errors import FileFormatError, GraphWarning, TopologyError
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.networks.null_models import configuration, rewired, same_size
from mesa_llm_norms.networks.reading import file_within, is_random, move_file_within, read_graph
from mesa_llm_norms.networks.registry import read_topology


def made(text: str, seed: int = 7) -> nx.Graph[Any]:
    return to_networkx(read_graph(text, random.Random(seed)))


def parts(graph: nx.Graph[Any]) -> int:
    return nx.number_connected_components(nx.Graph(graph.edges) if graph else graph)


def degrees(graph: nx.Graph[Any]) -> dict[Any, Any]:
    if isinstance(graph, nx.DiGraph):
        return {node: (graph.in_degree[node], graph.out_degree[node]) for node in graph}
    return dict(graph.degree)


def weights(graph: nx.Graph[Any]) -> Counter[Any]:
    return Counter(data.get("weight") for _, _, data in graph.edges(data=True))


@given(graph=graphs(), seed=st.integers(0, 999), share=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_degrees_weights_and_the_number_of_parts_are_kept(
    graph: nx.Graph[Any], seed: int, share: float
) -> None:
    """By every rewiring and pairing of ends, with and without directions and weights."""
    for drawn in (
        rewired(graph, share, rng=random.Random(seed)),
        configuration(graph, rng=random.Random(seed)),
    ):
        found = to_networkx(drawn)
        assert type(found) is type(graph)
        assert list(found.nodes(data=True)) == list(graph.nodes(data=True))
        assert degrees(found) == degrees(graph)
        assert nx.number_of_selfloops(found) == 0
        assert parts(found) <= parts(graph)
        assert weights(found) == weights(graph)


@pytest.mark.parametrize("kind", [nx.Graph, nx.DiGraph])
def test_rings_stay_in_one_part(kind: Any) -> None:
    """Drawn at random they are several rings, each with a single edge to spare."""
    for seed in range(100):
        ring = nx.cycle_graph(6 + seed % 11, create_using=kind)
        for drawn in (
            rewired(ring, 1.0, rng=random.Random(seed)),
            configuration(ring, rng=random.Random(seed)),
        ):
            assert parts(to_networkx(drawn)) == 1


@given(graph=graphs(), seed=st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_a_graph_of_the_same_size_has_as_many_nodes_and_edges(
    graph: nx.Graph[Any], seed: int
) -> None:
    found = to_networkx(same_size(graph, rng=random.Random(seed)))
    assert found.number_of_edges() == graph.number_of_edges()
    assert list(found) == list(graph)
    assert nx.number_of_selfloops(found) == 0
    split: Any = nx.weakly_connected_components if graph.is_directed() else nx.connected_components
    assert len(list(split(found))) <= len(list(split(graph)))


@pytest.mark.parametrize("graph", ["star", "barabasi_albert(200, 1)", "random_tree(60)"])
@pytest.mark.parametrize("kind", ["rewired", "configuration", "same_size"])
def test_a_tree_stays_in_one_part_though_nearly_every_exchange_breaks_it(
    graph: str, kind: str
) -> None:
    assert nx.is_tree(made(f"{kind}({graph})"))


@pytest.mark.slow
def test_every_graph_with_the_degrees_is_about_equally_likely() -> None:
    """The 70 labeled 2-regular graphs on six nodes, connected or not: 60 hexagons, 10 pairs.

    Only the 60 in one part are drawn; each is expected 10 times in 600 draws. A chi-square above
    150 with 59 degrees of freedom has a probability below one in a billion.
    """
    for kind in ("rewired", "configuration"):
        rng = random.Random(5)
        counts = Counter(
            frozenset(map(frozenset, read_graph(f"{kind}(ring(6))", rng).edges))  # type: ignore[union-attr]
            for _ in range(600)
        )
        assert len(counts) == 60
        assert sum((count - 10) ** 2 / 10 for count in counts.values()) < 150


def test_a_share_of_the_edges_is_left_where_it_was() -> None:
    before = made("erdos_renyi(n=200, p=0.03)", 1)
    edges = {frozenset(edge) for edge in before.edges}
    for share in (0, 0.3):
        after = rewired(before, share, rng=random.Random(1))
        kept = len(edges & {frozenset(edge) for edge in to_networkx(after).edges})
        assert kept == pytest.approx((1 - share) * len(edges), rel=0.04)


def test_clustering_is_gone_after_rewiring() -> None:
    before = made("connected_caveman(cliques=20, size=6)")
    after = made("rewired(connected_caveman(cliques=20, size=6))")
    assert nx.average_clustering(before) > 0.6
    assert nx.average_clustering(after) < 0.15


def test_graphs_may_be_nested_and_are_drawn_anew_each_time() -> None:
    text = "same_size(rewired(watts_strogatz(n=30, k=4, p=0.5), share=0.5))"
    assert is_random(text)
    rng = random.Random(2)
    assert len({frozenset(to_networkx(read_graph(text, rng)).edges) for _ in range(5)}) == 5


def test_a_file_is_rewired_with_its_options(tmp_path: Path) -> None:
    path = tmp_path / "friends, mine.csv"
    path.write_text("a,b\nb,c\nc,d\nd,a\nx,y\n")
    text = f'rewired(file("{path}", part="largest"))'
    with pytest.warns(GraphWarning, match="largest of 2 parts"):
        assert sorted(made(text)) == ["a", "b", "c", "d"]
    file = file_within(text)
    assert file is not None
    assert file.path == path
    moved = move_file_within(f"same_size({text}, )", tmp_path / "b.csv")
    inner = file_within(moved)
    assert inner is not None
    assert inner.path == tmp_path / "b.csv"
    assert inner.options == {"part": "largest"}
    path.write_text("a,b\nb,c\nc,a\n")
    assert sorted(made(text)) == ["a", "b", "c"]  # what is kept of a file is renewed with it


def test_a_topology_string_alone_never_opens_a_file(tmp_path: Path) -> None:
    path = tmp_path / "friends.csv"
    path.write_text("a,b\nb,c\n")
    with pytest.raises(TopologyError, match="no topology is called"):
        read_topology(f'rewired("{path}")', random.Random(1))
    with pytest.raises(FileFormatError):
        made(f'rewired("{tmp_path / "missing.csv"}")')


@pytest.mark.parametrize(
    "text",
    ["rewired()x", "rewired(", "rewired(ring(n=3)", "rewired(24)", "rewired([3])", "rewired('ring)",
     "rewired(hypercube)", "rewired(ring(n=2))", "rewired(ring, 2)", "configuration(ring, ring)",
     "rewired(" * 60 + "ring" + ")" * 60],
)  # fmt: skip
def test_a_bad_graph_within_is_refused(text: str) -> None:
    with pytest.raises(TopologyError):
        made(text)


def test_parallel_edges_and_loops_are_not_moved(tmp_path: Path) -> None:
    path = tmp_path / "twice.csv"
    path.write_text("a,b,1\na,b,2\nb,c,1\n")
    with pytest.raises(TopologyError, match="parallel=sum"):
        made(f'rewired(file("{path}"))')
    with pytest.warns(GraphWarning, match="merged 1"):
        assert len(made(f'rewired(file("{path}", parallel="sum"))')) == 3
