"""A mind that always plays one name: the committed agent of the critical-mass experiments."""

from __future__ import annotations

from collections.abc import Sequence

from mesa_llm_norms.errors import MindError, some
from mesa_llm_norms.game import Game
from mesa_llm_norms.memory import Memory
from mesa_llm_norms.minds.mind import Policy


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
