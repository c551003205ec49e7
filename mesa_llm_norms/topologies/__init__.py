"""The graphs that agents live on: by name, from a file, or your own from networkx.

::

    read_graph("watts_strogatz(n=24, k=4, p=0.1)", rng)
    read_graph("friendships.graphml", rng)
    read_graph(nx.path_graph(5), rng)
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import networkx as nx

from mesa_llm_norms.errors import TopologyError
from mesa_llm_norms.topologies import catalogue as _catalogue  # noqa: F401  registers its topologies
from mesa_llm_norms.topologies.checks import check_edges, check_graph, parts
from mesa_llm_norms.topologies.files import FORMATS, read_file
from mesa_llm_norms.topologies.files import is_file as _is_file
from mesa_llm_norms.topologies.registry import (
    MAX_EDGES,
    MAX_NODES,
    Parameter,
    Topology,
    check_size,
    read_topology,
    topologies,
    topology,
)
from mesa_llm_norms.topologies.registry import is_topology as _is_topology

__all__ = [
    "FORMATS",
    "MAX_EDGES",
    "MAX_NODES",
    "Parameter",
    "Topology",
    "check_edges",
    "check_graph",
    "check_size",
    "names_file",
    "parts",
    "read_file",
    "read_graph",
    "read_topology",
    "topologies",
    "topology",
]


def read_graph(graph: Any, rng: random.Random) -> nx.Graph[Any]:
    """Return the graph that a ``graph=`` argument stands for.

    A networkx graph is returned as it is, not copied. A ``Path`` is a file. A string is a file if
    it has a suffix of ``FORMATS``, else a topology (``"ring"``, ``"ring(n=12, k=4)"``) if it starts
    with the name of one, else a file if one is there. Random topologies draw from ``rng``, so the
    same state gives the same graph. Whether the game can be played on it, ``check_graph`` says.

    Raises ``TopologyError`` for anything else, ``FileFormatError`` for a file that cannot be read.
    """
    if isinstance(graph, nx.Graph):
        return graph
    if names_file(graph):
        return read_file(Path(graph))
    if isinstance(graph, str):
        return read_topology(graph, rng)
    raise TopologyError(
        "graph",
        graph,
        f"a {type(graph).__name__} is no graph",
        'Give a networkx graph, a topology such as "ring(n=24)", or the path of a graph file.',
    )


def names_file(graph: Any) -> bool:
    """Whether a ``graph=`` argument means a file, by the rule of ``read_graph``."""
    if isinstance(graph, Path):
        return True
    if not isinstance(graph, str):
        return False
    return Path(graph).suffix.lower() in FORMATS or (not _is_topology(graph) and _is_file(graph))
