"""Settings for the calls of live minds: concurrency, retries, unusable replies and budgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import choose, read_number, read_whole
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.llm.budget import read_limit

JOURNAL = "journal.sqlite"
"""The journal's name in a run's folder."""
ON_UNUSABLE = ("stop", "skip")


@dataclass(frozen=True, kw_only=True)
class LLMSettings:
    """What live minds may do; the same limits hold for all runs of an ensemble together.

    Parameters
    ----------
    folder : str or pathlib.Path, optional
        Where the journal is kept, ``journal.sqlite``: every call with its prompt, reply and usage.
        It must be new, unless ``resume`` is set. If omitted, the journal ends with the process.
    resume : bool, default False
        Take what is on record from the folder's journal, so that nothing answered is asked again.
    max_concurrency : int, default 32
        The most calls to one provider at once, from 1 to 10,000. A provider that answers with rate
        limits gets fewer.
    budget_calls : float, optional
        The most calls, over everything in the journal. All budgets are hard limits: a call that
        could exceed one is not made. No limit if omitted.
    budget_tokens : float, optional
        Likewise, the most tokens read and written together.
    budget_usd : float, optional
        Likewise, the most US dollars; every model must then have a known price.
    prices : str, pathlib.Path or mapping, optional
        A file of prices, or what stands in one, which take precedence over those that ship.
    addresses : sequence of str, default ()
        Addresses that may be called although they come from a file: those of live minds in the
        journal of somebody else's run, say. Nothing is sent to any other address of that kind,
        unless it is the default or in the environment.
    batch : bool, default False
        Send calls that do not wait for each other together, as a batch of the API, at half the
        price: questions to single agents, never a run. That may take a day. It needs a ``folder``;
        a batch that is out when the process ends is read once it is resumed.
    on_unusable : {"stop", "skip"}, default "stop"
        What happens when replies keep giving no name of the pool: the run stops with an error, or
        the interaction is skipped and the run continues.
    ask_again : int, default 2
        How often a question is repeated after such a reply, from 0 to 100.
    retries : int, optional
        How often a failed call is repeated at most, from 0 to 1,000. If omitted, as often as fits
        into ``wait_at_most``.
    wait : float, default 0.5
        Seconds before the first repetition, from 0 to 86,400. Each further one waits twice as long,
        up to 30 seconds, or as long as the API asks for.
    wait_at_most : float, default 900
        Seconds, from 0 to 86,400, after the first failure of a call until which it is repeated. If
        it still fails then, or if the API asks for a wait beyond that, the run stops.

    Raises
    ------
    SpecError
        If a value is out of range.
    """

    folder: str | Path | None = None
    resume: bool = False
    max_concurrency: int = 32
    budget_calls: float | None = None
    budget_tokens: float | None = None
    budget_usd: float | None = None
    prices: str | Path | Mapping[str, Any] | None = None
    addresses: Sequence[str] = ()
    batch: bool = False
    on_unusable: str = "stop"
    ask_again: int = 2
    retries: int | None = None
    wait: float = 0.5
    wait_at_most: float = 900.0

    @property
    def bounded(self) -> bool:
        """Whether there is a budget."""
        budgets = self.budget_calls, self.budget_tokens, self.budget_usd
        return any(budget is not None for budget in budgets)

    def check_plays(self) -> None:
        """Refuse to play where calls are to be sent in batches.

        Raises
        ------
        SpecError
            If ``batch`` is set.
        """
        if self.batch:
            raise SpecError(
                "batch",
                True,
                "a run cannot be sent in batches: its interactions wait for each other, so each "
                "batch would hold a few calls and take up to a day",
                "Leave batch out (--batch); record and audit take it for their questions.",
            )

    def __post_init__(self) -> None:
        read_whole("max_concurrency", self.max_concurrency, limits.CONCURRENCY)
        read_whole("ask_again", self.ask_again, limits.ASK_AGAIN)
        if self.retries is not None:
            read_whole("retries", self.retries, limits.RETRIES)
        read_limit(self.budget_calls, self.budget_tokens, self.budget_usd)
        if not isinstance(self.on_unusable, str) or self.on_unusable not in ON_UNUSABLE:
            raise SpecError(
                "on_unusable",
                self.on_unusable,
                f"{shown(self.on_unusable)} is not a choice",
                'Use "stop" or "skip".',
            )
        listed = isinstance(self.addresses, Iterable) and not isinstance(self.addresses, str)
        if not listed or not all(isinstance(it, str) for it in self.addresses):
            raise SpecError(
                "addresses",
                self.addresses,
                "they are not a list of addresses",
                'Write addresses=["http://127.0.0.1:8080/v1"].',
            )
        for argument in ("wait", "wait_at_most"):
            read_number(argument, getattr(self, argument), limits.WAIT)


def read_llm(llm: Any) -> LLMSettings:
    """Return the settings that an ``llm=`` argument stands for, which may be a mapping of them.

    Raises ``SpecError`` for anything else, and for settings that are not known.
    """
    if llm is None:
        return LLMSettings()
    if isinstance(llm, LLMSettings):
        return llm
    example = 'Write llm={"budget_calls": 500, "folder": "runs/first"}, or LLMSettings(...).'
    if not isinstance(llm, Mapping):
        raise SpecError("llm", llm, f"{shown(llm)} is not settings of calls", example)
    known = [field.name for field in fields(LLMSettings)]
    return LLMSettings(
        **{name: llm[name] for name in choose("llm", list(llm), known)} if llm else {}
    )
