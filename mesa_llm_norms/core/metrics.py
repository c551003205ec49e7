"""What population rounds show: counts as they are played, and success, shares and entropy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Round(NamedTuple):
    """One population round in numbers.

    Parameters
    ----------
    number : int
        Its number in the run, from 0.
    interactions : int
        How many had been played in the run when the round ended.
    success_rate : float
        Share of its interactions that were a success: in the naming game, the names matched.
    shares : dict of str to float
        For each name of the pool its share of the names played in the round.
    """

    number: int
    interactions: int
    success_rate: float
    shares: dict[str, float]

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


def entropy(shares: Mapping[str, float]) -> float:
    """Return the Shannon entropy of ``shares`` in bits."""
    return -sum(share * math.log2(share) for share in shares.values() if share > 0) + 0.0


COLUMNS = ("interactions", "success_rate", "distinct_names", "entropy")
"""What is collected of every round, besides the share of each name."""


def round_columns(pool: Sequence[str]) -> dict[str, Any]:
    """Return for each column of a data collector what gives it, from a model with a ``round``."""
    return {
        **{name: partial(_of_round, name) for name in COLUMNS},
        "interactions": "interactions",  # those of a round that was cut, too
        **{f"share_{name}": partial(_share, name) for name in pool},
    }


def _of_round(number: str, model: Any) -> float:
    return getattr(model.round, number, math.nan)


def _share(name: str, model: Any) -> float:
    return model.round.shares[name] if model.round else math.nan


class Tally:
    """Rounds counted as they are played; names are indices in ``pool``.

    Parameters
    ----------
    pool
        The names.
    rounds, interactions
        How many were played before.
    """

    def __init__(self, pool: Sequence[str], rounds: int = 0, interactions: int = 0) -> None:
        self.pool: tuple[str, ...] = tuple(pool)
        self.rounds = rounds
        self.interactions = interactions
        self._lines: list[Any] = []

    def begin_round(self) -> list[int]:
        """Return the line of a new round, all zeros, for ``count`` to add to."""
        line = [0] * (2 + len(self.pool))
        self._lines.append([line])
        return line

    def extend(self, counts: NDArray[np.int64]) -> None:
        """Add rounds that are already counted, a line for each."""
        self._lines.append(counts)

    def __len__(self) -> int:
        return sum(len(lines) for lines in self._lines)

    @property
    def counts(self) -> NDArray[np.int64]:
        """For each round its interactions and successes, and how often each name was played.

        The shape is (rounds, 2 + names).
        """
        if not self._lines:
            return np.zeros((0, 2 + len(self.pool)), np.int64)
        return np.concatenate([np.asarray(lines, np.int64) for lines in self._lines])

    @property
    def last(self) -> Round | None:
        """The last round in which something was played."""
        rounds = self.to_rounds(last=True)
        return rounds[-1] if rounds else None

    def to_rounds(self, last: bool = False) -> list[Round]:
        """Return the rounds, or the ``last`` one alone, without those in which all was skipped."""
        counts = self.counts
        played = np.flatnonzero(counts[:, 0])
        ends = self.interactions + np.cumsum(counts[:, 0])
        return [
            Round(
                self.rounds + int(index),
                int(ends[index]),
                matched / count,
                {name: times / sum(names) for name, times in zip(self.pool, names, strict=True)},
            )
            for index in (played[-1:] if last else played)
            for count, matched, *names in [counts[index].tolist()]
        ]


def count(line: list[int], names: Iterable[int], success: bool) -> None:
    """Count one interaction in the line of its round; names are indices in the pool."""
    line[0] += 1
    line[1] += success
    for name in names:
        line[2 + name] += 1
