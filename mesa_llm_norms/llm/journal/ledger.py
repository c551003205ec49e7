"""The part of a journal that is kept in memory, so that what is on record is known at once."""

from __future__ import annotations

import json
import math
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Sequence
from operator import add
from typing import Any, NamedTuple, TypeAlias

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm.journal import database
from mesa_llm_norms.llm.journal.rows import (
    OUT,
    Batch,
    Ended,
    Recorded,
    Totals,
    join_digests,
)

DecisionKey: TypeAlias = tuple[int, int, int]
"""A decision to be made: run, interaction, seat."""
Stored: TypeAlias = (
    tuple[int, str, str, str | None, str | None, float | None, str | None]
    | tuple[int, str, str | None, str | None, str | None]
)
"""An interaction as it is written: round, nodes, names, payoff, reason; of any game but the naming
game, round and, as JSON, nodes, names, payoffs, and a reason.
"""
_USED = ("input_tokens", "output_tokens", "thinking_tokens", "cached_tokens", "cost")
_COUNTED = {
    "name": "answered",
    "distribution": "answered",
    "unusable": "unusable",
    "failed": "failed",
    "abandoned": "abandoned",
    "lost": "lost",
}
"""The field of ``Totals`` that counts each outcome."""
_FIELDS = {name: place for place, name in enumerate(Totals._fields)}


class Asked(NamedTuple):
    """A call in flight: for which decision, on which prompt with which parameters, by digest."""

    seat: DecisionKey
    prompt: str
    parameters: str
    mind: str


class Ledger:
    """The part of a journal that is kept in memory, and updated with every row.

    ``last`` is the number of the newest attempt; they count from 1, over all runs.
    """

    def __init__(self) -> None:
        self.last: int = 0
        self.made: Counter[DecisionKey] = Counter()
        self.under_way: dict[int, Asked] = {}
        self.decisions: dict[DecisionKey, Recorded] = {}
        self.distributions: dict[str, tuple[float, ...]] = {}
        self.distribution_keys: dict[int, str] = {}
        self.interactions: dict[tuple[int, int], Stored] = {}
        self.unusable: Counter[tuple[DecisionKey, str, str]] = Counter()
        self.models: dict[str, str] = {}
        self.batches: dict[str, Batch] = {}
        self.batch_of: dict[int, str] = {}
        """The key of the batch with which a call is out."""
        self.out: dict[tuple[DecisionKey, str, str], int] = {}
        """The call that is out for a decision, on a prompt with these parameters, by digest."""
        self.total: list[float] = [*Totals()]
        self.totals: defaultdict[int, list[float]] = defaultdict(lambda: [*Totals()])

    def begin(self, asked: Asked) -> int:
        """Count a call that begins and return its attempt's number."""
        self.last += 1
        self.under_way[self.last] = asked
        self.made[asked.seat] += 1
        self.total[0] += 1
        self.totals[asked.seat[0]][0] += 1
        return self.last

    def batch(self, batch: Batch, attempts: Sequence[int]) -> None:
        """Count calls in flight as out with a batch, and with no other."""
        self.batches[batch.key] = batch
        for attempt in attempts:
            self.batch_of[attempt] = batch.key
            self.out[self.under_way[attempt][:3]] = attempt

    def end(self, attempt: int, ended: Ended) -> None:
        """Count what came of a call that was in flight."""
        asked = self.under_way.pop(attempt)
        if self.batch_of.pop(attempt, None) is not None:
            self.out.pop(asked[:3], None)
        if ended.outcome == "unusable":
            self.unusable[asked.seat, asked.prompt, asked.parameters] += 1
        if ended.model is not None:
            self.models.setdefault(asked.mind, ended.model)
        for counts in (self.total, self.totals[asked.seat[0]]):
            counts[_FIELDS[_COUNTED[ended.outcome]]] += 1
            for name in _USED:
                counts[_FIELDS[name]] += getattr(ended, name) or 0

    def count(self, run: int, more: Totals) -> None:
        """Add to a run's totals and to those of all runs."""
        for counts in (self.total, self.totals[run]):
            counts[:] = map(add, counts, more)


