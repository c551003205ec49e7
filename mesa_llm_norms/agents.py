"""The agents: one on each node, with a mind and a memory of its own."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, cast

from mesa.discrete_space import Cell, FixedAgent

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.memory import Memory, remember, score
from mesa_llm_norms.minds.committed import CommittedMind
from mesa_llm_norms.minds.mind import Mind

if TYPE_CHECKING:
    from mesa_llm_norms.model import NamingGame


class NamingAgent(FixedAgent):
    """An agent that plays the naming game from a fixed node.

    ``mind`` may be replaced at any time between steps. Subclasses may override ``remember`` to keep
    more, or less, than the last interactions.
    """

    model: NamingGame

    def __init__(self, model: NamingGame, cell: Cell, mind: Mind, memory: Memory = ()) -> None:
        if cell.agents:
            raise SpecError(
                "cell", cell, f"node {cell.coordinate!r} is taken", "Remove its agent first."
            )
        super().__init__(model)
        self.cell = cell
        self.mind = mind
        self._memory = memory
        self._name: str | None = None
        model.seats_changed()

    @property
    def node(self) -> Hashable:
        """The id of the graph's node the agent sits on."""
        return cast(Cell, self.cell).coordinate

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

    def remember(self, own: str, partner: str) -> None:
        """Take in one interaction: what I played, what my partner played."""
        self._name = own
        self._memory = remember(self._memory, own, partner, self.model.game.memory)

    def remove(self) -> None:
        """Leave the game; the node stays, empty, until somebody else is put on it."""
        self.model.seats_changed()
        super().remove()  # type: ignore[no-untyped-call]
