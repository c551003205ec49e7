"""One budget for what is played in parts, each with a journal of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.minds.live.calls import JOURNAL, Calls

if TYPE_CHECKING:
    from mesa_llm_norms.journal import Totals
    from mesa_llm_norms.minds.live.session import Session


class Accounts:
    """Gives every part what is left to spend, and adds up what was used.

    Parts follow one another: what one may spend is known once those before it were added.
    """

    def __init__(self, calls: Calls | None) -> None:
        self._calls = calls or Calls()
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

    def session(self, part: str, asked: Mapping[str, Any]) -> Session:
        """Return a session for the calls of a part; what is ``asked`` goes into its journal.

        Raises ``JournalError`` where it is gone on with and something else was asked at first.
        """
        from mesa_llm_norms.minds.live.session import Session

        calls = self.calls_for(part)
        session = Session(calls, asked)
        if calls.resume:
            before, now = session.journal.spec, json.loads(json.dumps(asked))
            other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
            if other:
                session.close()
                raise JournalError(
                    str(calls.folder),
                    "; ".join(f"{key} was {before.get(key)}, not {now.get(key)}" for key in other),
                    "Go on with what it was begun with, or begin elsewhere.",
                )
        return session

    def add(self, usage: Totals | None) -> None:
        """Add what a part used."""
        if usage is not None:
            self.used = usage if self.used is None else self.used.plus(usage)


def _rest(budget: float | None, used: float) -> float | None:
    return None if budget is None else max(0.0, budget - used)
