"""Calls are made when there is a place and money for them, again where they fail, and on record."""

from __future__ import annotations

import asyncio
import math
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms import NamingGame, NormsError, run_ensemble
from mesa_llm_norms.errors import (
    BudgetError,
    CallError,
    DecisionError,
    JournalError,
    MindError,
    PoolError,
    SpecError,
)
from mesa_llm_norms.llm.journal import read_journal
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.provider import Provider, Question, Reply, Usage
from mesa_llm_norms.llm.settings import JOURNAL, LLMSettings
from mesa_llm_norms.testing import FakeProvider


def fault_of(kind: str, status: int | None = None, wait: float | None = None) -> CallError:
    return CallError("fake:model", kind, "as told", status, wait)


UNUSABLE = Reply("I would rather not", Usage(40, 9), problem="it refuses")


def play(server: Provider, rounds: int = 3, memory: int = 5, **calls: Any) -> NamingGame:
    model = NamingGame(
        graph="ring(n=8)",
        names="QM",
        mind=server.mind(),
        rng=5,
        memory=memory,
        llm=LLMSettings(**{"wait": 0.001, **calls}),
    )
    try:
        model.run(rounds=rounds, until=None)
    finally:
        model.close()
    return model


EXPECTED = play(FakeProvider()).names_held


# What goes wrong and passes changes nothing


@settings(max_examples=40)
@given(st.floats(0, 0.45), st.integers(0, 99), st.integers(1, 20), st.booleans())
def test_faults_that_pass_change_nothing(
    share: float, seed: int, limit: int, distributions: bool
) -> None:
    kinds: list[Reply | CallError] = [
        fault_of("rate limit", 429, 0.001),
        fault_of("rate limit", 429),
        fault_of("overloaded", 529),
        fault_of("connection"),
        fault_of("timeout"),
        fault_of("garbled"),
        UNUSABLE,
    ]

    def fault(question: Question, before: int) -> Reply | CallError | None:
        chance = zlib.crc32(f"{seed} {before} {question.prompt.user}".encode()) / 2**32
        return kinds[int(chance / share * len(kinds)) % len(kinds)] if chance < share else None

    server = FakeProvider(fault, distributions=distributions)
    model = play(server, max_concurrency=limit, ask_again=30, retries=30)
    assert model.names_held == play(FakeProvider(distributions=distributions)).names_held
    assert server.prepared == 1
    assert server.most_in_flight <= limit
    client = model.client
    assert client is not None
    assert client.usage.calls == len(server.asked)


def test_a_reply_without_a_name_is_asked_for_again_and_then_stops_the_run() -> None:
    server = FakeProvider(lambda question, _: UNUSABLE if len(question.prompt.user) > 300 else None)
    with pytest.raises(DecisionError, match=r"it refuses \(asked 4 times\)"):
        play(server, ask_again=3)


def test_or_makes_the_interaction_void_and_that_is_on_record(tmp_path: Path) -> None:
    def fault(question: Question, _: int) -> Reply | None:
        return UNUSABLE if "-50 points\n\nPoints" in question.prompt.user else None

    model = play(FakeProvider(fault), on_unusable="skip", ask_again=0, folder=tmp_path / "run")
    assert model.skipped > 0
    assert model.interactions == 24 - model.skipped
    with Journal.read(tmp_path / "run" / JOURNAL) as journal:
        rows = [journal.interaction(0, number) for number in range(24)]
    void = [row for row in rows if getattr(row, "reason", None)]
    assert len(void) == model.skipped
    assert "it refuses" in getattr(void[0], "reason", "")
    again = FakeProvider(fault)
    resumed = NamingGame.resume(
        tmp_path / "run", LLMSettings(on_unusable="skip", ask_again=0), mind=again.mind()
    )
    resumed.run(rounds=3, until=None)
    resumed.close()
    assert resumed.names_held == model.names_held
    assert resumed.skipped == model.skipped
    assert again.asked == []


def test_what_no_other_call_will_be_spared_stops_the_run_at_once() -> None:
    server = FakeProvider(lambda *_: fault_of("denied", 401))
    with pytest.raises(CallError, match="denied"):
        play(server, max_concurrency=1)
    assert len(server.asked) <= 4


def test_a_server_that_stays_away_is_given_up_after_so_many_tries() -> None:
    server = FakeProvider(lambda *_: fault_of("connection"))
    with pytest.raises(CallError, match="after 4 tries"):
        play(server, max_concurrency=1, retries=3)


def test_a_wait_beyond_the_limit_stops_the_run_and_says_how_long_it_would_be() -> None:
    server = FakeProvider(lambda *_: fault_of("rate limit", 429, 3_600.0))
    with pytest.raises(CallError, match="it asks to wait 3,600 seconds, 5 is the limit"):
        play(server, wait_at_most=5)


