"""What a live mind is asked to record it, and what it answered.

A question is a memory and an order of the names. With two or three names every order is asked in
turn. With more there are too many: a memory's own random order is turned by one name from question
to question, so that every name is in every place equally often, and any order is as likely as any
other.
"""

from __future__ import annotations

import itertools
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence

from mesa_llm_norms.core.game import Game, Memory, Remembered
from mesa_llm_norms.errors import BudgetError, DecisionError
from mesa_llm_norms.experiments.audits.individual import Interviewer, Query
from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.llm.provider import LiveMind
from mesa_llm_norms.minds.policies import write_memory
from mesa_llm_norms.minds.recording import Order, Recording

FEW = 3
"""With so many names or fewer, every order is asked."""

Report = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def memories_up_to(game: Game) -> list[Memory]:
    """Return every memory that an agent can have, the shortest first."""
    pairs = [Remembered(own, partner) for own in game.pool for partner in game.pool]
    lengths = range(game.memory + 1)
    return [it for length in lengths for it in itertools.product(pairs, repeat=length)]


def number_of_memories(game: Game) -> int:
    """Return how many memories an agent can have."""
    return int(sum(len(game.pool) ** (2 * length) for length in range(game.memory + 1)))


def number_of_orders(game: Game) -> int | None:
    """Return how many orders of names are asked in all, None if there are too many for that."""
    return math.factorial(len(game.pool)) if len(game.pool) <= FEW else None


def order_shown(game: Game, memory: Memory, turn: int, seed: int) -> Order:
    """Return the order of names in a memory's question number ``turn``, from 0."""
    pool = game.pool
    if len(pool) <= FEW:
        orders = list(itertools.permutations(pool))
        return orders[turn % len(orders)]
    cycle, place = divmod(turn, len(pool))
    chance = random.Random(f"{seed} {cycle} {write_memory(memory)}")
    base = chance.sample(pool, len(pool))
    return tuple(base[place:] + base[:place])


class Recorder:
    """Asks a live mind, and keeps what it answered.

    Questions are numbered in the order in which they are put, and the same answers lead to the same
    further questions. So whatever is in the journal is never asked again.

    Attributes
    ----------
    turns : dict of Memory to int
        How many questions were put about each memory.
    put : int
        How many in all.
    unusable : int
        Questions whose replies gave nothing that could be used.
    exact : bool or None
        Whether the mind gives probabilities; None until the first answer.
    out_of_budget : BudgetError or None
        What ended the questions before all were put.
    """

    def __init__(
        self,
        mind: LiveMind,
        game: Game,
        seed: int,
        client: LLMClient,
        report: Report = lambda *_: None,
    ) -> None:
        self.game = game
        self.turns: Counter[Memory] = Counter()
        self.unusable: int = 0
        self.exact: bool | None = None
        self.put: int = 0
        self.out_of_budget: BudgetError | None = None
        self._mind = mind
        self._seed = seed
        self._client = client
        self._report = report
        self._answers: dict[Memory, dict[Order, list[float]]] = {}

    @property
    def recording(self) -> Recording:
        """All answers so far."""
        answers = {
            memory: {order: tuple(numbers) for order, numbers in by_order.items()}
            for memory, by_order in self._answers.items()
        }
        return Recording(self.game, bool(self.exact), answers)

    def complete(self, memory: Memory) -> bool:
        """Return whether there is nothing more to ask about a memory."""
        return bool(self.exact) and self.turns[memory] == number_of_orders(self.game)

    def ask(
        self, memories: Sequence[Memory], choices: int, orders: int, what: str = "asking"
    ) -> None:
        """Put more questions about each of some memories.

        Parameters
        ----------
        memories : sequence of Memory
            What to ask about.
        choices : int
            How many questions about each, where replies are choices.
        orders : int
            How many, where they are probabilities and there are too many orders to ask them all.
        what : str, default "asking"
            What progress is reported of.

        Raises
        ------
        CallError
            As a live run does; everything that was answered is on record. A budget that is used up
            raises nothing: what it was enough for is kept, and ``out_of_budget`` is set.
        """
        if self._client.llm.batch:  # as no API that takes batches gives probabilities
            self.exact = False
        elif not self.put:  # which says what replies are
            self._ask([((), self._next_order(()))], what)
        times = choices if not self.exact else number_of_orders(self.game) or orders
        asked = [
            (memory, self._next_order(memory))
            for memory in memories
            for _ in range(times - (memory == () and self.put == 1))
            if not self.complete(memory)
        ]
        if asked and self.out_of_budget is None:
            self._ask(asked, what)

    def _next_order(self, memory: Memory) -> Order:
        self.turns[memory] += 1
        return order_shown(self.game, memory, self.turns[memory] - 1, self._seed)

    def _ask(self, asked: Sequence[tuple[Memory, Order]], what: str) -> None:
        most, first = self._client.llm.budget_calls, self.put
        total = len(asked)
        if most is not None and first + total > most:  # so that which ones is no matter of chance
            self.out_of_budget = BudgetError("calls", most, first, 1)
            asked = asked[: max(0, int(most) - first)]
        interviewer = _Interviewer(self._seed, self._client, first)
        interviewer.report = lambda done: self._report(what, done, total)
        questions = [
            Query(interviewer.with_order(self._mind, order), self.game, memory)
            for memory, order in asked
        ]
        try:
            names = interviewer.ask(questions)
        except BudgetError as error:
            self.out_of_budget = error
            interviewer = _Interviewer(self._seed, self._client, first)
            names = interviewer.ask(questions)  # which no longer makes calls
        self.put += len(asked)
        for number, ((memory, order), name) in enumerate(zip(asked, names, strict=True), first):
            given = self._client.distribution(0, number)
            if self.exact is None and name is not None:
                self.exact = given is not None
            self._keep(memory, order, name, given)

    def _keep(
        self, memory: Memory, order: Order, name: str | None, given: tuple[float, ...] | None
    ) -> None:
        pool = self.game.pool
        numbers: list[float] | None = None
        if name is not None and not self.exact:
            numbers = [int(name == one) for one in pool]
        elif given is not None and self.exact:
            numbers = list(given)
        if numbers is None:
            self.unusable += self.out_of_budget is None
            return
        by_order = self._answers.setdefault(memory, {})
        if self.exact or order not in by_order:
            by_order[order] = numbers
        else:
            by_order[order] = [a + b for a, b in zip(by_order[order], numbers, strict=True)]

    def check(self) -> None:
        """Raise ``DecisionError`` where nothing at all was answered."""
        if not self._answers:
            if self.out_of_budget is not None:
                raise self.out_of_budget
            raise DecisionError(self._mind.label, "no reply gave a name of the pool")


class _Interviewer(Interviewer):
    """An interviewer whose questions begin at a number, and who says how many are answered."""

    report: Callable[[int], None] = staticmethod(lambda _: None)

    def __init__(self, seed: int, client: LLMClient, first: int) -> None:
        super().__init__(seed, client)
        self._next = first
        self._answered = 0

    async def _one(self, number: int, question: Query) -> str | None:
        name = await super()._one(number, question)
        self._answered += 1
        self.report(self._answered)
        return name
