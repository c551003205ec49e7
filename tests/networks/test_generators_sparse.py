"""Topologies of many nodes: sparse arrays that are what networkx would have made.

Statistical tests draw from fixed seeds, so each passes always or never; how rarely a right
generator would fail one, were the seeds others, is ``chances.FALSE_ALARM`` for each statistic.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pytest
from chances import assert_frequencies, assert_same_distribution
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms.errors import TopologyError
from mesa_llm_norms.networks import generators, registry
from mesa_llm_norms.networks.adjacency import Adjacency, graph_size, read_adjacency
from mesa_llm_norms.networks.reading import read_graph
from mesa_llm_norms.networks.registry import (
    MAX_SPARSE_EDGES,
    MAX_SPARSE_NODES,
    check_size,
    topologies,
    topology,
)
from mesa_llm_norms.networks.validation import check_graph

SPARSE = [
    "ring",
    "lattice",
    "torus",
    "random_regular",
    "erdos_renyi",
    "barabasi_albert",
    "watts_strogatz",
]


def rng(seed: int = 5) -> random.Random:
    """Return a fresh generator."""
    return random.Random(seed)


def large(name: str, *numbers: Any, seed: int | None = None) -> Any:
    """Return a topology of the package, made as a large one is whatever its size."""
    draws = {} if seed is None else {"rng": rng(seed)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generators, "LARGE", 0)
        return getattr(generators, name)(*numbers, **draws)


def edges(graph: Any) -> set[tuple[int, int]]:
    """Return the edges of an undirected graph on numbers, smaller end first."""
    pairs = graph.edges if isinstance(graph, nx.Graph) else zip(*graph.nonzero(), strict=True)
    return {(min(int(u), int(v)), max(int(u), int(v))) for u, v in pairs}


def degrees(graph: Adjacency) -> list[int]:
    """Return the number of neighbours of every node."""
    return [int(degree) for degree in np.diff(graph.indptr)]


def assert_canonical(graph: Any) -> None:
    """Fail unless the array is of the one form that generators promise."""
    assert type(graph).__name__ == "csr_array"
    assert (graph.dtype, graph.indices.dtype, graph.indptr.dtype) == (np.uint8, np.int32, np.int32)
    assert (graph.data == 1).all()
    assert not graph.diagonal().any()
    assert not (graph != graph.T).nnz
    rebuilt = type(graph)((graph.data, graph.indices, graph.indptr), shape=graph.shape)
    rebuilt.check_format(full_check=True)
    assert rebuilt.has_canonical_format
    assert read_adjacency(graph) is graph


@pytest.fixture
def all_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the generators take every graph for a large one."""
    monkeypatch.setattr(generators, "LARGE", 0)


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep what a test adds out of the other tests."""
    monkeypatch.setattr(registry, "_TOPOLOGIES", dict(registry._TOPOLOGIES))


@given(n=st.integers(3, 40), half=st.integers(1, 19))
@settings(max_examples=40)
def test_a_large_ring_is_the_one_of_networkx(n: int, half: int) -> None:
    """Edge by edge."""
    if 2 * half >= n:
        return
    graph = large("ring", n, 2 * half)
    assert_canonical(graph)
    assert edges(graph) == edges(nx.circulant_graph(n, list(range(1, half + 1))))


@given(rows=st.integers(1, 9), columns=st.integers(1, 9))
@settings(max_examples=40)
def test_large_grids_are_those_of_networkx_numbered_row_by_row(rows: int, columns: int) -> None:
    """With borders, and without where both sides are at least 3."""
    for name, periodic in (("lattice", False), ("torus", True)):
        if rows * columns < 2 or (periodic and min(rows, columns) < 3):
            continue
        grid: Any = nx.grid_2d_graph(rows, columns, periodic=periodic)
        graph = large(name, rows, columns)
        assert_canonical(graph)
        assert edges(graph) == edges(nx.convert_node_labels_to_integers(grid))


@given(n=st.integers(5, 60), d=st.integers(2, 29), seed=st.integers(0, 2**64))
@settings(max_examples=40)
def test_a_large_random_regular_graph_has_d_neighbours_for_all(n: int, d: int, seed: int) -> None:
    """Even where most random pairings have loops and double edges: up to half of all nodes."""
    if 2 * d >= n or n * d % 2:
        return
    graph = large("random_regular", n, d, seed=seed)
    assert_canonical(graph)
    assert degrees(graph) == [d] * n


@given(n=st.integers(2, 60), p=st.floats(1e-12, 1), seed=st.integers(0, 2**64))
@settings(max_examples=40)
def test_a_large_random_graph_is_simple_at_any_density(n: int, p: float, seed: int) -> None:
    """From no edge to all."""
    assert_canonical(generators._sparse_gnp(n, p, rng(seed)))
    assert generators._sparse_gnp(n, 1.0, rng(seed)).nnz == n * (n - 1)


@given(n=st.integers(5, 60), half=st.integers(1, 15), p=st.floats(0, 1), seed=st.integers(0, 2**64))
@settings(max_examples=40)
def test_large_rewiring_keeps_the_ties_that_start_at_every_node(
    n: int, half: int, p: float, seed: int
) -> None:
    """n k / 2 in all, at least k / 2 each; without chance the ring, edge by edge."""
    if 2 * half >= n:
        return
    graph = large("watts_strogatz", n, 2 * half, p, seed=seed)
    assert_canonical(graph)
    assert graph.nnz == 2 * n * half
    assert min(degrees(graph)) >= half
    assert edges(large("watts_strogatz", n, 2 * half, 0.0, seed=seed)) == edges(
        large("ring", n, 2 * half)
    )


@given(n=st.integers(2, 60), m=st.integers(1, 59), seed=st.integers(0, 2**64))
@settings(max_examples=40)
def test_large_preferential_attachment_grows_a_star_by_m_ties_a_newcomer(
    n: int, m: int, seed: int
) -> None:
    """All of them to different earlier nodes."""
    if m >= n:
        return
    graph = large("barabasi_albert", n, m, seed=seed)
    assert_canonical(graph)
    found = edges(graph)
    assert {(u, v) for u, v in found if v <= m} == {(0, leaf) for leaf in range(1, m + 1)}
    for newcomer in range(m + 1, n):
        assert sum(1 for _, v in found if v == newcomer) == m


def test_the_smallest_dense_graphs_come_to_an_end() -> None:
    """Where a node may be joined to all, or all half-edges be paired to loops; 2,000 draws each."""
    for seed in range(2_000):
        assert degrees(large("random_regular", 5, 2, seed=seed)) == [2] * 5
        assert large("watts_strogatz", 5, 2, 1.0, seed=seed).nnz == 10
        assert large("watts_strogatz", 6, 4, 1.0, seed=seed).nnz == 24


def of_networkx(name: str, *numbers: Any) -> Callable[[int], nx.Graph[Any]]:
    """Return what draws a graph of networkx from a seed."""
    return lambda seed: getattr(nx, name)(*numbers, seed=seed)


def of_large(name: str, *numbers: Any) -> Callable[[int], nx.Graph[Any]]:
    """Return what draws a large graph from a seed."""
    return lambda seed: nx.from_scipy_sparse_array(large(name, *numbers, seed=seed))


def triangles(graph: nx.Graph[Any]) -> int:
    """Return how many triples of nodes are all joined."""
    counts: Any = nx.triangles(graph)
    return int(sum(counts.values())) // 3


STATISTICS: dict[str, Callable[[nx.Graph[Any]], float]] = {
    "triangles": triangles,
    "greatest degree": lambda graph: max(degree for _, degree in graph.degree),
    "least degree": lambda graph: min(degree for _, degree in graph.degree),
    "spread of degrees": lambda graph: sum(degree**2 for _, degree in graph.degree),
    "degree of the first": lambda graph: graph.degree[0],
    "degree of one in the middle": lambda graph: graph.degree[len(graph) // 2],
    "degree of the last": lambda graph: graph.degree[len(graph) - 1],
    "edges of the first two": lambda graph: graph.has_edge(0, 1),
    "edges": lambda graph: graph.number_of_edges(),
    "neighbours whose degrees go together": lambda graph: sum(
        graph.degree[u] * graph.degree[v] for u, v in graph.edges
    ),
}


def binned(values: list[float], cuts: list[float]) -> list[int]:
    return [int(place) for place in np.searchsorted(cuts, values, side="right")]


@pytest.mark.parametrize(
    ("name", "networkx_name", "numbers"),
    [
        ("barabasi_albert", "barabasi_albert_graph", (25, 2)),
        ("barabasi_albert", "barabasi_albert_graph", (12, 5)),
        ("watts_strogatz", "watts_strogatz_graph", (24, 4, 0.3)),
        ("watts_strogatz", "watts_strogatz_graph", (16, 8, 1.0)),
        ("erdos_renyi", "fast_gnp_random_graph", (20, 0.2)),
        ("erdos_renyi", "fast_gnp_random_graph", (12, 0.7)),
    ],
)
def test_large_random_graphs_are_distributed_as_those_of_networkx(
    name: str, networkx_name: str, numbers: tuple[Any, ...]
) -> None:
    """Two samples of 800 graphs, by statistics of degrees, triangles and single nodes."""
    ours = [of_large(name, *numbers)(seed) for seed in range(800)]
    theirs = [of_networkx(networkx_name, *numbers)(seed) for seed in range(800)]
    for measure in STATISTICS.values():
        one, other = [[float(measure(graph)) for graph in graphs] for graphs in (ours, theirs)]
        cuts = sorted(set(np.quantile([*one, *other], [0.1, 0.25, 0.5, 0.75, 0.9]).tolist()))
        if len(set(one) | set(other)) > 1:
            assert_same_distribution(binned(one, cuts), binned(other, cuts))


def test_every_edge_is_as_likely_in_a_large_random_regular_graph() -> None:
    """d / (n - 1), whichever two nodes; 4,000 graphs."""
    n, d, runs = 12, 4, 4_000
    graphs = [edges(large("random_regular", n, d, seed=seed)) for seed in range(runs)]
    for pair in combinations(range(n), 2):
        count = sum(pair in graph for graph in graphs)
        assert_frequencies([count, runs - count], [d, n - 1 - d])


def test_large_random_regular_graphs_have_the_triangles_of_networkx() -> None:
    """Two samples of 1,500 graphs of 40 nodes."""
    counts = [
        [triangles(make(seed)) for seed in range(1_500)]
        for make in (of_large("random_regular", 40, 4), of_networkx("random_regular_graph", 4, 40))
    ]
    assert_same_distribution(*[[min(count, 8) for count in sample] for sample in counts])


@pytest.mark.parametrize(
    "text",
    [
        "ring(n=10001, k=4)",
        "lattice(rows=101, columns=100)",
        "torus(rows=101, columns=100)",
        "random_regular(n=10002, d=3)",
        "erdos_renyi(n=10001, p=0.002)",
        "barabasi_albert(n=10001, m=1)",
        "watts_strogatz(n=10001, k=6, p=0.05)",
    ],
)
def test_above_ten_thousand_nodes_a_topology_is_a_connected_sparse_array(text: str) -> None:
    """The same from the same state, another from another if it is random; no networkx object."""
    drawn: Any = [read_graph(text, rng(seed)) for seed in (1, 1, 2)]
    assert_canonical(drawn[0])
    check_graph(drawn[0])
    assert graph_size(drawn[0])[0] in (10_001, 10_002, 10_100)
    assert not (drawn[0] != drawn[1]).nnz
    takes_rng = next(it.takes_rng for it in topologies() if text.startswith(it.name))
    assert bool((drawn[0] != drawn[2]).nnz) == takes_rng


@pytest.mark.parametrize("name", SPARSE)
def test_up_to_ten_thousand_nodes_a_topology_is_a_networkx_graph(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 nodes are not large unless fewer are; grids go by both sides together."""
    monkeypatch.setattr(generators, "LARGE", 24)
    assert isinstance(read_graph(name, rng()), nx.Graph)
    monkeypatch.setattr(generators, "LARGE", 23)
    assert_canonical(read_graph(name, rng()))


