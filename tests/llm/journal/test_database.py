"""The file of a journal: one process at a time, kills, a full disk, and damage."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from journals import PROMPT, SPEC, call, everything, files, named, play, posix
from programs import Program

from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Distribution, Ended, Recorded, Skipped

ROOT = Path(__file__).parents[3]


# One process at a time, and what is left when it is killed

CHILDREN = """
import asyncio, os, resource, sys
from mesa_llm_norms.errors import JournalError
from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Call, Ended, Recorded

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
        with pytest.raises(JournalError, match="can be read meanwhile"):
            Journal.open(path)
        link = path.with_name("link.sqlite")
        link.symlink_to(path)
        with pytest.raises(JournalError, match="already resuming this run"):
            Journal.open(link)
    child = children.start("hold", path)
    assert children.heard.readline() == "held\n"
    with pytest.raises(JournalError, match="already resuming this run"):
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
        lambda: journal.commit(Skipped(0, 0, 0, 1, 2, "why")),
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
            journal.commit(Skipped(0, 0, 0, 1, 2, "why"))
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
        with pytest.raises(JournalError, match="it is closed"):
            one()


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
        journal.commit(Skipped(1, 0, 0, 1, 2, "no usable reply"))
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
        ("PRAGMA user_version = 5", "version 5, and this package reads version 4"),
        ("PRAGMA user_version = 0", "version 0"),
        ("PRAGMA application_id = 7", "not a journal of mesa_llm_norms"),
        ("PRAGMA foreign_keys = OFF; DROP TABLE prompts", "tables"),
        ("DROP TABLE interactions", "tables"),
        ("ALTER TABLE attempts RENAME COLUMN reply TO answer", "tables"),
        ("ALTER TABLE decisions ADD COLUMN more TEXT", "tables"),
        ("CREATE TABLE more (x)", "tables"),
        ("PRAGMA user_version = 1", "version 1, and this package reads version 4"),
        ("DELETE FROM spec", "spec is missing"),
        ("UPDATE spec SET spec = '[1]'", "not a JSON object"),
        ("UPDATE spec SET spec = '{'", "damaged"),
        ("UPDATE distributions SET probabilities = '[0.5, \"x\"]'", "not a distribution"),
        ("UPDATE interactions SET node_a = x'ff'", "not an interaction"),
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


@pytest.mark.parametrize("value", ["-1000", "'-5x'", "'nan'", "1e308", "9e999", "x'ff'"])
@pytest.mark.parametrize(
    "column", ["cost", "input_tokens", "output_tokens", "thinking_tokens", "cached_tokens"]
)
def test_amounts_that_no_call_can_have_are_refused_as_budgets_count_on_them(
    path: Path, sound: bytes, column: str, value: str
) -> None:
    changed(path, sound, f"UPDATE attempts SET {column} = {value} WHERE id = 2")
    refused(path, f"damaged.*the {column} of call 2 cannot be ")


def test_tokens_of_a_call_that_ended_are_known(path: Path, sound: bytes) -> None:
    changed(path, sound, "UPDATE attempts SET output_tokens = NULL WHERE id = 1")
    refused(path, "damaged.*the output_tokens of call 1 cannot be None")


@pytest.mark.parametrize("contents", [b"", b"no database", b"SQLite format 3\0", bytes(9_000)])
def test_a_file_of_another_kind_is_refused_and_left_alone(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    refused(path)


def test_a_missing_file_and_a_folder_are_refused_and_nothing_is_made(path: Path) -> None:
    refused(path, "no such file")
    path.mkdir()
    for way in (Journal.open, Journal.read):
        with pytest.raises(JournalError, match="not a file"):
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
