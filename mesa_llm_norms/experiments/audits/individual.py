"""What a mind prefers by itself: at first, and after one or two interactions.

At first every name should be as likely as any other. After an interaction that cannot be expected:
agents repeat and copy. There a mind is compared with itself made symmetric (see ``preference``):
what it chooses on ``Q/M`` with what it chooses, name for name, on ``M/Q``.

A mind that gives no probabilities is asked, and its answers are counted. A live mind is shown the
names in every rotation of the pool in turn, so that each name is in each position equally often.
Replies that give no name are counted, and nothing is put in their place.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mesa_llm_norms.analysis.intervals import holm, same_test, total_variation
from mesa_llm_norms.core.event_loop import GRACE_PERIOD, wait_for
from mesa_llm_norms.core.game import Game, Memory, Remembered
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import DecisionError
from mesa_llm_norms.experiments.audits.preference import (
    MeasuredSymmetric,
    Pattern,
    Preference,
    Roles,
    SymmetricMind,
    counted,
    equal,
    known,
    pattern_of,
    roles_of,
)
from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.mind import Mind, Policy, Situation
from mesa_llm_norms.minds.policies import write_memory

DEPTH = 2
"""How many interactions the longest of them hold."""

MOST = 20_000
"""How many memories of one length are looked at where looking costs nothing."""


def memories_of(
    pool: Sequence[str], length: int, most: int = MOST
) -> tuple[tuple[Memory, ...], int]:
    """Return the memories of a length, and how many were left out.

    Where there are more than ``most``, those that only hold the first names of a shuffled pool are
    taken, so that every way to put these names into a pattern is among them.
    """
    names = list(pool)
    if _number(len(names), length) > most:
        random.Random(len(pool)).shuffle(names)
        while len(names) > 2 and _number(len(names), length) > most:
            names.pop()
    kept = [name for name in pool if name in names]
    pairs = [Remembered(own, partner) for own in kept for partner in kept]
    found = tuple(itertools.product(pairs, repeat=length))
    return found, _number(len(pool), length) - len(found)


def _number(names: int, length: int) -> int:
    return int(names ** (2 * length))


AT_ONCE = 256
"""How many questions are open at once, at most, unless they go into a batch; the client lets fewer
through."""


class Query(NamedTuple):
    """One question: the mind, the game whose pool may be answered, and the memory."""

    mind: Mind
    game: Game
    memory: Memory = ()


class Answers(NamedTuple):
    """The answers to some questions: by name, and how many could not be used."""

    names: Counter[str]
    unusable: int

    def counts(self, pool: Sequence[str]) -> tuple[int, ...]:
        """Return how often each name of a pool was answered."""
        return tuple(self.names[name] for name in pool)


class FixedPromptMind(LiveMind):
    """A live mind whose prompts are what ``words`` makes of a situation."""

    def __init__(
        self, mind: LiveMind, words: Callable[[Situation], Prompt], client: LLMClient | None
    ) -> None:
        super().__init__(mind.provider, mind.template, client)
        self._words = words

    def prompt(self, situation: Situation) -> Prompt:
        """Return the prompt of a situation."""
        return self._words(situation)


class Interviewer:
    """Asks minds, one series of questions after another; each question is numbered and asked once.

    ``client`` makes the calls of live minds.
    """

    def __init__(self, seed: int, client: LLMClient | None = None) -> None:
        self._stream = RandomStream(seed)
        self._client = client
        self._next = 0

    def with_order(self, mind: Mind, order: Sequence[str]) -> Mind:
        """Return a mind that is shown the names in this order; offline minds as they are."""
        if not isinstance(mind, LiveMind):
            return mind
        made = copy(mind)
        made.client = self._client
        made._order = lambda situation: tuple(order)  # noqa: ARG005
        return made

    def with_words(self, mind: LiveMind, prompt: Prompt) -> Mind:
        """Return a mind that is sent this prompt."""
        return FixedPromptMind(mind, lambda _: prompt, self._client)

    def balanced(self, mind: Mind, game: Game, memory: Memory, times: int) -> list[Query]:
        """Return the question which name to play, ``times`` over, names rotated each time."""
        pool = game.pool
        shown = [self.with_order(mind, pool[turn:] + pool[:turn]) for turn in range(len(pool))]
        return [Query(shown[turn % len(pool)], game, memory) for turn in range(times)]

    def ask(self, questions: Iterable[Query]) -> list[str | None]:
        """Return the answer to each question, None where there was none that could be used.

        Raises ``CallError`` and ``BudgetError`` as a live run does.
        """
        numbered = []
        for question in questions:
            numbered.append((self._next, question))
            self._next += 1
        return wait_for(self._all(numbered))

    async def _all(self, numbered: list[tuple[int, Query]]) -> list[str | None]:
        batch = self._client is not None and self._client.llm.batch
        slots = asyncio.Semaphore(max(1, len(numbered)) if batch else AT_ONCE)

        async def one(number: int, question: Query) -> str | None:
            async with slots:
                return await self._one(number, question)

        tasks = [asyncio.ensure_future(one(*each)) for each in numbered]
        # A batch that is out is paid for, and read even if the budget has no room for another.
        when = asyncio.ALL_COMPLETED if batch else asyncio.FIRST_EXCEPTION
        try:
            if tasks:
                done, _ = await asyncio.wait(tasks, return_when=when)
                for task in done:
                    task.result()  # which raises what it raised
            return [task.result() for task in tasks]
        finally:
            if self._client is not None and not all(task.done() for task in tasks):
                self._client.stop()  # but calls under way may finish, as they are paid for
                await asyncio.wait(tasks, timeout=GRACE_PERIOD)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _one(self, number: int, question: Query) -> str | None:
        mind, game, memory = question
        draw = self._stream.interaction(number).seat_a
        situation = Situation(game, memory, draw, self._stream, number, 0)
        try:
            decision = await mind.decide(situation)
        except DecisionError:
            return None
        return decision.name


def count(answers: Iterable[str | None]) -> Answers:
    """Count answers."""
    names = Counter(answers)
    unusable = names.pop(None, 0)
    return Answers(Counter({name: n for name, n in names.items() if name is not None}), unusable)


MOST_RUNS = 100
"""How many runs a mind that differs from run to run is averaged over."""

MOST_ASKED = 100
"""How many memories of one length a mind is asked about, at most."""


class Choice(NamedTuple):
    """The choices on one memory: probabilities, or shares of answers and their number.

    ``fair`` is what the same mind made symmetric chooses there.
    """

    memory: Memory
    shares: tuple[float, ...]
    fair: tuple[float, ...]
    answers: int | None
    unusable: int = 0

    @property
    def bias(self) -> float:
        """The total variation between both, 0 where no name is preferred."""
        return total_variation(self.shares, self.fair)


class Lean(NamedTuple):
    """How a mind leans after some number of interactions: of all memories of that length together.

    ``towards`` is, for every name, how much more often it is chosen than by the mind made
    symmetric, on average over memories; the sum is zero. ``bias`` is the mean total variation, and
    ``p_value`` tests that there is no preference (None where probabilities are known):
    within every pattern, answers by role are compared between memories, and patterns corrected for
    by Holm.
    """

    length: int
    memories: int
    left_out: int
    towards: tuple[float, ...]
    bias: float
    p_value: float | None


@dataclass(frozen=True)
class IndividualBias:
    """What a mind prefers by itself.

    ``exact``: probabilities are known, there is no sampling error. ``first`` is the preference on
    the empty memory, ``leans`` that after one and two interactions, ``choices`` every memory looked
    at. ``unusable`` answers are in no number. ``symmetric`` is the mind made symmetric, for nulls.
    """

    pool: tuple[str, ...]
    exact: bool
    first: Preference
    leans: tuple[Lean, ...]
    choices: tuple[Choice, ...]
    unusable: int
    symmetric: Policy

    def as_object(self) -> dict[str, Any]:
        """Return the bias as plain data, for JSON."""
        return {
            "exact": self.exact,
            "unusable": self.unusable,
            "first_choice": self.first.as_object(),
            "after": [
                {**lean._asdict(), "towards": dict(zip(self.pool, lean.towards, strict=True))}
                for lean in self.leans
            ],
            "choices": [
                {
                    "memory": write_memory(one.memory),
                    "shares": dict(zip(self.pool, one.shares, strict=True)),
                    "symmetric": dict(zip(self.pool, one.fair, strict=True)),
                    "answers": one.answers,
                    "bias": one.bias,
                }
                for one in self.choices
            ],
        }


def read_policy(mind: Policy, game: Game, seed: int) -> IndividualBias:
    """Return the bias of a mind whose probabilities are known, averaged over runs if it drifts."""
    pool = game.pool
    runs = [mind.for_run(game, RandomStream(seed, run)) for run in range(MOST_RUNS)]
    policies = [one for one in runs if isinstance(one, Policy)]
    if all(one is policies[0] for one in policies):
        policies = policies[:1]
    average = policies[0] if len(policies) == 1 else _Average(mind.label, policies)
    symmetric = SymmetricMind(average)
    choices: list[Choice] = []
    left_out = []
    most = MOST // len(policies)
    for length in range(min(DEPTH, game.memory) + 1):
        memories, missing = memories_of(pool, length, most)
        left_out.append(missing)
        for memory in memories:
            shares = tuple(map(float, average.distribution(memory, pool)))
            fair = tuple(symmetric.distribution(memory, pool))
            choices.append(Choice(memory, shares, fair, None))
    leans = [
        _lean(length, [one for one in choices if len(one.memory) == length], missing, None)
        for length, missing in enumerate(left_out)
    ]
    first = known(pool, choices[0].shares, equal(pool))
    return IndividualBias(
        pool, True, first, tuple(leans[1:]), tuple(choices), 0, SymmetricMind(mind)
    )


def ask_mind(
    mind: Mind, game: Game, interviewer: Interviewer, times: int, times_after: int, level: float
) -> IndividualBias:
    """Return the bias of a mind that has to be asked: ``times`` at first, ``times_after`` later.

    Intervals hold in all but ``level`` of cases. Raises ``DecisionError`` where no first choice
    could be used at all.
    """
    pool = game.pool
    wanted, left_out = questions(game, times, times_after)
    asked = [
        question
        for memory, number in wanted
        for question in interviewer.balanced(mind, game, memory, number)
    ]
    replies = iter(interviewer.ask(asked))
    answers = {memory: count(next(replies) for _ in range(number)) for memory, number in wanted}
    if not answers[()].names:
        raise DecisionError(mind.label, f"none of {times} first choices gave a name of the pool")
    symmetric = MeasuredSymmetric(_measured(answers, pool))
    choices = [_choice(memory, found, symmetric, pool) for memory, found in answers.items()]
    leans = [
        _lean(
            length,
            [one for one in choices if len(one.memory) == length and one.answers],
            missing,
            _symmetry_test(answers, length, pool),
        )
        for length, missing in enumerate(left_out)
    ]
    first = counted(pool, answers[()].counts(pool), equal(pool), 1 - level)
    unusable = sum(found.unusable for found in answers.values())
    return IndividualBias(pool, False, first, tuple(leans[1:]), tuple(choices), unusable, symmetric)


def questions(
    game: Game, times: int, times_after: int
) -> tuple[list[tuple[Memory, int]], list[int]]:
    """Return memories and how often to ask about them, and how many are left out by length."""
    wanted, left_out = [], []
    for length in range(min(DEPTH, game.memory) + 1):
        memories, missing = memories_of(game.pool, length, MOST_ASKED)
        left_out.append(missing)
        wanted += [(memory, times_after if memory else times) for memory in memories]
    return wanted, left_out


class _Average(Policy):
    """The average of one mind over runs in which it differs."""

    def __init__(self, label: str, minds: Sequence[Policy]) -> None:
        self.label = label
        self.minds = minds

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        each = np.array([mind.distribution(memory, pool) for mind in self.minds])
        return tuple(each.mean(axis=0).tolist())


def _lean(length: int, choices: Sequence[Choice], left_out: int, p_value: float | None) -> Lean:
    shares, fair = (np.array([getattr(one, of) for one in choices]) for of in ("shares", "fair"))
    towards = tuple((shares - fair).mean(axis=0).tolist()) if choices else ()
    bias = float(np.mean([one.bias for one in choices])) if choices else 0.0
    return Lean(length, len(choices), left_out, towards, bias, p_value)


def _choice(
    memory: Memory, found: Answers, symmetric: MeasuredSymmetric, pool: Sequence[str]
) -> Choice:
    counts = found.counts(pool)
    total = sum(counts)
    fair = tuple(symmetric.distribution(memory, pool))
    shares = tuple(number / total for number in counts) if total else fair
    return Choice(memory, shares, fair, total, found.unusable)


def _by_role(answers: dict[Memory, Answers], pool: Sequence[str]) -> dict[Pattern, list[Roles]]:
    """Return the counts of every memory by role, memories gathered by their pattern."""
    found: dict[Pattern, list[Roles]] = defaultdict(list)
    for memory, given in answers.items():
        pattern, met = pattern_of(memory)
        found[pattern].append(roles_of(given.counts(pool), met, pool))
    return found


def _measured(answers: dict[Memory, Answers], pool: Sequence[str]) -> dict[Pattern, Roles]:
    """Return shares by role on every pattern that was answered, memories weighing the same."""
    measured = {}
    for pattern, rows in _by_role(answers, pool).items():
        shares = [np.array(row) / sum(row) for row in rows if sum(row)]
        if shares:
            measured[pattern] = tuple(np.mean(shares, axis=0).tolist())
    return measured


def _symmetry_test(answers: dict[Memory, Answers], length: int, pool: Sequence[str]) -> float:
    """Return the p-value of no preference on memories of one length: the least one, corrected."""
    p_values = [
        same_test(np.array(rows, dtype=np.int64))
        for pattern, rows in _by_role(answers, pool).items()
        if len(pattern) == length and len(rows) > 1
    ]
    return min(holm(p_values), default=1.0)
