"""Topologies of the literature, against what was published of them."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms.errors import TopologyError
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.networks.reading import read_graph
from mesa_llm_norms.networks.registry import Topology, topologies
from mesa_llm_norms.networks.validation import check_graph

MODULES = ("mesa_llm_norms.networks.families", "mesa_llm_norms.networks.null_models")
KNOWN = [it for it in topologies() if it.function.__module__ in MODULES]
NAMED = ("les_miserables", "davis_women", "florentine_families")


def made(text: str, seed: int = 7) -> nx.Graph[Any]:
    return to_networkx(read_graph(text, random.Random(seed)))


@pytest.mark.parametrize("topology", KNOWN, ids=lambda it: it.name)
def test_a_bare_name_gives_a_playable_connected_graph(topology: Topology) -> None:
    for text in (topology.name, topology.signature, topology.example):
        graph = made(text)
        check_graph(graph)
        assert nx.is_connected(graph)
        if topology.name not in NAMED:
            assert list(graph) == list(range(len(graph)))
    assert nx.utils.graphs_equal(made(topology.name), made(topology.signature))


@pytest.mark.parametrize("topology", KNOWN, ids=lambda it: it.name)
@given(seed=st.integers(0, 2**64 - 1))
@settings(max_examples=3, deadline=None)
def test_the_same_state_draws_the_same_graph_in_the_same_order(
    topology: Topology, seed: int
) -> None:
    first, second = made(topology.name, seed), made(topology.name, seed)
    assert list(first.nodes(data=True)) == list(second.nodes(data=True))
    assert list(first.edges(data=True)) == list(second.edges(data=True))


def test_only_random_topologies_differ_between_draws() -> None:
    for topology in KNOWN:
        rng = random.Random(3)
        drawn = [to_networkx(topology.make(rng)) for _ in range(4)]
        assert (len({frozenset(graph.edges) for graph in drawn}) > 1) == topology.takes_rng


def test_the_documentation_lists_every_topology_as_it_describes_itself() -> None:
    page = Path(__file__).parents[2] / "docs" / "topologies.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    for it in KNOWN:
        assert f"| `{it.name}` | {it.summary} | `{it.example}` |" in lines
        assert 20 <= len(it.summary) <= 100
        assert it.summary.endswith(".")


def test_the_networks_of_mason_and_watts_are_as_extreme_as_their_names_say() -> None:
    """The values that longer searches found as well, from other graphs."""
    between, near = nx.betweenness_centrality, nx.closeness_centrality
    expected: dict[str, tuple[Any, float]] = {
        "greatest_average_betweenness": (
            lambda g: np.mean(_values(between, g)),
            0.20476,
        ),
        "smallest_average_betweenness": (
            lambda g: np.mean(_values(between, g)),
            0.08571,
        ),
        "greatest_average_clustering": (nx.average_clustering, 0.5),
        "smallest_average_clustering": (nx.average_clustering, 0.0),
        "greatest_maximum_betweenness": (
            lambda g: max(_values(between, g)),
            0.58095,
        ),
        "greatest_maximum_closeness": (lambda g: max(_values(near, g)), 0.45455),
        "smallest_maximum_closeness": (lambda g: max(_values(near, g)), 0.3125),
        "greatest_variance_of_constraint": (lambda g: np.var(_values(nx.constraint, g)), 0.02332),
    }
    words = next(it for it in KNOWN if it.name == "mason_watts").parameters["network"].words
    assert set(words) == set(expected)
    for name, (quantity, value) in expected.items():
        graph = made(f"mason_watts({name})")
        assert len(graph) == 16
        assert set(dict(graph.degree).values()) == {3}
        assert quantity(graph) == pytest.approx(value, abs=1e-5)


def _values(measure: Any, graph: nx.Graph[Any]) -> list[float]:
    return list(measure(graph).values())


def test_a_chain_of_groups_keeps_its_number_of_edges_however_many_are_rewired() -> None:
    plain = made("clique_chain(cliques=6, size=6, q=0)")
    assert (len(plain), plain.number_of_edges()) == (36, 6 * 15 + 5)
    assert sum(1 for u, v in plain.edges if u // 6 != v // 6) == 5
    for q in (0.1, 0.5, 1):
        assert made(f"clique_chain(6, 6, {q})").number_of_edges() == 95
    across = [u // 6 != v // 6 for u, v in made("clique_chain(6, 6, 1)").edges]
    assert np.mean(across) == pytest.approx(30 / 35, abs=0.15)


def test_a_geometric_graph_joins_exactly_those_who_are_near() -> None:
    graph = made("random_geometric(n=40, radius=0.3)")
    place = dict(graph.nodes(data="pos"))
    for u in graph:
        for v in range(u):
            near = np.hypot(*np.subtract(place[u], place[v])) <= 0.3
            assert graph.has_edge(u, v) == near


def test_contacts_on_a_grid_are_nearer_the_larger_the_exponent_is() -> None:
    """The grid itself is always there; at exponent 0 contacts are uniform."""

    def mean_distance(r: float) -> float:
        graph = made(f"kleinberg(side=20, q=2, r={r})")
        place = dict(graph.nodes(data="pos"))
        far = [np.abs(np.subtract(place[u], place[v])).sum() for u, v in graph.edges]
        return float(np.mean([it for it in far if it > 1]))

    assert mean_distance(0) == pytest.approx(2 * 20 / 3, rel=0.1)
    assert mean_distance(0) > mean_distance(2) > mean_distance(4)
    assert set(made("kleinberg(side=4, q=0)").edges) == set(made("lattice(4, 4)").edges)


def test_degrees_of_a_power_law_have_its_exponent() -> None:
    """By maximum likelihood over the same bounded range; false alarms below one in a million."""
    graph = made("power_law(n=4000, gamma=2.5, least=3)")
    degrees = np.array([degree for _, degree in graph.degree])
    assert degrees.min() == 3
    assert degrees.max() <= 63
    values = np.arange(3, 64)
    tried = np.linspace(2, 3, 101)
    logs, count = np.log(degrees).sum(), len(degrees)
    fits = [-it * logs - count * np.log((values**-it).sum()) for it in tried]
    assert tried[int(np.argmax(fits))] == pytest.approx(2.5, abs=0.15)


@pytest.mark.parametrize("mu", [0.05, 0.3])
def test_about_a_share_mu_of_the_edges_is_across_communities(mu: float) -> None:
    """In networkx's LFR graphs it comes out above mu where that is large."""
    for text, least, most in (
        ("lfr(n=400, mu={})", mu - 0.05, mu + 0.13),
        ("degree_corrected([200, 200], 10, {})", mu - 0.04, mu + 0.04),
    ):
        graph = made(text.format(mu))
        block = dict(graph.nodes(data="block"))
        assert least <= np.mean([block[u] != block[v] for u, v in graph.edges]) <= most


