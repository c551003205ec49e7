"""The topologies that come with the package.

Nodes are 0 to n - 1 in order, edges carry nothing, and every graph is connected: the random ones
are drawn again until they are. Their draws come from ``rng``, so the same state gives the same
graph (under the same releases of networkx and numpy).

Those that ``large`` has too are made by networkx up to ``LARGE`` nodes, and above that as sparse
arrays, without node attributes.
"""

from __future__ import annotations

import random
from typing import Any

import networkx as nx

from mesa_llm_norms.topologies import large
from mesa_llm_norms.topologies.adjacency import Graph
from mesa_llm_norms.topologies.registry import (
    MAX_NODES,
    MAX_SPARSE_NODES,
    check_size,
    topology,
)

LARGE = 10_000
"""Above so many nodes, the topologies of ``large`` are sparse arrays."""
MOST_TIES = 1_000
"""And random ones with as many ties for all have no more than this for each."""

_ANY = (1, MAX_NODES)
_TWO = (2, MAX_NODES)
_THREE = (3, MAX_NODES)
_ONE_OR_MANY = (1, MAX_SPARSE_NODES)
_TWO_OR_MANY = (2, MAX_SPARSE_NODES)
_THREE_OR_MANY = (3, MAX_SPARSE_NODES)
_CHANCE = (0, 1)
_HOPELESS = 30
"""With so many lone nodes expected, a draw without any comes once in e**30."""


@topology("complete(n=12)", n=_TWO)
def complete(n: int = 24) -> nx.Graph[Any]:
    """Everyone can meet everyone: a well-mixed population, as in the study."""
    check_size(n, n * (n - 1) / 2)
    return _numbered(nx.complete_graph(n))


