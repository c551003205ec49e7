"""The player: orders are obeyed, the page never waits, and what is shown is what was played."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from mesa_llm_norms import Decision, Mind, NamingGame, NetworkGame
from mesa_llm_norms.minds import Situation
from mesa_llm_norms.web.model_source import ModelSource
from mesa_llm_norms.web.player import FULL_SPEED, Order, Player
from mesa_llm_norms.web.setting import Commitment, EdgeChange, Setting

RING = Setting(topology="ring(n=12)", names="QM", mind=("uniform",), seed=3)
PATIENCE = 30
"""Seconds after which something that should happen at once has not happened."""


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def start() -> Iterator[Callable[..., Player]]:
    players: list[Player] = []

    def begin(setting: Setting = RING, make: Any = ModelSource) -> Player:
        player = Player(make, setting, speed=FULL_SPEED)
        players.append(player)
        player.start()
        return player

    yield begin
    for player in players:
        player.close()


@pytest.fixture
def restart(start: Callable[..., Player]) -> Iterator[Callable[[Player, Setting], Player]]:  # noqa: ARG001
    players: list[Player] = []

    def again(player: Player, setting: Setting) -> Player:
        players.append(player.restart(setting))
        return players[-1]

    yield again
    for player in players:
        player.close()


def ready(player: Player) -> Player:
    until(lambda: player.frame.state == "paused" and not player.playing)
    return player


def shows(player: Player, interactions: int) -> None:
    until(lambda: player.frame.interactions == interactions)


def goes_on(player: Player) -> None:
    goes_on_from(player, player.frame.interactions)


def goes_on_from(player: Player, before: int) -> None:
    until(lambda: player.frame.interactions > before)


def test_an_interaction_takes_its_time_and_another_pace_holds_at_once(
    start: Callable[..., Player],
) -> None:
    player = ready(start())
    player.interval = 600
    player.give(Order.PLAY)
    shows(player, 1)
    assert stands_still(player)
    assert player.playing
    player.interval = 0
    goes_on(player)


def test_play_goes_on_to_the_next_interaction_of_an_agent(start: Callable[..., Player]) -> None:
    player = ready(start())
    for agent in (5, 5, 2):
        before = player.frame.interactions
        player.give(Order.AGENT, agent)
        goes_on_from(player, before)
        frame = ready(player).frame
        expected = ModelSource(RING)
        rows = list(expected.model.play(frame.interactions))[before:]
        assert [agent in row.nodes for row in rows] == [False] * (len(rows) - 1) + [True]
        assert frame.encounter is not None
        assert frame.encounter.row == rows[-1]


def stands_still(player: Player) -> bool:
    assert player.history is not None
    before = player.history.interactions
    time.sleep(0.1)
    return player.history.interactions == before


def held(player: Player) -> list[str | None]:
    pool = player.frame.pool
    return [pool[ord(code) - 48] if code != " " else None for code in player.frame.codes]


def played(setting: Setting, interactions: int) -> NetworkGame:
    model = ModelSource(setting).model
    assert len(list(model.play(interactions))) == interactions
    return model


def test_a_population_is_shown_before_anything_is_played(start: Callable[..., Player]) -> None:
    frame = ready(start()).frame
    assert frame.codes == " " * 12
    assert (frame.rounds, frame.interactions, frame.leader) == (0, 0, None)
    assert frame.pool == ("Q", "M")
    assert json.loads(frame.drawing)["ids"] == [str(node) for node in range(12)]


def test_one_interaction_and_one_round_are_played_and_no_more(
    start: Callable[..., Player],
) -> None:
    player = ready(start())
    for order, interactions in (
        (Order.STEP, 1),
        (Order.STEP, 2),
        (Order.ROUND, 12),
        (Order.ROUND, 24),
    ):
        player.give(order)
        until(lambda: not player.playing)
        shows(player, interactions)
        assert held(ready(player)) == list(played(RING, interactions).names_held.values())
    assert player.frame.rounds == 2


def test_run_to_convergence_ends_in_agreement(start: Callable[..., Player]) -> None:
    player = ready(start(replace(RING, topology="complete(n=6)", mind=("claude-3.5-sonnet",))))
    player.give(Order.CONVERGE)
    until(lambda: not player.playing)
    until(lambda: player.frame.converged and player.frame.state == "paused")
    assert player.frame.distinct == 1
    assert "all interactions of the last three rounds matched" in player.frame.note
    player.give(Order.CONVERGE)
    at = player.frame.interactions
    until(lambda: not player.playing)
    assert ready(player).frame.interactions == at


def test_pause_stops_play_where_it_is_and_play_goes_on_from_there(
    start: Callable[..., Player],
) -> None:
    player = ready(start())
    for _ in range(3):
        player.give(Order.PLAY)
        goes_on(player)
        player.give(Order.PAUSE)
        assert not player.playing
        at = ready(player).setting.at
        shows(player, at)
    assert held(player) == list(played(RING, at).names_held.values())


def has_played(player: Player, interactions: int) -> bool:
    return player.history is not None and player.history.interactions > interactions


def test_nothing_plays_while_nobody_watches_and_then_it_continues(
    start: Callable[..., Player],
) -> None:
    """Neither what was ordered nor what a link asks for, which is played before it is shown."""
    for player, order in ((ready(start()), Order.PLAY), (start(replace(RING, at=100_000)), None)):
        if order is not None:
            player.give(order)
            goes_on(player)
        else:
            until(partial(has_played, player, 100))
        player.hold(True)
        until(partial(stands_still, player))
        player.hold(False)
        before = player.history.interactions if player.history is not None else 0
        until(partial(has_played, player, before))
        assert player.playing is (order is not None)
        player.hold(True)
        player.close()
        player.join(PATIENCE)
        assert not any(thread.is_alive() for thread in player._threads)


def test_no_more_changes_are_made_than_a_link_can_hold(start: Callable[..., Player]) -> None:
    player = ready(start(replace(RING, edits=tuple(Commitment(0, 1, "Q") for _ in range(999)))))
    player.commit(2, "M")
    until(lambda: player.frame.marks[2:3] == "c")
    assert len(player.setting.edits) == 1_000
    player.commit(3, "M")
    until(lambda: "Reset" in player.frame.error)
    assert len(player.setting.edits) == 1_000
    assert player.frame.marks[3:4] == " "


def test_play_stops_by_itself_after_the_rounds_of_the_setting(
    start: Callable[..., Player],
) -> None:
    player = ready(start(replace(RING, rounds=5)))
    for rounds in (5, 10):
        player.give(Order.PLAY)
        until(lambda: not player.playing)
        shows(player, 12 * rounds)
        ready(player)
        assert f"Stopped after round {rounds}" in player.frame.note


def test_a_pause_does_not_move_the_round_after_which_it_stops(
    start: Callable[..., Player],
) -> None:
    player = ready(start(replace(RING, rounds=4)))
    for _ in range(20):
        player.give(Order.STEP)
        until(lambda: not player.playing)
    player.give(Order.PLAY)
    until(lambda: not player.playing)
    until(lambda: player.frame.interactions == 48)


def test_a_setting_with_a_moment_and_changes_is_shown_at_that_moment(
    start: Callable[..., Player],
) -> None:
    edits = (Commitment(7, 2, "M"), EdgeChange(7, 0, 6, True), Commitment(20, 2, None))
    setting = replace(RING, edits=edits, at=40)
    player = start(setting)
    until(lambda: player.frame.interactions == 40)
    model = ModelSource(RING).model
    list(model.play(7))
    model.agent_on(2).commit("M")
    model.network.add_connection(model.network[0], model.network[6])  # type: ignore[index]
    list(model.play(13))
    model.agent_on(2).release()
    list(model.play(20))
    assert held(ready(player)) == list(model.names_held.values())
    assert player.setting == setting


def test_agents_are_committed_and_released_while_they_play(start: Callable[..., Player]) -> None:
    player = ready(start())
    player.commit(4, "M")
    until(lambda: player.frame.marks == "    c       ")
    player.give(Order.PLAY)
    until(lambda: player.frame.interactions > 100)
    player.commit(4, None)
    until(lambda: player.frame.marks == "")
    assert player.playing
    player.give(Order.PAUSE)
    setting = ready(player).setting
    assert [edit._replace(at=0) for edit in setting.edits] == [
        Commitment(0, 4, "M"),
        Commitment(0, 4, None),
    ]
    again = start(setting)
    until(lambda: again.frame.interactions == setting.at)
    assert held(ready(again)) == held(player)


def test_an_edge_is_added_and_removed_and_agents_stay_where_they_are(
    start: Callable[..., Player],
) -> None:
    player = ready(start())
    before = json.loads(player.frame.drawing)
    player.set_edge(0, 5, True)
    until(lambda: len(json.loads(player.frame.drawing)["edges"]) == 13)
    after = json.loads(player.frame.drawing)
    assert (after["x"], after["y"]) == (before["x"], before["y"])
    player.set_edge(0, 5, False)
    until(lambda: len(json.loads(player.frame.drawing)["edges"]) == 12)


def test_what_cannot_be_changed_is_told_and_play_goes_on(start: Callable[..., Player]) -> None:
    player = ready(start(replace(RING, topology="star(n=5)")))
    player.set_edge(0, 3, False)
    until(lambda: "isolate" in player.frame.error)
    player.commit(9, "M")
    until(lambda: "no agent 9" in player.frame.error)
    player.give(Order.ROUND)
    until(lambda: player.frame.interactions == 5)
    assert ready(player).frame.error == ""
    assert player.setting.edits == ()


def test_an_earlier_moment_shows_what_was_there(
    start: Callable[..., Player], restart: Callable[[Player, Setting], Player]
) -> None:
    player = ready(start())
    player.give(Order.ROUND)
    until(lambda: player.frame.interactions == 12)
    player = restart(player, replace(player.setting, at=5))
    until(lambda: player.frame.interactions == 5)
    assert held(ready(player)) == list(played(RING, 5).names_held.values())


def test_what_cannot_be_made_is_a_message(
    start: Callable[..., Player], restart: Callable[[Player, Setting], Player]
) -> None:
    player = start(replace(RING, topology="random_regular(n=5, d=3)"))
    until(lambda: player.frame.error)
    assert player.frame.state == "paused"
    player = restart(player, RING)
    until(lambda: player.frame.codes == " " * 12)
    assert ready(player).frame.error == ""


def test_the_details_tell_what_an_agent_knows_and_would_choose(
    start: Callable[..., Player],
) -> None:
    setting = replace(RING, mind=("claude-3.5-sonnet",))
    player = ready(start(setting))
    player.give(Order.ROUND)
    until(lambda: player.frame.interactions == 12)
    model = played(setting, 12)
    for place in range(12):
        details, agent = player.details(place), model.agent_on(place)
        assert details is not None
        assert (details.node, details.name, details.score) == (str(place), agent.name, agent.score)
        assert [(own, partner) for own, partner, _ in details.memory] == list(agent.memory)
        assert details.choices is not None
        assert sum(probability for _, probability in details.choices) == pytest.approx(1)
        assert {partner.index for partner in details.partners} == {
            (place - 1) % 12,
            (place + 1) % 12,
        }
        assert sum(partner.met for partner in details.partners) == sum(
            place in row.nodes for row in model.rows
        )


class Slow(Mind):
    """Answers when it is let, and counts how often it was asked."""

    label = "slow"

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.asked = 0
        self.failure: Exception | None = None

    async def decide(self, situation: Situation) -> Decision:
        self.asked += 1
        while not self.let.acquire(blocking=False):
            await asyncio.sleep(0.002)
        if self.failure is not None:
            raise self.failure
        return Decision(situation.game.pool[situation.interaction % 2])


class SlowGame(NamingGame):
    """Everybody has one slow mind."""

    mind: Mind

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**{**arguments, "mind": type(self).mind})


def slowly(mind: Mind) -> Callable[[Setting], ModelSource]:
    kind = type("SlowGameOfOne", (SlowGame,), {"mind": mind})
    return lambda setting: ModelSource(setting, kind)


def test_interactions_of_slow_minds_appear_as_they_are_committed(
    start: Callable[..., Player],
) -> None:
    mind = Slow()
    player = ready(start(make=slowly(mind)))
    player.give(Order.ROUND)
    until(lambda: mind.asked >= 2)
    for interactions in (1, 2, 3):
        while player.frame.interactions < interactions:
            mind.let.release()
            time.sleep(0.02)
        assert player.playing
    mind.let.release(1_000)
    until(lambda: player.frame.interactions == 12)


def test_pause_and_restart_do_not_wait_for_slow_minds(
    start: Callable[..., Player], restart: Callable[[Player, Setting], Player]
) -> None:
    mind = Slow()
    player = ready(start(make=slowly(mind)))
    player.give(Order.PLAY)
    until(lambda: mind.asked)
    player.give(Order.PAUSE)
    assert not player.playing
    until(lambda: player.frame.state == "paused")
    assert player.frame.interactions == 0
    player.give(Order.PLAY)
    until(lambda: player.frame.state == "playing")
    other = restart(player, RING)
    assert other.frame.state == "preparing"
    until(lambda: other.frame.state == "paused")
    version = player.version
    mind.let.release(1_000)
    time.sleep(0.1)
    assert (player.version, other.frame.interactions) == (version, 0)


def test_an_agent_is_committed_while_minds_are_slow(start: Callable[..., Player]) -> None:
    mind = Slow()
    player = ready(start(make=slowly(mind)))
    player.give(Order.PLAY)
    until(lambda: mind.asked)
    player.commit(0, "M")
    until(lambda: player.frame.marks[:1] == "c")
    assert player.playing
    mind.let.release(1_000)
    until(lambda: player.frame.interactions > 3)


def test_what_goes_wrong_is_told_and_play_can_be_tried_again(
    start: Callable[..., Player], caplog: pytest.LogCaptureFixture
) -> None:
    mind = Slow()
    mind.failure = RuntimeError("out of order")
    mind.let.release(1_000)
    player = ready(start(make=slowly(mind)))
    player.give(Order.PLAY)
    until(lambda: "out of order" in player.frame.error)
    assert not player.playing
    mind.failure = None
    player.give(Order.ROUND)
    until(lambda: player.frame.interactions == 12)
    assert ready(player).frame.error == ""
    assert "unexpected error in a population" in caplog.text


def test_threads_end_when_the_page_is_closed(start: Callable[..., Player]) -> None:
    def ours() -> set[threading.Thread]:
        names = ("mesa_llm_norms player", "mesa_llm_norms frames")
        return {thread for thread in threading.enumerate() if thread.name in names}

    before = ours()
    player = ready(start())
    player.give(Order.PLAY)
    mine = ours() - before
    assert len(mine) == 2
    player.close()
    until(lambda: not any(thread.is_alive() for thread in mine))


def test_minds_of_all_kinds_play_here(start: Callable[..., Player]) -> None:
    for mind in (("claude-3.5-sonnet=0.5", "llama-2-70b-chat=0.5"), ("uniform",)):
        player = ready(start(replace(RING, mind=mind)))
        player.give(Order.ROUND)
        shows(player, 12)
