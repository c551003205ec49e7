"""The graphs that agents live on: topologies by name, files, and graphs of networkx or scipy.

::

    read_graph("watts_strogatz(n=24, k=4, p=0.1)", rng)
    read_graph("friendships.graphml", rng)
    read_graph(nx.path_graph(5), rng)
    read_graph(scipy.sparse.csr_array([[0, 1], [1, 0]]), rng)
"""

from mesa_llm_norms.networks.adjacency import (
    Adjacency,
    Graph,
    Neighbors,
    Pair,
    graph_size,
    is_directed,
    read_adjacency,
    to_networkx,
)
from mesa_llm_norms.networks.generators import rewire
from mesa_llm_norms.networks.placement import PLACEMENTS, place_committed
from mesa_llm_norms.networks.reading import FORMATS, read_file, read_graph
from mesa_llm_norms.networks.registry import (
    Parameter,
    Topology,
    check_size,
    read_topology,
    topologies,
    topology,
)
from mesa_llm_norms.networks.validation import check_graph, components

__all__ = [
    "Adjacency",
    "FORMATS",
    "Graph",
    "Neighbors",
    "PLACEMENTS",
    "Pair",
    "Parameter",
    "Topology",
    "check_graph",
    "check_size",
    "components",
    "graph_size",
    "is_directed",
    "place_committed",
    "read_adjacency",
    "read_file",
    "read_graph",
    "read_topology",
    "rewire",
    "to_networkx",
    "topologies",
    "topology",
]
