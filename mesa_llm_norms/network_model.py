"""What the Mesa models of this package share: agents who stay on the nodes of a network."""

from __future__ import annotations

import inspect
from collections.abc import Hashable
from typing import Any, ClassVar, Generic, TypeVar, cast

import mesa
import networkx as nx
from mesa.discrete_space import Cell, FixedAgent, Network

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.validation import check_edges

_CACHE = "mesa_llm_norms neighbors"


class NodeAgent(FixedAgent):
    """An agent on a fixed node, alone there."""

    model: NetworkModel[Any]

    def __init__(self, model: NetworkModel[Any], cell: Cell) -> None:
        if cell.agents:
            raise SpecError(
                "cell", cell, f"node {cell.coordinate!r} is taken", "Remove its agent first."
            )
        super().__init__(model)
        self.cell = cell
        model.seats_changed()

    @property
    def node(self) -> Hashable:
        """The id of the graph's node the agent sits on."""
        return cast(Cell, self.cell).coordinate

    @property
    def name(self) -> str | None:
        """The name played last, None before that; subclasses know it."""
        raise NotImplementedError

    def remove(self) -> None:
        """Leave the game; the node stays, empty, until somebody else is put on it."""
        self.model.seats_changed()
        super().remove()  # type: ignore[no-untyped-call]


Player = TypeVar("Player", bound=NodeAgent)


class NetworkModel(mesa.Model, Generic[Player]):
    """A model whose players, agents of ``player_type``, sit on ``network``.

    A subclass may set ``player_type`` to a subclass of its own, which then sits on every node.

    Between steps they may leave or be put on empty nodes, and the network may be rewired, through
    ``network`` or on its graph. Only a change networkx cannot see, such as
    ``G[u][v]["weight"] = 2``, needs ``seats_changed()`` after it.
    """

    player_type: ClassVar[type[NodeAgent]]

    def __init__(self, seed: int) -> None:
        super().__init__(rng=seed)
        self._mesa_step = self.step
        self.step = self._step_on  # type: ignore[method-assign]

    def lay_out(self, graph: nx.Graph[Any]) -> None:
        """Make the network, of a copy of ``graph``, without Mesa 3.5's computing a layout."""
        options: dict[str, Any] = {"capacity": 1, "random": self.random}
        if "layout" in inspect.signature(Network).parameters:
            options["layout"] = None
        self.network = Network(graph.copy(), **options)

    @property
    def names_held(self) -> dict[Hashable, str | None]:
        """The name each node's agent played last, None where it has not played."""
        return {player.node: player.name for player in self.players}

    @property
    def players(self) -> list[Player]:
        """The players among the agents; a subclass may have others too."""
        kind = self.player_type
        return [cast(Player, agent) for agent in self.agents if isinstance(agent, kind)]

    def agent_on(self, node: Hashable) -> Player:
        """Return the agent that sits on ``node``; ``KeyError`` if there is none."""
        agents = self.network[cast(Any, node)].agents
        if not agents:
            raise KeyError(node)
        return cast(Player, agents[0])

    def seats_changed(self) -> None:
        """Say that agents or edges changed; neighbors are then read anew before the next round."""
        self.network.G.__networkx_cache__.pop(_CACHE, None)

    @property
    def seats_known(self) -> bool:
        """Whether nothing has changed since seats were read."""
        # networkx empties this dictionary whenever nodes or edges change
        return _CACHE in self.network.G.__networkx_cache__

    def read_seats(self) -> tuple[Neighbors, tuple[Player, ...]]:
        """Return who may meet whom, and who sits on each of ``neighbors.nodes``."""
        graph = self.network.G
        check_edges(graph)
        seated = {player.node: player for player in self.players}
        neighbors = Neighbors(graph, absent=[node for node in graph if node not in seated])
        graph.__networkx_cache__[_CACHE] = True
        return neighbors, tuple(seated[node] for node in neighbors.nodes)

    def _step_on(self) -> None:
        """Mesa's own step; one that raises does not keep those after it from being played."""
        try:
            self._mesa_step()
        except BaseException:
            schedule = getattr(self, "_default_schedule", None)
            if schedule is not None:  # Mesa 3.5 plans a step only after one that returned
                schedule.pause()
                schedule.resume()
            raise
