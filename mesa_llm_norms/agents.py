"""The agents: one on each node, with a mind and a memory of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mesa.discrete_space import Cell

from mesa_llm_norms.memory import Memory, remember, score
from mesa_llm_norms.minds.committed import CommittedMind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.networked import NodeAgent

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
