"""What pages and reports ask of a journal's file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.journal.files import unreadable
from mesa_llm_norms.journal.rows import AgentUsage, Attempt
from mesa_llm_norms.journal.texts import read_node

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
