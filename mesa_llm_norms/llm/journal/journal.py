"""The journal of live runs: every call, decision and interaction, on disk before it counts.

A killed run is played again from its first interaction, with every decision taken from the journal
until there are no more. What was paid for once is not paid for again.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar, get_args

from mesa_llm_norms.core.game import GameInteraction, Interaction
from mesa_llm_norms.core.game import Row as Played
from mesa_llm_norms.errors import JournalError, SpecError
from mesa_llm_norms.llm.journal import database
from mesa_llm_norms.llm.journal.database import Begun, Lock, Writer, Written
from mesa_llm_norms.llm.journal.ledger import Asked, DecisionKey, Ledger, Stored, load, weights
from mesa_llm_norms.llm.journal.rows import (
    ATTEMPTS,
    BATCH,
    BATCHED,
    BEGUN,
    BY_AGENT,
    BY_MEMBER,
    BY_MIND,
    BY_SEAT,
    DECISION,
    DISTRIBUTION,
    ENDED,
    GAME_INTERACTION,
    INTERACTION,
    OUT,
    PARAMETERS,
    PROMPT,
    AgentUsage,
    Attempt,
    Batch,
    Call,
    Distribution,
    Ended,
    Ending,
    Recorded,
    Row,
    Skipped,
    Totals,
    join_digests,
    json_object,
    node_text,
    read_node,
    storable,
    text_digest,
)

T = TypeVar("T")
_ENDINGS = get_args(Ending)
_MOST_TEXTS = 20_000
"""How many digests are remembered of texts that need not be handed in again."""


class Journal:
    """What live runs did, any number of them side by side, in one SQLite file.

    ``create`` starts a journal, ``open`` resumes one, ``read`` looks at one, and ``memory`` keeps
    one without a file. Any thread may call anything. Whatever writes returns a future and never
    waits; rows reach the disk in the order of the calls, those of one call together. Everything
    handed in is seen at once by every method, though no row can be on disk without the ones handed
    in before it.

    When writing fails, everything that waits raises ``JournalError`` and so does every call from
    then on, except ``usage``, which still says what was spent, and ``close``, which raises it last.

    ``path`` is the file, None in memory; ``spec``, ``versions`` and ``created`` are what the
    journal was started with: what is played, the versions in use, and when, in UTC.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path | None,
        content: _Content,
        lock: Lock | None = None,
        writable: bool = True,
    ) -> None:
        self.path = path
        self.spec: dict[str, Any]
        self.versions: dict[str, Any]
        self.created: str
        self.spec, self.versions, self.created, self._ledger, self._in_flight = content
        self._of_other_game = database.of_other_game(self.spec)
        self._file_lock = lock
        self._writable = writable
        self._lock = threading.Lock()
        self._is_open = True
        self._parameters: tuple[Mapping[str, Any] | None, str] = (None, "")
        self._texts: set[str] = set()
        """Digests of prompts and parameters that were handed in already."""
        self._writer = Writer(connection, path)

    @classmethod
    def create(cls, path: str | Path, spec: Mapping[str, Any]) -> Journal:
        """Start a journal in a folder that exists; ``spec`` is any JSON object.

        Raises ``JournalError`` if the file exists already, or cannot be written.
        """
        path = Path(path)
        text = json_object("spec", spec)
        lock = Lock(path)
        try:
            if path.exists() or path.is_symlink():
                raise JournalError(path, "it exists already", "Resume it, or choose another.")
            database.make(path, text)
            return cls._resumed(path, lock)
        except BaseException:
            lock.withdraw()
            raise

    @classmethod
    def open(cls, path: str | Path) -> Journal:
        """Resume a journal; calls that were in flight when its process ended are then lost.

        Raises ``JournalError`` if it is missing, damaged or of another version, or another process
        is resuming it; nothing was changed then.
        """
        path = Path(path)
        database.check_exists(path)
        lock = Lock(path)
        try:
            return cls._resumed(path, lock)
        except BaseException:
            lock.withdraw()
            raise

    @classmethod
    def read(cls, path: str | Path) -> Journal:
        """Return a copy of a journal as it is on disk now, while others may write it.

        It can be given again what it contains, as a replay does; nothing can be added. Raises
        ``JournalError`` if it is missing, damaged or of another version.
        """
        path = Path(path)
        copy = database.in_memory()
        try:
            with database.examined(path) as found:
                with _reading(path):
                    found.backup(copy)
                content = _read(copy, path)
        except BaseException:
            copy.close()
            raise
        return cls(copy, path, content, writable=False)

    @classmethod
    def memory(cls, spec: Mapping[str, Any]) -> Journal:
        """Start a journal that is gone once it is closed."""
        connection = database.in_memory()
        connection.execute("PRAGMA foreign_keys = ON")
        database.make_tables(connection, json_object("spec", spec))
        return cls(connection, None, _Content(*_heading(connection), Ledger(), ()))

    @classmethod
    def _resumed(cls, path: Path, lock: Lock) -> Journal:
        with database.examined(path) as found:
            content = _read(found, path)
        connection = database.open_for_writing(path, lose=bool(content.in_flight))
        for attempt in content.in_flight:
            content.ledger.count(attempt.run, Totals(lost=1))
        lost = tuple(attempt._replace(outcome="lost") for attempt in content.in_flight)
        return cls(connection, path, content._replace(in_flight=lost), lock)

    # What it contains, with everything handed in so far

    def decision(self, run: int, interaction: int, seat: int) -> Recorded | None:
        """Return the decision that was made at a seat, None if there is none."""
        return self._known().decisions.get((run, interaction, seat))

    def distribution(self, key: str) -> tuple[float, ...] | None:
        """Return the probabilities kept under a key, None if there are none."""
        return self._known().distributions.get(key)

    def distribution_of(self, attempt: int) -> tuple[float, ...] | None:
        """Return the probabilities that a call gave, None if it gave none that were new."""
        key = self._known().distribution_keys.get(attempt)
        return None if key is None else self.distribution(key)

    def tries(
        self, run: int, interaction: int, seat: int, prompt: str, parameters: Mapping[str, Any]
    ) -> int:
        """Return how many unusable replies a prompt, given by digest, had for a decision.

        Those count that were asked for with the same parameters: others may fare better.
        """
        digest = text_digest(self._text_of(parameters))
        return self._known().unusable.get(((run, interaction, seat), prompt, digest), 0)

    def model(self, mind: str) -> str | None:
        """Return the model that gave the first reply to a mind, None if it was not said."""
        return self._known().models.get(mind)

    def interaction(self, run: int, number: int) -> Played | Skipped | None:
        """Return a committed interaction, None if it is not committed.

        A node id that JSON cannot hold is the text that stands for it.
        """
        stored = self._known().interactions.get((run, number))
        if stored is None:
            return None
        if len(stored) == 5:
            return _in_game(run, number, stored)
        round_number, node_a, node_b, name_a, name_b, payoff, reason = stored
        nodes = read_node(node_a), read_node(node_b)
        if name_a is None or name_b is None or payoff is None:
            return Skipped(run, number, round_number, *nodes, reason or "")
        return Interaction(run, number, round_number, *nodes, name_a, name_b, payoff)

    def usage(self, run: int | None = None) -> Totals:
        """Return what all calls used, or those of one run, since the journal was started."""
        with self._lock:
            counts = self._ledger.total if run is None else self._ledger.totals.get(run, ())
            return Totals(*counts)

    def usage_by_agent(self, run: int) -> tuple[AgentUsage, ...]:
        """Return what each agent's calls used in a run, in the order agents were first asked."""
        return self._asked(
            lambda connection: tuple(
                AgentUsage(None if node is None else read_node(node), *used)
                for node, *used in connection.execute(
                    BY_MEMBER if database.has_game_table(connection) else BY_AGENT, (run,)
                )
            )
        )

    def usage_by_seat(self, run: int) -> tuple[AgentUsage, ...]:
        """Return what the calls for each seat used in a run, in the order they were first asked."""
        return self._asked(
            lambda connection: tuple(
                AgentUsage(*used) for used in connection.execute(BY_SEAT, (run,))
            )
        )

    def usage_by_mind(self) -> dict[tuple[str, bool], Totals]:
        """Return the tokens read and written by each mind's calls, and their known cost.

        Those sent in batches, which cost less, are apart from the others.
        """
        fields = "input_tokens", "output_tokens", "cost"
        return self._asked(
            lambda connection: {
                (mind, bool(batch)): Totals(**dict(zip(fields, used, strict=True)))
                for mind, batch, *used in connection.execute(BY_MIND)
            }
        )

    def attempts_of(self, run: int, interaction: int) -> tuple[Attempt, ...]:
        """Return the calls made for an interaction, in the order in which they began."""
        where = "WHERE a.run = ? AND a.interaction = ?"
        return self._asked(lambda connection: _attempts(connection, where, run, interaction))

    def in_flight(self) -> tuple[Attempt, ...]:
        """Return the calls that were in flight when the journal was opened.

        Once it is resumed they are lost; while it is only read, their process may still live.
        """
        return self._in_flight

    def out(self, call: Call) -> tuple[int, Batch] | None:
        """Return the call that is out with a batch for the same decision, asked in the same way."""
        prompt = join_digests(text_digest(storable(call.system)), text_digest(storable(call.user)))
        parameters = text_digest(self._text_of(call.parameters))
        ledger = self._known()
        attempt = ledger.out.get(((call.run, call.interaction, call.seat), prompt, parameters))
        return None if attempt is None else (attempt, ledger.batches[ledger.batch_of[attempt]])

    def batches(self) -> tuple[Batch, ...]:
        """Return every batch, in the order in which they were put together."""
        return tuple(self._known().batches.values())

    # What is added

    def begin(self, call: Call) -> Begun:
        """Record that a call is about to be made; done once that is on disk and it may be made."""
        seat = _decision_key(call.run, call.interaction, call.seat)
        texts = storable(call.system), storable(call.user)
        parameters = self._text_of(call.parameters)
        system, user = map(text_digest, texts)
        named = storable(call.mind), storable(call.place), text_digest(parameters)
        with self._lock:
            self._check()
            number = self._ledger.made[seat]
            asked = Asked(seat, join_digests(system, user), named[2], call.mind)
            begun = Begun(self._ledger.begin(asked))
            values = begun.attempt, *seat, number, *named, system, user, database.now()
            rows: list[Row] = [(BEGUN, values)]
            sent = (PROMPT, system, texts[0]), (PROMPT, user, texts[1])
            for kind, digest, text in (*sent, (PARAMETERS, named[2], parameters)):
                if digest not in self._texts:
                    self._texts.add(digest)
                    rows.append((kind, (digest, text)))
            if len(self._texts) > _MOST_TEXTS:
                self._texts.clear()
            self._writer.write(rows, begun, begun.attempt)
        return begun

    def batch(self, batch: Batch, attempts: Sequence[int]) -> Written[None]:
        """Record that calls in flight are about to be sent as a batch, and with no other.

        They outlive their process: anyone who resumes the journal may wait for their replies.
        """
        done: Written[None] = Written()
        with self._lock:
            self._check()
            rows: list[Row] = [(BATCH, batch)]
            rows += [(BATCHED, (attempt, batch.key)) for attempt in attempts]
            self._ledger.batch(batch, attempts)
            self._writer.write(rows, done, None)
        return done

    def end(
        self,
        attempt: int,
        ended: Ended,
        recorded: Recorded | None = None,
        distribution: Distribution | None = None,
    ) -> Written[None]:
        """Record what came of a call and, inseparably, the decision or distribution it gave.

        A reply recorded without its decision would be paid for again if the process ended in
        between. Of two distributions under one key the first is kept.
        """
        if ended.outcome not in _ENDINGS:
            raise SpecError(
                "outcome",
                ended.outcome,
                f"no call ends as {ended.outcome!r}",
                f"Give one of {', '.join(_ENDINGS)}.",
            )
        done: Written[None] = Written()
        with self._lock:
            self._check()
            asked = self._ledger.under_way.get(attempt)
            if asked is None:
                raise self._error(
                    f"attempt {attempt} is not in flight", "End each call once, where it began."
                )
            texts = [storable(one) if isinstance(one, str) else one for one in ended]
            rows: list[Row] = [(ENDED, (attempt, *texts))]
            new: dict[str, tuple[float, ...]] = {}
            if distribution is not None and distribution.key not in self._ledger.distributions:
                new[distribution.key] = weights(distribution.probabilities)
                text = json.dumps(new[distribution.key])
                rows.append((DISTRIBUTION, (distribution.key, text, attempt)))
                self._ledger.distribution_keys[attempt] = distribution.key
            if recorded is not None:
                rows += self._decision(asked.seat, recorded)
                self._ledger.decisions[asked.seat] = recorded
            self._ledger.distributions.update(new)
            self._ledger.end(attempt, ended)
            self._writer.write(rows, done, None)
        return done

    def decide(self, run: int, interaction: int, seat: int, recorded: Recorded) -> Written[None]:
        """Record a decision that no new call gave.

        It replaces one that was never played, because agents were changed since; once the
        interaction is committed, a different decision is a ``JournalError``.
        """
        done: Written[None] = Written()
        key = _decision_key(run, interaction, seat)
        with self._lock:
            rows = self._decision(key, recorded)
            self._check(adds=bool(rows))
            self._ledger.decisions[key] = recorded
            self._writer.write(rows, done, None)
        return done

    def commit(self, *committed: Played | Skipped) -> Written[None]:
        """Record interactions; nobody need wait for it.

        One that is there is compared: the same again does nothing, another is a ``JournalError``.
        """
        done: Written[None] = Written()
        rows: list[Row] = []
        with self._lock:
            for row in committed:
                key, new = (int(row.run), int(row.interaction)), self._stored(row)
                known = self._ledger.interactions.get(key, new)
                if known != new:
                    raise self._error(
                        f"interaction {key[1]} of run {key[0]} was played differently before",
                        "Resume it with the spec and the version that it was started with.",
                    )
                if known is new:
                    rows.append((GAME_INTERACTION if len(new) == 5 else INTERACTION, (*key, *new)))
            self._check(adds=bool(rows))
            for _, values in rows:
                self._ledger.interactions[values[0], values[1]] = values[2:]
            self._writer.write(rows, done, None)
        return done

    def flush(self) -> None:
        """Wait until everything handed in is on disk."""
        self._writer.ask(lambda _: None)

    def close(self) -> None:
        """Write everything that waits and release the file; ``JournalError`` if that failed."""
        with self._lock:
            was_open, self._is_open = self._is_open, False
        self._writer.close()
        if self._file_lock is not None:
            self._file_lock.release()
        if was_open and self._writer.failure is not None:
            self._writer.check()

    def remove(self) -> None:
        """Remove the files of a closed journal that this process started or resumed."""
        if self._file_lock is not None and self.path is not None:
            for path in (*database.with_logs(self.path), self._file_lock.path):
                path.unlink(missing_ok=True)

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except JournalError:
            if error is None:  # otherwise that is the one to report
                raise

    def _asked(self, query: Callable[[sqlite3.Connection], T]) -> T:
        with _reading(self.path):
            return self._writer.ask(query)

    def _known(self) -> Ledger:
        if self._writer.failure is not None:
            self._writer.check()
        return self._ledger

    def _check(self, adds: bool = True) -> None:
        self._writer.check()
        if adds and not self._writable:
            raise self._error("it was opened for reading", "Resume it with Journal.open.")

    def _decision(self, seat: DecisionKey, recorded: Recorded) -> list[Row]:
        """Return the row of a decision, none if it is there already."""
        known = self._ledger.decisions.get(seat)
        run, interaction, number = seat
        if known not in (None, recorded) and (run, interaction) in self._ledger.interactions:
            raise self._error(
                f"seat {number} of interaction {interaction} in run {run} was decided before",
                "Take the decision from the journal.",
            )
        if recorded.attempt is not None and not 1 <= recorded.attempt <= self._ledger.last:
            raise self._error(
                f"there is no attempt {recorded.attempt}", "Name the one that gave the decision."
            )
        return [] if known == recorded else [(DECISION, (*seat, *recorded))]

    def _text_of(self, parameters: Mapping[str, Any]) -> str:
        """Return parameters as text, the same as last time if they are the same object."""
        given, text = self._parameters
        if given is not parameters:
            given, text = parameters, json_object("parameters", parameters)
            self._parameters = given, text
        return text

    def _stored(self, row: Played | Skipped) -> Stored:
        if self._of_other_game:
            return _stored_in_game(row)
        node_a, node_b = map(node_text, row.nodes)
        start = int(row.round), node_a, node_b
        if isinstance(row, Skipped):
            return *start, None, None, None, storable(row.reason)
        name_a, name_b = row.names
        return *start, name_a, name_b, float(row.payoffs[0]), None

    def _error(self, problem: str, remedy: str) -> JournalError:
        return JournalError(self.path or ":memory:", problem, remedy)


