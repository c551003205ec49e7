"""The agents: one on each node, with its own mind and memory."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from mesa.discrete_space import Cell

from mesa_llm_norms.core.game import Experience, Memory, keep, remember, score
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.minds.registry import load_mind
from mesa_llm_norms.network_model import NodeAgent

if TYPE_CHECKING:
    from mesa_llm_norms.model import NetworkGame


class NamingAgent(NodeAgent):
    """An agent that plays the naming game, or any other, from a fixed node.

    ``mind`` may be replaced at any time between steps, by a mind or the name of one. Subclasses may
    override ``remember``, or ``learn`` in games other than the naming game, to keep more, or less,
    than the last interactions.

    Parameters
    ----------
    model : NetworkGame
        The model it belongs to.
    cell : mesa.discrete_space.Cell or hashable
        The cell of its node, or the node, where no other player is.
    mind : Mind, str or path
        What decides for it, or what ``load_mind`` knows it by.
    memory : Memory, default ()
        What it remembers at the start, oldest first.

    Raises
    ------
    SpecError
        If another player is on the node, or there is no such node.
    MindError
        If this is not a mind that can play the game.
    """

    model: NetworkGame

    def __init__(
        self, model: NetworkGame, cell: Cell | Hashable, mind: Any, memory: Memory = ()
    ) -> None:
        loaded = _mind_in(model, mind)
        super().__init__(model, cell)
        self.mind = loaded
        self.uncommitted: Mind = loaded
        """What decides for the agent when it is committed to no name."""
        self._memory = tuple(memory)
        self._name: str | None = None

    @property
    def mind(self) -> Mind:
        """What decides for the agent."""
        return self._mind

    @mind.setter
    def mind(self, mind: Any) -> None:
        self._mind = _mind_in(self.model, mind)

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
        """The points the agent sees as its score: the payoffs of what it remembers, added up."""
        return score(self._memory, self.model.game)

    @property
    def committed(self) -> str | None:
        """The name the agent is committed to, if any."""
        return self.mind.name if isinstance(self.mind, CommittedMind) else None

    def commit(self, name: str) -> None:
        """Have the agent always play ``name``, from its next interaction on.

        Parameters
        ----------
        name : str
            A name of the pool.

        Raises
        ------
        MindError
            If the name is not in the pool.
        """
        mind = CommittedMind(name)
        mind.check(self.model.game)
        if self.committed is None:
            self.uncommitted = self.mind
        self.mind = mind

    def release(self) -> None:
        """Give the agent the mind it has when it is committed to no name."""
        if self.committed is not None:
            self.mind = self.uncommitted

    def remember(self, own: str, partner: str) -> None:
        """Take in one interaction of the naming game; called after both have chosen.

        Parameters
        ----------
        own : str
            The name the agent played.
        partner : str
            The name its partner played.
        """
        self._name = own
        self._memory = remember(self._memory, own, partner, self.model.game.memory)

    def learn(self, past: Experience) -> None:
        """Take in one interaction of any other game; called after all have chosen.

        Parameters
        ----------
        past : Experience
            What the agent and the others did, and what it got for that.
        """
        self._name = past.own
        self._memory = keep(self._memory, past, self.model.game.memory)

    def restore(self, memory: Memory, name: str | None) -> None:
        """Take over what an engine has left.

        Parameters
        ----------
        memory : Memory
            What the agent remembers from now on, oldest first.
        name : str or None
            The name it played last, None if it has not played.
        """
        self._memory, self._name = tuple(memory), name

    @property
    def foreseeable(self) -> bool:
        """Whether what the agent will remember follows from what it plays and sees alone."""
        return not self.overrides() and not {"remember", "learn"} & {*vars(self)}

    @classmethod
    def overrides(cls) -> list[str]:
        """Return the methods with which a subclass keeps a memory in another way.

        Returns
        -------
        list of str
            Their qualified names; empty if the subclass overrides none.
        """
        return [
            f"{cls.__module__}.{cls.__qualname__}.{name}"
            for name in ("remember", "learn", "restore", "memory", "mind", "name")
            if getattr(cls, name, None) is not getattr(NamingAgent, name, None)
        ]


def _mind_in(model: NetworkGame, mind: Any) -> Mind:
    """Return a mind that can play in a model; if it is live, the model's client makes its calls."""
    loaded = load_mind(mind)
    if loaded is not mind:
        loaded.check(model.game)
    if isinstance(loaded, LiveMind) and loaded.client is None and model.client is not None:
        (loaded,) = model.client.attach([loaded])
    return loaded
