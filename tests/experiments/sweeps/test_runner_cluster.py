"""A sweep on a real Dask cluster on this machine, also when a worker is killed midway."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from mesa_llm_norms.errors import MindError, SpecError, WorkerError
from mesa_llm_norms.experiments.sweeps import sweep
from mesa_llm_norms.simulation import clusters

ROOT = Path(clusters.__file__).parents[2]
needs_dask = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None,
    reason='Dask is not installed: pip install "mesa-llm-norms[dask]"',
)
GAME: dict[str, Any] = {"names": "QM", "mind": "llama-3-70b-instruct", "rng": 3, "rounds": 30}
GRID = {"graph": ["ring(n=8)", "complete(n=8)", "star(n=8)"]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Cluster:
    """A scheduler, and as many workers as are started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        self.address = f"tcp://127.0.0.1:{free_port()}"
        where = ["--host", "127.0.0.1", "--port", self.address.rpartition(":")[2]]
        self.start("dask_scheduler", *where, "--no-dashboard")

    def add_worker(self) -> subprocess.Popen[bytes]:
        place = str(self.folder / f"worker{len(self.processes)}")
        options = ("--host", "127.0.0.1", "--nthreads", "1", "--no-nanny", "--no-dashboard")
        return self.start("dask_worker", self.address, *options, "--local-directory", place)

    def start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{program}{len(self.processes)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.{program}", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support")]),
                },
            )
        self.processes.append(process)
        return process

    def wait(self, workers: int) -> None:
        """Return when so many workers are there."""
        distributed: Any = importlib.import_module("distributed")
        with distributed.Client(self.address, timeout=60, set_as_default=False) as client:
            if workers:
                client.wait_for_workers(workers, timeout=120)

    def end(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    try:
        for _ in range(2):
            made.add_worker()
        made.wait(2)
        yield made
    finally:
        made.end()


quiet = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::FutureWarning"
)


@needs_dask
@quiet
def test_a_cluster_plays_what_one_process_plays_also_when_a_worker_is_killed(
    cluster: Cluster, tmp_path: Path
) -> None:
    expected = sweep(None, GRID, runs=200, **GAME)
    victim = cluster.processes[-1]

    def kill(done: int, total: int) -> None:
        assert total == 600
        if done >= 100 and victim.poll() is None:
            victim.send_signal(signal.SIGKILL)
            victim.wait()

    folder = tmp_path / "mine"
    found = sweep(folder, GRID, runs=200, scheduler=cluster.address, progress=kill, **GAME)
    assert victim.poll() == -signal.SIGKILL
    assert_frame_equal(found.runs, expected.runs)
    assert_frame_equal(found.cells, expected.cells)
    assert len(list((folder / "cells").iterdir())) == 3


@needs_dask
@quiet
@pytest.mark.slow
def test_a_cluster_plays_and_says_what_goes_wrong(cluster: Cluster) -> None:
    from chances import FixedPolicy

    expected = sweep(None, GRID, runs=6, **GAME)
    found = sweep(None, GRID, runs=6, scheduler=cluster.address, **GAME)
    assert_frame_equal(found.runs, expected.runs)
    bad = {**GAME, "mind": FixedPolicy(0.5, 0.6)}
    with pytest.raises(MindError, match="one probability per name"):
        sweep(None, GRID, runs=6, scheduler=cluster.address, **bad)


@needs_dask
@quiet
@pytest.mark.slow
def test_a_scheduler_that_is_killed_ends_the_sweep_with_what_is_kept(
    cluster: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = sweep(None, GRID, runs=200, **GAME)

    def kill(done: int, total: int) -> None:
        if done >= total / 2 and cluster.processes[0].poll() is None:
            cluster.processes[0].kill()

    folder = tmp_path / "mine"
    with pytest.raises(WorkerError, match=r"the Dask scheduler at .* is gone") as caught:
        sweep(folder, GRID, runs=200, scheduler=cluster.address, progress=kill, **GAME)
    finished = sum(len(pd.read_parquet(path)) == 200 for path in (folder / "cells").iterdir())
    assert f"{finished} of 3 cells are finished and kept in {folder}" in str(caught.value)
    printed = capfd.readouterr().err.splitlines()
    assert all("compiling" in line for line in printed)
    assert_frame_equal(sweep(folder, GRID, runs=200, **GAME).runs, expected.runs)


@needs_dask
@quiet
@pytest.mark.slow
def test_a_cluster_without_workers_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "WORKERLESS_SECONDS", 2)
    cluster = Cluster(tmp_path)
    try:
        cluster.wait(0)
        with pytest.raises(
            WorkerError, match=r"has no workers\. Start some, with dask worker tcp:"
        ):
            sweep(tmp_path / "mine", GRID, runs=6, scheduler=cluster.address, **GAME)
    finally:
        cluster.end()


@needs_dask
@quiet
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x", "", "inproc://x/1/1"])
def test_a_scheduler_that_does_not_answer_is_named(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1)
    with pytest.raises(SpecError, match="no scheduler answers at"):
        sweep(None, GRID, runs=1, scheduler=address, **GAME)


def test_without_dask_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SpecError) as caught:
        sweep(None, GRID, runs=1, scheduler="tcp://127.0.0.1:1", **GAME)
    assert 'pip install "mesa-llm-norms[dask]"' in str(caught.value)
