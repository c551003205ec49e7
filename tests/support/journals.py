"""Calls, whole journals, and what is in them, for the tests of the journal."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Call, Ended, Recorded, Totals, prompt_digest

SPEC = {"graph": "ring(n=6)", "names": ["Q", "M"], "seed": 7}
SENT = {"max_tokens": 16}
PROMPT = prompt_digest("the rules", "your memory")

posix = pytest.mark.skipif(os.name != "posix", reason="signals and file modes of POSIX")


def call(
    run: int = 0, interaction: int = 0, seat: int = 0, user: str = "your memory", **other: Any
) -> Call:
    return Call(
        run,
        interaction,
        seat,
        **{
            "mind": "claude:claude-haiku-5-5",
            "place": "http://127.0.0.1:1",
            "parameters": SENT,
            "system": "the rules",
            "user": user,
            **other,
        },
    )


def named(**other: Any) -> Ended:
    return Ended("name", 0.25, **{"reply": '{"name": "Q"}', "input_tokens": 30, **other})


def play(journal: Journal, interactions: int, run: int = 0) -> None:
    """Write interactions down whose calls all went well."""
    for number in range(interactions):
        for seat in (0, 1):
            begun = journal.begin(call(run, number, seat, user=f"memory {number} {seat}"))
            prompt = prompt_digest("the rules", f"memory {number} {seat}")
            journal.end(begun.attempt, named(), Recorded(prompt, "Q", None, begun.attempt))
        journal.commit(Interaction(run, number, number // 6, number % 6, 6, "Q", "Q", 100))


def files(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder; never while a journal in it is open in this process."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def everything(journal: Journal) -> list[Any]:
    """Return all that a journal tells of runs 0 and 1 and their first interactions."""
    places = [(run, number) for run in (0, 1) for number in range(4)]
    return [
        journal.spec,
        journal.versions,
        journal.created,
        journal.usage(),
        [(journal.usage(run), journal.usage_by_agent(run)) for run in (0, 1)],
        [journal.interaction(*place) for place in places],
        [journal.attempts_of(*place) for place in places],
        [journal.decision(*place, seat) for place in places for seat in (0, 1)],
        [journal.tries(*place, seat, PROMPT, SENT) for place in places for seat in (0, 1)],
        journal.model("claude:claude-haiku-5-5"),
        [journal.distribution(key) for key in "abc"],
    ]


def recount(journal: Journal, run: int | None = None) -> Totals:
    """Return what a journal's calls come to, counted anew from the calls themselves."""
    attempts = [
        attempt
        for which in ([0, 1] if run is None else [run])
        for number in range(4)
        for attempt in journal.attempts_of(which, number)
    ]
    outcomes = Counter(attempt.outcome for attempt in attempts)
    return Totals(
        len(attempts),
        outcomes["name"] + outcomes["distribution"],
        outcomes["failed"],
        outcomes["unusable"],
        outcomes["lost"],
        outcomes["abandoned"],
        sum(attempt.input_tokens or 0 for attempt in attempts),
        sum(attempt.output_tokens or 0 for attempt in attempts),
        sum(attempt.thinking_tokens or 0 for attempt in attempts),
        sum(attempt.cached_tokens or 0 for attempt in attempts),
        sum(attempt.cost or 0.0 for attempt in attempts),
    )
