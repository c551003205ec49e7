"""The battle of the sexes among neighbors who stay with what paid.

``python -m models.battle_of_the_sexes.model`` plays it and prints the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mesa_llm_norms import NetworkGame, Policy
from mesa_llm_norms.simulation import BattleOfTheSexes


class StayIfPaid(Policy):
    """Repeats a move that paid in its last interaction, and otherwise tosses a coin."""

    label = "stay if paid"

    def distribution(self, memory: Any, pool: Sequence[str]) -> Sequence[float]:
        """Return the probability of each move."""
        if not memory or memory[-1].payoff <= 0:
            return [1 / len(pool)] * len(pool)
        return [float(move == memory[-1].own) for move in pool]


class BattleOfTheSexesModel(NetworkGame):
    """Takes the arguments of ``NetworkGame``, with a ring of 24 who play the battle."""

    def __init__(self, graph: Any = "ring(n=24)", **given: Any) -> None:
        super().__init__(graph, **{"game": BattleOfTheSexes(), "mind": StayIfPaid(), **given})


def main(seed: int = 7, rounds: int = 30) -> None:
    """Print how often two go together, and what each seat gets on average, every ten rounds."""
    model = BattleOfTheSexesModel(rng=seed)
    for _ in range(rounds):
        model.step()
        assert model.round is not None
        if (model.round.number + 1) % 10 == 0:
            first, second = (
                sum(row.payoffs[seat] for row in model.rows) / len(model.rows) for seat in (0, 1)
            )
            print(
                f"round {model.round.number + 1}: {model.round.success_rate:.0%} together, "
                f"{first:.2f} points to who was drawn first, {second:.2f} to its partner"
            )


if __name__ == "__main__":
    main()
