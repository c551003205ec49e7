"""The program itself: how it starts, fails and is interrupted."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import invoke, start

from mesa_llm_norms import cli
from mesa_llm_norms.core import compiled

SMALL = ("--topology", "ring(n=6)", "--names", "QM")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def test_the_program_runs_as_a_module_and_quickly_enough() -> None:
    with start("run", "--names", "QM", "--runs", "50", "--seed", "1", "--json") as process:
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = json.loads(out)
    assert 140 < found["interactions_median"] < 230


def test_help_does_not_wait_for_libraries_it_does_not_need() -> None:
    heavy = ("matplotlib", "pyarrow.parquet", "scipy.optimize")
    code = (
        "import sys; from mesa_llm_norms import cli; "
        f"print([module for module in {heavy} if module in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.strip() == "[]"


def test_errors_of_the_program_are_one_line_and_status_2() -> None:
    with start("run", "--mind", "claud") as process:
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.count("\n")) == (2, "", 1)


@pytest.mark.skipif(os.name == "nt", reason="interrupts are signals")
@pytest.mark.parametrize(
    "arguments",
    [
        ("--rounds", "100000000", "--until", "none", "--mind", "uniform"),
        ("--runs", "1000000", "--mind", "uniform", "--rounds", "50", "--workers", "2"),
    ],
    ids=["one run", "many runs"],
)
def test_an_interrupted_run_leaves_nothing(arguments: tuple[str, ...]) -> None:
    compiled.load("interactions")  # nothing is left to compile at its start
    with start("run", *SMALL, *arguments, "--out", "mine") as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.splitlines() == ["interrupted: nothing more was written."]
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="pipes break otherwise")
def test_a_reader_that_leaves_early_is_no_error() -> None:
    compiled.load("interactions")  # nothing is left to compile at its start
    arguments = ("run", *SMALL, "--rounds", "100000", "--until", "none", "--mind", "uniform")
    with start(*arguments) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert list(Path().iterdir()) == []


def test_the_version_is_printed() -> None:
    assert re.fullmatch(r"mesa-llm-norms \S.*\n", invoke("--version").stdout)
