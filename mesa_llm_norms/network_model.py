"""What the Mesa models of this package share: agents who stay on the nodes of a network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast

import mesa
import networkx as nx
from mesa.discrete_space import Cell, FixedAgent, Network

from mesa_llm_norms.compat import (
    cell_at,
    is_marked,
    make_network,
    mark_graph,
    resume_steps,
    unmark_graph,
)
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.validation import check_edges

Reporter: TypeAlias = str | Callable[..., Any] | list[Any]
"""What gives a column of ``mesa.DataCollector``, in one of the forms that Mesa takes."""

Reporters: TypeAlias = Mapping[str, Reporter]
"""The column that each reporter gives."""

_UNCHANGED = "mesa_llm_norms neighbors"


class NodeAgent(FixedAgent):
    """An agent on a fixed node, alone there.

    Parameters
    ----------
    model : NetworkModel
        The model it belongs to.
    cell : mesa.discrete_space.Cell
        The cell of its node.

    Raises
    ------
    SpecError
        If another agent is on the node.
    """

    model: NetworkModel[Any]

    def __init__(self, model: NetworkModel[Any], cell: Cell) -> None:
        if cell.agents:
            raise SpecError(
                "cell", cell, f"node {shown(cell.coordinate)} is taken", "Remove its agent first."
            )
        super().__init__(model)
        self.cell = cell
        model.network_changed()

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
        self.model.network_changed()
        super().remove()  # type: ignore[no-untyped-call]


Player = TypeVar("Player", bound=NodeAgent)


class NetworkModel(mesa.Model, Generic[Player]):
    """A model whose players, agents of ``player_type``, sit on ``network``.

    A subclass may set ``player_type`` to its own subclass, which then sits on every node. Between
    steps agents may leave or be put on empty nodes, and the network may be rewired, through
    ``network`` or on its graph. Only a change networkx cannot see, such as
    ``G[u][v]["weight"] = 2``, needs ``network_changed()`` after it.

    Parameters
    ----------
    seed : int
        Seed of Mesa's random generators.
    """

    player_type: ClassVar[type[NodeAgent]]

    def __init__(self, seed: int) -> None:
        super().__init__(rng=seed)
        self._mesa_step = self.step
        vars(self)["step"] = self._step_on

    def lay_out(self, graph: nx.Graph[Any]) -> None:
        """Make the network from a copy of ``graph``."""
        self.network: Network = make_network(graph.copy(), self.random)

    def make_data_collector(
        self,
        own: Reporters,
        reporters: Reporters | None,
        of_agents: Reporters,
        agent_reporters: Reporters | None,
    ) -> None:
        """Make the data collector, with columns of the game's own and those a user adds."""
        added = _read_reporters("agent_reporters", agent_reporters, of_agents)
        self.datacollector: mesa.DataCollector = mesa.DataCollector(
            model_reporters={**own, **_read_reporters("reporters", reporters, own)},
            agent_reporters={
                column: partial(_attribute, one, self.player_type) if isinstance(one, str) else one
                for column, one in {**of_agents, **added}.items()
            },
        )

    @property
    def interactions(self) -> int:
        """How many interactions have been played."""
        raise NotImplementedError

    @property
    def names_held(self) -> dict[Hashable, str | None]:
        """The name each node's agent played last, None where it has not played."""
        there = self.network.G
        return {player.node: player.name for player in self.players if player.node in there}

    @property
    def players(self) -> list[Player]:
        """The players among the agents; a subclass may have others too."""
        kind = self.player_type
        return [cast(Player, agent) for agent in self.agents if isinstance(agent, kind)]

    def agent_on(self, node: Hashable) -> Player:
        """Return the agent on ``node``; ``KeyError`` if there is none."""
        agents = cell_at(self.network, node).agents
        if not agents:
            raise KeyError(node)
        return cast(Player, agents[0])

    def network_changed(self) -> None:
        """Have agents and neighbors read again before the next round, for they changed."""
        unmark_graph(self.network.G, _UNCHANGED)

    def network_read(self) -> None:
        """Take the network as it is for the one that neighbors were read from."""
        mark_graph(self.network.G, _UNCHANGED)

    @property
    def network_unchanged(self) -> bool:
        """Whether nothing has changed since agents and neighbors were read."""
        return is_marked(self.network.G, _UNCHANGED)

    def read_network(self) -> tuple[Neighbors, tuple[Player, ...]]:
        """Return who may meet whom, and who sits on each of ``neighbors.nodes``."""
        graph = self.network.G
        check_edges(graph)
        there = {player.node: player for player in self.players}
        neighbors = Neighbors(graph, absent=[node for node in graph if node not in there])
        self.network_read()
        return neighbors, tuple(there[node] for node in neighbors.nodes)

    def _step_on(self) -> None:
        """Take Mesa's own step; one that raises does not prevent those after it."""
        try:
            self._mesa_step()
        except BaseException:
            resume_steps(self)
            raise
        if not self.interactions and not _may_play(type(self)):
            name = type(self).__qualname__
            warnings.warn(
                f"{name}.step played nothing. Call super().step() in it, which plays a round: "
                "players have no step of their own that agents.shuffle_do could call.",
                stacklevel=2,
            )


def _read_reporters(argument: str, given: Any, taken: Reporters) -> dict[str, Reporter]:
    """Return reporters that a user gave, as long as Mesa can take them."""
    example = 'Write {"column": function}, as for mesa.DataCollector.'
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise SpecError(argument, given, "it does not map columns to reporters", example)
    for column, one in given.items():
        if not isinstance(column, str):
            raise SpecError(argument, column, f"{shown(column)} cannot name a column", example)
        if column in taken:
            problem = f"{shown(column)} is a column of the game already"
            raise SpecError(argument, column, problem, "Choose another name.")
        function = one[0] if isinstance(one, list) and len(one) == 2 else one
        if not callable(function) and not isinstance(one, str):
            problem = f"the column {shown(column)} is given by {shown(one)}"
            remedy = "Give the name of an attribute, a function, or [function, [arguments]]."
            raise SpecError(argument, one, problem, remedy)
    return dict(given)


def _attribute(name: str, player_type: type[NodeAgent], agent: object) -> Any:
    """Return what an agent has under a name; agents that are no players need not have it."""
    return getattr(agent, name) if isinstance(agent, player_type) else getattr(agent, name, None)


def _may_play(kind: type[mesa.Model]) -> bool:
    """Whether the step of a model's class could play something, were it called another time."""
    code = getattr(kind.step, "__code__", None)
    return code is None or not {"super", "step", "play", "run"}.isdisjoint(code.co_names)
