"""How texts and node ids are written down, and the digests that texts are found by.

The tables of a journal, and how one of an older version becomes one of this.

Version 1 had no ``interactions``, and counted neither thinking nor cached tokens.

What goes into a journal and comes out of it: one tuple for each kind of row.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Hashable, Mapping, Sequence, Set
from functools import lru_cache
from hashlib import blake2b
from numbers import Integral
from operator import add
from typing import Any, Literal, NamedTuple, TypeAlias

from mesa_llm_norms.errors import SpecError


def storable(text: str) -> str:
    """Return ``text`` as UTF-8 can hold it: half of a surrogate pair is written as an escape.

    Servers' JSON may hold such halves, and a reply is kept whatever it is.
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def json_object(argument: str, value: Mapping[str, Any]) -> str:
    """Return a JSON object as text, keys in order; ``SpecError`` where JSON cannot hold it."""
    try:
        return json.dumps(dict(value), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise SpecError(
            argument, value, f"JSON cannot hold it ({error})", "Use plain values: text, numbers."
        ) from error


@lru_cache(4_096)
def text_digest(text: str) -> str:
    """Return 128 bits that stand for ``text``, in hexadecimal."""
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def prompt_digest(system: str, user: str) -> str:
    """Return what stands for a whole prompt: equal for equal texts in the same two places."""
    return join_digests(text_digest(system), text_digest(user))


def join_digests(system: str, user: str) -> str:
    """Return the ``prompt_digest`` of the two texts that have these digests."""
    return blake2b((system + user).encode("ascii"), digest_size=16).hexdigest()


def node_text(node: Hashable) -> str:
    """Return a node id as text: in JSON where that can hold it, as its ``repr`` otherwise.

    Tuples are written as arrays, and the members of a set in the order of their texts, for the
    order in which a set shows them differs from process to process.
    """
    try:
        return json.dumps(_plain(node), allow_nan=False)
    except (TypeError, ValueError):
        return _shown(node)


def read_node(text: str) -> Hashable:
    """Return the node id that ``node_text`` wrote, or the text itself where that is no JSON."""
    try:
        node: Hashable = _frozen(json.loads(text))
    except ValueError:
        return text
    return node


def _plain(node: Any) -> Any:
    if isinstance(node, tuple):
        return [_plain(part) for part in node]
    if node is None or isinstance(node, (str, bool, float)):
        return node
    if isinstance(node, Integral):
        return int(node)
    raise TypeError


def _shown(node: Any) -> str:
    if isinstance(node, tuple):
        return f"({', '.join(map(_shown, node))})"
    if isinstance(node, Set):
        return f"{type(node).__name__}({{{', '.join(sorted(map(_shown, node)))}}})"
    return storable(repr(node))


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


APPLICATION = 0x4E4F524D
"""What marks an SQLite file as a journal of this package: ``NORM`` in ASCII."""


VERSION = 2


_INTERACTIONS = """
CREATE TABLE interactions (
    run INTEGER NOT NULL,
    interaction INTEGER NOT NULL,
    round INTEGER NOT NULL,
    node_a TEXT NOT NULL,
    node_b TEXT NOT NULL,
    name_a TEXT,
    name_b TEXT,
    payoff REAL,
    reason TEXT,
    PRIMARY KEY (run, interaction),
    CHECK ((name_a IS NULL) = (reason IS NOT NULL)),
    CHECK ((name_b IS NULL) = (reason IS NOT NULL)),
    CHECK ((payoff IS NULL) = (reason IS NOT NULL))
) WITHOUT ROWID
"""


TABLES: Sequence[str] = (
    """
CREATE TABLE spec (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    spec TEXT NOT NULL,
    versions TEXT NOT NULL,
    created TEXT NOT NULL
)
""",
    "CREATE TABLE prompts (digest TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL)",
    "CREATE TABLE parameters (digest TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL)",
    """
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    interaction INTEGER NOT NULL,
    seat INTEGER NOT NULL CHECK (seat IN (0, 1)),
    try INTEGER NOT NULL,
    mind TEXT NOT NULL,
    place TEXT NOT NULL,
    parameters TEXT NOT NULL REFERENCES parameters (digest),
    system TEXT NOT NULL REFERENCES prompts (digest),
    user TEXT NOT NULL REFERENCES prompts (digest),
    begun TEXT NOT NULL,
    latency REAL,
    outcome TEXT CHECK (
        outcome IN ('name', 'distribution', 'unusable', 'failed', 'abandoned', 'lost')
    ),
    problem TEXT,
    status INTEGER,
    model TEXT,
    stop TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost REAL,
    reply TEXT,
    thinking_tokens INTEGER,
    cached_tokens INTEGER,
    UNIQUE (run, interaction, seat, try)
)
""",
    """
CREATE TABLE distributions (
    key TEXT PRIMARY KEY NOT NULL,
    probabilities TEXT NOT NULL,
    attempt INTEGER NOT NULL REFERENCES attempts (id)
)
""",
    """
CREATE TABLE decisions (
    run INTEGER NOT NULL,
    interaction INTEGER NOT NULL,
    seat INTEGER NOT NULL CHECK (seat IN (0, 1)),
    prompt TEXT NOT NULL,
    name TEXT NOT NULL,
    probability REAL,
    attempt INTEGER REFERENCES attempts (id),
    PRIMARY KEY (run, interaction, seat)
) WITHOUT ROWID
""",
    _INTERACTIONS,
)


MIGRATIONS: Mapping[int, Sequence[str]] = {
    1: (
        "ALTER TABLE attempts ADD COLUMN thinking_tokens INTEGER",
        "ALTER TABLE attempts ADD COLUMN cached_tokens INTEGER",
        _INTERACTIONS,
    ),
}
"""For each older version the statements that make it one version newer."""


Shape = dict[str, frozenset[tuple[str, str, int, int]]]
"""For each table its columns: name, type, whether never NULL, place in the primary key."""


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the schema that a database says it has; 0 for an empty one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def build(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty database."""
    for statement in (
        f"PRAGMA application_id = {APPLICATION}",
        *TABLES,
        f"PRAGMA user_version = {VERSION}",
    ):
        connection.execute(statement)


ENDED_COLUMNS = (
    "outcome, latency, problem, status, reply, model, stop, input_tokens, output_tokens,"
    " thinking_tokens, cached_tokens, cost"
)
"""What is known of an attempt after the call, in the order of ``Ended``."""


def add_ended(connection: sqlite3.Connection) -> None:
    """Make ``ended`` for this connection: to insert into it is to complete rows of attempts.

    So that many rows are completed by one statement, which SQLite could not do before 3.33.
    """
    values = ", ".join(f"new.{column}" for column in ENDED_COLUMNS.split(", "))
    connection.execute(f"CREATE TEMP VIEW ended AS SELECT id, {ENDED_COLUMNS} FROM attempts")
    connection.execute(
        "CREATE TEMP TRIGGER ending INSTEAD OF INSERT ON ended BEGIN"
        f" UPDATE attempts SET ({ENDED_COLUMNS}) = ({values}) WHERE id = new.id; END"
    )


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database to this version, in one transaction: wholly or, on an error, not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version in range(version_of(connection), VERSION):
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite itself rolls back on a full disk, say
            connection.execute("ROLLBACK")
        raise


def shape_of(connection: sqlite3.Connection) -> Shape:
    """Return the tables of a database and their columns, in whatever order."""
    tables = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    columns = 'SELECT name, type, "notnull", pk FROM pragma_table_info(?)'
    return {name: frozenset(connection.execute(columns, (name,))) for (name,) in tables}


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether a database has every table of this version, with just its columns."""
    fresh = sqlite3.connect(":memory:", isolation_level=None)
    try:
        build(fresh)
        return shape_of(connection) == shape_of(fresh)
    finally:
        fresh.close()


Ending: TypeAlias = Literal["name", "distribution", "unusable", "failed", "abandoned"]
"""How a call ended: a name, a distribution, a reply with neither, none, or given up by us."""


Outcome: TypeAlias = Literal[Ending, "lost"]
"""How a call stands at last; ``lost`` was under way when its process ended."""


class Call(NamedTuple):
    """One call about to be made: for which decision, to whom, and what is asked.

    ``seat`` is 0 for the node drawn first. ``place`` is where the server is, ``parameters`` what is
    sent beside the prompt, as JSON can hold it. Neither may hold a secret.
    """

    run: int
    interaction: int
    seat: int
    mind: str
    place: str
    parameters: Mapping[str, Any]
    system: str
    user: str


class Ended(NamedTuple):
    """What came of a call.

    ``latency`` is in seconds, ``cost`` in US dollars, or None where no price is known; ``status``
    is the HTTP status where there was one. A call without a reply has the tokens it is known to
    have used, none as a rule.
    """

    outcome: Ending
    latency: float
    problem: str | None = None
    status: int | None = None
    reply: str | None = None
    model: str | None = None
    stop: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    cached_tokens: int = 0
    cost: float | None = None


class Distribution(NamedTuple):
    """What a server that gives distributions gave, under the key that equal questions share."""

    key: str
    probabilities: tuple[float, ...]


class Recorded(NamedTuple):
    """A decision: on which prompt (``prompt_digest``), the name, and how it came about.

    ``attempt`` is the call that gave the name, None where a distribution known before did.
    """

    prompt: str
    name: str
    probability: float | None = None
    attempt: int | None = None


class Voided(NamedTuple):
    """An interaction that was not played to its end, and why; nobody remembers it."""

    run: int
    interaction: int
    round: int
    node_a: Hashable
    node_b: Hashable
    reason: str


class Attempt(NamedTuple):
    """One call as the journal holds it, with its texts in full.

    ``number`` counts the calls for one decision from 0. ``begun`` is the time in UTC, as ISO 8601
    has it. What is known only after the call is None before, and the tokens are None too where
    they were not recorded.
    """

    attempt: int
    run: int
    interaction: int
    seat: int
    number: int
    mind: str
    place: str
    parameters: dict[str, Any]
    system: str
    user: str
    begun: str
    latency: float | None
    outcome: Outcome | None
    problem: str | None
    status: int | None
    reply: str | None
    model: str | None
    stop: str | None
    input_tokens: int | None
    output_tokens: int | None
    thinking_tokens: int | None
    cached_tokens: int | None
    cost: float | None


class Totals(NamedTuple):
    """What calls came to: how many of each outcome, and what they used as far as it is known.

    Thinking tokens are among the output tokens, cached ones among the input tokens. ``cost`` is in
    US dollars, over the calls whose price is known.
    """

    calls: int = 0
    answered: int = 0
    failed: int = 0
    unusable: int = 0
    lost: int = 0
    abandoned: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    cached_tokens: int = 0
    cost: float = 0.0

    @property
    def in_flight(self) -> int:
        """How many calls have begun and have no outcome yet."""
        return self.calls - self.answered - self.failed - self.unusable - self.lost - self.abandoned

    def plus(self, other: Totals) -> Totals:
        """Return both together."""
        return Totals._make(map(add, self, other))


class AgentUsage(NamedTuple):
    """What one agent's calls came to in a run.

    ``node`` is None for calls whose interaction is not committed: work begun beyond the end, or
    still going on.
    """

    node: Hashable
    calls: int
    input_tokens: int
    output_tokens: int
    thinking_tokens: int
    cost: float