class _Content(NamedTuple):
    """What is taken from a journal when it is opened; the first three are what it started with."""

    spec: dict[str, Any]
    versions: dict[str, Any]
    created: str
    ledger: Ledger
    in_flight: tuple[Attempt, ...]


def _reading(path: Path | None) -> AbstractContextManager[None]:
    """Report damage found in the block as a ``JournalError``."""
    kinds = ValueError, TypeError, KeyError, RecursionError
    return database.reported(path or ":memory:", database.unreadable, *kinds)


def _read(connection: sqlite3.Connection, path: Path) -> _Content:
    with _reading(path):
        in_flight = _attempts(connection, f"WHERE a.outcome IS NULL AND NOT ({OUT})")
        return _Content(*_heading(connection), load(connection), in_flight)


def _heading(connection: sqlite3.Connection) -> tuple[dict[str, Any], dict[str, Any], str]:
    row = connection.execute("SELECT spec, versions, created FROM spec").fetchone()
    if row is None:
        raise ValueError("its spec is missing")
    spec, versions = json.loads(row[0]), json.loads(row[1])
    if not isinstance(spec, dict) or not isinstance(versions, dict):
        raise ValueError("its spec is not a JSON object")
    return spec, versions, row[2]


def _attempts(connection: sqlite3.Connection, condition: str, *values: int) -> tuple[Attempt, ...]:
    rows = connection.execute(f"{ATTEMPTS} {condition} ORDER BY a.id", values)
    return tuple(Attempt(*row)._replace(parameters=json.loads(row[7])) for row in rows)


def _decision_key(run: int, interaction: int, seat: int) -> DecisionKey:
    if seat < 0:
        raise SpecError("seat", seat, f"there is no seat {seat!r}", "Seats count from 0.")
    return int(run), int(interaction), int(seat)


def _in_game(run: int, number: int, stored: Any) -> GameInteraction | Skipped:
    """Return the row of a game other than the naming game from what is written of it."""
    round_number, nodes, names, payoffs, reason = stored
    read = tuple(map(read_node, json.loads(nodes)))
    if names is None or payoffs is None:
        return Skipped(run, number, round_number, read[0], read[1], reason or "", read[2:])
    return GameInteraction(
        run, number, round_number, read, tuple(json.loads(names)), tuple(json.loads(payoffs))
    )


def _stored_in_game(row: Played | Skipped) -> Stored:
    start = int(row.round), json.dumps(list(map(node_text, row.nodes)))
    if isinstance(row, Skipped):
        return *start, None, None, storable(row.reason)
    return *start, json.dumps(row.names), json.dumps(row.payoffs), None
