"""Networks in numbers, against networkx."""

from __future__ import annotations

import random
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from strategies import graphs

from mesa_llm_norms.networks.adjacency import Neighbors, to_networkx
from mesa_llm_norms.networks.descriptors import describe_network
from mesa_llm_norms.networks.reading import read_graph


@given(graph=graphs())
@settings(max_examples=40, deadline=None)
def test_small_networks_have_the_numbers_of_networkx(graph: nx.Graph[Any]) -> None:
    """Of the undirected network without weights, paths and gap of its largest part."""
    found = describe_network(Neighbors(graph))
    plain: nx.Graph[Any] = nx.Graph()
    plain.add_nodes_from(graph)
    plain.add_edges_from(graph.edges)
    sizes = sorted(map(len, nx.connected_components(plain)))
    assert found["largest_part"] == pytest.approx(sizes[-1] / len(plain))
    assert found["clustering"] == pytest.approx(nx.average_clustering(plain))
    degrees = np.array([degree for _, degree in plain.degree])
    assert found["heterogeneity"] == pytest.approx((degrees**2).mean() / degrees.mean() ** 2)
    if len(set(degrees[degrees > 0])) > 1:
        expected = nx.degree_pearson_correlation_coefficient(plain)
        assert found["assortativity"] == pytest.approx(expected, abs=1e-9)
    else:
        assert found["assortativity"] is None
    if len(sizes) == 1:
        assert found["mean_path"] == pytest.approx(nx.average_shortest_path_length(plain))
        eigenvalues = np.sort(np.linalg.eigvals(nx.normalized_laplacian_matrix(plain).toarray()))
        assert found["spectral_gap"] == pytest.approx(eigenvalues[1].real, abs=1e-8)
    assert found["sampled"] is None


def test_dense_networks_are_measured_in_bounded_work() -> None:
    """Every pair of a complete network is joined; nearly complete ones are sampled."""
    complete = describe_network(Neighbors(read_graph("complete(n=1500)", random.Random(0))))
    assert complete["mean_path"] == complete["clustering"] == 1
    assert complete["spectral_gap"] == pytest.approx(1500 / 1499)
    small: Any = nx.complete_graph(6)
    whole = describe_network(Neighbors(small))
    small.remove_edge(0, 1)
    assert describe_network(Neighbors(small)) != whole
    less: Any = nx.complete_graph(1_000)
    less.remove_edge(0, 1)
    found = describe_network(Neighbors(less))
    assert found["sampled"] is not None
    assert found["mean_path"] == pytest.approx(1, abs=0.01)
    assert found["clustering"] == pytest.approx(1, abs=0.01)


def test_a_large_network_is_measured_from_a_sample_that_is_stated() -> None:
    drawn = read_graph("watts_strogatz(n=4000, k=6, p=0.1)", random.Random(3))
    found = describe_network(Neighbors(drawn))
    assert found["sampled"] == 500
    assert found["spectral_gap"] is None
    plain = to_networkx(drawn)
    assert found["clustering"] == pytest.approx(nx.average_clustering(plain), rel=0.05)
    some: Any = nx.single_source_shortest_path_length(plain, 0)
    assert found["mean_path"] == pytest.approx(sum(some.values()) / 3999, rel=0.15)


def test_the_gap_of_a_middling_network_is_that_of_all_its_eigenvalues() -> None:
    drawn = to_networkx(read_graph("erdos_renyi(n=600, p=0.02)", random.Random(3)))
    laplacian = nx.normalized_laplacian_matrix(drawn).toarray()
    expected = np.linalg.eigvalsh(laplacian)[1]
    assert describe_network(Neighbors(drawn))["spectral_gap"] == pytest.approx(expected, abs=1e-6)
