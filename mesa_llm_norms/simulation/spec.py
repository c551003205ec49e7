"""What defines a run: the arguments of the game, and the state a run of it starts from.

``Spec`` is the only list of the game's arguments. ``NamingGame`` and ``run_ensemble`` build one,
``serialization`` writes and reads one, and everything else takes one or its ``dataclasses.fields``.
A spec and the number of a run give an ``InitialState``: a graph, a mind on every node, and the
stream that all of the run's random draws come from.
"""

from __future__ import annotations

import operator
import random
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import Game, GameRules, Memory
from mesa_llm_norms.core.limits import check_seed, read_whole
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.referee import Referee, check_game
from mesa_llm_norms.errors import MindError, SpecError, shown, some
from mesa_llm_norms.llm.personas import check_persona, personas_of, seated_with
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.mind import Mind, WholeGame
from mesa_llm_norms.minds.mixtures import apportioned, by_share, mind_key, read_shares
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.minds.registry import DEFAULT_MIND, load_mind
from mesa_llm_norms.networks.adjacency import Graph, Neighbors, graph_size
from mesa_llm_norms.networks.placement import (
    Commitment,
    place_committed,
    place_together,
    read_committed,
    shuffled,
)
from mesa_llm_norms.networks.reading import is_random, read_graph
from mesa_llm_norms.networks.together import complete_network, draw_together
from mesa_llm_norms.networks.validation import check_graph
from mesa_llm_norms.simulation.pairing import (
    ContactsPairing,
    Pairing,
    check_seats,
    read_pairing,
)
from mesa_llm_norms.simulation.rewiring import read_rewire
from mesa_llm_norms.simulation.sight import read_sees

DEFAULT_GRAPH = "watts_strogatz(n=24, k=4, p=0.1)"

STUDY_GRAPH = "complete(n=24)"
"""The network of Ashery, Aiello and Baronchelli (2025): anybody may meet anybody."""

DEFAULT_NAMES = "QMXYFJPRCD"

NAMING = ("names", "memory", "reward", "penalty")
"""The arguments that say how the naming game is played."""

APART = ("rules", "persona", "sees")
"""Fields that are written only when given; neither sweeps nor the page can vary them."""

SOURCE_FILE = "source_file"
"""The graph attribute of a networkx graph that holds the name of the file it was read from."""


class InitialState(NamedTuple):
    """One run made ready to play: who sits on which node, with what mind, remembering what.

    Parameters
    ----------
    game
        The rules.
    graph
        The graph that is played on.
    neighbors
        Who may meet whom; ``neighbors.nodes`` gives the order of all per-node arrays.
    minds
        The different minds, each once.
    mind_indices
        For each node the index in ``minds`` of its agent's mind, shape (nodes,).
    uncommitted_indices
        The same if no agent were committed, shape (nodes,).
    start
        What every agent remembers at the start.
    pairing
        The rule that draws pairs.
    stream
        All random draws of the run.
    """

    game: GameRules
    graph: Graph
    neighbors: Neighbors
    minds: tuple[Mind, ...]
    mind_indices: NDArray[np.int32]
    uncommitted_indices: NDArray[np.int32]
    start: Memory
    pairing: Pairing
    stream: RandomStream

    @property
    def minds_by_node(self) -> dict[Hashable, Mind]:
        """The mind on every node."""
        return self.minds_at(self.mind_indices)

    @property
    def uncommitted_by_node(self) -> dict[Hashable, Mind]:
        """The mind that every node would have if no agent were committed."""
        return self.minds_at(self.uncommitted_indices)

    @property
    def leaving(self) -> dict[int, NDArray[np.int64]]:
        """By population round, the indices of agents that are committed only before it."""
        return who_leaves(self.minds, self.mind_indices)

    def minds_at(self, indices: NDArray[np.int32]) -> dict[Hashable, Mind]:
        """Return the mind on every node, given its index in ``minds``."""
        nodes = self.neighbors.nodes
        return {
            node: self.minds[index] for node, index in zip(nodes, indices.tolist(), strict=True)
        }


def who_leaves(
    minds: Sequence[Mind], mind_indices: NDArray[np.int32]
) -> dict[int, NDArray[np.int64]]:
    """Return, by population round, the agents that are committed only before it, by index."""
    rounds = [one.until if isinstance(one, CommittedMind) else None for one in minds]
    ends = sorted({it for it in rounds if it is not None})
    return {
        end: np.flatnonzero(
            np.isin(mind_indices, [number for number, it in enumerate(rounds) if it == end])
        )
        for end in ends
    }


