"""What minds are shown besides their memory: attributes of their agent and of its neighbors.

``sees=`` names them. In a model they are attributes of agents, as a subclass of ``NamingAgent`` has
them, and otherwise of nodes; in an ensemble those of nodes. ``name`` is the move that an agent made
last, and ``score`` the payoffs of what it remembers, added up.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import networkx as nx
import numpy as np

from mesa_llm_norms.errors import SpecError, shown, some
from mesa_llm_norms.minds.mind import Sight
from mesa_llm_norms.networks.adjacency import Neighbors

OF_PLAYERS = ("name", "score")
"""What every agent has, whatever its node has under the name."""

_MISSING = object()
_REMEDY = 'Name attributes of agents or nodes, as in sees="job" or sees=("job", "name").'


def read_sees(sees: Any) -> tuple[str, ...]:
    """Return the names of attributes that ``sees=`` gives; ``SpecError`` for anything else."""
    if sees is None:
        return ()
    one = isinstance(sees, str)
    names = (sees,) if one else tuple(sees) if isinstance(sees, Sequence) else (None,)
    for name in names:
        if not (isinstance(name, str) and name.isprintable() and name.strip() == name != ""):
            problem = f"{shown(sees if name is None else name)} names no attribute"
            raise SpecError("sees", sees, problem, _REMEDY)
    if len(set(names)) < len(names):
        raise SpecError("sees", sees, "it names an attribute twice", "Name each once.")
    return names


class Eyes:
    """Looks up what the agents of a network are shown.

    Parameters
    ----------
    sees : sequence of str
        The names of the attributes.
    graph : object
        The network; where it is a networkx graph, its nodes may have attributes.
    plain : type
        The class of agents without attributes of their own: what it has is the engine's.
    """

    def __init__(self, sees: Sequence[str], graph: Any, plain: type) -> None:
        self.sees: tuple[str, ...] = tuple(sees)
        self._nodes: Any = graph.nodes if isinstance(graph, nx.Graph) else {}
        self._plain = plain

    def of(self, neighbors: Neighbors, players: Sequence[Any], index: int) -> tuple[Sight, ...]:
        """Return what a player is shown, by its index; ``SpecError`` if there is no such thing."""
        nodes = neighbors.nodes
        around = neighbors.of(index)

        def value(attribute: str, index: int) -> Any:
            return self.value(attribute, players[index], nodes[index])

        return tuple(
            Sight(it, value(it, index), _ascending([value(it, one) for one in around]))
            for it in self.sees
        )

    def value(self, attribute: str, player: Any, node: Hashable) -> Any:
        """Return what a player, or else its node, has under a name."""
        has: Mapping[str, Any] = self._nodes.get(node, {})
        found = has.get(attribute, _MISSING)
        if self._is_of_player(attribute, player):
            found = getattr(player, attribute)
        if isinstance(found, np.generic):
            found = found.item()
        if found is None or isinstance(found, (str, bool, int, float)):
            return found
        problem = f"that of node {shown(node)} is {shown(found)}, neither a text nor a number"
        remedy = "Show texts and numbers."
        if found is _MISSING:
            problem = f"neither node {shown(node)} nor its agent has an attribute {attribute!r}"
            remedy = f"The node has {some(list(has), 10)}." if has else _REMEDY
        raise SpecError("sees", attribute, problem, remedy)

    def shown(self, attribute: str, agent: Any) -> Any:
        """Return what minds are shown of an agent, None for one that is no player."""
        player: Any = agent if isinstance(agent, self._plain) else None
        return None if player is None else self.value(attribute, player, player.node)

    def change_in_play(self, players: Sequence[Any]) -> bool:
        """Whether any of it may change with every interaction, for it is of agents."""
        kinds = {type(player): player for player in players}.values()
        return any(self._is_of_player(it, one) for it in self.sees for one in kinds)

    def _is_of_player(self, attribute: str, player: Any) -> bool:
        return attribute in OF_PLAYERS or (
            hasattr(player, attribute) and not hasattr(self._plain, attribute)
        )


def _ascending(values: list[Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(values))
    except TypeError:
        return tuple(sorted(values, key=lambda one: (str(type(one)), str(one))))
