"""Every random draw of a run, as a pure function of what it is for.

**No draw depends on how many were made before it.** The same spec and seed therefore give the same
trajectory on every engine, in any process, at any concurrency and after a crash.

The definition, which every engine shares (all arithmetic modulo 2**64)::

    key         = mix(mix(seed) + run * GOLDEN)
    node, neighbor = halves of mix(key + (2 t + 1) * GOLDEN)     (high 32 bits, low 32 bits)
    seat 0, seat 1  = halves of mix(key + (2 t + 2) * GOLDEN)

where ``t`` is the interaction's number in its run and ``mix`` the finaliser of splitmix64 (Steele,
Lea and Flood, OOPSLA 2014). Anything else that needs chance (placing committed agents, sampling a
graph, the order in which names are shown) has its own draws, keyed by the purpose.
"""

from __future__ import annotations

import hashlib
import random
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

MASK = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15

UNIT = 1 << 32
"""32-bit draws are whole numbers from 0 to ``UNIT`` - 1."""

_BLOCK = 1_024
_BLOCKS = 4
"""How many blocks of draws are kept: interactions decided speculatively lie further on."""


class InteractionDraws(NamedTuple):
    """The four 32-bit draws of one interaction: two plan the pair, two are for the choices."""

    node: int
    neighbor: int
    seat_a: int
    seat_b: int


def mix(value: int) -> int:
    """Return the splitmix64 finaliser of a 64-bit number: a bijection that scrambles all bits."""
    value &= MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def index_of(draw: int, size: int) -> int:
    """Return a uniform index from a 32-bit draw.

    Parameters
    ----------
    draw : int
        A number from 0 to 2**32 - 1.
    size : int
        How many indices there are.

    Returns
    -------
    int
        An index from 0 to ``size`` - 1, with a bias of at most size / 2**32.
    """
    return (draw * size) >> 32


def cumulative_weights(weights: Any) -> list[int]:
    """Return the cumulative weights that turn a 32-bit draw into an index.

    Parameters
    ----------
    weights : sequence of float or numpy.ndarray
        At least one positive weight; their sum need not be one. Shape (n,).

    Returns
    -------
    list of int
        Rising numbers up to 2**32. The index drawn is that of the first one above the draw.
    """
    given = weights.tolist() if isinstance(weights, np.ndarray) else weights
    sums = list(accumulate(float(weight) for weight in given))
    before = [0.0, *sums[:-1]]
    last = max(
        place for place, (low, high) in enumerate(zip(before, sums, strict=True)) if low < high
    )
    return [round(part / sums[-1] * UNIT) for part in sums[:last]] + [UNIT] * (len(sums) - last)


class RandomStream:
    """The random draws of one run: a pure function of seed, run, and what each draw is for.

    Parameters
    ----------
    seed : int
        The seed, from 0 to 2**64 - 1.
    run : int, default 0
        The number of the run.
    """

    __slots__ = ("_blocks", "key", "run", "seed")

    def __init__(self, seed: int, run: int = 0) -> None:
        self.seed: int = seed
        self.run: int = run
        self.key: int = mix(_mixed(seed) + run * GOLDEN)
        self._blocks: dict[int, list[InteractionDraws]] = {}

    def interaction(self, number: int) -> InteractionDraws:
        """Return the draws of an interaction.

        Parameters
        ----------
        number : int
            Its number in the run, from 0.

        Returns
        -------
        InteractionDraws
            Four numbers from 0 to 2**32 - 1: ``node``, ``neighbor``, ``seat_a`` and ``seat_b``.
        """
        block, row = divmod(number, _BLOCK)
        rows = self._blocks.get(block)
        if rows is None:
            columns = interaction_draws(self.key, block * _BLOCK, _BLOCK)
            rows = [InteractionDraws(*four) for four in zip(*columns.tolist(), strict=True)]
            if len(self._blocks) >= _BLOCKS:
                del self._blocks[min(self._blocks)]
            self._blocks[block] = rows
        return rows[row]

    def of(self, purpose: str, *position: int) -> int:
        """Return the draw for a purpose.

        Parameters
        ----------
        purpose : str
            What it is for; different purposes give independent draws.
        *position : int
            Which one: the number of an interaction, of a seat, and so on.

        Returns
        -------
        int
            A number from 0 to 2**64 - 1.
        """
        value = mix(self.key ^ purpose_key(purpose))
        for number in position:
            value = mix(value + (number + 1) * GOLDEN)
        return value

    def generator(self, purpose: str) -> random.Random:
        """Return a generator for work that needs many draws at once, such as a graph.

        Parameters
        ----------
        purpose : str
            What it is for.

        Returns
        -------
        random.Random
            Seeded by the draw for that purpose.
        """
        return random.Random(self.of(purpose))


def interaction_draws(key: int, first: int, count: int) -> NDArray[np.uint64]:
    """Return the draws of ``count`` interactions from ``first`` on: a row for each of the four."""
    value = mix_array(key, 2 * count, 2 * first)
    high, low = value >> np.uint64(32), value & np.uint64(UNIT - 1)
    return np.stack([high[::2], low[::2], high[1::2], low[1::2]])


def mix_array(key: int, count: int, first: int = 0) -> NDArray[np.uint64]:
    """Return ``mix(key + (n + 1) * GOLDEN)`` for ``count`` numbers n from ``first`` on."""
    counter = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    value = counter * np.uint64(GOLDEN) + np.uint64(key)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed


_mixed = lru_cache(64)(mix)
"""``mix`` of seeds, of which the runs of an ensemble have one."""


@cache
def purpose_key(purpose: str) -> int:
    """Return the number that keys the draws for a purpose."""
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
