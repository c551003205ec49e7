"""What cannot be sent to other processes is refused by name; workers that end say how."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from textwrap import indent
from typing import Any

import networkx as nx
import pytest

from mesa_llm_norms import Intervention, Policy, compare_interventions, run_ensemble, tip
from mesa_llm_norms.errors import MindError, PairingError, SpecError, WorkerError
from mesa_llm_norms.simulation import workers
from mesa_llm_norms.simulation.pairing import NodePairing
from mesa_llm_norms.simulation.workers import Shared, WorkerPool, answers

posix = pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
ROOT = Path(workers.__file__).parents[2]
GAME: dict[str, Any] = {"graph": "ring(n=6)", "names": "QM", "rng": 1}


class Stubborn(Policy):
    """A mind that holds what cannot be pickled."""

    label = "stubborn"

    def __init__(self, held: Any = None) -> None:
        self.held = held

    def distribution(self, memory: Any, pool: Sequence[str]) -> list[float]:  # noqa: ARG002
        return [1 / len(pool)] * len(pool)


class Rule(NodePairing):
    label = "mine"

    def __init__(self) -> None:
        self.held = threading.Lock()


@pytest.fixture
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers._Worker, "start", lambda _: pytest.fail("a worker started"))


@pytest.mark.usefixtures("no_worker")
@pytest.mark.parametrize("held", [lambda: 1, threading.Lock()], ids=["lambda", "lock"])
def test_a_mind_that_cannot_be_pickled_is_named(held: Any) -> None:
    with pytest.raises(MindError, match=r"'stubborn' cannot be sent .*pickle.* only what can be"):
        run_ensemble(mind=Stubborn(held), runs=4, workers=2, **GAME)
    shares = {"uniform": 0.5, Stubborn(held): 0.5}
    with pytest.raises(MindError, match="'stubborn' cannot be sent"):
        tip(graph="ring(n=6)", names="QM", mind=shares, runs=80, rounds=2, workers=2, rng=1)
    other = Intervention(other=Stubborn(held), other_share=0.5)
    with pytest.raises(MindError, match="'stubborn' cannot be sent"):
        compare_interventions("Q", "M", [other], runs=2, rounds=2, workers=2, **GAME)


@pytest.mark.usefixtures("no_worker")
def test_so_are_a_pairing_rule_and_a_graph() -> None:
    with pytest.raises(PairingError, match="'mine' cannot be sent"):
        run_ensemble(pairing=Rule(), mind="uniform", runs=4, workers=2, **GAME)
    graph = nx.cycle_graph(4)
    graph.graph["held"] = threading.Lock()
    with pytest.raises(SpecError, match=r"graph: .*cannot be sent"):
        run_ensemble(graph, "QM", "uniform", runs=4, workers=2, rng=1)


def test_threads_are_sent_everything() -> None:
    with ThreadPoolExecutor(2) as threads:
        found = run_ensemble(mind=Stubborn(lambda: 1), runs=4, rounds=2, executor=threads, **GAME)
    assert len(found.runs) == 4


def test_what_is_no_executor_is_refused() -> None:
    with pytest.raises(SpecError, match=r"executor: 3 is not an executor. Give one of concurrent"):
        run_ensemble(mind="uniform", runs=4, executor=3, **GAME)  # type: ignore[arg-type]


# Scripts and notebooks

NOTEBOOK = """
from mesa_llm_norms import Policy, run_ensemble
from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.simulation.pairing import NodePairing

class Mine(Policy):
    label = "mine"
    def distribution(self, memory, pool):
        return [1 / len(pool)] * len(pool)

class Rule(NodePairing):
    label = "my rule"

for given in ({"mind": Mine()}, {"mind": "uniform", "pairing": Rule()}):
    try:
        run_ensemble("ring(n=6)", "QM", runs=4, rounds=2, rng=1, workers=2, **given)
    except NormsError as error:
        print(error)
