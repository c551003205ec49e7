"""What undoes a convention: committed agents, other ties, or a share of another model?

``python -m models.intervention.model`` compares them on a network with hubs. ``--help`` tells of
its options.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from typing import Any

import mesa

from mesa_llm_norms import (
    Contacts,
    Intervention,
    NamingGame,
    NormsError,
    SpecError,
    load_mind,
)
from mesa_llm_norms import compare_interventions as compare
from mesa_llm_norms.placement import place_committed
from mesa_llm_norms.tipping.rewiring import rewire

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


def alternative_share(model: InterventionModel) -> float:
    """Share of all agents that have played who played the alternative last."""
    names = [name for name in model.names_held.values() if name is not None]
    return names.count(model.alternative) / len(names) if names else float("nan")


class InterventionModel(NamingGame):
    """A convention that everybody remembers, left alone until somebody intervenes.

    ``intervene`` may be called between steps, more than once. ``alternative_share`` is collected.
    Other arguments are those of ``NamingGame``.
    """

    def __init__(
        self,
        graph: Any = "barabasi_albert(n=24, m=2)",
        names: Any = "QM",
        convention: str = "Q",
        alternative: str = "M",
        **kwargs: Any,
    ) -> None:
        super().__init__(graph, names, incumbent=convention, **kwargs)
        self.alternative = alternative
        given = self.datacollector
        self.datacollector = mesa.DataCollector(
            model_reporters={**given.model_reporters, "alternative_share": alternative_share},
            agent_reporters=given.agent_reporters,
        )

    def intervene(self, what: Intervention) -> None:
        """Commit agents, move edges and hand out another mind, as ``what`` says, here and now.

        Raises ``SpecError`` for a change of memory, which is a rule of the game.
        """
        if what.memory is not None:
            raise SpecError(
                "memory", what.memory, "it is fixed for a run", "Give it when the model is made."
            )
        chance = random.Random(self.random.getrandbits(64))
        graph = self.network.G
        if what.rewired:
            after, _ = rewire(graph, what.rewired, chance)
            gone = [edge for edge in graph.edges if not after.has_edge(*edge)]
            new = [edge for edge in after.edges if not graph.has_edge(*edge)]
            graph.remove_edges_from(gone)
            graph.add_edges_from(new)
        agents = {agent.node: agent for agent in self.players}
        if what.other is not None:
            other = load_mind(what.other)
            chosen = chance.sample(list(agents), round(what.other_share * len(agents)))
            for node in chosen:
                agents[node].mind = other
        contacts = Contacts(graph)
        where = {self.alternative: (what.committed, what.placement)}
        for place in place_committed(where, contacts, chance):
            agents[contacts.nodes[place]].commit(self.alternative)

    def withdraw(self) -> None:
        """Release all committed agents."""
        for agent in self.players:
            agent.release()


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare interventions, print the table and the cheapest."""
    parser = argparse.ArgumentParser(
        prog="python -m models.intervention.model",
        description=__doc__.partition("\n")[0] if __doc__ else None,
    )
    add = parser.add_argument
    add("--mind", default="claude-3.5-sonnet")
    add("--graph", default="barabasi_albert(n=24, m=2)")
    add("--prevent", action="store_true", help="begin with empty memories")
    add("--runs", type=int, default=300, help="of each intervention")
    add("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    try:
        found = compare(
            "Q",
            "M",
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
