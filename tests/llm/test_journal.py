"""The journal of live runs: what was told to be on disk is there, and damage is never added to."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from programs import Program
from strategies import node_ids

from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.errors import JournalError, SpecError
from mesa_llm_norms.llm.journal import tables as schema
from mesa_llm_norms.llm.journal.database import Written
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.tables import (
    AgentUsage,
    Attempt,
    Call,
    Distribution,
    Ended,
    Recorded,
    Totals,
    Voided,
    node_text,
    prompt_digest,
    read_node,
)

ROOT = Path(__file__).parents[2]
SPEC = {"graph": "ring(n=6)", "names": ["Q", "M"], "seed": 7}
PROMPT = prompt_digest("the rules", "your memory")

posix = pytest.mark.skipif(os.name != "posix", reason="signals and file modes of POSIX")


def call(
    run: int = 0, interaction: int = 0, seat: int = 0, user: str = "your memory", **other: Any
) -> Call:
    return Call(
        run,
        interaction,
        seat,
        **{
            "mind": "claude:claude-haiku-5-5",
            "place": "http://127.0.0.1:1",
            "parameters": {"max_tokens": 16},
            "system": "the rules",
            "user": user,
            **other,
        },
    )


def named(**other: Any) -> Ended:
    return Ended("name", 0.25, **{"reply": '{"name": "Q"}', "input_tokens": 30, **other})


def play(journal: Journal, interactions: int, run: int = 0) -> None:
    """Write interactions down whose calls all went well."""
    for number in range(interactions):
        for seat in (0, 1):
            begun = journal.begin(call(run, number, seat, user=f"memory {number} {seat}"))
            prompt = prompt_digest("the rules", f"memory {number} {seat}")
            journal.end(begun.attempt, named(), Recorded(prompt, "Q", None, begun.attempt))
        journal.commit(Interaction(run, number, number // 6, number % 6, 6, "Q", "Q", 100))


def files(folder: Path) -> dict[str, bytes]:
    """Return what is in a folder; never while a journal in it is open in this process."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def everything(journal: Journal) -> list[Any]:
    """Return all that a journal tells of runs 0 and 1 and their first interactions."""
    places = [(run, number) for run in (0, 1) for number in range(4)]
    return [
        journal.spec,
        journal.versions,
        journal.created,
        journal.usage(),
        [(journal.usage(run), journal.usage_by_agent(run)) for run in (0, 1)],
        [journal.interaction(*place) for place in places],
        [journal.attempts_of(*place) for place in places],
        [journal.decision(*place, seat) for place in places for seat in (0, 1)],
        [journal.tries(*place, seat, PROMPT) for place in places for seat in (0, 1)],
        [journal.distribution(key) for key in "abc"],
    ]


