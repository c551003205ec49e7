"""How calls to live minds are made: how many at once, how often again, for how much money."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm.budget import read_limit
from mesa_llm_norms.validation import read_whole

JOURNAL = "journal.sqlite"
"""The journal's name in a run's folder."""


ON_UNUSABLE = ("stop", "void")


@dataclass(frozen=True, kw_only=True)
class LLMSettings:
    """What live minds may do, the same for all runs of an ensemble together.

    ``folder`` keeps the journal, ``journal.sqlite``: every call with its prompt, reply and use. It
    must be new, unless ``resume`` is set: then what is on record is taken from there, and nothing
    that was answered is asked again. Without a folder the journal is gone with the process.

    ``max_concurrency`` is the most calls to one server at once; a server that asks for fewer gets
    fewer. ``budget_calls``, ``budget_tokens`` and ``budget_usd`` are hard stops, for all that the
    journal holds together; ``prices`` is a file of prices that come before those that ship.

    A call that fails is made again, ``retries`` times at most, after a growing wait of ``wait``
    seconds at first, or as long as the server asks for, ``longest_wait`` seconds at most. A reply
    that gives no name of the pool is asked for again ``ask_again`` times; then, by ``on_unusable``,
    the run stops (``"stop"``) or the interaction is void (``"void"``).
    """

    folder: str | Path | None = None
    resume: bool = False
    max_concurrency: int = 32
    budget_calls: float | None = None
    budget_tokens: float | None = None
    budget_usd: float | None = None
    prices: str | Path | None = None
    on_unusable: str = "stop"
    ask_again: int = 2
    retries: int = 8
    wait: float = 0.5
    longest_wait: float = 120.0

    @property
    def bounded(self) -> bool:
        """Whether there is a budget."""
        budgets = self.budget_calls, self.budget_tokens, self.budget_usd
        return any(budget is not None for budget in budgets)

    def __post_init__(self) -> None:
        read_whole("max_concurrency", self.max_concurrency, 1, 10_000)
        read_whole("ask_again", self.ask_again, 0, 100)
        read_whole("retries", self.retries, 0, 1_000)
        read_limit(self.budget_calls, self.budget_tokens, self.budget_usd)
        if self.on_unusable not in ON_UNUSABLE:
            raise SpecError(
                "on_unusable",
                self.on_unusable,
                f"{self.on_unusable!r} is no choice",
                'Use "stop" or "void".',
            )
        for argument in ("wait", "longest_wait"):
            value: Any = getattr(self, argument)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not 0 <= value <= 86_400:
                raise SpecError(
                    argument, value, f"{value!r} is no time", "Use 0 to 86,400 seconds."
                )
