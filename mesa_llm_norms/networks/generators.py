"""The topologies that ship with the package, and rewiring.

Nodes are 0 to n - 1 in order, edges carry no attributes, and every graph is connected: random ones
are drawn again until they are. Draws come from ``rng``, so the same state gives the same graph
(under the same releases of networkx and numpy).

Up to ``LARGE`` nodes a graph is made by networkx. Above that, topologies that can have as many make
the same graph, or one of the same distribution, as a sparse array: a symmetric ``csr_array`` of
``uint8`` ones with sorted indices, 5 bytes for each end of an edge, without node attributes.
"""

from __future__ import annotations

import random
from collections.abc import Hashable
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.errors import GraphError, SpecError
from mesa_llm_norms.networks.adjacency import Adjacency, Graph, to_networkx
from mesa_llm_norms.networks.registry import (
    MAX_NODES,
    MAX_SPARSE_NODES,
    check_size,
    topology,
)

LARGE = 10_000
"""Above so many nodes, graphs are sparse arrays."""

_HOPELESS = 30
"""With so many isolated nodes expected, one draw in e**30 has none."""

_SMALL = {low: (low, MAX_NODES) for low in (0, 1, 2, 3, 4)}
_ANY = {low: (low, MAX_SPARSE_NODES) for low in (1, 2, 3)}
_PROBABILITY = (0, 1)

Nodes = NDArray[np.int32]


@topology("complete(n=12)", n=_SMALL[2])
def complete(n: int = 24) -> nx.Graph[Any]:
    """Everyone can meet everyone: a well-mixed population, as in the study."""
    check_size(n, n * (n - 1) / 2)
    return numbered(nx.complete_graph(n))


