"""What a click on an agent does, and that an error is a message that changes nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from mesa_llm_norms.web.page_state import COMMIT, CONNECT, LiveViews, PageState, take_drawn
from mesa_llm_norms.web.player import Order
from mesa_llm_norms.web.session import ViewerSession


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


@pytest.fixture
def state() -> Iterator[PageState]:
    session = ViewerSession("names=QM&topology=ring(n=8)&seed=2")
    until(lambda: session.players[0].frame.state == "paused")
    yield PageState(session)
    session.close()


class Channel:
    """A widget that sends nothing."""

    model_id = "channel of a test"


@pytest.mark.parametrize(
    ("widget", "event", "taken"),
    [
        (Channel.model_id, {"event": "event_drawn", "data": 0}, True),
        (Channel.model_id, {"event": "event_drawn", "data": "0"}, False),
        (Channel.model_id, {"event": "event_drawn", "data": True}, False),
        (Channel.model_id, {"event": "click", "data": 0}, False),
        (Channel.model_id, {}, False),
        ("another", {"event": "event_drawn", "data": 0}, False),
        ([], {"event": "event_drawn", "data": 0}, False),
    ],
)
def test_only_what_says_that_a_frame_is_drawn_is_taken(
    widget: object, event: object, taken: bool
) -> None:
    views = LiveViews(lambda: None)
    views.open(Channel())
    assert take_drawn(widget, event) is taken


def edges(state: PageState) -> int:
    return len(json.loads(state.session.players[0].frame.drawing)["edges"])


def test_a_click_selects_an_agent_and_one_beside_all_agents_none(state: PageState) -> None:
    state.pick(0, 3)
    assert state.selected.value == (0, 3)
    state.pick(0, -1)
    assert state.selected.value is None


def test_a_click_commits_an_agent_and_another_one_releases_it(state: PageState) -> None:
    state.mode.value, state.name.value = COMMIT, "M"
    player = state.session.players[0]
    state.pick(0, 3)
    until(lambda: player.frame.marks == "   c    ")
    assert state.selected.value == (0, 3)
    state.pick(0, 3)
    until(lambda: player.frame.marks == "")


def test_two_clicks_add_an_edge_and_two_more_remove_it(state: PageState) -> None:
    state.mode.value = CONNECT

    def click_both() -> None:
        state.pick(0, 0)
        assert state.first_end.value == (0, 0)
        state.pick(0, 4)
        assert state.first_end.value is None

    click_both()
    until(lambda: edges(state) == 9)
    click_both()
    until(lambda: edges(state) == 8)


def test_an_error_is_a_message_and_the_populations_stay(state: PageState) -> None:
    players = state.session.players
    state.attempt(lambda: state.session.change(topology="rong(n=3)"))
    assert "rong" in state.problem.value
    assert state.session.players is players
    state.attempt(lambda: state.session.change(topology="ring(n=9)"))
    assert state.problem.value == ""
    assert state.shown.value == 1


def test_a_frame_changes_no_layout_but_the_link(state: PageState) -> None:
    state.refresh()
    before = state.layout.value
    state.give(Order.STEP)
    until(lambda: state.session.players[0].frame.interactions == 1)
    state.refresh()
    assert state.layout.value == before
    until(lambda: not state.session.playing)
    state.attempt(lambda: None, other=False)
    assert "at=1" in state.link()


def test_a_slow_pace_comes_back_with_its_explanation(state: PageState) -> None:
    state.explain(True)
    state.attempt(lambda: state.session.restart(seed=3))
    state.explain(False)
    state.undo()
    assert (state.session.interval > 0) is state.explaining.value
    state.explain(False)
    assert state.session.interval == 0
