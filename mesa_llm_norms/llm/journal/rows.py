"""The rows of a journal: the tuples that go in and come out, their texts, and their tables."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence, Set
from functools import lru_cache
from hashlib import blake2b
from numbers import Integral
from operator import add
from typing import Any, Literal, NamedTuple, TypeAlias

from mesa_llm_norms.errors import SpecError

Ending: TypeAlias = Literal["name", "distribution", "unusable", "failed", "abandoned"]
"""How a call ended: a name, a distribution, a reply with neither, no reply, or given up by us."""
Outcome: TypeAlias = Literal[Ending, "lost"]
"""How a call stands in the end; ``lost`` was in flight when its process ended."""


class Call(NamedTuple):
    """One call about to be made: for which decision, to whom, and what is sent.

    ``seat`` is 0 for the node drawn first, or the id of an agent that asks for itself alone;
    ``place`` the API's address, ``parameters`` what is sent besides the prompt, as JSON can hold
    it. None may hold a secret.
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
    """What came of a call; the reply and its tokens as in ``Reply`` and ``Usage``.

    ``latency`` is in seconds, ``cost`` in US dollars, or None if no price is known; ``status`` is
    the HTTP status of a failure, whose ``reply`` is what came back. A call without a reply counts
    for no tokens.
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
    thoughts: str | None = None


class Distribution(NamedTuple):
    """The probabilities that a provider gave, under the key that equal questions share."""

    key: str
    probabilities: tuple[float, ...]


class Recorded(NamedTuple):
    """A decision: on which prompt (``prompt_digest``), the name, its probability if known.

    ``attempt`` is the call that gave the name; None if a distribution known before did.
    """

    prompt: str
    name: str
    probability: float | None = None
    attempt: int | None = None


class Batch(NamedTuple):
    """Calls that are sent together: their number, to which place, and when, in UTC as ISO 8601.

    ``key`` is in the name of each of its calls; ``id`` is what the API calls it, None until known.
    """

    key: str
    place: str
    size: int
    begun: str
    id: str | None = None


class Skipped(NamedTuple):
    """An interaction that was not played to its end, and why; nobody remembers it."""

    run: int
    interaction: int
    round: int
    node_a: Hashable
    node_b: Hashable
    reason: str
    others: tuple[Hashable, ...] = ()
    """The nodes of further seats."""

    @property
    def nodes(self) -> tuple[Hashable, ...]:
        """The nodes by seat."""
        return self.node_a, self.node_b, *self.others


class Attempt(NamedTuple):
    """One call as the journal holds it, with its texts in full.

    ``attempt`` counts from 1 over all runs, ``number`` from 0 over the calls for one decision;
    ``begun`` is in UTC, in ISO 8601. The other fields are those of ``Call`` and ``Ended``; those
    known only after the call are None while it is in flight.
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
    thoughts: str | None


