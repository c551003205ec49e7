"""One budget and one folder for live models that play one after another: ``SharedCalls``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm.journal.rows import Totals
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings, read_llm

if TYPE_CHECKING:
    from mesa_llm_norms.llm.client import LLMClient


class SharedCalls:
    """How calls are made for several models, with one budget: the ``llm=`` of each of them.

    Models play one after another, as in a loop or in Mesa's ``batch_run``: making the next one ends
    the calls of the one before. Each has a journal of its own in the folder, ``model-0``,
    ``model-1`` and so on in the order in which they are made. What is played again with the same
    folder is found there, and nothing is paid for twice.

    Parameters
    ----------
    llm : LLMSettings or mapping, optional
        How calls are made, with the budgets of all models together.

    Raises
    ------
    SpecError
        If the settings cannot be used.
    JournalError
        If a journal in the folder is damaged or in use.
    """

    def __init__(self, llm: LLMSettings | Mapping[str, Any] | None = None) -> None:
        from mesa_llm_norms.llm.client import SharedBudget
        from mesa_llm_norms.llm.journal.journal import Journal

        self._llm = replace(read_llm(llm) or LLMSettings(), resume=False)
        self._budget = SharedBudget(self._llm)
        self._client: LLMClient | None = None
        self._opened = 0
        self._used: dict[str, Totals] = {}
        """What each model used, also those of before that are not made again yet."""
        if self._llm.folder is not None:
            for path in sorted(Path(self._llm.folder).glob(f"model-*/{JOURNAL}")):
                journal = Journal.open(path)
                self._used[path.parent.name] = journal.usage()
                journal.close()

    @property
    def usage(self) -> Totals:
        """What the calls of all models on record used."""
        self._note()
        total = Totals()
        for used in self._used.values():
            total = total.plus(used)
        return total

    def open(self, played: Mapping[str, Any]) -> LLMClient:
        """Return what makes the calls of the next model, after ending those of the one before.

        Parameters
        ----------
        played : mapping
            What is played, as JSON can hold it.

        Returns
        -------
        LLMClient
            With what is left of the budget.

        Raises
        ------
        JournalError
            If another model is on record in this place.
        """
        self.close()
        part = f"model-{self._opened}"
        self._used.pop(part, None)
        self._budget.used = self.usage
        folder = self._llm.folder
        there = folder is not None and (Path(folder) / part / JOURNAL).exists()
        self._client = self._budget.client(part, played, resume=there)
        self._opened += 1
        return self._client

    def close(self) -> None:
        """End the calls of the last model, and let go of its journal."""
        if self._client is not None:
            self._client.close()
            self._note()
            self._client = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise SpecError(
            "llm",
            type(self).__name__,
            "it can neither be copied nor leave its process, which holds the budget",
            "Play batch runs with number_processes=1.",
        )

    def _note(self) -> None:
        if self._client is not None:
            self._used[f"model-{self._opened - 1}"] = self._client.usage
