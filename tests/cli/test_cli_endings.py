"""Every command ends the same way on Ctrl-C, SIGTERM and SIGHUP, at any moment, and leaves nothing.

For live runs one process has everything imported and forks a new one for each trial.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from commands import start
from messages_server import Fault, MessagesServer
from programs import Program

from mesa_llm_norms import cli
from mesa_llm_norms.core.interrupts import SIGNALS
from mesa_llm_norms.llm.journal.journal import Journal
from mesa_llm_norms.llm.journal.rows import Totals
from mesa_llm_norms.llm.settings import JOURNAL

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there are no such signals")

ROOT = Path(cli.__file__).parents[2]
SENTENCE = "interrupted: nothing more was written."
MIND = "claude:claude-test-1"
LIVE = ("--mind", MIND, "--names", "QM", "--budget-calls", "5000")
SMALL = ("--names", "QM", "--topology", "ring(n=6)", "--seed", "1")
LIVE_RUN = ("run", "--topology", "ring(n=8)", *LIVE, "--seed", "5", "--quiet")
ROUNDS = 4
CALLS = 2 * 8 * ROUNDS

OFFLINE: dict[str, tuple[str, ...]] = {
    "one run": ("run", *SMALL, "--rounds", "100000000", "--until", "none", "--mind", "uniform"),
    "many runs": ("run", *SMALL, "--runs", "1000000", "--mind", "uniform", "--workers", "2"),
    "sweep": ("sweep", "grid.toml", "--workers", "2"),
    "tip": ("tip", "--runs", "1000000", "--workers", "2"),
    "intervene": ("intervene", "M", "Q", "--try", "committed=4", "--runs", "1000000"),
    "audit": ("audit", "--runs", "1000000"),
    "reproduce": ("reproduce",),
    "classical": ("classical",),
    "topologies": ("topologies", "complete(n=1500)"),
    "minds": ("minds",),
    "app": ("app", "--port", "0", "--no-browser"),
}
GRID = 'runs = 1000000\nmind = "uniform"\nrounds = 60\nuntil = "none"\n[grid]\nmemory = [1, 2]\n'


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "no-key-at-all")


def status_of(number: int) -> int:
    return 128 + number


def processes_of(session: int) -> list[int]:
    """Return the processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, _, its = stat.read_text().rpartition(")")[2].split()[:4]
            if int(its) == session and state != "Z":
                found.append(int(stat.parent.name))
    return found


def semaphores_of(processes: Sequence[int]) -> set[str]:
    """Return the files of the semaphores that processes have in their memory."""
    found: set[str] = set()
    for process in processes:
        with suppress(OSError):
            maps = Path(f"/proc/{process}/maps").read_text()
            found |= {word for word in maps.split() if word.startswith("/dev/shm/sem.")}
    return found


def wait_for_handler(process: Program) -> None:
    """Wait until a process catches SIGTERM, which Python by itself does not."""
    while process.poll() is None:
        with suppress(OSError):
            status = Path(f"/proc/{process.pid}/status").read_text()
            caught = int(status.partition("SigCgt:")[2].split()[0], 16)
            if caught >> (signal.SIGTERM - 1) & 1:
                return
        time.sleep(0.01)


def end(arguments: Sequence[str], number: int, after: float, everyone: bool) -> None:
    """End a command some seconds after Python has started; check all that it may and must do."""
    with start(*arguments, start_new_session=True) as process:
        wait_for_handler(process)
        time.sleep(after)
        semaphores = semaphores_of(processes_of(process.pid))
        done = process.poll() is not None
        if not done:
            (os.killpg if everyone else os.kill)(process.pid, number)
        _, err = process.communicate(timeout=60)
        said = f"{arguments} {signal.Signals(number).name} after {after:.3f} s: {err}"
        lines = [line for line in err.splitlines() if not line.startswith(("note:", "mesa_llm_"))]
        if done or process.returncode == 0:
            assert (process.returncode, lines) == (0, []), said
            return
        assert process.returncode == status_of(number), said
        assert lines == [SENTENCE], said
        wait_until_gone(process, semaphores)
        assert list(Path().rglob(".unfinished*")) == [], said


