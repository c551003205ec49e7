"""The naming game with its own measure: do neighbours agree before the population does?

``python -m models.naming_game.model`` plays it on two networks and prints the results.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from mesa_llm_norms import NamingGame, analysis


def local_agreement(model: NamingGame) -> float:
    """Share of the edges whose two ends hold the same name.

    Edges with an end that has not played yet do not count; ``nan`` if that leaves none.
    """
    return analysis.local_agreement(model.network.G, model.names_held)


def leading_share(model: NamingGame) -> float:
    """Share of the agents that hold the name most of them hold; ``nan`` before the first round."""
    held = [name for name in model.names_held.values() if name is not None]
    return max(map(held.count, held)) / len(held) if held else math.nan


class NamingGameModel(NamingGame):
    """``NamingGame`` that collects two more numbers per round.

    Takes the arguments of ``NamingGame``. ``local_agreement`` is the share of edges whose ends hold
    the same name, ``leading_share`` the share of agents that hold the leading name.
    """

    def __init__(self, *, reporters: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        own = {"local_agreement": local_agreement, "leading_share": leading_share}
        super().__init__(reporters={**own, **(reporters or {})}, **kwargs)


def main(seed: int = 7, rounds: int = 8) -> None:
    """Print the first rounds of one run on each of two networks."""
    for graph in ("complete(n=24)", "ring(n=24, k=4)"):
        model = NamingGameModel(graph=graph, rng=seed)
        model.run(rounds=rounds)
        table = model.datacollector.get_model_vars_dataframe()
        print(graph)
        print(table[["success_rate", "local_agreement", "leading_share"]].round(2).to_string())
        print()


if __name__ == "__main__":
    main()
