"""Who plays which mind, where ``mind=`` is a mapping: of minds to shares, or of nodes to minds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_percentage
from mesa_llm_norms.errors import MindError


def read_shares(mind: Any) -> Any:
    """Return a ``mind=`` argument with a share for each percentage in it."""
    if not isinstance(mind, Mapping):
        return mind
    read = {key: read_percentage(it) for key, it in mind.items()}
    return mind if all(read[key] is it for key, it in mind.items()) else read


def by_share(mind: Mapping[Any, Any]) -> bool:
    """Return whether a ``mind=`` mapping is one of minds to shares, not one of nodes to minds.

    Raises
    ------
    MindError
        If some values are numbers but not all of them are shares from 0 up.
    """
    shares = mind.values()
    numbers = [isinstance(share, Real) and not isinstance(share, bool) for share in shares]
    if not any(numbers):
        return False
    if not all(numbers) or not all(it in limits.MIND_SHARE for it in shares) or not sum(shares):
        raise MindError(
            "mind", mind, "the shares are not numbers from 0 up", "Give each mind a share: 0.5."
        )
    return True


def mind_key(mind: Any) -> Any:
    """Return what tells the minds of a ``mind=`` mapping apart: their names, or themselves."""
    return mind if isinstance(mind, str) else id(mind)


def apportioned(shares: Sequence[float], seats: int) -> list[int]:
    """Return whole numbers in proportion to ``shares``, by largest remainder."""
    total = sum(shares)
    exact = [share / total * seats for share in shares]
    counts = [int(share) for share in exact]
    by_remainder = sorted(range(len(shares)), key=lambda i: counts[i] - exact[i])
    for place in by_remainder[: seats - sum(counts)]:
        counts[place] += 1
    return counts
