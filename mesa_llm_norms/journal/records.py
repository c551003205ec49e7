"""The half of a journal that is read: what was decided, committed and spent so far."""

from __future__ import annotations

import threading

from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.journal import reading
from mesa_llm_norms.journal.ledger import Ledger
from mesa_llm_norms.journal.opening import Opened
from mesa_llm_norms.journal.rows import AgentUsage, Attempt, Recorded, Totals, Voided
from mesa_llm_norms.journal.writer import Writer


class Records:
    """What an open journal holds; any thread may ask, and sees all that was handed in before."""

    def __init__(self, opened: Opened) -> None:
        self.path = opened.path
        self.spec, self.versions, self.created = opened.content.heading
        self._ledger = opened.content.ledger
        self._in_flight = opened.content.in_flight
        self._file_lock = opened.lock
        self._may_write = opened.may_write
        self._lock = threading.Lock()
        self._is_open = True
        self._writer = Writer(opened.connection, opened.path)

    def decision(self, run: int, interaction: int, seat: int) -> Recorded | None:
        """Return the decision that was made at a seat, None where none was."""
        return self._told().decisions.get((run, interaction, seat))

    def distribution(self, key: str) -> tuple[float, ...] | None:
        """Return the probabilities kept under a key, None where none are."""
        return self._told().distributions.get(key)

    def tries(self, run: int, interaction: int, seat: int, prompt: str) -> int:
        """Return how many unusable replies the prompt of this digest had for this decision."""
        return self._told().unusable.get(((run, interaction, seat), prompt), 0)

    def interaction(self, run: int, number: int) -> Interaction | Voided | None:
        """Return a committed interaction, None where it is not.

        A node id that JSON cannot hold is the text that stands for it.
        """
        return self._told().interaction(run, number)

    def usage(self, run: int | None = None) -> Totals:
        """Return what all calls came to, or those of one run, in this session and before."""
        if run is None:
            return self._ledger.total
        return self._ledger.totals.get(run, Totals())

    def usage_by_agent(self, run: int) -> tuple[AgentUsage, ...]:
        """Return what each agent's calls came to in a run, in the order they were first asked."""
        with reading.reading(self.path):
            return self._writer.ask(lambda it: reading.usage_by_agent(it, run))

    def attempts_of(self, run: int, interaction: int) -> tuple[Attempt, ...]:
        """Return the calls made for an interaction, in the order in which they began."""
        with reading.reading(self.path):
            return self._writer.ask(lambda it: reading.attempts_of(it, run, interaction))

    def in_flight(self) -> tuple[Attempt, ...]:
        """Return the calls that were under way when the journal was opened.

        To go on with it is to know them lost; to read it is not, for its process may still live.
        """
        return self._in_flight

    def _told(self) -> Ledger:
        if self._writer.failure is not None:
            self._writer.check()
        return self._ledger

    def _error(self, problem: str, remedy: str) -> JournalError:
        return JournalError(self.path or ":memory:", problem, remedy)
