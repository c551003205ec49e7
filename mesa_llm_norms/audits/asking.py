"""Minds that give no probabilities: asked, and what they answer counted.

A live mind is shown the names in every rotation of the pool in turn, so that each name stands in
each place equally often. What gives no name is counted as that, and nothing is put in its place.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mesa_llm_norms.background import wait_for
from mesa_llm_norms.draws import Draws
from mesa_llm_norms.errors import DecisionError
from mesa_llm_norms.game import Game
from mesa_llm_norms.memory import Memory
from mesa_llm_norms.minds import Mind
from mesa_llm_norms.minds.live import LiveMind, Prompt
from mesa_llm_norms.minds.live.mind import Caller
from mesa_llm_norms.minds.mind import Situation

AT_ONCE = 256
"""How many questions are under way at once, at most; the session lets fewer through."""


class Asked(NamedTuple):
    """One question: the mind, the game whose pool may be answered, and the memory."""

    mind: Mind
    game: Game
    memory: Memory = ()


class Answers(NamedTuple):
    """What was answered to some questions: by name, and how often nothing that could be used."""

    names: Counter[str]
    unusable: int

    def counts(self, pool: Sequence[str]) -> tuple[int, ...]:
        """Return how often each name of a pool was answered."""
        return tuple(self.names[name] for name in pool)


class Fixed(LiveMind):
    """A live mind that is told what ``words`` makes of a situation, and nothing else."""

    def __init__(
        self, mind: LiveMind, words: Callable[[Situation], Prompt], session: Caller | None
    ) -> None:
        super().__init__(mind.server, mind.template, session)
        self._words = words

    def prompt(self, situation: Situation) -> Prompt:
        """Return what the agent is told, word for word."""
        return self._words(situation)


class Interviewer:
    """Asks minds, one series of questions after another; each question is numbered and asked once.

    ``session`` makes the calls of live minds.
    """

    def __init__(self, seed: int, session: Caller | None = None) -> None:
        self._draws = Draws(seed)
        self._session = session
        self._next = 0

    def with_order(self, mind: Mind, order: Sequence[str]) -> Mind:
        """Return a mind that is shown the names in this order; other minds are shown none."""
        if not isinstance(mind, LiveMind):
            return mind
        template = mind.template
        return Fixed(mind, lambda it: template.fill(it.game, it.memory, order), self._session)

    def with_words(self, mind: LiveMind, prompt: Prompt) -> Mind:
        """Return a mind that is told this."""
        return Fixed(mind, lambda _: prompt, self._session)

    def balanced(self, mind: Mind, game: Game, memory: Memory, times: int) -> list[Asked]:
        """Return the question what to play on a memory, ``times`` over, in all orders in turn."""
        pool = game.pool
        shown = [self.with_order(mind, pool[turn:] + pool[:turn]) for turn in range(len(pool))]
        return [Asked(shown[turn % len(pool)], game, memory) for turn in range(times)]

    def ask(self, questions: Iterable[Asked]) -> list[str | None]:
        """Return the answer to each question, None where there was none to be used.

        Raises ``CallError`` and ``BudgetError`` as a live run does.
        """
        numbered = []
        for question in questions:
            numbered.append((self._next, question))
            self._next += 1
        return wait_for(self._all(numbered))

    async def _all(self, numbered: list[tuple[int, Asked]]) -> list[str | None]:
        places = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, question: Asked) -> str | None:
            async with places:
                return await self._one(number, question)

        tasks = [asyncio.ensure_future(one(*each)) for each in numbered]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    async def _one(self, number: int, question: Asked) -> str | None:
        mind, game, memory = question
        draw = self._draws.interaction(number).seat_a
        situation = Situation(game, memory, draw, self._draws, number, 0)
        try:
            decision = await mind.decide(situation)
        except DecisionError:
            return None
        return decision.name


def count(answers: Iterable[str | None]) -> Answers:
    """Return answers counted."""
    names = Counter(answers)
    unusable = names.pop(None, 0)
    return Answers(Counter({name: n for name, n in names.items() if name is not None}), unusable)
