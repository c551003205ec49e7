"""The topologies that come with the package."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms.errors import GraphError, SpecError, TopologyError
from mesa_llm_norms.networks.generators import rewire
from mesa_llm_norms.networks.reading import read_graph
from mesa_llm_norms.networks.registry import Topology, topologies
from mesa_llm_norms.networks.validation import check_graph

BUILT_IN = [
    it for it in topologies() if it.function.__module__ == "mesa_llm_norms.networks.generators"
]
NAMES = [it.name for it in BUILT_IN]


def made(text: str, seed: int = 7) -> nx.Graph[Any]:
    """Return the graph of a topology string, drawn from a fresh generator."""
    graph = read_graph(text, random.Random(seed))
    assert isinstance(graph, nx.Graph)
    return graph


def degrees(graph: nx.Graph[Any]) -> Counter[int]:
    """Return how many nodes have each degree."""
    return Counter(degree for _, degree in graph.degree)


def test_the_catalogue_holds_the_fourteen_documented_topologies() -> None:
    """Fourteen names, each once."""
    assert sorted(NAMES) == [
        "barabasi_albert",
        "barbell",
        "complete",
        "connected_caveman",
        "erdos_renyi",
        "karate",
        "lattice",
        "random_regular",
        "ring",
        "star",
        "stochastic_block",
        "torus",
        "watts_strogatz",
        "wheel",
    ]


@pytest.mark.parametrize("topology", BUILT_IN, ids=NAMES)
def test_a_bare_name_gives_a_playable_connected_graph_on_whole_numbers(topology: Topology) -> None:
    """Defaults and example alike: connected, no self-loop, nodes 0 to n - 1 in order."""
    for text in (topology.name, topology.signature, topology.example):
        graph = made(text)
        check_graph(graph)
        assert nx.is_connected(graph)
        assert list(graph) == list(range(len(graph)))
        assert all(type(node) is int for node in graph)
        assert not any(data for _, _, data in graph.edges(data=True))


@pytest.mark.parametrize("topology", BUILT_IN, ids=NAMES)
def test_the_defaults_make_24_agents_as_in_the_study(topology: Topology) -> None:
    """Everywhere but in the karate club, which has its 34 members."""
    assert len(made(topology.name)) == (34 if topology.name == "karate" else 24)


@pytest.mark.parametrize("topology", BUILT_IN, ids=NAMES)
def test_the_signature_writes_out_the_defaults(topology: Topology) -> None:
    """The bare name and the signature are the same graph."""
    assert nx.utils.graphs_equal(made(topology.name), made(topology.signature))


@pytest.mark.parametrize("topology", BUILT_IN, ids=NAMES)
def test_every_topology_says_in_one_line_what_it_is(topology: Topology) -> None:
    """A summary for listings: short, and a sentence."""
    assert 20 <= len(topology.summary) <= 100
    assert topology.summary.endswith(".")


def test_the_documentation_lists_every_topology_as_it_describes_itself() -> None:
    """Name, summary and example, word by word."""
    page = Path(__file__).parents[2] / "docs" / "topologies.md"
    lines = page.read_text(encoding="utf-8").splitlines()
    for it in BUILT_IN:
        assert f"| `{it.name}` | {it.summary} | `{it.example}` |" in lines


@pytest.mark.parametrize("topology", BUILT_IN, ids=NAMES)
@given(seed=st.integers(0, 2**64 - 1))
@settings(max_examples=10, deadline=None)
def test_the_same_generator_state_gives_the_same_graph_in_the_same_order(
    topology: Topology, seed: int
) -> None:
    """Nodes, edges, attributes and their order are equal on every call."""
    first, second = made(topology.name, seed), made(topology.name, seed)
    assert list(first.nodes(data=True)) == list(second.nodes(data=True))
    assert list(first.edges(data=True)) == list(second.edges(data=True))
    assert [list(first.adj[node]) for node in first] == [list(second.adj[node]) for node in second]


def test_random_topologies_differ_between_draws_and_others_leave_the_generator_alone() -> None:
    """Only topologies that take a generator use it."""
    for topology in BUILT_IN:
        rng = random.Random(3)
        graphs: list[Any] = [topology.make(rng) for _ in range(8)]
        assert (rng.getstate() == random.Random(3).getstate()) == (not topology.takes_rng)
        assert (len({frozenset(graph.edges) for graph in graphs}) > 1) == topology.takes_rng


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("complete(n=5)", {4: 5}),
        ("ring(n=9)", {2: 9}),
        ("ring(n=9, k=4)", {4: 9}),
        ("lattice(rows=3, columns=4)", {2: 4, 3: 6, 4: 2}),
        ("lattice(rows=1, columns=3)", {1: 2, 2: 1}),
        ("torus(rows=3, columns=4)", {4: 12}),
        ("star(n=6)", {5: 1, 1: 5}),
        ("wheel(n=6)", {5: 1, 3: 5}),
        ("random_regular(n=10, d=3)", {3: 10}),
        ("random_regular(n=24, d=21)", {21: 24}),
        ("random_regular(n=8, d=7)", {7: 8}),
        ("watts_strogatz(n=9, k=4, p=0)", {4: 9}),
        ("barbell(clique=4, path=2)", {3: 6, 4: 2, 2: 2}),
        ("erdos_renyi(n=6, p=1)", {5: 6}),
        ("stochastic_block(sizes=[3, 3], p_in=1, p_out=1)", {5: 6}),
    ],
)
def test_nodes_have_the_number_of_neighbours_the_topology_promises(
    text: str, expected: dict[int, int]
) -> None:
    """Degrees, counted."""
    assert degrees(made(text)) == expected


def test_a_ring_joins_the_nearest_nodes_on_both_sides() -> None:
    """Half of the k neighbours on each side."""
    assert sorted(made("ring(n=9, k=4)").adj[0]) == [1, 2, 7, 8]


def test_barabasi_albert_adds_m_ties_with_each_newcomer() -> None:
    """m (n - m) edges in all."""
    assert made("barabasi_albert(n=30, m=3)").number_of_edges() == 3 * 27


def test_rewiring_keeps_the_number_of_ties() -> None:
    """Shortcuts replace edges."""
    assert made("watts_strogatz(n=30, k=4, p=0.5)").number_of_edges() == 60


def test_groups_of_cavemen_are_joined_in_a_ring() -> None:
    """Each group gives up one inner tie for one to the group before."""
    graph = made("connected_caveman(cliques=4, size=5)")
    across = [(u, v) for u, v in graph.edges if u // 5 != v // 5]
    assert (len(graph), len(across)) == (20, 4)


def test_blocks_are_as_large_as_asked_and_named_on_their_nodes() -> None:
    """Attribute block counts from 0."""
    graph = made("stochastic_block(sizes=[3, 5], p_in=1, p_out=0.1)")
    assert [graph.nodes[node]["block"] for node in graph] == [0] * 3 + [1] * 5
    assert sum(1 for u, v in graph.edges if (u < 3) == (v < 3)) == 3 + 10


@pytest.mark.parametrize("name", ["lattice", "torus"])
def test_grids_carry_the_position_of_every_node(name: str) -> None:
    """pos is (column, row), so that nx.draw shows a grid."""
    graph = made(f"{name}(rows=3, columns=4)")
    assert [graph.nodes[node]["pos"] for node in graph] == [
        (column, row) for row in range(3) for column in range(4)
    ]


def test_the_karate_club_has_no_weights_and_keeps_the_sides_taken() -> None:
    """78 edges, all equal."""
    graph = made("karate")
    assert graph.number_of_edges() == 78
    assert {graph.nodes[node]["club"] for node in graph} == {"Mr. Hi", "Officer"}


@pytest.mark.parametrize(
    ("text", "parameter"),
    [
        ("complete(n=1)", "n=1"),
        ("ring(n=2)", "n=2"),
        ("ring(n=10, k=3)", "k=3"),
        ("ring(n=10, k=10)", "k=10"),
        ("watts_strogatz(n=10, k=12)", "k=12"),
        ("watts_strogatz(p=1.01)", "p=1.01"),
        ("watts_strogatz(p=-0.1)", "p=-0.1"),
        ("erdos_renyi(p=nan)", "p=nan"),
        ("erdos_renyi(p=inf)", "p=inf"),
        ("erdos_renyi(p=0)", "p=0"),
        ("random_regular(n=9, d=3)", "d=3"),
        ("random_regular(n=4, d=4)", "d=4"),
        ("random_regular(d=1)", "d=1"),
        ("barabasi_albert(n=3, m=3)", "m=3"),
        ("wheel(n=3)", "n=3"),
        ("lattice(rows=1, columns=1)", "rows=1"),
        ("lattice(rows=0)", "rows=0"),
        ("torus(rows=2)", "rows=2"),
        ("connected_caveman(size=2)", "size=2"),
        ("connected_caveman(cliques=1)", "cliques=1"),
        ("barbell(clique=1)", "clique=1"),
        ("barbell(path=-1)", "path=-1"),
        ("stochastic_block(sizes=[])", "sizes=[]"),
        ("stochastic_block(sizes=[1])", "sizes=[1]"),
        ("stochastic_block(sizes=[3, 0])", "sizes=[3, 0]"),
        ("stochastic_block(sizes=12)", "sizes=12"),
        ("stochastic_block(sizes=[1.5])", "1.5"),
        ("ring(n=24.0)", "n=24.0"),
        ("ring(n=[24])", "n=[24]"),
    ],
)
def test_parameters_that_make_no_graph_are_refused_by_name(text: str, parameter: str) -> None:
    """The message names parameter and value."""
    with pytest.raises(TopologyError) as raised:
        made(text)
    assert parameter in str(raised.value)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("stochastic_block(p_out=0)", "p_in and p_out"),
        ("erdos_renyi(n=100, p=0.02)", "raise p"),
        ("erdos_renyi(n=100, p=1e-20)", "raise p"),
    ],
)
def test_what_never_comes_out_connected_says_which_parameter_to_raise(
    text: str, remedy: str
) -> None:
    """A bounded number of draws, then an error."""
    with pytest.raises(TopologyError, match=remedy):
        made(text, seed=1)


@pytest.mark.parametrize(
    "text",
    [
        "complete(n=1000000000)",
        "complete(n=100000)",
        "ring(n=100000, k=99998)",
        "lattice(rows=100000, columns=100000)",
        "torus(rows=10000, columns=1001)",
        "connected_caveman(cliques=100000, size=100000)",
        "barbell(clique=100000, path=0)",
        "erdos_renyi(n=100000, p=0.5)",
        "barabasi_albert(n=100000, m=50000)",
        "random_regular(n=100000, d=50000)",
        "watts_strogatz(n=100000, k=50000)",
        "stochastic_block(sizes=[100000, 100000])",
        "stochastic_block(sizes=[50000, 50000], p_out=0)",
    ],
)
def test_graphs_too_large_to_hold_are_refused_before_they_are_made(text: str) -> None:
    """Sizes are estimated from the parameters."""
    with pytest.raises(TopologyError, match=r"from .* to 10.*,000|too many"):
        made(text)


@given(data=st.data(), seed=st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_any_small_parameters_give_a_connected_graph_or_a_topology_error(
    data: st.DataObject, seed: int
) -> None:
    """Nothing of networkx's own comes through."""
    topology = data.draw(st.sampled_from(BUILT_IN))
    numbers = {
        int: st.integers(-1, 14),
        float: st.floats(0, 1),
        tuple: st.lists(st.integers(0, 8), max_size=4),
    }
    values: dict[str, object] = {
        name: data.draw(numbers[it.type]) for name, it in topology.parameters.items()
    }
    try:
        graph = topology.make(random.Random(seed), **values)
    except TopologyError:
        return
    assert isinstance(graph, nx.Graph)
    check_graph(graph)
    assert nx.is_connected(graph)


# Rewiring


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.floats(0, 0.5))
def test_rewiring_keeps_degrees_and_moves_as_many_edges_as_it_says(seed: int, share: float) -> None:
    before = nx.watts_strogatz_graph(20, 4, 0.1, seed=seed)
    after, moved = rewire(before, share, random.Random(seed))
    assert dict(after.degree) == dict(before.degree)
    assert nx.is_connected(after) or not nx.is_connected(before)
    gone = {frozenset(edge) for edge in before.edges} - {frozenset(edge) for edge in after.edges}
    assert len(gone) == moved == 2 * round(share * 40 / 2)


def test_there_is_nothing_to_rewire_on_a_complete_graph() -> None:
    with pytest.raises(GraphError, match="no network with 20%"):
        rewire(nx.complete_graph(8), 0.2, random.Random(1))


def test_directed_edges_are_not_rewired() -> None:
    with pytest.raises(SpecError, match="directions"):
        rewire(nx.DiGraph([(0, 1), (1, 0)]), 0.2, random.Random(1))
