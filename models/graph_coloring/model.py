"""Graph coloring by the nodes themselves: neighbors who want to differ.

``python -m models.graph_coloring.model`` plays it and prints the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mesa_llm_norms import NetworkGame, Policy
from mesa_llm_norms.simulation import AntiCoordination


class ChangeOnConflict(Policy):
    """Keeps a color that differed from the last neighbor's, and otherwise draws another."""

    label = "change on conflict"

    def distribution(self, memory: Any, pool: Sequence[str]) -> Sequence[float]:
        """Return the probability of each color."""
        if not memory:
            return [1 / len(pool)] * len(pool)
        own, differed = memory[-1].own, memory[-1].own != memory[-1].partner
        if differed:
            return [float(color == own) for color in pool]
        return [(color != own) / (len(pool) - 1) for color in pool]


class GraphColoringModel(NetworkGame):
    """Takes the arguments of ``NetworkGame``, with a ring of 24 and three colors."""

    def __init__(self, graph: Any = "ring(n=24)", **given: Any) -> None:
        given = {"game": AntiCoordination(), "mind": ChangeOnConflict(), **given}
        super().__init__(graph, **given)

    @property
    def conflicts(self) -> int:
        """How many edges join two nodes that hold the same color."""
        held = self.names_held
        return sum(held[u] is not None and held[u] == held[v] for u, v in self.network.G.edges)


def main(seed: int = 7, rounds: int = 30) -> None:
    """Print the conflicts left with two, three and four colors."""
    for colors in (("red", "green"), ("red", "green", "blue"), ("red", "green", "blue", "gold")):
        model = GraphColoringModel(rng=seed, game=AntiCoordination(colors))
        model.run(rounds=rounds)
        print(
            f"{len(colors)} colors: {model.conflicts} of {model.network.G.number_of_edges()} edges "
            f"in conflict after {model.outcome.rounds} rounds"
        )


if __name__ == "__main__":
    main()