"""
SCRIPT = """
from mesa_llm_norms import run_ensemble
run_ensemble("ring(n=6)", "QM", "uniform", runs=4, rounds=2, rng=1, workers=2)
"""


CLUSTER = """
import sys
from distributed import Client, LocalCluster
from mesa_llm_norms import run_ensemble
given = {"mind": "uniform", "runs": 4, "rounds": 2, "rng": 1}
expected = run_ensemble("ring(n=6)", "QM", **given).runs
options = {"n_workers": 1, "processes": False, "dashboard_address": None}
with LocalCluster(**options, local_directory=sys.argv[1]) as cluster, Client(cluster) as client:
    for executor in (cluster, client):
        found = run_ensemble("ring(n=6)", "QM", executor=executor, **given).runs
        print(found.equals(expected))
    print(client.status)
"""


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        input=program,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def test_what_a_notebook_defines_is_named_with_the_remedy() -> None:
    done = run(NOTEBOOK)
    assert done.stderr == ""
    mind, rule = done.stdout.splitlines()
    assert mind.startswith("mind: 'mine' cannot be sent to other processes: Mine is defined in a ")
    assert "into a module, a .py file" in mind
    assert rule.startswith("pairing: 'my rule' cannot be sent to other processes: Rule is defined ")


@pytest.mark.slow
def test_a_script_may_define_a_mind_below_its_guard(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    classes, _, rest = NOTEBOOK.partition("for given")
    guarded = "if __name__ == '__main__':\n" + indent(f"for given{rest}", "    ")
    script.write_text(classes + guarded, encoding="utf-8")
    done = run("", str(script))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_script_without_a_guard_is_told_once(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = run("", str(script))
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("mesa_llm_norms.errors.SpecError: workers: every worker process imports")
    assert last.endswith('Put what the script does below the line if __name__ == "__main__":')


def test_a_script_on_standard_input_is_told_once() -> None:
    done = run(SCRIPT)
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("mesa_llm_norms.errors.SpecError: workers: every worker process imports")
    assert "<stdin> is not a file. Put the script into a .py file" in last


@pytest.mark.slow
def test_a_cluster_and_its_client_are_executors(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    done = run(CLUSTER, "-", str(tmp_path))
    assert done.stdout.splitlines() == ["True", "True", "running"], done.stderr


# Workers that end


class TalkativeError(Exception):
    """Cannot be pickled."""

    def __init__(self, *words: str) -> None:
        super().__init__(" and ".join(words))
        self.held = threading.Lock()


def complain() -> None:
    raise TalkativeError("this", "that")


def end_by(number: int) -> None:
    os.kill(os.getpid(), number)


def test_an_error_that_cannot_be_sent_back_is_put_into_words() -> None:
    _, error = workers._attempt_here(complain, ())
    assert isinstance(error, WorkerError)
    assert "TalkativeError: this and that" in str(error)


def test_so_is_something_that_a_worker_cannot_import() -> None:
    token, packed = Shared(complain).__reduce__()[1]
    shared = workers._unpack(token, packed.replace(b"complain", b"complaim"))
    with pytest.raises(WorkerError, match=r"complaim.*into a module, a .py file, that the workers"):
        _ = shared.value


@posix
@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "argument", "words"),
    [
        (end_by, signal.SIGKILL, "ended by signal 9 (SIGKILL). If memory ran out"),
        (end_by, signal.SIGSEGV, "ended by signal 11 (SIGSEGV). Find out what sent it"),
        (os._exit, 3, "ended with status 3. Play with workers=1"),
    ],
)
def test_workers_that_are_lost_say_how_they_ended(function: Any, argument: int, words: str) -> None:
    with pytest.raises(WorkerError) as caught:
        list(answers(function, [(argument,)], 1))
    assert words in str(caught.value)
    assert ("memory" in str(caught.value)) is (argument == signal.SIGKILL)
    with pytest.raises(WorkerError) as caught, WorkerPool(1) as pool:
        list(answers(function, [(argument,)], 1, pool))
    assert words in str(caught.value)