_Rows: TypeAlias = Sequence[NDArray[np.int32]] | NDArray[np.int32]
"""For each run an index for each node."""


class Start(NamedTuple):
    """What differs between the initial states of the runs of a spec; see ``InitialState``."""

    neighbors: Neighbors
    minds: tuple[Mind, ...]
    mind_indices: NDArray[np.int32]
    uncommitted_indices: NDArray[np.int32]
    stream: RandomStream


@dataclass(frozen=True, kw_only=True)
class Spec:
    """The arguments of a game, checked when it is created.

    The seed and the number of a run determine everything random about it: the graph of a random
    topology, who is committed, who has which mind, and every draw during play.

    Parameters
    ----------
    graph : str, Path, networkx graph or scipy sparse array
        A topology such as ``"ring(n=24)"``, a graph file, or a graph, which must not change while
        the spec is in use. Default: a small world of 24 nodes.
    names : str or sequence of str
        The pool: one letter per name, or a list of names. Default: ten letters.
    mind : Mind, str, Path or mapping
        The mind of all agents (an object, a name that ``load_mind`` knows, or a mind file), a
        mapping of every node to its mind, or one of minds to their shares of the agents (``0.5`` or
        ``"50%"``).
    pairing : str or Pairing
        Who interacts: ``"node"`` (default; a node, then one of its neighbours), ``"edge"``,
        ``"matching"``, ``"contacts"`` (in the order of a contact sequence), or a rule object.
    memory : int
        How many interactions an agent remembers, 1 to 1,000. Default 5.
    reward, penalty : float
        Points to each of two agents whose names match, or differ. Default 100 and -50.
    incumbent : str, optional
        The name that fills all memories at the start. By default memories are empty.
    committed : mapping, optional
        Who always plays the same name: for a name a count (``5``), a share of the agents (``0.1``
        or ``"10%"``), either with a placement (``(5, "hubs")``; see ``place_committed``), or a list
        of nodes; or ``{"agents": 5, "placement": "hubs", "noise": 0.1, "until": 20}``: who plays
        another name with a chance of ``noise``, and only before round ``until``.
    rewire : int or tuple, optional
        After how many misses in a row an edge is dropped for a new one, perhaps with the
        probability that it then is: ``3`` or ``(3, 0.5)``; see ``simulation.rewiring``. By default
        the network stays as it is.
    persona : str or mapping, optional
        What live minds are told about themselves: one text, which may hold attributes of nodes
        (``"You are a {job}."``), or a mapping of nodes to such texts.
    sees : str or sequence of str
        Attributes that minds are shown, those of their agent and of its neighbors; see
        ``simulation.sight``. Default: none. The naming game shows none.
    seed : int
        0 (default) to 2**64 - 1.
    rules : GameRules, optional
        What is played, if it is not the naming game of ``names``, ``memory``, ``reward`` and
        ``penalty``, which are then left out. ``NetworkGame`` and ``run_ensemble`` call it ``game``.

    Raises
    ------
    SpecError
        If an argument cannot be used; the more specific ``PoolError``, ``MindError``,
        ``PairingError`` and, in ``initial_state``, ``TopologyError`` and ``GraphError``.

    References
    ----------
    Ashery, Aiello, Baronchelli, Science Advances 11, eadu9368 (2025).
    """

    graph: Any = DEFAULT_GRAPH
    names: Any = DEFAULT_NAMES
    mind: Any = DEFAULT_MIND
    pairing: Any = "node"
    memory: int = 5
    reward: float = 100
    penalty: float = -50
    incumbent: str | None = None
    committed: Mapping[str, Any] | None = None
    rewire: Any = None
    persona: str | Mapping[Hashable, str] | None = None
    sees: Any = ()
    seed: int = 0
    rules: GameRules | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if self.rules is not None:
            self._check_rules(self.rules)
        object.__setattr__(self, "mind", read_shares(self.mind))
        if self.committed is not None:
            object.__setattr__(self, "committed", read_committed(self.committed))
        pool, name = self.game.pool, self.incumbent
        if name is not None and not (isinstance(name, str) and name in pool):
            problem = f"{shown(name)} is not in the pool"
            raise SpecError("incumbent", name, problem, f"Use one of {some(pool, 26)}.")
        for committed in self.committed_names:
            CommittedMind(committed).check(self.game)
        for mind in self._minds.values():
            mind.check(self.game)
        if self.whole_game is not None and len(self._minds) > 1:
            problem = f"{self.whole_game.label} is a game of its own, and mixes with no mind"
            raise MindError("mind", self.mind, problem, "Play it alone, in a run of its own.")
        rule = read_pairing(self.pairing)
        check_seats(rule, self.game)
        object.__setattr__(self, "rewire", read_rewire(self.rewire))
        if self.rewire is not None and (isinstance(rule, ContactsPairing) or self.game.seats != 2):
            raise SpecError(
                "rewire",
                self.rewire,
                "only pairs that are drawn from edges can drop them",
                "Leave rewire out, or choose another pairing.",
            )
        object.__setattr__(self, "sees", read_sees(self.sees))
        if self.sees and isinstance(self.game, Game):
            problem = "minds in the naming game are shown nothing but their memory"
            raise SpecError("sees", self.sees, problem, "Leave it out, or play another game.")
        if self.incumbent is not None:
            self.start  # noqa: B018  (raises where nobody can remember it)
        if self.persona is not None:
            check_persona(self.persona, live=self.live)

    def _check_rules(self, rules: GameRules) -> None:
        """Refuse rules that cannot be played, and what is said of the naming game beside them."""
        check_game(rules)
        for argument in NAMING:
            given = getattr(self, argument)
            if given != getattr(Spec, argument):
                raise SpecError(
                    argument,
                    given,
                    "it is said of the naming game, and another game is played",
                    f"Leave it out; {type(rules).__name__} says what is played, its memory too.",
                )

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the arguments alone: what was read from them is read again where needed."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def arguments(self) -> dict[str, Any]:
        """Return the arguments by name as ``NamingGame`` and ``run_ensemble`` take them.

        A persona and ``sees`` are among them only if given, for a model's class may not take them.
        """
        arguments = self.__getstate__()
        for name in ("persona", "sees"):
            if not arguments[name]:
                del arguments[name]
        arguments["rng"] = arguments.pop("seed")
        rules = arguments.pop("rules")
        if rules is None:
            return arguments
        others = {name: it for name, it in arguments.items() if name not in NAMING}
        return {"game": rules, **others}

    @cached_property
    def game(self) -> GameRules:
        """The rules."""
        if self.rules is not None:
            return self.rules
        return Game(self.names, self.reward, self.penalty, self.memory)

    @property
    def naming_game(self) -> Game:
        """The rules of the naming game; ``SpecError`` where another game is played."""
        if isinstance(self.game, Game):
            return self.game
        problem = f"this is worked out for the naming game, not for {type(self.game).__name__}"
        raise SpecError("game", self.game, problem, "Play runs of it with run_ensemble.")

    @property
    def committed_names(self) -> tuple[str, ...]:
        """The names somebody is committed to."""
        return tuple(self.committed or ())

    @property
    def minds(self) -> tuple[Mind, ...]:
        """The minds that play, committed agents apart."""
        return tuple(self._minds.values())

    @property
    def whole_game(self) -> WholeGame | None:
        """What stands for a game of its own in the place of a mind, if anything does."""
        return next((mind for mind in self.minds if isinstance(mind, WholeGame)), None)

    @property
    def live(self) -> bool:
        """Whether any mind is a live one, which makes calls to a model."""
        return any(isinstance(mind, LiveMind) for mind in self.minds)

    @property
    def personas(self) -> tuple[str, ...]:
        """What live agents of the first run are told of who they are, each text once."""
        if self.persona is None:
            return ("",)
        seated = self.initial_state().minds_by_node.values()
        personas = dict.fromkeys(mind.persona for mind in seated if isinstance(mind, LiveMind))
        return tuple(personas) or ("",)

    def initial_state(self, run: int = 0) -> InitialState:
        """Return the state that a run starts from, its graph checked.

        Parameters
        ----------
        run : int
            The number of the run, from 0 (default). Each run has draws of its own.

        Raises
        ------
        SpecError
            If the graph cannot be read or played on (``TopologyError``, ``GraphError``), or nodes
            of ``mind`` or ``committed`` do not fit it.
        """
        stream = RandomStream(self.seed, read_whole("run", run, limits.RUN_NUMBER))
        graph, neighbors = (
            self._read_graph(stream.generator("graph")) if self.is_random else self._fixed_graph
        )
        minds, indices, uncommitted = self._seated(neighbors, stream)
        if self.persona is not None:
            personas = personas_of(self.persona, neighbors.nodes, graph)
            minds, (indices, uncommitted) = seated_with(personas, minds, (indices, uncommitted))
        pairing = read_pairing(self.pairing)
        pairing.check(neighbors)
        return InitialState(
            self.game, graph, neighbors, minds, indices, uncommitted, self.start, pairing, stream
        )

    def starts(self, runs: Sequence[int]) -> list[Start]:
        """Return what differs between the states that runs start from.

        Parameters
        ----------
        runs : sequence of int
            The numbers of the runs, at least one.

        Returns
        -------
        list of Start
            Parts of what ``initial_state`` returns for each; where they are the same in several
            runs, they are the same objects.

        Raises
        ------
        SpecError
            See ``initial_state``.
        """
        first = self._start(runs[0])
        found = [first]
        streams = [RandomStream(self.seed, run) for run in runs[1:]]
        if not streams:
            return found
        networks = [first.neighbors] * len(streams)
        drawn = None
        if self.is_random:
            drawn = draw_together(self.graph, [stream.of("graph") for stream in streams])
            networks = drawn or [
                self._read_graph(stream.generator("graph"))[1] for stream in streams
            ]
        seats = None
        if drawn or not self.is_random:
            seats = self._seats(networks, streams, first)
        for place, (stream, neighbors) in enumerate(zip(streams, networks, strict=True)):
            if seats is None:
                found.append(Start(neighbors, *self._seated(neighbors, stream), stream))
                continue
            minds = self._of_run(first.minds, stream)
            indices, uncommitted = (rows[place] for rows in seats)
            found.append(Start(neighbors, minds, indices, uncommitted, stream))
        return found

    def _start(self, run: int) -> Start:
        """Return parts of the initial state of one run, without its graph where that can be."""
        stream = RandomStream(self.seed, read_whole("run", run, limits.RUN_NUMBER))
        neighbors = (
            self._read_graph(stream.generator("graph"))[1] if self.is_random else self._network
        )
        read_pairing(self.pairing).check(neighbors)
        return Start(neighbors, *self._seated(neighbors, stream), stream)

    def _seats(
        self, networks: Sequence[Neighbors], streams: Sequence[RandomStream], first: Start
    ) -> tuple[_Rows, _Rows] | None:
        """Return what ``_seated`` does for all runs at once, minds aside; None where it has to.

        The networks have the same nodes as that of the first run.
        """
        runs = len(streams)
        uncommitted: _Rows = [first.uncommitted_indices] * runs
        if isinstance(self.mind, Mapping) and by_share(self.mind):
            orders = shuffled(len(first.neighbors), [one.of("minds") for one in streams])
            apportioned = self._apportioned(len(first.neighbors))
            rows = np.empty(orders.shape, np.int32)
            np.put_along_axis(rows, orders, np.broadcast_to(apportioned, rows.shape), axis=1)
            uncommitted = rows
        if not self.committed:
            return uncommitted, uncommitted
        seeds = [one.of("committed") for one in streams]
        taken = place_together(self.committed, networks, seeds)
        if taken is None:
            return None
        before = len(first.minds) - len(self.committed)
        seated = np.where(taken < 0, np.array(uncommitted), before + taken).astype(np.int32)
        return seated, uncommitted

    def _of_run(self, minds: tuple[Mind, ...], stream: RandomStream) -> tuple[Mind, ...]:
        """Return the minds of a run, the tuple of another one if they are the same."""
        found = self._minds_of(stream)
        found += minds[len(found) :]
        return minds if all(map(operator.is_, found, minds)) else tuple(found)

    def _minds_of(self, stream: RandomStream) -> list[Mind]:
        """Return the distinct minds as they are in a run, without those of committed agents."""
        this_run = {id(mind): mind.for_run(self.game, stream) for mind in self.minds}
        return [this_run[id(mind)] for mind in self.minds]

    def _seated(
        self, neighbors: Neighbors, stream: RandomStream
    ) -> tuple[tuple[Mind, ...], NDArray[np.int32], NDArray[np.int32]]:
        """Return the minds of a run, for each node the index of its own, and if none committed."""
        indices = self._assign_minds(neighbors.nodes, stream.generator("minds"))
        minds = self._minds_of(stream)
        uncommitted = indices.copy() if self.committed else indices
        taken = place_committed(self.committed or {}, neighbors, stream.generator("committed"))
        for name, mind in self._committed_minds.items():
            indices[[place for place, its_name in taken.items() if its_name == name]] = len(minds)
            minds.append(mind)
        return tuple(minds), indices, uncommitted

    @property
    def has_one_network(self) -> bool:
        """Whether all runs are on the same network, from beginning to end."""
        return not self.is_random and self.rewire is None

    @cached_property
    def is_random(self) -> bool:
        """Whether every run has a network of its own."""
        return is_random(self.graph)

    @property
    def start(self) -> Memory:
        """What every agent remembers at the start."""
        return Referee(self.game).filled(self.incumbent) if self.incumbent is not None else ()

    @property
    def topology(self) -> str:
        """The graph in words: the topology or file, or else its size."""
        if isinstance(self.graph, (str, Path)):
            return str(self.graph)
        if isinstance(self.graph, nx.Graph) and SOURCE_FILE in self.graph.graph:
            return str(self.graph.graph[SOURCE_FILE])
        nodes, edges = graph_size(read_graph(self.graph, random.Random()))
        return f"{nodes} nodes, {edges} edges"

    @property
    def mind_label(self) -> str:
        """The minds in words, with their shares where they are given."""
        if isinstance(self.mind, Mapping) and by_share(self.mind):
            total = sum(self.mind.values())
            return ", ".join(
                f"{self._minds[key].label} {share / total:.0%}" for key, share in self.mind.items()
            )
        return ", ".join(dict.fromkeys(mind.label for mind in self._minds.values()))

    def heading(self, agents: int) -> str:
        """Return in one line what is played by so many agents."""
        pool = self.game.pool
        names = ", ".join(pool[:26]) + (" ..." if len(pool) > 26 else "")
        moves = f"names {names}"
        if self.rules is not None:
            moves = f"{type(self.rules).__name__} with the moves {names}"
        return (
            f"{agents:,} agents with {self.mind_label} on {self.topology}, {moves}, "
            f"seed {self.seed}"
        )

    @cached_property
    def _minds(self) -> dict[Any, Mind]:
        """The minds by key of the ``mind`` argument; one mind for all has the key None."""
        if not isinstance(self.mind, Mapping):
            return {None: load_mind(self.mind)}
        if not self.mind:
            raise MindError("mind", self.mind, "no mind is given", "Name at least one.")
        if by_share(self.mind):
            return {key: load_mind(key) for key in self.mind}
        distinct = {mind_key(mind): mind for mind in self.mind.values()}
        return {key: load_mind(mind) for key, mind in distinct.items()}

    @cached_property
    def _committed_minds(self) -> dict[str, Mind]:
        given = (self.committed or {}).items()
        return {name: CommittedMind(name, *Commitment.of(where)) for name, where in given}

    @cached_property
    def _network(self) -> Neighbors:
        """Who may meet whom in every run, if the topology is not random."""
        return complete_network(self.graph) or self._fixed_graph[1]

    def _apportioned(self, agents: int) -> NDArray[np.int32]:
        """Return the indices of minds that are given by share, as often as agents get them."""
        counts = apportioned(list(self.mind.values()), agents)
        return np.repeat(np.arange(len(counts), dtype=np.int32), counts)

    def _read_graph(self, chance: random.Random) -> tuple[Graph, Neighbors]:
        graph = read_graph(self.graph, chance)
        check_graph(graph)
        return graph, Neighbors(graph)

    @cached_property
    def _fixed_graph(self) -> tuple[Graph, Neighbors]:
        """The graph of every run, if the topology is not random."""
        return self._read_graph(random.Random(0))

    def _assign_minds(self, nodes: Sequence[Hashable], chance: random.Random) -> NDArray[np.int32]:
        """Return for each node the index of its mind among the distinct ones."""
        if not isinstance(self.mind, Mapping):
            return np.zeros(len(nodes), np.int32)
        if by_share(self.mind):
            order = list(range(len(nodes)))
            chance.shuffle(order)
            indices = np.zeros(len(nodes), np.int32)
            indices[order] = self._apportioned(len(nodes))
            return indices
        missing = [node for node in nodes if node not in self.mind]
        there = set(nodes)
        unknown = [node for node in self.mind if node not in there]
        if missing or unknown:
            problem = f"no mind for node {some(missing)}" if missing else f"no node {some(unknown)}"
            raise MindError(
                "mind",
                self.mind,
                problem,
                'Give every node a mind, or shares such as {"claude-3.5-sonnet": 0.5, ...}.',
            )
        place = {key: place for place, key in enumerate(self._minds)}
        return np.array([place[mind_key(self.mind[node])] for node in nodes], np.int32)
