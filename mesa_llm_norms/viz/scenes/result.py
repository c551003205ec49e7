"""What became of a population: all that the answers of a scene may speak of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx

if TYPE_CHECKING:
    from mesa_llm_norms.model import NamingGame

FLIPPED = 0.95
"""The share of those not committed who hold a committed name once it has taken over."""
COMMUNITIES = ("one name", "a name each", "mixed")
_BLOCK = "block"


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a population stood when play stopped.

    Shares and numbers are those of the names held: what each agent played last. An agent that has
    not played holds none.
    """

    rounds: int
    """How many population rounds were begun."""
    time: float
    """How many were played, the last perhaps in part: interactions per agent."""
    converged: bool
    """Whether the last 3N interactions all matched."""
    names: int
    """How many different names are held."""
    leader: str | None
    """The name most agents hold, of equals the first in the pool."""
    leader_share: float
    flipped: bool
    """Whether, of the agents not committed, ``FLIPPED`` hold one and the same committed name."""
    communities: str
    """``one name`` in all of them, ``a name each`` (not all the same), or ``mixed``."""

    @property
    def agreed(self) -> bool:
        """Whether all who have played hold one name."""
        return self.names == 1


def result_of(model: NamingGame, rounds: int) -> Result:
    """Return how a model stands after so many population rounds."""
    return read_result(
        communities(model.network.G),
        model.game.pool,
        {agent.node: agent.name for agent in model.players},
        {agent.node: agent.committed for agent in model.players if agent.committed is not None},
        rounds=rounds,
        interactions=model.interactions,
        converged=model.converged,
    )


def read_result(
    groups: Sequence[Sequence[Hashable]],
    pool: Sequence[str],
    held: Mapping[Hashable, str | None],
    committed: Mapping[Hashable, str],
    *,
    rounds: int,
    interactions: int,
    converged: bool,
) -> Result:
    """Return how a population stands in which each node holds a name, or None.

    ``groups`` are the communities of the network.
    """
    counts = Counter(name for name in held.values() if name is not None)
    leader = max(pool, key=lambda name: counts[name]) if counts else None
    return Result(
        rounds=rounds,
        time=interactions / len(held),
        converged=converged,
        names=len(counts),
        leader=leader,
        leader_share=counts[leader] / counts.total() if leader is not None else 0.0,
        flipped=_flipped(held, committed),
        communities=_agreement([{held[node] for node in group} for group in groups]),
    )


def communities(graph: nx.Graph[Any]) -> list[list[Hashable]]:
    """Return the communities of a network.

    Those its nodes say (attribute ``block``), or else what is left where every tie is cut without
    which it would fall apart, single agents left out.
    """
    blocks = nx.get_node_attributes(graph, _BLOCK)
    if len(blocks) == len(graph):
        groups: dict[Any, list[Hashable]] = {}
        for node, block in blocks.items():
            groups.setdefault(block, []).append(node)
        return list(groups.values())
    ties: nx.Graph[Any] = nx.Graph(graph.edges())
    ties.remove_edges_from(list(nx.bridges(ties)))
    return [list(group) for group in nx.connected_components(ties) if len(group) > 1]


def _flipped(held: Mapping[Hashable, str | None], committed: Mapping[Hashable, str]) -> bool:
    free = Counter(name for node, name in held.items() if node not in committed)
    most = max((free[name] for name in set(committed.values())), default=0)
    return most > 0 and most >= FLIPPED * free.total()


def _agreement(groups: Sequence[set[str | None]]) -> str:
    named = [group - {None} for group in groups]
    if not named or any(len(group) != 1 for group in named):
        return "mixed"
    return "one name" if len(set().union(*named)) == 1 else "a name each"