def wait_until_gone(process: Program, semaphores: set[str]) -> None:
    """Wait for the processes of a session and what they shared to be gone."""
    for _ in range(400):
        left = processes_of(process.pid), {one for one in semaphores if Path(one).exists()}
        if left == ([], set()):
            return
        time.sleep(0.05)
    pytest.fail(f"these are left: {left}")


@pytest.mark.parametrize(
    ("name", "number"), [("many runs", "SIGHUP"), ("app", "SIGHUP"), ("app", "SIGTERM")]
)
def test_a_command_at_work_is_ended(name: str, number: str) -> None:
    end(OFFLINE[name], getattr(signal, number), 4.0, everyone=name == "many runs")
    assert list(Path().iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", OFFLINE)
def test_every_command_is_ended_at_random_moments(name: str) -> None:
    Path("grid.toml").write_text(GRID + 'graph = ["ring(n=4)"]\n', encoding="utf-8")
    chance = random.Random(name)
    for trial in range(12):
        arguments = OFFLINE[name]
        if name not in ("topologies", "minds", "app"):
            arguments = (*arguments, "--out", f"out{trial}")
        after = chance.choice([0.3, 2.0, 7.0]) * chance.uniform(0.3, 1)
        end(arguments, SIGNALS[trial % len(SIGNALS)], after, everyone=trial % 2 == 0)


@pytest.mark.slow
def test_a_process_that_is_killed_takes_its_workers_with_it() -> None:
    chance = random.Random(3)
    for _ in range(6):
        with start(*OFFLINE["many runs"], start_new_session=True) as process:
            wait_for_handler(process)
            time.sleep(chance.uniform(0.5, 5.0))
            semaphores = semaphores_of(processes_of(process.pid))
            process.kill()
            process.wait()
            wait_until_gone(process, semaphores)


# Live

NURSERY = """
import json, os, sys, traceback
import anthropic, matplotlib.pyplot
from mesa_llm_norms import cli
from mesa_llm_norms.llm.client import LLMClient

for line in sys.stdin:
    arguments, errors = json.loads(line)
    child = os.fork()
    if not child:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        status = 99
        try:
            sys.argv[1:] = arguments
            cli.main()
        except SystemExit as error:
            status = error.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    print(child, flush=True)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
"""


class Nursery:
    """Has commands run, each in a process of its own."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.said = ""

    def run(
        self, *arguments: str, number: int = 0, after: float | Callable[[], None] | None = None
    ) -> int:
        """Return the status of a command, which gets a signal after seconds or something else."""
        assert self.program.stdin is not None
        assert self.program.stdout is not None
        errors = Path("stderr.txt")
        errors.unlink(missing_ok=True)
        self.program.stdin.write(json.dumps([arguments, str(errors)]) + "\n")
        self.program.stdin.flush()
        child = int(self.program.stdout.readline())
        if after is not None:
            after() if callable(after) else time.sleep(after)
            with suppress(ProcessLookupError):  # it may have come to its end
                os.kill(child, number)
        status = int(self.program.stdout.readline())
        self.said = errors.read_text(encoding="utf-8")
        return status


@contextmanager
def nursery(url: str) -> Iterator[Nursery]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "ANTHROPIC_BASE_URL": url}
    with Program(
        [sys.executable, "-c", NURSERY],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as program:
        yield Nursery(program)


def usage_of(folder: str) -> Totals:
    with Journal.read(Path(folder) / JOURNAL) as journal:
        return journal.usage()


def rows_of(folder: str) -> list[Any]:
    return pd.read_parquet(Path(folder) / "interactions.parquet").to_dict("records")


def end_live_runs(trials: int, numbers: Sequence[int], seed: int) -> None:
    """End so many live runs at random moments: no answered call is lost, the rows are the same."""
    run = [*LIVE_RUN, "--rounds", str(ROUNDS), "--until", "none", "--out"]
    chance = random.Random(seed)
    cut_short = 0
    with MessagesServer(latency=0.02) as server, nursery(server.url) as commands:
        assert commands.run(*run, "first") == 0
        assert commands.run(*run, "whole") == 0
        begun = time.monotonic()
        assert commands.run(*run, "timed") == 0
        seconds = time.monotonic() - begun
        expected = rows_of("whole")
        for trial in range(trials):
            folder, before = f"ended{trial}", len(server.answered)
            number = numbers[trial % len(numbers)]
            status = commands.run(*run, folder, number=number, after=chance.uniform(0, seconds))
            assert status in (0, status_of(number)), commands.said
            if status:
                cut_short += 1
                assert commands.said.splitlines()[-1] == SENTENCE, commands.said
                assert list(Path().rglob(".unfinished*")) == []
                if (Path(folder) / JOURNAL).exists():
                    usage = usage_of(folder)
                    assert usage.answered == len(server.answered) - before
                    assert usage.calls == usage.answered
                    assert commands.run("resume", folder) == 0, commands.said
                else:
                    assert not Path(folder).exists()
                    assert commands.run(*run, folder) == 0, commands.said
            assert rows_of(folder) == expected
            assert len(server.answered) - before == CALLS
    assert cut_short >= trials // 2


@pytest.mark.slow
def test_no_answered_call_is_lost_with_a_live_run_that_is_ended() -> None:
    end_live_runs(3, SIGNALS, seed=1)


@pytest.mark.slow
def test_nor_is_one_with_fifty_that_are_ended_at_random_moments() -> None:
    end_live_runs(50, [signal.SIGTERM], seed=2)


EXPERIMENTS = {
    "many runs": ("run", "--topology", "ring(n=6)", *LIVE, "--seed", "5", "--runs", "4", "--quiet"),
    "audit": ("audit", *LIVE, "--seed", "5", "--runs", "2", "--asks", "6", "--asks-after", "2"),
    "tip": ("tip", "-t", "ring(n=6)", *LIVE, "--flip", "Q=M", "--runs", "40", "--after", "0"),
    "intervene": ("intervene", "M", "Q", *LIVE, "--try", "committed=2", "--runs", "2"),
    "reproduce": ("reproduce", "--mind", MIND, "--budget-calls", "5000", "--runs", "2"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_no_answered_call_is_lost_with_a_live_experiment_that_is_ended(name: str) -> None:
    chance = random.Random(name)
    with MessagesServer(latency=0.05) as server, nursery(server.url) as commands:
        for trial in range(6):
            folder, before = Path(f"ended{trial}"), len(server.answered)
            number = SIGNALS[trial % len(SIGNALS)]
            arguments = (*EXPERIMENTS[name], "--out", str(folder))
            status = commands.run(*arguments, number=number, after=chance.uniform(0.1, 4.0))
            assert status in (0, status_of(number)), commands.said
            if status:
                assert commands.said.splitlines()[-1] == SENTENCE, commands.said
            answered = 0
            for path in folder.rglob(JOURNAL):
                with Journal.read(path) as journal:
                    answered += journal.usage().answered
                    assert journal.usage().calls == journal.usage().answered
            assert answered == len(server.answered) - before
            assert list(Path().rglob(".unfinished*")) == []


@pytest.mark.parametrize(
    "name",
    [
        "one run",
        *(pytest.param(it, marks=pytest.mark.slow) for it in ("many runs", "tip", "audit")),
    ],
)
def test_a_server_that_is_still_being_probed_leaves_nothing_behind(name: str) -> None:
    arguments = LIVE_RUN if name == "one run" else EXPERIMENTS[name]
    number, probes = signal.SIGTERM, []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)

        def probed() -> None:
            probes.append(silent.accept())
            probes[0][0].recv(1)

        with nursery(f"http://127.0.0.1:{silent.getsockname()[1]}") as commands:
            status = commands.run(*arguments, "--out", "mine", number=number, after=probed)
        for connection, _ in probes:
            connection.close()
    assert status == status_of(number), commands.said
    assert commands.said.splitlines()[-1] == SENTENCE, commands.said
    assert "resume with" not in commands.said
    assert [path.name for path in Path().iterdir()] == ["stderr.txt"]


@pytest.mark.slow
def test_a_wait_and_a_call_that_never_ends_are_ended_too() -> None:
    with MessagesServer(faults=lambda *_: Fault("hang")) as server, nursery(server.url) as commands:
        for fault in (Fault("hang"), Fault("status", 529)):
            server.faults = lambda *_, fault=fault: fault
            before = len(server.requests)
            status = commands.run(*LIVE_RUN, "--out", "mine", number=signal.SIGTERM, after=2.0)
            assert status == status_of(signal.SIGTERM), commands.said
            assert commands.said.splitlines()[-1] == SENTENCE, commands.said
            assert len(server.requests) > before
            shutil.rmtree("mine")