@pytest.mark.usefixtures("all_large")
def test_disconnected_large_graphs_are_drawn_again_or_given_up() -> None:
    """With the word which number to raise."""
    for seed in range(5):
        graph: Any = read_graph("erdos_renyi(n=40, p=0.08)", rng(seed))
        assert nx.is_connected(nx.from_scipy_sparse_array(graph))
    with pytest.raises(TopologyError, match="no connected graph in 100 draws; raise p"):
        read_graph("erdos_renyi(n=100, p=0.013)", rng())


def test_large_topologies_have_limits_of_their_own_and_say_them() -> None:
    """In what a parameter may be, and in refusals made before the graph is."""
    for it in topologies():
        if it.name in SPARSE:
            assert next(iter(it.parameters.values())).allowed.endswith(f"to {MAX_SPARSE_NODES:,}")
    for text in ("ring(n=10000000, k=22)", "lattice(rows=10000, columns=10000)"):
        with pytest.raises(TopologyError, match=f"{MAX_SPARSE_NODES:,} and {MAX_SPARSE_EDGES:,}"):
            read_graph(text, rng())
    for text in ("watts_strogatz(n=20000, k=1002)", "random_regular(n=20000, d=1001)"):
        with pytest.raises(TopologyError, match="above 1,000, the most above 10,000 nodes"):
            read_graph(text, rng())
    check_size(MAX_SPARSE_NODES, MAX_SPARSE_EDGES, sparse=True)
    with pytest.raises(ValueError, match="the most are 100,000 and 5,000,000"):
        check_size(MAX_SPARSE_NODES)


