"""Short outages of real servers, asked through the real SDKs: same rows, nothing asked twice."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import chat_server
import pytest
from chances import LoggedGame
from chat_server import OLLAMA, ChatServer
from front import Front
from messages_server import Fault, MessagesServer

from mesa_llm_norms.llm.chat_completions import QUESTION
from mesa_llm_norms.llm.provider import live_mind
from mesa_llm_norms.llm.settings import LLMSettings

PAGE = "<html><body>Be right back</body></html>"
WAYS: dict[str, tuple[Fault, chat_server.Fault] | None] = {
    "refused connections": None,
    "429": (Fault("status", 429), chat_server.Fault("status", 429)),
    "429, retry-after": (
        Fault("status", 429, {"retry-after": "0.1"}),
        chat_server.Fault("status", 429, {"retry-after": "0.1"}),
    ),
    **{
        str(status): (Fault("status", status), chat_server.Fault("status", status))
        for status in (500, 502, 503, 504, 529)
    },
    "reset": (Fault("reset"), chat_server.Fault("reset")),
    "cut off or slow in the reply": (Fault("cut"), chat_server.Fault("drip")),
    "no reply": (Fault("hang"), chat_server.Fault("hang")),
    "a page": (
        Fault("status", 200, {"content-type": "text/html"}, raw=PAGE.encode()),
        chat_server.Fault("raw", 200, {"content-type": "text/html"}, PAGE),
    ),
}


SILENT = {"cut off or slow in the reply", "no reply"}
"""Those that only a timeout ends."""


class Served(NamedTuple):
    """A mind behind a front, how to make its calls fail, and what was answered."""

    mind: str
    front: Front
    fail: Callable[[str | None], None]
    answered: Callable[[], list[Any]]


@contextmanager
def claude(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    way: list[str | None] = [None]
    answered: list[Any] = []
    monkeypatch.setenv("ANTHROPIC_API_KEY", "not-a-key-but-as-long-as-one")

    def fault(_: int, body: Any) -> Fault | None:
        found = WAYS.get(way[0] or "")
        if found is None:
            answered.append(body)
        return found[0] if found else None

    with MessagesServer(faults=fault, latency=0.05) as server, Front(server.url) as front:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", front.url)
        yield Served(
            "claude:claude-test-1",
            front,
            lambda kind: way.__setitem__(0, kind),
            lambda: answered,
        )


@contextmanager
def chat(_: pytest.MonkeyPatch) -> Iterator[Served]:
    way: list[str | None] = [None]
    answered: list[Any] = []

    def fault(body: Any) -> chat_server.Fault | None:
        time.sleep(0.05)
        found = WAYS.get(way[0] or "")
        if found is None and body["messages"][-1]["content"] != QUESTION.user:
            answered.append(body)
        return found[1] if found else None

    with ChatServer(OLLAMA, fault=fault) as server, Front(server.url) as front:
        yield Served(
            f"llama:{front.url}#m",
            front,
            lambda kind: way.__setitem__(0, kind),
            lambda: answered,
        )


def play(mind: str, timeout: float = 30, **calls: Any) -> LoggedGame:
    game = LoggedGame(
        graph="ring(n=8)",
        names="QM",
        mind=live_mind(mind, timeout=timeout),
        rng=3,
        llm=LLMSettings(wait=0.05, **calls),
    )
    try:
        game.run(rounds=4, until=None)
    finally:
        game.close()
    return game


def play_through(served: Served, outages: list[tuple[str, float]]) -> None:
    """Play while the server fails in these ways for so many seconds each, and compare."""
    expected = play(served.mind).log
    before = len(served.answered())

    def fail() -> None:
        while len(served.answered()) < before + 10:
            time.sleep(0.005)
        for way, seconds in outages:
            served.fail(way)
            if WAYS[way] is None:
                served.front.down()
            time.sleep(seconds)
            if WAYS[way] is None:
                served.front.up()
        served.fail(None)

    failing = threading.Thread(target=fail)
    failing.start()
    # On a busy machine even an answer can take longer than what a silent server is given.
    silent = SILENT & {way for way, _ in outages}
    game = play(served.mind, timeout=0.6 if silent else 30, wait_at_most=60)
    failing.join()
    assert game.log == expected
    assert game.client is not None
    usage = game.client.usage
    assert usage.failed > 0
    assert usage.answered == 2 * len(expected)
    again = Counter(json.dumps(body, sort_keys=True) for body in served.answered()[before:])
    first = Counter(json.dumps(body, sort_keys=True) for body in served.answered()[:before])
    assert again.total() - first.total() <= lost_in_transit(outages)


def lost_in_transit(outages: list[tuple[str, float]]) -> int:
    """Return how many answers may not have arrived: those that were broken off."""
    broken = {"refused connections", *SILENT}
    return 16 if broken & {way for way, _ in outages} else 0


# A connection that times out while anyio opens it is only closed when it is collected.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("provider", [claude, chat])
def test_an_outage_in_all_ways_changes_no_row(
    provider: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with provider(monkeypatch) as served:
        play_through(served, [(way, 0.1) for way in WAYS])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("seconds", [0.3, 3.0])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("provider", [claude, chat])
def test_an_outage_in_one_way_changes_no_row(
    provider: Any, way: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    with provider(monkeypatch) as served:
        play_through(served, [(way, seconds)])