# Distributions


def test_equal_questions_are_asked_once_where_a_reply_is_a_distribution() -> None:
    server = FakeProvider(distributions=True)
    model = play(server, rounds=40, memory=1)
    assert len(server.asked) == len(server.seen) <= 2 * 5  # orders of names, memories
    assert model.interactions == 320
    again = play(FakeProvider(distributions=True), rounds=40, memory=1, max_concurrency=1)
    assert again.names_held == model.names_held


def test_a_sampled_reply_is_never_taken_for_another_decision() -> None:
    server = FakeProvider()
    model = play(server, rounds=40)
    assert len(server.asked) == 2 * model.interactions > len(server.seen)
    assert len({question.seed for question in server.asked}) == len(server.asked)


# Budgets


@pytest.mark.parametrize("limit", [0, 1, 10, 31])
def test_a_budget_of_calls_is_never_passed(limit: int) -> None:
    server = FakeProvider()
    with pytest.raises(BudgetError, match=f"of {limit} calls") as caught:
        play(server, budget_calls=limit)
    assert len(server.asked) == limit
    assert caught.value.budget == "calls"


def test_a_budget_of_tokens_is_never_passed_and_nearly_used() -> None:
    server = FakeProvider()
    with pytest.raises(BudgetError, match="tokens"):
        play(server, budget_tokens=2_000)
    used = 45 * len(server.asked)
    assert 2_000 - 700 < used <= 2_000


def test_a_budget_in_dollars_needs_a_price_and_is_never_passed(tmp_path: Path) -> None:
    server = FakeProvider()
    server.free = False
    with pytest.raises(MindError, match="no price for 'model'"):
        play(server, budget_usd=1)
    prices = tmp_path / "prices.toml"
    prices.write_text('as_of = "2026-11-24"\n[mod]\ninput = 10\noutput = 100\n', encoding="utf-8")
    with pytest.raises(BudgetError, match="usd"):
        play(server, budget_usd=0.02, prices=prices)
    assert 0.009 < len(server.asked) * (40 * 10 + 5 * 100) / 1e6 <= 0.02


@pytest.mark.parametrize("cost", ["NULL", "0", "1e-9"])
def test_calls_on_record_count_at_least_at_the_price_of_now(tmp_path: Path, cost: str) -> None:
    prices = tmp_path / "prices.toml"
    prices.write_text('as_of = "2026-11-24"\n[mod]\ninput = 10\noutput = 100\n', encoding="utf-8")
    limit: dict[str, Any] = {"budget_usd": 0.02, "prices": prices}
    first, second = FakeProvider(), FakeProvider()
    with pytest.raises(BudgetError, match="usd"):
        play(first, folder=tmp_path / "run", **limit)
    with closing(sqlite3.connect(tmp_path / "run" / JOURNAL)) as journal, journal:
        journal.execute(f"UPDATE attempts SET cost = {cost}")
    model = NamingGame.resume(tmp_path / "run", LLMSettings(**limit), mind=second.mind())
    with pytest.raises(BudgetError, match="usd"):
        model.run(rounds=3, until=None)
    model.close()
    assert first.asked
    assert not second.asked


def test_a_run_out_of_budget_goes_on_with_a_larger_one_and_pays_for_nothing_twice(
    tmp_path: Path,
) -> None:
    first, second = FakeProvider(), FakeProvider()
    with pytest.raises(BudgetError):
        play(first, budget_calls=17, folder=tmp_path / "run")
    model = NamingGame.resume(tmp_path / "run", LLMSettings(budget_calls=48), mind=second.mind())
    model.run(rounds=3, until=None)
    model.close()
    assert model.names_held == EXPECTED
    assert len(first.asked) + len(second.asked) == 48


def test_independent_runs_share_one_limit_and_one_budget() -> None:
    server = FakeProvider()
    arguments: dict[str, Any] = {
        "graph": "ring(n=8)",
        "names": "QM",
        "rng": 5,
        "runs": 10,
        "rounds": 3,
        "until": None,
    }
    result = run_ensemble(mind=server.mind(), llm=LLMSettings(max_concurrency=7), **arguments)
    assert server.most_in_flight <= 7
    assert result.usage is not None
    assert result.usage.calls == len(server.asked) == 480
    alone = NamingGame(graph="ring(n=8)", names="QM", rng=5, run=4, mind=FakeProvider().mind())
    alone.run(rounds=3, until=None)
    pool = alone.game.pool
    assert [pool[place] for place in result.held[4]] == list(alone.names_held.values())
    with pytest.raises(BudgetError):
        run_ensemble(mind=server.mind(), llm=LLMSettings(budget_calls=100), **arguments)
    assert len(server.asked) == 580


# The journal


