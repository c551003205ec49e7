"""The memories on which a mind is looked at: none, and all of one and of two interactions."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from mesa_llm_norms.memory import Memory, Remembered

DEPTH = 2
"""How many interactions the longest of them hold."""
MOST = 20_000
"""How many memories of one length are looked at where looking costs nothing."""


def memories_of(
    pool: Sequence[str], length: int, most: int = MOST
) -> tuple[tuple[Memory, ...], int]:
    """Return the memories of so many interactions, and how many were left out.

    Where there are more than ``most``, those that only hold the first names of a shuffled pool are
    taken, so that every way to put these names into a pattern is among them.
    """
    names = list(pool)
    if _number(len(names), length) > most:
        random.Random(len(pool)).shuffle(names)
        while len(names) > 2 and _number(len(names), length) > most:
            names.pop()
    kept = [name for name in pool if name in names]
    pairs = [Remembered(own, partner) for own in kept for partner in kept]
    found = tuple(itertools.product(pairs, repeat=length))
    return found, _number(len(pool), length) - len(found)


def _number(names: int, length: int) -> int:
    return int(names ** (2 * length))
