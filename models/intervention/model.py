"""What undoes a convention: committed agents, rewired edges, or a share of another model?

``python -m models.intervention.model`` compares them on a network with hubs. ``--help`` lists
its options.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

from mesa_llm_norms import (
    Intervention,
    NamingGame,
    Neighbors,
    NormsError,
    compare_interventions,
    load_mind,
)
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.networks import place_committed, rewire
from mesa_llm_norms.simulation import RandomStream

GRAPH = "barabasi_albert(n=24, m=2)"
CONVENTION, ALTERNATIVE = "Q", "M"
CHOICES = (
    Intervention(committed=3),
    Intervention(committed=3, placement="hubs"),
    Intervention(committed=3, placement="periphery"),
    Intervention(committed=3, placement="cluster"),
    Intervention(memory=2),
    Intervention(committed=3, memory=2),
    Intervention(committed=3, memory=10),
    Intervention(rewired=0.5),
    Intervention(committed=3, rewired=0.5),
    Intervention(other="llama-2-70b-chat", other_share=0.25),
    Intervention(committed=3, other="llama-2-70b-chat", other_share=0.25),
)
"""What is compared."""


class Done(NamedTuple):
    """An intervention, and after how many population rounds it was made."""

    rounds: int
    what: Intervention


class InterventionModel(NamingGame):
    """A convention that everybody remembers, left alone until somebody intervenes.

    ``intervene`` may be called between steps, more than once; ``done`` has what was. Whether the
    alternative has taken over by now is ``outcome.flipped``. Other arguments are those of
    ``NamingGame``.
    """

    def __init__(
        self,
        graph: Any = GRAPH,
        names: Any = "QM",
        convention: str = CONVENTION,
        alternative: str = ALTERNATIVE,
        run: int = 0,
        **kwargs: Any,
    ) -> None:
        nobody_yet = {alternative: 0}
        super().__init__(
            graph, names, incumbent=convention, committed=nobody_yet, run=run, **kwargs
        )
        self.alternative = alternative
        self.done: list[Done] = []
        self._stream = RandomStream(self.spec.seed, run)

    def intervene(self, what: Intervention) -> None:
        """Move edges, assign another mind and commit agents, as ``what`` says, now.

        Committed agents stay so, and ``what.committed`` more join them. ``what.other`` is a mind
        that needs no calls. Raises an error of the package, and changes nothing, for what cannot be
        done, such as a change of memory, which is fixed for a run.
        """
        if what.memory is not None:
            raise SpecError(
                "memory", what.memory, "it is fixed for a run", "Give it when the model is made."
            )
        chance = self._stream.generator(f"intervention {len(self.done)}")
        graph = self.network.G
        rewired = rewire(graph, what.rewired, chance)[0] if what.rewired else graph
        other = None if what.other is None else load_mind(what.other)
        if other is not None:
            other.check(self.game)
        joining = self._places(what.committed, what.placement, rewired, chance)

        gone = [edge for edge in graph.edges if not rewired.has_edge(*edge)]
        new = [edge for edge in rewired.edges if not graph.has_edge(*edge)]
        graph.remove_edges_from(gone)
        graph.add_edges_from(new)
        if other is not None:
            other = other.for_run(self.game, self._stream)
            for agent in chance.sample(self.players, round(what.other_share * len(self.players))):
                agent.uncommitted = other
                if agent.committed is None:
                    agent.mind = other
        for node in joining:
            self.agent_on(node).commit(self.alternative)
        self.done.append(Done(self.outcome.rounds, what))

    def withdraw(self) -> None:
        """Release all committed agents."""
        for agent in self.players:
            agent.release()

    def _places(
        self, count: int, placement: str, graph: Any, chance: random.Random
    ) -> list[Hashable]:
        """Return the nodes of so many free agents, placed as on ``graph``."""
        seated = {agent.node: agent.committed for agent in self.players}
        neighbors = Neighbors(graph, absent=[node for node in graph if node not in seated])
        there = [node for node, name in seated.items() if name is not None]
        places = place_committed({"there": there, "joining": (count, placement)}, neighbors, chance)
        return [neighbors.nodes[place] for place, which in places.items() if which == "joining"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare interventions, print the table and the cheapest."""
    parser = argparse.ArgumentParser(
        prog="python -m models.intervention.model",
        description=__doc__.partition("\n")[0] if __doc__ else None,
    )
    add = parser.add_argument
    add("--mind", default="claude-3.5-sonnet")
    add("--graph", default=GRAPH)
    add("--prevent", action="store_true", help="begin with empty memories")
    add("--runs", type=int, default=300, help="of each intervention")
    add("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    try:
        found = compare_interventions(
            CONVENTION,
            ALTERNATIVE,
            CHOICES,
            goal="prevent" if given.prevent else "undo",
            graph=given.graph,
            mind=given.mind,
            runs=given.runs,
            rng=given.seed,
        )
    except NormsError as error:
        parser.error(str(error))
    columns = ["intervention", "worked", "worked_low", "worked_high", "rounds", "lasts", "cost"]
    print(found.table[columns].round(2).to_string(index=False))
    print(found.sentence)


if __name__ == "__main__":
    main()
