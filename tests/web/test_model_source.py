"""Live minds on the page: what agents are asked, what it costs, when it stops, what goes wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from messages_server import Fault, MessagesServer
from tiny_model import model

from mesa_llm_norms.web.model_source import ServerSettings, configure_server, server_settings
from mesa_llm_norms.web.player import FULL_SPEED, Order, Player
from mesa_llm_norms.web.replay import read_recorded_run
from mesa_llm_norms.web.session import ViewerSession
from mesa_llm_norms.web.views import explained_values

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
) -> Iterator[Callable[..., tuple[ViewerSession, Player]]]:
    """Start a session to a page with a live mind behind a server that is on this computer."""
    before, sessions = server_settings(), []

    def start(
        server: MessagesServer, budget_calls: int = 500, more: str = ""
    ) -> tuple[ViewerSession, Player]:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        configure_server(ServerSettings(minds=(LIVE,), folder=tmp_path, budget_calls=budget_calls))
        session = ViewerSession(QUERY + more)
        sessions.append(session)
        assert session.problem == ""
        player = session.players[0]
        session.speed = FULL_SPEED
        until(lambda: player.frame.state == "paused")
        return session, player

    yield start
    for session in sessions:
        session.close()
        source = session.players[0].source
        if source is not None:
            source.close()
    configure_server(before)


def test_an_agent_shows_its_prompt_and_reply_and_the_page_what_it_cost(
    started: Callable[..., tuple[ViewerSession, Player]], tmp_path: Path
) -> None:
    with MessagesServer() as server:
        session, player = started(server)
        details = player.details(0)
        assert details is not None
        assert details.exchange is None
        assert details.asked
        assert "Q" in details.asked
        session.give(Order.ROUND)
        until(lambda: player.frame.interactions == 6 and not player.playing)
        details = next(it for i in range(6) if (it := player.details(i)) and it.name is not None)
        assert details.choices is None
        assert details.exchange is not None
        assert (details.name or "nobody") in (details.exchange.reply or "")
        assert details.exchange.prompt
        assert sum(details.exchange.tokens) > 0
        usage = player.frame.usage
        assert usage is not None
        assert usage.calls >= 12
        assert usage.tokens > 0
        source = player.source
        session.close()
        assert source is not None
        source.close()
    (folder,) = tmp_path.iterdir()
    assert len(read_recorded_run(folder).rows) == 6


def test_a_budget_ends_play_with_a_message(
    started: Callable[..., tuple[ViewerSession, Player]],
) -> None:
    with MessagesServer() as server:
        session, player = started(server, budget_calls=20)
        session.give(Order.PLAY)
        until(lambda: not player.playing and player.frame.note)
        assert "budget" in player.frame.note
        assert player.frame.error == ""
        usage = player.frame.usage
        assert usage is not None
        assert usage.calls <= 20


def says(player: Player, text: str) -> bool:
    return text in player.frame.note


def is_at(player: Player, interactions: int) -> bool:
    return player.frame.state == "paused" and player.frame.interactions == interactions


def test_one_budget_is_for_all_viewers_and_populations_together(
    started: Callable[..., tuple[ViewerSession, Player]],
) -> None:
    with MessagesServer() as server:
        session, player = started(server, budget_calls=40)
        session.give(Order.ROUND)
        until(lambda: not player.playing and player.frame.interactions == 6)
        session.restart()
        session.give(Order.PLAY)
        until(lambda: session.players[0].frame.interactions >= 6)
        others = [ViewerSession(QUERY) for _ in range(3)]
        for other in others:
            other.give(Order.PLAY)
        until(lambda: all(not it.playing for it in [session, *others]))
        for other in others:
            assert other.problem == ""
            until(partial(says, other.players[0], "for all viewers"))
            assert "40" in other.players[0].frame.note
            other.compare(mind=("uniform",))
            until(partial(is_at, other.players[1], 0))
            other.players[1].give(Order.ROUND)
            until(partial(is_at, other.players[1], 6))
            other.close()
        assert 30 <= len(server.requests) <= 40


def test_an_error_of_the_server_is_a_message_and_play_can_be_tried_again(
    started: Callable[..., tuple[ViewerSession, Player]],
) -> None:
    denied = [True]

    def fault(_number: int, _body: object) -> Fault | None:
        return Fault("status", 401) if denied[0] else None

    with MessagesServer(faults=fault) as server:
        session, player = started(server)
        session.give(Order.ROUND)
        until(lambda: player.frame.error)
        assert "401" in player.frame.error
        assert "sk-test" not in player.frame.error
        denied[0] = False
        session.give(Order.ROUND)
        until(lambda: player.frame.interactions == 6)
        assert player.frame.error == ""


def test_play_with_live_minds_ends_by_itself(
    started: Callable[..., tuple[ViewerSession, Player]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesa_llm_norms.web.model_source.LIVE_ROUNDS", 2)
    with MessagesServer() as server:
        session, player = started(server)
        session.give(Order.PLAY)
        until(lambda: not player.playing and "Stopped after round 2" in player.frame.note)
        assert player.frame.interactions == 12


def test_a_link_alone_makes_no_call(started: Callable[..., tuple[ViewerSession, Player]]) -> None:
    with MessagesServer() as server:
        _, player = started(server, more="&at=20")
        assert player.frame.interactions == 0
        assert not server.requests


def test_undo_asks_live_minds_nothing_again(
    started: Callable[..., tuple[ViewerSession, Player]],
) -> None:
    with MessagesServer() as server:
        session, player = started(server)
        session.give(Order.ROUND)
        until(lambda: is_at(player, 6))
        asked = len(server.requests)
        session.commit(0, 2, "M")
        until(lambda: player.frame.marks == "  c   ")
        session.undo()
        until(lambda: player.frame.marks == "" and is_at(player, 6))
        assert len(session.settings[0].edits) == 2
        session.restart()
        assert "on record" in session.notice
        assert len(server.requests) == asked


def test_an_agent_shows_the_probabilities_of_a_model_in_this_process(
    started: Callable[..., tuple[ViewerSession, Player]], tmp_path: Path
) -> None:
    path = tmp_path / "tiny.gguf"
    path.write_bytes(model())
    mind = f"local:{path}"
    with MessagesServer() as server:
        session, _ = started(server)
        configure_server(ServerSettings(minds=(mind,), folder=tmp_path))
        session.change(mind=(mind,))
        player = session.players[0]
        until(lambda: player.frame.state == "paused")
        session.give(Order.STEP)
        until(lambda: player.frame.interactions == 1 and not player.playing)
        shown = [it.exchange for i in range(6) if (it := player.details(i)) and it.exchange]
        told = json.loads(explained_values(player)["explained"])
    assert shown, player.frame.note
    for exchange in shown:
        assert len(exchange.probabilities) == 2
        assert sum(exchange.probabilities) == pytest.approx(1)
        assert exchange.seconds > 0
    for agent in told["agents"]:
        assert {name for name, *_ in agent["probabilities"]} == {"Q", "M"}
        assert sum(chance for *_, chance in agent["probabilities"]) == pytest.approx(1)
