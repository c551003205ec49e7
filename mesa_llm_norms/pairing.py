"""Who meets whom: the graph read as contacts, and the rules that draw pairs from it.

A rule *plans*: it draws pairs before anyone chooses, from the graph and the run's draws alone, and
never looks at what was played. ``node`` is the study's rule. A rule of your own is an object with
a ``pairs`` method; ``mesa_llm_norms.testing.check_pairing`` tells whether it keeps the contract.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator
from functools import cached_property
from typing import Any

import networkx as nx
import numpy as np

from mesa_llm_norms.draws import Draws, index_of, mix_array, thresholds
from mesa_llm_norms.errors import GraphError, PairingError

Pair = tuple[int, int]


class Contacts:
    """A graph compiled for drawing: nodes by index, and each one's neighbours.

    ``nodes[i]`` is the id of node i and ``neighbours[i]`` the indices it may meet when it is drawn
    first: its successors, if the graph is directed. Edge weights, where there are any, say how much
    more often one contact is drawn than another. Nodes in ``absent`` are left out.

    Neighbours are in the order of ``nodes``, not in that in which edges were added, which a copy of
    a networkx graph does not keep.
    """

    def __init__(self, graph: nx.Graph[Any], absent: Iterable[Hashable] = ()) -> None:
        left_out = set(absent)
        self.directed = graph.is_directed()
        self.nodes: tuple[Hashable, ...] = tuple(n for n in graph.nodes if n not in left_out)
        self.index = {node: place for place, node in enumerate(self.nodes)}
        found = [
            dict(
                sorted(
                    (self.index[v], float(data.get("weight", 1)))
                    for v, data in graph.adj[u].items()
                    if v in self.index
                )
            )
            for u in self.nodes
        ]
        self.neighbours = tuple(tuple(weights) for weights in found)
        self.initiators = tuple(place for place, others in enumerate(self.neighbours) if others)
        if not self.initiators:
            raise GraphError("no edge joins two agents", "Add an edge.", self.nodes)
        weighted = any(weight != 1 for weights in found for weight in weights.values())
        self.weights = tuple(tuple(w.values()) for w in found) if weighted else None

    def __len__(self) -> int:
        return len(self.nodes)

    def joins(self, pair: Any) -> bool:
        """Whether ``pair`` is two indices of which the first may meet the second."""
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            return False
        a, b = pair
        if not isinstance(a, (int, np.integer)) or not isinstance(b, (int, np.integer)):
            return False
        return bool(0 <= a < len(self)) and b in self.neighbours[a]

    @cached_property
    def shares(self) -> tuple[list[int], ...]:
        """For a weighted graph, each node's thresholds over its neighbours."""
        return tuple(thresholds(weights) if weights else [] for weights in self.weights or ())

    @cached_property
    def edges(self) -> tuple[Pair, ...]:
        """Every edge once; an undirected one from its earlier to its later node."""
        return tuple(
            (a, b)
            for a, others in enumerate(self.neighbours)
            for b in others
            if self.directed or a < b
        )

    @cached_property
    def edge_weights(self) -> tuple[float, ...] | None:
        """The weight of every edge in ``edges``, or None where all are equal."""
        if self.weights is None:
            return None
        known = {
            (a, b): weight
            for a, (others, weights) in enumerate(zip(self.neighbours, self.weights, strict=True))
            for b, weight in zip(others, weights, strict=True)
        }
        return tuple(known[edge] for edge in self.edges)

    @cached_property
    def edge_shares(self) -> list[int]:
        """For a weighted graph, the thresholds over ``edges``."""
        return thresholds(self.edge_weights or (1,))


class Pairing(ABC):
    """A rule that draws the pairs of one population round."""

    label: str
    """How the rule is called in specs and results."""

    @abstractmethod
    def pairs(
        self, contacts: Contacts, round_number: int, first: int, draws: Draws
    ) -> Iterator[Pair]:
        """Yield the pairs of a round as indices into ``contacts.nodes``, the one drawn first first.

        ``round_number`` counts from 0 and ``first`` is the number of the round's first interaction.
        All chance comes from ``draws``, so that the same arguments give the same pairs.
        """


