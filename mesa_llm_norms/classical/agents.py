"""The agents of the classical game: one on each node, with an inventory of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesa.discrete_space import Cell

from mesa_llm_norms.classical.game import Talker, invention
from mesa_llm_norms.networked import NodeAgent

if TYPE_CHECKING:
    from mesa_llm_norms.classical.model import ClassicalGame


class ClassicalAgent(NodeAgent, Talker):
    """An agent that plays the classical naming game from a fixed node.

    Subclasses may override ``utter``, ``hear`` and ``agree``; the game is then played in plain
    Python.
    """

    model: ClassicalGame

    def __init__(
        self,
        model: ClassicalGame,
        cell: Cell,
        inventory: tuple[str, ...] = (),
        committed: str | None = None,
    ) -> None:
        if committed is not None:
            model.rules.check_word("committed", committed)
            inventory = (committed,)
        super().__init__(model, cell)
        self.invention = invention(model.newcomer())
        self._inventory = tuple(dict.fromkeys(inventory))
        self._committed = committed

    @property
    def inventory(self) -> tuple[str, ...]:
        """The words it holds, in the order it took them in; read-only."""
        self.model.settle()
        return self._inventory

    @property
    def name(self) -> str | None:
        """The word it last uttered or agreed on, None before that."""
        self.model.settle()
        return self._name

    def update(self, inventory: tuple[str, ...], name: str | None) -> None:
        """Take over what happened in the compiled loop."""
        self._inventory = inventory
        self._name = name
