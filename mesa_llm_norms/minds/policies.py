"""A measured table as a mind: memory -> probability of each name, for one pool.

A mind without preferences or memory: the null against which others are measured.

A mind that always plays one name: the committed agent of the critical-mass experiments.

A mind that plays from a script: the test double for models, metrics and pages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mesa_llm_norms.core.game import Game, Memory
from mesa_llm_norms.errors import DecisionError, MindError, some
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation

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


class UniformMind(Policy):
    """Plays every name of the pool with equal probability, always."""

    label = "unbiased"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        """Return equal probabilities."""
        return [1 / len(pool)] * len(pool)


class CommittedMind(Policy):
    """Plays ``name`` whatever it remembers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.label = f"committed to {name}"

    def check(self, game: Game) -> None:
        """Raise ``MindError`` unless the name is in the pool."""
        if self.name not in game.pool:
            raise MindError(
                "committed",
                self.name,
                f"{self.name!r} is not in the pool",
                f"Commit agents to one of {some(game.pool, 26)}.",
            )

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        """Return probability one for the name."""
        return [float(name == self.name) for name in pool]


Script = Callable[[Situation], str] | Mapping[tuple[int, int], str] | Sequence[str]


class ScriptedMind(Mind):
    """Plays what ``script`` says, and raises ``DecisionError`` where it says nothing.

    The script is a function of the situation, a mapping ``(interaction, seat) -> name``, or a
    sequence of names, of which the agent's n-th remembered interaction counts: an agent that
    remembers n interactions plays ``script[n]``, and the last name from then on.
    """

    def __init__(self, script: Script, label: str = "scripted") -> None:
        self.script = script
        self.label = label

    async def decide(self, situation: Situation) -> Decision:
        """Return the scripted name."""
        if callable(self.script):
            return Decision(self.script(situation))
        if isinstance(self.script, Mapping):
            name = self.script.get((situation.interaction, situation.seat))
        else:
            name = (
                self.script[min(len(situation.memory), len(self.script) - 1)]
                if self.script
                else None
            )
        if name is None:
            raise DecisionError(
                self.label,
                f"the script has no name for interaction {situation.interaction}, "
                f"seat {situation.seat}",
            )
        return Decision(name)
