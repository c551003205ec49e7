"""The prisoner's dilemma among neighbors who pay back what was done to them.

``python -m models.prisoners_dilemma.model`` plays it and prints the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mesa_llm_norms import NetworkGame, Policy
from mesa_llm_norms.simulation import PrisonersDilemma


class Reciprocating(Policy):
    """Does what was last done to it, and errs once in twenty times; cooperates at first."""

    label = "reciprocating"

    def distribution(self, memory: Any, pool: Sequence[str]) -> Sequence[float]:
        """Return the probability of each move."""
        last = memory[-1].partner if memory else pool[0]
        return [0.95 if move == last else 0.05 for move in pool]


class PrisonersDilemmaModel(NetworkGame):
    """Takes the arguments of ``NetworkGame``, with a ring of 24 who play the dilemma."""

    def __init__(self, graph: Any = "ring(n=24)", **given: Any) -> None:
        super().__init__(graph, **{"game": PrisonersDilemma(), "mind": Reciprocating(), **given})


def main(seed: int = 7, rounds: int = 30) -> None:
    """Print how often both cooperate, without and with two who always defect."""
    for defectors in (0, 2):
        committed = {"defect": defectors} if defectors else None
        model = PrisonersDilemmaModel(rng=seed, committed=committed)
        model.run(rounds=rounds, until=None)
        success = model.datacollector.get_model_vars_dataframe()["success_rate"]
        print(
            f"{defectors} always defect: {success.head(5).mean():.0%} mutual cooperation in the "
            f"first 5 rounds, {success.tail(5).mean():.0%} in the last 5"
        )


if __name__ == "__main__":
    main()
