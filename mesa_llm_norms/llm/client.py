"""The calls of some runs: made when there is a place and money for them, again where they fail,
and on record before anything depends on what came back.

One budget for what is played in parts, each with a journal of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from bisect import bisect_right
from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from mesa_llm_norms.core.event_loop import loop, wait_for
from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.core.randomness import UNIT, cumulative_weights
from mesa_llm_norms.errors import (
    CallError,
    DecisionError,
    JournalError,
    NormsError,
    SkippedError,
    SpecError,
)
from mesa_llm_norms.llm.budget import Amount, Budget, read_limit, read_prices
from mesa_llm_norms.llm.concurrency import Desk, Limiter, Result, Where
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.tables import (
    AgentUsage,
    Distribution,
    Recorded,
    Totals,
    Voided,
    prompt_digest,
)
from mesa_llm_norms.llm.mind import LiveMind
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import Question, Reply
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.minds.mind import Decision, Mind, Situation

OVER = DecisionError("a live mind", "its session has ended")
"""What whoever wants a call gets when no more are made."""


TOLD = 64
"""How many interactions are handed to the journal at once."""


class LLMClient:
    """Makes the calls of live minds, for one spec and any number of its runs.

    All runs share its places, its budget and its journal. ``decide`` is for the event loop of
    ``background``; the rest may be called from anywhere.
    """

    def __init__(
        self, llm: LLMSettings | None = None, spec: Mapping[str, Any] | None = None
    ) -> None:
        self.llm = llm or LLMSettings()
        limit = read_limit(self.llm.budget_calls, self.llm.budget_tokens, self.llm.budget_usd)
        self._prices = read_prices(self.llm.prices)
        self.journal, self._folders_made = _open_journal(self.llm, spec or {})
        self.budget = Budget(limit, _used(self.journal.usage()))
        self._desks: dict[int, Desk] = {}
        self._places: dict[str, Limiter] = {}
        self._asking: dict[str, asyncio.Event] = {}
        self._stopped = self._closed = False
        self._told: list[Interaction | Voided] = []
        self._lock = threading.Lock()

    @property
    def usage(self) -> Totals:
        """What all calls on record came to."""
        return self.journal.usage()

    def usage_by_agent(self, run: int = 0) -> tuple[AgentUsage, ...]:
        """Return what each agent's calls came to in a run, in the order they were first asked."""
        self.flush()
        return self.journal.usage_by_agent(run)

    def attend(self, roster: Sequence[Mind]) -> tuple[Mind, ...]:
        """Return these minds, the live ones with their calls made by this session.

        Raises ``MindError`` where a budget in dollars is set and a model has no known price.
        """
        attended = tuple(
            mind.within(self) if isinstance(mind, LiveMind) else mind for mind in roster
        )
        for mind in attended:
            if isinstance(mind, LiveMind):
                self._desk(mind)
        return attended

    def stop(self) -> None:
        """Begin no more calls: whoever wants or waits for one is refused.

        Those under way may end within some seconds, so that their replies are on record.
        """
        if not self._stopped:
            self._stopped = True
            loop().call_soon_threadsafe(self._turn_away)

    def close(self) -> None:
        """Write what is still to be written, and let go of the journal and of connections.

        A folder in which no call was made is as if it had never been.
        """
        if self._closed:
            return
        self._closed = True
        self.stop()
        wait_for(self._hang_up())
        self.flush()
        self.journal.close()
        if not self.usage.calls and not self.llm.resume and self.journal.path is not None:
            _remove(self.journal.path, self._folders_made)

    async def decide(self, mind: LiveMind, situation: Situation) -> Decision:
        """Return what a mind chooses: as on record, or by as many calls as it takes.

        Raises ``DecisionError`` (``SkippedError``, by choice) where it gives no name, ``CallError``
        where the server gives no reply, ``BudgetError`` where the next call could pass a budget.
        """
        prompt = mind.prompt(situation)
        digest = prompt_digest(*prompt)
        recorded = self._on_record(situation, digest)
        if recorded is None:
            self._refuse_what_is_over(mind, situation)
            try:
                recorded = await self._asked(mind, situation, prompt, digest)
            except CallError as error:
                # The run ends. Who waits for long, perhaps, before this one, has nothing to wait
                # for any more.
                for desk in self._desks.values():
                    desk.turn_away(error)
                raise
        return Decision(recorded.name, recorded.probability)

    # What the engine tells of every interaction

    def played(self, row: Interaction) -> None:
        """Put an interaction on record; ``JournalError`` where another one is there already."""
        self._keep(row)

    def void(
        self, run: int, number: int, round_: int, nodes: tuple[Hashable, Hashable], reason: str
    ) -> None:
        """Put on record that an interaction is void."""
        if not isinstance(self.journal.interaction(run, number), Voided):
            self._keep(Voided(run, number, round_, *nodes, reason))

    def flush(self) -> None:
        """Hand what was told since the last time to the journal.

        Many at once: a writer that is woken for each gets in the way of the calls. Should the
        process end before, they are played again from the decisions, which are on disk.
        """
        with self._lock:
            rows, self._told = self._told, []
        if rows:
            self.journal.commit(*rows)

    def _keep(self, row: Interaction | Voided) -> None:
        if self.journal.interaction(row.run, row.interaction) is not None:
            self.journal.commit(row)  # which compares them
            return
        self._told.append(row)
        if len(self._told) >= TOLD:
            self.flush()

    # Decisions

    def _on_record(self, situation: Situation, digest: str) -> Recorded | None:
        """Return the decision that was made in this very situation, if one was.

        One made in another is of no use: agents were changed since. Where the interaction was
        played, that cannot be, and what is played now is another run.
        """
        run, number = situation.stream.run, situation.interaction
        recorded = self.journal.decision(run, number, situation.seat)
        if recorded is None or recorded.prompt == digest:
            return recorded
        if self.journal.interaction(run, number) is not None:
            raise JournalError(
                self.llm.folder or "the journal",
                f"the prompt of interaction {number} in run {run} was another when it was played",
                "Go on with the version of the package that began the run.",
            )
        return None

    def _refuse_what_is_over(self, mind: LiveMind, situation: Situation) -> None:
        before = self.journal.interaction(situation.stream.run, situation.interaction)
        if isinstance(before, Voided):
            raise SkippedError(mind.label, before.reason)
        if self._stopped:
            raise OVER

    async def _asked(
        self, mind: LiveMind, situation: Situation, prompt: Prompt, digest: str
    ) -> Recorded:
        desk = self._desk(mind)
        await desk.prepare()
        if mind.server.gives_distributions(situation.game.pool):
            return await self._draw(desk, mind, situation, prompt, digest)
        return await self._ask(desk, mind, situation, prompt, digest)

    async def _draw(
        self, desk: Desk, mind: LiveMind, situation: Situation, prompt: Prompt, digest: str
    ) -> Recorded:
        """Decide by a distribution: the one known for this question, or else asked for, once."""
        server = mind.server
        key = _digest(server.place, server.label, desk.parameters, *prompt)
        while (known := self.journal.distribution(key)) is None:
            others = self._asking.get(key)
            if others is not None:
                await others.wait()
                continue
            asked = self._asking[key] = asyncio.Event()
            try:
                return await self._ask(desk, mind, situation, prompt, digest, key)
            finally:
                del self._asking[key]
                asked.set()
        recorded = _drawn(situation, digest, known, None)
        await self.journal.decide(*_where(situation), recorded)
        return recorded

    async def _ask(
        self,
        desk: Desk,
        mind: LiveMind,
        situation: Situation,
        prompt: Prompt,
        digest: str,
        key: str | None = None,
    ) -> Recorded:
        """Ask until a reply can be used, or as often as it may be; see ``LLMSettings``."""
        where = _where(situation)

        def conclude(reply: Reply, attempt: int) -> Result:
            if reply.distribution is None:
                assert reply.name is not None
                return Result(Recorded(digest, reply.name, None, attempt))
            given = Distribution(key, reply.distribution) if key is not None else None
            return Result(_drawn(situation, digest, reply.distribution, attempt), given)

        unusable = self.journal.tries(*where, digest)
        problem = "its replies on record give no name"
        while unusable <= self.llm.ask_again:
            seed = situation.stream.of("reply", *where[1:], unusable) % UNIT
            question = Question(prompt, situation.game.pool, seed)
            answer = await desk.ask(where, mind.label, question, conclude)
            if isinstance(answer, Recorded):
                return answer
            problem = answer
            unusable += 1
        error = SkippedError if self.llm.on_unusable == "void" else DecisionError
        raise error(mind.label, f"{problem} (asked {unusable} times)")

    def _turn_away(self) -> None:
        self.budget.shut(OVER)
        for desk in self._desks.values():
            desk.stop(OVER)

    async def _hang_up(self) -> None:
        for desk in self._desks.values():
            await desk.server.close()

    def _desk(self, mind: LiveMind) -> Desk:
        """Return the desk of a mind's server; those of one label share their places."""
        server = mind.server
        if id(server) not in self._desks:
            places = self._places.setdefault(server.label, Limiter(self.llm.max_concurrency))
            price = self._prices.of(server.model)
            self._desks[id(server)] = Desk(
                server, places, self.llm, self.budget, self.journal, price
            )
        return self._desks[id(server)]


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


