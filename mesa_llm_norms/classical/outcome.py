"""How a run of the classical game stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from mesa_llm_norms.errors import SpecError


class ClassicalOutcome(NamedTuple):
    """How a run stands."""

    interactions: int
    rounds: int
    converged: bool
    """Whether there is consensus: every agent holds the same one word."""
    winner: str | None
    """The word that most agents hold; of equals, the one earliest in the pool, or invented by the
    earliest agent. None where nobody holds any."""
    share: float
    """Share of the agents that hold the winner, whatever else they hold."""
    success_rate: float
    """Share of the last round's interactions in which the hearer had the word."""
    peak_words: int
    """The most words there have been: the sizes of all inventories, added up."""
    peak_time: int
    """The number of interactions after which there first were so many."""


def leading(held: Counter[str], order: Iterable[str]) -> tuple[str | None, int]:
    """Return the word that most agents hold, and how many do; of equals, the first in ``order``."""
    winner = max((word for word in order if held[word]), key=lambda word: held[word], default=None)
    return winner, held[winner] if winner is not None else 0


def check_until(until: Any) -> None:
    """Raise ``SpecError`` unless this says when a run ends."""
    if until is not None and until != "converged":
        raise SpecError(
            "until",
            until,
            f"{until!r} is no way to end a run of the classical game",
            'Use "converged" or None; a flip is consensus on the committed word.',
        )
