"""The repository itself: what may not be in it, what is pinned, and how a Python is found."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import mesa_llm_norms

ROOT = Path(__file__).parents[1]
FIND_PYTHON = ROOT / ".ci" / "find-python"
MESA_NEWER = ("3.5.1", "4.0.0a0")

# In pieces, so that this file may itself be tracked.
INDEX_HOSTS = ("py" + "pi.org", "pythonho" + "sted", "registry.np" + "mjs", "deb.de" + "bian")
INDEX_OPTIONS = (
    "--index" + "-url",
    "--extra-index" + "-url",
    "--find" + "-links",
    "--trusted" + "-host",
)
MACHINE_PATHS = ("/ro" + "ot/", "/wo" + "rk/", "/fa" + "rm/", "/ho" + "me/", "/Us" + "ers/")
KEYS = ("sk-" + "ant-",)


def tracked_files() -> list[Path]:
    """Return the files that are, or are about to be, in the repository."""
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        [git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode != 0:
        pytest.skip(f"git cannot list the files: {listed.stderr.strip()}")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def read_text(path: Path) -> str | None:
    """Return the text of a file, or None for one that is not text."""
    content = path.read_bytes()
    if b"\0" in content[:8_000]:
        return None
    return content.decode("utf-8", errors="replace")


def pyproject() -> dict[str, Any]:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project: dict[str, Any] = tomllib.loads(text)["project"]
    return project


def pinned() -> dict[str, Version]:
    """Return the version that constraints.txt gives each package."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return {name: Version(version) for name, _, version in (line.partition("==") for line in lines)}


# What may not be in a tracked file


def forbidden(pieces: Iterable[str]) -> re.Pattern[str]:
    """Return what finds any of the pieces; a path only where it starts, not inside an address."""
    starts = [(r"(?<![\w.])" if piece[0] == "/" else "") + re.escape(piece) for piece in pieces]
    return re.compile("|".join(starts), re.IGNORECASE)


@pytest.mark.parametrize(
    "pieces",
    [INDEX_HOSTS, INDEX_OPTIONS, MACHINE_PATHS, KEYS],
    ids=["index hosts", "index options", "machine paths", "keys"],
)
def test_no_tracked_text_names(pieces: tuple[str, ...]) -> None:
    pattern = forbidden(pieces)
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {match.group()}"
        for path in tracked_files()
        for number, line in enumerate((read_text(path) or "").splitlines(), 1)
        if (match := pattern.search(line))
    ]
    assert not hits, "\n".join(hits)


def test_what_may_not_be_named_is_recognised() -> None:
    hosts, paths = forbidden(INDEX_HOSTS), forbidden(MACHINE_PATHS)
    assert hosts.search(f"https://files.{INDEX_HOSTS[1]}.org/x")
    assert paths.search(f"see {MACHINE_PATHS[0]}x")
    assert not paths.search(f"https://example.org{MACHINE_PATHS[3]}x")


def test_no_recording_is_tracked() -> None:
    """Recordings of the study are neither ours to publish nor small; a fit of them is both."""
    suffixes = {".pkl", ".pickle", ".gz", ".zip", ".sqlite", ".db", ".parquet"}
    hits = [
        str(path.relative_to(ROOT))
        for path in tracked_files()
        if path.suffix in suffixes or path.stat().st_size > 2_000_000
    ]
    assert not hits, f"recordings or large files: {hits}"


# Versions and pins


def test_constraints_are_plain_sorted_pins() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    bad = [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)]
    assert not bad
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))
    assert names == [canonicalize_name(name) for name in names]


def declared(*extras: str) -> Iterator[Requirement]:
    """Yield the requirements of pyproject.toml, with those of the extras."""
    project = pyproject()
    for text in project["dependencies"]:
        yield Requirement(text)
    for extra in extras:
        for text in project["optional-dependencies"][extra]:
            yield Requirement(text)


