"""What is known of a journal without asking the file: decisions, distributions, usage."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeAlias

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.journal.rows import Ended, Recorded, Totals, Voided
from mesa_llm_norms.journal.texts import join_digests, node_text, read_node, storable

Seat: TypeAlias = tuple[int, int, int]
"""A decision to be made: run, interaction, seat."""

Stored: TypeAlias = tuple[int, str, str, str | None, str | None, float | None, str | None]
"""A committed interaction as it is written: round, nodes, names, payoff, reason."""

_USED = ("input_tokens", "output_tokens", "thinking_tokens", "cached_tokens", "cost")

_COUNTED = {
    "name": "answered",
    "distribution": "answered",
    "unusable": "unusable",
    "failed": "failed",
    "abandoned": "abandoned",
    "lost": "lost",
}
"""The field of ``Totals`` that each outcome is counted in."""


class Asked(NamedTuple):
    """A call that is under way: for which decision, on which prompt."""

    seat: Seat
    prompt: str


class Ledger:
    """The part of a journal that is kept in memory, and brought up to date with every row.

    ``last`` is the number of the newest attempt; they count from 1, over all runs.
    """

    def __init__(self) -> None:
        self.last = 0
        self.made: Counter[Seat] = Counter()
        self.under_way: dict[int, Asked] = {}
        self.decisions: dict[Seat, Recorded] = {}
        self.distributions: dict[str, tuple[float, ...]] = {}
        self.interactions: dict[tuple[int, int], Stored] = {}
        self.unusable: Counter[tuple[Seat, str]] = Counter()
        self.total = Totals()
        self.totals: defaultdict[int, Totals] = defaultdict(Totals)

    def begin(self, asked: Asked) -> int:
        """Count a call that begins and return its attempt's number."""
        self.last += 1
        self.under_way[self.last] = asked
        self.made[asked.seat] += 1
        self._count(asked.seat[0], Totals(calls=1))
        return self.last

    def end(self, attempt: int, ended: Ended) -> None:
        """Count what came of a call that was under way."""
        asked = self.under_way.pop(attempt)
        if ended.outcome == "unusable":
            self.unusable[asked.seat, asked.prompt] += 1
        used = Totals(
            input_tokens=ended.input_tokens,
            output_tokens=ended.output_tokens,
            thinking_tokens=ended.thinking_tokens,
            cached_tokens=ended.cached_tokens,
            cost=ended.cost or 0.0,
        )
        self._count(asked.seat[0], used._replace(**{_COUNTED[ended.outcome]: 1}))

    def lose(self, run: int) -> None:
        """Count a call as lost whose process has ended."""
        self._count(run, Totals(lost=1))

    def interaction(self, run: int, number: int) -> Interaction | Voided | None:
        """Return a committed interaction as a row, its node ids as ``read_node`` has them."""
        stored = self.interactions.get((run, number))
        if stored is None:
            return None
        round_number, node_a, node_b, name_a, name_b, payoff, reason = stored
        nodes = read_node(node_a), read_node(node_b)
        if name_a is None or name_b is None or payoff is None:
            return Voided(run, number, round_number, *nodes, reason or "")
        return Interaction(run, number, round_number, *nodes, name_a, name_b, payoff)

    def _count(self, run: int, more: Totals) -> None:
        self.total = self.total.plus(more)
        self.totals[run] = self.totals[run].plus(more)


def stored(row: Interaction | Voided) -> Stored:
    """Return an interaction as it is written."""
    start = int(row.round), node_text(row.node_a), node_text(row.node_b)
    if isinstance(row, Voided):
        return *start, None, None, None, storable(row.reason)
    return *start, row.name_a, row.name_b, float(row.payoff), None


def write_probabilities(probabilities: Sequence[float]) -> str:
    """Return probabilities as JSON, from which the very same numbers are read."""
    if not _may_be_probabilities(probabilities):
        raise SpecError(
            "probabilities", probabilities, "no distribution", "Give one number from 0 up per name."
        )
    return json.dumps([float(one) for one in probabilities])


def load(connection: sqlite3.Connection) -> Ledger:
    """Return the ledger of a journal; ``ValueError`` or ``sqlite3.Error`` where it is damaged.

    Calls without an outcome are counted as calls; they are not under way in this process.
    """
    ledger = Ledger()
    (ledger.last,) = connection.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()
    for run, interaction, seat, *recorded in connection.execute(
        "SELECT run, interaction, seat, prompt, name, probability, attempt FROM decisions"
    ):
        ledger.decisions[run, interaction, seat] = Recorded(*recorded)
    for key, text in connection.execute("SELECT key, probabilities FROM distributions"):
        ledger.distributions[key] = _read_probabilities(text)
    for run, interaction, *row in connection.execute(
        "SELECT run, interaction, round, node_a, node_b, name_a, name_b, payoff, reason"
        " FROM interactions"
    ):
        ledger.interactions[run, interaction] = _read_stored(row)
    for run, interaction, seat, made in connection.execute(
        "SELECT run, interaction, seat, max(try) + 1 FROM attempts GROUP BY run, interaction, seat"
    ):
        ledger.made[run, interaction, seat] = made
    for run, interaction, seat, system, user, count in connection.execute(
        "SELECT run, interaction, seat, system, user, count(*) FROM attempts"
        " WHERE outcome = 'unusable' GROUP BY run, interaction, seat, system, user"
    ):
        ledger.unusable[(run, interaction, seat), join_digests(system, user)] = count
    for run, outcome, count, *used in connection.execute(
        "SELECT run, outcome, count(*), "
        + ", ".join(f"coalesce(sum({column}), 0)" for column in _USED)
        + " FROM attempts GROUP BY run, outcome"
    ):
        more = Totals(count, **dict(zip(_USED, used, strict=True)))
        if outcome is not None:
            more = more._replace(**{_COUNTED[outcome]: count})
        ledger._count(run, more)
    return ledger


def _read_probabilities(text: str) -> tuple[float, ...]:
    values = json.loads(text)
    if not isinstance(values, list) or not _may_be_probabilities(values):
        raise ValueError(f"no distribution: {text!r}")
    return tuple(map(float, values))


def _may_be_probabilities(values: Sequence[Any]) -> bool:
    """Whether these are numbers as they may be; whether they sum to one, whoever uses them says."""
    return len(values) > 0 and all(
        isinstance(one, (int, float)) and math.isfinite(one) and one >= 0 for one in values
    )


def _read_stored(row: list[Any]) -> Stored:
    if not isinstance(row[1], str) or not isinstance(row[2], str):
        raise ValueError(f"no interaction: {row!r}")
    return tuple(row)
