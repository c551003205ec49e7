"""A population without number: which minds in which shares, and who is committed to what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, cast

import numpy as np

from mesa_llm_norms.errors import MindError, SpecError, some
from mesa_llm_norms.execution import is_plain_policy
from mesa_llm_norms.mean_field.chances import find_memories
from mesa_llm_norms.mean_field.states import Floats, States, shares_of
from mesa_llm_norms.memory import filled
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.spec import Spec, by_share

MEETINGS = 2
"""In how many of a population round's N interactions one of N agents takes part, on average."""


@dataclass(frozen=True)
class Population:
    """Agents with minds in the shares ``weights``, and a share ``committed`` to each name.

    ``weights`` add up to one; ``committed`` is by place in the pool, as shares of all agents.
    Spreads are of the uncommitted, as shares of all agents too.
    """

    roster: Sequence[Policy]
    states: States
    weights: Floats
    committed: Floats

    @property
    def pool(self) -> tuple[str, ...]:
        """The names."""
        return self.states.memories.pool

    @property
    def free(self) -> float:
        """The share of agents that are not committed."""
        return float(1 - self.committed.sum())

    def played(self, spread: Floats) -> Floats:
        """Return how likely each name is to be what a random agent plays, for one spread or rows.

        They sum to one, or agents would not stay as many as they are: an error in their number
        would grow like exp(2t), for the more there were, the more they would hear.
        """
        return shares_of(self.committed + spread @ self.states.chances)

    def own(self, spread: Floats) -> Floats:
        """Return how likely each name is to be what a random uncommitted agent plays."""
        return shares_of(spread @ self.states.chances)

    def heard(self, own: Floats) -> Floats:
        """Return the same of a random agent, committed or not, where the uncommitted play so."""
        heard: Floats = self.committed + self.free * own
        return heard

    def change(self, spread: Floats, heard: Floats) -> Floats:
        """Return how the spread changes, per population round."""
        change: Floats = MEETINGS * (self.states.meet(spread, heard) - spread)
        return change

    def remembering(self, shares: Mapping[str, float]) -> Floats:
        """Return the spread where such a share remembers each name, and whoever is left nothing."""
        spread = np.zeros(len(self.states))
        memories = self.states.memories
        parts = {filled(name, memories.length): it for name, it in shares.items()}
        parts[()] = max(0.0, 1 - sum(shares.values()))
        for memory, share in parts.items():
            for seat, weight in enumerate(self.weights.tolist()):
                spread[memories.number(seat, memory)] = self.free * weight * share
        return spread


def read_population(
    mind: Any,
    names: Any,
    memory: int,
    committed: Mapping[str, float] | None = None,
    remembered: Iterable[str] | None = None,
    heard: Iterable[str] = (),
) -> Population:
    """Return the population these arguments of ``NamingGame`` stand for.

    Agents may start out remembering nothing, or any one name of ``remembered`` (None: of the pool),
    and hear the names ``heard`` even if nobody plays them. Raises ``SpecError`` for what is not to
    be had with infinitely many agents: commitment by number, minds by node or that are no policy.
    """
    committed = _read_committed(committed)
    spec = Spec(names=names, mind=mind, memory=memory, committed=committed)
    game = spec.game
    remembered = game.pool if remembered is None else tuple(remembered)
    for name in remembered:
        check_name("start", name, game.pool)
    weights = _read_weights(mind)
    minds = [one for one, weight in zip(spec.minds, weights.tolist(), strict=True) if weight > 0]
    for one in minds:
        if not is_plain_policy(one):
            raise MindError(
                "mind",
                one.label,
                f"how likely {one.label!r} is to play a name is not known beforehand",
                "Take a recorded mind, a table, or a Policy that leaves decide as it is.",
            )
    starts = [(), *(filled(name, game.memory) for name in remembered)]
    heard = [*(name for name, share in committed.items() if share > 0), *heard]
    roster = cast("list[Policy]", minds)
    states = States(*find_memories(game, roster, starts, heard))
    by_name = np.array([committed.get(name, 0.0) for name in game.pool])
    return Population(roster, states, weights[weights > 0], by_name)


def check_name(argument: str, name: Any, pool: tuple[str, ...]) -> None:
    """Raise ``SpecError`` unless the name is in the pool."""
    if not isinstance(name, str) or name not in pool:
        raise SpecError(
            argument, name, f"{name!r} is not in the pool", f"Use one of {some(pool, 26)}."
        )


def _read_weights(mind: Any) -> Floats:
    if not isinstance(mind, Mapping):
        return np.ones(1)
    if not by_share(mind):
        raise MindError(
            "mind",
            mind,
            "infinitely many agents have no nodes to put minds on",
            'Give shares, such as {"claude-3.5-sonnet": 0.5, "llama-2-70b-chat": 0.5}.',
        )
    return shares_of(np.array([float(share) for share in mind.values()]))


def _read_committed(committed: Any) -> dict[str, float]:
    shares = {} if committed is None else committed
    if not isinstance(shares, Mapping) or not all(_is_share(share) for share in shares.values()):
        raise SpecError(
            "committed",
            committed,
            f"{committed!r} is not shares by name",
            'Of infinitely many agents a share is committed, such as {"M": 0.1}.',
        )
    if sum(shares.values()) >= 1:
        raise SpecError(
            "committed", committed, "nobody is left to be won over", "Commit less than 1.0 in all."
        )
    return {name: float(share) for name, share in shares.items()}


def _is_share(share: Any) -> bool:
    count = isinstance(share, (int, np.integer)) and share != 0
    return is_number(share) and not count and 0 <= share <= 1


def is_number(value: Any) -> bool:
    """Whether this is a real number, and no truth value."""
    return isinstance(value, Real) and not isinstance(value, bool)