class NodePairing(Pairing):
    """A node drawn uniformly, then one of its neighbours: the study's rule. N pairs a round.

    With weights, the neighbour is drawn in proportion to the weight of the edge. In a directed
    graph the first node is drawn among those with an outgoing edge.
    """

    label = "node"

    def pairs(
        self,
        contacts: Contacts,
        round_number: int,  # noqa: ARG002
        first: int,
        draws: Draws,
    ) -> Iterator[Pair]:
        """Yield N pairs, each a function of its interaction's number alone."""
        initiators, neighbours = contacts.initiators, contacts.neighbours
        shares = contacts.shares
        for number in range(first, first + len(contacts)):
            drawn = draws.interaction(number)
            a = initiators[index_of(drawn.node, len(initiators))]
            others = neighbours[a]
            if shares:
                yield a, others[bisect_right(shares[a], drawn.neighbour)]
            else:
                yield a, others[index_of(drawn.neighbour, len(others))]


class EdgePairing(Pairing):
    """An edge drawn uniformly, or by weight; which end comes first is drawn too. N pairs a round.

    Nodes therefore play in proportion to their degree. In a directed graph the tail comes first.
    """

    label = "edge"

    def pairs(
        self,
        contacts: Contacts,
        round_number: int,  # noqa: ARG002
        first: int,
        draws: Draws,
    ) -> Iterator[Pair]:
        """Yield N pairs, each a function of its interaction's number alone."""
        edges = contacts.edges
        weighted = contacts.weights is not None
        for number in range(first, first + len(contacts)):
            drawn = draws.interaction(number)
            place = (
                bisect_right(contacts.edge_shares, drawn.node)
                if weighted
                else index_of(drawn.node, len(edges))
            )
            a, b = edges[place]
            yield (a, b) if contacts.directed or drawn.neighbour >> 31 else (b, a)


class MatchingPairing(Pairing):
    """Everyone meets at most once a round: edges come in random order, taken if both ends are free.

    The matching is maximal, not always perfect: whoever is left over sits the round out. With
    weights, heavier edges tend to come earlier (exponential race).
    """

    label = "matching"

    def pairs(
        self,
        contacts: Contacts,
        round_number: int,
        first: int,  # noqa: ARG002
        draws: Draws,
    ) -> Iterator[Pair]:
        """Yield the pairs of one matching, a function of the round's number."""
        edges = contacts.edges
        key = draws.of("matching", round_number)
        hashed = mix_array(key, len(edges))
        flips = (hashed & np.uint64(1)).tolist()
        arrival = -np.log((hashed >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54)
        if contacts.edge_weights is not None:
            arrival /= np.array(contacts.edge_weights)
        busy = [False] * len(contacts)
        for place in np.argsort(arrival, kind="stable").tolist():
            a, b = edges[place]
            if not (busy[a] or busy[b]):
                busy[a] = busy[b] = True
                yield (a, b) if contacts.directed or flips[place] else (b, a)


PAIRINGS: dict[str, type[Pairing]] = {
    rule.label: rule for rule in (NodePairing, EdgePairing, MatchingPairing)
}


def read_pairing(pairing: Any) -> Pairing:
    """Return the rule that ``pairing`` stands for: ``node``, ``edge``, ``matching``, or an object.

    Raises ``PairingError`` for anything else.
    """
    if isinstance(pairing, str) and pairing in PAIRINGS:
        return PAIRINGS[pairing]()
    if isinstance(pairing, Pairing):
        return pairing
    close = difflib.get_close_matches(str(pairing), PAIRINGS, n=1)
    raise PairingError(
        "pairing",
        pairing,
        f"there is no pairing rule {pairing!r}"
        + (f" (did you mean {close[0]!r}?)" if close else ""),
        "Choose node, edge or matching, or give an object derived from pairing.Pairing.",
    )