class Totals(NamedTuple):
    """How many calls ended in each way, and what they used as far as it is known.

    Attributes
    ----------
    calls : int
        All calls begun.
    answered, failed, unusable, lost, abandoned : int
        How many of them ended so.
    input_tokens, output_tokens : int
        The tokens read and written.
    thinking_tokens, cached_tokens : int
        Those of the output that were thinking, and of the input that came from a cache.
    cost : float
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
    def tokens(self) -> int:
        """How many tokens were read and written."""
        return self.input_tokens + self.output_tokens

    @property
    def in_flight(self) -> int:
        """How many calls have begun and have no outcome yet."""
        return self.calls - self.answered - self.failed - self.unusable - self.lost - self.abandoned

    def plus(self, other: Totals) -> Totals:
        """Return the sum of both.

        Parameters
        ----------
        other : Totals
            What other calls used.

        Returns
        -------
        Totals
            Each count of both together.
        """
        return Totals._make(map(add, self, other))


class AgentUsage(NamedTuple):
    """What one agent's calls used in a run.

    ``node`` is None for calls whose interaction is not committed: speculative work beyond the end,
    or work in flight.
    """

    node: Hashable
    calls: int
    input_tokens: int
    output_tokens: int
    thinking_tokens: int
    cost: float


def storable(text: str) -> str:
    """Return a text as UTF-8 can hold it: half of a surrogate pair is written as an escape.

    The JSON of APIs may contain such halves, and a reply is kept whatever it is.
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def json_object(argument: str, value: Mapping[str, Any]) -> str:
    """Return a JSON object as text, keys in order; ``SpecError`` if JSON cannot hold it."""
    try:
        return json.dumps(dict(value), allow_nan=False, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise SpecError(
            argument, value, f"JSON cannot hold it ({error})", "Use plain values: text, numbers."
        ) from error


@lru_cache(4_096)
def text_digest(text: str) -> str:
    """Return 128 bits that stand for a text, in hexadecimal."""
    return blake2b(text.encode("utf-8", "backslashreplace"), digest_size=16).hexdigest()


def prompt_digest(system: str, user: str) -> str:
    """Return what stands for a whole prompt: equal for equal texts in the same two places."""
    return join_digests(text_digest(system), text_digest(user))


@lru_cache(4_096)
def join_digests(system: str, user: str) -> str:
    """Return the ``prompt_digest`` of the two texts that have these digests."""
    return blake2b((system + user).encode("ascii"), digest_size=16).hexdigest()


def node_text(node: Hashable) -> str:
    """Return a node id as text: in JSON if that can hold it, as its ``repr`` otherwise.

    Tuples are written as arrays, and the members of a set in the order of their texts, since the
    order in which a set shows them differs from process to process.
    """
    try:
        return json.dumps(_plain(node), allow_nan=False)
    except (TypeError, ValueError):
        return _shown(node)


def read_node(text: str) -> Hashable:
    """Return the node id that ``node_text`` wrote, or the text itself if it is not JSON."""
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


# The tables

APPLICATION = 0x4E4F524D
"""What marks an SQLite file as a journal of this package: ``NORM`` in ASCII."""
VERSION = 4
"""The version of the tables; no other was ever released."""
TABLES = """
CREATE TABLE spec (
    id INTEGER PRIMARY KEY CHECK (id = 0),
    spec TEXT NOT NULL,
    versions TEXT NOT NULL,
    created TEXT NOT NULL
);
CREATE TABLE prompts (digest TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL);
CREATE TABLE parameters (digest TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL);
CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    run INTEGER NOT NULL,
    interaction INTEGER NOT NULL,
    seat INTEGER NOT NULL CHECK (seat >= 0),
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
    thoughts TEXT,
    UNIQUE (run, interaction, seat, try)
);
CREATE TABLE batches (
    key TEXT PRIMARY KEY NOT NULL,
    place TEXT NOT NULL,
    size INTEGER NOT NULL,
    begun TEXT NOT NULL,
    id TEXT
);
CREATE TABLE batched (
    attempt INTEGER PRIMARY KEY REFERENCES attempts (id),
    batch TEXT NOT NULL
);
CREATE TABLE distributions (
    key TEXT PRIMARY KEY NOT NULL,
    probabilities TEXT NOT NULL,
    attempt INTEGER NOT NULL REFERENCES attempts (id)
);
CREATE TABLE decisions (
    run INTEGER NOT NULL,
    interaction INTEGER NOT NULL,
    seat INTEGER NOT NULL CHECK (seat >= 0),
    prompt TEXT NOT NULL,
    name TEXT NOT NULL,
    probability REAL,
    attempt INTEGER REFERENCES attempts (id),
    PRIMARY KEY (run, interaction, seat)
) WITHOUT ROWID;
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
GAME_INTERACTIONS = """
CREATE TABLE game_interactions (
    run INTEGER NOT NULL,
    interaction INTEGER NOT NULL,
    round INTEGER NOT NULL,
    nodes TEXT NOT NULL,
    names TEXT,
    payoffs TEXT,
    reason TEXT,
    PRIMARY KEY (run, interaction),
    CHECK ((names IS NULL) = (reason IS NOT NULL)),
    CHECK ((payoffs IS NULL) = (reason IS NOT NULL))
) WITHOUT ROWID
"""
"""The interactions of any game but the naming game, with JSON lists by seat.

Its journals alone have this table.
"""
ENDED_COLUMNS = (
    "outcome, latency, problem, status, reply, model, stop, input_tokens, output_tokens,"
    " thinking_tokens, cached_tokens, cost, thoughts"
)
"""What is known of an attempt after the call, in the order of ``Ended``."""
(
    *(PROMPT, PARAMETERS, BEGUN, BATCH, BATCHED, ENDED, DISTRIBUTION, DECISION, INTERACTION),
    GAME_INTERACTION,
) = range(10)
"""The kinds of row, in the order in which they may refer to each other."""
INSERTS: Sequence[str] = (
    "OR IGNORE INTO prompts (digest, text)",
    "OR IGNORE INTO parameters (digest, text)",
    "INTO attempts (id, run, interaction, seat, try, mind, place, parameters, system, user, begun)",
    "OR REPLACE INTO batches (key, place, size, begun, id)",
    "OR REPLACE INTO batched (attempt, batch)",
    f"INTO ended (id, {ENDED_COLUMNS})",
    "INTO distributions (key, probabilities, attempt)",
    "OR REPLACE INTO decisions (run, interaction, seat, prompt, name, probability, attempt)",
    "INTO interactions (run, interaction, round, node_a, node_b, name_a, name_b, payoff, reason)",
    "INTO game_interactions (run, interaction, round, nodes, names, payoffs, reason)",
)
"""How rows of each kind are inserted: where, and into which columns."""
Row: TypeAlias = tuple[int, tuple[Any, ...]]
"""A kind, and the values of its statement."""

# What is asked

OUT = "a.outcome IS NULL AND a.id IN (SELECT attempt FROM batched)"
"""Which calls are out with a batch: they are not lost with their process."""
ATTEMPTS = """
SELECT a.id, a.run, a.interaction, a.seat, a.try, a.mind, a.place, p.text, s.text, u.text, a.begun,
    a.latency, a.outcome, a.problem, a.status, a.reply, a.model, a.stop, a.input_tokens,
    a.output_tokens, a.thinking_tokens, a.cached_tokens, a.cost, a.thoughts
FROM attempts a
LEFT JOIN parameters p ON p.digest = a.parameters
LEFT JOIN prompts s ON s.digest = a.system
LEFT JOIN prompts u ON u.digest = a.user
"""
BY_MIND = """
SELECT mind, id IN (SELECT attempt FROM batched) AS batch, coalesce(sum(input_tokens), 0),
    coalesce(sum(output_tokens), 0), total(cost)
FROM attempts GROUP BY mind, batch
"""
_OF_AGENT = """
SELECT {node} AS node, count(*), coalesce(sum(a.input_tokens), 0),
    coalesce(sum(a.output_tokens), 0), coalesce(sum(a.thinking_tokens), 0), total(a.cost)
FROM attempts a
LEFT JOIN {table} i ON i.run = a.run AND i.interaction = a.interaction
WHERE a.run = ?
GROUP BY node
ORDER BY min(a.id)
"""
BY_SEAT = """
SELECT seat, count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
    coalesce(sum(thinking_tokens), 0), total(cost)
FROM attempts WHERE run = ? GROUP BY seat ORDER BY min(id)
"""
BY_AGENT = _OF_AGENT.format(
    node="CASE a.seat WHEN 0 THEN i.node_a ELSE i.node_b END", table="interactions"
)
BY_MEMBER = _OF_AGENT.format(
    node="json_extract(i.nodes, '$[' || a.seat || ']')", table="game_interactions"
)
"""The same in games other than the naming game."""
