"""How many committed agents overturn a convention, and does it last when they leave?

``python -m models.tipping_point.model`` plays one run round by round, then finds the tipping point
of the same population. ``--help`` tells of its options.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from typing import Any

from mesa_llm_norms import NamingGame, NormsError, tip

INCUMBENT, CHALLENGER = "Q", "M"


def challenger_share(model: TippingPointModel) -> float:
    """Share of the agents that are free, and have played, who played the challenger last."""
    names = [one.name for one in model.players if one.committed is None and one.name is not None]
    return names.count(model.challenger) / len(names) if names else math.nan


class TippingPointModel(NamingGame):
    """Everybody remembers the incumbent, ``minority`` agents always play the challenger.

    The minority sits where ``placement`` says. Once the challenger makes up 95% of the names played
    in three rounds it has flipped the convention, ``flipped_at`` is the round, and if ``leave`` the
    minority is released: from then on it plays by its own mind. ``challenger_share`` is collected.
    Other arguments are those of ``NamingGame``.
    """

    def __init__(
        self,
        graph: Any = "complete(n=24)",
        names: Any = "QM",
        incumbent: str = INCUMBENT,
        challenger: str = CHALLENGER,
        minority: int = 4,
        placement: str = "random",
        leave: bool = True,
        reporters: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        committed = {challenger: (minority, placement)}
        super().__init__(
            graph,
            names,
            incumbent=incumbent,
            committed=committed,
            reporters={"challenger_share": challenger_share, **(reporters or {})},
            **kwargs,
        )
        self.challenger = challenger
        self.leave = leave
        self.flipped_at: int | None = None

    def step(self) -> None:
        """Play one population round, and release the minority if it has just won."""
        super().step()
        if self.flipped_at is None and self.outcome.flipped:
            self.flipped_at = self.outcome.rounds
            if self.leave:
                for agent in self.players:
                    agent.release()


def main(arguments: Sequence[str] | None = None) -> None:
    """Play one run, print it, and find the tipping point."""
    parser = argparse.ArgumentParser(
        prog="python -m models.tipping_point.model",
        description=__doc__.partition("\n")[0] if __doc__ else None,
    )
    add = parser.add_argument
    add("--mind", default="claude-3.5-sonnet")
    add("--graph", default="complete(n=24)")
    add("--minority", type=int, default=4, help="committed agents in the run that is shown")
    add("--placement", default="random", help="random, hubs, periphery or cluster")
    add("--runs", type=int, default=1_000, help="to find the tipping point with")
    add("--seed", type=int, default=5)
    given = parser.parse_args(arguments)
    population = {"graph": given.graph, "mind": given.mind, "rng": given.seed}
    try:
        model = TippingPointModel(minority=given.minority, placement=given.placement, **population)
        model.run(rounds=40, until=None)
        tell(model)
        found = tip(
            directions=[(INCUMBENT, CHALLENGER), (CHALLENGER, INCUMBENT)],
            placements=(given.placement,),
            runs=given.runs,
            **population,
        )
    except NormsError as error:
        parser.error(str(error))
    for point in found.points:
        print(point.sentence)
        columns = ["committed", "runs", "flip_share", "flip_low", "flip_high", "rounds"]
        print(point.table[columns].round(2).to_string(index=False))


def tell(model: TippingPointModel) -> None:
    """Print every fourth round of a run, and when the convention flipped."""
    shares = model.datacollector.model_vars["challenger_share"]
    for number, share in list(enumerate(shares, 1))[3::4]:
        print(f"round {number:2d}: {share:.0%} of the free agents played {model.challenger} last")
    if model.flipped_at is None:
        print("It never flipped.")
    else:
        print(f"It flipped in round {model.flipped_at}, and the minority left.")


if __name__ == "__main__":
    main()
