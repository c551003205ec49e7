"""What a run shows, from its ``Interaction`` rows alone: success, shares, entropy."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.game import Interaction


class Round(NamedTuple):
    """One population round in numbers."""

    number: int
    interactions: int
    """How many had been played in the run when the round ended."""
    success_rate: float
    shares: dict[str, float]
    """Of the names played in the round, the share of each name of the pool."""

    @property
    def distinct_names(self) -> int:
        """How many different names were played."""
        return sum(share > 0 for share in self.shares.values())

    @property
    def entropy(self) -> float:
        """Shannon entropy of the shares, in bits: 0 when everybody plays one name."""
        return entropy(self.shares)

    @property
    def leader(self) -> str:
        """The name played most; of equals, the earlier one in the pool."""
        return max(self.shares, key=lambda name: self.shares[name])


def success_rate(rows: Sequence[Interaction]) -> float:
    """Return the share of interactions in which the names matched; ``nan`` for none."""
    return sum(row.name_a == row.name_b for row in rows) / len(rows) if rows else math.nan


def name_shares(rows: Iterable[Interaction], pool: Sequence[str]) -> dict[str, float]:
    """Return, of the names played in ``rows``, the share of each name of ``pool``."""
    played = Counter(name for row in rows for name in (row.name_a, row.name_b))
    total = played.total() or 1
    return {name: played[name] / total for name in pool}


def entropy(shares: Mapping[str, float]) -> float:
    """Return the Shannon entropy of ``shares`` in bits."""
    return -sum(share * math.log2(share) for share in shares.values() if share > 0) + 0.0


def summarise(rows: Sequence[Interaction], pool: Sequence[str]) -> Round:
    """Return the numbers of the round that ``rows``, all of one round and not none, belong to."""
    last = rows[-1]
    return Round(last.round, last.interaction + 1, success_rate(rows), name_shares(rows, pool))


def count(line: list[int], name_a: int, name_b: int) -> None:
    """Count one interaction in the line of its round; names by their places in the pool."""
    line[0] += 1
    line[1] += name_a == name_b
    line[2 + name_a] += 1
    line[2 + name_b] += 1


class Tally:
    """Rounds as they are played, counted; names by their places in ``pool``.

    ``counts`` has a line for every round: how many interactions, how many of them matched, and how
    often each name was played. ``rounds`` and ``interactions`` are what came before.
    """

    def __init__(self, pool: Sequence[str], rounds: int = 0, interactions: int = 0) -> None:
        self.pool = tuple(pool)
        self.rounds = rounds
        self.interactions = interactions
        self._lines: list[Any] = []

    def begin_round(self) -> list[int]:
        """Return the line of a new round, all zeros, to be counted on."""
        line = [0] * (2 + len(self.pool))
        self._lines.append([line])
        return line

    def extend(self, counts: NDArray[np.int64]) -> None:
        """Add rounds that are already counted."""
        self._lines.append(counts)

    def __len__(self) -> int:
        return sum(len(lines) for lines in self._lines)

    @property
    def counts(self) -> NDArray[np.int64]:
        """A line for every round."""
        if not self._lines:
            return np.zeros((0, 2 + len(self.pool)), np.int64)
        return np.concatenate([np.asarray(lines, np.int64) for lines in self._lines])

    @property
    def last(self) -> Round | None:
        """The last round in which something was played."""
        rounds = self.to_rounds(last=True)
        return rounds[-1] if rounds else None

    def to_rounds(self, last: bool = False) -> list[Round]:
        """Return the rounds, or the ``last`` one alone, but for those that nothing came of."""
        counts = self.counts
        played = np.flatnonzero(counts[:, 0])
        ends = self.interactions + np.cumsum(counts[:, 0])
        return [
            Round(
                self.rounds + int(place),
                int(ends[place]),
                matched / count,
                {name: times / (2 * count) for name, times in zip(self.pool, names, strict=True)},
            )
            for place in (played[-1:] if last else played)
            for count, matched, *names in [counts[place].tolist()]
        ]
