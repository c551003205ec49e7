"""The graphs that agents live on: by name, from a file, or your own from networkx or scipy.

::

    read_graph("watts_strogatz(n=24, k=4, p=0.1)", rng)
    read_graph("friendships.graphml", rng)
    read_graph(nx.path_graph(5), rng)
    read_graph(scipy.sparse.csr_array([[0, 1], [1, 0]]), rng)
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import networkx as nx

from mesa_llm_norms.errors import TopologyError
from mesa_llm_norms.topologies import catalogue as _catalogue  # noqa: F401  registers its topologies
from mesa_llm_norms.topologies.adjacency import (
    Adjacency,
    Graph,
    is_directed,
    is_sparse,
    read_adjacency,
    size,
    to_networkx,
)
from mesa_llm_norms.topologies.checks import check_edges, check_graph, parts
from mesa_llm_norms.topologies.files import FORMATS, read_file
from mesa_llm_norms.topologies.files import is_file as _is_file
from mesa_llm_norms.topologies.registry import (
    MAX_EDGES,
    MAX_NODES,
    MAX_SPARSE_EDGES,
    MAX_SPARSE_NODES,
    Parameter,
    Topology,
    check_size,
    find_topology,
    read_topology,
    topologies,
    topology,
)

__all__ = [
    "Adjacency",
    "FORMATS",
    "Graph",
    "MAX_EDGES",
    "MAX_NODES",
    "MAX_SPARSE_EDGES",
    "MAX_SPARSE_NODES",
    "Parameter",
    "Topology",
    "check_edges",
    "check_graph",
    "check_size",
    "find_topology",
    "is_directed",
    "is_random",
    "is_sparse",
    "names_file",
    "parts",
    "read_adjacency",
    "read_file",
    "read_graph",
    "read_topology",
    "size",
    "to_networkx",
    "topologies",
    "topology",
]


def read_graph(graph: Any, rng: random.Random) -> Graph:
    """Return the graph that a ``graph=`` argument stands for.

    A networkx graph is returned as it is, not copied. A scipy sparse array or matrix says whom the
    nodes 0 to n - 1 may meet, undirected if it is symmetric, and comes back as ``read_adjacency``
    makes it. A ``Path`` is a file. A string is a file if it has a suffix of ``FORMATS``, else a
    topology (``"ring"``, ``"ring(n=12, k=4)"``) if it starts with the name of one, else a file if
    one is there. Random topologies draw from ``rng``, so the same state gives the same graph.
    Whether the game can be played on it, ``check_graph`` says.

    Raises ``TopologyError`` for anything else, ``FileFormatError`` for a file that cannot be read,
    ``GraphError`` for a sparse array that is no adjacency.
    """
    if isinstance(graph, nx.Graph):
        return graph
    if is_sparse(graph):
        return read_adjacency(graph)
    if names_file(graph):
        return read_file(Path(graph))
    if isinstance(graph, str):
        return read_topology(graph, rng)
    raise TopologyError(
        "graph",
        graph,
        f"a {type(graph).__name__} is no graph",
        'Give a networkx graph, a scipy sparse array, a topology such as "ring(n=24)", or the path '
        "of a graph file.",
    )


def names_file(graph: Any) -> bool:
    """Whether a ``graph=`` argument means a file, by the rule of ``read_graph``."""
    if isinstance(graph, Path):
        return True
    if not isinstance(graph, str):
        return False
    return Path(graph).suffix.lower() in FORMATS or (
        find_topology(graph) is None and _is_file(graph)
    )


def is_random(graph: Any) -> bool:
    """Whether a ``graph=`` argument means another graph whenever it is read."""
    if not isinstance(graph, str) or names_file(graph):
        return False
    kind = find_topology(graph)
    return kind is not None and kind.takes_rng