def recount(journal: Journal, run: int | None = None) -> Totals:
    """Return what a journal's calls come to, counted anew from the calls themselves."""
    attempts = [
        attempt
        for which in ([0, 1] if run is None else [run])
        for number in range(4)
        for attempt in journal.attempts_of(which, number)
    ]
    outcomes = Counter(attempt.outcome for attempt in attempts)
    return Totals(
        len(attempts),
        outcomes["name"] + outcomes["distribution"],
        outcomes["failed"],
        outcomes["unusable"],
        outcomes["lost"],
        outcomes["abandoned"],
        sum(attempt.input_tokens or 0 for attempt in attempts),
        sum(attempt.output_tokens or 0 for attempt in attempts),
        sum(attempt.thinking_tokens or 0 for attempt in attempts),
        sum(attempt.cached_tokens or 0 for attempt in attempts),
        sum(attempt.cost or 0.0 for attempt in attempts),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.create(path, SPEC) as journal:
        yield journal


# What is written is there


def test_a_call_is_kept_with_its_texts_in_full_and_what_came_of_it(journal: Journal) -> None:
    begun = journal.begin(call(2, 5, 1, parameters={"top_p": 0.5, "max_tokens": 9}))
    ended = Ended("name", 0.5, "slow", 200, "Q", "haiku", "end_turn", 30, 20, 10, 5, 0.001)
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
        journal.commit(Voided(1, 0, 0, 1, 2, "no usable reply"))
        journal.flush()
        before = everything(journal)
    with Journal.open(path) as journal:
        assert everything(journal) == before
        assert journal.spec == SPEC
        assert journal.distribution("a") == (0.75, 0.25)
        assert journal.interaction(1, 0) == Voided(1, 0, 0, 1, 2, "no usable reply")
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
        with pytest.raises(JournalError, match="not under way"):
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


@given(node_ids())
def test_a_node_id_that_json_can_hold_is_read_back_the_same(node: Hashable) -> None:
    read = read_node(node_text(node))
    if "frozenset" in repr(node) and not isinstance(node, str):
        assert read == node_text(node)
    else:
        assert read == node
        assert type(read) is type(node)


def test_node_ids_are_written_alike_in_every_process() -> None:
    assert node_text(frozenset({"b", "a", "c"})) == "frozenset({'a', 'b', 'c'})"
    assert node_text((1, frozenset({2}))) == "(1, frozenset({2}))"
    assert node_text(np.int64(3)) == "3"
    assert node_text(float("nan")) == "nan"
    assert read_node(node_text(((1, 2), "x"))) == ((1, 2), "x")


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


def test_only_unusable_replies_to_the_very_prompt_count_as_tries(path: Path) -> None:
    other = prompt_digest("the rules", "another memory")
    with Journal.create(path, SPEC) as journal:
        for outcome in ("unusable", "failed", "unusable", "abandoned"):
            begun = journal.begin(call())
            journal.end(begun.attempt, Ended(outcome, 1.0))
        begun = journal.begin(call(user="another memory"))
        journal.end(begun.attempt, Ended("unusable", 1.0))
        journal.begin(call())
    for again in range(2):
        with Journal.open(path) as journal:
            assert journal.tries(0, 0, 0, PROMPT) == 2
            assert journal.tries(0, 0, 0, other) == 1
            assert journal.tries(0, 0, 1, PROMPT) == 0
            assert len(journal.in_flight()) == 1 - again
            numbers = [attempt.number for attempt in journal.attempts_of(0, 0)]
            assert numbers == list(range(6))


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
    for other in (row._replace(name_b="Q"), row._replace(payoff=0), Voided(*row[:5], "why")):
        with pytest.raises(JournalError, match="interaction 0 of run 0 went otherwise"):
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
        journal.begin(call(seat=2))
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
    with pytest.raises(JournalError, match="not under way"):
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


# One process at a time, and what is left when it is killed

CHILDREN = """
import asyncio, os, resource, sys
from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.game import Interaction
from mesa_llm_norms.journal import Call, Ended, Journal, Recorded

def tell(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # in one piece, at once

def ask(journal, run, number, seat):
    return journal.begin(Call(run, number, seat, "m", "p", {}, "rules", f"{run} {number} {seat}"))

def play(path, run):
    journal = Journal.open(path)
    async def seat(number, seat):
        attempt = await ask(journal, run, number, seat)
        tell("begun", attempt)
        await asyncio.sleep(0.001 * ((number * 7 + seat) % 5))
        name = "QM"[attempt % 2]
        recorded = Recorded("d", name, None, attempt)
        await journal.end(attempt, Ended("name", 0.1, reply=name), recorded)
        tell("decided", attempt, run, number, seat, name)
        return name
    async def interaction(number):
        names = await asyncio.gather(seat(number, 0), seat(number, 1))
        await journal.commit(Interaction(run, number, 0, 0, 1, *names, 0))
        tell("committed", run, number, *names)
    async def everything():
        for first in range(0, 100_000, 20):
            await asyncio.gather(*(interaction(first + more) for more in range(20)))
    asyncio.run(everything())

def hold(path, run):
    journal = Journal.open(path)
    tell("held")
    sys.stdin.readline()

def fill(path, run):
    journal = Journal.open(path)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
    waiting, failures = [], []
    try:
        for number in range(2_000):
            waiting.append(ask(journal, run, number, 0))
    except JournalError as error:
        failures.append(error)
    for begun in waiting:
        try:
            tell("begun", begun.result())
        except JournalError as error:
            failures.append(error)
    later = [
        lambda: ask(journal, run, 0, 1), lambda: journal.flush(), lambda: journal.close(),
        lambda: journal.decision(run, 0, 0), lambda: journal.attempts_of(run, 0),
        lambda: journal.commit(Interaction(run, 0, 0, 0, 1, "Q", "Q", 0)),
    ]
    for one in later:
        try:
            one()
        except JournalError as error:
            assert str(error) == str(failures[-1]), error
            tell("refused", error.problem)
    tell("calls", journal.usage().calls, len(waiting))

for line in sys.stdin:  # imports nothing anew for each
    what, path, run = line.split()
    child = os.fork()
    if not child:
        {"play": play, "hold": hold, "fill": fill}[what](path, int(run))
        os._exit(0)
    tell("child", child)
    os.waitpid(child, 0)
    tell("gone")
"""


class Children:
    """Processes that work on a journal, one after the other."""

    def __init__(self, program: Program) -> None:
        assert program.stdin is not None
        assert program.stdout is not None
        self.said = program.stdin
        self.heard = program.stdout

    def start(self, what: str, path: Path, run: int = 0) -> int:
        """Start one and return its process number."""
        print(what, path, run, file=self.said, flush=True)
        word, number = self.heard.readline().split()
        assert word == "child"
        return int(number)

    def rest(self) -> list[list[str]]:
        """Return what the child says from now on, once it is gone."""
        return [line.split() for line in iter(self.heard.readline, "gone\n")]


@pytest.fixture(scope="module")
def children(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    if os.name != "posix":
        pytest.skip("signals of POSIX")
    script = tmp_path_factory.mktemp("children") / "children.py"
    script.write_text(CHILDREN, encoding="utf-8")
    with Program(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as program:
        yield Children(program)


@pytest.mark.slow
def test_a_killed_process_loses_nothing_that_it_was_told_is_on_disk(
    children: Children, path: Path
) -> None:
    Journal.create(path, SPEC).close()
    chance = random.Random(5)
    lost = calls = logs = 0
    for run in range(30):
        child = children.start("play", path, run)
        time.sleep(chance.uniform(0.0, 0.08))
        os.kill(child, signal.SIGKILL)
        said = children.rest()
        logs += path.with_name("journal.sqlite-wal").exists()
        begun = {int(words[1]) for words in said if words[0] == "begun"}
        decided = [words[1:] for words in said if words[0] == "decided"]
        committed = [words[1:] for words in said if words[0] == "committed"]
        with Journal.open(path) as journal:
            for attempt, *place, name in decided:
                kept = journal.decision(*map(int, place))
                assert kept == Recorded("d", name, None, int(attempt))
            for _, number, *names in committed:
                row = journal.interaction(run, int(number))
                assert isinstance(row, Interaction)
                assert [row.name_a, row.name_b] == names
            in_flight = {attempt.attempt for attempt in journal.in_flight()}
            assert not in_flight & {int(words[0]) for words in decided}
            assert all(attempt.outcome == "lost" for attempt in journal.in_flight())
            assert journal.usage(run).lost == len(in_flight)
            assert len(begun) <= journal.usage(run).calls
            assert journal.usage(run).in_flight == 0
            lost += len(in_flight)
            calls += journal.usage(run).calls
            assert (journal.usage().lost, journal.usage().calls) == (lost, calls)
            last = journal.begin(call(run, 999_999, 0))
            journal.end(last.attempt, named()).result()
            assert begun <= set(range(1, last.attempt))
            calls += 1
    assert calls > 100
    assert lost > 0
    assert logs > 0


def test_one_process_goes_on_at_a_time_and_a_kill_gives_the_lock_back(
    children: Children, path: Path
) -> None:
    with Journal.create(path, SPEC) as journal:
        play(journal, 2)
        with pytest.raises(JournalError, match="reading is possible meanwhile"):
            Journal.open(path)
        link = path.with_name("link.sqlite")
        link.symlink_to(path)
        with pytest.raises(JournalError, match="gone on with already"):
            Journal.open(link)
    child = children.start("hold", path)
    assert children.heard.readline() == "held\n"
    with pytest.raises(JournalError, match="gone on with already"):
        Journal.open(path)
    with pytest.raises(JournalError):
        Journal.create(path, SPEC)
    with Journal.read(path) as journal:
        assert journal.usage().answered == 4
    os.kill(child, signal.SIGKILL)
    children.rest()
    with Journal.open(path) as journal:
        assert journal.usage().answered == 4


def test_a_full_disk_fails_all_that_waits_and_every_later_call(
    children: Children, path: Path
) -> None:
    Journal.create(path, SPEC).close()
    children.start("fill", path)
    said = children.rest()
    begun = [int(words[1]) for words in said if words[0] == "begun"]
    refused = [" ".join(words[1:]) for words in said if words[0] == "refused"]
    assert len(refused) == 6
    assert all("cannot be written" in problem for problem in refused)
    calls, waited = map(int, said[-1][1:])
    assert waited <= calls <= waited + 1
    with Journal.open(path) as journal:
        assert journal.usage().calls == len(journal.in_flight()) < waited
        assert set(begun) <= {attempt.attempt for attempt in journal.in_flight()}


@posix
@pytest.mark.parametrize("what", ["the file", "the folder"])
def test_a_file_that_was_removed_is_a_failure_and_nothing_hangs(tmp_path: Path, what: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    journal = Journal.create(folder / "journal.sqlite", SPEC)
    journal.begin(call()).result()
    if what == "the file":
        (folder / "journal.sqlite").unlink()
    else:
        shutil.rmtree(folder)
    with pytest.raises(JournalError, match=r"cannot be written .*removed"):
        journal.begin(call(seat=1)).result()

    async def waiting() -> None:
        await journal.begin(call(seat=1))

    later: Sequence[Callable[[], Any]] = [
        lambda: asyncio.run(waiting()),
        lambda: journal.end(1, named()),
        lambda: journal.decide(0, 0, 0, Recorded(PROMPT, "Q")),
        lambda: journal.commit(Voided(0, 0, 0, 1, 2, "why")),
        lambda: journal.distribution("a"),
        journal.flush,
        journal.close,
    ]
    for one in later:
        with pytest.raises(JournalError, match="removed"):
            one()
    assert journal.usage().calls == 2
    journal.close()


@posix
def test_a_failure_to_write_never_hides_the_error_it_comes_after(path: Path) -> None:
    def work() -> None:
        with Journal.create(path, SPEC) as journal:
            path.unlink()
            journal.commit(Voided(0, 0, 0, 1, 2, "why"))
            raise KeyError("the first")

    with pytest.raises(KeyError, match="the first"):
        work()


def test_a_closed_journal_says_so(path: Path) -> None:
    journal = Journal.create(path, SPEC)
    journal.begin(call())
    journal.close()
    journal.close()
    assert journal.usage().calls == 1
    for one in (lambda: journal.begin(call()), journal.flush, lambda: journal.attempts_of(0, 0)):
        with pytest.raises(JournalError, match="it has been closed"):
            one()


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
        with pytest.raises(JournalError, match="went otherwise"):
            reader.commit(Interaction(0, 1, 0, 1, 6, "M", "Q", -50))
        adding: Sequence[Callable[[], Any]] = [
            lambda: reader.begin(call()),
            lambda: reader.decide(0, 9, 0, Recorded(PROMPT, "Q")),
            lambda: reader.commit(Voided(0, 9, 0, 1, 2, "why")),
        ]
        for add in adding:
            with pytest.raises(JournalError, match="opened to be read"):
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
    with pytest.raises(JournalError, match="there already"):
        Journal.create(path, SPEC)
    assert files(path.parent) == {"journal.sqlite": b"mine"}
    with pytest.raises(JournalError, match="nothing can be written"):
        Journal.create(path.parent / "nowhere" / "journal.sqlite", SPEC)
    with pytest.raises(SpecError, match="JSON cannot hold it"):
        Journal.create(path.with_name("other.sqlite"), {"graph": object()})
    assert files(path.parent) == {"journal.sqlite": b"mine"}


# Older and newer ones

FIRST_VERSION = """
PRAGMA application_id = 0x4E4F524D;
CREATE TABLE spec (id INTEGER PRIMARY KEY CHECK (id = 0), spec TEXT NOT NULL,
    versions TEXT NOT NULL, created TEXT NOT NULL);
CREATE TABLE prompts (digest TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL);
CREATE TABLE parameters (digest TEXT PRIMARY KEY NOT NULL, text TEXT NOT NULL);
CREATE TABLE attempts (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, interaction INTEGER NOT NULL,
    seat INTEGER NOT NULL CHECK (seat IN (0, 1)), try INTEGER NOT NULL, mind TEXT NOT NULL,
    place TEXT NOT NULL, parameters TEXT NOT NULL REFERENCES parameters (digest),
    system TEXT NOT NULL REFERENCES prompts (digest),
    user TEXT NOT NULL REFERENCES prompts (digest), begun TEXT NOT NULL, latency REAL,
    outcome TEXT CHECK (outcome IN
        ('name', 'distribution', 'unusable', 'failed', 'abandoned', 'lost')),
    problem TEXT, status INTEGER, model TEXT, stop TEXT, input_tokens INTEGER,
    output_tokens INTEGER, cost REAL, reply TEXT, UNIQUE (run, interaction, seat, try));
CREATE TABLE distributions (key TEXT PRIMARY KEY NOT NULL, probabilities TEXT NOT NULL,
    attempt INTEGER NOT NULL REFERENCES attempts (id));
CREATE TABLE decisions (run INTEGER NOT NULL, interaction INTEGER NOT NULL,
    seat INTEGER NOT NULL CHECK (seat IN (0, 1)), prompt TEXT NOT NULL, name TEXT NOT NULL,
    probability REAL, attempt INTEGER REFERENCES attempts (id),
    PRIMARY KEY (run, interaction, seat)) WITHOUT ROWID;
PRAGMA user_version = 1;
"""

FIRST_ROWS = """
INSERT INTO spec VALUES (0, '{"seed": 1}', '{}', '2025-01-01T00:00:00+00:00');
INSERT INTO prompts VALUES ('s', 'the rules'), ('u', 'your memory');
INSERT INTO parameters VALUES ('p', '{}');
INSERT INTO attempts VALUES
    (1, 0, 0, 0, 0, 'm', 'there', 'p', 's', 'u', '2025', 0.5, 'name', NULL, 200, 'x', 'end', 30, 4,
     0.5, 'Q'),
    (2, 0, 0, 1, 0, 'm', 'there', 'p', 's', 'u', '2025', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL);
INSERT INTO decisions VALUES (0, 0, 0, 'd', 'Q', NULL, 1);
INSERT INTO distributions VALUES ('a', '[0.5, 0.5]', 1);
"""


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A journal of version 1 whose process was killed: its rows are in the log alone."""
    made = tmp_path / "made"
    made.mkdir()
    run = tmp_path / "run"
    with closing(sqlite3.connect(made / "journal.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(FIRST_VERSION)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.executescript(FIRST_ROWS)
        shutil.copytree(made, run)
    (run / "journal.sqlite-shm").unlink()
    return run / "journal.sqlite"


def check_first(journal: Journal) -> None:
    assert journal.spec == {"seed": 1}
    assert journal.decision(0, 0, 0) == Recorded("d", "Q", None, 1)
    assert journal.distribution("a") == (0.5, 0.5)
    assert journal.usage(0) == Totals(2, 1, 0, 0, journal.usage().lost, 0, 30, 4, 0, 0, 0.5)
    answered, _ = journal.attempts_of(0, 0)
    assert (answered.reply, answered.output_tokens, answered.thinking_tokens) == ("Q", 4, None)


def test_an_older_journal_is_brought_to_this_version_and_a_copy_of_it_kept(first: Path) -> None:
    with Journal.open(first) as journal:
        check_first(journal)
        assert [attempt.attempt for attempt in journal.in_flight()] == [2]
        play(journal, 2, run=1)
    with Journal.open(first) as journal:
        check_first(journal)
        assert journal.usage(1).answered == 4
        assert isinstance(journal.interaction(1, 1), Interaction)
    assert set(files(first.parent)) == {"journal.lock", "journal.sqlite", "journal.sqlite.v1"}
    copy = first.with_name("journal.sqlite.v1")
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*), count(outcome) FROM attempts").fetchone() == (
            2,
            1,
        )
    with Journal.read(copy) as journal:
        check_first(journal)


def test_an_older_journal_is_read_without_being_changed(first: Path) -> None:
    before = files(first.parent)
    with Journal.read(first) as journal:
        check_first(journal)
        assert journal.usage().in_flight == 1
    after = files(first.parent)
    assert after.keys() - before.keys() <= {"journal.sqlite-shm"}
    assert {name: after[name] for name in before} == before


class Failing(Mapping[int, Sequence[str]]):
    """Migrations whose last statement fails from the given time on that they are asked for."""

    def __init__(self, good: Mapping[int, Sequence[str]], time: int) -> None:
        self.good, self.left = good, time

    def __getitem__(self, version: int) -> Sequence[str]:
        self.left -= 1
        return self.good[version] if self.left >= 0 else (*self.good[version], "CREATE nonsense")

    def __iter__(self) -> Iterator[int]:
        return iter(self.good)

    def __len__(self) -> int:
        return len(self.good)


@pytest.mark.parametrize("time", [0, 1])
def test_a_migration_that_fails_leaves_the_old_journal_whole(
    first: Path, monkeypatch: pytest.MonkeyPatch, time: int
) -> None:
    before = files(first.parent)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", Failing(schema.MIGRATIONS, time))
        with pytest.raises(JournalError, match="nonsense"):
            Journal.open(first)
    if time == 0:  # on trial, in memory
        assert files(first.parent) == before
    with closing(sqlite3.connect(first)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        assert connection.execute("SELECT count(*) FROM attempts").fetchone() == (2,)
        with pytest.raises(sqlite3.OperationalError, match="no such column"):
            connection.execute("SELECT thinking_tokens FROM attempts")
    assert set(files(first.parent)) == {"journal.sqlite"}
    with Journal.open(first) as journal:
        check_first(journal)


def test_a_migrated_journal_has_the_tables_of_a_new_one(first: Path, path: Path) -> None:
    Journal.open(first).close()
    Journal.create(path, SPEC).close()
    with closing(sqlite3.connect(first)) as one, closing(sqlite3.connect(path)) as other:
        assert schema.shape_of(one) == schema.shape_of(other)


# Damage


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a journal that was closed."""
    path = tmp_path_factory.mktemp("sound") / "journal.sqlite"
    with Journal.create(path, SPEC) as journal:
        play(journal, 60)
        begun = journal.begin(call(1, 0, 0))
        distribution = Distribution("a", (0.75, 0.25))
        journal.end(begun.attempt, Ended("distribution", 0.1), distribution=distribution)
        journal.commit(Voided(1, 0, 0, 1, 2, "no usable reply"))
        journal.begin(call(1, 1, 0))
    return path.read_bytes()


def refused(path: Path, match: str | None = None) -> None:
    """Check that nobody can open a journal, and that nothing is changed by trying."""
    before = files(path.parent)
    for way in (Journal.open, Journal.read):
        with pytest.raises(JournalError, match=match):
            way(path)
        assert files(path.parent) == before


def changed(path: Path, contents: bytes, script: str) -> None:
    """Write a journal after running a script on it."""
    path.write_bytes(contents)
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


@pytest.mark.parametrize(
    ("script", "match"),
    [
        ("PRAGMA user_version = 3", "version 3.*Install the newer mesa_llm_norms"),
        ("PRAGMA user_version = 0", "damaged"),
        ("PRAGMA application_id = 7", "no journal of mesa_llm_norms"),
        ("PRAGMA foreign_keys = OFF; DROP TABLE prompts", "tables"),
        ("DROP TABLE interactions", "tables"),
        ("ALTER TABLE attempts RENAME COLUMN reply TO answer", "tables"),
        ("ALTER TABLE decisions ADD COLUMN more TEXT", "tables"),
        ("CREATE TABLE more (x)", "tables"),
        ("PRAGMA user_version = 1", "duplicate column|tables"),
        ("DELETE FROM spec", "spec is missing"),
        ("UPDATE spec SET spec = '[1]'", "no JSON object"),
        ("UPDATE spec SET spec = '{'", "damaged"),
        ("UPDATE distributions SET probabilities = '[0.5, \"x\"]'", "no distribution"),
        ("UPDATE interactions SET node_a = x'ff'", "no interaction"),
        (
            "PRAGMA ignore_check_constraints = ON; UPDATE attempts SET outcome = 'guessed'",
            "damaged.*guessed",
        ),
    ],
)
def test_what_is_no_journal_of_this_version_is_refused_and_left_alone(
    path: Path, sound: bytes, script: str, match: str
) -> None:
    changed(path, sound, script)
    refused(path, match)


@pytest.mark.parametrize("contents", [b"", b"no database", b"SQLite format 3\0", bytes(9_000)])
def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    refused(path)


def test_a_missing_file_and_a_folder_are_refused_and_nothing_is_made(path: Path) -> None:
    refused(path, "no such file")
    path.mkdir()
    for way in (Journal.open, Journal.read):
        with pytest.raises(JournalError, match="no file"):
            way(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_damaged_file_with_a_log_is_refused_without_a_trace(path: Path, sound: bytes) -> None:
    with closing(sqlite3.connect(path.with_name("other"))) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE other (x)")
        path.with_name("journal.sqlite-wal").write_bytes(path.with_name("other-wal").read_bytes())
    path.with_name("other").unlink()
    path.write_bytes(sound[: len(sound) // 2])
    refused(path)


def damaged(contents: bytes, chance: random.Random) -> bytes:
    """Return what is left of a file after something happened to it."""
    data = bytearray(contents)
    at = chance.randrange(len(data))
    kind = chance.choice(["cut", "cut to a page", "flip", "zero", "garbage", "swap", "extend"])
    if kind == "cut":
        del data[at:]
    elif kind == "cut to a page":
        del data[at // 4096 * 4096 :]
    elif kind == "flip":
        for _ in range(chance.randrange(1, 9)):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == "zero":
        end = min(len(data), at + chance.choice([16, 512, 4096]))
        data[at:end] = bytes(end - at)
    elif kind == "garbage":
        end = min(len(data), at + chance.choice([16, 512, 4096]))
        data[at:end] = chance.randbytes(end - at)
    elif kind == "swap":
        pages = len(data) // 4096
        one, other = (chance.randrange(pages) * 4096 for _ in range(2))
        data[one : one + 4096], data[other : other + 4096] = (
            data[other : other + 4096],
            data[one : one + 4096],
        )
    else:
        data += chance.randbytes(chance.choice([1, 4096]))
    return bytes(data)


def test_a_damaged_journal_is_reported_and_left_alone_unless_the_damage_does_not_matter(
    tmp_path: Path, sound: bytes
) -> None:
    reported = 0
    for seed in range(200):
        folder = tmp_path / str(seed)
        folder.mkdir()
        path = folder / "journal.sqlite"
        path.write_bytes(damaged(sound, random.Random(seed)))
        before = files(folder)
        try:
            journal = Journal.open(path)
        except JournalError:
            assert files(folder) == before
            reported += 1
            continue
        with journal:
            assert len(journal.in_flight()) == 1
            assert journal.usage().calls == 122
            with suppress(JournalError):  # a text that is no text any more
                everything(journal)
    assert 100 < reported < 200