@topology("ring(n=24, k=4)", n=_THREE_OR_MANY, k=_TWO_OR_MANY)
def ring(n: int = 24, k: int = 2) -> Graph:
    """A circle where everyone meets the k nearest, half of them on each side."""
    _check_neighbours(n, k)
    if n > LARGE:
        return large.ring(n, k)
    return _numbered(nx.circulant_graph(n, list(range(1, k // 2 + 1))))


@topology("lattice(rows=5, columns=5)", rows=_ONE_OR_MANY, columns=_ONE_OR_MANY)
def lattice(rows: int = 4, columns: int = 6) -> Graph:
    """A grid with borders: everyone meets up to 4 neighbours, up, down, left and right."""
    if rows * columns < 2:
        raise ValueError("rows=1 and columns=1 make one node; at least two are needed")
    _check(rows * columns, 2 * rows * columns)
    if rows * columns > LARGE:
        return large.lattice(rows, columns)
    return _grid(rows, columns, periodic=False)


@topology("torus(rows=5, columns=5)", rows=_THREE_OR_MANY, columns=_THREE_OR_MANY)
def torus(rows: int = 4, columns: int = 6) -> Graph:
    """A grid that wraps around at its borders, so that everyone has exactly 4 neighbours."""
    _check(rows * columns, 2 * rows * columns)
    if rows * columns > LARGE:
        return large.torus(rows, columns)
    return _grid(rows, columns, periodic=True)


@topology("star(n=12)", n=_TWO)
def star(n: int = 24) -> nx.Graph[Any]:
    """One hub (node 0) that everyone else meets, and nobody else to meet."""
    return _numbered(nx.star_graph(n - 1))


@topology("wheel(n=12)", n=(4, MAX_NODES))
def wheel(n: int = 24) -> nx.Graph[Any]:
    """A ring around one hub (node 0) that everyone meets."""
    return _numbered(nx.wheel_graph(n))


@topology("random_regular(n=24, d=3)", connect_by="d", n=_THREE_OR_MANY, d=_TWO_OR_MANY)
def random_regular(n: int = 24, d: int = 4, *, rng: random.Random) -> Graph:
    """Random ties with exactly d neighbours for everyone."""
    if d >= n or n * d % 2:
        raise ValueError(f"d={d} must be below n={n}, and n times d even")
    _check(n, n * d / 2)
    if n > LARGE:
        _check_few("d", d)
        return large.random_regular(n, d, rng)
    # Above half, networkx draws in vain for long; the graph of the absent ties is as regular.
    absent = n - 1 - d
    graph = nx.random_regular_graph(min(d, absent), n, seed=rng.getrandbits(32))
    return _numbered(graph if d <= absent else nx.complement(graph))


@topology("erdos_renyi(n=50, p=0.1)", connect_by="p", n=_TWO_OR_MANY, p=_CHANCE)
def erdos_renyi(n: int = 24, p: float = 0.2, *, rng: random.Random) -> Graph:
    """Pure chance: every pair is tied with probability p."""
    _check(n, p * n * (n - 1) / 2)
    alone = n * (1 - p) ** (n - 1)
    if alone > _HOPELESS:
        raise ValueError(f"p={p} leaves about {alone:.0f} nodes without any tie; raise p")
    if n > LARGE:
        return large.erdos_renyi(n, p, rng)
    return _numbered(_chance(n, p, rng))


@topology("barabasi_albert(n=50, m=1)", n=_TWO_OR_MANY, m=_ONE_OR_MANY)
def barabasi_albert(n: int = 24, m: int = 2, *, rng: random.Random) -> Graph:
    """Few hubs and many with few ties: newcomers tie to m others, rather to the well connected."""
    if m >= n:
        raise ValueError(f"m={m} must be below n={n}")
    _check(n, m * (n - m))
    if n > LARGE:
        return large.barabasi_albert(n, m, rng)
    return _numbered(nx.barabasi_albert_graph(n, m, seed=rng.getrandbits(32)))


@topology(
    "watts_strogatz(n=50, k=6, p=0.05)", connect_by="k", n=_THREE_OR_MANY, k=_TWO_OR_MANY, p=_CHANCE
)
def watts_strogatz(n: int = 24, k: int = 4, p: float = 0.1, *, rng: random.Random) -> Graph:
    """A small world: a ring with k neighbours each, where a share p of ties became shortcuts."""
    _check_neighbours(n, k)
    if n > LARGE:
        _check_few("k", k)
        return large.watts_strogatz(n, k, p, rng)
    return _numbered(nx.watts_strogatz_graph(n, k, p, seed=rng.getrandbits(32)))


@topology("connected_caveman(cliques=5, size=5)", cliques=_TWO, size=_THREE)
def connected_caveman(cliques: int = 4, size: int = 6) -> nx.Graph[Any]:
    """Tight groups on a ring: in a group nearly all meet, and one tie leads to the next group."""
    check_size(cliques * size, cliques * size * (size - 1) / 2)
    return _numbered(nx.connected_caveman_graph(cliques, size))


@topology(
    "stochastic_block(sizes=[10, 10, 10], p_in=0.6, p_out=0.05)",
    connect_by="p_in and p_out",
    sizes=_ANY,
    p_in=_CHANCE,
    p_out=_CHANCE,
)
def stochastic_block(
    sizes: tuple[int, ...] = (12, 12),
    p_in: float = 0.5,
    p_out: float = 0.05,
    *,
    rng: random.Random,
) -> nx.Graph[Any]:
    """Communities: a pair is tied with probability p_in inside one, p_out across two.

    Node attribute ``block`` is the number of its community.
    """
    n = sum(sizes)
    if n < 2:
        raise ValueError("sizes=[1] make one node; at least two are needed")
    check_size(n, p_out * n * n / 2 + sum(p_in * size * size / 2 for size in sizes))
    block = [number for number, size in enumerate(sizes) for _ in range(size)]
    graph: nx.Graph[Any] = nx.Graph()
    graph.add_nodes_from((node, {"block": number}) for node, number in enumerate(block))
    across = _chance(n, p_out, rng).edges
    graph.add_edges_from((u, v) for u, v in across if block[u] != block[v])
    first = 0
    for size in sizes:
        graph.add_edges_from((first + u, first + v) for u, v in _chance(size, p_in, rng).edges)
        first += size
    return _numbered(graph)


@topology("barbell(clique=8, path=2)", clique=_TWO, path=(0, MAX_NODES))
def barbell(clique: int = 10, path: int = 4) -> nx.Graph[Any]:
    """Two groups where all meet all, joined by a path of that many nodes."""
    check_size(2 * clique + path, clique * (clique - 1) + path + 1)
    return _numbered(nx.barbell_graph(clique, path))


@topology("karate()")
def karate() -> nx.Graph[Any]:
    """The 34 members of Zachary's karate club (1977), as classically used: ties without weights.

    Node attribute ``club`` is the side each took when the club split.
    """
    return _numbered(nx.karate_club_graph())


def _numbered(graph: nx.Graph[Any]) -> nx.Graph[Any]:
    """Return the graph on 0 to n - 1 with nodes and edges in order; only nodes keep attributes."""
    made: nx.Graph[Any] = nx.Graph()
    made.add_nodes_from((node, graph.nodes[node]) for node in range(len(graph)))
    made.add_edges_from((u, v) for u in made for v in sorted(graph.adj[u]) if u < v)
    return made


def _grid(rows: int, columns: int, *, periodic: bool) -> nx.Graph[Any]:
    """Return the grid numbered row by row, each node's ``pos`` being (column, row)."""
    grid: nx.Graph[Any] = nx.grid_2d_graph(rows, columns, periodic=periodic)
    for row, column in grid:
        grid.nodes[row, column]["pos"] = (column, row)
    return _numbered(nx.convert_node_labels_to_integers(grid))


def _chance(n: int, p: float, rng: random.Random) -> nx.Graph[Any]:
    # Below 1e-12 the sampler divides by the logarithm of one, and no edge is expected anyway.
    p = p if p > 1e-12 else 0
    graph: nx.Graph[Any] = nx.fast_gnp_random_graph(n, p, seed=rng.getrandbits(32))
    return graph


def _check_neighbours(n: int, k: int) -> None:
    if k >= n or k % 2:
        raise ValueError(f"k={k} must be even and below n={n}")
    _check(n, n * k / 2)


def _check(nodes: int, edges: float) -> None:
    check_size(nodes, edges, sparse=nodes > LARGE)


def _check_few(name: str, ties: int) -> None:
    if ties > MOST_TIES:
        raise ValueError(f"{name}={ties} is above {MOST_TIES:,}, the most above {LARGE:,} nodes")
