"""Hypergraphs: who meets in which groups, of two or more at once.

A hypergraph is a graph like any other, whose edges join those who are in a group together, with the
number of such groups as weight. The groups go along as an attribute of the graph. A graph without
them has its maximal cliques as groups.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.errors import GraphError, some
from mesa_llm_norms.networks.adjacency import GROUPS, Graph, Neighbors, to_networkx
from mesa_llm_norms.networks.columns import NONE, SEPARATORS, Lines, Options
from mesa_llm_norms.networks.registry import check_size, topology
from mesa_llm_norms.networks.tables import check_count, whole_ids
from mesa_llm_norms.networks.validation import EdgeTable, UnreadableError


@dataclass(frozen=True, eq=False)
class Groups:
    """The groups of a graph by index of nodes.

    Attributes
    ----------
    indptr, members : numpy.ndarray of int64
        The members of group g are ``members[indptr[g]:indptr[g + 1]]``.
    """

    indptr: NDArray[np.int64]
    members: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @classmethod
    def of(cls, graph: Graph, neighbors: Neighbors) -> Groups:
        """Return the groups of a graph, its maximal cliques if it names none.

        Parameters
        ----------
        graph : networkx.Graph or scipy.sparse.csr_array
            The graph.
        neighbors : Neighbors
            The same, made ready for drawing.

        Returns
        -------
        Groups
            Every group of two or more of the nodes that are there.
        """
        known = to_networkx(graph)
        named: Any = known.graph.get(GROUPS)
        found = nx.find_cliques(nx.Graph(known)) if named is None else named
        index = neighbors.index
        lists = [sorted(index[node] for node in group if node in index) for group in found]
        lists = [group for group in lists if len(group) > 1]
        if named is None:
            lists.sort()
        if not lists:
            raise GraphError("no group has two agents", "Add a group.", [*index])
        sizes = [0, *map(len, lists)]
        return cls(np.cumsum(sizes), np.array([node for group in lists for node in group]))


def hypergraph(groups: Iterable[Iterable[Hashable]]) -> nx.Graph[Any]:
    """Return the graph of who meets in which groups.

    Parameters
    ----------
    groups : iterable of iterables of hashable
        The members of each group: two or more different nodes.

    Returns
    -------
    networkx.Graph
        All members, joined where they share a group; ``weight`` is the number of groups shared.

    Raises
    ------
    GraphError
        If a group has fewer than two members, or one of them twice.
    """
    lists = [tuple(group) for group in groups]
    bad = [group for group in lists if len(set(group)) < max(2, len(group))]
    if bad or not lists:
        raise GraphError(
            f"not groups of two or more different nodes: {some(bad)}" if bad else "no group",
            "Name every member of a group once.",
            [],
        )
    made: nx.Graph[Any] = nx.Graph()
    made.add_nodes_from(node for group in lists for node in group)
    for group in lists:
        for u, v in combinations(group, 2):
            weight = made.edges[u, v]["weight"] if made.has_edge(u, v) else 0
            made.add_edge(u, v, weight=weight + 1)
    made.graph[GROUPS] = lists
    return made


@topology("groups(n=24, k=3, m=24)", connect_by="m", n=(2, 100_000), k=(2, 100), m=(1, 1_000_000))
def groups(n: int = 24, k: int = 3, m: int = 24, rng: random.Random | None = None) -> nx.Graph[Any]:
    """A random hypergraph: m groups of k, drawn uniformly; it is connected."""
    assert rng is not None
    if k > n:
        raise ValueError(f"groups of {k} among {n} nodes")
    check_size(n, m * k * (k - 1) / 2)
    made = hypergraph(rng.sample(range(n), k) for _ in range(m))
    graph: nx.Graph[Any] = nx.Graph(**made.graph)
    graph.add_nodes_from(range(n))
    graph.add_edges_from(made.edges(data=True))
    return graph


def read_groups(text: str, options: Options) -> EdgeTable:
    """Read groups.

    Parameters
    ----------
    text : str
        The members of a group on each line. Lines with a single one are passed over.
    options : mapping
        ``separator`` and ``comments`` as for edge lists, and ``weight="none"`` for a projection
        without weights.

    Returns
    -------
    EdgeTable
        The projection, with the groups.

    Raises
    ------
    UnreadableError
        If there is no group.
    """
    lines = Lines(text, options)
    marks = [name for name, mark in SEPARATORS.items() if name != "space" and mark in lines.first]
    separator = options.get("separator") or next(iter(marks), "space")
    lists: list[tuple[str, ...]] = []
    alone = skipped = pairs = 0
    for row in lines.rows(separator):
        members = tuple(dict.fromkeys(filter(None, row)))
        if lines.is_comment(row):
            skipped += 1
        elif len(members) > 1:
            lists.append(members)
            pairs += len(members) * (len(members) - 1) // 2
            check_count(0, pairs)
        else:
            alone += bool(members)
    if not lists:
        raise UnreadableError("no line has two nodes or more")
    made = hypergraph(lists)
    ids = whole_ids(made)
    place = {node: at for at, node in enumerate(made)}
    weighted = options.get("weight") != NONE
    ends = [(place[u], place[v]) for u, v in made.edges]
    return EdgeTable(
        nodes=ids,
        ends=np.array(ends, np.int64),
        weights=np.array([data["weight"] for *_, data in made.edges(data=True)], float)
        if weighted
        else None,
        weight_name="numbers of groups" if weighted else "",
        skipped=skipped + sum(1 for line in lines.comments if line.strip()),
        notes=[f"{alone:,} lines with a single node are passed over"] if alone else [],
        attributes={GROUPS: [tuple(ids[place[node]] for node in group) for group in lists]},
    )
