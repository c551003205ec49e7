"""Who meets whom: every rule keeps the contract, and draws with the frequencies it promises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from typing import Any

import networkx as nx
import pytest
from chances import LoggedGame, assert_frequencies
from hypothesis import given
from hypothesis import strategies as st
from strategies import graphs

from mesa_llm_norms import NamingGame, Neighbors, Pairing
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import PairingError
from mesa_llm_norms.networks.adjacency import Pair
from mesa_llm_norms.simulation.pairing import PAIRINGS, read_pairing
from mesa_llm_norms.testing import check_pairing

UNEVEN = nx.Graph([(0, 1), (0, 2), (0, 3), (0, 4), (1, 2), (4, 5)])
"""A graph of degrees 4, 2, 2, 1, 2, 1."""


def drawn(rule: Pairing, graph: nx.Graph[Any], rounds: int) -> list[tuple[Hashable, Hashable]]:
    """Return the pairs of some rounds, as nodes."""
    neighbors, stream, found = Neighbors(graph), RandomStream(11), list[tuple[Hashable, Hashable]]()
    for number in range(rounds):
        for a, b in rule.pairs(neighbors, number, len(found), stream):
            found.append((neighbors.nodes[a], neighbors.nodes[b]))
    return found


def weighted(graph: nx.Graph[Any], **weights: float) -> nx.Graph[Any]:
    """Return a copy with weights by edge, written ``n0_1=3``."""
    copy = graph.copy()
    for edge, weight in weights.items():
        u, v = edge[1:].split("_")
        copy.edges[int(u), int(v)]["weight"] = weight
    return copy


class PairingConformance:
    """What every rule of pairing keeps; inherit it and give ``rule``."""

    def rule(self) -> Pairing:
        raise NotImplementedError

    @pytest.mark.parametrize(
        "graph",
        [
            nx.complete_graph(7),
            nx.path_graph(2),
            nx.star_graph(5),
            nx.cycle_graph(6),
            nx.karate_club_graph(),
            nx.DiGraph([(0, 1), (1, 2), (2, 0), (0, 3)]),
            nx.relabel_nodes(nx.path_graph(4), {0: "a", 1: ("b", 1), 2: frozenset([2]), 3: 3.5}),
            weighted(UNEVEN, n0_1=100, n4_5=0.01),
        ],
        ids=str,
    )
    def test_the_published_check_passes(self, graph: nx.Graph[Any]) -> None:
        check_pairing(self.rule(), graph)

    def test_every_edge_is_drawn_in_both_directions_unless_directed(self) -> None:
        met = set(drawn(self.rule(), UNEVEN, 500))
        assert met == {pair for u, v in UNEVEN.edges for pair in ((u, v), (v, u))}
        directed = nx.DiGraph([(0, 1), (1, 2), (2, 0), (0, 3)])
        assert set(drawn(self.rule(), directed, 500)) == set(directed.edges)

    def test_a_game_is_played_by_it(self) -> None:
        game = NamingGame(graph=UNEVEN, mind="uniform", pairing=self.rule(), rng=1)
        game.step()
        assert game.interactions == len(game.rows) > 0


class TestNodePairing(PairingConformance):
    def rule(self) -> Pairing:
        return read_pairing("node")

    @given(graphs())
    def test_a_round_is_as_many_pairs_as_nodes(self, graph: nx.Graph[Any]) -> None:
        assert len(list(self.rule().pairs(Neighbors(graph), 0, 0, RandomStream(1)))) == len(graph)

    def test_the_first_is_uniform_among_nodes_and_the_second_among_its_neighbours(self) -> None:
        """Chi-square on 30,000 pairs; false alarms one in a million."""
        pairs = Counter(drawn(self.rule(), UNEVEN, 5_000))
        expected = {(u, v): 1 / UNEVEN.degree[u] for u in UNEVEN for v in UNEVEN[u]}
        assert_frequencies([pairs[pair] for pair in expected], list(expected.values()))

    def test_with_weights_the_second_is_drawn_by_weight_and_the_first_still_uniformly(self) -> None:
        """Chi-square on 30,000 pairs; false alarms one in a million."""
        graph = weighted(UNEVEN, n0_1=5, n0_2=0.5, n4_5=3)
        pairs = Counter(drawn(self.rule(), graph, 5_000))
        strength = dict(graph.degree(weight="weight"))
        expected = {
            (u, v): graph.edges[u, v].get("weight", 1) / strength[u]
            for u in graph
            for v in graph[u]
        }
        assert_frequencies([pairs[pair] for pair in expected], list(expected.values()))

    def test_in_a_directed_graph_the_first_is_uniform_among_those_with_an_outgoing_edge(
        self,
    ) -> None:
        """Chi-square on 20,000 pairs; false alarms one in a million."""
        graph = nx.DiGraph([(0, 1), (0, 2), (0, 3), (1, 0)])
        pairs = Counter(drawn(self.rule(), graph, 5_000))
        expected = {(0, 1): 1 / 3, (0, 2): 1 / 3, (0, 3): 1 / 3, (1, 0): 1.0}
        assert_frequencies([pairs[pair] for pair in expected], list(expected.values()))


class TestEdgePairing(PairingConformance):
    def rule(self) -> Pairing:
        return read_pairing("edge")

    @given(graphs())
    def test_a_round_is_as_many_pairs_as_nodes(self, graph: nx.Graph[Any]) -> None:
        assert len(list(self.rule().pairs(Neighbors(graph), 0, 0, RandomStream(1)))) == len(graph)

    def test_edges_are_uniform_so_that_nodes_play_by_degree(self) -> None:
        """Chi-square on 30,000 pairs; false alarms one in a million."""
        pairs = drawn(self.rule(), UNEVEN, 5_000)
        expected = [(u, v) for u in UNEVEN for v in UNEVEN[u]]
        counted = Counter(pairs)
        assert_frequencies([counted[pair] for pair in expected], [1.0] * len(expected))
        first = Counter(u for u, _ in pairs)
        assert_frequencies([first[u] for u in UNEVEN], [UNEVEN.degree[u] for u in UNEVEN])

    def test_with_weights_edges_are_drawn_by_weight(self) -> None:
        """Chi-square on 30,000 pairs; false alarms one in a million."""
        graph = weighted(UNEVEN, n0_1=5, n0_2=0.5, n4_5=3)
        pairs = Counter(drawn(self.rule(), graph, 5_000))
        expected = {(u, v): graph.edges[u, v].get("weight", 1) for u in graph for v in graph[u]}
        assert_frequencies([pairs[pair] for pair in expected], list(expected.values()))


class TestMatchingPairing(PairingConformance):
    def rule(self) -> Pairing:
        return read_pairing("matching")

    @given(graphs(), st.integers(0, 99))
    def test_everyone_meets_at_most_once_and_no_pair_more_would_fit(
        self, graph: nx.Graph[Any], number: int
    ) -> None:
        neighbors = Neighbors(graph)
        pairs = list(self.rule().pairs(neighbors, number, 0, RandomStream(2)))
        busy = [neighbors.nodes[place] for pair in pairs for place in pair]
        assert len(set(busy)) == len(busy)
        assert all(u in busy or v in busy for u, v in graph.edges)

    def test_all_edges_of_a_ring_and_both_their_ends_are_treated_alike(self) -> None:
        """Chi-square on rounds drawn one apart; false alarms one in a million."""
        ring = nx.cycle_graph(3)
        pairs = Counter(drawn(self.rule(), ring, 6_000))
        assert_frequencies([pairs[u, v] for u in ring for v in ring[u]], [1.0] * 6)

    def test_with_weights_the_first_edge_taken_is_drawn_by_weight(self) -> None:
        """In a triangle only one edge fits; chi-square, false alarms one in a million."""
        ring = weighted(nx.cycle_graph(3), n0_1=6, n1_2=3, n0_2=1)
        pairs = Counter(frozenset(pair) for pair in drawn(self.rule(), ring, 6_000))
        edges = [frozenset(pair) for pair in ((0, 1), (1, 2), (0, 2))]
        assert_frequencies([pairs[edge] for edge in edges], [6.0, 3.0, 1.0])


class TakingTurns(Pairing):
    """A rule a user may write: one edge after the other."""

    label = "taking turns"

    def pairs(
        self,
        neighbors: Neighbors,
        round_number: int,  # noqa: ARG002
        first: int,
        stream: RandomStream,
    ) -> Iterator[Pair]:
        edges = neighbors.edges
        for number in range(first, first + len(neighbors)):
            a, b = edges[number % len(edges)]
            forwards = neighbors.directed or stream.of(self.label, number) % 2
            yield (a, b) if forwards else (b, a)


class TestRuleOfAUser(PairingConformance):
    def rule(self) -> Pairing:
        return TakingTurns()


RULES = [read_pairing("node"), read_pairing("edge"), read_pairing("matching"), TakingTurns()]
each_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.label)


@each_rule
@given(graph=graphs(), number=st.integers(0, 50))
def test_only_edges_are_drawn_whatever_the_graph(
    rule: Pairing, graph: nx.Graph[Any], number: int
) -> None:
    neighbors = Neighbors(graph)
    pairs = list(rule.pairs(neighbors, number, 10 * number, RandomStream(3)))
    assert pairs
    for a, b in pairs:
        assert graph.has_edge(neighbors.nodes[a], neighbors.nodes[b])


@each_rule
@given(graph=graphs(), seed=st.integers(0, 2**64 - 1))
def test_the_same_arguments_give_the_same_pairs(
    rule: Pairing, graph: nx.Graph[Any], seed: int
) -> None:
    pairs = [list(rule.pairs(Neighbors(graph), 2, 40, RandomStream(seed))) for _ in range(2)]
    assert pairs[0] == pairs[1]


class Drawing(Pairing):
    """A rule that always draws what it is told to."""

    label = "told"

    def __init__(self, *pairs: Any) -> None:
        self.told = pairs

    def pairs(
        self,
        neighbors: Neighbors,  # noqa: ARG002
        round_number: int,  # noqa: ARG002
        first: int,  # noqa: ARG002
        stream: RandomStream,  # noqa: ARG002
    ) -> Iterator[Pair]:
        yield from self.told


@pytest.mark.parametrize(
    "pair", [(0, 2), (0, 0), (-1, 0), (0, 3), (0, 99), ("a", "b"), (0,), 5, None, (0.0, 1.0), "01"]
)
def test_a_rule_that_draws_no_edge_is_refused_and_nothing_is_played(pair: Any) -> None:
    game = LoggedGame(graph=nx.path_graph(3), mind="uniform", pairing=Drawing(pair), rng=1)
    with pytest.raises(PairingError, match="not an edge"):
        game.step()
    assert game.interactions == 0
    assert not any(agent.memory for agent in game.players)


def test_a_rule_that_draws_nothing_is_refused() -> None:
    game = NamingGame(graph=nx.path_graph(3), mind="uniform", pairing=Drawing(), rng=1)
    with pytest.raises(PairingError, match="no pair"):
        game.step()


def test_rules_go_by_name_and_objects_are_themselves() -> None:
    assert {label: read_pairing(label).label for label in PAIRINGS} == {
        label: label for label in ("node", "edge", "matching", "contacts", "neighborhood")
    }
    rule = TakingTurns()
    assert read_pairing(rule) is rule


@pytest.mark.parametrize("pairing", ["nodes", "", None, 3, TakingTurns, ["node"], object()])
def test_what_is_no_rule_is_refused_with_those_there_are(pairing: Any) -> None:
    with pytest.raises(PairingError, match="node, edge, matching or contacts"):
        read_pairing(pairing)
