"""Worker processes: nothing is printed, nobody is left behind, and what is lost is done again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import (
    BrokenExecutor,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
)
from contextlib import closing
from pathlib import Path
from typing import Any

import networkx as nx
import pytest
from programs import Program

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.errors import GraphWarning, SpecError, WorkerError
from mesa_llm_norms.simulation import workers
from mesa_llm_norms.simulation.backends import choose_backend
from mesa_llm_norms.simulation.workers import TRIES, Shared, WorkerPool, answers

posix = pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
ROOT = Path(workers.__file__).parents[2]


def double(number: int) -> int:
    return 2 * number


def refuse(number: int) -> int:
    raise SpecError("number", number, "it is refused", "Give another.")


def die_once(folder: str, number: int) -> int:
    """End this process without a word, the first time that number 3 is asked for."""
    mark = Path(folder) / "died"
    if number == 3 and not mark.exists():
        mark.touch()
        os._exit(1)
    return number


def die_always(number: int) -> int:
    os._exit(number)


def identity_of(shared: Shared[list[int]]) -> tuple[int, int]:
    time.sleep(0.01)
    return os.getpid(), id(shared.value)


def in_order(found: Iterator[Any]) -> list[Any]:
    return [result for _, result in sorted(found, key=lambda answer: answer.number)]


@pytest.mark.parametrize("processes", [1, 2])
def test_every_call_is_answered_once_with_its_number(processes: int) -> None:
    backend = choose_backend(workers=processes)
    found = in_order(backend.play(double, ((number,) for number in range(20))))
    assert found == [2 * number for number in range(20)]


def test_an_executor_that_is_given_makes_the_calls_and_is_left_running() -> None:
    with ThreadPoolExecutor(3) as threads:
        assert in_order(answers(double, [(1,), (2,)], 1, threads)) == [2, 4]
        assert threads.submit(double, 4).result() == 8


@pytest.mark.parametrize("processes", [1, 2])
def test_what_a_call_raises_is_raised(processes: int) -> None:
    with pytest.raises(SpecError, match="it is refused"):
        in_order(choose_backend(workers=processes).play(refuse, [(1,), (2,)]))


@pytest.mark.slow
def test_calls_of_a_process_that_is_lost_are_made_again(tmp_path: Path) -> None:
    calls = [(str(tmp_path), number) for number in range(8)]
    assert in_order(answers(die_once, calls, 2)) == list(range(8))
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_a_call_that_ends_its_worker_every_time_is_given_up() -> None:
    with pytest.raises(WorkerError, match=f"{TRIES} workers were lost"):
        in_order(answers(die_always, [(1,)], 2))


class Flaky(Executor):
    """Loses its first calls, as a cluster does whose worker is gone."""

    def __init__(self, losses: int, error: Exception) -> None:
        self.losses = losses
        self.error = error
        self.cancelled: list[Future[Any]] = []

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        if self.losses:
            self.losses -= 1
            future.set_exception(self.error)
        else:
            future.set_result(fn(*args, **kwargs))
        return future


def test_an_executor_may_lose_calls_now_and_then() -> None:
    lossy = Flaky(TRIES - 1, RuntimeError("worker lost"))
    assert in_order(answers(double, [(1,), (2,)], 1, lossy)) == [2, 4]


def test_an_executor_that_loses_every_call_is_given_up() -> None:
    with pytest.raises(WorkerError) as caught:
        in_order(answers(double, [(1,)], 1, Flaky(99, RuntimeError("worker lost"))))
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_a_broken_executor_is_given_up_at_once() -> None:
    with pytest.raises(WorkerError, match="the executor is broken"):
        in_order(answers(double, [(1,)], 1, Flaky(1, BrokenExecutor())))


@pytest.mark.parametrize("kind", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_an_executor_that_was_shut_down_is_refused(kind: type[Executor]) -> None:
    executor = kind()
    executor.shutdown()
    with pytest.raises(WorkerError, match="the executor takes no calls"):
        in_order(answers(double, [(1,)], 1, executor))


def test_leaving_early_drops_the_calls_of_an_executor() -> None:
    class Idle(Flaky):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            future = Future[Any]() if self.cancelled else super().submit(fn, *args, **kwargs)
            self.cancelled.append(future)
            return future

    idle = Idle(0, RuntimeError())
    with closing(answers(double, [(1,), (2,), (3,)], 1, idle)) as found:
        next(found)
    assert [future.cancelled() for future in idle.cancelled] == [False, True, True]


def test_a_shared_value_is_unpacked_once_in_each_process() -> None:
    shared = Shared(list(range(1_000)))
    found = {result for _, result in answers(identity_of, [(shared,)] * 12, 2)}
    assert len(found) == len({process for process, _ in found})


@pytest.mark.slow
def test_parts_that_never_meet_are_warned_of_once_however_many_processes() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        run_ensemble(nx.Graph([(0, 1), (2, 3)]), mind="uniform", runs=6, rounds=1, workers=2, rng=1)
    assert [one.category for one in caught] == [GraphWarning]


def test_a_pool_whose_block_fails_is_gone_at_once() -> None:
    found: list[Future[None]] = []

    def fail() -> None:
        with WorkerPool(2) as pool:
            found.extend(pool.submit(time.sleep, 600) for _ in range(2))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    for sleeping in found:
        assert isinstance(sleeping.exception(timeout=60), BrokenExecutor)


# The process that started them is ended

PARENT = """
import os, sys, time
from mesa_llm_norms.simulation.workers import answers

def work(number):
    os.write(1, f"{os.getpid()}\\n".encode())  # in one piece, whatever the buffering
    time.sleep(600)

if __name__ == "__main__":
    for _ in answers(work, [(number,) for number in range(4)], 2):
        pass
"""


def is_there(process: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        os.kill(process, 0)
        status = Path(f"/proc/{process}/stat")
        return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


@posix
@pytest.mark.parametrize(
    "name",
    ["SIGINT", *(pytest.param(name, marks=pytest.mark.slow) for name in ("SIGTERM", "SIGKILL"))],
)
@pytest.mark.parametrize("whom", ["it alone", pytest.param("all of them", marks=pytest.mark.slow)])
def test_no_process_outlives_the_one_that_started_it(tmp_path: Path, name: str, whom: str) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT, encoding="utf-8")
    with Program(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as parent:
        assert parent.stdout is not None
        processes = [int(parent.stdout.readline()) for _ in range(2)]
        number = getattr(signal, name)
        if whom == "it alone":
            parent.send_signal(number)
        else:
            os.killpg(parent.pid, number)
        _, err = parent.communicate(timeout=60)
    for _ in range(600):
        if not any(is_there(process) for process in processes):
            break
        time.sleep(0.1)
    assert not [process for process in processes if is_there(process)]
    if name == "SIGINT":
        assert err.rstrip().endswith("KeyboardInterrupt")
        assert err.count("Traceback") == 1, err