def test_degree_corrected_blocks_have_hubs_and_about_the_degree_asked_for() -> None:
    graph = made("degree_corrected(sizes=[300, 200], degree=12, gamma=2.2)")
    degrees = np.array([degree for _, degree in graph.degree])
    assert degrees.mean() == pytest.approx(12, rel=0.1)
    assert degrees.var() > 2 * degrees.mean()


def test_trees_are_trees() -> None:
    sizes = {"balanced_tree(3, 2)": 13, "balanced_tree(1, 5)": 6, "random_tree(40)": 40}
    for text, size in sizes.items():
        graph = made(text)
        assert nx.is_tree(graph)
        assert len(graph) == size


def test_a_hierarchy_is_that_of_ravasz_and_barabasi() -> None:
    """25 nodes with 20 edges more than five groups of five: 16 outer nodes to the hub."""
    graph = made("hierarchical(levels=2, size=5)")
    assert (len(graph), graph.number_of_edges()) == (25, 5 * 10 + 16)
    assert graph.degree[0] == 4 + 16
    large = made("hierarchical(levels=3, size=4)")
    assert len(large) == 64
    assert large.degree[0] == 3 + 9 + 27


def test_real_networks_are_those_of_networkx_by_name() -> None:
    hugo = made("les_miserables")
    assert (len(hugo), hugo.number_of_edges()) == (77, 254)
    assert hugo.edges["Valjean", "Cosette"]["weight"] == 31
    women = made("davis_women")
    assert len(women) == 18
    assert women.edges["Evelyn Jefferson", "Laura Mandeville"]["weight"] == 6
    families = made("florentine_families")
    assert (len(families), families.number_of_edges()) == (15, 20)
    assert families.degree["Medici"] == 6


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("mason_watts(greatest_average)", "is not greatest_average_"),
        ("mason_watts(3)", "is not one of"),
        ("lfr(n=20)", "smallest=15"),
        ("lfr(n=100, mu=0)", "no such connected graph"),
        ("power_law(24, least=1)", "raise least"),
        ("random_geometric(n=100, radius=0.01)", "raise radius"),
        ("degree_corrected(degree=0.5)", "too few edges"),
        ("hierarchical(levels=9, size=9)", "too many"),
        ("balanced_tree(branches=10, height=90)", "too many"),
    ],
)
def test_what_makes_no_graph_is_refused_saying_what_to_change(text: str, problem: str) -> None:
    with pytest.raises(TopologyError, match=problem):
        made(text)
