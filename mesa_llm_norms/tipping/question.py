"""What is asked: which convention, overturned by which name, by whom, on which network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from typing import Any, NamedTuple

from mesa_llm_norms.ensemble import load_graph
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.placement import PLACEMENTS
from mesa_llm_norms.spec import Spec
from mesa_llm_norms.sweeps.sizes import fill, is_open
from mesa_llm_norms.tipping.legs import Legs


class Direction(NamedTuple):
    """A convention and the name that is to replace it."""

    incumbent: str
    challenger: str

    def __str__(self) -> str:
        return f"{self.incumbent} by {self.challenger}"


@dataclass(frozen=True)
class Question:
    """One condition: everybody remembers the incumbent, so many are committed to the challenger.

    ``base`` is the spec without either; its graph is the one called ``topology``.
    """

    base: Spec
    topology: str
    direction: Direction
    placement: str = "random"
    legs: Legs = field(kw_only=True)

    @cached_property
    def agents(self) -> int:
        """How many agents there are, committed ones among them."""
        return len(self.base.seat().contacts)

    def spec(self, committed: int) -> Spec:
        """Return the spec with so many committed agents."""
        return replace(
            self.base,
            incumbent=self.direction.incumbent,
            committed={self.direction.challenger: (committed, self.placement)},
        )

    @property
    def columns(self) -> dict[str, Any]:
        """What tells this condition from others, as columns of a table."""
        return {
            "incumbent": self.direction.incumbent,
            "challenger": self.direction.challenger,
            "topology": self.topology,
            "agents": self.agents,
            "placement": self.placement,
        }


def ask(
    base: Spec,
    *,
    directions: Sequence[Sequence[str]] | None,
    placements: Sequence[str],
    sizes: Sequence[int] | None,
    topologies: Sequence[Any],
    legs: Legs,
) -> list[Question]:
    """Return a question for every combination; ``SpecError`` for what cannot be asked.

    ``legs`` are for any name: each question has them for its challenger.
    """
    for placement in placements:
        if placement not in PLACEMENTS:
            raise SpecError(
                "placement",
                placement,
                f"there is no placement {placement!r}",
                f"Use {', '.join(PLACEMENTS)}.",
            )
    found = []
    both_ways = read_directions(directions, base.game.pool)
    for graph, size in product(topologies, sizes if sizes else (None,)):
        filled = fill(graph, size) if is_open(graph) or size is not None else graph
        spec = replace(base, graph=load_graph(filled))
        topology = replace(base, graph=filled).topology
        for direction, placement in product(both_ways, placements):
            its_own = legs._replace(name=direction.challenger)
            found.append(Question(spec, topology, direction, placement, legs=its_own))
    return found


def read_directions(given: Sequence[Sequence[str]] | None, pool: Sequence[str]) -> list[Direction]:
    """Return who overturns whom: both ways where there are two names and nothing is said."""
    if given is None:
        if len(pool) != 2:
            raise SpecError(
                "directions",
                given,
                f"with {len(pool)} names it is not clear which overturns which",
                'Say so, as in directions=[("Q", "M")].',
            )
        return [Direction(pool[0], pool[1]), Direction(pool[1], pool[0])]
    found = []
    for pair in given:
        if len(pair) != 2 or pair[0] == pair[1] or not set(pair) <= set(pool):
            raise SpecError(
                "directions",
                pair,
                f"{tuple(pair)!r} is no pair of different names of the pool",
                'Give the convention and its challenger, as in ("Q", "M").',
            )
        found.append(Direction(*pair))
    if not found:
        raise SpecError("directions", given, "there are none", "Give one, or leave it out.")
    return list(dict.fromkeys(found))
