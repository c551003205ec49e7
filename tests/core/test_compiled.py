"""Compiled code: told of when it takes a while, kept where it can be, and the draws it makes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.core import compiled
from mesa_llm_norms.core import randomness as draws
from mesa_llm_norms.core.compiled import is_loaded, load
from mesa_llm_norms.errors import SpecError

ROOT = Path(compiled.__file__).parents[3]
numbers = st.integers(0, 2**64 - 1)


@given(numbers, st.integers(0, 2**40), st.integers(1, 2**31))
def test_draws_are_those_of_plain_python(seed: int, number: int, size: int) -> None:
    ours = draws.RandomStream(seed)
    found = load("randomness")
    key = np.uint64(ours.key)
    four = [
        half
        for bits in (found.plan_bits(key, number), found.seat_bits(key, number))
        for half in (int(bits) >> 32, int(bits) & 0xFFFFFFFF)
    ]
    assert four == [int(column[0]) for column in draws.interaction_draws(ours.key, number, 1)]
    for draw in four:
        assert int(found.index_of(np.uint64(draw), np.uint64(size))) == draws.index_of(draw, size)


@given(st.lists(st.floats(0, 9), min_size=1, max_size=9).filter(any), st.integers(0, 2**32 - 1))
def test_a_weighted_choice_is_that_of_plain_python(weights: list[float], draw: int) -> None:
    from bisect import bisect_right

    steps = draws.cumulative_weights(weights)
    found = load("randomness").first_above(
        np.array(steps, np.int64), np.uint64(0), np.uint64(len(steps)), np.int64(draw)
    )
    assert int(found) == bisect_right(steps, draw)


def test_compiling_is_told_of_only_when_it_takes_over_a_second(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(compiled, "SILENT_SECONDS", 0.05)
    with compiled._telling("quick"):
        pass
    time.sleep(0.1)
    assert capsys.readouterr().err == ""
    with compiled._telling("compiling"):
        time.sleep(0.3)
    assert capsys.readouterr().err == "compiling\n"


def test_code_that_is_there_is_loaded_without_a_word_however_long_that_takes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    load("randomness")
    capsys.readouterr()
    monkeypatch.setattr(compiled, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(compiled, "import_module", lambda _: time.sleep(0.2))
    compiled._load("slow", "randomness")
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    compiled._load("slow", "randomness")
    assert "compiling the randomness kernel" in capsys.readouterr().err


def test_a_module_is_loaded_once() -> None:
    game = load("interactions")
    assert is_loaded("interactions")
    assert load("interactions") is game


def test_code_is_kept_until_any_file_changes(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "one.py").write_text("one")
    (tmp_path / "other.py").write_text("other")
    kept = tmp_path / "__pycache__/one.f-1.py311.nbi"
    compiled.forget_outdated(tmp_path)
    kept.touch()
    compiled.forget_outdated(tmp_path)
    assert kept.exists()
    (tmp_path / "other.py").write_text("changed")
    compiled.forget_outdated(tmp_path)
    assert not kept.exists()


COUNTED = """
from mesa_llm_norms.core.compiled import load
made = [found for found in vars(load("histories")).values() if hasattr(found, "stats")]
print(sum(found.stats.cache_misses.total() for found in made))
"""


@pytest.mark.slow
def test_of_processes_that_start_together_one_compiles(tmp_path: Path) -> None:
    there = {**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COUNTED]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=there) for _ in range(2)
    ]
    none, some = sorted(int(process.communicate(timeout=120)[0]) for process in started)
    assert none == 0 < some


def test_a_process_that_does_not_end_compiling_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "WAITING_SECONDS", 0.05)
    (tmp_path / "__pycache__").mkdir()
    done = []
    with compiled._alone(tmp_path), compiled._alone(tmp_path):
        done.append("went on")
    with compiled._alone(tmp_path / "a folder that is not there"):
        done.append("went on")
    assert len(done) == 2


CODE = """
from numba.core import caching
cache = getattr(caching, "CacheImpl", None) or caching._CacheImpl
cache._locator_classes = cache._locator_classes[:1]  # where the user says, and nowhere else
from mesa_llm_norms import run_ensemble
import numba
found = run_ensemble(names="QM", mind="uniform", runs=1, rounds=2, rng=1, engine="kernel")
print(found.runs.interactions[0], numba.config.CACHE_DIR)
"""


@pytest.mark.slow
def test_where_nothing_can_be_written_the_kernel_works_all_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE], stdout=subprocess.PIPE, text=True, timeout=300, check=True
    )
    interactions, folder = done.stdout.split()
    assert interactions == "48"
    assert not Path(folder).exists()


def test_threads_that_load_at_the_same_time_all_wait_until_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A module that is still being imported is in ``sys.modules`` already, and lacks the rest."""
    loading = []

    def slowly(name: str) -> types.ModuleType:
        made = types.ModuleType(name)
        if name.startswith(compiled.__name__):
            loading.append(name)
            monkeypatch.setitem(sys.modules, name, made)
            time.sleep(0.2)
            made.whole = True  # type: ignore[attr-defined]
        return made

    monkeypatch.setattr(compiled, "import_module", slowly)
    monkeypatch.setattr(compiled, "_loaded", {})
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(load, ["made_up"] * 4))
    assert all(module.whole for module in found)
    assert len(loading) == 1


SWITCHED_OFF = """
import warnings
from mesa_llm_norms import run_classical, run_ensemble
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    found = run_classical("random_regular(n=2002, d=4)", runs=1, rounds=1, rng=1)
    runs = run_ensemble("complete(n=24)", "QM", "uniform", runs=400, rounds=2, rng=1).runs
print(*{str(one.message) for one in caught}, sep="|")
print(found.runs.values.tolist(), runs.values.tolist())
"""


def test_plain_python_plays_the_same_where_nothing_is_to_be_compiled() -> None:
    said, found = {}, {}
    for off in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", SWITCHED_OFF],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": off},
        )
        said[off], found[off] = done.stdout.splitlines()
    assert said["0"] == ""
    assert said["1"].startswith("NUMBA_DISABLE_JIT is set")
    assert "|" not in said["1"]
    assert found["1"] == found["0"]


def test_the_kernel_is_refused_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    with pytest.raises(SpecError, match="bypass NUMBA_DISABLE_JIT"):
        run_ensemble("ring(n=6)", "QM", "uniform", runs=1, rounds=1, engine="kernel", rng=1)
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "whatever")
    assert not compiled.is_switched_off()
