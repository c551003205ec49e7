"""Who is tied to whom and what each holds, as arrays: what every count on a network starts from.

Where names agree and where they clash on a network, at one moment.

An edge can only agree or be in conflict once both its ends have played; it is *silent* before that
and counts for neither. An agent that has not played is in no cluster.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.errors import SpecError, some
from mesa_llm_norms.networks.adjacency import Neighbors

Indices = NDArray[np.intp]


class Held(NamedTuple):
    """The name each node holds: ``codes[i]`` for node i, -1 for an agent that has not played.

    ``names[code]`` is the name; None where names were given as codes, which then are the names.
    """

    codes: NDArray[np.integer[Any]]
    names: tuple[str, ...] | None

    def name(self, code: int) -> Hashable:
        """Return the name that a code stands for."""
        return int(code) if self.names is None else self.names[code]


@dataclass(frozen=True, eq=False, slots=True)
class Edges:
    """The edges of a network: edge e joins ``nodes[first[e]]`` and ``nodes[second[e]]``.

    Every tie is in it once: directions, weights, parallel edges and loops are left out. Reading a
    graph takes longer than counting on it, so read it once where many runs share it, with
    ``Edges.read``; every function here takes the result in the place of the graph.
    """

    nodes: Sequence[Any]
    first: Indices
    second: Indices

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def read(cls, graph: Any) -> Edges:
        """Return the edges of a networkx graph, or of a square scipy sparse adjacency.

        The nodes of an adjacency are 0 to n - 1, and what is not zero in it is an edge. Raises
        ``SpecError`` for anything else.
        """
        if isinstance(graph, cls):
            return graph
        if isinstance(graph, nx.Graph):
            nodes = tuple(graph)
            place = {node: index for index, node in enumerate(nodes)}
            count = graph.number_of_edges()
            first = np.fromiter((place[u] for u, _ in graph.edges()), np.intp, count)
            second = np.fromiter((place[v] for _, v in graph.edges()), np.intp, count)
            simple = not graph.is_directed() and not graph.is_multigraph()
            return cls(nodes, *_once(first, second, len(nodes), known_unique=simple))
        matrix: Any = graph
        shape: tuple[int, ...] = matrix.shape if sparse.issparse(graph) else ()
        if len(shape) == 2 and shape[0] == shape[1]:
            entries = matrix.tocoo()
            tied = entries.data != 0
            rows, columns = (side[tied].astype(np.intp) for side in (entries.row, entries.col))
            return cls(range(shape[0]), *_once(rows, columns, shape[0]))
        raise SpecError(
            "graph",
            graph,
            f"{type(graph).__name__} is no network",
            "Give a networkx graph, or a square scipy sparse adjacency.",
        )

    @classmethod
    def of_neighbors(cls, neighbors: Neighbors) -> Edges:
        """Return the edges of a graph that is already read as neighbors."""
        first, second = neighbors.tails.astype(np.intp), neighbors.heads.astype(np.intp)
        unique = not neighbors.directed
        return cls(neighbors.nodes, *_once(first, second, len(neighbors), known_unique=unique))

    def hold(self, names: Any) -> Held:
        """Return what each node holds, from ``{node: name or None}`` or an array of codes.

        A node that is not in the mapping has not played. An array has one whole number per node in
        their order, -1 for one that has not played. Raises ``SpecError`` for names on nodes that
        the network does not have, and for arrays of another shape or kind.
        """
        if isinstance(names, np.ndarray):
            if names.shape != (len(self.nodes),) or names.dtype.kind not in "iu":
                raise SpecError(
                    "names",
                    names,
                    f"{names.dtype} of shape {names.shape} for {len(self.nodes)} nodes",
                    "Give one whole number per node, -1 where nothing was played.",
                )
            if len(names) and names.min() < -1:
                raise SpecError("names", names, "numbers below -1", "Use -1 for no name.")
            return Held(names, None)
        if not isinstance(names, Mapping):
            raise SpecError(
                "names",
                names,
                f"{type(names).__name__} does not say who holds what",
                "Give {node: name or None}, or an array of whole numbers.",
            )
        found: dict[str, int] = {}
        present = 0
        codes = np.full(len(self.nodes), -1, dtype=np.intp)
        for index, node in enumerate(self.nodes):
            if node in names:
                present += 1
                name = names[node]
                if name is not None:
                    codes[index] = found.setdefault(name, len(found))
        if present < len(names):
            known = set(self.nodes)
            strange = [node for node in names if node not in known]
            raise SpecError("names", names, f"no such node: {some(strange)}", "Name nodes of it.")
        return Held(codes, tuple(found))


def _once(
    first: Indices, second: Indices, size: int, known_unique: bool = False
) -> tuple[Indices, Indices]:
    """Return every tie once, the way round it came first, without loops."""
    apart = first != second
    if not apart.all():
        first, second = first[apart], second[apart]
    if known_unique:
        return first, second
    keys = np.minimum(first, second) * size + np.maximum(first, second)
    kept = np.sort(np.unique(keys, return_index=True)[1])
    return first[kept], second[kept]


def local_agreement(graph: Any, names: Any) -> float:
    """Return the share of edges whose ends hold the same name, of those with two ends that played.

    ``graph`` is a networkx graph, a scipy sparse adjacency, or ``Edges`` read from one; ``names``
    is ``{node: name or None}`` (as in ``model.names_held``) or one code per node, -1 for none.
    Between 0 and 1; nan where no edge has two ends that played. Raises ``SpecError`` where the two
    do not fit together.
    """
    edges = Edges.read(graph)
    codes = edges.hold(names).codes
    a, b = codes[edges.first], codes[edges.second]
    spoken = np.minimum(a, b) >= 0
    judged = np.count_nonzero(spoken)
    return np.count_nonzero((a == b) & spoken) / judged if judged else math.nan


def conflict_share(graph: Any, names: Any) -> float:
    """Return the share of edges whose ends hold different names: 1 minus the local agreement."""
    return 1 - local_agreement(graph, names)


def conflict_edges(graph: Any, names: Any) -> list[tuple[Any, Any]]:
    """Return the edges whose ends hold different names, as pairs of nodes in the graph's order.

    Arguments and errors as in ``local_agreement``.
    """
    edges = Edges.read(graph)
    codes = edges.hold(names).codes
    a, b = codes[edges.first], codes[edges.second]
    clash = np.flatnonzero((a != b) & (np.minimum(a, b) >= 0))
    ends = edges.first[clash].tolist(), edges.second[clash].tolist()
    if isinstance(edges.nodes, range):
        return list(zip(*ends, strict=True))
    return [(edges.nodes[i], edges.nodes[j]) for i, j in zip(*ends, strict=True)]


@dataclass(frozen=True, eq=False, slots=True)
class Clusters:
    """Neighbours of neighbours who hold one name: the connected parts of the agreeing edges.

    The largest cluster is number 0; of equals, the one with the earlier node comes first. ``of[i]``
    is the cluster of ``nodes[i]``, -1 for an agent that has not played; ``sizes`` counts agents. An
    agent at odds with all its neighbours is a cluster of one.
    """

    nodes: Sequence[Any]
    of: Indices
    sizes: Indices
    codes: Indices
    """The code of the name each cluster holds."""
    held: Held

    def __len__(self) -> int:
        return len(self.sizes)

    @property
    def players(self) -> int:
        """How many agents have played."""
        return int(self.sizes.sum())

    @property
    def largest_share(self) -> float:
        """Share of the agents that played who are in the largest cluster; nan if none played."""
        return int(self.sizes[0]) / self.players if len(self.sizes) else math.nan

    @property
    def names(self) -> list[Hashable]:
        """The name of every cluster."""
        return [self.held.name(code) for code in self.codes.tolist()]

    def members(self, cluster: int) -> list[Any]:
        """Return the nodes of a cluster, in the order of the graph."""
        return [self.nodes[index] for index in np.flatnonzero(self.of == cluster).tolist()]

    def by_name(self) -> pd.DataFrame:
        """Return one row per name held: name, clusters, agents, largest (agents in its largest)."""
        table = pd.DataFrame({"name": self.names, "size": self.sizes})
        sizes = table.groupby("name", sort=False)["size"]
        found = pd.DataFrame(
            {"clusters": sizes.size(), "agents": sizes.sum(), "largest": sizes.max()}
        )
        return found.reset_index()


def name_clusters(graph: Any, names: Any) -> Clusters:
    """Return the clusters of same-name neighbours. Arguments and errors as in ``local_agreement``.

    On a network where every tie agrees, there are as many clusters as the network has parts.
    """
    edges = Edges.read(graph)
    held = edges.hold(names)
    codes = held.codes
    a = codes[edges.first]
    agree = np.flatnonzero((a == codes[edges.second]) & (a >= 0))
    roots = _roots(edges.first[agree], edges.second[agree], len(edges.nodes))
    played = codes >= 0
    counts = np.bincount(roots[played], minlength=len(roots))
    first = np.flatnonzero(counts)
    first = first[np.argsort(-counts[first], kind="stable")]
    numbers = np.empty(len(roots), dtype=np.intp)
    numbers[first] = np.arange(len(first))
    of = np.where(played, numbers[roots], -1)
    return Clusters(edges.nodes, of, counts[first], codes[first].astype(np.intp), held)


def _roots(first: Indices, second: Indices, size: int) -> Indices:
    """Return for every node the lowest index that edges lead to, all edges at a time.

    Every root hooks onto its lowest neighbour and chains are halved until they are gone: Shiloach
    and Vishkin (J. Algorithms 3, 57, 1982).
    """
    root = np.arange(size)
    while True:
        a, b = root[first], root[second]
        apart = np.flatnonzero(a != b)
        if not len(apart):
            return root
        first, second, a, b = first[apart], second[apart], a[apart], b[apart]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        while True:
            jumped = root[root]
            if (jumped == root).all():
                break
            root = jumped