def _remove(journal: Path, made: Sequence[Path]) -> None:
    """Remove a journal without calls, and the folders made for it if nothing else is in them."""
    for path in (journal, journal.with_suffix(".lock"), *_logs(journal)):
        path.unlink(missing_ok=True)
    _remove_empty(made)


def _remove_empty(made: Sequence[Path]) -> None:
    with suppress(OSError):
        for path in made:
            path.rmdir()


def _logs(journal: Path) -> list[Path]:
    return [journal.with_name(f"{journal.name}{end}") for end in ("-wal", "-shm")]


def _used(totals: Totals) -> Amount:
    tokens = totals.input_tokens + totals.output_tokens
    return Amount(totals.calls, tokens, totals.cost)


def _where(situation: Situation) -> Where:
    return situation.stream.run, situation.interaction, situation.seat


def _drawn(
    situation: Situation, digest: str, distribution: Sequence[float], attempt: int | None
) -> Recorded:
    """Return the decision that the situation's own draw picks from a distribution."""
    place = bisect_right(cumulative_weights(distribution), situation.draw)
    name = situation.game.pool[place]
    return Recorded(digest, name, distribution[place], attempt)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class SharedBudget:
    """Gives every part what is left to spend, and adds up what was used.

    Parts follow one another: what one may spend is known once those before it were added.
    """

    def __init__(self, llm: LLMSettings | None) -> None:
        self._calls = llm or LLMSettings()
        self.used: Totals | None = None

    def calls_for(self, part: str) -> LLMSettings:
        """Return how the calls of a part are made; its journal is in a folder of its name."""
        calls, used = self._calls, self.used
        folder = Path(calls.folder) / part if calls.folder is not None else None
        resume = calls.resume and folder is not None and (folder / JOURNAL).exists()
        calls = replace(calls, folder=folder, resume=resume)
        if used is None:
            return calls
        return replace(
            calls,
            budget_calls=_rest(calls.budget_calls, used.calls),
            budget_tokens=_rest(calls.budget_tokens, used.input_tokens + used.output_tokens),
            budget_usd=_rest(calls.budget_usd, used.cost),
        )

    def client(self, part: str, asked: Mapping[str, Any]) -> LLMClient:
        """Return a session for the calls of a part; what is ``asked`` goes into its journal.

        Raises ``JournalError`` where it is gone on with and something else was asked at first.
        """

        calls = self.calls_for(part)
        client = LLMClient(calls, asked)
        if calls.resume:
            before, now = client.journal.spec, json.loads(json.dumps(asked))
            other = [key for key in {**before, **now} if before.get(key) != now.get(key)]
            if other:
                client.close()
                raise JournalError(
                    str(calls.folder),
                    "; ".join(f"{key} was {before.get(key)}, not {now.get(key)}" for key in other),
                    "Go on with what it was begun with, or begin elsewhere.",
                )
        return client

    def add(self, usage: Totals | None) -> None:
        """Add what a part used."""
        if usage is not None:
            self.used = usage if self.used is None else self.used.plus(usage)


def _rest(budget: float | None, used: float) -> float | None:
    return None if budget is None else max(0.0, budget - used)
