"""Who meets whom: the rules that draw pairs, or groups, from a graph.

A rule *plans*: it draws them before anyone chooses, from the graph and the run's random stream
alone, and never looks at what was played. ``node`` is the study's rule. Your own rule derives from
``Pairing``; ``mesa_llm_norms.testing.check_pairing`` tells whether it keeps the contract.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.game import GameRules
from mesa_llm_norms.core.randomness import RandomStream, index_of, mix_array
from mesa_llm_norms.errors import PairingError, shown
from mesa_llm_norms.networks.adjacency import Neighbors, Pair


class Pairing(ABC):
    """A rule that draws the pairs of a population round.

    Subclasses set ``label`` and give ``pairs``; one that draws groups sets ``seats`` too. They keep
    no state: the same arguments give the same pairs, so that a run can be repeated and resumed.
    """

    label: str
    """What the rule is called in specs and results."""

    seats: int | None = 2
    """How many agents it draws at once; None for any number, from two up."""

    @abstractmethod
    def pairs(
        self, neighbors: Neighbors, round_number: int, first: int, stream: RandomStream
    ) -> Iterator[tuple[int, ...]]:
        """Draw the pairs of a round.

        Parameters
        ----------
        neighbors : Neighbors
            The graph, made ready for drawing.
        round_number : int
            The number of the round, from 0.
        first : int
            The number of its first interaction, from 0.
        stream : RandomStream
            The source of all chance.

        Yields
        ------
        tuple of int
            Indices into ``neighbors.nodes`` of the two ends of an edge, the one drawn first first;
            or of the different members of a group, if the rule draws groups.
        """

    def check(self, neighbors: Neighbors) -> None:  # noqa: B027  most rules can
        """Raise ``PairingError`` where the rule cannot draw from a graph; by default it can.

        Parameters
        ----------
        neighbors : Neighbors
            The graph, made ready for drawing.

        Raises
        ------
        PairingError
            If the graph lacks what the rule needs.
        """


class NodePairing(Pairing):
    """A node drawn uniformly, then one of its neighbors: the study's rule. N pairs a round.

    With weights, the neighbor is drawn in proportion to the weight of the edge. In a directed
    graph the first node is drawn among those with an outgoing edge.
    """

    label = "node"

    def pairs(
        self,
        neighbors: Neighbors,
        round_number: int,  # noqa: ARG002
        first: int,
        stream: RandomStream,
    ) -> Iterator[Pair]:
        """Yield N pairs, each a function of its interaction's number alone."""
        initiators, weighted = neighbors.initiators, neighbors.weights is not None
        for number in range(first, first + len(neighbors)):
            drawn = stream.interaction(number)
            a = initiators[index_of(drawn.node, len(initiators))]
            others = neighbors.of(a)
            if weighted:
                yield a, others[bisect_right(neighbors.cumulative_weights_of(a), drawn.neighbor)]
            else:
                yield a, others[index_of(drawn.neighbor, len(others))]


class EdgePairing(Pairing):
    """An edge drawn uniformly, or by weight; which end comes first is drawn too. N pairs a round.

    Nodes therefore play in proportion to their degree. In a directed graph the tail comes first.
    """

    label = "edge"

    def pairs(
        self,
        neighbors: Neighbors,
        round_number: int,  # noqa: ARG002
        first: int,
        stream: RandomStream,
    ) -> Iterator[Pair]:
        """Yield N pairs, each a function of its interaction's number alone."""
        edges, cumulative = neighbors.edges, neighbors.cumulative_edge_weights.tolist()
        for number in range(first, first + len(neighbors)):
            drawn = stream.interaction(number)
            if cumulative:
                a, b = edges[bisect_right(cumulative, drawn.node)]
            else:
                a, b = edges[index_of(drawn.node, len(edges))]
            yield (a, b) if neighbors.directed or drawn.neighbor >> 31 else (b, a)