def load(connection: sqlite3.Connection) -> Ledger:
    """Return the ledger of a journal.

    Calls without an outcome are counted as calls; unless they are out with a batch, they are not in
    flight in this process.
    """
    database.check_amounts(connection, _USED)
    ledger = Ledger()
    (ledger.last,) = connection.execute("SELECT coalesce(max(id), 0) FROM attempts").fetchone()
    for run, interaction, seat, *recorded in connection.execute(
        "SELECT run, interaction, seat, prompt, name, probability, attempt FROM decisions"
    ):
        ledger.decisions[run, interaction, seat] = Recorded(*recorded)
    rows = connection.execute("SELECT key, probabilities, attempt FROM distributions")
    for key, text, attempt in rows:
        ledger.distributions[key] = weights(json.loads(text))
        ledger.distribution_keys[attempt] = key
    for run, interaction, *row in connection.execute(
        "SELECT run, interaction, round, node_a, node_b, name_a, name_b, payoff, reason"
        " FROM interactions"
    ):
        if not isinstance(row[1], str) or not isinstance(row[2], str):
            raise ValueError(f"not an interaction: {row!r}")
        ledger.interactions[run, interaction] = tuple(row)
    if database.has_game_table(connection):
        for run, interaction, *row in connection.execute(
            "SELECT run, interaction, round, nodes, names, payoffs, reason FROM game_interactions"
        ):
            ledger.interactions[run, interaction] = tuple(row)
    for run, interaction, seat, made in connection.execute(
        "SELECT run, interaction, seat, max(try) + 1 FROM attempts GROUP BY run, interaction, seat"
    ):
        ledger.made[run, interaction, seat] = made
    for run, interaction, seat, system, user, sent, count in connection.execute(
        "SELECT run, interaction, seat, system, user, parameters, count(*) FROM attempts"
        " WHERE outcome = 'unusable' GROUP BY run, interaction, seat, system, user, parameters"
    ):
        ledger.unusable[(run, interaction, seat), join_digests(system, user), sent] = count
    for mind, model, _ in connection.execute(
        "SELECT mind, model, min(id) FROM attempts WHERE model IS NOT NULL GROUP BY mind"
    ):
        ledger.models[mind] = model
    sums = ", ".join(f"coalesce(sum({column}), 0)" for column in _USED)
    for run, outcome, count, *used in connection.execute(
        f"SELECT run, outcome, count(*), {sums} FROM attempts GROUP BY run, outcome"
    ):
        counted = {} if outcome is None else {_COUNTED[outcome]: count}
        ledger.count(run, Totals(count, **dict(zip(_USED, used, strict=True)), **counted))
    for row in connection.execute("SELECT key, place, size, begun, id FROM batches"):
        ledger.batches[row[0]] = Batch(*row)
    for attempt, run, interaction, seat, system, user, sent, mind, key in connection.execute(
        "SELECT a.id, a.run, a.interaction, a.seat, a.system, a.user, a.parameters, a.mind, b.batch"
        f" FROM attempts a JOIN batched b ON b.attempt = a.id WHERE {OUT}"
    ):
        prompt = join_digests(system, user)
        ledger.under_way[attempt] = Asked((run, interaction, seat), prompt, sent, mind)
        ledger.batch(ledger.batches[key], [attempt])
    return ledger


def weights(values: Any) -> tuple[float, ...]:
    """Return numbers from 0 up; that they sum to one is up to their user."""
    if (
        not isinstance(values, (list, tuple))
        or not values
        or not all(
            isinstance(one, (int, float)) and math.isfinite(one) and one >= 0 for one in values
        )
    ):
        raise SpecError(
            "probabilities", values, f"not a distribution: {values!r}", "Give a number per name."
        )
    return tuple(map(float, values))
