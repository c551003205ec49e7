"""Who took up the winning name when."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import networkx as nx
import pandas as pd
import pytest

from mesa_llm_norms.analysis import adoption
from mesa_llm_norms.errors import SpecError


def table(graph: nx.Graph[Any], first: Sequence[int | None]) -> pd.DataFrame:
    rounds = pd.array(first, dtype="Int64")
    return pd.DataFrame({"node": list(graph), "first_with_winner": rounds})


def test_a_name_that_spreads_along_a_path_goes_with_the_distance_alone() -> None:
    path: Any = nx.path_graph(8)
    found = adoption(table(path, [0, 1, 2, 3, 4, 5, 6, None]), path, committed=[0])
    by_place = found.correlations.set_index("place")
    assert by_place["spearman"]["distance"] == 1
    assert by_place["nodes"]["distance"] == 6
    assert math.isnan(float(by_place["spearman"]["core"]))
    assert found.nodes["distance"].tolist() == list(range(8))
    assert math.isnan(found.nodes["first"][7])


def test_correlations_with_degree_and_core_are_those_of_ranks() -> None:
    club: Any = nx.karate_club_graph()
    first = [40 - club.degree[node] + node % 3 for node in club]
    found = adoption(table(club, first), club)
    expected = found.nodes[["degree", "first"]].corr("spearman").iloc[0, 1]
    by_place = found.correlations.set_index("place")
    assert by_place["spearman"]["degree"] == pytest.approx(expected)
    assert by_place["low"]["degree"] < expected < by_place["high"]["degree"]
    assert found.nodes["core"].tolist() == [nx.core_number(club)[node] for node in club]
    assert by_place["nodes"]["distance"] == 0


def test_another_network_and_unknown_nodes_are_refused() -> None:
    path: Any = nx.path_graph(5)
    nodes = table(path, [0, 1, 2, 3, 4])
    with pytest.raises(SpecError, match="graph that was played on"):
        adoption(nodes, nx.path_graph(6))
    with pytest.raises(SpecError, match="no such node"):
        adoption(nodes, path, committed=[9])
    with pytest.raises(SpecError):
        adoption(nodes[["node"]], path)
