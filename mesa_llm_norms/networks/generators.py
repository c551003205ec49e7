"""The topologies that come with the package.

Nodes are 0 to n - 1 in order, edges carry nothing, and every graph is connected: the random ones
are drawn again until they are. Their draws come from ``rng``, so the same state gives the same
graph (under the same releases of networkx and numpy).

Those that ``large`` has too are made by networkx up to ``LARGE`` nodes, and above that as sparse
arrays, without node attributes.

Topologies of many nodes: those of the catalogue, made as sparse arrays instead of by networkx.

Each is the same graph, or has the same distribution, as the one of its name in the catalogue, at
any size. All give a symmetric ``csr_array`` of ``uint8`` ones, indices sorted, nothing twice and
nothing on the diagonal: 5 bytes for each end of an edge. Parameters are those that the catalogue
has checked; random ones need not come out connected.

Edges exchanged at random, everybody's number of neighbours kept.
"""

from __future__ import annotations

import random
from collections.abc import Hashable
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.errors import GraphError, SpecError
from mesa_llm_norms.networks.adjacency import Adjacency, Graph, to_networkx
from mesa_llm_norms.networks.registry import MAX_NODES, MAX_SPARSE_NODES, check_size, topology

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
        return _sparse_ring(n, k)
    return _numbered(nx.circulant_graph(n, list(range(1, k // 2 + 1))))


@topology("lattice(rows=5, columns=5)", rows=_ONE_OR_MANY, columns=_ONE_OR_MANY)
def lattice(rows: int = 4, columns: int = 6) -> Graph:
    """A grid with borders: everyone meets up to 4 neighbours, up, down, left and right."""
    if rows * columns < 2:
        raise ValueError("rows=1 and columns=1 make one node; at least two are needed")
    _check(rows * columns, 2 * rows * columns)
    if rows * columns > LARGE:
        return _sparse_lattice(rows, columns)
    return _grid(rows, columns, periodic=False)


@topology("torus(rows=5, columns=5)", rows=_THREE_OR_MANY, columns=_THREE_OR_MANY)
def torus(rows: int = 4, columns: int = 6) -> Graph:
    """A grid that wraps around at its borders, so that everyone has exactly 4 neighbours."""
    _check(rows * columns, 2 * rows * columns)
    if rows * columns > LARGE:
        return _sparse_torus(rows, columns)
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
        return _sparse_random_regular(n, d, rng)
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
        return _sparse_erdos_renyi(n, p, rng)
    return _numbered(_chance(n, p, rng))


@topology("barabasi_albert(n=50, m=1)", n=_TWO_OR_MANY, m=_ONE_OR_MANY)
def barabasi_albert(n: int = 24, m: int = 2, *, rng: random.Random) -> Graph:
    """Few hubs and many with few ties: newcomers tie to m others, rather to the well connected."""
    if m >= n:
        raise ValueError(f"m={m} must be below n={n}")
    _check(n, m * (n - m))
    if n > LARGE:
        return _sparse_barabasi_albert(n, m, rng)
    return _numbered(nx.barabasi_albert_graph(n, m, seed=rng.getrandbits(32)))


@topology(
    "watts_strogatz(n=50, k=6, p=0.05)", connect_by="k", n=_THREE_OR_MANY, k=_TWO_OR_MANY, p=_CHANCE
)
def watts_strogatz(n: int = 24, k: int = 4, p: float = 0.1, *, rng: random.Random) -> Graph:
    """A small world: a ring with k neighbours each, where a share p of ties became shortcuts."""
    _check_neighbours(n, k)
    if n > LARGE:
        _check_few("k", k)
        return _sparse_watts_strogatz(n, k, p, rng)
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
    sizes: tuple[int, ...] = (12, 12), p_in: float = 0.5, p_out: float = 0.05, *, rng: random.Random
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


Nodes = NDArray[np.int32]


def _sparse_ring(n: int, k: int) -> Adjacency:
    """Return the circle of n where everyone meets the k nearest, half of them on each side."""
    half = np.arange(1, k // 2 + 1, dtype=np.int32)
    return _from_rows((_all(n)[:, None] + np.concatenate([-half, half])) % np.int32(n))


def _sparse_lattice(rows: int, columns: int) -> Adjacency:
    """Return the grid with borders, numbered row by row."""
    grid = _all(rows * columns).reshape(rows, columns)
    before = np.concatenate([grid[:, :-1].ravel(), grid[:-1].ravel()])
    after = np.concatenate([grid[:, 1:].ravel(), grid[1:].ravel()])
    return _from_edges(grid.size, before, after)


def _sparse_torus(rows: int, columns: int) -> Adjacency:
    """Return the grid that wraps around, numbered row by row; both sides are at least 3."""
    grid = _all(rows * columns).reshape(rows, columns)
    shifted = [np.roll(grid, shift, axis).ravel() for shift in (-1, 1) for axis in (0, 1)]
    return _from_rows(np.stack(shifted, axis=1))


def _sparse_random_regular(n: int, d: int, rng: random.Random) -> Adjacency:
    """Return a random graph where everyone has d neighbours; d is below n / 2, n times d even.

    Half-edges are paired at random (the configuration model, Bollobás 1980), and each self-loop or
    double edge then trades ends with a random edge until there are none. That is nearly uniform
    over all such graphs: with n growing and d fixed, the total variation distance goes to 0
    (Janson, arXiv:1901.09744). Above half of n the ties drawn are the absent ones.
    """
    ends = _all(n * d)
    _generator(rng).shuffle(ends)
    mates = np.empty_like(ends)
    mates[ends[::2]], mates[ends[1::2]] = ends[1::2], ends[::2]
    del ends
    return _from_rows(load("randomness").simple(mates, d, _seed(rng)).reshape(n, d))


def _sparse_erdos_renyi(n: int, p: float, rng: random.Random) -> Adjacency:
    """Return the graph where every pair is tied with probability p, not 0.

    The pairs in order, the gaps between those that are tied are geometric (Batagelj and Brandes,
    Physical Review E 2005).
    """
    chance = _generator(rng)
    pairs = n * (n - 1) // 2
    found: list[NDArray[np.int64]] = []
    last = -1
    while last < pairs:
        missing = p * (pairs - last)
        gaps = chance.geometric(p, int(missing + 4 * missing**0.5) + 10)
        # Their sum must not overflow; a gap past the last pair ends the list wherever it leads.
        np.minimum(gaps, pairs + 1, out=gaps)
        places = last + np.cumsum(gaps)
        last = int(places[-1])
        found.append(places[: np.searchsorted(places, pairs)])
    places = np.concatenate(found)
    del found
    firsts = np.arange(n, dtype=np.int64)
    firsts = firsts * (n - 1) - firsts * (firsts - 1) // 2  # The place of the pair (u, u + 1).
    u = np.repeat(_all(n), np.diff(np.searchsorted(places, firsts), append=len(places)))
    v = (places - firsts[u]).astype(np.int32) + u + np.int32(1)
    del places
    return _from_edges(n, u, v)


def _sparse_watts_strogatz(n: int, k: int, p: float, rng: random.Random) -> Adjacency:
    """Return a ring with k neighbours each, where each tie is moved with probability p.

    Ties from u to the next one, from the first u to the last, then those to the next but one, and
    so on: each is moved to a random node that u is not tied to, as in networkx.
    """
    heads = load("randomness").rewired(n, k // 2, p, _seed(rng))
    return _from_edges(n, np.repeat(_all(n), k // 2), heads.ravel())


def _sparse_barabasi_albert(n: int, m: int, rng: random.Random) -> Adjacency:
    """Return a star of m + 1 nodes, grown by newcomers who tie to m different nodes each.

    A node is met in proportion to the ties it has, twice drawn ones being drawn again: networkx's
    list of repeated nodes, which is how Batagelj and Brandes (Physical Review E 2005) do it.
    """
    ends = load("randomness").grown(n, m, _seed(rng))
    return _from_edges(n, ends[::2].copy(), ends[1::2].copy())


def _all(n: int) -> Nodes:
    return np.arange(n, dtype=np.int32)


def _generator(rng: random.Random) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(rng.getrandbits(128)))


def _seed(rng: random.Random) -> np.uint64:
    return np.uint64(rng.getrandbits(64))


def _from_rows(neighbours: Nodes) -> Adjacency:
    """Return the graph where row u lists the neighbours of u, which it sorts in place."""
    n, d = neighbours.shape
    neighbours.sort(axis=1)
    starts = np.arange(0, n * d + 1, d, dtype=np.int32)
    return _made(n, neighbours.ravel(), starts)


def _from_edges(n: int, u: Nodes, v: Nodes) -> Adjacency:
    """Return the graph of the edges u[i] - v[i], each given once."""
    starts = np.zeros(n + 1, np.int32)
    np.cumsum(np.bincount(u, minlength=n) + np.bincount(v, minlength=n), out=starts[1:])
    return _made(n, load("randomness").neighbours(u, v, starts), starts)


def _made(n: int, indices: Nodes, starts: Nodes) -> Adjacency:
    made: Adjacency = sparse.csr_array(
        (np.ones(len(indices), np.uint8), indices, starts), shape=(n, n)
    )
    made.has_canonical_format = True  # Else found out by looking.
    return made


TRIES = 100
"""Exchanges that are tried for each one that is made, at most."""


AGAIN = 20
"""How often all is begun anew where the network fell apart."""


def rewire(graph: Any, share: float, chance: random.Random) -> tuple[nx.Graph[Any], int]:
    """Return a network of which ``share`` of the edges lie elsewhere, and how many that are.

    Two edges a-b and c-d become a-d and c-b (Maslov and Sneppen, Science 296, 910, 2002), so that
    every degree stays as it is; the network stays simple, and connected. No edge is exchanged
    twice. Raises ``SpecError`` for directed and weighted networks and for shares that are none,
    ``GraphError`` where too few edges can be exchanged, as on a complete graph.
    """
    network = to_networkx(graph)
    if network.is_directed() or network.is_multigraph() or nx.is_weighted(network):
        raise SpecError(
            "rewired",
            share,
            "edges with directions, weights or parallels are not rewired",
            "Use a plain network.",
        )
    if not 0 <= share <= 1:
        raise SpecError("rewired", share, f"{share} is no share", "Use 0 to 1.")
    wanted = round(share * network.number_of_edges() / 2)
    for _ in range(AGAIN):
        found = _exchanged(network, wanted, chance)
        if found is None:
            break
        if nx.is_connected(found) or not nx.is_connected(network):
            return found, 2 * wanted
    raise GraphError(
        f"no network with {share:.0%} of its edges rewired was found",
        "Rewire fewer of them, or take a sparser network.",
    )


def _exchanged(network: Any, wanted: int, chance: random.Random) -> nx.Graph[Any] | None:
    """Return the network with so many pairs of edges exchanged, None where that was not found."""
    found: nx.Graph[Any] = nx.Graph()
    found.add_nodes_from(network.nodes(data=True))
    found.add_edges_from(network.edges)
    edges: list[tuple[Hashable, Hashable]] = sorted(network.edges, key=repr)
    tries = TRIES * wanted
    while wanted and tries and len(edges) > 1:
        tries -= 1
        i, j = chance.sample(range(len(edges)), 2)
        (a, b), (c, d) = edges[i], edges[j]
        if chance.getrandbits(1):
            c, d = d, c
        if len({a, b, c, d}) < 4 or any(
            network.has_edge(*e) or found.has_edge(*e) for e in ((a, d), (c, b))
        ):
            continue
        found.remove_edges_from([(a, b), (c, d)])
        found.add_edges_from([(a, d), (c, b)])
        for place in sorted((i, j), reverse=True):
            edges[place] = edges[-1]
            edges.pop()
        wanted -= 1
    return None if wanted else found
