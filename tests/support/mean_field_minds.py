"""Minds whose mean field is known, for the tests of infinite populations."""

from __future__ import annotations

from collections.abc import Sequence

from mesa_llm_norms import Policy, TableMind
from mesa_llm_norms.core.game import Memory, read_memory

CLAUDE, LLAMA_3_1 = "claude-3.5-sonnet", "llama-3.1-70b-instruct"
RECORDED = [CLAUDE, "llama-2-70b-chat", "llama-3-70b-instruct", LLAMA_3_1]


def table_of(label: str, rows: dict[str, list[float]]) -> TableMind:
    """Return a mind for Q and M whose memories are written like "QM MM"."""
    return TableMind(label, "QM", {read_memory(key.split()): row for key, row in rows.items()})


def voter() -> TableMind:
    """Plays what its partner played last."""
    rows = {"QQ": [1.0, 0.0], "MQ": [1.0, 0.0], "QM": [0.0, 1.0], "MM": [0.0, 1.0]}
    return table_of("voter", {"": [0.5, 0.5], **rows})


def stubborn() -> TableMind:
    """Plays what it played last, whatever it hears."""
    rows = {"QQ": [1.0, 0.0], "QM": [1.0, 0.0], "MQ": [0.0, 1.0], "MM": [0.0, 1.0]}
    return table_of("stubborn", {"": [0.5, 0.5], **rows})


class TwiceHeard(Policy):
    """Takes up a name heard twice running, or first, and otherwise keeps its own; nearly always.

    Of a first choice, ``first`` is the chance of each name, all alike if not given.
    """

    label = "twice heard"

    def __init__(self, first: Sequence[float] | None = None) -> None:
        self.first = first

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        if not memory:
            return self.first or [1 / len(pool)] * len(pool)
        heard = {pair.partner for pair in memory[-2:]}
        chosen = heard.pop() if len(heard) == 1 else memory[-1].own
        return [0.99 if name == chosen else 0.01 / (len(pool) - 1) for name in pool]
