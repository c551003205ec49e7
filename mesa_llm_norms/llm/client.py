"""The calls of live minds: made within budget, repeated if they fail, on record before they count.

``LLMClient`` makes the calls of one spec's runs. ``SharedBudget`` divides one budget among the
parts of an experiment, each of which has its own client and journal.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import threading
from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mesa_llm_norms.core.event_loop import CancelScope, loop, wait_for
from mesa_llm_norms.core.game import Row
from mesa_llm_norms.core.interrupts import interrupts_held
from mesa_llm_norms.core.randomness import UNIT, RandomStream, cumulative_weights
from mesa_llm_norms.errors import (
    CallError,
    DecisionError,
    JournalError,
    NormsError,
    SkippedError,
    SpecError,
)
from mesa_llm_norms.llm.addresses import check, confirm
from mesa_llm_norms.llm.budget import Amount, Budget, read_limit, read_prices
from mesa_llm_norms.llm.concurrency import Limiter, Request, RequestQueue
from mesa_llm_norms.llm.journal.database import Written
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import (
    AgentUsage,
    Distribution,
    Recorded,
    Skipped,
    Totals,
    prompt_digest,
)
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import LiveMind, Provider, Question, Reply, Usage
from mesa_llm_norms.llm.replies import NOT_A_NAME, cut_off, quoted_reply
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings, read_llm
from mesa_llm_norms.minds.mind import Decision, Mind, Situation

CLOSED = DecisionError("a live mind", "its client is closed")
"""What everything that wants a call gets once no more are made."""
BATCH = 64
"""How many interactions are handed to the journal at once."""
CONCURRENCY_IN_BATCHES = 1_000_000
"""How many calls may be out with batches, which hold no connections."""


class Wanted(NamedTuple):
    """A choice that is wanted of a model, and where in the journal it belongs.

    ``label`` is what asks, as it stands in the journal; ``pool`` what may be chosen, nothing where
    the answer is in the model's own words. ``draw`` picks from a distribution, ``stream`` gives
    further draws. If it is ``reported``, the interaction it belongs to will be, as ``played`` or
    ``skipped``.
    """

    label: str
    provider: Provider
    prompt: Prompt
    pool: tuple[str, ...]
    run: int
    interaction: int
    seat: int
    draw: int
    stream: RandomStream
    scope: CancelScope
    reported: bool

    @property
    def where(self) -> tuple[int, int, int]:
        """Run, interaction and seat, by which the journal finds it."""
        return self.run, self.interaction, self.seat


class LLMClient:
    """Makes the calls of live minds, for one spec and any number of its runs.

    All runs share its slots, its budget and its journal. ``decide`` and ``choose`` run on the event
    loop of ``core.event_loop``; everything else may be called from any thread.

    Parameters
    ----------
    llm : LLMSettings, optional
        How calls are made; the defaults if omitted.
    spec : mapping, optional
        What is played, as JSON can hold it; written into a new journal.

    Raises
    ------
    SpecError
        If the folder cannot be made.
    JournalError
        If the folder has a journal already, or, on resuming, none that can be resumed.
    FileFormatError
        If the file of prices cannot be read.
    """

    def __init__(
        self, llm: LLMSettings | None = None, spec: Mapping[str, Any] | None = None
    ) -> None:
        self.llm: LLMSettings = read_llm(llm)
        limit = read_limit(self.llm.budget_calls, self.llm.budget_tokens, self.llm.budget_usd)
        self._prices = read_prices(self.llm.prices)
        if self.llm.batch and self.llm.folder is None:
            raise SpecError(
                "batch",
                True,
                "a batch may be out for a day, and there is no folder to keep its name in",
                "Give one (folder=, --out).",
            )
        with interrupts_held():  # or a folder without a journal could stay
            self.journal: Journal
            self.journal, self._folders_made = _open_journal(self.llm, spec or {})
        used = self.journal.usage()
        self.budget: Budget = Budget(limit, Amount(used.calls, used.tokens, used.cost))
        self._found = self.journal.usage_by_mind()
        self._queues: dict[int, RequestQueue] = {}
        self._limiters: dict[str, Limiter] = {}
        self._asking: dict[str, asyncio.Event] = {}
        self._stopped = self._closed = False
        self._checked = 0
        self._unwritten: list[Row | Skipped] = []
        self._on_way: dict[tuple[int, int], Written[None]] = {}
        """The last reply of each interaction that was not reported yet: done once it is on disk."""
        self._lock = threading.Lock()

    @property
    def usage(self) -> Totals:
        """What all calls on record used."""
        return self.journal.usage()

    def usage_by_agent(self, run: int = 0) -> tuple[AgentUsage, ...]:
        """Return what each agent's calls used in a run, in the order agents were first asked."""
        self.flush()
        return self.journal.usage_by_agent(run)

    def attach(self, minds: Sequence[Mind]) -> tuple[Mind, ...]:
        """Return these minds, with the calls of the live ones made by this client.

        Raises ``MindError`` if there is a budget in dollars and a model has no known price.
        """
        attached = []
        for mind in minds:
            if isinstance(mind, LiveMind):
                self._queue(mind.provider)
                self._charge(mind)
                mind = copy(mind)  # with all that its class and its owner made of it
                mind.client = self
            attached.append(mind)
        return tuple(attached)

    def stop(self) -> None:
        """Start no more calls; everything that wants or waits for one gets an error.

        Calls under way may finish within some seconds, so that their replies are on record.
        """
        if not self._stopped:
            self._stopped = True
            loop().call_soon_threadsafe(self._turn_away)

    def close(self) -> None:
        """Write what is still to be written, and close the journal and all connections.

        Calls under way may finish within ``GRACE_PERIOD``. A folder in which no call was made is
        removed again.
        """
        if self._closed:
            return
        self._closed = True
        self.stop()
        wait_for(self._close_providers())
        self.flush()
        self.journal.close()
        if not self.usage.calls and not self.llm.resume and self.journal.path is not None:
            self.journal.remove()
            _remove_empty(self._folders_made)

    async def decide(self, mind: LiveMind, situation: Situation) -> Decision:
        """Return what a mind chooses: as on record, or by as many calls as it takes.

        The reply is on disk by then; within the scope of an engine, only once the interaction is
        reported as ``played`` or ``skipped``, or the next call is made. So one commit serves a
        reply and the calls that follow from it.

        Raises what ``LiveMind.decide`` raises, and ``JournalError`` if another prompt is on record
        for an interaction that was played.
        """
        recorded = await self.choose(
            Wanted(
                mind.label,
                mind.provider,
                mind.sent(situation),
                situation.game.pool,
                situation.stream.run,
                situation.interaction,
                situation.seat,
                situation.draw,
                situation.stream,
                situation.scope or CancelScope(),
                situation.scope is not None,
            )
        )
        return Decision(recorded.name, recorded.probability)

    async def choose(self, wanted: Wanted) -> Recorded:
        """Return what a model chooses, as ``decide`` does for a mind in a situation."""
        digest = prompt_digest(*wanted.prompt)
        recorded = self._on_record(wanted, digest)
        if recorded is not None:
            return recorded
        if self._stopped:
            raise CLOSED
        try:
            return await self._asked(wanted, digest)
        except CallError as error:
            # The run ends, and what waits before this one has nothing to wait for any more.
            for queue in self._queues.values():
                queue.turn_away(error)
            raise

    def distribution(self, run: int, interaction: int, seat: int = 0) -> tuple[float, ...] | None:
        """Return the probabilities behind a decision, None if the call for it gave none."""
        recorded = self.journal.decision(run, interaction, seat)
        if recorded is None or recorded.attempt is None:
            return None
        return self.journal.distribution_of(recorded.attempt)

    # What the engine reports of every interaction

    def played(self, row: Row) -> None:
        """Record an interaction; ``JournalError`` if a different one is on record.

        Its replies are on disk by then.
        """
        self._keep(row)

    def skipped(
        self, run: int, number: int, round_: int, nodes: Sequence[Hashable], reason: str
    ) -> None:
        """Record that an interaction was skipped, and why."""
        if not isinstance(self.journal.interaction(run, number), Skipped):
            node_a, node_b, *others = nodes
            self._keep(Skipped(run, number, round_, node_a, node_b, reason, tuple(others)))

    def flush(self) -> None:
        """Hand everything reported since the last time to the journal.

        Many rows at once: a writer that is woken for each gets in the way of the calls. If the
        process ends before, they are played again from the decisions, which are on disk.
        """
        with self._lock:
            rows, self._unwritten = self._unwritten, []
        if rows:
            self.journal.commit(*rows)

    def _keep(self, row: Row | Skipped) -> None:
        written = self._on_way.pop((row.run, row.interaction), None)
        if written is not None:
            written.result()
        if self.journal.interaction(row.run, row.interaction) is not None:
            self.journal.commit(row)  # which compares them
            return
        self._unwritten.append(row)
        if len(self._unwritten) >= BATCH:
            self.flush()

    # Decisions

    def _on_record(self, wanted: Wanted, digest: str) -> Recorded | None:
        """Return the decision that was made in this very situation, if one was.

        One made in another situation is of no use: agents were changed since. Once the interaction
        was played that cannot be, so what is played now is a different run.
        """
        run, number, seat = wanted.where
        recorded = self.journal.decision(run, number, seat)
        if recorded is not None and recorded.prompt == digest:
            return recorded
        before = self.journal.interaction(run, number)
        if recorded is not None and before is not None:
            raise JournalError(
                self.llm.folder or "the journal",
                f"interaction {number} of run {run} was played with another prompt",
                "Resume with the version of the package that started the run.",
            )
        if isinstance(before, Skipped):
            raise SkippedError(wanted.label, before.reason)
        return None

    async def _asked(self, wanted: Wanted, digest: str) -> Recorded:
        """Return a new decision; one distribution serves all equal questions, and is asked once."""
        provider = wanted.provider
        queue = self._queue(provider)
        providers = [one.provider for one in [*self._queues.values()]]
        if len(providers) > self._checked:
            check(providers)
            self._checked = len(providers)
        await queue.prepare()
        if not provider.gives_distributions(wanted.pool):
            return await self._ask(queue, wanted, digest)
        key = _digest(provider.place, provider.label, queue.parameters, *wanted.prompt)
        while (known := self.journal.distribution(key)) is None:
            others = self._asking.get(key)
            if others is not None:
                await others.wait()
                continue
            asked = self._asking[key] = asyncio.Event()
            try:
                return await self._ask(queue, wanted, digest, key)
            finally:
                del self._asking[key]
                asked.set()
        recorded = _drawn(wanted, digest, known, None)
        await self._on_its_way(wanted, self.journal.decide(*wanted.where, recorded))
        return recorded

    async def _on_its_way(self, wanted: Wanted, written: Written[None]) -> None:
        """Wait until a reply is on disk; no later than with the interaction if that is reported."""
        if wanted.reported:
            self._on_way[wanted.where[:2]] = written
        else:
            await written

    async def _ask(
        self,
        queue: RequestQueue,
        wanted: Wanted,
        digest: str,
        key: str | None = None,
    ) -> Recorded:
        """Ask until a reply is usable, ``ask_again`` times more at most."""
        where = wanted.where

        def conclude(reply: Reply, attempt: int) -> tuple[Recorded, Distribution | None]:
            if reply.distribution is None:
                assert reply.name is not None
                return Recorded(digest, reply.name, None, attempt), None
            given = Distribution(key, reply.distribution) if key is not None else None
            return _drawn(wanted, digest, reply.distribution, attempt), given

        unusable = self.journal.tries(*where, digest, queue.parameters)
        last: Reply | None = None
        while unusable <= self.llm.ask_again:
            seed = wanted.stream.of("reply", *where[1:], unusable) % UNIT
            question = Question(wanted.prompt, wanted.pool, seed)
            request = Request(*where, wanted.label, question, conclude, wanted.scope)
            answer, written = await queue.ask(request)
            await self._on_its_way(wanted, written)
            if isinstance(answer, Recorded):
                return answer
            last = answer
            unusable += 1
        reply = last or self._last_reply(where)
        why = self._why_unusable(reply, unusable)
        if self.llm.on_unusable == "skip":
            raise SkippedError(wanted.label, why)
        remedy = "Ask more often (ask_again), or skip such interactions (on_unusable)."
        if cut_off(reply.stop):
            remedy = "Resume with more room (--max-tokens; in Python max_tokens)."
        raise DecisionError(wanted.label, why, remedy)

    def _last_reply(self, where: tuple[int, int, int]) -> Reply:
        """Return the last reply on record for a decision that has some, none of them usable."""
        attempts = self.journal.attempts_of(*where[:2])
        last = [it for it in attempts if it.seat == where[2] and it.outcome == "unusable"][-1]
        text, problem = last.reply or "", last.problem
        return Reply(text, Usage(), problem=problem, stop=last.stop, thoughts=last.thoughts)

    def _why_unusable(self, reply: Reply, times: int) -> str:
        path = self.journal.path
        kept = f"; every reply is in {path}" if path and self.llm.on_unusable == "stop" else ""
        quote = quoted_reply(reply.text, reply.thoughts)
        return f"{reply.problem or NOT_A_NAME} (asked {times} times){quote}{kept}"

    def _queue(self, provider: Provider) -> RequestQueue:
        """Return the queue of a provider; those of one label share their slots."""
        if id(provider) not in self._queues:
            confirm(provider, self.llm.addresses)
            most = CONCURRENCY_IN_BATCHES if self.llm.batch else self.llm.max_concurrency
            limiter = self._limiters.setdefault(provider.label, Limiter(most))
            price = self._prices.of(provider.model, batch=self.llm.batch)
            self._queues[id(provider)] = RequestQueue(
                provider, limiter, self.llm, self.budget, self.journal, price
            )
        return self._queues[id(provider)]

    def _charge(self, mind: LiveMind) -> None:
        """Count what calls of a mind on record cost at the price of now, if that is more.

        No price may have been known then, and a journal may have been edited.
        """
        for batch in (False, True):
            price = self._prices.of(mind.provider.model, batch=batch)
            used = self._found.pop((mind.label, batch), None)
            if price is not None and used is not None:
                cost = price.cost(Usage(used.input_tokens, used.output_tokens))
                if cost > used.cost and not math.isclose(cost, used.cost):
                    self.budget.used = self.budget.used.plus(Amount(usd=cost - used.cost))

    def _turn_away(self) -> None:
        self.budget.shut(CLOSED)
        for queue in self._queues.values():
            queue.stop(CLOSED)

    async def _close_providers(self) -> None:
        for queue in self._queues.values():
            await queue.finish_calls()
        for queue in self._queues.values():
            await queue.provider.close()


