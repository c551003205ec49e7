"""The runner: orders are obeyed, the page never waits, and what is shown is what was played."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from mesa_llm_norms import Decision, Mind, NamingGame, Situation
from mesa_llm_norms.web.model_source import ModelSource
from mesa_llm_norms.web.player import FULL_SPEED, Order, Runner
from mesa_llm_norms.web.setting import Commitment, Setting, Tie

RING = Setting(topology="ring(n=12)", names="QM", mind=("unbiased",), seed=3)
PATIENCE = 30
"""Seconds after which something that should happen at once has not happened."""


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def start() -> Iterator[Callable[..., Runner]]:
    runners: list[Runner] = []

    def begin(setting: Setting = RING, make: Any = ModelSource) -> Runner:
        runner = Runner(make, setting)
        runner.speed = FULL_SPEED
        runners.append(runner)
        runner.start()
        return runner

    yield begin
    for runner in runners:
        runner.close()


def ready(runner: Runner) -> Runner:
    until(lambda: runner.frame.state == "paused" and not runner.playing)
    return runner


def shows(runner: Runner, interactions: int) -> None:
    until(lambda: runner.frame.interactions == interactions)


def goes_on(runner: Runner) -> None:
    before = runner.frame.interactions
    until(lambda: runner.frame.interactions > before)


def held(runner: Runner) -> list[str | None]:
    pool = runner.frame.pool
    return [pool[ord(code) - 48] if code != " " else None for code in runner.frame.codes]


def played(setting: Setting, interactions: int) -> NamingGame:
    model = ModelSource(setting).model
    assert len(list(model.play(interactions))) == interactions
    return model


def test_a_population_is_shown_before_anything_is_played(start: Callable[..., Runner]) -> None:
    frame = ready(start()).frame
    assert frame.codes == " " * 12
    assert (frame.rounds, frame.interactions, frame.leader) == (0, 0, None)
    assert frame.pool == ("Q", "M")
    assert json.loads(frame.drawing)["ids"] == [str(node) for node in range(12)]


def test_one_interaction_and_one_round_are_played_and_no_more(
    start: Callable[..., Runner],
) -> None:
    runner = ready(start())
    for order, interactions in (
        (Order.INTERACTION, 1),
        (Order.INTERACTION, 2),
        (Order.ROUND, 12),
        (Order.ROUND, 24),
    ):
        runner.give(order)
        until(lambda: not runner.playing)
        shows(runner, interactions)
        assert held(ready(runner)) == list(played(RING, interactions).names_held.values())
    assert runner.frame.rounds == 2


def test_playing_until_they_agree_ends_in_agreement(start: Callable[..., Runner]) -> None:
    runner = ready(start(replace(RING, topology="complete(n=6)", mind=("claude-3.5-sonnet",))))
    runner.give(Order.CONVERGE)
    until(lambda: not runner.playing)
    until(lambda: runner.frame.converged and runner.frame.state == "paused")
    assert runner.frame.distinct == 1
    assert "every meeting matched" in runner.frame.note
    runner.give(Order.CONVERGE)
    at = runner.frame.interactions
    until(lambda: not runner.playing)
    assert ready(runner).frame.interactions == at


def test_pause_stops_play_where_it_is_and_play_goes_on_from_there(
    start: Callable[..., Runner],
) -> None:
    runner = ready(start())
    for _ in range(3):
        runner.give(Order.PLAY)
        goes_on(runner)
        runner.give(Order.PAUSE)
        assert not runner.playing
        at = ready(runner).setting.at
        shows(runner, at)
    assert held(runner) == list(played(RING, at).names_held.values())


def test_play_stops_by_itself_after_the_rounds_of_the_setting(
    start: Callable[..., Runner],
) -> None:
    runner = ready(start(replace(RING, rounds=5)))
    for rounds in (5, 10):
        runner.give(Order.PLAY)
        until(lambda: not runner.playing)
        shows(runner, 12 * rounds)
        ready(runner)
        assert f"Stopped after round {rounds}" in runner.frame.note


def test_a_pause_does_not_move_the_round_after_which_it_stops(
    start: Callable[..., Runner],
) -> None:
    runner = ready(start(replace(RING, rounds=4)))
    for _ in range(20):
        runner.give(Order.INTERACTION)
        until(lambda: not runner.playing)
    runner.give(Order.PLAY)
    until(lambda: not runner.playing)
    until(lambda: runner.frame.interactions == 48)


def test_a_setting_with_a_moment_and_changes_is_shown_at_that_moment(
    start: Callable[..., Runner],
) -> None:
    edits = (Commitment(7, 2, "M"), Tie(7, 0, 6, True), Commitment(20, 2, None))
    setting = replace(RING, edits=edits, at=40)
    runner = start(setting)
    until(lambda: runner.frame.interactions == 40)
    model = ModelSource(RING).model
    list(model.play(7))
    model.agent_on(2).commit("M")
    model.network.add_connection(model.network[0], model.network[6])  # type: ignore[index]
    list(model.play(13))
    model.agent_on(2).release()
    list(model.play(20))
    assert held(ready(runner)) == list(model.names_held.values())
    assert runner.setting == setting


def test_agents_are_committed_and_released_while_they_play(start: Callable[..., Runner]) -> None:
    runner = ready(start())
    runner.commit(4, "M")
    until(lambda: runner.frame.marks == "    c       ")
    runner.give(Order.PLAY)
    until(lambda: runner.frame.interactions > 100)
    runner.commit(4, None)
    until(lambda: runner.frame.marks == "")
    assert runner.playing
    runner.give(Order.PAUSE)
    setting = ready(runner).setting
    assert [edit._replace(at=0) for edit in setting.edits] == [
        Commitment(0, 4, "M"),
        Commitment(0, 4, None),
    ]
    again = start(setting)
    until(lambda: again.frame.interactions == setting.at)
    assert held(ready(again)) == held(runner)


def test_a_tie_is_added_and_cut_and_agents_stay_where_they_are(
    start: Callable[..., Runner],
) -> None:
    runner = ready(start())
    before = json.loads(runner.frame.drawing)
    runner.tie(0, 5, True)
    until(lambda: len(json.loads(runner.frame.drawing)["edges"]) == 13)
    after = json.loads(runner.frame.drawing)
    assert (after["x"], after["y"]) == (before["x"], before["y"])
    runner.tie(0, 5, False)
    until(lambda: len(json.loads(runner.frame.drawing)["edges"]) == 12)


def test_what_cannot_be_changed_is_told_and_play_goes_on(start: Callable[..., Runner]) -> None:
    runner = ready(start(replace(RING, topology="star(n=5)")))
    runner.tie(0, 3, False)
    until(lambda: "left alone" in runner.frame.error)
    runner.commit(9, "M")
    until(lambda: "no agent 9" in runner.frame.error)
    runner.give(Order.ROUND)
    until(lambda: runner.frame.interactions == 5)
    assert ready(runner).frame.error == ""
    assert runner.setting.edits == ()


def test_going_back_shows_what_was_there(start: Callable[..., Runner]) -> None:
    runner = ready(start())
    runner.give(Order.ROUND)
    until(lambda: runner.frame.interactions == 12)
    runner.seek(5)
    until(lambda: runner.frame.interactions == 5)
    assert held(ready(runner)) == list(played(RING, 5).names_held.values())


def test_what_cannot_be_made_is_told(start: Callable[..., Runner]) -> None:
    runner = start(replace(RING, topology="random_regular(n=5, d=3)"))
    until(lambda: runner.frame.error)
    assert runner.frame.state == "paused"
    runner.reset(RING)
    until(lambda: runner.frame.codes == " " * 12)
    assert ready(runner).frame.error == ""


def test_a_card_tells_what_an_agent_knows_and_would_choose(start: Callable[..., Runner]) -> None:
    setting = replace(RING, mind=("claude-3.5-sonnet",))
    runner = ready(start(setting))
    runner.give(Order.ROUND)
    until(lambda: runner.frame.interactions == 12)
    model = played(setting, 12)
    for place in range(12):
        card, agent = runner.card(place), model.agent_on(place)
        assert card is not None
        assert (card.node, card.name, card.score) == (str(place), agent.name, agent.score)
        assert [(own, partner) for own, partner, _ in card.memory] == list(agent.memory)
        assert card.choices is not None
        assert sum(chance for _, chance in card.choices) == pytest.approx(1)
        assert {partner.place for partner in card.partners} == {(place - 1) % 12, (place + 1) % 12}
        assert sum(partner.met for partner in card.partners) == sum(
            place in (row.node_a, row.node_b) for row in model.rows
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
    start: Callable[..., Runner],
) -> None:
    mind = Slow()
    runner = ready(start(make=slowly(mind)))
    runner.give(Order.ROUND)
    until(lambda: mind.asked >= 2)
    for interactions in (1, 2, 3):
        while runner.frame.interactions < interactions:
            mind.let.release()
            time.sleep(0.02)
        assert runner.playing
    mind.let.release(1_000)
    until(lambda: runner.frame.interactions == 12)


def test_pause_and_reset_do_not_wait_for_slow_minds(start: Callable[..., Runner]) -> None:
    mind = Slow()
    runner = ready(start(make=slowly(mind)))
    runner.give(Order.PLAY)
    until(lambda: mind.asked)
    runner.give(Order.PAUSE)
    assert not runner.playing
    until(lambda: runner.frame.state == "paused")
    assert runner.frame.interactions == 0
    runner.give(Order.PLAY)
    until(lambda: runner.frame.state == "playing")
    runner.reset(RING)
    until(lambda: runner.frame.state == "paused")
    mind.let.release(1_000)
    time.sleep(0.1)
    assert runner.frame.interactions == 0


def test_an_agent_is_committed_while_minds_are_slow(start: Callable[..., Runner]) -> None:
    mind = Slow()
    runner = ready(start(make=slowly(mind)))
    runner.give(Order.PLAY)
    until(lambda: mind.asked)
    runner.commit(0, "M")
    until(lambda: runner.frame.marks[:1] == "c")
    assert runner.playing
    mind.let.release(1_000)
    until(lambda: runner.frame.interactions > 3)


def test_what_goes_wrong_is_told_and_play_can_be_tried_again(
    start: Callable[..., Runner], caplog: pytest.LogCaptureFixture
) -> None:
    mind = Slow()
    mind.failure = RuntimeError("out of order")
    mind.let.release(1_000)
    runner = ready(start(make=slowly(mind)))
    runner.give(Order.PLAY)
    until(lambda: "out of order" in runner.frame.error)
    assert not runner.playing
    mind.failure = None
    runner.give(Order.ROUND)
    until(lambda: runner.frame.interactions == 12)
    assert ready(runner).frame.error == ""
    assert "unexpected error in a population" in caplog.text


def test_threads_end_when_the_page_is_closed(start: Callable[..., Runner]) -> None:
    def ours() -> set[threading.Thread]:
        names = ("mesa_llm_norms player", "mesa_llm_norms frames")
        return {thread for thread in threading.enumerate() if thread.name in names}

    before = ours()
    runner = ready(start())
    runner.give(Order.PLAY)
    mine = ours() - before
    assert len(mine) == 2
    runner.close()
    until(lambda: not any(thread.is_alive() for thread in mine))


def test_minds_of_all_kinds_play_here(start: Callable[..., Runner]) -> None:
    for mind in (("claude-3.5-sonnet=0.5", "llama-2-70b-chat=0.5"), ("unbiased",)):
        runner = ready(start(replace(RING, mind=mind)))
        runner.give(Order.ROUND)
        shows(runner, 12)