def test_what_is_on_record_is_played_again_without_a_call_in_steps_and_runs(tmp_path: Path) -> None:
    play(FakeProvider(), folder=tmp_path / "run")
    server = FakeProvider()
    model = NamingGame.resume(tmp_path / "run", mind=server.mind())
    for _ in range(3):
        model.step()
    assert model.names_held == EXPECTED
    assert server.prepared == len(server.asked) == 0
    model.step()
    assert len(server.asked) == 16
    model.close()


def test_another_wording_cannot_go_on_with_a_run(tmp_path: Path) -> None:
    from mesa_llm_norms.llm.prompt import Template, default_template

    play(FakeProvider(), folder=tmp_path / "run")
    wording = Template(default_template().text.replace("Pick a name", "Choose a name"), "mine")
    model = NamingGame.resume(tmp_path / "run", mind=FakeProvider().mind(wording))
    with pytest.raises(JournalError, match="interaction 0 of run 0 was played with another prompt"):
        model.step()
    model.close()


def test_a_folder_with_a_journal_is_not_begun_again_and_one_without_calls_is_removed(
    tmp_path: Path,
) -> None:
    play(FakeProvider(), folder=tmp_path / "run")
    with pytest.raises(JournalError):
        play(FakeProvider(), folder=tmp_path / "run")
    with pytest.raises(JournalError):
        NamingGame.resume(tmp_path / "nowhere")
    with pytest.raises(BudgetError):
        play(FakeProvider(), folder=tmp_path / "none", budget_calls=0)
    assert not (tmp_path / "none").exists()


def test_use_is_told_for_every_agent() -> None:
    model = NamingGame(graph="ring(n=8)", names="QM", mind=FakeProvider().mind(), rng=5)
    model.run(rounds=3, until=None)
    assert model.client is not None
    by_agent = model.client.usage_by_agent()
    assert sum(one.calls for one in by_agent) == model.client.usage.calls == 48
    assert {one.node for one in by_agent} <= set(range(8))
    model.close()


# The same run, on any graph, cut anywhere


def again(tmp_path: Path, **arguments: Any) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """Return who holds what after a run, and after the same run out of its journal."""
    server = FakeProvider()
    first = NamingGame(mind=server.mind(), llm=LLMSettings(folder=tmp_path / "run"), **arguments)
    first.run(rounds=3, until=None)
    first.close()
    first.close()
    asked = len(server.asked)
    second = NamingGame.resume(tmp_path / "run", mind=server.mind())
    second.run(rounds=3, until=None)
    second.close()
    assert len(server.asked) == asked
    committed = [
        {agent.node: agent.committed for agent in model.players} for model in (first, second)
    ]
    assert committed[0] == committed[1]
    return first.names_held, second.names_held


@pytest.mark.parametrize(
    "arguments",
    [
        {"committed": {"Q": 3, "M": 2}, "graph": "watts_strogatz(n=16, k=4, p=0.2)"},
        {"committed": {"Q": (0.25, "hubs"), "M": 2}, "graph": "barabasi_albert(n=12, m=2)"},
        {"committed": {"M": [(0, 0), (2, 1)]}, "graph": nx.grid_2d_graph(3, 3)},
        {"graph": nx.relabel_nodes(nx.cycle_graph(5), dict(enumerate("edcba")))},
        {"graph": nx.DiGraph([(0, 1), (1, 2), (2, 0)]), "incumbent": "M"},
        {"reward": np.int64(7), "penalty": np.float64(-1.5), "pairing": "matching"},
    ],
)
def test_a_run_out_of_its_journal_is_the_same_run(
    arguments: dict[str, Any], tmp_path: Path
) -> None:
    one, other = again(tmp_path, **{"graph": "ring(n=8)", "names": "QM", "rng": 5, **arguments})
    assert one == other


def test_any_node_ids_can_be_played_without_a_folder() -> None:
    graph = nx.relabel_nodes(nx.cycle_graph(4), {0: frozenset("a"), 2: (1, "x"), 3: 2.5})
    model = NamingGame(graph=graph, names="QM", mind=FakeProvider().mind(), rng=1)
    model.step()
    assert model.interactions == 4
    model.close()


@pytest.mark.parametrize("pairing", ["node", "matching"])
def test_a_run_that_was_cut_and_gone_on_with_in_place_can_be_gone_on_with_later(
    pairing: str, tmp_path: Path
) -> None:
    failing = iter([None] * 10 + [fault_of("denied", 401)])
    server = FakeProvider(lambda *_: next(failing, None))
    arguments: dict[str, Any] = {"graph": "ring(n=12)", "names": "QM", "rng": 5, "pairing": pairing}
    calls = LLMSettings(folder=tmp_path / "run", max_concurrency=1)
    model = NamingGame(mind=server.mind(), llm=calls, **arguments)
    with pytest.raises(CallError):
        model.run(rounds=4, until=None)
    model.run(rounds=4 - model._engine.next_round, until=None)
    model.close()
    whole = NamingGame(mind=FakeProvider().mind(), **arguments)
    whole.run(rounds=4, until=None)
    whole.close()
    assert model.names_held == whole.names_held
    assert model.outcome == whole.outcome
    resumed = NamingGame.resume(tmp_path / "run", mind=FakeProvider().mind())
    resumed.run(rounds=4, until=None)
    resumed.close()
    assert resumed.names_held == whole.names_held


