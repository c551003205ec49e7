"""The journal of live runs: every call, decision and interaction, on disk before it counts.

A killed run is played again from its first interaction, with every decision taken from here until
there are no more. What was paid for once is not paid for again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

from mesa_llm_norms.errors import JournalError, SpecError
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.journal import opening
from mesa_llm_norms.journal.files import now
from mesa_llm_norms.journal.ledger import Asked, Seat, stored, write_probabilities
from mesa_llm_norms.journal.records import Records
from mesa_llm_norms.journal.rows import (
    Call,
    Distribution,
    Ended,
    Ending,
    Recorded,
    Voided,
)
from mesa_llm_norms.journal.texts import join_digests, json_object, storable, text_digest
from mesa_llm_norms.journal.waiting import Begun, Written
from mesa_llm_norms.journal.writer import (
    BEGUN,
    DECISION,
    DISTRIBUTION,
    ENDED,
    INTERACTION,
    PARAMETERS,
    PROMPT,
    Row,
)


class Journal(Records):
    """What live runs did, any number of them side by side, in one SQLite file.

    ``create`` begins one, ``open`` goes on with one, ``read`` looks at one, and ``memory`` keeps
    one that is not wanted on disk. Any thread may call anything. Whatever writes returns a future
    and never waits; rows reach the disk in the order of the calls, those of one call together.
    What has been handed in is seen at once by every method, though no row can be on disk without
    the ones handed in before it.

    When writing fails, all that waits raises ``JournalError`` and so does every call from then on,
    but for ``usage``, which still says what was spent, and ``close``, which raises it at last.
    """

    _parameters: tuple[Mapping[str, Any] | None, str] = (None, "")
    """Those of the last call, as they were given and as they were written."""

    @classmethod
    def create(cls, path: str | Path, spec: Mapping[str, Any]) -> Journal:
        """Begin a journal in a folder that is there; ``spec`` is any JSON object.

        Raises ``JournalError`` where something is there already.
        """
        return cls(opening.created(Path(path), spec))

    @classmethod
    def open(cls, path: str | Path) -> Journal:
        """Go on with a journal; calls that were under way when its process ended are then lost.

        One of an older version is brought to this one, and a copy as it was is left beside it. One
        that is damaged or newer, or that another process goes on with, is a ``JournalError``, and
        nothing has been changed.
        """
        return cls(opening.opened(Path(path)))

    @classmethod
    def read(cls, path: str | Path) -> Journal:
        """Return a journal as it is on disk now; others may go on with it.

        It can be read, and told again what it holds, as a replay does; nothing can be added.
        """
        return cls(opening.looked_at(Path(path)))

    @classmethod
    def memory(cls, spec: Mapping[str, Any]) -> Journal:
        """Begin a journal that is gone when it is closed."""
        return cls(opening.in_memory(spec))

    def begin(self, call: Call) -> Begun:
        """Write down that a call is about to be made, before it is."""
        seat = _seat(call.run, call.interaction, call.seat)
        texts = storable(call.system), storable(call.user)
        parameters = self._parameters_of(call)
        system, user = map(text_digest, texts)
        named = storable(call.mind), storable(call.place), text_digest(parameters)
        with self._lock:
            self._check()
            number = self._ledger.made[seat]
            begun = Begun(self._ledger.begin(Asked(seat, join_digests(system, user))))
            rows = (
                (PROMPT, (system, texts[0])),
                (PROMPT, (user, texts[1])),
                (PARAMETERS, (named[2], parameters)),
                (BEGUN, (begun.attempt, *seat, number, *named, system, user, now())),
            )
            self._writer.write(rows, begun, begun.attempt)
        return begun

    def end(
        self,
        attempt: int,
        ended: Ended,
        recorded: Recorded | None = None,
        distribution: Distribution | None = None,
    ) -> Written[None]:
        """Write down what came of a call and, inseparably, the decision or distribution it gave.

        Of two distributions under one key the first stays. A reply that is told of without its
        decision would be paid for again if the process ended in between.
        """
        if ended.outcome not in get_args(Ending):
            raise SpecError(
                "outcome",
                ended.outcome,
                f"no call ends as {ended.outcome!r}",
                f"Give one of {', '.join(get_args(Ending))}.",
            )
        done: Written[None] = Written()
        with self._lock:
            self._check()
            asked = self._ledger.under_way.get(attempt)
            if asked is None:
                raise self._error(
                    f"attempt {attempt} is not under way", "End each once, where it was begun."
                )
            rows = [(ENDED, (attempt, *_values(ended)))]
            if distribution is not None and distribution.key not in self._ledger.distributions:
                text = write_probabilities(distribution.probabilities)
                rows.append((DISTRIBUTION, (distribution.key, text, attempt)))
            if recorded is not None:
                rows += self._decision(asked.seat, recorded)
                self._ledger.decisions[asked.seat] = recorded
            if distribution is not None:
                given = tuple(map(float, distribution.probabilities))
                self._ledger.distributions.setdefault(distribution.key, given)
            self._ledger.end(attempt, ended)
            self._writer.write(rows, done, None)
        return done

    def decide(self, run: int, interaction: int, seat: int, recorded: Recorded) -> Written[None]:
        """Write down a decision that no new call gave.

        It takes the place of one that came to nothing, because agents were changed since; where the
        interaction is committed, another decision is a ``JournalError``.
        """
        done: Written[None] = Written()
        key = _seat(run, interaction, seat)
        with self._lock:
            rows = self._decision(key, recorded)
            self._check(adds=bool(rows))
            self._ledger.decisions[key] = recorded
            self._writer.write(rows, done, None)
        return done

    def commit(self, *committed: Interaction | Voided) -> Written[None]:
        """Write down interactions; nobody need wait for it.

        One that is there is compared: the same again does nothing, another is a ``JournalError``.
        """
        done: Written[None] = Written()
        rows: list[Row] = []
        with self._lock:
            for row in committed:
                key, new = (int(row.run), int(row.interaction)), stored(row)
                known = self._ledger.interactions.get(key, new)
                if known != new:
                    raise self._error(
                        f"interaction {key[1]} of run {key[0]} went otherwise before",
                        "Go on with the spec and the version that it was begun with.",
                    )
                if known is new:
                    rows.append((INTERACTION, (*key, *new)))
            self._check(adds=bool(rows))
            for _, values in rows:
                self._ledger.interactions[values[0], values[1]] = values[2:]
            self._writer.write(rows, done, None)
        return done

    def flush(self) -> None:
        """Wait until all that was handed in is on disk."""
        self._writer.ask(lambda _: None)

    def close(self) -> None:
        """Write all that waits and let go of the file; raises ``JournalError`` if that failed."""
        with self._lock:
            was_open, self._is_open = self._is_open, False
        self._writer.close()
        if self._file_lock is not None:
            self._file_lock.release()
        if was_open and self._writer.failure is not None:
            self._writer.check()

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
            if error is None:  # otherwise that is what is to be told
                raise

    def _parameters_of(self, call: Call) -> str:
        """Return the parameters as text, which is known where the last call had the very same."""
        given, text = self._parameters
        if given is not call.parameters:
            given, text = call.parameters, json_object("parameters", call.parameters)
            self._parameters = given, text
        return text

    def _check(self, adds: bool = True) -> None:
        self._writer.check()
        if adds and not self._may_write:
            raise self._error("it was opened to be read", "Go on with it by Journal.open.")

    def _decision(self, seat: Seat, recorded: Recorded) -> list[Row]:
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


def _seat(run: int, interaction: int, seat: int) -> Seat:
    if seat not in (0, 1):
        raise SpecError("seat", seat, f"there is no seat {seat!r}", "Give 0 or 1.")
    return int(run), int(interaction), int(seat)


def _values(ended: Ended) -> tuple[Any, ...]:
    """Return what is known after a call in the order of ``Ended``, as it is written."""
    return tuple(storable(one) if isinstance(one, str) else one for one in ended)