@topology("ring(n=24, k=4)", n=_ANY[3], k=_ANY[2])
def ring(n: int = 24, k: int = 2) -> Graph:
    """A circle where everyone meets the k nearest, half of them on each side."""
    _check_even(n, k)
    half = np.arange(1, k // 2 + 1, dtype=np.int32)
    if n <= LARGE:
        return numbered(nx.circulant_graph(n, half.tolist()))
    return _from_rows((_all(n)[:, None] + np.concatenate([-half, half])) % np.int32(n))


@topology("lattice(rows=5, columns=5)", rows=_ANY[1], columns=_ANY[1])
def lattice(rows: int = 4, columns: int = 6) -> Graph:
    """A grid with borders: everyone meets up to 4 neighbours, up, down, left and right."""
    if rows * columns < 2:
        raise ValueError("rows=1 and columns=1 make one node; at least two are needed")
    _check(rows * columns, 2 * rows * columns)
    if rows * columns <= LARGE:
        return _grid(rows, columns, periodic=False)
    grid = _all(rows * columns).reshape(rows, columns)
    before = np.concatenate([grid[:, :-1].ravel(), grid[:-1].ravel()])
    after = np.concatenate([grid[:, 1:].ravel(), grid[1:].ravel()])
    return _from_edges(grid.size, before, after)


@topology("torus(rows=5, columns=5)", rows=_ANY[3], columns=_ANY[3])
def torus(rows: int = 4, columns: int = 6) -> Graph:
    """A grid that wraps around at its borders, so that everyone has exactly 4 neighbours."""
    _check(rows * columns, 2 * rows * columns)
    if rows * columns <= LARGE:
        return _grid(rows, columns, periodic=True)
    grid = _all(rows * columns).reshape(rows, columns)
    shifted = [np.roll(grid, shift, axis).ravel() for shift in (-1, 1) for axis in (0, 1)]
    return _from_rows(np.stack(shifted, axis=1))


@topology("star(n=12)", n=_SMALL[2])
def star(n: int = 24) -> nx.Graph[Any]:
    """One hub (node 0) that everyone else meets, and nobody else to meet."""
    check_size(n, n - 1)
    return numbered(nx.star_graph(n - 1))


@topology("wheel(n=12)", n=_SMALL[4])
def wheel(n: int = 24) -> nx.Graph[Any]:
    """A ring around one hub (node 0) that everyone meets."""
    check_size(n, 2 * (n - 1))
    return numbered(nx.wheel_graph(n))


@topology("random_regular(n=24, d=3)", connect_by="d", n=_ANY[3], d=_ANY[2])
def random_regular(n: int = 24, d: int = 4, *, rng: random.Random) -> Graph:
    """Random edges with exactly d neighbours for everyone.

    Large: half-edges are paired at random (the configuration model, Bollobás 1980), and each
    self-loop or double edge then trades ends with a random edge until there are none. That is
    nearly uniform over all such graphs: with n growing and d fixed, the total variation distance
    goes to 0 (Janson, arXiv:1901.09744).
    """
    if d >= n or n * d % 2:
        raise ValueError(f"d={d} must be below n={n}, and n times d even")
    _check(n, n * d / 2)
    if n <= LARGE:
        # Above half, networkx often fails for long; the graph of the absent edges is as regular.
        absent = n - 1 - d
        graph = nx.random_regular_graph(min(d, absent), n, seed=rng.getrandbits(32))
        return numbered(graph if d <= absent else nx.complement(graph))
    _check_degree("d", d)
    ends = _all(n * d)
    _generator(rng).shuffle(ends)
    mates = np.empty_like(ends)
    mates[ends[::2]], mates[ends[1::2]] = ends[1::2], ends[::2]
    del ends
    return _from_rows(load("randomness").simple(mates, d, _seed(rng)).reshape(n, d))


@topology("erdos_renyi(n=50, p=0.1)", connect_by="p", n=_ANY[2], p=_PROBABILITY)
def erdos_renyi(n: int = 24, p: float = 0.2, *, rng: random.Random) -> Graph:
    """Pure chance: every pair is joined with probability p."""
    _check(n, p * n * (n - 1) / 2)
    if is_hopeless(n, p):
        alone = _isolated(n, p)
        raise ValueError(f"p={p} leaves about {alone:.0f} nodes without any edge; raise p")
    return numbered(_gnp(n, p, rng)) if n <= LARGE else _sparse_gnp(n, p, rng)


@topology("barabasi_albert(n=50, m=1)", n=_ANY[2], m=_ANY[1])
def barabasi_albert(n: int = 24, m: int = 2, *, rng: random.Random) -> Graph:
    """Few hubs and many with few edges: newcomers join m others, mostly well connected ones.

    It grows from a star of m + 1 nodes. A newcomer draws m different nodes, each in proportion to
    its degree (preferential attachment, Barabási and Albert, Science 286, 509, 1999), from a list
    of the ends of all edges (Batagelj and Brandes, Physical Review E 71, 036113, 2005).
    """
    if m >= n:
        raise ValueError(f"m={m} must be below n={n}")
    _check(n, m * (n - m))
    if n <= LARGE:
        return numbered(nx.barabasi_albert_graph(n, m, seed=rng.getrandbits(32)))
    ends = load("randomness").grown(n, m, _seed(rng))
    return _from_edges(n, ends[::2].copy(), ends[1::2].copy())


@topology("watts_strogatz(n=50, k=6, p=0.05)", connect_by="k", n=_ANY[3], k=_ANY[2], p=_PROBABILITY)
def watts_strogatz(n: int = 24, k: int = 4, p: float = 0.1, *, rng: random.Random) -> Graph:
    """A small world: a ring with k neighbours each, where a share p of edges became shortcuts.

    Edges from u to the next node, from the first u to the last, then those to the next but one, and
    so on: each is moved with probability p to a random node that u is not joined to (Watts and
    Strogatz, Nature 393, 440, 1998).
    """
    _check_even(n, k)
    if n <= LARGE:
        return numbered(nx.watts_strogatz_graph(n, k, p, seed=rng.getrandbits(32)))
    _check_degree("k", k)
    heads = load("randomness").rewired(n, k // 2, p, _seed(rng))
    return _from_edges(n, np.repeat(_all(n), k // 2), heads.ravel())


@topology("connected_caveman(cliques=5, size=5)", cliques=_SMALL[2], size=_SMALL[3])
def connected_caveman(cliques: int = 4, size: int = 6) -> nx.Graph[Any]:
    """Tight groups on a ring: in a group nearly all meet, and one edge leads to the next group."""
    check_size(cliques * size, cliques * size * (size - 1) / 2)
    return numbered(nx.connected_caveman_graph(cliques, size))


@topology(
    "stochastic_block(sizes=[10, 10, 10], p_in=0.6, p_out=0.05)",
    connect_by="p_in and p_out",
    sizes=_SMALL[1],
    p_in=_PROBABILITY,
    p_out=_PROBABILITY,
)
def stochastic_block(
    sizes: tuple[int, ...] = (12, 12), p_in: float = 0.5, p_out: float = 0.05, *, rng: random.Random
) -> nx.Graph[Any]:
    """Communities: a pair is joined with probability p_in inside one, p_out across two.

    Node attribute ``block`` is the number of its community.
    """
    n = sum(sizes)
    if n < 2:
        raise ValueError("sizes=[1] make one node; at least two are needed")
    check_size(n, p_out * n * n / 2 + sum(p_in * size * size / 2 for size in sizes))
    block = [number for number, size in enumerate(sizes) for _ in range(size)]
    graph: nx.Graph[Any] = nx.Graph()
    graph.add_nodes_from((node, {"block": number}) for node, number in enumerate(block))
    across = _gnp(n, p_out, rng).edges
    graph.add_edges_from((u, v) for u, v in across if block[u] != block[v])
    first = 0
    for size in sizes:
        graph.add_edges_from((first + u, first + v) for u, v in _gnp(size, p_in, rng).edges)
        first += size
    return numbered(graph)


@topology("barbell(clique=8, path=2)", clique=_SMALL[2], path=_SMALL[0])
def barbell(clique: int = 10, path: int = 4) -> nx.Graph[Any]:
    """Two groups where all meet all, joined by a path of that many nodes."""
    check_size(2 * clique + path, clique * (clique - 1) + path + 1)
    return numbered(nx.barbell_graph(clique, path))


@topology("karate()")
def karate() -> nx.Graph[Any]:
    """The 34 members of Zachary's karate club (1977), as classically used: edges without weights.

    Node attribute ``club`` is the side each took when the club split.
    """
    return numbered(nx.karate_club_graph())


def rewire(graph: Any, share: float, rng: random.Random) -> tuple[nx.Graph[Any], int]:
    """Move a share of the edges of a network, every node keeping its degree.

    Two edges a-b and c-d become a-d and c-b, so the network stays simple; draws that disconnect it
    are repeated. No edge is exchanged twice.

    Parameters
    ----------
    graph : networkx.Graph or scipy.sparse.csr_array
        An undirected network without weights.
    share : float
        The share of its edges to move, from 0 to 1.
    rng : random.Random
        Where the draws come from.

    Returns
    -------
    graph : networkx.Graph
        The rewired network.
    moved : int
        How many edges were moved.

    Raises
    ------
    SpecError
        If the network is directed or weighted, or the share is out of range.
    GraphError
        If too few edges can be exchanged, as on a complete graph.

    References
    ----------
    S. Maslov, K. Sneppen, "Specificity and stability in topology of protein networks", Science 296,
    910 (2002).
    """
    network = to_networkx(graph)
    if network.is_directed() or network.is_multigraph() or nx.is_weighted(network):
        problem = "edges with directions, weights or parallels are not rewired"
        raise SpecError("rewired", share, problem, "Use a plain network.")
    if not 0 <= share <= 1:
        raise SpecError("rewired", share, f"{share} is not a share", "Use 0 to 1.")
    wanted = round(share * network.number_of_edges() / 2)
    for _ in range(_REWIRINGS):
        found = _exchanged(network, wanted, rng)
        if found is None:
            break
        if nx.is_connected(found) or not nx.is_connected(network):
            return found, 2 * wanted
    raise GraphError(
        f"no network with {share:.0%} of its edges rewired was found",
        "Rewire fewer of them, or use a sparser network.",
    )


_REWIRINGS = 20
"""How often rewiring is repeated if the network falls apart."""

_TRIES = 100
"""The most exchanges tried for each one that is made."""


def _exchanged(network: Any, wanted: int, rng: random.Random) -> nx.Graph[Any] | None:
    """Return the network with so many pairs of edges exchanged, or None if they are not found."""
    found: nx.Graph[Any] = nx.Graph()
    found.add_nodes_from(network.nodes(data=True))
    found.add_edges_from(network.edges)
    edges: list[tuple[Hashable, Hashable]] = sorted(network.edges, key=repr)
    tries = _TRIES * wanted
    while wanted and tries and len(edges) > 1:
        tries -= 1
        i, j = rng.sample(range(len(edges)), 2)
        (a, b), (c, d) = edges[i], edges[j]
        if rng.getrandbits(1):
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


def _check(nodes: int, edges: float) -> None:
    check_size(nodes, edges, sparse=nodes > LARGE)


def _check_even(n: int, k: int) -> None:
    if k >= n or k % 2:
        raise ValueError(f"k={k} must be even and below n={n}")
    _check(n, n * k / 2)


def _check_degree(name: str, degree: int) -> None:
    if degree not in limits.NEIGHBORS:
        raise ValueError(
            f"{name}={degree} is above {limits.NEIGHBORS.high:,}, the most above {LARGE:,} nodes"
        )


def numbered(graph: nx.Graph[Any]) -> nx.Graph[Any]:
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
    return numbered(nx.convert_node_labels_to_integers(grid))


def is_hopeless(n: int, p: float) -> bool:
    """Whether drawing pairs with this probability leaves nodes without any edge, surely."""
    return _isolated(n, p) > _HOPELESS


def possible(p: float) -> float:
    """Return a probability of an edge, or 0 where none is expected anyway.

    Below 1e-12 the sampler would divide by the logarithm of one.
    """
    return p if p > 1e-12 else 0


def _isolated(n: int, p: float) -> float:
    """Return how many nodes without any edge are expected."""
    expected: float = n * (1 - p) ** (n - 1)
    return expected


def _gnp(n: int, p: float, rng: random.Random) -> nx.Graph[Any]:
    graph: nx.Graph[Any] = nx.fast_gnp_random_graph(n, possible(p), seed=rng.getrandbits(32))
    return graph


def _sparse_gnp(n: int, p: float, rng: random.Random) -> Adjacency:
    """Return the graph where every pair is joined with probability p, which is not 0.

    With the pairs in order, the gaps between those that are joined are geometric (Batagelj and
    Brandes, Physical Review E 71, 036113, 2005).
    """
    generator = _generator(rng)
    pairs = n * (n - 1) // 2
    found: list[NDArray[np.int64]] = []
    last = -1
    while last < pairs:
        missing = p * (pairs - last)
        gaps = generator.geometric(p, int(missing + 4 * missing**0.5) + 10)
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


def _all(n: int) -> Nodes:
    return np.arange(n, dtype=np.int32)


def _generator(rng: random.Random) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(rng.getrandbits(128)))


def _seed(rng: random.Random) -> np.uint64:
    return np.uint64(rng.getrandbits(64))


def _from_rows(neighbors: Nodes) -> Adjacency:
    """Return the graph where row u lists the neighbors of u, which it sorts in place."""
    n, d = neighbors.shape
    neighbors.sort(axis=1)
    starts = np.arange(0, n * d + 1, d, dtype=np.int32)
    return _sparse(n, neighbors.ravel(), starts)


def _from_edges(n: int, u: Nodes, v: Nodes) -> Adjacency:
    """Return the graph of the edges u[i] - v[i], each given once."""
    starts = np.zeros(n + 1, np.int32)
    np.cumsum(np.bincount(u, minlength=n) + np.bincount(v, minlength=n), out=starts[1:])
    return _sparse(n, load("randomness").neighbours(u, v, starts), starts)


def _sparse(n: int, indices: Nodes, starts: Nodes) -> Adjacency:
    made: Adjacency = sparse.csr_array(
        (np.ones(len(indices), np.uint8), indices, starts), shape=(n, n)
    )
    made.has_canonical_format = True  # otherwise scipy checks
    return made
