"""What minds play by memory, asked anew each time, and which memories there are, which is kept.

Which memory follows which depends on what is ever played in each, and not on how likely that is.
So it is found once, kept by all it depends on, and taken again where just the same is ever played.
Chances are not kept: a mind may have been changed in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.execution import ROUNDING, chances_of
from mesa_llm_norms.game import Game
from mesa_llm_norms.mean_field.memories import Memories, State
from mesa_llm_norms.memory import Memory
from mesa_llm_norms.minds.mind import Policy

GAMES, MOST_KEPT = 8, 10_000
"""For how many games it is kept which memories there are, and how many at most for each."""

Floats = NDArray[np.float64]
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
