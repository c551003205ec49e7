"""Null models: random networks that share something with a given one, and nothing else.

``rewired`` and ``configuration`` share the degree of every node, ``same_size`` only the numbers of
nodes and edges. Nodes keep their ids and attributes; edges keep their directions, and weights stay
with edges, wherever these lead. A network in one part is drawn in one part.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from mesa_llm_norms.networks.adjacency import Graph, to_networkx
from mesa_llm_norms.networks.registry import check_size, topology

_ROUNDS = 20
"""How often each edge is offered an exchange, on average."""

_TRIES = 200
"""How often a pair that is not allowed is offered an exchange."""


@topology("rewired(karate, share=0.5)", share=(0, 1))
def rewired(graph: Any = "watts_strogatz", share: float = 1.0, *, rng: random.Random) -> Graph:
    """Another graph with a share of its edges moved at random, every node keeping its degree.

    Edges a-b and c-d become a-d and c-b, again and again, where that makes no loop or double edge
    (Maslov and Sneppen, Science 296, 910, 2002). Of a directed graph every node keeps its in-degree
    and its out-degree.
    """
    ends = _Ends.of(graph, rng)
    moving = ends.chance.permutation(len(ends.pairs))[: round(share * len(ends.pairs))]
    for _ in range(_ROUNDS):
        ends.exchange(ends.chance.permutation(moving))
    ends.join(keep_degrees=True)
    return ends.graph()


@topology("configuration(karate)")
def configuration(graph: Any = "watts_strogatz", *, rng: random.Random) -> Graph:
    """A new graph with the degrees of another: the ends of its edges are paired at random.

    That is the configuration model (Molloy and Reed, Random Structures and Algorithms 6, 161,
    1995); pairs that would be loops or double edges then exchange ends with random edges.
    """
    ends = _Ends.of(graph, rng)
    ends.pair()
    ends.join(keep_degrees=True)
    return ends.graph()


@topology("same_size(karate)")
def same_size(graph: Any = "watts_strogatz", *, rng: random.Random) -> Graph:
    """Pure chance with as many nodes and edges as another graph has.

    All graphs of that size are equally likely (Erdős and Rényi 1959), but for the edges that are
    moved to join the parts of one that is in more parts than the other graph.
    """
    ends = _Ends.of(graph, rng)
    ends.scatter()
    ends.join(keep_degrees=False)
    return ends.graph()


def with_degrees(degrees: NDArray[np.int64], rng: random.Random) -> nx.Graph[Any]:
    """Return a random connected graph whose nodes, from 0, have these degrees.

    Raises ``ValueError`` if there is no such graph.
    """
    if degrees.sum() < 2 * (len(degrees) - 1) or not nx.is_graphical(degrees.tolist()):
        raise ValueError("no connected graph has these degrees")
    ends = _Ends.of(nx.havel_hakimi_graph(degrees.tolist()), rng, parts=1)
    ends.pair()
    ends.join(keep_degrees=True)
    made: nx.Graph[Any] = ends.graph()
    return made


def joined(graph: nx.Graph[Any], rng: random.Random) -> nx.Graph[Any]:
    """Return a graph in one part: for each other part an edge on a cycle is moved to lead there.

    Raises ``ValueError`` if it has too few edges.
    """
    if nx.is_connected(graph):
        return graph
    if graph.number_of_edges() < len(graph) - 1:
        raise ValueError("it has too few edges to be connected")
    ends = _Ends.of(graph, rng, parts=1)
    ends.join(keep_degrees=False)
    return ends.graph()


@dataclass
class _Ends:
    """The edges of a graph as pairs of places of its nodes, which are moved about.

    ``parts`` is how many parts it may be in. ``parallel`` edges, loops, and more than one of u-v
    and v-u in an undirected graph are not allowed.
    """

    source: nx.Graph[Any]
    nodes: list[Any]
    pairs: NDArray[np.int64]
    data: list[dict[str, Any]]
    parts: int
    chance: np.random.Generator

    @classmethod
    def of(cls, graph: Graph, rng: random.Random, parts: int = 0) -> _Ends:
        source = to_networkx(graph)
        if source.is_multigraph() or nx.number_of_selfloops(source):
            raise ValueError(
                "parallel edges, and edges from a node to itself, are not moved; parallel=sum and "
                "loops=drop clean a file"
            )
        check_size(len(source), source.number_of_edges())
        nodes = list(source)
        place = {node: at for at, node in enumerate(nodes)}
        listed = [(place[u], place[v], data) for u, v, data in source.edges(data=True)]
        pairs = np.array([(u, v) for u, v, _ in listed], np.int64).reshape(-1, 2)
        chance = np.random.Generator(np.random.PCG64(rng.getrandbits(128)))
        ends = cls(source, nodes, pairs, [data for _, _, data in listed], parts, chance)
        ends.parts = parts or ends._components()[0]
        return ends

    @property
    def directed(self) -> bool:
        return self.source.is_directed()

    def graph(self) -> nx.Graph[Any]:
        """Return the graph, its nodes and edges in order."""
        made: nx.Graph[Any] = nx.DiGraph() if self.directed else nx.Graph()
        made.add_nodes_from(self.source.nodes(data=True))
        order = np.lexsort(self._sorted(self.pairs).T[::-1])
        pairs = self._sorted(self.pairs)
        for at, (u, v) in zip(order.tolist(), pairs[order].tolist(), strict=True):
            weight = {key: it for key, it in self.data[at].items() if key == "weight"}
            made.add_edge(self.nodes[u], self.nodes[v], **weight)
        return made

    def exchange(self, some: NDArray[np.int64]) -> None:
        """Have edges exchange their heads with one another, two and two, where that is allowed."""
        half = len(some) // 2
        first, second = some[:half], some[half : 2 * half]
        if not self.directed:
            flipped = self.chance.random(half) < 0.5
            self.pairs[second[flipped]] = self.pairs[second[flipped]][:, ::-1]
        one = np.stack([self.pairs[first, 0], self.pairs[second, 1]], axis=1)
        other = np.stack([self.pairs[second, 0], self.pairs[first, 1]], axis=1)
        made = np.concatenate([self._keys(one), self._keys(other)])
        _, place, count = np.unique(made, return_inverse=True, return_counts=True)
        good = (count[place] == 1) & ~np.isin(made, self._keys(self.pairs))
        good &= np.concatenate([one[:, 0] != one[:, 1], other[:, 0] != other[:, 1]])
        both = good[:half] & good[half:]
        self.pairs[first[both]], self.pairs[second[both]] = one[both], other[both]

    def pair(self) -> None:
        """Pair all ends at random, then have pairs that are not allowed exchange their heads."""
        before = self.pairs.copy()
        if self.directed:
            self.pairs[:, 1] = self.chance.permutation(self.pairs[:, 1])
        else:
            self.pairs = self.chance.permutation(self.pairs.ravel()).reshape(-1, 2)
        for _ in range(_TRIES):
            bad = np.flatnonzero(~self._allowed())
            if not len(bad):
                return
            others = self.chance.permutation(len(self.pairs))
            others = others[~np.isin(others, bad)][: len(bad)]
            self.exchange(np.concatenate([bad[: len(others)], others]))
        self.pairs = before  # dense: few graphs have these degrees, and random pairs hit none
        for _ in range(5 * _ROUNDS):
            self.exchange(self.chance.permutation(len(self.pairs)))

    def scatter(self) -> None:
        """Lead as many edges between other nodes, all pairs being equally likely."""
        n, edges = len(self.nodes), len(self.pairs)
        most = n * (n - 1) // (1 if self.directed else 2)
        if 4 * edges > most:
            rows = np.stack(np.nonzero(~np.eye(n, dtype=bool)), axis=1)
            every = rows if self.directed else rows[rows[:, 0] < rows[:, 1]]
            self.pairs = every[self.chance.permutation(most)[:edges]]
            return
        keys = np.zeros(0, np.int64)
        while len(keys) < edges:
            drawn = self.chance.integers(n, size=(edges - len(keys) + 10, 2))
            drawn = drawn[drawn[:, 0] != drawn[:, 1]]
            keys = np.unique(np.concatenate([keys, self._keys(drawn)]))
        keys = self.chance.permutation(keys)[:edges]
        self.pairs = np.stack([keys // n, keys % n], axis=1)

    def join(self, *, keep_degrees: bool) -> None:
        """Move as few edges as it takes for the graph to be in no more parts than it may be.

        An edge on a cycle can go without its part falling apart. It exchanges its head with an edge
        of another part, or leads there itself.
        """
        count, number_of = self._components()
        if count <= self.parts:
            return
        spare_of: list[list[int]] = [[] for _ in range(count)]
        tied_of: list[list[int]] = [[] for _ in range(count)]
        spare = self._redundant()
        for at in self.chance.permutation(len(self.pairs)).tolist():
            (spare_of if spare[at] else tied_of)[number_of[self.pairs[at, 0]]].append(at)
        sizes = np.bincount(number_of)
        main = max(range(count), key=lambda part: (len(spare_of[part]) > 0, sizes[part]))
        free = spare_of[main]
        inside = np.flatnonzero(number_of == main).tolist()
        others = sorted(set(range(count)) - {main}, key=lambda it: (not spare_of[it], sizes[it]))
        for part in others:
            if count <= self.parts or not free:
                return
            moved, members = free.pop(), np.flatnonzero(number_of == part).tolist()
            if keep_degrees:
                if not spare_of[part] and not tied_of[part]:
                    free.append(moved)  # a node without any edge stays one
                    continue
                spares = spare_of[part]
                with_it = (spares or tied_of[part]).pop()
                heads = self.pairs[[moved, with_it], 1]
                self.pairs[[with_it, moved], 1] = heads
                # Two edges join the parts now where one would do, unless ``with_it`` was tied.
                if spares:
                    free += [*spares, with_it]
                elif spare[with_it]:
                    free.insert(0, with_it)
            else:
                near, far = self.chance.integers(len(inside)), self.chance.integers(len(members))
                self.pairs[moved] = inside[near], members[far]
                free += spare_of[part]
            inside += members
            count -= 1

    def _allowed(self) -> NDArray[np.bool_]:
        keys = self._keys(self.pairs)
        _, place, count = np.unique(keys, return_inverse=True, return_counts=True)
        found: NDArray[np.bool_] = (count[place] == 1) & (self.pairs[:, 0] != self.pairs[:, 1])
        return found

    def _sorted(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        return pairs if self.directed else np.sort(pairs, axis=1)

    def _keys(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        ordered = self._sorted(pairs)
        keys: NDArray[np.int64] = ordered[:, 0] * len(self.nodes) + ordered[:, 1]
        return keys

    def _components(self) -> tuple[int, NDArray[np.int32]]:
        count, number_of = csgraph.connected_components(self._matrix(), directed=False)
        return int(count), number_of

    def _redundant(self) -> NDArray[np.bool_]:
        """Return which edges are not part of a spanning forest, a random one."""
        names = self.chance.permutation(len(self.pairs)) + 1
        forest = csgraph.minimum_spanning_tree(self._matrix(names))
        found: NDArray[np.bool_] = ~np.isin(names, forest.data.astype(np.int64))
        return found

    def _matrix(self, values: NDArray[np.int64] | None = None) -> Any:
        size = len(self.nodes)
        values = np.ones(len(self.pairs), np.int64) if values is None else values
        u, v = self.pairs.T
        return sparse.coo_array((values.astype(np.float64), (u, v)), shape=(size, size)).tocsr()