def test_every_declared_dependency_is_pinned_within_its_bounds() -> None:
    pins = pinned()
    wrong = [
        str(requirement)
        for requirement in declared("dev")
        if (version := pins.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(version)
    ]
    assert not wrong


def test_everything_the_dependencies_need_here_is_pinned_too() -> None:
    pins, unpinned, seen = pinned(), set(), set()
    if importlib.metadata.version("numpy") != str(pins["numpy"]):
        pytest.skip("not installed from constraints.txt")
    queue = list(declared("dev"))
    while queue:
        requirement = queue.pop()
        name = canonicalize_name(requirement.name)
        extras = {"", *requirement.extras}
        if (name, *sorted(extras)) in seen:
            continue
        seen.add((name, *sorted(extras)))
        if name not in pins:
            unpinned.add(name)
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        queue += [
            need
            for need in map(Requirement, needs)
            if need.marker is None
            or any(need.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    assert not unpinned, f"add to constraints.txt: {sorted(unpinned)}"


def test_the_bounds_on_mesa_admit_every_version_the_tests_run_on() -> None:
    (mesa,) = [requirement for requirement in declared() if requirement.name == "mesa"]
    assert str(pinned()["mesa"]) == "3.3.1"
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for version in MESA_NEWER:
        assert mesa.specifier.contains(version, prereleases=True)
        assert re.search(rf"^MESA_\d+ := {re.escape(version)}$", makefile, re.MULTILINE)
    assert not mesa.specifier.contains("5.0")


def test_the_versions_agree() -> None:
    version = pyproject()["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, re.MULTILINE) == [version]
    assert importlib.metadata.version("mesa-llm-norms") == version
    assert getattr(mesa_llm_norms, "__version__", version) == version


# What is installed


def test_the_public_names_are_sorted_and_importable() -> None:
    names = mesa_llm_norms.__all__
    assert list(names) == sorted(set(names))
    missing = [name for name in names if not hasattr(mesa_llm_norms, name)]
    assert not missing


def test_every_public_class_and_function_says_what_it_is() -> None:
    silent = [
        name
        for name in mesa_llm_norms.__all__
        if callable(thing := getattr(mesa_llm_norms, name)) and not thing.__doc__
    ]
    assert not silent


def test_the_wheel_holds_the_recorded_minds_the_types_and_nothing_else(tmp_path: Path) -> None:
    pytest.importorskip("hatchling")
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    folders = {name.partition("/")[0] for name in names}
    assert folders == {"mesa_llm_norms", wheel.name.partition("-py3")[0] + ".dist-info"}
    package = ROOT / "mesa_llm_norms"
    recorded = {
        str(path.relative_to(ROOT)) for path in (package / "minds" / "recordings").glob("*.json")
    }
    assert recorded
    assert recorded | {"mesa_llm_norms/py.typed"} <= names


def test_the_command_and_the_module_are_the_same_program() -> None:
    assert pyproject()["scripts"] == {"mesa-llm-norms": "mesa_llm_norms.__main__:main"}
    shown = subprocess.run(
        [sys.executable, "-m", "mesa_llm_norms", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "100"},
    )
    assert shown.returncode == 0, shown.stderr
    assert "mesa-llm-norms" in shown.stdout


# How make finds a Python


def fake_python(path: Path, version: str, *, venv: str = "venv", runs: bool = True) -> Path:
    """Write a command that answers as a Python of this version does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    answer = f'echo "{version} {venv} $0"' if runs else 'echo "not selected" >&2; exit 127'
    path.write_text(f"#!/bin/sh\n{answer}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


Find = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def find(tmp_path: Path) -> Find:
    """Return find-python, run where only the Pythons under the temporary folder exist."""
    shell = shutil.which("sh")
    if shell is None:
        pytest.skip("no POSIX shell")

    def run(minimum: str = "3.11", asked: str | Path = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [shell, str(FIND_PYTHON), minimum, str(asked)],
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": str(tmp_path / "bin"),
                "HOME": str(tmp_path / "a home"),
                "PYTHON_FOLDERS": str(tmp_path / "local"),
            },
        )

    return run


def one_line(lines: str) -> str:
    """Return the only line there is."""
    (line,) = lines.splitlines()
    return line


def found(run: subprocess.CompletedProcess[str]) -> Path:
    assert (run.returncode, run.stderr) == (0, "")
    return Path(one_line(run.stdout))


def refusal(run: subprocess.CompletedProcess[str]) -> str:
    assert (run.returncode, run.stdout) == (1, "")
    return one_line(run.stderr)


def test_python3_is_taken_where_it_is_new_enough(tmp_path: Path, find: Find) -> None:
    expected = fake_python(tmp_path / "bin" / "python3", "3.11.7")
    fake_python(tmp_path / "bin" / "python3.13", "3.13.0")
    assert found(find()) == expected


def test_an_old_python3_and_a_shim_that_does_not_run_are_passed_over(
    tmp_path: Path, find: Find
) -> None:
    fake_python(tmp_path / "bin" / "python3", "3.9.18")
    fake_python(tmp_path / "bin" / "python3.13", "3.13.0", runs=False)
    expected = fake_python(tmp_path / "bin" / "python3.12", "3.12.1")
    assert found(find()) == expected


def test_a_higher_minimum_passes_over_what_would_do_otherwise(tmp_path: Path, find: Find) -> None:
    fake_python(tmp_path / "bin" / "python3", "3.11.7")
    expected = fake_python(
        tmp_path / "a home" / ".pyenv" / "versions" / "3.12.1" / "bin" / "python", "3.12.1"
    )
    fake_python(
        tmp_path / "a home" / ".pyenv" / "versions" / "3.10.13" / "bin" / "python", "3.10.13"
    )
    assert found(find("3.12")) == expected


def test_other_usual_folders_are_searched_last(tmp_path: Path, find: Find) -> None:
    expected = fake_python(tmp_path / "local" / "python3.12", "3.12.9")
    assert found(find()) == expected


def test_too_old_a_python_is_one_line_that_says_what_to_do(tmp_path: Path, find: Find) -> None:
    fake_python(tmp_path / "bin" / "python3", "3.9.18")
    assert refusal(find()) == (
        "mesa_llm_norms needs Python 3.11 or newer; python3 is 3.9.18. "
        "Install one, or say make PYTHON=/path/to/python3.11"
    )


def test_no_python_at_all_is_one_line(find: Find) -> None:
    assert "none was found" in refusal(find())


def test_only_the_python_asked_for_is_considered(tmp_path: Path, find: Find) -> None:
    fake_python(tmp_path / "bin" / "python3", "3.11.7")
    old = fake_python(tmp_path / "with a space" / "python3.9", "3.9.18")
    new = fake_python(tmp_path / "with a space" / "python3.12", "3.12.1")
    assert f"{old} is 3.9.18" in refusal(find(asked=old))
    assert found(find(asked=new)) == new
    assert "cannot be run" in refusal(find(asked=tmp_path / "nowhere"))


def test_version_two_and_a_future_minor_are_compared_as_numbers(tmp_path: Path, find: Find) -> None:
    assert "2.7.18" in refusal(find(asked=fake_python(tmp_path / "python2", "2.7.18")))
    new = fake_python(tmp_path / "python", "3.100.0")
    assert found(find(asked=new)) == new


def test_a_python_without_venv_is_one_line_that_names_the_missing_package(
    tmp_path: Path, find: Find
) -> None:
    fake_python(tmp_path / "bin" / "python3", "3.12.3", venv="no-venv")
    assert "apt-get install python3.12-venv" in refusal(find())
    expected = fake_python(tmp_path / "bin" / "python3.11", "3.11.2")
    assert found(find()) == expected


def test_this_very_python_is_found_behind_its_virtual_environment(find: Find) -> None:
    base: str = getattr(sys, "_base_executable", sys.executable)
    assert found(find(asked=sys.executable)) == Path(base)


# The targets of make


def make_targets() -> set[str]:
    """Return the targets that ``make help`` lists."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9-]+):.*## ", text, re.MULTILINE))


def test_make_has_the_targets_people_are_told_of() -> None:
    assert {
        "run",
        "test",
        "test-mesa35",
        "test-mesa4",
        "format",
        "lint",
        "typecheck",
        "clean",
    } <= make_targets()


def executable(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if os.access(path, os.X_OK)]


def test_the_scripts_of_the_checks_can_be_run() -> None:
    scripts = [ROOT / ".ci" / "run", FIND_PYTHON]
    assert executable(scripts) == scripts
