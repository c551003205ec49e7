"""Calls that are sent as a batch: at half the price, each once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from claude import KEY, PLAIN
from messages_server import Fault, MessagesServer

from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.core.game import Game
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import BudgetError, CallError, DecisionError, MindError, SpecError
from mesa_llm_norms.llm import batches
from mesa_llm_norms.llm.client import LLMClient
from mesa_llm_norms.llm.provider import live_mind
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds.mind import Decision, Situation

GAME = Game(("Q", "M"), 100, -50, 5)
PRICES = {"as_of": "today", "claude-test": {"input": 1_000.0, "output": 5_000.0}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setattr(batches, "QUIET", 0.05)
    monkeypatch.setattr(batches, "FIRST_LOOK", 0.05)
    monkeypatch.setattr(batches, "SETTLED", 0.3)


def settings_for(folder: Path, **options: Any) -> LLMSettings:
    return LLMSettings(
        **{"folder": folder, "batch": True, "prices": PRICES, "wait": 0.01, **options}
    )


def ask_all(
    server: MessagesServer, llm: LLMSettings, numbers: Sequence[int], *, leave: bool = False
) -> list[Decision | BaseException]:
    """Ask one question for each number, all at once; leave once a batch is out, if so."""
    with closing(LLMClient(llm)) as client:
        (mind,) = client.attach([live_mind(f"claude:{PLAIN}", base_url=server.url)])
        stream = RandomStream(3)

        async def all_of_them() -> list[Decision | BaseException]:
            tasks = [
                asyncio.ensure_future(mind.decide(Situation(GAME, (), 0, stream, it, 0)))
                for it in numbers
            ]
            while leave and not any(it.id for it in client.journal.batches()):
                await asyncio.sleep(0.01)
            if leave:
                client.stop()
            return await asyncio.gather(*tasks, return_exceptions=True)

        return wait_for(all_of_them())


def used(folder: Path) -> Any:
    with closing(LLMClient(LLMSettings(folder=folder, resume=True))) as client:
        return client.usage


def asked_of(server: MessagesServer) -> list[int]:
    return [len(batch.requests) for batch in server.batches.values()]


def test_questions_asked_together_go_out_as_one_batch_at_half_the_price(tmp_path: Path) -> None:
    with MessagesServer() as server:
        single = ask_all(server, settings_for(tmp_path / "single", batch=False), range(40))
        together = ask_all(server, settings_for(tmp_path / "batch"), range(40))
    assert together == single
    assert asked_of(server) == [40]
    assert len(server.answered) == 80
    one, other = used(tmp_path / "single"), used(tmp_path / "batch")
    assert other.answered == 40
    assert other.tokens == one.tokens
    assert other.cost == pytest.approx(one.cost / 2)


def test_a_folder_of_batches_that_is_resumed_without_them_counts_half_the_price(
    tmp_path: Path,
) -> None:
    with MessagesServer() as server:
        ask_all(server, settings_for(tmp_path / "run"), range(4))
        spent = used(tmp_path / "run").cost
        alone = settings_for(tmp_path / "run", batch=False, resume=True, budget_usd=1)
        with closing(LLMClient(alone)) as client:
            client.attach([live_mind(f"claude:{PLAIN}", base_url=server.url)])
            assert client.budget.used.usd == pytest.approx(spent)


def test_what_errs_or_expires_is_asked_again_in_the_next_batch(tmp_path: Path) -> None:
    faults = [Fault("expired"), Fault("status", 529), Fault("canceled"), Fault("status", 500)]

    def fault(number: int, _: Any) -> Fault | None:
        return faults[number] if number < len(faults) else None

    with MessagesServer(faults=fault) as server:
        found = ask_all(server, settings_for(tmp_path / "run"), range(20))
    assert all(isinstance(it, Decision) for it in found)
    assert asked_of(server)[0] == 20
    assert sum(asked_of(server)[1:]) == 4
    assert used(tmp_path / "run").failed == 4


def test_a_question_that_never_succeeds_stops_with_its_error(tmp_path: Path) -> None:
    with MessagesServer(faults=lambda *_: Fault("status", 400, message="too odd")) as server:
        found = ask_all(server, settings_for(tmp_path / "run"), range(3))
    assert all(isinstance(it, CallError) and "too odd" in str(it) for it in found)
    assert len(server.batches) <= 4


def test_a_reply_without_a_name_is_asked_for_again(tmp_path: Path) -> None:
    def fault(number: int, _: Any) -> Fault | None:
        return Fault("foreign") if number < 3 else None

    with MessagesServer(faults=fault) as server:
        found = ask_all(server, settings_for(tmp_path / "run"), range(5))
    assert all(isinstance(it, Decision) for it in found)
    assert asked_of(server) == [5, 3]


def test_a_batch_that_is_out_is_read_once_it_is_resumed(tmp_path: Path) -> None:
    """The questions are not sent again, also where more are asked than before."""
    with MessagesServer(batch_seconds=math.inf) as server:
        found = ask_all(server, settings_for(tmp_path / "run"), range(30), leave=True)
        assert all(isinstance(it, DecisionError) for it in found)
        assert asked_of(server) == [30]
        server.end_batches()
        again = ask_all(server, settings_for(tmp_path / "run", resume=True), range(40))
    assert all(isinstance(it, Decision) for it in again)
    assert sorted(asked_of(server)) == [10, 30]
    assert len(server.answered) == 40
    assert used(tmp_path / "run").answered == used(tmp_path / "run").calls == 40


@pytest.mark.parametrize("kind", ["lost", "reset", "status"])
def test_a_batch_is_sent_again_only_if_it_never_arrived(tmp_path: Path, kind: str) -> None:
    def fault(number: int) -> Fault | None:
        return Fault(kind) if number == 0 else None

    with MessagesServer(batch_fault=fault) as server:
        found = ask_all(server, settings_for(tmp_path / "run"), range(7))
    assert all(isinstance(it, Decision) for it in found)
    assert len(server.answered) == 7
    assert len(server._sent) == (1 if kind == "lost" else 2)


def test_a_batch_that_arrives_at_the_end_of_an_outage_is_found(tmp_path: Path) -> None:
    def fault(number: int) -> Fault | None:
        return (Fault("status", 500) if number < 9 else Fault("lost")) if number < 10 else None

    llm = settings_for(tmp_path / "run", wait=0.001)
    with MessagesServer(batch_fault=fault, batch_seconds=0.2) as server:
        found = ask_all(server, llm, range(7))
    assert all(isinstance(it, Decision) for it in found)
    assert len(server.answered) == 7
    assert len(server._sent) == 10


def test_batches_of_others_are_told_from_ones_own(tmp_path: Path) -> None:
    with MessagesServer(
        batch_fault=lambda number: Fault("lost") if number == 2 else None
    ) as server:
        ask_all(server, settings_for(tmp_path / "one"), range(7))
        ask_all(server, settings_for(tmp_path / "two"), range(7, 14))
        found = ask_all(server, settings_for(tmp_path / "three"), range(14, 21))
    assert all(isinstance(it, Decision) for it in found)
    assert asked_of(server) == [7, 7, 7]
    assert len(server.answered) == 21


def test_a_batch_that_was_deleted_is_sent_again(tmp_path: Path) -> None:
    with MessagesServer(batch_seconds=math.inf) as server:
        ask_all(server, settings_for(tmp_path / "run"), range(3), leave=True)
        server.batches.clear()
        server.batch_seconds = 0.0
        found = ask_all(server, settings_for(tmp_path / "run", resume=True), range(3))
    assert all(isinstance(it, Decision) for it in found)
    assert len(server.answered) == 3


def test_a_large_number_of_questions_is_sent_in_several_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mesa_llm_norms.llm.message_batches.MessageBatches.most", 8)
    with MessagesServer() as server:
        found = ask_all(server, settings_for(tmp_path / "run"), range(30))
    assert all(isinstance(it, Decision) for it in found)
    assert asked_of(server) == [8, 8, 8, 6]


def test_a_budget_holds_for_batches_too(tmp_path: Path) -> None:
    llm = settings_for(tmp_path / "run", budget_calls=12)
    with MessagesServer() as server:
        found = ask_all(server, llm, range(20))
    kinds = Counter(type(it) for it in found)
    assert kinds == {Decision: 12, BudgetError: 8}
    assert len(server.answered) == 12


def test_a_recording_by_batches_is_the_one_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mesa_llm_norms.experiments.recording.recorder import record

    def recorded(llm: LLMSettings) -> Any:
        found = record(f"claude:{PLAIN}", names="QM", memory=1, asks=3, rng=4, llm=llm)
        return {**found.as_object(), "usage": None, "provenance": None}, found.usage

    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        single, one = recorded(settings_for(tmp_path / "single", batch=False))
        batched, other = recorded(settings_for(tmp_path / "batch"))
    assert asked_of(server) == [3 * (1 + 4)]
    assert batched == single
    assert other.calls == one.calls == 15
    assert other.cost == pytest.approx(one.cost / 2)


def test_batches_need_a_folder_an_api_that_takes_them_and_questions_alone(tmp_path: Path) -> None:
    from mesa_llm_norms import NamingGame
    from mesa_llm_norms.testing import FakeProvider

    with pytest.raises(SpecError, match="folder"):
        LLMClient(LLMSettings(batch=True))
    llm = LLMSettings(folder=tmp_path / "run", batch=True)
    with closing(LLMClient(llm)) as client, pytest.raises(MindError, match="takes no batches"):
        client.attach([FakeProvider().mind()])
    llm = LLMSettings(folder=tmp_path / "other", batch=True)
    with pytest.raises(SpecError, match="wait for each other"):
        NamingGame(graph="ring(n=6)", names="QM", mind=FakeProvider().mind(), rng=1, llm=llm)
    assert not (tmp_path / "other").exists()
