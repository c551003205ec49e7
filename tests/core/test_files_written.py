"""Results appear whole or not at all, on disk for good, and nobody's remnants are in the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from programs import Program

from mesa_llm_norms.core import files
from mesa_llm_norms.core.files import (
    SPEC,
    check_folder,
    finished_folder,
    is_free,
    new_file,
    new_folder,
    write_results,
)
from mesa_llm_norms.errors import ReportError, SpecError

posix = pytest.mark.skipif(os.name == "nt", reason="there are no such signals")
ROOT = Path(files.__file__).parents[2]

WRITER = """
import sys, time
from pathlib import Path
from mesa_llm_norms.core import files
with getattr(files, sys.argv[1])(Path(sys.argv[2])) as hidden:
    (hidden / "half" if hidden.is_dir() else hidden).write_text("half")
    print("writing", flush=True)
    time.sleep(600)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def writer(function: str, path: Path) -> Program:
    """Start a process that is writing when this returns."""
    program = Program(
        [sys.executable, "-c", WRITER, function, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert program.stdout is not None
    assert program.stdout.readline() == "writing\n"
    return program


@posix
@pytest.mark.parametrize("function", ["new_folder", "finished_folder", "new_file"])
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path, function: str) -> None:
    inside = tmp_path if function == "finished_folder" else tmp_path / "mine"
    with writer(function, inside) as killed:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    assert [name.startswith(".unfinished-") for name in names(tmp_path)] == [True]
    with getattr(files, function)(inside) as hidden:
        (hidden / "whole" if hidden.is_dir() else hidden).write_text("whole")
    assert names(tmp_path) == (["whole"] if function == "finished_folder" else ["mine"])


@posix
def test_what_another_process_writes_meanwhile_stays(tmp_path: Path) -> None:
    with writer("new_folder", tmp_path / "its") as other:
        with new_folder(tmp_path / "mine"):
            pass
        with finished_folder(tmp_path):
            pass
        (hidden,) = tmp_path.glob(".unfinished-*")
        assert names(hidden) == ["half"]
        other.terminate()


def test_a_folder_in_which_a_killed_process_had_not_begun_is_free(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "part").mkdir(parents=True)
    (folder / "journal.lock").touch()
    (folder / "part" / "journal.sqlite.new").touch()
    assert is_free(folder)
    check_folder(folder)
    with new_folder(folder) as inside:
        (inside / "x").touch()
    assert names(folder) == ["x"]


@pytest.mark.parametrize("name", ["journal.sqlite", "part/journal.sqlite", "part/mine", "mine/"])
def test_a_folder_with_anything_else_is_not(tmp_path: Path, name: str) -> None:
    (tmp_path / "journal.lock").touch()
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if name.endswith("/"):
        path.mkdir()
    else:
        path.touch()
    with pytest.raises(SpecError, match="nothing is overwritten"):
        check_folder(tmp_path)


@posix
def test_everything_is_on_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").resolve().name
        done.append("hidden" if name.startswith(".unfinished") else name)

    def note(self: Path, target: Path) -> Path:
        done.append(f"-> {target.name}")
        return rename(self, target)

    rename = Path.rename
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", note)
    monkeypatch.setattr(Path, "replace", note)
    with new_folder(tmp_path / "run") as inside:
        (inside / "table").touch()
    assert done == ["table", "hidden", "-> run", tmp_path.name]
    done.clear()
    with finished_folder(tmp_path / "run") as inside:
        (inside / SPEC).touch()
        (inside / "figure").touch()
    assert done == ["figure", "-> figure", "run", SPEC, f"-> {SPEC}", "run"]
    done.clear()
    with new_file(tmp_path / "mind.json") as hidden:
        hidden.touch()
    assert done == ["hidden", "-> mind.json", tmp_path.name]


def write(folder: Path) -> None:
    (folder / "table").touch()
    (folder / SPEC).touch()


def draw(folder: Path) -> None:
    (folder / "figure").touch()


def fail(folder: Path) -> None:
    (folder / "half a figure").touch()
    raise ZeroDivisionError("division by zero")


def test_results_stay_when_nothing_can_be_drawn_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(ReportError, match=r"ZeroDivisionError: division by zero.*tables are in"):
        write_results(folder, write, fail)
    assert names(folder) == [SPEC, "table"]
    assert names(tmp_path) == ["run"]


def test_a_live_run_is_complete_only_with_its_figures(tmp_path: Path) -> None:
    with pytest.raises(ReportError):
        write_results(tmp_path, write, fail, live=True)
    assert names(tmp_path) == ["table"]
    write_results(tmp_path, write, draw, live=True)
    assert names(tmp_path) == ["figure", SPEC, "table"]


def test_results_that_cannot_be_written_leave_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_results(tmp_path / "a" / "run", fail, draw)
    assert names(tmp_path) == []
