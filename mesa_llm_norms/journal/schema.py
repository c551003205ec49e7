"""The tables of a journal, and how one of an older version becomes one of this.

Version 1 had no ``interactions``, and counted neither thinking nor cached tokens.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

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
