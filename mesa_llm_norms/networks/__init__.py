"""The graphs that agents live on: by name, from a file, or your own from networkx or scipy.

::

    read_graph("watts_strogatz(n=24, k=4, p=0.1)", rng)
    read_graph("friendships.graphml", rng)
    read_graph(nx.path_graph(5), rng)
    read_graph(scipy.sparse.csr_array([[0, 1], [1, 0]]), rng)
"""

from mesa_llm_norms.networks import generators as _generators  # noqa: F401  registers its topologies
from mesa_llm_norms.networks.adjacency import (
    Adjacency,
    Graph,
    graph_size,
    is_directed,
    is_sparse,
    read_adjacency,
    to_networkx,
)
from mesa_llm_norms.networks.graph_files import (
    FORMATS,
    is_random,
    names_file,
    read_file,
    read_graph,
)
from mesa_llm_norms.networks.registry import (
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
from mesa_llm_norms.networks.validation import check_edges, check_graph, parts

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
    "graph_size",
    "is_directed",
    "is_random",
    "is_sparse",
    "names_file",
    "parts",
    "read_adjacency",
    "read_file",
    "read_graph",
    "read_topology",
    "to_networkx",
    "topologies",
    "topology",
]
