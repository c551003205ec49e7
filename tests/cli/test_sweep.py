"""The command ``sweep`` as typed."""

from __future__ import annotations

import json
import os
import signal
import time
from functools import partial
from pathlib import Path

import commands
import pytest
from pandas.testing import assert_frame_equal

from mesa_llm_norms.experiments.sweeps import read_sweep, sweep
from mesa_llm_norms.minds import registry
from mesa_llm_norms.testing import FakeProvider

TEXT = """
runs = 4
seed = 2
names = "QM"
rounds = 20
mind = "llama-3-70b-instruct"

[grid]
graph = ["ring(n={size})", "complete(n={size})"]
size = [6, 8]
"""


@pytest.fixture(autouse=True)
def in_a_folder_with_a_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    Path("grid.toml").write_text(TEXT, encoding="utf-8")


invoke = partial(commands.invoke, "sweep")
start = partial(commands.start, "sweep")


def test_a_sweep_is_printed_drawn_and_left_in_its_folder() -> None:
    result = invoke("grid.toml")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "4 cells of 4 runs, seed 2"
    assert lines[1].split() == [
        *("graph", "size", "agents", "degree", "path", "clustering", "assortativity"),
        *("heterogeneity", "gap"),
    ]
    assert sum(line.startswith("ring(n={size})") for line in lines[:6]) == 2
    assert lines[7].split() == [
        *("graph", "size", "agents", "runs", "converged", "one", "name", "interactions", "(95%)"),
        *("won", "most"),
    ]
    assert sum(line.startswith("ring(n={size})") for line in lines[7:]) == 2
    assert lines[-2].startswith("4 cells, 16 runs: ")
    assert lines[-1].startswith(
        "In runs/grid/: cells, nodes, summary.csv, summary.parquet, sweep.json"
    )
    assert sorted(path.name for path in Path("runs/grid").iterdir()) == [
        "cells",
        "nodes",
        "summary.csv",
        "summary.parquet",
        "sweep.json",
        "sweep.png",
        "sweep.svg",
    ]


def test_json_is_one_object_and_nothing_else() -> None:
    result = invoke("grid.toml", "--json", "--out", "mine", "--runs", "2")
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert list(found) == ["out", "runs", "seed", "cells"]
    assert (found["out"], found["runs"], found["seed"]) == ("mine", 2, 2)
    assert [(cell["graph"], cell["size"], cell["runs"]) for cell in found["cells"]] == [
        ("ring(n={size})", 6, 2),
        ("ring(n={size})", 8, 2),
        ("complete(n={size})", 6, 2),
        ("complete(n={size})", 8, 2),
    ]


def test_what_is_not_a_number_is_null_in_json() -> None:
    Path("none.toml").write_text('rounds = 0\nmind = "uniform"\nruns = 2\n', encoding="utf-8")
    (cell,) = json.loads(invoke("none.toml", "--json").stdout)["cells"]
    assert (cell["median"], cell["won_Q"], cell["share"]) == (None, None, 0)


def test_a_dry_run_says_what_is_missing_and_writes_nothing() -> None:
    text = invoke("grid.toml", "--dry-run").stdout
    assert text.splitlines()[-1] == "4 cells, 16 runs to play into runs/grid"
    assert not Path("runs").exists()
    assert invoke("grid.toml", "--quiet").stdout.count("\n") == 2
    found = json.loads(invoke("grid.toml", "--dry-run", "--json", "--runs", "7").stdout)
    assert (found["runs"], found["missing"]) == (7, 12)
    assert [cell["runs"] for cell in found["cells"]] == [4] * 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.toml",), "No such file"),
        (("bad.toml",), "did you mean 'graph'"),
        (("bad.toml", "--dry-run"), "did you mean 'graph'"),
        (("grid.toml", "--out", "grid.toml"), "cannot be read"),
        (("grid.toml", "--out", "."), "something that is not a sweep"),
    ],
)
def test_what_cannot_be_is_one_line_and_status_2(arguments: tuple[str, ...], said: str) -> None:
    Path("bad.toml").write_text("[grid]\ngrpah = ['ring']\n", encoding="utf-8")
    result = invoke(*arguments)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not Path("runs").exists()


