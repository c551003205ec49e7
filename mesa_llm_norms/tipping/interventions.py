"""What can be done about a convention, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from mesa_llm_norms.draws import Draws
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import read_whole
from mesa_llm_norms.placement import PLACEMENTS
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.tipping.rewiring import rewire
from mesa_llm_norms.topologies import read_graph, size


class Cost(NamedTuple):
    """How many agents are touched, and how many edges moved."""

    agents: int
    edges: int


@dataclass(frozen=True, kw_only=True)
class Intervention:
    """A change to a population: any of these, or several at once.

    ``committed`` agents always play the alternative, and sit where ``placement`` says. All agents
    remember ``memory`` interactions instead of what they do. ``rewired`` is the share of edges that
    are exchanged, every degree kept. ``other_share`` of the agents, drawn at random, get the mind
    ``other``.
    """

    committed: int = 0
    placement: str = "random"
    memory: int | None = None
    rewired: float = 0.0
    other: Any = None
    other_share: float = 0.0

    def __post_init__(self) -> None:
        read_whole("committed", self.committed, 0, 10**9)
        if self.placement not in PLACEMENTS:
            raise SpecError(
                "placement",
                self.placement,
                f"there is no placement {self.placement!r}",
                f"Use {', '.join(PLACEMENTS)}.",
            )
        for argument in ("rewired", "other_share"):
            share = getattr(self, argument)
            if (
                isinstance(share, bool)
                or not isinstance(share, (int, float))
                or not 0 <= share <= 1
            ):
                raise SpecError(argument, share, f"{share!r} is no share", "Use 0 to 1.")
        if (self.other is None) != (self.other_share == 0):
            raise SpecError(
                "other",
                self.other,
                "another mind needs a share, and a share another mind",
                "Give other and other_share together.",
            )

    @property
    def label(self) -> str:
        """What is done, in words."""
        done = []
        if self.committed:
            where = "" if self.placement == "random" else f" ({self.placement})"
            done.append(f"{self.committed} committed{where}")
        if self.memory is not None:
            done.append(f"memory {self.memory}")
        if self.rewired:
            done.append(f"{self.rewired:.0%} rewired")
        if self.other is not None:
            done.append(f"{self.other_share:.0%} {getattr(self.other, 'label', self.other)}")
        return ", ".join(done) or "nothing"

    def changes(self, spec: Spec, alternative: str) -> Spec:
        """Return the spec of runs with the intervention, edges left where they are."""
        mind = spec.mind
        if self.other is not None:
            mind = {spec.mind: 1 - self.other_share, self.other: self.other_share}
        return replace(
            spec,
            committed={alternative: (self.committed, self.placement)},
            memory=spec.memory if self.memory is None else self.memory,
            mind=mind,
        )

    def for_run(self, spec: Spec, run: int) -> Spec:
        """Return the spec for one run, its edges rewired if that is part of it."""
        if not self.rewired:
            return spec
        draws = Draws(spec.seed, run)
        graph = read_graph(spec.graph, draws.generator("graph"))
        return replace(spec, graph=rewire(graph, self.rewired, draws.generator("rewired"))[0])

    def cost(self, spec: Spec) -> Cost:
        """Return what it costs in a population of this spec, as before the intervention."""
        agents, edges = size(read_graph(spec.graph, Draws(spec.seed).generator("graph")))
        everybody = self.memory is not None and self.memory != spec.memory
        others = round(self.other_share * agents)
        touched = agents if everybody else min(agents, self.committed + others)
        return Cost(touched, 2 * round(self.rewired * edges / 2))