@pytest.mark.usefixtures("own_registry")
def test_a_topology_of_your_own_may_return_a_sparse_array() -> None:
    """Any format; it is read as one given directly, and drawn again until connected."""

    @topology("islands()", connect_by="n")
    def islands(n: int = 6, *, rng: random.Random) -> Any:
        graph = nx.gnp_random_graph(n, 0.35, seed=rng.getrandbits(32))
        return nx.to_scipy_sparse_array(graph, format="coo")

    @topology("oblong()")
    def oblong(n: int = 2) -> Any:
        return nx.to_scipy_sparse_array(nx.path_graph(n))[:1]

    for seed in range(10):
        graph: Any = read_graph("islands", rng(seed))
        assert_canonical(graph)
        assert nx.is_connected(nx.from_scipy_sparse_array(graph))
    with pytest.raises(TopologyError, match="not square"):
        read_graph("oblong", rng())


def test_numba_is_imported_only_for_large_random_graphs() -> None:
    """Importing the package, and small graphs, do without."""
    program = (
        "import random, sys\n"
        "from mesa_llm_norms.networks import read_graph\n"
        "for text in ('watts_strogatz(n=50)', 'ring(n=20000)'):\n"
        "    read_graph(text, random.Random(1))\n"
        "assert 'numba' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
