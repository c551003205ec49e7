"""Topologies of the literature: those of experiments with people, models of networks, real ones.

As in ``generators``, nodes are 0 to n - 1 and every graph is connected. The networks of
``les_miserables``, ``davis_women`` and ``florentine_families`` have names as nodes.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import networkx as nx
import numpy as np

from mesa_llm_norms.networks.generators import numbered
from mesa_llm_norms.networks.null_models import joined, with_degrees
from mesa_llm_norms.networks.registry import MAX_NODES, check_size, topology

_SMALL = {low: (low, MAX_NODES) for low in (1, 2, 3, 4)}
_SHARE = (0, 1)

MASON_WATTS = {
    "greatest_average_betweenness": "O_OeO_C?GAS?CECQ?e@OG",
    "smallest_average_betweenness": "O@ODO?KWCI?KC@o?a_?A`",
    "greatest_average_clustering": "OK?GZ?C_@A@PS??KQ?O@a",
    "smallest_average_clustering": "OQO@K?CGGcO@ACAPGg?`C",
    "greatest_maximum_betweenness": "O@`O?@OA_ESC_O?Q`QBG?",
    "greatest_maximum_closeness": "OO?_P`??WgP_Occ_GC?OP",
    "smallest_maximum_closeness": "O?_O?iPQACPAG?H?gP@CC",
    "greatest_variance_of_constraint": "OE?G`A_AKOCGO_O__b?IG",
}
"""In graph6: the best of 12 searches, each of 500 exchanges of edges from a random cubic graph."""


# Of experiments with people


@topology("mason_watts(smallest_average_betweenness)", network=tuple(MASON_WATTS))
def mason_watts(network: str = "greatest_average_clustering") -> nx.Graph[Any]:
    """16 agents with 3 neighbours each, the most extreme such network in one of eight respects.

    The design is that of Mason and Watts (PNAS 109, 764, 2012); the networks were found anew, by
    exchanging edges of random cubic graphs for as long as that brought the named quantity further
    up or down. Other networks may be as extreme.
    """
    return numbered(nx.from_graph6_bytes(MASON_WATTS[network].encode()))


@topology(
    "clique_chain(cliques=6, size=6, q=0.1)",
    connect_by="cliques or q",
    cliques=_SMALL[2],
    size=_SMALL[2],
    q=_SHARE,
)
def clique_chain(
    cliques: int = 4, size: int = 6, q: float = 0.1, *, rng: random.Random
) -> nx.Graph[Any]:
    """Groups in a chain where all meet all; with probability q an edge inside leads anywhere.

    One edge joins each group to the next. An edge inside a group that is rewired keeps one of its
    nodes and leads to a random one of all (Judd, Kearns and Vorobeychik, PNAS 107, 14978, 2010, who
    used six groups of six). Node attribute ``block`` is the number of the group at first.
    """
    check_size(cliques * size, cliques * size * size / 2)
    graph: nx.Graph[Any] = nx.Graph()
    for block in range(cliques):
        members = range(block * size, (block + 1) * size)
        graph.add_nodes_from(members, block=block)
        graph.add_edges_from((u, v) for u in members for v in members if u < v)
    inside = list(graph.edges)
    graph.add_edges_from((block * size - 1, block * size) for block in range(1, cliques))
    n = len(graph)
    for u, v in inside:
        if rng.random() < q:
            kept = u if rng.random() < 0.5 else v
            free = [node for node in range(n) if node != kept and not graph.has_edge(kept, node)]
            if free:
                graph.remove_edge(u, v)
                graph.add_edge(kept, rng.choice(free))
    return numbered(graph)


# Models of networks


@topology("random_geometric(n=50, radius=0.25)", connect_by="radius", n=_SMALL[2], radius=(0, 1.5))
def random_geometric(n: int = 24, radius: float = 0.35, *, rng: random.Random) -> nx.Graph[Any]:
    """Agents at random places on a square meet those no further away than radius.

    The square has sides of 1. Node attribute ``pos`` is the place (Gilbert 1961; Penrose, Random
    Geometric Graphs, 2003).
    """
    check_size(n, min(n * n / 2, n * n * radius**2 * 1.6))
    return numbered(nx.random_geometric_graph(n, radius, seed=rng.getrandbits(32)))


@topology("kleinberg(side=6, q=1, r=2)", side=(2, 70), q=(0, 20), r=(0, 10))
def kleinberg(side: int = 5, q: int = 1, r: float = 2.0, *, rng: random.Random) -> nx.Graph[Any]:
    """A grid on which everyone also has q contacts, less likely by distance to the power of r.

    Contacts are drawn with replacement and edges go both ways, so that there are at most q of each
    (Kleinberg, Nature 406, 845, 2000). Node attribute ``pos`` is (column, row).
    """
    chance = np.random.Generator(np.random.PCG64(rng.getrandbits(128)))
    graph: nx.Graph[Any] = nx.grid_2d_graph(side, side)
    rows, columns = np.divmod(np.arange(side * side), side)
    for node in range(side * side if q else 0):
        far = np.abs(rows - rows[node]) + np.abs(columns - columns[node])
        probabilities = np.where(far > 0, np.maximum(far, 1.0) ** -r, 0.0).cumsum()
        for other in np.searchsorted(
            probabilities, chance.random(q) * probabilities[-1], side="right"
        ):
            graph.add_edge(divmod(node, side), divmod(int(other), side))
    for row, column in graph:
        graph.nodes[row, column]["pos"] = (column, row)
    return numbered(nx.convert_node_labels_to_integers(graph))


@topology("power_law(n=50, gamma=2.5, least=2)", n=_SMALL[3], gamma=(1.5, 10), least=_SMALL[1])
def power_law(
    n: int = 24, gamma: float = 2.5, least: int = 2, *, rng: random.Random
) -> nx.Graph[Any]:
    """Degrees of at least that many, drawn from a power law; edges at random between them.

    The chance of degree k is proportional to k to the power of minus gamma, up to the square root
    of n where that leaves the degrees uncorrelated (Catanzaro, Boguñá and Pastor-Satorras, Physical
    Review E 71, 027103, 2005), and to twice ``least``. Ends are paired as ``configuration`` does.
    """
    most = min(n - 1, max(2 * least, int(n**0.5)))
    if most <= least:
        raise ValueError(f"least={least} leaves no choice of degrees for n={n}")
    check_size(n, n * most / 2)
    values = np.arange(least, most + 1)
    probabilities = values**-gamma
    chance = np.random.Generator(np.random.PCG64(rng.getrandbits(128)))
    for _ in range(_DRAWS):
        degrees = chance.choice(values, n, p=probabilities / probabilities.sum())
        with suppress(ValueError):  # an odd number of ends, or too few
            return numbered(with_degrees(degrees, rng))
    raise ValueError(f"no connected graph in {_DRAWS} draws of degrees; raise least")


_DRAWS = 100


@topology(
    "lfr(n=200, mu=0.1)",
    n=(20, 5_000),
    mu=_SHARE,
    tau1=(1.1, 10),
    tau2=(1.1, 10),
    degree=_SMALL[2],
    smallest=_SMALL[2],
)
def lfr(
    n: int = 60,
    mu: float = 0.1,
    tau1: float = 3.0,
    tau2: float = 1.5,
    degree: int = 6,
    smallest: int = 15,
    *,
    rng: random.Random,
) -> nx.Graph[Any]:
    """Communities of unequal size, degrees of a power law, and a share mu of edges across.

    The benchmark of Lancichinetti, Fortunato and Radicchi (Physical Review E 78, 046110, 2008):
    ``tau1`` and ``tau2`` are the exponents of degrees and of sizes, ``degree`` is the mean degree
    and ``smallest`` the size of the smallest community; none is larger than half of all. networkx
    draws it, with more edges across than ``mu`` says where that is large. Node attribute ``block``
    is the community.
    """
    if 2 * smallest > n or 4 * degree > n:
        raise ValueError(
            f"smallest={smallest} must be at most half of n={n}, degree={degree} a quarter"
        )
    check_size(n, n * degree)
    for _ in range(_DRAWS):
        try:
            graph: nx.Graph[Any] = nx.LFR_benchmark_graph(
                n,
                tau1,
                tau2,
                mu,
                average_degree=degree,
                max_degree=min(n // 2 - 1, 4 * degree),
                min_community=smallest,
                max_community=n // 2,
                max_iters=100,
                seed=rng.getrandbits(32),
            )
        except nx.ExceededMaxIterations:
            continue
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))
        if nx.is_connected(graph):
            groups = sorted({min(members) for _, members in graph.nodes(data="community")})
            for node, members in list(graph.nodes(data="community")):
                graph.nodes[node].clear()
                graph.nodes[node]["block"] = groups.index(min(members))
            return numbered(graph)
    raise ValueError(
        f"no such connected graph in {_DRAWS} draws; raise n, degree or mu, or have tau1 near 3"
    )


@topology(
    "degree_corrected(sizes=[20, 20], degree=8, mu=0.1)",
    sizes=_SMALL[1],
    degree=(0.1, 1_000),
    mu=_SHARE,
    gamma=(1.5, 100),
)
def degree_corrected(
    sizes: tuple[int, ...] = (12, 12),
    degree: float = 5.0,
    mu: float = 0.15,
    gamma: float = 2.5,
    *,
    rng: random.Random,
) -> nx.Graph[Any]:
    """Communities whose agents differ in how many they meet; a share mu of edges is across.

    The degree-corrected block model (Karrer and Newman, Physical Review E 83, 016107, 2011): an
    agent's propensity is drawn from a power law with exponent ``gamma``, up to ten times the least
    one, and a pair is joined with a chance in proportion to both, so that the mean degree is about
    ``degree``. A draw in parts is joined by moving an edge that is on a cycle for each of them.
    Node attribute ``block`` is the number of the community.
    """
    n = sum(sizes)
    if n < 2:
        raise ValueError("sizes=[1] make one node; at least two are needed")
    check_size(n, max(n * degree, n * n / 20))
    chance = np.random.Generator(np.random.PCG64(rng.getrandbits(128)))
    block = np.repeat(np.arange(len(sizes)), sizes)
    drawn = 1 - chance.random(n) * (1 - 10.0 ** (1 - gamma))
    weight = drawn ** (-1 / (gamma - 1))
    share = weight / np.bincount(block, weight)[block]
    ends = degree * np.array(sizes, np.float64)
    graph: nx.Graph[Any] = nx.Graph()
    graph.add_nodes_from((node, {"block": int(it)}) for node, it in enumerate(block))
    rest = np.maximum(ends.sum() - ends, 1e-9)
    for node in range(n - 1):
        own, others = block[node], block[node + 1 :]
        across = mu * ends[others] * (1 / rest[own] + 1 / rest[others]) / 2
        inside = 1 - mu if len(sizes) > 1 else 1.0
        expected = ends[own] * share[node] * share[node + 1 :]
        expected *= np.where(others == own, inside, across)
        met = chance.random(n - node - 1) < -np.expm1(-expected)
        graph.add_edges_from((node, int(other)) for other in node + 1 + np.flatnonzero(met))
    return numbered(joined(graph, rng))


@topology("balanced_tree(branches=3, height=2)", branches=(1, 1_000), height=(1, 100))
def balanced_tree(branches: int = 2, height: int = 3) -> nx.Graph[Any]:
    """A hierarchy: everyone has that many below them, down to that height."""
    nodes = height + 1 if branches == 1 else (float(branches) ** (height + 1) - 1) / (branches - 1)
    check_size(nodes, nodes - 1)
    return numbered(nx.balanced_tree(branches, height))


@topology("random_tree(n=50)", n=_SMALL[2])
def random_tree(n: int = 24, *, rng: random.Random) -> nx.Graph[Any]:
    """A tree without any cycle, each of all the labeled trees with n nodes equally likely."""
    check_size(n, n - 1)
    return numbered(nx.random_labeled_tree(n, seed=rng.getrandbits(32)))


@topology("hierarchical(levels=3, size=4)", levels=(1, 10), size=(3, 50))
def hierarchical(levels: int = 2, size: int = 5) -> nx.Graph[Any]:
    """Groups of groups: each has copies around it, whose outer members meet the first hub.

    A group of that size where all meet all gets ``size`` - 1 copies; the members at the edge of the
    copies are joined to the hub of the group in the middle, and so on for every level (Ravasz and
    Barabási, Physical Review E 67, 026112, 2003).
    """
    n = float(size) ** levels
    check_size(n, n * size)
    graph: nx.Graph[Any] = nx.complete_graph(size)
    outer: Sequence[int] = range(1, size)
    for _ in range(levels - 1):
        block = len(graph)
        edges = list(graph.edges)
        copies = range(block, size * block, block)
        graph.add_edges_from((first + u, first + v) for first in copies for u, v in edges)
        outer = [first + node for first in copies for node in outer]
        graph.add_edges_from((0, node) for node in outer)
    return numbered(graph)


# Real networks, which networkx holds


@topology("les_miserables()")
def les_miserables() -> nx.Graph[Any]:
    """The 77 characters of Les Misérables; weights are the chapters in which two appear.

    Knuth, The Stanford GraphBase, 1993.
    """
    return _named(nx.les_miserables_graph())


@topology("davis_women()")
def davis_women() -> nx.Graph[Any]:
    """The 18 women of Davis, Gardner and Gardner; weights are the events two of them attended.

    Deep South, 1941: who was seen at which of 14 social events in a town in Mississippi.
    """
    both: Any = nx.davis_southern_women_graph()
    women = [node for node, side in both.nodes(data="bipartite") if side == 0]
    return _named(nx.bipartite.weighted_projected_graph(both, women))


@topology("florentine_families()")
def florentine_families() -> nx.Graph[Any]:
    """The 15 families of Florence in the 15th century that marriages joined.

    Padgett and Ansell, American Journal of Sociology 98, 1259, 1993; Breiger and Pattison 1986.
    """
    return _named(nx.florentine_families_graph())


def _named(graph: nx.Graph[Any]) -> nx.Graph[Any]:
    """Return the graph with nodes by name in order, and of attributes the weights only."""
    made: nx.Graph[Any] = nx.Graph()
    made.add_nodes_from(sorted(graph))
    for u, v in sorted(tuple(sorted(edge)) for edge in graph.edges):
        weight = graph.edges[u, v].get("weight")
        made.add_edge(u, v, **({} if weight is None else {"weight": weight}))
    return made
