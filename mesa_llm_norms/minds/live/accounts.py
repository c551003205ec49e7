"""One budget for what is played in parts, each with a journal of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mesa_llm_norms.minds.live.calls import JOURNAL, Calls

if TYPE_CHECKING:
    from mesa_llm_norms.journal import Totals


class Accounts:
    """Gives every part what is left to spend, and adds up what was used.

    Parts follow one another: what one may spend is known once those before it were added.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self.used: Totals | None = None

    def calls_for(self, part: str) -> Calls:
        """Return how the calls of a part are made; its journal is in a folder of its name."""
        calls, used = self._calls, self.used
        folder = Path(calls.folder) / part if calls.folder is not None else None
        resume = calls.resume and folder is not None and (folder / JOURNAL).exists()
        calls = replace(calls, folder=folder, resume=resume)
        if used is None:
            return calls
        return replace(
            calls,
            budget_calls=_rest(calls.budget_calls, used.calls),
            budget_tokens=_rest(calls.budget_tokens, used.input_tokens + used.output_tokens),
            budget_usd=_rest(calls.budget_usd, used.cost),
        )

    def add(self, usage: Totals | None) -> None:
        """Add what a part used."""
        if usage is not None:
            self.used = usage if self.used is None else self.used.plus(usage)


def _rest(budget: float | None, used: float) -> float | None:
    return None if budget is None else max(0.0, budget - used)
