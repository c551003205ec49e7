"""What minds play by memory, asked anew each time, and which memories there are, which is kept.

Which memory follows which depends on what is ever played in each, and not on how likely that is.
So it is found once, kept by all it depends on, and taken again where just the same is ever played.
Chances are not kept: a mind may have been changed in place.

A population without number: which minds in which shares, and who is committed to what.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from numbers import Real
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.game import Game, Memory, filled
from mesa_llm_norms.errors import MindError, SpecError, some
from mesa_llm_norms.mean_field.states import Floats, Memories, State, States, shares_of
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.simulation.engine import ROUNDING, chances_of, is_plain_policy
from mesa_llm_norms.simulation.spec import Spec, by_share

GAMES, MOST_KEPT = 8, 10_000
"""For how many games it is kept which memories there are, and how many at most for each."""


Played: TypeAlias = tuple[
    tuple[str, ...], int, int, tuple[Memory, ...], tuple[str, ...]
]  # pool, length of memory, number of minds, starts, names heard


class _Kept(NamedTuple):
    memories: Memories
    plays: NDArray[np.bool_]
    """By memory, as they were found, which names are ever played."""


def find_memories(
    game: Game, roster: Sequence[Policy], starts: Sequence[Memory], heard: Sequence[str]
) -> tuple[Memories, Floats]:
    """Return what agents with these minds may remember, and by state the chances of names.

    They begin with one of ``starts``, and hear the names ``heard`` even if no mind plays them.
    Raises ``MindError`` where a mind gives no distribution.
    """
    kept = _kept_for((game.pool, game.memory, len(roster), tuple(starts), tuple(heard)))
    for before in kept[:]:
        asked = _ask_again(game, roster, before)
        if asked is not None:
            return before.memories, _by_state(before.memories, asked)
    blocks: list[Floats] = []

    def plays(states: Sequence[State]) -> NDArray[np.bool_]:
        blocks.append(_ask(game, roster, states))
        return blocks[-1] > 0

    memories = Memories(game.pool, game.memory, len(roster), starts, heard, plays)
    asked = np.concatenate(blocks)
    if len(memories) <= MOST_KEPT:
        kept[:] = [_Kept(memories, asked > 0)]
    return memories, _by_state(memories, asked)


@lru_cache(GAMES)
def _kept_for(played: Played) -> list[_Kept]:  # noqa: ARG001  (the key)
    """Return where memories are kept: a list of none or one."""
    return []


def _ask_again(game: Game, roster: Sequence[Policy], before: _Kept) -> Floats | None:
    """Return the chances, in the order of ``known``, or None if other names are played than then.

    No mind is asked about a memory that its agents never have: each generation follows from those
    before.
    """
    blocks = []
    for first, last in pairwise(before.memories.generations):
        block = _ask(game, roster, before.memories.known[first:last])
        if ((block > 0) != before.plays[first:last]).any():
            return None
        blocks.append(block)
    return np.concatenate(blocks)


def _ask(game: Game, roster: Sequence[Policy], states: Sequence[State]) -> Floats:
    """Return the chances of each name of the pool, in a row for each state."""
    pool = game.pool
    rows = [roster[seat].distribution(memory, pool) for seat, memory in states]
    try:
        chances = np.array(rows, float)
    except (TypeError, ValueError):  # they are not all sequences of as many numbers
        chances = np.empty(0)
    if (
        chances.shape == (len(states), len(pool))
        and (chances >= 0).all()
        and (np.abs(chances.sum(axis=1) - 1) < ROUNDING).all()
    ):
        return chances
    # Raises for the first that is no distribution.
    return np.array([chances_of(roster[seat], memory, game) for seat, memory in states], float)


def _by_state(memories: Memories, asked: Floats) -> Floats:
    chances = np.empty_like(asked)
    chances[memories.places] = asked
    return chances


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
