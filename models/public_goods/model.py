"""Public goods of a node and its neighbors, among agents who give as others gave.

``python -m models.public_goods.model`` plays it and prints the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mesa_llm_norms import NetworkGame, Policy
from mesa_llm_norms.simulation import PublicGoods


class Conditional(Policy):
    """Contributes as likely as the others of its last group did, three in four at first."""

    label = "conditional"

    def distribution(self, memory: Any, pool: Sequence[str]) -> Sequence[float]:
        """Return the probability of each move."""
        given = 0.75
        if memory:
            others = memory[-1].others
            given = others.count("contribute") / len(others)
        return [given if move == "contribute" else 1 - given for move in pool]


class PublicGoodsModel(NetworkGame):
    """Takes the arguments of ``NetworkGame``, with a ring of 24; a node and its neighbors meet."""

    def __init__(self, graph: Any = "ring(n=24, k=4)", **given: Any) -> None:
        given = {"game": PublicGoods(), "pairing": "neighborhood", "mind": Conditional(), **given}
        super().__init__(graph, **given)


def main(seed: int = 7, rounds: int = 30) -> None:
    """Print the share of contributions without and with two who always keep."""
    for keeping in (0, 2):
        model = PublicGoodsModel(rng=seed, committed={"keep": keeping} if keeping else None)
        model.run(rounds=rounds, until=None)
        shares = model.datacollector.get_model_vars_dataframe()["share_contribute"]
        print(
            f"{keeping} always keep: {shares.iloc[0]:.0%} contribute in the first round, "
            f"{shares.tail(5).mean():.0%} in the last 5"
        )


if __name__ == "__main__":
    main()
