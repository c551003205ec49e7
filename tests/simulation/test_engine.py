"""Plan, decide, commit: neither sees the other's choice, and nothing is ever made up."""

from __future__ import annotations

import asyncio
import dataclasses
import multiprocessing
import os
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import networkx as nx
import pytest
from chances import FixedPolicy, LoggedGame, Waiting, Watching, copying, without_rounds
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from mesa_llm_norms import Decision, Mind, NamingGame, Policy, ScriptedMind, run_ensemble
from mesa_llm_norms.core.game import Memory, remember
from mesa_llm_norms.errors import DecisionError, MindError
from mesa_llm_norms.minds import CommittedMind, Situation, UniformMind
from mesa_llm_norms.simulation.engine import is_plain_policy


def play(rounds: int = 6, **arguments: Any) -> LoggedGame:
    game = LoggedGame(**{"graph": "ring(n=6)", "names": "QM", "rng": 3, **arguments})
    game.run(rounds=rounds, until=None)
    return game


@settings(max_examples=40)
@given(specs(), st.booleans())
def test_each_sees_its_own_old_memory_and_nothing_of_the_other(
    arguments: dict[str, Any], waits: bool
) -> None:
    """Every situation holds what the rows before it say, also of the very same interaction."""
    watching = Watching(Waiting(UniformMind()) if waits else UniformMind())
    game = play(rounds=3, **{**arguments, "mind": watching})
    length = game.game.memory
    start = ((arguments["incumbent"],) * 2,) * length if arguments["incumbent"] else ()
    held: dict[Hashable, Memory] = dict.fromkeys(game.network.G, start)  # type: ignore[arg-type]
    committed = {agent.node for agent in game.players if agent.committed}
    seen = {(situation.interaction, situation.seat): situation for situation in watching.seen}
    for row in game.log:
        for seat, node in enumerate((row.node_a, row.node_b)):
            if node not in committed:
                assert seen[row.interaction, seat].memory == held[node]
                assert (
                    seen[row.interaction, seat].draw
                    == (game._engine.stream.interaction(row.interaction)[2 + seat])
                )
        held[row.node_a] = remember(held[row.node_a], row.name_a, row.name_b, length)
        held[row.node_b] = remember(held[row.node_b], row.name_b, row.name_a, length)
    assert {agent.node: agent.memory for agent in game.players} == held


@settings(max_examples=40)
@given(specs(), st.sets(st.integers(0, 11)))
def test_a_mind_that_waits_plays_as_one_that_does_not_also_mixed(
    arguments: dict[str, Any], waiting: set[int]
) -> None:
    plain: Policy = copying(arguments["names"])
    nodes = list(arguments["graph"])
    mixed = {
        node: Waiting(plain) if place in waiting else plain for place, node in enumerate(nodes)
    }
    expected = play(**{**arguments, "mind": plain}).log
    assert play(**{**arguments, "mind": Waiting(plain)}).log == expected
    assert play(**{**arguments, "mind": mixed}).log == expected


def test_both_seats_decide_at_the_same_time() -> None:
    """Each waits until the other was asked too: one after the other would never end."""

    class Together(Mind):
        label = "together"
        asked = 0

        async def decide(self, situation: Situation) -> Decision:
            self.asked += 1
            wanted = 2 * (situation.interaction + 1)
            while self.asked < wanted:
                await asyncio.sleep(0)
            return Decision("Q")

    assert play(rounds=2, mind=Together()).interactions == 12


def test_a_step_is_plain_python_inside_a_running_event_loop() -> None:
    expected = play(rounds=2, mind=copying("QM")).log

    async def main() -> LoggedGame:
        await asyncio.sleep(0)
        game = play(rounds=2, mind=Waiting(copying("QM")))
        await asyncio.sleep(0)
        return game

    assert asyncio.run(main()).log == expected


def _names(queue: Any) -> None:
    queue.put(play(rounds=1, mind=Waiting(UniformMind())).names_held)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_process_can_ask_minds_too() -> None:
    """The thread of the event loop is not there in the child; a new one is started."""
    expected = play(rounds=1, mind=Waiting(UniformMind())).names_held
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_names, args=(queue,), daemon=True)
    child.start()
    try:
        assert queue.get(timeout=60) == expected
    finally:
        child.kill()
        child.join()
        queue.close()


# Where no decision is made


class Raising(Mind):
    label = "raising"

    async def decide(self, situation: Situation) -> Decision:  # noqa: ARG002
        await asyncio.sleep(0)
        raise ZeroDivisionError("as bad as it gets")


class Mute(Mind):
    label = "mute"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    async def decide(self, situation: Situation) -> Decision:  # noqa: ARG002
        return self.answer  # type: ignore[no-any-return]


def script(bad: int, seat: int, name: str) -> Callable[[Situation], str]:
    """Alternate names, but play ``name`` in one interaction."""

    def chosen(situation: Situation) -> str:
        if (situation.interaction, situation.seat) == (bad, seat):
            return name
        return "QM"[situation.interaction % 2]

    return chosen


