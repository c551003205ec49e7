"""The published checks fail where a mind or a rule breaks the contract, clause by clause."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from typing import Any

import networkx as nx
import pytest
from chances import FixedPolicy

from mesa_llm_norms import Decision, Mind, Neighbors, Pairing, Policy, ScriptedMind, TableMind
from mesa_llm_norms.core.game import Game, Memory, Remembered
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import CallError, DecisionError, MindError, PairingError, PoolError
from mesa_llm_norms.llm.prompt import Prompt
from mesa_llm_norms.llm.provider import Question, Reply, Usage
from mesa_llm_norms.minds import Situation, UniformMind
from mesa_llm_norms.networks.adjacency import Pair
from mesa_llm_norms.testing import FakeProvider, check_mind, check_pairing


class Unlabelled(Mind):
    async def decide(self, situation: Situation) -> Decision:
        return Decision(situation.game.pool[0])


class Answering(Unlabelled):
    label = "answering"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def decide(self, situation: Situation) -> Decision:  # noqa: ARG002
        return self.answer  # type: ignore[no-any-return]


class Moody(UniformMind):
    label = "moody"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        first = random.Random(id(object())).random() if memory else random.random()
        return [first, 1 - first]


class InItsOwnOrder(UniformMind):
    label = "in its own order"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        return [0.9, 0.1]


class Contrary(UniformMind):
    label = "contrary"

    async def decide(self, situation: Situation) -> Decision:
        return Decision(situation.game.pool[situation.draw < 2**31])


class OnlyOnceFull(UniformMind):
    """Breaks only when it remembers three interactions that did not match."""

    label = "late"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        if len(memory) == 3 and all(own != partner for own, partner in memory):
            return [1.0] * len(pool)
        return super().distribution(memory, pool)


class OnlyTwo(Policy):
    label = "only two"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        return [0.5, 0.5]


BROKEN: list[tuple[Any, str]] = [
    (object(), "not derived"),
    (UniformMind, "not derived"),
    (Unlabelled(), "no label"),
    (FixedPolicy(0.5, 0.5, label=""), "no label"),
    (FixedPolicy(0.5, 0.5, label=3), "no label"),  # type: ignore[arg-type]
    (Answering("Q"), "decide returned 'Q'"),
    (Answering(None), "decide returned None"),
    (Answering(Decision("Z")), "'Z', which is not in"),
    (Answering(Decision("q")), "'q', which is not in"),
    (FixedPolicy(0.5), "distribution on"),
    (FixedPolicy(0.2, 0.3, 0.5), "distribution on"),
    (FixedPolicy(0.5, 0.6), "sum to 1.1"),
    (FixedPolicy(1.5, -0.5), "distribution on"),
    (FixedPolicy(float("nan"), 1.0), "distribution on"),
    (Moody(), "differs when asked again"),
    (InItsOwnOrder(), "order of the pool"),
    (Contrary(), "where the draw picks"),
    (OnlyOnceFull(), "sum to 2"),
]


@pytest.mark.parametrize(("mind", "said"), BROKEN, ids=[said for _, said in BROKEN])
def test_a_mind_that_breaks_the_contract_is_told_how(mind: Any, said: str) -> None:
    with pytest.raises(MindError, match=said) as caught:
        check_mind(mind)
    assert caught.value.argument == "mind"
    assert caught.value.remedy


def test_a_mind_is_checked_on_the_pool_and_memory_that_are_asked_for() -> None:
    check_mind(OnlyOnceFull(), memory=2)
    check_mind(OnlyTwo())
    with pytest.raises(MindError):
        check_mind(OnlyTwo(), "QMX")
    with pytest.raises(PoolError):
        check_mind(UniformMind(), "Q")
    check_mind(UniformMind(), "Q M")


def test_a_mind_that_cannot_play_the_pool_says_so_itself() -> None:
    class Choosy(UniformMind):
        def check(self, game: Any) -> None:
            raise MindError("mind", self.label, "not with these", f"Not {game.pool}.")

    with pytest.raises(MindError, match="not with these"):
        check_mind(Choosy())


def test_a_mind_that_does_not_decide_breaks_no_contract_but_cannot_be_checked() -> None:
    with pytest.raises(DecisionError):
        check_mind(ScriptedMind({}))


class Rule(Pairing):
    """RandomStream what it is told to."""

    label = "rule"

    def __init__(self, *pairs: Any, label: Any = "rule") -> None:
        self.told = pairs
        self.label = label

    def pairs(
        self,
        neighbors: Neighbors,  # noqa: ARG002
        round_number: int,  # noqa: ARG002
        first: int,  # noqa: ARG002
        stream: RandomStream,  # noqa: ARG002
    ) -> Iterator[Pair]:
        yield from self.told


class Restless(Rule):
    def pairs(
        self, neighbors: Neighbors, round_number: int, first: int, stream: RandomStream
    ) -> Iterator[Pair]:
        random.shuffle(edges := list(neighbors.edges))
        yield from edges[: 1 + 0 * (round_number + first + stream.run)]


class TiredOut(Rule):
    def pairs(
        self, neighbors: Neighbors, round_number: int, first: int, stream: RandomStream
    ) -> Iterator[Pair]:
        yield from neighbors.edges[: 19 - round_number + 0 * (first + stream.run)]


BROKEN_RULES: list[tuple[Any, str]] = [
    (object(), "not derived"),
    (Rule, "not derived"),
    (Rule((0, 1), label=""), "no label"),
    (Rule((0, 1), label=None), "no label"),
    (Rule(), "no pair in round 0"),
    (TiredOut(), "no pair in round 19"),
    (Rule((0, 9)), "not an edge"),
    (Rule((0, 1), (1, 1)), "not an edge"),
    (Rule((-1, 0)), "not an edge"),
    (Rule((0, 1, 2)), "not an edge"),
    (Rule("ab"), "not an edge"),
    (Rule(0), "not an edge"),
    (Rule(None), "not an edge"),
    (Restless(), "differs when drawn again"),
]


@pytest.mark.parametrize(("rule", "said"), BROKEN_RULES, ids=[said for _, said in BROKEN_RULES])
def test_a_rule_that_breaks_the_contract_is_told_how(rule: Any, said: str) -> None:
    with pytest.raises(PairingError, match=said) as caught:
        check_pairing(rule)
    assert caught.value.argument == "pairing"
    assert caught.value.remedy


def test_a_rule_is_checked_on_the_graph_that_is_given() -> None:
    check_pairing(Rule((0, 9)), nx.complete_graph(10))
    check_pairing(Rule((0, 1)), nx.DiGraph([(0, 1)]))
    with pytest.raises(PairingError):
        check_pairing(Rule((1, 0)), nx.DiGraph([(0, 1)]))


# The provider that answers in this process

QUESTION = Question(Prompt("the rules", "your memory"), ("Q", "M"), 7)


def answers_of(provider: FakeProvider, times: int) -> list[Reply]:
    async def ask() -> list[Reply]:
        return [await provider.ask(QUESTION) for _ in range(times)]

    return asyncio.run(ask())


def test_a_fake_provider_answers_as_it_is_told_and_then_by_the_prompt_alone() -> None:
    script: list[Any] = ["M", "neither", [0.25, 0.75], Reply("x", Usage(), name="Q"), None]
    told = answers_of(FakeProvider(script, usage=Usage(3, 4)), 7)
    assert [reply.name for reply in told[:2]] == ["M", None]
    assert told[1].problem == "it is not a name of the pool"
    assert told[0].usage == Usage(3, 4)
    assert told[2].distribution == (0.25, 0.75)
    assert told[3] == script[3]
    assert len(set(told[4:])) == 1
    assert told[4].name in QUESTION.pool


def test_a_fake_provider_fails_and_counts_as_it_is_told() -> None:
    error = CallError("fake:model", "overloaded", "as told", 529)
    provider = FakeProvider(lambda _, before: error if before == 1 else "Q")
    assert answers_of(provider, 1)[0].name == "Q"
    with pytest.raises(CallError, match="as told"):
        answers_of(provider, 1)
    assert answers_of(provider, 1)[0].name == "Q"
    assert (len(provider.asked), provider.seen[QUESTION.prompt]) == (3, 3)
    assert (provider.in_flight, provider.most_in_flight) == (0, 1)


@pytest.mark.parametrize("distributions", [False, True])
def test_a_fake_provider_may_play_as_a_policy_on_the_memory_in_the_prompt(
    distributions: bool,
) -> None:
    mirror = TableMind("mirror", "QM", {(): [1, 0], (Remembered("Q", "M"),): [0, 1]})
    mind = FakeProvider(mirror, distributions=distributions).mind()
    check_mind(mind, memory=1)
    prompt = mind.template.fill(Game(("Q", "M")), (Remembered("Q", "M"),), "QM")
    reply = asyncio.run(mind.provider.ask(Question(prompt, ("Q", "M"), 0)))
    assert reply.distribution == (0.0, 1.0) if distributions else reply.name == "M"
