"""Where names agree and where they clash on a network, at one moment.

An edge can only agree or be in conflict once both its ends have played; it is *silent* before that
and counts for neither. An agent that has not played is in no cluster.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mesa_llm_norms.statistics.edges import Edges, Held, Indices


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