class MatchingPairing(Pairing):
    """Edges come in random order and are taken if both ends are free: one interaction per agent.

    The matching is maximal, not always perfect: agents left over sit the round out. With weights,
    heavier edges tend to come earlier (exponential race).
    """

    label = "matching"

    def pairs(
        self,
        neighbors: Neighbors,
        round_number: int,
        first: int,  # noqa: ARG002
        stream: RandomStream,
    ) -> Iterator[Pair]:
        """Yield the pairs of one matching, a function of the round's number."""
        order, first_ends, second_ends = (
            column.tolist() for column in self.arrivals(neighbors, round_number, stream)
        )
        busy = [False] * len(neighbors)
        for place in order:
            a, b = first_ends[place], second_ends[place]
            if not (busy[a] or busy[b]):
                busy[a] = busy[b] = True
                yield a, b

    @staticmethod
    def arrivals(
        neighbors: Neighbors, round_number: int, stream: RandomStream
    ) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]:
        """Return the order in which the edges come, and which end of each would play first."""
        hashed = mix_array(stream.of("matching", round_number), len(neighbors.tails))
        arrival = -np.log((hashed >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54)
        if neighbors.edge_weights is not None:
            arrival /= neighbors.edge_weights
        order = np.argsort(arrival, kind="stable")
        if neighbors.directed:
            return order, neighbors.tails, neighbors.heads
        kept = (hashed & np.uint64(1)).astype(bool)
        return (
            order,
            np.where(kept, neighbors.tails, neighbors.heads),
            np.where(kept, neighbors.heads, neighbors.tails),
        )


class ContactsPairing(Pairing):
    """The contacts of a contact sequence in the order of their times, over and over.

    Interaction t is contact t modulo their number. Contacts at the same time come in an order that
    is drawn anew in every pass; who comes first is drawn too, unless contacts have a direction. N
    pairs a round, whatever time they take.
    """

    label = "contacts"

    def check(self, neighbors: Neighbors) -> None:
        """Raise ``PairingError`` if the graph has no contacts in time."""
        if neighbors.contacts is None:
            raise PairingError(
                "pairing",
                self.label,
                "the graph does not say who met when",
                'Read a contact sequence, as in file("NAME", format="contacts"), or choose node, '
                "edge or matching.",
            )

    def pairs(
        self,
        neighbors: Neighbors,
        round_number: int,  # noqa: ARG002
        first: int,
        stream: RandomStream,
    ) -> Iterator[Pair]:
        """Yield N pairs, each a function of its interaction's number alone."""
        self.check(neighbors)
        contacts, number, end = neighbors.contacts, first, first + len(neighbors)
        assert contacts is not None
        while number < end:
            lap, at = divmod(number, len(contacts))
            tails, heads = contacts.in_order(stream.of(self.label, lap))
            part = slice(at, at + end - number)
            yield from zip(tails[part].tolist(), heads[part].tolist(), strict=True)
            number += len(tails[part])


class NeighborhoodPairing(Pairing):
    """A node drawn uniformly, with all of its neighbors: N groups a round.

    Neighbors come in the order of the graph; in a directed graph they are those an edge leads to.
    """

    label = "neighborhood"
    seats: int | None = None

    def pairs(
        self,
        neighbors: Neighbors,
        round_number: int,  # noqa: ARG002
        first: int,
        stream: RandomStream,
    ) -> Iterator[tuple[int, ...]]:
        """Yield N groups, each a function of its interaction's number alone."""
        initiators = neighbors.initiators
        for number in range(first, first + len(neighbors)):
            a = initiators[index_of(stream.interaction(number).node, len(initiators))]
            yield (int(a), *(int(other) for other in neighbors.of(a)))


PAIRINGS: dict[str, type[Pairing]] = {
    rule.label: rule
    for rule in (NodePairing, EdgePairing, MatchingPairing, ContactsPairing, NeighborhoodPairing)
}


def read_pairing(pairing: Any) -> Pairing:
    """Return the rule that ``pairing`` stands for, by its name or itself.

    Raises ``PairingError`` for anything else.
    """
    if isinstance(pairing, str) and pairing in PAIRINGS:
        return PAIRINGS[pairing]()
    if isinstance(pairing, Pairing):
        return pairing
    close = difflib.get_close_matches(shown(pairing).strip("'"), PAIRINGS, n=1)
    raise PairingError(
        "pairing",
        pairing,
        f"there is no pairing rule {shown(pairing)}"
        + (f" (did you mean {close[0]!r}?)" if close else ""),
        "Choose node, edge, matching or contacts, or give an object derived from Pairing; "
        "neighborhood is for games of more than two.",
    )


def checked_pairs(
    pairing: Pairing, neighbors: Neighbors, round_number: int, first: int, stream: RandomStream
) -> Iterator[tuple[int, ...]]:
    """Yield what a rule draws; ``PairingError`` for a pair that is no edge, or a group that cannot
    meet.
    """
    planned = pairing.pairs(neighbors, round_number, first, stream)
    if type(pairing) in PAIRINGS.values():
        yield from planned
        return
    for pair in planned:
        if pairing.seats != 2:
            _check_group(pairing, neighbors, pair)
        elif not neighbors.joins(cast(Pair, pair)):
            raise PairingError(
                "pairing",
                pair,
                f"{shown(pairing)} drew the pair {shown(pair)}, which is not an edge",
                "Draw pairs from neighbors.of(i) or neighbors.edges.",
            )
        yield pair


def check_seats(pairing: Pairing, game: GameRules) -> None:
    """Raise ``PairingError`` unless the rule draws as many agents as the game has seats."""
    if game.seats is None or pairing.seats == game.seats:
        return
    drawn = "groups of any size" if pairing.seats is None else f"{pairing.seats} agents at once"
    raise PairingError(
        "pairing",
        pairing,
        f"{pairing.label} draws {drawn}, and {type(game).__name__} is for {game.seats}",
        "Choose another rule, such as node, or a game for any number of players.",
    )


def _check_group(pairing: Pairing, neighbors: Neighbors, group: Any) -> None:
    fits = (
        isinstance(group, tuple)
        and 2 <= len(set(group)) == len(group)
        and (pairing.seats is None or len(group) == pairing.seats)
        and all(isinstance(it, int) and 0 <= it < len(neighbors) for it in group)
    )
    if not fits:
        raise PairingError(
            "pairing",
            pairing,
            f"{shown(pairing)} drew the group {shown(group)}",
            "Draw tuples of different indices into neighbors.nodes, at least two.",
        )
