"""A measured table as a mind: memory -> probability of each name, for one pool."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mesa_llm_norms.errors import MindError, some
from mesa_llm_norms.game import Game
from mesa_llm_norms.memory import Memory
from mesa_llm_norms.minds.mind import Policy

ROUNDING = 0.002
"""How far a row may be from summing to one, because its numbers were rounded."""


class TableMind(Policy):
    """Plays from ``table``, which gives for a memory the probability of each name of ``names``.

    A memory that has no row of its own is looked up by its longest recent part that has one, down
    to the empty memory, whose row must be there. Rows rounded to three decimals are brought to one.
    """

    def __init__(
        self, label: str, names: Sequence[str], table: Mapping[Memory, Sequence[float]]
    ) -> None:
        self.label = label
        self.names = tuple(names)
        self.table = {memory: tuple(row) for memory, row in table.items()}
        if () not in self.table:
            raise MindError(
                "mind",
                label,
                "the table has no row for the empty memory",
                "Add one: every run starts there.",
            )
        for memory, row in self.table.items():
            if (
                len(row) != len(self.names)
                or not all(0 <= p <= 1 for p in row)
                or abs(sum(row) - 1) > ROUNDING
            ):
                raise MindError(
                    "mind",
                    row,
                    f"the row for memory {write_memory(memory)!r} is no distribution over "
                    f"{some(self.names)}",
                    "Give one probability per name, from 0 to 1, summing to 1.",
                )
            self.table[memory] = tuple(p / sum(row) for p in row)

    def check(self, game: Game) -> None:
        """Raise ``MindError`` unless the pool is the measured one, in any order."""
        if set(game.pool) != set(self.names):
            raise MindError(
                "mind",
                self.label,
                f"it was measured for the names {some(self.names, 26)}, not {some(game.pool, 26)}",
                "Play the measured pool, or take a mind that plays any.",
            )

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        """Return the row of the longest recent part of ``memory`` that has one, in pool order."""
        row = next(
            self.table[memory[k:]] for k in range(len(memory) + 1) if memory[k:] in self.table
        )
        return [row[self.names.index(name)] for name in pool]


def write_memory(memory: Memory) -> str:
    """Return a memory as text, oldest first: ``own/partner`` pairs with spaces between."""
    return " ".join(f"{own}/{partner}" for own, partner in memory)
