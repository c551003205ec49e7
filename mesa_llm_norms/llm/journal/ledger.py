"""What is known of a journal without asking the file: decisions, distributions, usage.

What pages and reports ask of a journal's file.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.errors import JournalError, SpecError
from mesa_llm_norms.llm.journal.database import unreadable
from mesa_llm_norms.llm.journal.tables import (
    AgentUsage,
    Attempt,
    Ended,
    Recorded,
    Totals,
    Voided,
    join_digests,
    node_text,
    read_node,
    storable,
)

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


_ATTEMPTS = """
SELECT a.id, a.run, a.interaction, a.seat, a.try, a.mind, a.place, p.text, s.text, u.text, a.begun,
    a.latency, a.outcome, a.problem, a.status, a.reply, a.model, a.stop, a.input_tokens,
    a.output_tokens, a.thinking_tokens, a.cached_tokens, a.cost
FROM attempts a
LEFT JOIN parameters p ON p.digest = a.parameters
LEFT JOIN prompts s ON s.digest = a.system
LEFT JOIN prompts u ON u.digest = a.user
"""


_BY_AGENT = """
SELECT CASE a.seat WHEN 0 THEN i.node_a ELSE i.node_b END AS node, count(*),
    coalesce(sum(a.input_tokens), 0),
    coalesce(sum(a.output_tokens), 0), coalesce(sum(a.thinking_tokens), 0), total(a.cost)
FROM attempts a
LEFT JOIN interactions i ON i.run = a.run AND i.interaction = a.interaction
WHERE a.run = ?
GROUP BY node
ORDER BY min(a.id)
"""


class Heading(NamedTuple):
    """What a journal was begun with: the spec, the versions in use, and when in UTC."""

    spec: dict[str, Any]
    versions: dict[str, Any]
    created: str


@contextmanager
def reading(path: Path | None) -> Iterator[None]:
    """Report damage that is met with in the ``with`` block as a ``JournalError``."""
    try:
        yield
    except JournalError:  # which is a ValueError
        raise
    except (sqlite3.Error, ValueError, TypeError, KeyError, RecursionError) as error:
        raise unreadable(path or ":memory:", error) from error


def heading(connection: sqlite3.Connection) -> Heading:
    """Return what a journal was begun with; ``ValueError`` where that is not there."""
    row = connection.execute("SELECT spec, versions, created FROM spec").fetchone()
    if row is None:
        raise ValueError("its spec is missing")
    spec, versions = json.loads(row[0]), json.loads(row[1])
    if not isinstance(spec, dict) or not isinstance(versions, dict):
        raise ValueError("its spec is no JSON object")
    return Heading(spec, versions, row[2])


def attempts_of(connection: sqlite3.Connection, run: int, interaction: int) -> tuple[Attempt, ...]:
    """Return the calls made for one interaction, in the order in which they began."""
    return _attempts(connection, "WHERE a.run = ? AND a.interaction = ?", run, interaction)


def without_outcome(connection: sqlite3.Connection) -> tuple[Attempt, ...]:
    """Return the calls of which nothing is known yet."""
    return _attempts(connection, "WHERE a.outcome IS NULL")


def usage_by_agent(connection: sqlite3.Connection, run: int) -> tuple[AgentUsage, ...]:
    """Return what every agent's calls came to, in the order in which agents were first asked."""
    return tuple(
        AgentUsage(None if node is None else read_node(node), *used)
        for node, *used in connection.execute(_BY_AGENT, (run,))
    )


def _attempts(connection: sqlite3.Connection, condition: str, *values: int) -> tuple[Attempt, ...]:
    rows = connection.execute(f"{_ATTEMPTS} {condition} ORDER BY a.id", values)
    found = []
    for row in rows:
        attempt = Attempt(*row)
        found.append(attempt._replace(parameters=json.loads(row[7])))
    return tuple(found)
