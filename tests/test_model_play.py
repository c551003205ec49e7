"""Play one interaction at a time: stopped anywhere, changed by hand, interrupted."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from chances import Waiting, copying
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from mesa_llm_norms import Decision, Mind, NamingGame, load_mind
from mesa_llm_norms.errors import InterruptionError, MindError, SpecError
from mesa_llm_norms.minds import Situation


def a_game(**arguments: Any) -> NamingGame:
    return NamingGame(
        **{"graph": "ring(n=6)", "names": "QM", "mind": copying("QM"), "rng": 3, **arguments}
    )


@settings(max_examples=60)
@given(specs(), st.lists(st.integers(0, 30), min_size=1, max_size=6), st.booleans())
def test_a_run_taken_apart_anywhere_is_the_same_run(
    arguments: dict[str, Any], pieces: list[int], waiting: bool
) -> None:
    if waiting:
        arguments = {**arguments, "mind": Waiting(copying(arguments["names"]))}
    whole = list(NamingGame(**arguments).play(sum(pieces)))
    game = NamingGame(**arguments)
    parts = [row for piece in pieces for row in game.play(piece)]
    assert parts == whole
    assert game.interactions == sum(pieces)


@settings(max_examples=40)
@given(specs(), st.integers(0, 40))
def test_a_step_plays_what_is_left_of_the_round(arguments: dict[str, Any], played: int) -> None:
    stepped, game = NamingGame(**arguments), NamingGame(**arguments)
    begun = list(game.play(played))
    game.step()
    rounds = game.rows[-1].round + 1
    for _ in range(rounds):
        stepped.step()
    assert begun + game.rows == list(NamingGame(**arguments).play(stepped.interactions))
    assert game.names_held == stepped.names_held
    assert game.outcome == stepped.outcome


def test_a_round_that_was_played_to_its_end_is_over() -> None:
    game = a_game()
    rows = list(game.play(6))
    assert {row.round for row in rows} == {0}
    game.step()
    assert len(game.rows) == 6
    assert {row.round for row in game.rows} == {1}


def test_edges_changed_between_two_interactions_count_at_once() -> None:
    game = a_game()
    rows = game.play()
    before = [next(rows) for _ in range(4)]
    graph = game.network.G
    graph.remove_edges_from([edge for edge in list(graph.edges) if edge != (0, 1)])
    graph.add_edges_from([(0, node) for node in range(2, 6)])
    after = [next(rows) for _ in range(12)]
    assert {row.round for row in before} == {0}
    assert {row.round for row in after} == {1, 2}
    assert all(0 in (row.node_a, row.node_b) for row in after)


def test_play_collects_no_data() -> None:
    game = a_game()
    list(game.play(12))
    assert game.datacollector.get_model_vars_dataframe().empty


def test_no_number_of_interactions_but_a_whole_one() -> None:
    with pytest.raises(SpecError):
        a_game().play(-1)


def test_an_agent_may_be_committed_and_released_at_any_time() -> None:
    game = a_game(names="QMX", mind="uniform")
    agent = game.agent_on(2)
    minds, committed = [agent.mind], [agent.committed]
    agent.commit("X")
    agent.commit("M")
    committed.append(agent.committed)
    rows = [row for row in game.play(40) if 2 in (row.node_a, row.node_b)]
    assert {row.name_a if row.node_a == 2 else row.name_b for row in rows} == {"M"}
    agent.release()
    minds.append(agent.mind)
    committed.append(agent.committed)
    assert committed == [None, "M", None]
    with pytest.raises(MindError):
        agent.commit("Z")
    assert minds == [agent.mind, agent.mind]


def test_who_is_committed_from_the_start_has_a_mind_to_go_back_to() -> None:
    minds = {node: load_mind("claude-3.5-sonnet" if node % 2 else "uniform") for node in range(6)}
    game = a_game(mind=minds, committed={"M": [0, 1, 2]})
    for agent in game.players:
        agent.release()
    assert [agent.mind.label for agent in game.players] == [minds[node].label for node in range(6)]


class Stuck(Mind):
    """Says when it is asked, and answers once it is told to."""

    label = "stuck"

    def __init__(self) -> None:
        self.asked, self.told = threading.Event(), threading.Event()

    async def decide(self, situation: Situation) -> Decision:
        self.asked.set()
        while not self.told.is_set():
            await asyncio.sleep(0.001)
        return Decision(situation.game.pool[situation.interaction % 2])


@pytest.mark.parametrize("stepping", [True, False])
def test_waiting_for_minds_can_be_interrupted_and_gone_on_with(stepping: bool) -> None:
    mind = Stuck()
    game = a_game(mind=mind)
    ended: list[object] = []

    def play() -> None:
        try:
            if stepping:
                game.step()
            else:
                ended.append(list(game.play(6)))
        except InterruptionError as error:
            ended.append(error)

    player = threading.Thread(target=play)
    player.start()
    assert mind.asked.wait(30)
    game.interrupt()
    player.join(30)
    assert not player.is_alive()
    assert isinstance(ended[0], InterruptionError) if stepping else ended == [[]]
    assert game.interactions == 0
    mind.told.set()
    expected = a_game(mind=mind)
    assert list(game.play(9)) == list(expected.play(9))


def test_to_interrupt_nothing_does_nothing() -> None:
    game = a_game()
    game.interrupt()
    assert len(list(game.play(3))) == 3
