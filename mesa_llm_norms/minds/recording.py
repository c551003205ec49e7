"""What a live model answered in one game, and the mind that answers so again, order by order.

A live mind is shown the names in an order drawn anew for each decision, and may prefer the first or
the last. So a ``Recording`` keeps the answers to every memory apart by the order that was shown.
Their mean over orders is what an agent does in a game, decision by decision: that is the policy,
a ``RecordedMind``. ``OrderedMind`` draws the orders as the live mind would, and so plays the very
rows that it would play.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from mesa_llm_norms.core.game import Game, GameRules, Memory
from mesa_llm_norms.core.randomness import cumulative_weights
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.minds.mind import (
    Decision,
    Mind,
    Policy,
    Situation,
    only_naming,
    order_of_names,
)

Order: TypeAlias = tuple[str, ...]
Answers: TypeAlias = Mapping[Memory, Mapping[Order, tuple[float, ...]]]
"""memory -> order of the names shown -> a number for each name, in the order of the pool"""


class Recording(NamedTuple):
    """What a model answered in one game.

    Attributes
    ----------
    game : Game
        The rules in its prompts.
    exact : bool
        Whether the numbers are probabilities that the model gave; else they count its choices.
    answers : mapping
        The numbers by memory, then by the order in which the names were shown.
    """

    game: Game
    exact: bool
    answers: Answers

    def counts(self) -> dict[Memory, dict[str, float]]:
        """Return the numbers added up over orders: by memory, then by name."""
        return {
            memory: dict(
                zip(self.game.pool, map(sum, zip(*by_order.values(), strict=True)), strict=True)
            )
            for memory, by_order in self.answers.items()
        }

    @property
    def replies(self) -> int:
        """How many replies are in it."""
        rows = [row for by_order in self.answers.values() for row in by_order.values()]
        return len(rows) if self.exact else round(sum(map(sum, rows)))


class OrderedMind(Mind):
    """A recording played with the orders of names that the live mind would be shown.

    It plays the same rows as the live mind wherever that gave probabilities for the memory and the
    order. Where an order was not asked it plays the policy.

    Parameters
    ----------
    policy : Policy
        The mind made of the recording.
    recording : Recording
        The answers.
    """

    def __init__(self, policy: Policy, recording: Recording) -> None:
        self.label: str = policy.label
        self.policy = policy
        self.recording = recording

    def check(self, game: GameRules) -> None:
        """Check that the game is the recorded one.

        Parameters
        ----------
        game : GameRules
            The game to be played.

        Raises
        ------
        MindError
            If its rules differ from those in the prompts.
        """
        if not isinstance(game, Game):
            raise only_naming(self, game)
        if game != self.recording.game:
            raise MindError(
                "mind",
                self.label,
                f"it was recorded in another game, {self.recording.game}",
                "Play that one, or play the recording as a policy.",
            )

    def shares(self, memory: Memory, order: Order) -> Sequence[float]:
        """Return the probabilities of the names on a memory, shown in an order."""
        numbers = self.recording.answers.get(memory, {}).get(order)
        if numbers is None:
            return self.policy.distribution(memory, self.recording.game.pool)
        if self.recording.exact:
            return numbers
        return [number / sum(numbers) for number in numbers]

    async def decide(self, situation: Situation) -> Decision:
        """Return the name that the situation's draw picks.

        Parameters
        ----------
        situation : Situation
            What the agent sees.

        Returns
        -------
        Decision
            The name, with its probability.
        """
        shares = self.shares(situation.memory, order_of_names(situation))
        chosen = bisect_right(cumulative_weights(shares), situation.draw)
        return Decision(situation.game.pool[chosen], float(shares[chosen]))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.policy, self.recording)
