"""For your own tests: checks of minds and pairing rules, and a model API without a network.

``check_mind`` and ``check_pairing`` verify the contracts that engines rely on. ``FakeProvider``
answers live minds in this process, as your test says.
"""

from __future__ import annotations

import asyncio
import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import Any, TypeAlias
from zlib import crc32

import networkx as nx

from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.core.game import Game, Memory, Remembered, read_pool
from mesa_llm_norms.core.randomness import UNIT, RandomStream, cumulative_weights
from mesa_llm_norms.errors import MindError, PairingError
from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import LiveMind, Provider, Question, Reply, Usage
from mesa_llm_norms.minds.mind import Decision, Mind, Policy, Situation
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.pairing import Pairing

_DRAWS = (0, 1, UNIT // 3, UNIT // 2, UNIT - 1)


def check_mind(mind: Mind, names: Sequence[str] = "QM", memory: int = 5) -> None:
    """Check that a mind keeps the contract of minds.

    The mind is asked in a range of situations. It must have a label, and answer with a ``Decision``
    on a name of the pool, the same when asked again in the same situation. A policy must give one
    probability per name, summing to one, the same when asked again and in any order of the pool,
    and decide as the situation's draw says.

    Parameters
    ----------
    mind : Mind
        The mind to check.
    names : sequence of str, default "QM"
        The pool it is asked to choose from.
    memory : int, default 5
        The longest memory it is asked with, in interactions.

    Raises
    ------
    MindError
        If it breaks the contract, saying how.
    DecisionError
        If it cannot decide. That breaks no contract, but such a mind cannot be checked.
    """
    game = Game(read_pool(names), memory=memory)
    if not isinstance(mind, Mind):
        raise _broken(mind, "it is not derived from mesa_llm_norms.Mind")
    if not isinstance(getattr(mind, "label", None), str) or not mind.label:
        raise _broken(mind, "it has no label", "Set label to a short text.")
    mind.check(game)
    if isinstance(mind, LiveMind) and mind.client is None:
        with closing(LLMClient()) as client:
            (attached,) = client.attach([mind])
            check_mind(attached, names, memory)
        return
    chosen: dict[Situation, str] = {}
    for number, remembered in enumerate(_memories(game)):
        given = _distribution(mind, remembered, game.pool) if isinstance(mind, Policy) else None
        for seat, draw in enumerate(_DRAWS):
            situation = Situation(game, remembered, draw, RandomStream(seat), number, seat % 2)
            decision = wait_for(mind.decide(situation))
            if not isinstance(decision, Decision):
                raise _broken(mind, f"decide returned {decision!r}", "Return a Decision.")
            if decision.name not in game.pool:
                raise _broken(mind, f"it chose {decision.name!r}, which is not in {game.pool!r}")
            chosen[situation] = decision.name
            drawn = (
                game.pool[bisect_right(cumulative_weights(given), draw)] if given else decision.name
            )
            if decision.name != drawn:
                raise _broken(
                    mind,
                    f"it chose {decision.name!r} where the draw picks {drawn!r}",
                    "Leave decide as Policy has it, or derive from Mind.",
                )
    for situation, name in reversed(chosen.items()):
        again = wait_for(mind.decide(situation))
        if again.name != name:
            raise _broken(
                mind,
                f"it chose {name!r}, and {again.name!r} when asked again in the same situation",
                "Keep no state, and take all chance from the situation's draw and stream.",
            )


def check_pairing(pairing: Pairing, graph: nx.Graph[Any] | None = None, rounds: int = 20) -> None:
    """Check that a pairing rule keeps the contract of pairing rules.

    It must be derived from ``Pairing``, have a label, draw at least one pair in every round, draw
    only edges of the graph, and draw the same pairs when asked again with the same arguments.

    Parameters
    ----------
    pairing : Pairing
        The rule to check.
    graph : networkx.Graph, optional
        What it draws from. Default: the karate club.
    rounds : int, default 20
        How many population rounds it draws.

    Raises
    ------
    PairingError
        If it breaks the contract, saying how.
    """
    if not isinstance(pairing, Pairing):
        raise _misdrawn(
            pairing, "it is not derived from mesa_llm_norms.Pairing", "Derive its class from it."
        )
    if not isinstance(getattr(pairing, "label", None), str) or not pairing.label:
        raise _misdrawn(pairing, "it has no label", "Set label to a short text.")
    neighbors = Neighbors(graph if graph is not None else nx.karate_club_graph())
    first = 0
    for number in range(rounds):
        drawn = list(pairing.pairs(neighbors, number, first, RandomStream(1)))
        again = list(pairing.pairs(neighbors, number, first, RandomStream(1)))
        if drawn != again:
            raise _misdrawn(
                pairing, f"round {number} differs when drawn again", "Take all chance from stream."
            )
        if not drawn:
            raise _misdrawn(pairing, f"it drew no pair in round {number}", "Draw at least one.")
        for pair in drawn:
            if not neighbors.joins(pair):
                raise _misdrawn(
                    pairing,
                    f"it drew {pair!r}, which is not an edge",
                    "Draw from neighbors.of(i) or neighbors.edges.",
                )
        first += len(drawn)


Answer: TypeAlias = str | Sequence[float] | Reply | Exception | None
"""What a ``FakeProvider`` can be given to answer with."""

_USAGE = Usage(input_tokens=40, output_tokens=5)
_ROUND = re.compile(r"You picked (\S+), the other player picked (\S+):")


class FakeProvider(Provider):
    """A provider that answers in this process: no key, no network, the same answers every time.

    Parameters
    ----------
    answers : callable, Policy, iterable or None, default None
        What it answers. A callable gets the question and how often its prompt was asked before; a
        policy is given the memory that the prompt shows (with the default template); an iterable
        is a script, used up one answer per call. An answer is

        - a text: the name, or an unusable reply if it is not a name of the pool; for a question
          with an empty pool, the answer;
        - a sequence of probabilities, one per name of the pool;
        - a ``Reply``, returned as it is;
        - an exception, such as a ``CallError``, which is raised;
        - None, or the end of a script: a name or text that depends on the prompt alone.
    distributions : bool, default False
        Give probabilities wherever the answer is a policy's or is left to the provider.
    delay : float or callable, default 0
        Seconds before each answer, or a function of the question that returns them. With 0, replies
        still overtake one another, by up to four turns of the event loop.
    usage : Usage, default 40 tokens read and 5 written
        What each call reports, unless the answer is a ``Reply``.
    label, model, place, max_tokens, free, calls_at_most
        As in ``Provider``; by default ``"fake:model"``, ``"model"``, ``"here"``, 20, True and 1.
    parameters : mapping, optional
        What is recorded as sent besides the prompt; the model's name if omitted.

    Attributes
    ----------
    asked : list of Question
        Every question so far, in order.
    seen : collections.Counter
        How often each prompt was asked.
    prepared : int
        How often ``prepare`` was called.
    in_flight, most_in_flight : int
        How many calls are being answered now, and the most there ever were.

    Examples
    --------
    >>> from mesa_llm_norms import NamingGame
    >>> provider = FakeProvider(lambda question, before: "M")
    >>> with_fakes = NamingGame("ring(n=6)", "QM", provider.mind(), rng=1)
    >>> with_fakes.step()
    >>> set(with_fakes.names_held.values()) - {None}, len(provider.asked)
    ({'M'}, 12)
    """

    writes = True

    def __init__(
        self,
        answers: Callable[[Question, int], Answer] | Policy | Iterable[Answer] | None = None,
        *,
        distributions: bool = False,
        delay: float | Callable[[Question], float] = 0.0,
        usage: Usage = _USAGE,
        label: str = "fake:model",
        model: str = "model",
        place: str = "here",
        max_tokens: int = 20,
        free: bool = True,
        calls_at_most: int = 1,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.label = label
        self.model = model
        self.place = place
        self.max_tokens = max_tokens
        self.free = free
        self.calls_at_most = calls_at_most
        self.usage = usage
        self.distributions = distributions
        self.asked: list[Question] = []
        self.seen: Counter[Prompt] = Counter()
        self.prepared: int = 0
        self.in_flight: int = 0
        self.most_in_flight: int = 0
        self._delay = delay
        self._sent = dict(parameters) if parameters is not None else {"model": model}
        self._answer = self._reader(answers)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What is recorded as sent besides the prompt."""
        return self._sent

    def gives_distributions(self, pool: Sequence[str]) -> bool:
        """Return whether replies are distributions; there is none of answers in words."""
        return self.distributions and bool(pool)

    async def prepare(self) -> None:
        """Count that it was prepared."""
        self.prepared += 1

    async def ask(self, question: Question) -> Reply:
        """Give the next answer, after the delay."""
        before = self.seen[question.prompt]
        self.seen[question.prompt] += 1
        self.asked.append(question)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            delay = self._delay(question) if callable(self._delay) else self._delay
            for _ in range(1 if delay else len(self.asked) % 5):
                await asyncio.sleep(delay)
            answer = self._answer(question, before)
        finally:
            self.in_flight -= 1
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, Reply):
            return answer
        if answer is None and not question.pool:
            answer = f"answer {crc32(question.prompt.user.encode())}"
        elif answer is None:
            answer = question.pool[crc32(question.prompt.user.encode()) % len(question.pool)]
            if self.distributions:
                shares = [2.0 if name == answer else 1.0 for name in question.pool]
                answer = [share / sum(shares) for share in shares]
        if not isinstance(answer, str):
            return Reply("", self.usage, distribution=tuple(answer), model=self.model)
        name = answer if answer in question.pool or not question.pool else None
        problem = None if name else "it is not a name of the pool"
        return Reply(answer, self.usage, name, None, problem, self.model, "stop")

    def _reader(self, answers: Any) -> Callable[[Question, int], Answer]:
        """Return the function that gives the answers, whatever form they were given in."""
        if isinstance(answers, Policy):
            return lambda question, _: self._by_policy(answers, question)
        if callable(answers):
            return answers  # type: ignore[no-any-return]
        script = iter(answers if answers is not None else ())
        return lambda *_: next(script, None)

    def _by_policy(self, policy: Policy, question: Question) -> Answer:
        memory = tuple(Remembered(*pair) for pair in _ROUND.findall(question.prompt.user))
        shares = policy.distribution(memory, question.pool)
        if self.distributions:
            return list(shares)
        return question.pool[bisect_right(cumulative_weights(shares), question.seed)]


def _distribution(mind: Policy, memory: Memory, pool: Sequence[str]) -> list[float]:
    """Return what a policy gives on ``memory``; ``MindError`` where it breaks the contract."""
    given = list(mind.distribution(memory, pool))
    if len(given) != len(pool) or not all(0 <= p <= 1 for p in given):
        raise _broken(mind, f"its distribution on {memory!r} is {given!r}")
    if not math.isclose(sum(given), 1, abs_tol=1e-6):
        raise _broken(mind, f"its probabilities on {memory!r} sum to {sum(given)}")
    if given != list(mind.distribution(memory, pool)):
        raise _broken(mind, "its distribution differs when asked again", "Keep no state.")
    backwards = list(mind.distribution(memory, pool[::-1]))[::-1]
    if not all(math.isclose(p, q, abs_tol=1e-6) for p, q in zip(given, backwards, strict=True)):
        raise _broken(
            mind,
            f"its distribution depends on the order of the pool: {given!r} and {backwards!r}",
            "Return the probabilities in the order of the pool that is given.",
        )
    return given


def _memories(game: Game) -> list[Memory]:
    """Return memories of every length, matched and not, over the pool's first and last names."""
    one, other = game.pool[0], game.pool[-1]
    pairs: list[Remembered] = [
        Remembered(*pair) for pair in ((one, one), (one, other), (other, one), (other, other))
    ]
    found: dict[Hashable, Memory] = {(): ()}
    for length in range(1, game.memory + 1):
        for start in range(len(pairs)):
            same = (pairs[start],) * length
            turns = tuple(pairs[(start + step) % len(pairs)] for step in range(length))
            found.update({same: same, turns: turns})
    return list(found.values())


def _broken(mind: Any, problem: str, remedy: str = "See docs/minds.md.") -> MindError:
    return MindError(
        "mind", mind, f"{getattr(mind, 'label', mind)!r} breaks the contract: {problem}", remedy
    )


def _misdrawn(pairing: Any, problem: str, remedy: str) -> PairingError:
    return PairingError("pairing", pairing, f"{pairing!r} breaks the contract: {problem}", remedy)
