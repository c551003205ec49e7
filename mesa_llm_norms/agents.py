"""The agents: one on each node, with a mind and a memory of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import numpy as np
from mesa.discrete_space import Cell
from numpy.typing import NDArray

from mesa_llm_norms.core.game import Game, Interaction, Memory, remember, score
from mesa_llm_norms.core.metrics import Tally
from mesa_llm_norms.core.stopping import Recent, Stop
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.network_model import NodeAgent
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.engine import Engine
from mesa_llm_norms.simulation.kernel import Kernel, Verdict, automaton_for, can_play
from mesa_llm_norms.simulation.pairing import Pairing

if TYPE_CHECKING:
    from mesa_llm_norms.model import NamingGame


class NamingAgent(NodeAgent):
    """An agent that plays the naming game from a fixed node.

    ``mind`` may be replaced at any time between steps. Subclasses may override ``remember`` to keep
    more, or less, than the last interactions.
    """

    model: NamingGame

    def __init__(self, model: NamingGame, cell: Cell, mind: Mind, memory: Memory = ()) -> None:
        super().__init__(model, cell)
        self.mind = mind
        self.uncommitted = mind
        """What decides for the agent when it is committed to no name."""
        self._memory = tuple(memory)
        self._name: str | None = None

    @property
    def memory(self) -> Memory:
        """The last interactions, oldest first; read-only."""
        return self._memory

    @property
    def name(self) -> str | None:
        """The name played last, None before the first interaction."""
        return self._name

    @property
    def score(self) -> float:
        """The points the agent sees as its own: the payoffs of what it remembers, added up."""
        return score(self._memory, self.model.game)

    @property
    def committed(self) -> str | None:
        """The name the agent is committed to, if any."""
        return self.mind.name if isinstance(self.mind, CommittedMind) else None

    def commit(self, name: str) -> None:
        """Have the agent play ``name`` always, from its next interaction on.

        Raises ``MindError`` for a name that is not in the pool.
        """
        mind = CommittedMind(name)
        mind.check(self.model.game)
        if self.committed is None:
            self.uncommitted = self.mind
        self.mind = mind

    def release(self) -> None:
        """Give the agent back the mind it has when it is committed to nothing."""
        if self.committed is not None:
            self.mind = self.uncommitted

    @property
    def foreseeable(self) -> bool:
        """Whether what the agent will remember follows from what it plays and sees alone."""
        return not overridden([self])

    def remember(self, own: str, partner: str) -> None:
        """Take in one interaction: what I played, what my partner played."""
        self._name = own
        self._memory = remember(self._memory, own, partner, self.model.game.memory)

    def restore(self, memory: Memory, name: str | None) -> None:
        """Take over a memory, and the name played last, as an engine has left them."""
        self._memory, self._name = tuple(memory), name


def overridden(agents: Iterable[NamingAgent]) -> list[str]:
    """Return the methods with which agents keep a memory in a way of their own, by name."""
    every = list(agents)
    found = [
        f"{kind.__module__}.{kind.__qualname__}.{name}"
        for kind in dict.fromkeys(type(agent) for agent in every)
        for name in ("remember", "restore", "memory", "mind", "name")
        if getattr(kind, name, None) is not getattr(NamingAgent, name, None)
    ]
    if any("remember" in vars(agent) for agent in every):
        found.append("the remember of a single agent")
    return found


def can_run(model: NamingGame) -> Verdict:
    """Return whether the kernel can play ``model``, and otherwise what prevents it.

    It plays minds that are policies, under the pairing rules that ship. It refuses where a subclass
    overrides what it would bypass: how a mind decides, a rule draws pairs, or an agent remembers.
    """
    agents = [agent for agent in model.agents if isinstance(agent, NamingAgent)]
    return _can_play_agents(agents, model.pairing)


class AgentsKernel:
    """Plays rounds compiled for the agents of an engine, who know all of it afterwards.

    A round that the kernel cannot play, because agents or minds have changed or it was cut before,
    the engine plays.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @property
    def game(self) -> Game:
        """The rules."""
        return self.engine.game

    @property
    def neighbors(self) -> Neighbors:
        """Who may meet whom."""
        return self.engine.neighbors

    @property
    def interactions(self) -> int:
        """How many have been played."""
        return self.engine.interactions

    @property
    def skipped(self) -> int:
        """How many of them came to nothing."""
        return self.engine.skipped

    @property
    def discarded(self) -> int:
        """How many were begun ahead of their turn and are in no result."""
        return self.engine.discarded

    @property
    def rounds(self) -> int:
        """How many have been begun."""
        return self.engine.rounds

    @property
    def names_held(self) -> NDArray[np.int16]:
        """For each node the place in the pool of the name played last, -1 for none."""
        return self.engine.names_held

    @property
    def next_round(self) -> int:
        """The number of the round to be played next, or gone on with."""
        return self.engine.next_round

    def speculating(self, rounds: int) -> AbstractContextManager[None]:
        """Let the engine speculate in what it plays itself."""
        return self.engine.speculating(rounds)

    def release(self, indices: Iterable[int]) -> None:
        """Give agents the mind they have when committed to no name."""
        self.engine.release(indices)

    def play(
        self, rounds: int, recent: Recent, stop: Stop, tally: Tally, rows: list[Interaction] | None
    ) -> None:
        """Pack the agents' memories, play as ``Kernel.play`` does, and unpack them."""
        engine = self.engine
        agents: Sequence[Any] = engine.players
        cut = engine.next_round != engine.rounds
        if cut or not _can_play_agents(agents, engine.pairing):
            engine.play(rounds, recent, stop, tally, rows)
            return
        minds = {id(agent.mind): agent.mind for agent in agents}
        seats = {key: seat for seat, key in enumerate(minds)}
        automaton = automaton_for(engine.game, tuple(minds.values()))
        states = np.array(
            [automaton.state(seats[id(agent.mind)], agent.memory, agent.name) for agent in agents],
            np.uint32,
        )
        kernel = Kernel(
            engine.game, engine.neighbors, engine.pairing, engine.stream, automaton, states
        )
        kernel.interactions, kernel.rounds = engine.interactions, engine.rounds
        try:
            kernel.play(rounds, recent, stop, tally, rows)
        finally:
            memory_of = kernel.automaton.memory
            for agent, state, name in zip(
                agents, kernel.states.tolist(), kernel.names_held.tolist(), strict=True
            ):
                agent.restore(memory_of(state), engine.game.pool[name] if name >= 0 else None)
            engine.interactions, engine.rounds = kernel.interactions, kernel.rounds
            engine.cut = kernel.cut


def _can_play_agents(agents: Sequence[NamingAgent], pairing: Pairing) -> Verdict:
    others = can_play([agent.mind for agent in agents], pairing)
    return Verdict((*overridden(agents), *others.reasons))
