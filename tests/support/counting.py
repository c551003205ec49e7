"""Rounds in numbers, counted from their rows: what tallies must agree with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.simulation import Interaction


def summarise(rows: Sequence[Interaction], pool: Sequence[str]) -> Round:
    """Return the round that ``rows``, all of one round and not none, belong to."""
    matched = sum(row.name_a == row.name_b for row in rows)
    played = Counter(name for row in rows for name in (row.name_a, row.name_b))
    shares = {name: played[name] / played.total() for name in pool}
    return Round(rows[-1].round, rows[-1].interaction + 1, matched / len(rows), shares)
