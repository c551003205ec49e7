"""What a run shows, from its ``Interaction`` rows alone: success, shares, entropy, and its end."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import Interaction

FLIPPED_SHARE = 0.95
"""Share of the names played that must be a committed one for a convention to count as flipped."""


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


class Recent:
    """The last ``size`` interactions, counted as they come."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._rows: deque[tuple[str, str]] = deque()
        self._matched = 0
        self._played: Counter[str] = Counter()

    def add(self, name_a: str, name_b: str) -> None:
        """Count one more interaction, and forget the one that falls out of the window."""
        self._rows.append((name_a, name_b))
        self._matched += name_a == name_b
        self._played[name_a] += 1
        self._played[name_b] += 1
        if len(self._rows) > self.size:
            old_a, old_b = self._rows.popleft()
            self._matched -= old_a == old_b
            self._played[old_a] -= 1
            self._played[old_b] -= 1

    def resized(self, size: int) -> Recent:
        """Return the same history seen through a window of another size."""
        other = Recent(size)
        for name_a, name_b in self._rows:
            other.add(name_a, name_b)
        return other

    @property
    def full(self) -> bool:
        """Whether ``size`` interactions have been counted."""
        return len(self._rows) >= self.size

    @property
    def success_rate(self) -> float:
        """Share of the counted interactions that matched."""
        return self._matched / len(self._rows) if self._rows else 0.0

    def share(self, name: str) -> float:
        """Share of the names played in the counted interactions that are ``name``."""
        return self._played[name] / (2 * len(self._rows)) if self._rows else 0.0

    def leader(self, pool: Sequence[str]) -> str | None:
        """The name played most, None if nothing was; of equals, the earlier one in the pool."""
        return max(pool, key=lambda name: self._played[name]) if self._rows else None

    def converged(self, threshold: float = 1.0) -> bool:
        """Whether the window is full and at least ``threshold`` of it matched."""
        return len(self._rows) >= self.size and self._matched >= threshold * self.size

    def flipped(self, names: Iterable[str], share: float = FLIPPED_SHARE) -> bool:
        """Whether the window is full and ``share`` of the names in it are one of ``names``."""
        return self.full and any(self.share(name) >= share for name in names)


def check_stopping(until: str | None, window: float, threshold: float) -> None:
    """Raise ``SpecError`` unless these say when a run ends."""
    if until is not None and (not isinstance(until, str) or until not in ("converged", "flipped")):
        raise SpecError(
            "until",
            until,
            f"{until!r} is no way to end a run",
            'Use "converged", "flipped" or None.',
        )
    for argument, value, high in (("window", window, 1_000), ("threshold", threshold, 1)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= high:
            raise SpecError(
                argument, value, f"{value!r} is out of range", f"Use 0 to {high}, not 0."
            )
