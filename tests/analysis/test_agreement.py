"""Agreement on edges, same-name clusters, and the conventions of communities."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from strategies import graphs

from mesa_llm_norms import NamingGame
from mesa_llm_norms.analysis.agreement import (
    Edges,
    conflict_edges,
    conflict_share,
    local_agreement,
    name_clusters,
)
from mesa_llm_norms.analysis.communities import community_conventions, read_communities
from mesa_llm_norms.errors import SpecError

Names = dict[Hashable, str | None]
few = settings(max_examples=40)


@st.composite
def situations(draw: st.DrawFn) -> tuple[nx.Graph[Any], Names]:
    """Draw a graph and who holds what; some have not played, some are not even listed."""
    graph = draw(graphs())
    held = st.sampled_from(["Q", "M", "X", None])
    names = {node: draw(held) for node in graph}
    for node in draw(st.lists(st.sampled_from(list(graph)), max_size=2)):
        names.pop(node, None)
    return graph, names


def plain(graph: nx.Graph[Any]) -> nx.Graph[Any]:
    simple: nx.Graph[Any] = nx.Graph(graph.to_undirected())
    simple.remove_edges_from(list(nx.selfloop_edges(simple)))
    return simple


def test_a_worked_example() -> None:
    """A path of six: Q Q M M - Q, where the fifth has not played."""
    graph = nx.path_graph(6)
    names: Names = {0: "Q", 1: "Q", 2: "M", 3: "M", 4: None, 5: "Q"}
    assert local_agreement(graph, names) == 2 / 3
    assert conflict_share(graph, names) == pytest.approx(1 / 3)
    assert conflict_edges(graph, names) == [(1, 2)]
    clusters = name_clusters(graph, names)
    assert clusters.sizes.tolist() == [2, 2, 1]
    assert clusters.names == ["Q", "M", "Q"]
    assert clusters.of.tolist() == [0, 0, 1, 1, -1, 2]
    assert (len(clusters), clusters.players, clusters.largest_share) == (3, 5, 2 / 5)
    assert clusters.members(1) == [2, 3]
    by_name = clusters.by_name().set_index("name")
    assert by_name.loc["Q"].to_dict() == {"clusters": 2, "agents": 3, "largest": 2}
    assert by_name.loc["M"].to_dict() == {"clusters": 1, "agents": 2, "largest": 2}


@few
@given(situations())
def test_clusters_are_the_parts_of_the_agreeing_edges(
    situation: tuple[nx.Graph[Any], Names],
) -> None:
    graph, names = situation
    simple = plain(graph)
    agreeing = nx.Graph(
        (u, v) for u, v in simple.edges if names.get(u) is not None and names.get(u) == names.get(v)
    )
    agreeing.add_nodes_from(node for node in graph if names.get(node) is not None)
    clusters = name_clusters(graph, names)
    got = [frozenset(clusters.members(number)) for number in range(len(clusters))]
    assert set(got) == {frozenset(part) for part in nx.connected_components(agreeing)}
    assert clusters.sizes.tolist() == sorted(map(len, got), reverse=True)
    assert sum(map(len, got)) == clusters.players == len(agreeing)
    for nodes, name in zip(got, clusters.names, strict=True):
        assert {names[node] for node in nodes} == {name}


@few
@given(situations())
def test_agreement_is_one_where_and_only_where_no_edge_is_in_conflict(
    situation: tuple[nx.Graph[Any], Names],
) -> None:
    graph, names = situation
    share, conflicts = local_agreement(graph, names), conflict_edges(graph, names)
    spoken = [
        (u, v)
        for u, v in plain(graph).edges
        if names.get(u) is not None and names.get(v) is not None
    ]
    if not spoken:
        assert math.isnan(share)
        assert math.isnan(conflict_share(graph, names))
        assert conflicts == []
        return
    clashes = {frozenset(edge) for edge in spoken if names[edge[0]] != names[edge[1]]}
    assert {frozenset(edge) for edge in conflicts} == clashes
    assert len(conflicts) == len(clashes)
    assert (share == 1) == (not conflicts)
    assert share == pytest.approx(1 - len(clashes) / len(spoken))


@few
@given(situations(), st.permutations(["Q", "M", "X"]), st.randoms(use_true_random=False))
def test_what_nodes_and_names_are_called_and_their_order_make_no_difference(
    situation: tuple[nx.Graph[Any], Names], others: list[str], chance: Any
) -> None:
    graph, names = situation
    order = list(graph)
    chance.shuffle(order)
    moved: nx.Graph[Any] = graph.__class__()
    called = {node: ("moved", number) for number, node in enumerate(order)}
    moved.add_nodes_from(called[node] for node in order)
    moved.add_edges_from((called[u], called[v]) for u, v in graph.edges)
    renamed: dict[str | None, str | None] = {None: None}
    renamed.update(zip("QMX", others, strict=True))
    new = {called[node]: renamed[name] for node, name in names.items()}
    assert local_agreement(graph, names) == pytest.approx(local_agreement(moved, new), nan_ok=True)
    one, other = name_clusters(graph, names), name_clusters(moved, new)
    assert one.sizes.tolist() == other.sizes.tolist()
    assert sorted(map(str, (renamed[str(name)] for name in one.names))) == sorted(
        map(str, other.names)
    )


@few
@given(situations())
def test_a_graph_its_adjacency_and_its_edges_say_the_same(
    situation: tuple[nx.Graph[Any], Names],
) -> None:
    graph, names = situation
    codes = np.array([{"Q": 0, "M": 1, "X": 2}.get(names.get(node) or "", -1) for node in graph])
    matrix = nx.to_scipy_sparse_array(graph, weight=None)
    edges = Edges.read(graph)
    assert Edges.read(edges) is edges
    assert len(edges) == len(Edges.read(matrix)) == plain(graph).number_of_edges()
    for network, held in ((edges, names), (edges, codes), (matrix, codes), (matrix.tocoo(), codes)):
        assert local_agreement(network, held) == pytest.approx(
            local_agreement(graph, names), nan_ok=True
        )
        assert name_clusters(network, held).of.tolist() == name_clusters(graph, names).of.tolist()
    nodes = list(graph)
    assert {frozenset((nodes[i], nodes[j])) for i, j in conflict_edges(matrix, codes)} == {
        frozenset(edge) for edge in conflict_edges(graph, names)
    }
    assert name_clusters(matrix, codes).names == [
        "QMX".index(str(name)) for name in name_clusters(graph, names).names
    ]


def test_loops_parallel_edges_directions_and_stored_zeros_are_no_ties_of_their_own() -> None:
    many: nx.Graph[int] = nx.MultiDiGraph([(0, 1), (1, 0), (0, 1), (1, 1), (1, 2)])
    assert len(Edges.read(many)) == 2
    matrix = sparse.csr_array(np.array([[1, 2, 0], [2, 0, 0], [0, 0, 0]]))
    matrix.data[0] = 0
    assert len(Edges.read(matrix)) == 1


def test_nobody_has_played() -> None:
    graph = nx.path_graph(3)
    clusters = name_clusters(graph, {})
    assert (len(clusters), clusters.players, clusters.names) == (0, 0, [])
    assert math.isnan(clusters.largest_share)
    assert clusters.by_name().empty
    assert math.isnan(local_agreement(graph, dict.fromkeys(graph)))


def test_a_long_chain_in_any_order_is_one_cluster() -> None:
    for order in (np.arange(5_000), np.random.default_rng(1).permutation(5_000)):
        chain = Edges(range(5_000), order[:-1], order[1:])
        assert name_clusters(chain, np.zeros(5_000, dtype=int)).sizes.tolist() == [5_000]


def test_the_names_a_model_holds_can_be_given_as_they_are() -> None:
    model = NamingGame(graph="ring(n=12)", names="QM", rng=1)
    assert math.isnan(local_agreement(model.network.G, model.names_held))
    model.run(rounds=300)
    assert name_clusters(model.network.G, model.names_held).players == 12
    assert local_agreement(model.network.G, model.names_held) > 0.5


@pytest.mark.parametrize(
    ("graph", "names", "named"),
    [
        ("ring", {}, "graph"),
        (sparse.csr_array(np.ones((2, 3))), {}, "graph"),
        (nx.path_graph(2), {0: "Q", 5: "M"}, "names"),
        (nx.path_graph(2), ["Q", "M"], "names"),
        (nx.path_graph(2), np.array([0.0, 1.0]), "names"),
        (nx.path_graph(2), np.array([0, 1, 1]), "names"),
        (nx.path_graph(2), np.array([0, -2]), "names"),
    ],
)
def test_names_that_do_not_fit_the_network_are_refused(graph: Any, names: Any, named: str) -> None:
    for function in (local_agreement, conflict_edges, name_clusters):
        with pytest.raises(SpecError) as caught:
            function(graph, names)
        assert caught.value.argument == named


# Communities


def two_cliques() -> nx.Graph[Any]:
    graph: nx.Graph[Any] = nx.disjoint_union(nx.complete_graph(4), nx.complete_graph(4))
    graph.add_edge(3, 4)
    nx.set_node_attributes(graph, {node: "ab"[node // 4] for node in graph}, "side")
    return graph


def test_the_conventions_of_two_cliques() -> None:
    names: Names = dict(enumerate(["Q", "Q", "Q", "M", "M", "M", "M", None]))
    found = community_conventions(two_cliques(), names, "side")
    first, second = found.table.to_dict("records")
    assert first == {
        "community": "a",
        "size": 4,
        "players": 4,
        "convention": "Q",
        "share": 0.75,
        "entropy": pytest.approx(0.8113, abs=1e-4),
        "tied": False,
        "agreement": 0.5,
    }
    assert (second["convention"], second["share"], second["entropy"]) == ("M", 1, 0)
    assert (second["players"], second["agreement"]) == (3, 1)
    assert found.conventions == 2
    assert found.within == pytest.approx((3 + 3) / (6 + 3))
    assert found.between == 1


def test_of_equals_the_one_that_leads_elsewhere_leads() -> None:
    names: Names = dict(enumerate("AABBBBBB"))
    found = community_conventions(two_cliques(), names, "side")
    assert found.table["convention"].tolist() == ["B", "B"]
    assert found.table["tied"].tolist() == [True, False]
    assert found.conventions == 1
    alone = community_conventions(nx.path_graph(2), {0: "b", 1: "a"}, [{0, 1}])
    assert alone.table["convention"].tolist() == ["a"]


def test_a_community_without_players_has_no_convention() -> None:
    names: Names = dict(enumerate("QQQQ"))
    found = community_conventions(two_cliques(), names, "side")
    assert found.table["convention"].tolist()[1] is None
    assert found.table.loc[1, ["share", "entropy", "agreement"]].isna().all()
    assert found.conventions == 1
    assert math.isnan(found.between)


def test_sets_need_not_cover_the_graph_and_may_be_labelled() -> None:
    names: Names = dict(enumerate("QQMMMMMM"))
    found = community_conventions(two_cliques(), names, {"left": [1, 0], "middle": {3, 4}})
    assert found.table["community"].tolist() == ["left", "middle"]
    assert found.table["size"].tolist() == [2, 2]
    assert found.table["convention"].tolist() == ["Q", "M"]
    assert (found.within, found.between) == (1, 0)


def test_louvain_finds_the_cliques_the_same_way_every_time() -> None:
    communities = read_communities(two_cliques())
    assert [set(one.nodes) for one in communities] == [{0, 1, 2, 3}, {4, 5, 6, 7}]
    ring = nx.ring_of_cliques(6, 5)
    assert read_communities(ring, rng=3) == read_communities(ring, rng=3)
    matrix = nx.to_scipy_sparse_array(ring)
    assert [one.nodes for one in read_communities(matrix)] == [
        one.nodes for one in read_communities(ring)
    ]


@few
@given(situations(), st.integers(1, 4))
def test_communities_of_any_kind_add_up(
    situation: tuple[nx.Graph[Any], Names], number: int
) -> None:
    graph, names = situation
    parts = [list(graph)[start::number] for start in range(min(number, len(graph)))]
    for by in (parts, None):
        found = community_conventions(graph, names, by)
        played = {node: name for node, name in names.items() if name is not None}
        assert found.table["size"].sum() == len(graph)
        assert found.table["players"].sum() == len(played)
        known = found.table.dropna(subset=["share"])
        assert found.conventions == known["convention"].nunique()
        assert ((known["share"] == 1) == (known["entropy"] == 0)).all()
    whole = community_conventions(graph, names, [list(graph)])
    assert whole.within == pytest.approx(local_agreement(graph, names), nan_ok=True)
    assert math.isnan(whole.between)


@pytest.mark.parametrize(
    "by", ["nothing", [], 5, [{0}, {0, 1}], [[0, 0]], [{99}], [set()], ["ab"]], ids=repr
)
def test_what_are_no_communities_is_refused(by: Any) -> None:
    with pytest.raises(SpecError) as caught:
        community_conventions(two_cliques(), {}, by)
    assert caught.value.argument == "by"
    with pytest.raises(SpecError, match="only a networkx graph"):
        read_communities(sparse.csr_array(np.ones((2, 2))), "side")
