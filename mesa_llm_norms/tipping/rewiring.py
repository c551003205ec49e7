"""Edges exchanged at random, everybody's number of neighbours kept."""

from __future__ import annotations

import random
from collections.abc import Hashable
from typing import Any

import networkx as nx

from mesa_llm_norms.errors import GraphError, SpecError
from mesa_llm_norms.topologies import to_networkx

TRIES = 100
"""Exchanges that are tried for each one that is made, at most."""
AGAIN = 20
"""How often all is begun anew where the network fell apart."""


def rewire(graph: Any, share: float, chance: random.Random) -> tuple[nx.Graph[Any], int]:
    """Return a network of which ``share`` of the edges lie elsewhere, and how many that are.

    Two edges a-b and c-d become a-d and c-b (Maslov and Sneppen, Science 296, 910, 2002), so that
    every degree stays as it is; the network stays simple, and connected. No edge is exchanged
    twice. Raises ``SpecError`` for directed and weighted networks and for shares that are none,
    ``GraphError`` where too few edges can be exchanged, as on a complete graph.
    """
    network = to_networkx(graph)
    if network.is_directed() or network.is_multigraph() or nx.is_weighted(network):
        raise SpecError(
            "rewired",
            share,
            "edges with directions, weights or parallels are not rewired",
            "Use a plain network.",
        )
    if not 0 <= share <= 1:
        raise SpecError("rewired", share, f"{share} is no share", "Use 0 to 1.")
    wanted = round(share * network.number_of_edges() / 2)
    for _ in range(AGAIN):
        found = _exchanged(network, wanted, chance)
        if found is None:
            break
        if nx.is_connected(found) or not nx.is_connected(network):
            return found, 2 * wanted
    raise GraphError(
        f"no network with {share:.0%} of its edges rewired was found",
        "Rewire fewer of them, or take a sparser network.",
    )


def _exchanged(network: Any, wanted: int, chance: random.Random) -> nx.Graph[Any] | None:
    """Return the network with so many pairs of edges exchanged, None where that was not found."""
    found: nx.Graph[Any] = nx.Graph()
    found.add_nodes_from(network.nodes(data=True))
    found.add_edges_from(network.edges)
    edges: list[tuple[Hashable, Hashable]] = sorted(network.edges, key=repr)
    tries = TRIES * wanted
    while wanted and tries and len(edges) > 1:
        tries -= 1
        i, j = chance.sample(range(len(edges)), 2)
        (a, b), (c, d) = edges[i], edges[j]
        if chance.getrandbits(1):
            c, d = d, c
        if len({a, b, c, d}) < 4 or any(
            network.has_edge(*e) or found.has_edge(*e) for e in ((a, d), (c, b))
        ):
            continue
        found.remove_edges_from([(a, b), (c, d)])
        found.add_edges_from([(a, d), (c, b)])
        for place in sorted((i, j), reverse=True):
            edges[place] = edges[-1]
            edges.pop()
        wanted -= 1
    return None if wanted else found