def test_a_wait_beyond_the_limit_keeps_nobody_waiting() -> None:
    server = FakeProvider(lambda *_: fault_of("rate limit", 429, 3_600.0))
    with pytest.raises(CallError, match="3,600 seconds"):
        play(server, max_concurrency=1, wait_at_most=5)


def test_when_one_run_fails_the_others_make_no_more_calls() -> None:
    """They would wait for two minutes, each, before they tried again."""
    failing = iter([None] * 40 + [fault_of("denied", 401)])
    busy = fault_of("overloaded", 529, 100.0)

    def fault(_: Question, before: int) -> CallError | None:
        found = next(failing, busy)
        return found if found is not None else busy if before == 0 else None

    server = FakeProvider(fault)
    with pytest.raises(NormsError):
        run_ensemble(
            graph="ring(n=8)",
            names="QM",
            mind=server.mind(),
            rng=5,
            runs=10,
            rounds=3,
            until=None,
        )
    assert len(server.asked) < 100


def test_calls_that_wait_for_a_place_are_not_made_once_no_more_are_wanted() -> None:
    server = FakeProvider(delay=0.02)
    model = NamingGame(
        graph="complete(n=24)",
        names="QM",
        mind=server.mind(),
        rng=5,
        committed={"M": 22},
        llm=LLMSettings(max_concurrency=2),
    )
    model.run(rounds=5, until="flipped", window=0.1)
    assert model.client is not None
    beyond = model.client.usage.calls - 2 * model.interactions
    assert beyond <= 2
    model.close()


def test_a_call_is_made_once_all_replies_that_it_follows_from_are_on_disk(tmp_path: Path) -> None:
    """Of two agents, the file is read from within each call, and after each row."""
    on_disk: list[tuple[int, int]] = []

    def answered() -> int:
        with read_journal(tmp_path / "run" / JOURNAL) as journal:
            return journal.usage().answered

    def answer(question: Question, _: int) -> str:
        on_disk.append((len(provider.asked), answered()))
        return question.pool[question.seed % 2]

    provider = FakeProvider(answer)
    llm = LLMSettings(folder=tmp_path / "run")
    model = NamingGame(graph="complete(n=2)", names="QM", mind=provider.mind(), rng=5, llm=llm)
    try:
        for _ in range(4):
            model.step()
            assert answered() >= 2 * model.interactions
    finally:
        model.close()
    assert len(on_disk) >= 16
    assert all(there >= asked - 2 for asked, there in on_disk)


def test_files_that_are_not_the_journals_stay(tmp_path: Path) -> None:
    (tmp_path / "journal.md").write_text("mine", encoding="utf-8")
    NamingGame(mind=FakeProvider().mind(), llm=LLMSettings(folder=tmp_path)).close()
    assert [path.name for path in tmp_path.iterdir()] == ["journal.md"]


def test_a_server_that_gives_up_by_itself_is_an_error_and_not_a_silence() -> None:
    class Cancelled(FakeProvider):
        async def ask(self, question: Question) -> Reply:  # noqa: ARG002
            raise asyncio.CancelledError

    with pytest.raises(DecisionError, match="cancelled"):
        play(Cancelled())


# What live minds cannot do


@pytest.mark.parametrize("name", ["two words", 'a"b', "{x}", "x" * 25, "a:b", "<b>"])
def test_a_name_that_a_model_could_take_for_more_is_refused(name: str) -> None:
    with pytest.raises(PoolError, match="not to be put into a prompt"):
        NamingGame(names=["Q", name], mind=FakeProvider().mind())


def test_live_minds_stay_in_their_process() -> None:
    import pickle

    with pytest.raises(MindError, match="cannot leave its process"):
        pickle.dumps(FakeProvider().mind())
    with pytest.raises(SpecError, match="in plain Python"):
        run_ensemble(mind=FakeProvider().mind(), engine="kernel", runs=1, names="QM")


@pytest.mark.parametrize(
    "options",
    [
        {"max_concurrency": 0},
        {"on_unusable": "guess"},
        {"ask_again": -1},
        {"budget_usd": -1},
        {"budget_calls": math.nan},
        {"wait": "long"},
    ],
)
def test_choices_that_mean_nothing_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SpecError):
        LLMSettings(**options)
