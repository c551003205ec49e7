"""Live minds on the page: what agents are asked, what it costs, when it stops, what goes wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from messages_server import Fault, MessagesServer

from mesa_llm_norms.web.model_source import Hosting, host, hosting
from mesa_llm_norms.web.player import FULL_SPEED, Order, Runner
from mesa_llm_norms.web.replay import read_recorded_run
from mesa_llm_norms.web.session import Visit

LIVE = "claude:claude-test-1"
QUERY = f"mind={LIVE}&names=QM&topology=ring(n=6)&seed=2"


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


@pytest.fixture
def started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[Visit, Runner]]]:
    """Start a visit to a page with a live mind behind a server that is on this computer."""
    before, visits = hosting(), []

    def start(
        server: MessagesServer, budget_calls: int = 500, more: str = ""
    ) -> tuple[Visit, Runner]:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        host(Hosting(minds=(LIVE,), folder=tmp_path, budget_calls=budget_calls))
        visit = Visit(QUERY + more)
        visits.append(visit)
        assert visit.problem == ""
        runner = visit.runners[0]
        visit.speed = FULL_SPEED
        until(lambda: runner.frame.state == "paused")
        return visit, runner

    yield start
    for visit in visits:
        visit.close()
        source = visit.runners[0].source
        if source is not None:
            source.close()
    host(before)


def test_an_agent_shows_its_prompt_and_reply_and_the_page_what_it_cost(
    started: Callable[..., tuple[Visit, Runner]], tmp_path: Path
) -> None:
    with MessagesServer() as server:
        visit, runner = started(server)
        card = runner.card(0)
        assert card is not None
        assert card.exchange is None
        assert card.asked
        assert "Q" in card.asked
        visit.give(Order.ROUND)
        until(lambda: runner.frame.interactions == 6 and not runner.playing)
        card = next(
            card for place in range(6) if (card := runner.card(place)) and card.name is not None
        )
        assert card.choices is None
        assert card.exchange is not None
        assert (card.name or "nobody") in (card.exchange.reply or "")
        assert card.exchange.prompt
        assert sum(card.exchange.tokens) > 0
        usage = runner.frame.usage
        assert usage is not None
        assert usage.calls >= 12
        assert usage.tokens > 0
        source = runner.source
        visit.close()
        assert source is not None
        source.close()
    (folder,) = tmp_path.iterdir()
    assert len(read_recorded_run(folder).rows) == 6


def test_a_budget_ends_play_with_a_message(
    started: Callable[..., tuple[Visit, Runner]],
) -> None:
    with MessagesServer() as server:
        visit, runner = started(server, budget_calls=20)
        visit.give(Order.PLAY)
        until(lambda: not runner.playing and runner.frame.note)
        assert "budget" in runner.frame.note
        assert runner.frame.error == ""
        usage = runner.frame.usage
        assert usage is not None
        assert usage.calls <= 20


def test_an_error_of_the_server_is_a_message_and_play_can_be_tried_again(
    started: Callable[..., tuple[Visit, Runner]],
) -> None:
    denied = [True]

    def fault(_number: int, _body: object) -> Fault | None:
        return Fault("status", 401) if denied[0] else None

    with MessagesServer(faults=fault) as server:
        visit, runner = started(server)
        visit.give(Order.ROUND)
        until(lambda: runner.frame.error)
        assert "401" in runner.frame.error
        assert "sk-test" not in runner.frame.error
        denied[0] = False
        visit.give(Order.ROUND)
        until(lambda: runner.frame.interactions == 6)
        assert runner.frame.error == ""


def test_play_with_live_minds_ends_by_itself(
    started: Callable[..., tuple[Visit, Runner]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesa_llm_norms.web.model_source.LIVE_ROUNDS", 2)
    with MessagesServer() as server:
        visit, runner = started(server)
        visit.give(Order.PLAY)
        until(lambda: not runner.playing and "Stopped after round 2" in runner.frame.note)
        assert runner.frame.interactions == 12


def test_a_link_alone_makes_no_call(started: Callable[..., tuple[Visit, Runner]]) -> None:
    with MessagesServer() as server:
        _, runner = started(server, more="&at=20")
        assert runner.frame.interactions == 0
        assert not server.requests