@pytest.mark.parametrize("seat", [0, 1])
def test_a_name_outside_the_pool_stops_the_interaction_and_nothing_changes(seat: int) -> None:
    mind = ScriptedMind(script(9, seat, "Z"), "bad")
    game = play(rounds=1, mind=mind)
    expected = play(rounds=1, mind=ScriptedMind(script(99, 0, "Z")))
    with pytest.raises(DecisionError, match="'Z', which is not in the pool") as caught:
        game.step()
    assert caught.value.mind == "bad"
    assert game.interactions == 9
    assert [row.interaction for row in game.rows] == [6, 7, 8]
    assert game.log == [*expected.log, *game.rows]
    assert game.round is not None
    assert game.round.interactions == 9
    replayed: dict[Hashable, Memory] = dict.fromkeys(game.network.G, ())
    for row in game.log:
        replayed[row.node_a] = remember(replayed[row.node_a], row.name_a, row.name_b, 5)
        replayed[row.node_b] = remember(replayed[row.node_b], row.name_b, row.name_a, 5)
    assert {agent.node: agent.memory for agent in game.players} == replayed


def test_once_the_mind_is_put_right_the_run_goes_on_as_if_nothing_had_happened() -> None:
    expected = play(rounds=4, mind=ScriptedMind(script(99, 0, "Z"))).log
    game = play(rounds=1, mind=ScriptedMind(script(9, 0, "Z")))
    with pytest.raises(DecisionError):
        game.step()
    for agent in game.players:
        agent.mind = ScriptedMind(script(99, 0, "Z"))
    game.run(rounds=3, until=None)
    assert without_rounds(game.log)[:24] == without_rounds(expected)


@pytest.mark.parametrize("other", [UniformMind(), Raising()])
def test_a_mind_that_raises_is_heard_and_nothing_changes(other: Mind) -> None:
    game = LoggedGame(graph=nx.path_graph(2), names="QM", mind={0: Raising(), 1: other}, rng=1)
    with pytest.raises(ZeroDivisionError, match="as bad"):
        game.step()
    assert game.interactions == 0
    assert game.names_held == {0: None, 1: None}
    assert not any(agent.memory for agent in game.players)


@pytest.mark.parametrize("answer", ["Q", None, ("Q", 1.0), Decision("q"), Decision(["Q"])])  # type: ignore[arg-type]
def test_what_is_no_decision_is_never_replaced_by_one(answer: Any) -> None:
    game = play(rounds=0, mind=Mute(answer))
    with pytest.raises(DecisionError):
        game.step()
    assert game.interactions == 0


@pytest.mark.parametrize(
    "probabilities",
    [(0.5,), (0.5, 0.5, 0.0), (0.5, 0.6), (0.0, 0.0), (-0.5, 1.5), (float("nan"), 1.0)],
)
def test_a_distribution_that_is_none_is_refused(probabilities: Sequence[float]) -> None:
    for mind in (FixedPolicy(*probabilities), {0: FixedPolicy(*probabilities), 1: Mute("Q")}):
        game = NamingGame(graph=nx.path_graph(2), names="QM", mind=mind, rng=1)
        with pytest.raises(MindError, match="one probability per name"):
            game.step()
        assert game.interactions == 0


# Policies


@dataclasses.dataclass
class Leaning(Policy):
    """A mind as users write them: a dataclass, so neither hashable nor the same as its equals."""

    towards: float
    label: str = "leaning"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        return [self.towards, 1 - self.towards]


def test_minds_need_not_be_hashable() -> None:
    mind = {node: Leaning(node / 5) for node in range(6)}
    game = play(rounds=50, mind=mind)
    played = {node: set[str]() for node in range(6)}
    for row in game.log:
        played[row.node_a].add(row.name_a)  # type: ignore[index]
        played[row.node_b].add(row.name_b)  # type: ignore[index]
    assert played[0] == {"M"}
    assert played[5] == {"Q"}
    assert played[2] == {"Q", "M"}


def test_a_mind_replaced_between_steps_plays_at_once() -> None:
    game = play(rounds=2, mind=CommittedMind("Q"))
    for agent in game.players:
        agent.mind = CommittedMind("M")
    game.step()
    assert {row.name_a for row in game.rows} == {"M"}


def test_a_policy_that_decides_otherwise_is_asked() -> None:
    class Contrary(UniformMind):
        async def decide(self, situation: Situation) -> Decision:
            return Decision(situation.game.pool[situation.seat])

    assert is_plain_policy(UniformMind())
    assert not is_plain_policy(Contrary())
    assert not is_plain_policy(ScriptedMind("Q"))
    game = play(rounds=2, mind=Contrary())
    assert {(row.name_a, row.name_b) for row in game.log} == {("Q", "M")}


def test_an_ensemble_asks_minds_as_a_model_does() -> None:
    arguments: dict[str, Any] = {"graph": "ring(n=6)", "names": "QM", "rng": 3}
    one, other = (
        run_ensemble(**arguments, mind=mind, runs=3, rounds=4, keep_interactions=True).interactions
        for mind in (copying("QM"), Waiting(copying("QM")))
    )
    assert one is not None
    assert other is not None
    assert one.equals(other)