@pytest.mark.skipif(os.name == "nt", reason="interrupts are signals")
def test_an_interrupt_says_how_to_resume() -> None:
    text = 'runs = 1000000\nmind = "uniform"\nrounds = 60\nuntil = "none"\n'
    text += '[grid]\ngraph = ["ring(n=4)"]\nmemory = [1, 2]\n'
    Path("long.toml").write_text(text, encoding="utf-8")
    with start("long.toml") as process:
        while not Path("runs/long/sweep.json").exists() and process.poll() is None:
            pass
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert [one for one in err.splitlines() if "compiling" not in one] == [
        "note: finished cells are in runs/long; run the same command again to resume",
        "interrupted: nothing more was written.",
    ]


# Ended midway, and two at once


def cells_there() -> int:
    return len(list(Path("runs/many/cells").glob("*.parquet")))


@pytest.mark.skipif(os.name == "nt", reason="there is no such signal")
@pytest.mark.slow
def test_a_killed_sweep_is_resumed_and_two_at_once_do_no_harm() -> None:
    sizes = list(range(4, 16))
    text = f'runs = 30\nseed = 1\nmind = "uniform"\nrounds = 10\n[grid]\nsize = {sizes}\n'
    Path("many.toml").write_text(text + 'graph = ["ring(n={size})"]\n', encoding="utf-8")
    with start("many.toml", "--workers", "2") as process:
        while not cells_there() and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
    there = cells_there()
    assert there
    with start("many.toml") as one, start("many.toml") as other:
        for process in (one, other):
            out, err = process.communicate(timeout=120)
            noted = [line for line in err.splitlines() if "compiling" not in line]
            assert (process.returncode, noted) == (0, []), err
            assert out.splitlines()[0] == "12 cells of 30 runs, seed 1"
    found = read_sweep("runs/many")
    expected = sweep(
        None,
        {"size": sizes, "graph": ["ring(n={size})"]},
        mind="uniform",
        rounds=10,
        runs=30,
        rng=1,
    )
    assert_frame_equal(found.runs, expected.runs)
    assert not Path("runs/many/damaged").exists()


def test_all_graph_files_that_a_pattern_or_a_folder_names_are_cleaned_and_swept() -> None:
    Path("nets").mkdir()
    Path("nets/b.txt").write_text("1 2\n2 3\n3 3\n", encoding="utf-8")
    Path("nets/a.txt").write_text("1 2\n2 1\n2 3\n3 4\n", encoding="utf-8")
    Path("nets/c.csv").write_text("source,target\n1,2\n3,4\n4,5\n", encoding="utf-8")
    Path("nets/notes").write_text("none", encoding="utf-8")
    head = 'runs = 2\nseed = 2\nnames = "QM"\nrounds = 5\nmind = "uniform"\n[grid]\n'
    for graph, labels in (('"nets/*.txt"', ["a", "b"]), ('["nets"]', ["a", "b", "c"])):
        Path("nets.toml").write_text(f"{head}graph = {graph}\n", encoding="utf-8")
        result = invoke("nets.toml", "--clean", "--read", "directed=false", "--dry-run", "--json")
        cells = json.loads(result.stdout)["cells"]
        assert [cell["graph"].partition(" ")[0] for cell in cells] == labels
        assert [cell["agents"] for cell in cells] == [4, 3, 3][: len(labels)]
    Path("nets.toml").write_text(f'{head}graph = "nets/*.gml"\n', encoding="utf-8")
    result = invoke("nets.toml")
    assert result.exit_code == 2
    assert "there is no graph file that matches 'nets/*.gml'" in result.stderr


def test_a_live_mind_in_a_grid_is_recorded_first_which_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeProvider(distributions=True, label="fake:one")
    monkeypatch.setattr(registry, "_providers", {})
    monkeypatch.setattr(registry, "_unread_packages", [])
    registry.register_provider("fake", lambda _: fake)
    text = TEXT.replace('"llama-3-70b-instruct"', '"fake:one"\nmemory = 1')
    Path("grid.toml").write_text(text, encoding="utf-8")
    assert "10" in invoke("grid.toml", "--forecast").stdout
    assert invoke("grid.toml", "--dry-run").exit_code == 0
    assert "--address" in invoke("grid.toml").stderr  # as the name comes from a file
    assert not fake.asked
    result = invoke("grid.toml", "--address", fake.place)
    assert "fake:one is live, so it is recorded first: names Q,M, memory 1" in result.stderr
    assert result.exit_code == 0
    assert len(fake.asked) == 10
    assert "recorded first" not in invoke("grid.toml", "--runs", "5").stderr
    assert len(fake.asked) == 10
    left = json.loads(invoke("grid.toml", "--runs", "5", "--dry-run", "--json").stdout)["missing"]
    assert left == 0
