"""The naming game as a Mesa model: agents on a network, a step is one population round."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from typing import Any, cast

import mesa
import networkx as nx
from mesa.discrete_space import Network

from mesa_llm_norms.agents import NamingAgent
from mesa_llm_norms.course import WINDOW, Course, Outcome, read_rounds
from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.execution import Engine
from mesa_llm_norms.game import Game, Interaction
from mesa_llm_norms.metrics import Round
from mesa_llm_norms.minds.catalogue import DEFAULT_MIND
from mesa_llm_norms.pairing import Contacts
from mesa_llm_norms.spec import DEFAULT_GRAPH, DEFAULT_NAMES, Spec
from mesa_llm_norms.topologies import check_edges

_CACHE = "mesa_llm_norms contacts"


class NamingGame(mesa.Model):
    """A population that plays the naming game of Ashery, Aiello and Baronchelli (2025).

    Parameters
    ----------
    graph
        A topology (``"ring(n=24)"``), a graph file, or a networkx graph with any node ids.
    names
        The pool: letters in a string, or a sequence of names.
    mind
        For everyone: a mind, the name of one, or a mind file. Or ``{node: mind}``, or shares
        such as ``{"claude-3.5-sonnet": 0.5, "llama-2-70b-chat": 0.5}``.
    pairing
        ``"node"`` (a node, then a neighbour: the study), ``"edge"``, ``"matching"``, or a rule.
    memory, reward, penalty
        How many interactions an agent remembers, and the payoffs in points.
    incumbent
        The convention everyone starts out remembering, or None for empty memories.
    committed
        Who always plays one name: ``{"M": 5}``, ``{"M": (5, "hubs")}`` (or ``random``,
        ``periphery``, ``cluster``), or ``{"M": [nodes]}``.
    rng
        A seed from 0 to 2**64 - 1, or a generator to draw one from.
    run
        Which run of the seed this is; run 3 here is run 3 of ``run_ensemble`` with that seed.

    The graph is copied; ``model.network.G`` is the model's own. Between steps agents may be removed
    or put on empty nodes, and the network rewired (through ``model.network`` or on its graph). Only
    a change networkx cannot see, ``G[u][v]["weight"] = 2``, needs ``seats_changed()`` after it.
    """

    def __init__(
        self,
        graph: Any = DEFAULT_GRAPH,
        names: Any = DEFAULT_NAMES,
        mind: Any = DEFAULT_MIND,
        pairing: Any = "node",
        memory: int = 5,
        reward: float = 100,
        penalty: float = -50,
        incumbent: str | None = None,
        committed: Mapping[str, Any] | None = None,
        rng: Any = None,
        run: int = 0,
    ) -> None:
        seed = read_seed(rng)
        super().__init__(rng=seed)
        self._mesa_step = self.step
        self.step = self._step_on  # type: ignore[method-assign]
        self.spec = Spec(
            graph=graph,
            names=names,
            mind=mind,
            pairing=pairing,
            memory=memory,
            reward=reward,
            penalty=penalty,
            incumbent=incumbent,
            committed=committed,
            seed=seed,
        )
        seating = self.spec.seat(run)
        self.game: Game = seating.game
        self.network = make_network(seating.graph.copy(), self.random)
        self._course: Course | None = None
        for cell in self.network:
            NamingAgent(self, cell, seating.minds[cell.coordinate], seating.start)
        engine = Engine(seating.game, *self._seats(), seating.pairing, seating.draws)
        self._course = Course(engine, self.spec.committed_names)
        self.datacollector = mesa.DataCollector(
            model_reporters={
                "interactions": "interactions",
                "success_rate": partial(_of_round, "success_rate"),
                "distinct_names": partial(_of_round, "distinct_names"),
                "entropy": partial(_of_round, "entropy"),
                **{f"share_{name}": partial(_share, name) for name in self.game.pool},
            },
            agent_reporters={name: partial(_of_agent, name) for name in ("name", "score")},
        )

    def step(self) -> None:
        """Play one population round and collect its data.

        A round is N interactions, or one matching. It ends early where ``run`` reaches its goal.
        """
        course = self._current()
        course.play_round()
        self.datacollector.collect(self)

    def run(
        self,
        rounds: int | None = None,
        until: str | None = "converged",
        window: float = WINDOW,
        threshold: float = 1.0,
    ) -> Outcome:
        """Play on until the goal or for ``rounds`` more rounds, and return how things stand.

        ``until="converged"`` stops when, of the last ``window`` times N interactions, at least
        ``threshold`` matched; ``"flipped"`` when 95% of the names played in them are one committed
        name; None never. Without ``rounds`` a run may take 1,000. It stops within a round.
        """
        most = read_rounds(rounds, until)
        course = self._current()
        course.aim(until, window, threshold)
        try:
            for _ in range(most):
                self.step()
                if course.reached:
                    break
            return course.outcome
        finally:
            course.aim(None, window, threshold)

    @property
    def interactions(self) -> int:
        """How many interactions have been played."""
        return self._played.engine.interactions

    @property
    def rows(self) -> list[Interaction]:
        """The interactions of the last round played, or begun where a mind failed in it."""
        return self._played.rows

    @property
    def round(self) -> Round | None:
        """The last population round in numbers, None before the first."""
        return self._played.last_round

    @property
    def converged(self) -> bool:
        """Whether the last 3 N interactions all matched (or as ``run`` was last told)."""
        return self._current().converged

    @property
    def outcome(self) -> Outcome:
        """How the run stands now."""
        return self._current().outcome

    @property
    def names_held(self) -> dict[Hashable, str | None]:
        """The name each node's agent played last, None where it has not played."""
        return {agent.node: agent.name for agent in self._naming_agents()}

    def agent_on(self, node: Hashable) -> NamingAgent:
        """Return the agent that sits on ``node``; ``KeyError`` if there is none."""
        agents = self.network[cast(Any, node)].agents
        if not agents:
            raise KeyError(node)
        return cast(NamingAgent, agents[0])

    def seats_changed(self) -> None:
        """Say that agents or edges changed; contacts are then read anew before the next round."""
        self.network.G.__networkx_cache__.pop(_CACHE, None)

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

    @property
    def _played(self) -> Course:
        assert self._course is not None
        return self._course

    def _current(self) -> Course:
        """The course, its seats read anew if the graph or the agents changed."""
        if _CACHE not in self.network.G.__networkx_cache__:
            self._played.seat(*self._seats())
        return self._played

    def _naming_agents(self) -> Iterator[NamingAgent]:
        """The players among the agents; a subclass may have others too."""
        return (agent for agent in self.agents if isinstance(agent, NamingAgent))

    def _seats(self) -> tuple[Contacts, tuple[NamingAgent, ...]]:
        graph = self.network.G
        check_edges(graph)
        seated = {agent.node: agent for agent in self._naming_agents()}
        contacts = Contacts(graph, absent=[node for node in graph if node not in seated])
        # networkx empties this dictionary whenever nodes or edges change
        graph.__networkx_cache__[_CACHE] = True
        return contacts, tuple(seated[node] for node in contacts.nodes)


def make_network(graph: nx.Graph[Any], random: Any) -> Network:
    """Return Mesa's network for ``graph``, without the layout that Mesa 3.5 would compute."""
    options: dict[str, Any] = {"capacity": 1, "random": random}
    if "layout" in inspect.signature(Network).parameters:
        options["layout"] = None
    return Network(graph, **options)


def _of_round(number: str, model: NamingGame) -> float:
    return getattr(model.round, number, float("nan"))


def _of_agent(attribute: str, agent: object) -> Any:
    return getattr(agent, attribute, None)


def _share(name: str, model: NamingGame) -> float:
    return model.round.shares[name] if model.round else float("nan")
