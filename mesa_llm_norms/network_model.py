"""What the Mesa models of this package share: agents who stay on the nodes of a network."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from importlib import import_module
from inspect import Parameter, Signature, signature
from threading import Lock, get_ident
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary

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
from mesa_llm_norms.simulation.ensemble import NOTEBOOK

Reporter: TypeAlias = str | Callable[..., Any] | list[Any]
"""What gives a column of ``mesa.DataCollector``, in one of the forms that Mesa takes."""

Reporters: TypeAlias = Mapping[str, Reporter]
"""The column that each reporter gives."""

_UNCHANGED = "mesa_llm_norms neighbors"
_ARGS, _KWARGS = Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD

_claims = Lock()
_playing: WeakKeyDictionary[Any, int] = WeakKeyDictionary()
"""The thread that plays a model; not part of the model, which may be copied meanwhile."""


class NodeAgent(FixedAgent):
    """An agent on a fixed node, the only player there.

    Parameters
    ----------
    model : NetworkModel
        The model it belongs to.
    cell : mesa.discrete_space.Cell or hashable
        The cell of its node, or the node.

    Raises
    ------
    SpecError
        If there is no such node, or another player is on it.

    Attributes
    ----------
    gone : bool
        Whether it has left.
    """

    model: NetworkModel[Any]
    gone: bool = False

    def __init__(self, model: NetworkModel[Any], cell: Cell | Hashable) -> None:
        if not isinstance(cell, Cell):
            cell = model.cell_of(cell)
        if any(isinstance(agent, NodeAgent) for agent in cell.agents):
            raise SpecError(
                "cell", cell, f"node {shown(cell.coordinate)} is taken", "Remove its agent first."
            )
        if cell.is_full:
            raise SpecError(
                "cell",
                cell,
                f"node {shown(cell.coordinate)} holds {cell.capacity} agents already",
                "Make the model with a larger capacity, or with capacity=None.",
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

    def _repr_html_(self) -> str:
        return str(import_module(NOTEBOOK).agent_html(self))

    def remove(self) -> None:
        """Leave the game, also in a round; the node stays until somebody else is put on it."""
        self.gone = True
        self.model.network_changed()
        super().remove()  # type: ignore[no-untyped-call]


Player = TypeVar("Player", bound=NodeAgent)
Row = TypeVar("Row")


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

    def __init_subclass__(cls, **options: Any) -> None:
        """Have the signature of a subclass tell the arguments that it only passes on, too.

        Mesa's page looks for them there.
        """
        super().__init_subclass__(**options)
        if "__init__" in vars(cls):
            _tell_arguments(vars(cls)["__init__"], super(cls, cls).__init__)
        takes = signature(cls.__init__)  # and not what __new__ does
        made: Any = cls
        made.__signature__ = takes.replace(parameters=list(takes.parameters.values())[1:])

    def lay_out(self, graph: nx.Graph[Any], capacity: int | None = 1) -> None:
        """Make the network from a copy of ``graph``, with room for so many agents on a node."""
        self.network: Network = make_network(graph.copy(), self.random, capacity)

    @property
    def grid(self) -> Network:
        """The network, under the name by which Mesa's own components look for a space."""
        return self.network

    def cell_of(self, node: Hashable) -> Cell:
        """Return the cell of a node; ``SpecError`` if there is none."""
        try:
            return cell_at(self.network, node)
        except (KeyError, TypeError):
            raise SpecError(
                "cell",
                node,
                f"there is no node {shown(node)}",
                "Give a cell of model.network, or a node of model.network.G.",
            ) from None

    @contextmanager
    def playing_alone(self) -> Iterator[None]:
        """Within the block, refuse to play in another thread.

        Raises
        ------
        SpecError
            If another thread plays the model.
        """
        this = get_ident()
        with _claims:
            outermost = self not in _playing
            player = _playing.setdefault(self, this)
        if player != this:
            raise SpecError(
                "model",
                type(self).__qualname__,
                "it is already playing in another thread",
                "Wait for that, interrupt() it, or make a model for each thread.",
            )
        try:
            yield
        finally:
            if outermost:
                del _playing[self]

    def alone(self, rows: Generator[Row, None, None]) -> Generator[Row, None, None]:
        """Pass on rows as they are played, refusing other threads while each of them is."""
        with closing(rows):
            while True:
                with self.playing_alone():
                    row = next(rows, None)
                if row is None:
                    return
                yield row

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

    def _repr_html_(self) -> str:
        return str(import_module(NOTEBOOK).model_html(self))

    def _repr_png_(self) -> bytes | None:
        return cast("bytes | None", import_module(NOTEBOOK).model_png(self))

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
        """Return the player on ``node``; ``KeyError`` if there is none."""
        agents: list[Any] = cell_at(self.network, node).agents
        for agent in agents:
            if isinstance(agent, self.player_type):
                return cast(Player, agent)
        raise KeyError(node)

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
        """Take Mesa's own step; one that raises does not prevent those after it.

        From Mesa 3.5 on a step of another thread would find nothing planned, and only move time.
        """
        with self.playing_alone():
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


def _tell_arguments(init: Any, inherited: Callable[..., None]) -> None:
    """Write into the signature of ``init`` what its ``*args`` and ``**kwargs`` take."""
    stated = list(signature(init).parameters.values())
    kinds = {one.kind: one for one in stated}
    own = [one for one in stated if one.kind not in (_ARGS, _KWARGS)]
    if len(own) == len(stated):
        return
    names = {one.name for one in own}
    passed = [one for one in signature(inherited).parameters.values() if one.name not in names]
    if _ARGS not in kinds:
        passed = [
            one if one.kind in (_ARGS, _KWARGS) else one.replace(kind=Parameter.KEYWORD_ONLY)
            for one in passed
            if one.name != "self"
        ]
    # A stable sort: each kind after the kinds before it, the class's own first.
    init.__signature__ = Signature(sorted([*own, *passed], key=lambda one: one.kind))


def _may_play(kind: type[mesa.Model]) -> bool:
    """Whether the step of a model's class could play something, were it called another time."""
    code = getattr(kind.step, "__code__", None)
    return code is None or not {"super", "step", "play", "run"}.isdisjoint(code.co_names)
