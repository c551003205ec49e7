"""The graphs that agents live on: topologies by name, files, and graphs of networkx or scipy.

::

    read_graph("watts_strogatz(n=24, k=4, p=0.1)", rng)
    read_graph("friendships.graphml", rng)
    read_graph(nx.path_graph(5), rng)
    read_graph(scipy.sparse.csr_array([[0, 1], [1, 0]]), rng)
"""

import mesa_llm_norms.networks.families  # noqa: F401  gives its topologies their names
from mesa_llm_norms.networks.adjacency import (
    Graph,
    Neighbors,
    Pair,
    graph_size,
    is_directed,
)
from mesa_llm_norms.networks.contacts import contact_graph
from mesa_llm_norms.networks.generators import rewire
from mesa_llm_norms.networks.hypergraphs import hypergraph
from mesa_llm_norms.networks.placement import PLACEMENTS, place_committed
from mesa_llm_norms.networks.reading import read_graph
from mesa_llm_norms.networks.registry import (
    check_size,
    read_topology,
    topologies,
    topology,
)
from mesa_llm_norms.networks.validation import check_graph, components

__all__ = [
    "Graph",
    "Neighbors",
    "PLACEMENTS",
    "Pair",
    "check_graph",
    "check_size",
    "components",
    "contact_graph",
    "graph_size",
    "hypergraph",
    "is_directed",
    "place_committed",
    "read_graph",
    "read_topology",
    "rewire",
    "topologies",
    "topology",
]
