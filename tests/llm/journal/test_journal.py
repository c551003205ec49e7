"""The journal of live runs: everything reported as written is there, whoever asks."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journals import PROMPT, SPEC, call, everything, files, named, play, posix, recount
from strategies import node_ids

from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.errors import JournalError, SpecError
from mesa_llm_norms.llm.journal.database import Written
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import (
    AgentUsage,
    Attempt,
    Distribution,
    Ended,
    Recorded,
    Skipped,
    Totals,
    prompt_digest,
)

# What is written is there


def test_a_call_is_kept_with_its_texts_in_full_and_what_came_of_it(journal: Journal) -> None:
    begun = journal.begin(call(2, 5, 1, parameters={"top_p": 0.5, "max_tokens": 9}))
    ended = Ended("name", 0.5, "slow", 200, "Q", "haiku", "end_turn", 30, 20, 10, 5, 0.001, "Hm.")
    recorded = Recorded(PROMPT, "Q", 0.75, begun.attempt)
    journal.end(begun.result(), ended, recorded).result()
    (kept,) = journal.attempts_of(2, 5)
    assert kept._replace(begun="") == Attempt(
        attempt=begun.attempt,
        run=2,
        interaction=5,
        seat=1,
        number=0,
        mind="claude:claude-haiku-5-5",
        place="http://127.0.0.1:1",
        parameters={"top_p": 0.5, "max_tokens": 9},
        system="the rules",
        user="your memory",
        begun="",
        latency=0.5,
        outcome="name",
        problem="slow",
        status=200,
        reply="Q",
        model="haiku",
        stop="end_turn",
        input_tokens=30,
        output_tokens=20,
        thinking_tokens=10,
        cached_tokens=5,
        cost=0.001,
        thoughts="Hm.",
    )
    assert kept.begun.endswith("+00:00")
    assert journal.decision(2, 5, 1) == recorded
    assert journal.decision(2, 5, 0) is None
    assert journal.usage(2) == Totals(1, 1, 0, 0, 0, 0, 30, 20, 10, 5, 0.001)
    assert journal.usage(3) == Totals()


def test_what_is_known_survives_closing_and_opening(path: Path) -> None:
    with Journal.create(path, SPEC) as journal:
        play(journal, 3)
        begun = journal.begin(call(1, 0, 0))
        journal.end(
            begun.attempt,
            Ended("distribution", 0.1),
            Recorded(PROMPT, "M", 0.25, begun.attempt),
            Distribution("a", (0.75, 0.25)),
        )
        journal.decide(1, 0, 1, Recorded(PROMPT, "Q", 0.75))
        journal.commit(Skipped(1, 0, 0, 1, 2, "no usable reply"))
        journal.flush()
        before = everything(journal)
    with Journal.open(path) as journal:
        assert everything(journal) == before
        assert journal.spec == SPEC
        assert journal.distribution("a") == (0.75, 0.25)
        assert journal.interaction(1, 0) == Skipped(1, 0, 0, 1, 2, "no usable reply")
        assert journal.interaction(0, 2) == Interaction(0, 2, 0, 2, 6, "Q", "Q", 100)
        assert journal.in_flight() == ()
    with Journal.read(path) as journal:
        assert everything(journal) == before


def test_equal_texts_are_kept_once(path: Path) -> None:
    with Journal.create(path, SPEC) as journal:
        for number in range(9):
            journal.begin(call(interaction=number))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM prompts").fetchone() == (2,)
        assert connection.execute("SELECT count(*) FROM parameters").fetchone() == (1,)


def test_a_journal_in_memory_does_the_same_and_leaves_nothing(tmp_path: Path) -> None:
    with Journal.memory(SPEC) as journal:
        play(journal, 2)
        assert journal.decision(0, 1, 1) is not None
        assert len(journal.attempts_of(0, 1)) == 2
        assert journal.usage_by_agent(0)[0].calls == 1
        assert journal.path is None
        with pytest.raises(JournalError, match="not in flight"):
            journal.end(99, named())
    assert not list(tmp_path.iterdir())


outcomes = st.sampled_from(["name", "distribution", "unusable", "failed", "abandoned"])
texts = st.text(st.characters(exclude_categories=()), max_size=8)
"""Any text at all, halves of surrogate pairs and zero characters among it."""
tokens = st.integers(0, 10**9)
endings = st.builds(
    Ended,
    outcomes,
    st.floats(0, 1e6),
    *(st.none() | texts, st.none() | st.integers(100, 599), st.none() | texts),
    *(st.none() | texts, st.none() | texts),
    *(tokens, tokens, tokens, tokens),
    st.none() | st.integers(0, 9_999).map(lambda part: part / 64),  # sums of these are exact
)
steps = st.lists(
    st.tuples(
        st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 1)),
        st.sampled_from(["your memory", "another memory"]) | texts,
        st.none() | endings,
        st.none() | st.sampled_from("abc"),
        st.booleans(),
    ),
    max_size=12,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(steps, node_ids(), st.floats(-1e9, 1e9))
def test_whatever_was_told_to_be_on_disk_is_there_after_closing(
    tmp_path: Path, steps: list[Any], node: Hashable, payoff: float
) -> None:
    folder = tmp_path / str(time.monotonic_ns())
    folder.mkdir()
    path = folder / "journal.sqlite"
    with Journal.create(path, SPEC) as journal:
        under_way = 0
        written: list[Written[Any]] = []
        for (run, number, seat), user, ended, key, recorded in steps:
            begun = journal.begin(call(run, number, seat, user=user))
            if ended is None:
                under_way += 1
                written.append(begun)
                continue
            given = Recorded(PROMPT, "Q", 0.5, begun.attempt) if recorded else None
            if journal.decision(run, number, seat) is not None:
                given = None
            odds = None if key is None else Distribution(key, (0.1 + 0.2, 0.7))
            written.append(journal.end(begun.attempt, ended, given, odds))
        for one in written:
            one.result()
        journal.commit(Interaction(0, 1, 0, node, (node, "b"), "Q", "M", payoff)).result()
        assert journal.usage().in_flight == under_way
        assert journal.usage() == recount(journal)
        assert journal.usage(1) == recount(journal, 1)
        before = everything(journal)
    with Journal.read(path) as journal:
        assert everything(journal)[4:] == before[4:]
        assert len(journal.in_flight()) == under_way
    with Journal.open(path) as journal:
        assert journal.usage() == recount(journal)
        assert journal.usage().lost == under_way
        assert everything(journal)[5] == before[5]
        assert everything(journal)[7:] == before[7:]
        lost = {attempt.attempt for attempt in journal.in_flight()}
        for told, again in zip(before[6], everything(journal)[6], strict=True):
            assert [
                one._replace(outcome="lost") if one.attempt in lost else one for one in told
            ] == list(again)
        journal.commit(Interaction(0, 1, 0, node, (node, "b"), "Q", "M", payoff)).result()


# Decisions, tries and what they are told from


def test_a_reply_and_its_decision_reach_the_disk_together_or_not_at_all(path: Path) -> None:
    with Journal.create(path, SPEC) as journal:
        begun = journal.begin(call())
        journal.decide(0, 0, 0, Recorded(PROMPT, "M"))
        journal.commit(Interaction(0, 0, 0, 1, 2, "M", "M", 100))
        with pytest.raises(JournalError, match="was decided before"):
            journal.end(
                begun.attempt, named(), Recorded(PROMPT, "Q"), Distribution("a", (0.5, 0.5))
            )
        assert journal.distribution("a") is None
        assert journal.usage().answered == 0
    with Journal.open(path) as journal:
        assert journal.usage().lost == 1
        assert journal.decision(0, 0, 0) == Recorded(PROMPT, "M")


def test_only_unusable_replies_to_the_very_question_count_as_tries(path: Path) -> None:
    """More room for thoughts makes it another question, for instance."""
    other, sent = prompt_digest("the rules", "another memory"), {"max_tokens": 16}
    with Journal.create(path, SPEC) as journal:
        for outcome in ("unusable", "failed", "unusable", "abandoned"):
            begun = journal.begin(call())
            journal.end(begun.attempt, Ended(outcome, 1.0))
        begun = journal.begin(call(user="another memory"))
        journal.end(begun.attempt, Ended("unusable", 1.0))
        journal.begin(call())
    for again in range(2):
        with Journal.open(path) as journal:
            assert journal.tries(0, 0, 0, PROMPT, sent) == 2
            assert journal.tries(0, 0, 0, other, sent) == 1
            assert journal.tries(0, 0, 1, PROMPT, sent) == 0
            assert journal.tries(0, 0, 0, PROMPT, {"max_tokens": 99}) == 0
            assert len(journal.in_flight()) == 1 - again
            numbers = [attempt.number for attempt in journal.attempts_of(0, 0)]
            assert numbers == list(range(6))


def test_the_model_that_answered_first_is_known(path: Path) -> None:
    with Journal.create(path, SPEC) as journal:
        assert journal.model("claude:claude-haiku-5-5") is None
        for model in (None, "first", "second"):
            journal.end(journal.begin(call()).attempt, named(model=model))
        assert journal.model("claude:claude-haiku-5-5") == "first"
    with Journal.open(path) as journal:
        assert journal.model("claude:claude-haiku-5-5") == "first"
        assert journal.model("another") is None


def test_of_two_distributions_under_one_key_the_first_stays(journal: Journal) -> None:
    for number, odds in enumerate([(0.5, 0.5), (0.25, 0.75)]):
        begun = journal.begin(call(interaction=number))
        ended = Ended("distribution", 0.1)
        journal.end(begun.attempt, ended, distribution=Distribution("a", odds)).result()
    assert journal.distribution("a") == (0.5, 0.5)


def test_a_row_told_again_is_compared_with_the_first(journal: Journal) -> None:
    row = Interaction(0, 0, 0, (1, 2), frozenset("ab"), "Q", "M", -50)
    journal.commit(row)
    journal.commit(row).result()
    for other in (row._replace(name_b="Q"), row._replace(payoff=0), Skipped(*row[:5], "why")):
        with pytest.raises(JournalError, match="interaction 0 of run 0 was played differently"):
            journal.commit(other)
    journal.decide(0, 0, 0, Recorded(PROMPT, "Q"))
    journal.decide(0, 0, 0, Recorded(PROMPT, "Q")).result()
    with pytest.raises(JournalError, match="seat 0 of interaction 0 in run 0 was decided before"):
        journal.decide(0, 0, 0, Recorded(PROMPT, "M"))


def test_a_decision_that_came_to_nothing_gives_way_to_another(path: Path) -> None:
    with Journal.create(path, {}) as journal:
        journal.decide(0, 0, 0, Recorded(PROMPT, "Q"))
        journal.decide(0, 0, 0, Recorded(PROMPT, "M")).result()
        journal.decide(0, 0, 0, Recorded(PROMPT, "X"))
        assert journal.decision(0, 0, 0) == Recorded(PROMPT, "X")
    with Journal.open(path) as journal:
        assert journal.decision(0, 0, 0) == Recorded(PROMPT, "X")


def test_mistakes_of_the_caller_are_refused_and_spoil_nothing(journal: Journal) -> None:
    begun = journal.begin(call())
    with pytest.raises(SpecError, match="seat"):
        journal.begin(call(seat=-1))
    with pytest.raises(SpecError, match="parameters"):
        journal.begin(call(parameters={"a": {1}}))
    with pytest.raises(SpecError, match="outcome"):
        journal.end(begun.attempt, Ended("lost", 1.0))  # type: ignore[arg-type]
    for odds in ((), (float("nan"), 1.0), (-0.5, 1.5)):
        with pytest.raises(SpecError, match="probabilities"):
            journal.end(begun.attempt, named(), distribution=Distribution("a", odds))
    with pytest.raises(JournalError, match="no attempt 7"):
        journal.decide(0, 0, 0, Recorded(PROMPT, "Q", None, 7))
    journal.end(begun.attempt, named()).result()
    with pytest.raises(JournalError, match="not in flight"):
        journal.end(begun.attempt, named())
    assert journal.usage() == Totals(1, 1, input_tokens=30)


def test_usage_is_told_by_agent_and_work_beyond_the_end_is_told_apart(journal: Journal) -> None:
    for number, pair in enumerate([("a", (1, 2)), ((1, 2), "b")]):
        for seat in (0, 1):
            begun = journal.begin(call(0, number, seat))
            journal.end(begun.attempt, named(output_tokens=seat, thinking_tokens=1, cost=0.5))
        journal.commit(Interaction(0, number, 0, *pair, "Q", "Q", 100))
    journal.begin(call(0, 2, 0))
    journal.begin(call(1, 0, 0))
    assert journal.usage_by_agent(0) == (
        AgentUsage("a", 1, 30, 0, 1, 0.5),
        AgentUsage((1, 2), 2, 60, 1, 2, 1.0),
        AgentUsage("b", 1, 30, 1, 1, 0.5),
        AgentUsage(None, 1, 0, 0, 0, 0.0),
    )


# Many at once


def test_many_threads_write_at_once_and_nothing_is_lost_or_counted_twice(path: Path) -> None:
    with Journal.create(path, SPEC) as journal:

        def work(run: int) -> list[int]:
            made = []
            for number in range(40):
                attempt = journal.begin(call(run, number, run % 2)).result()
                recorded = Recorded(PROMPT, "Q", None, attempt)
                journal.end(attempt, named(), recorded).result()
                made.append(attempt)
            return made

        with ThreadPoolExecutor(8) as threads:
            made = [attempt for those in threads.map(work, range(8)) for attempt in those]
    assert sorted(made) == list(range(1, 321))
    with Journal.open(path) as journal:
        assert journal.usage() == Totals(320, 320, input_tokens=320 * 30)
        assert all(journal.usage(run).calls == 40 for run in range(8))


@pytest.mark.parametrize("wrapped", [False, True])
def test_an_event_loop_waits_for_hundreds_at_once(path: Path, wrapped: bool) -> None:
    with Journal.create(path, SPEC) as journal:

        async def one(number: int) -> None:
            begun = journal.begin(call(0, number, 0))
            attempt = await (asyncio.wrap_future(begun) if wrapped else begun)
            assert attempt == begun.attempt
            await asyncio.sleep(0)
            recorded = Recorded(PROMPT, "Q", None, attempt)
            ended = journal.end(attempt, named(), recorded)
            await (asyncio.wrap_future(ended) if wrapped else ended)
            await ended  # a second time, when it is done
            with closing(sqlite3.connect(path)) as other:
                (there,) = other.execute(
                    "SELECT count(*) FROM decisions WHERE interaction = ?", (number,)
                ).fetchone()
            assert there == 1

        async def all_of_them() -> None:
            await asyncio.gather(*map(one, range(300)))

        asyncio.run(all_of_them())
        assert journal.usage().answered == 300


def test_who_stops_waiting_for_a_call_to_be_written_can_still_end_it(journal: Journal) -> None:
    async def interrupted() -> None:
        begun = journal.begin(call())

        async def wait() -> int:
            return await begun

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not begun.cancel()
        await journal.end(begun.attempt, Ended("abandoned", 0.0))

    asyncio.run(interrupted())
    assert journal.usage() == Totals(1, abandoned=1)


# Reading


def test_a_reader_sees_what_is_on_disk_while_another_writes_and_can_add_nothing(
    journal: Journal, path: Path
) -> None:
    play(journal, 2)
    journal.flush()
    with Journal.read(path) as reader:
        play(journal, 2, run=1)
        journal.flush()
        assert reader.interaction(1, 0) is None
        assert reader.usage(1) == Totals()
        assert reader.attempts_of(0, 1) == journal.attempts_of(0, 1)
        assert len(reader.attempts_of(0, 1)) == 2
        reader.commit(Interaction(0, 1, 0, 1, 6, "Q", "Q", 100)).result()
        reader.decide(0, 1, 0, Recorded(*reader.decision(0, 1, 0) or ())).result()
        with pytest.raises(JournalError, match="played differently"):
            reader.commit(Interaction(0, 1, 0, 1, 6, "M", "Q", -50))
        adding: Sequence[Callable[[], Any]] = [
            lambda: reader.begin(call()),
            lambda: reader.decide(0, 9, 0, Recorded(PROMPT, "Q")),
            lambda: reader.commit(Skipped(0, 9, 0, 1, 2, "why")),
        ]
        for add in adding:
            with pytest.raises(JournalError, match="opened for reading"):
                add()
        assert reader.interaction(0, 9) is None
    journal.begin(call(0, 9, 0)).result()


def test_reading_leaves_no_trace_even_where_nothing_may_be_written(path: Path) -> None:
    with Journal.create(path, SPEC) as journal:
        play(journal, 2)
    before = files(path.parent)
    with Journal.read(path) as journal:
        assert journal.usage().answered == 4
    assert files(path.parent) == before


@posix
def test_only_the_owner_may_read_a_new_journal(path: Path) -> None:
    with Journal.create(path, SPEC) as journal:
        journal.begin(call()).result()
        modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in path.parent.iterdir()}
    assert {"journal.sqlite", "journal.sqlite-wal", "journal.lock"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_new_journal_never_takes_the_place_of_a_file(path: Path) -> None:
    path.write_text("mine")
    with pytest.raises(JournalError, match="exists already"):
        Journal.create(path, SPEC)
    assert files(path.parent) == {"journal.sqlite": b"mine"}
    with pytest.raises(JournalError, match="nothing can be locked"):
        Journal.create(path.parent / "nowhere" / "journal.sqlite", SPEC)
    with pytest.raises(SpecError, match="JSON cannot hold it"):
        Journal.create(path.with_name("other.sqlite"), {"graph": object()})
    assert files(path.parent) == {"journal.sqlite": b"mine"}