def _drawn(
    wanted: Wanted, digest: str, distribution: Sequence[float], attempt: int | None
) -> Recorded:
    """Return the decision that its own draw picks from a distribution."""
    chosen = bisect_right(cumulative_weights(distribution), wanted.draw)
    return Recorded(digest, wanted.pool[chosen], distribution[chosen], attempt)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _open_journal(llm: LLMSettings, spec: Mapping[str, Any]) -> tuple[Journal, list[Path]]:
    """Return the journal, and the folders that were made for it, the innermost first."""
    if llm.folder is None:
        return Journal.memory(spec), []
    folder = Path(llm.folder)
    if llm.resume:
        return Journal.open(folder / JOURNAL), []
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(
            "folder",
            str(folder),
            f"{folder} cannot be made ({error.strerror})",
            "Give a place that you may write to.",
        ) from error
    try:
        return Journal.create(folder / JOURNAL, spec), made
    except NormsError:
        _remove_empty(made)
        raise


def _remove_empty(folders: Sequence[Path]) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()


class SharedBudget:
    """Gives every part of an experiment what is left to spend, and adds up what was used.

    Parts run one after another: what one may spend is known once those before it were added.

    Parameters
    ----------
    llm : LLMSettings or None
        How calls are made, with the budgets of all parts together; the defaults if None.
    asks : bool, default False
        Whether parts ask questions that do not wait for each other, which may be sent in batches.

    Raises
    ------
    SpecError
        If batches are wanted and nothing can be sent in them.

    Attributes
    ----------
    used : Totals or None
        What all parts so far used; None if no part made calls.
    """

    def __init__(self, llm: LLMSettings | None, *, asks: bool = False) -> None:
        self._llm = read_llm(llm)
        if not asks:
            self._llm.check_plays()
        self.used: Totals | None = None

    def settings_for(self, part: str) -> LLMSettings:
        """Return the settings of a part: what is left to spend, a folder of the part's name.

        A part that plays is not sent in batches.
        """
        llm, used = self._llm, self.used or Totals()
        folder = Path(llm.folder) / part if llm.folder is not None else None
        return replace(
            llm,
            folder=folder,
            batch=False,
            resume=llm.resume and folder is not None and (folder / JOURNAL).exists(),
            budget_calls=_left(llm.budget_calls, used.calls),
            budget_tokens=_left(llm.budget_tokens, used.tokens),
            budget_usd=_left(llm.budget_usd, used.cost),
        )

    def client(self, part: str, asked: Mapping[str, Any], resume: bool = False) -> LLMClient:
        """Return a client for the calls of a part.

        Parameters
        ----------
        part : str
            Its name, that of its folder.
        asked : mapping
            What the part asks, as JSON can hold it; written into its journal.
        resume : bool, default False
            Whether to resume the part, also where the settings do not say so.

        Raises
        ------
        JournalError
            If the part is resumed and something else was asked before.
        """
        llm = replace(self.settings_for(part), batch=self._llm.batch)
        llm = replace(llm, resume=llm.resume or resume)
        client = LLMClient(llm, asked)
        earlier = self.used or Totals()
        client.budget.before = Amount(earlier.calls, earlier.tokens, earlier.cost)
        if llm.resume:
            before, now = client.journal.spec, json.loads(json.dumps(asked))
            other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
            if other:
                client.close()
                raise JournalError(
                    str(llm.folder),
                    "; ".join(f"{key} was {before.get(key)}, not {now.get(key)}" for key in other),
                    "Resume it as it was started, or choose another folder.",
                )
        return client

    def add(self, usage: Totals | None) -> None:
        """Add what a part used."""
        if usage is not None:
            self.used = usage if self.used is None else self.used.plus(usage)


def _left(budget: float | None, used: float) -> float | None:
    return None if budget is None else max(0.0, budget - used)
