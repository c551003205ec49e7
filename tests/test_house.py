"""The layout of the package: few rooms, each a thing a reader looks for, imports one way."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from house import PACKAGE, ROOT, House, measure

MOST_MODULES = 262
"""150 after the move into rooms, and one for each thing added since that a reader looks for."""
MOST_LINES = 61_000
"""Without docstrings, which say more the better they are."""
MOST_IN_ROOT = 12
LONGEST_MODULE = 600
SAME_FILE_NAME = 2


@pytest.fixture(scope="module")
def house() -> House:
    return measure(PACKAGE)


def test_the_package_stays_small_enough_to_be_known(house: House) -> None:
    assert len(house.lines) <= MOST_MODULES
    assert sum(house.lines.values()) - sum(house.documentation.values()) <= MOST_LINES
    assert len(house.root_modules) <= MOST_IN_ROOT
    assert house.largest[1] <= LONGEST_MODULE, house.largest


def test_a_file_name_says_where_one_is(house: House) -> None:
    often = {name: count for name, count in house.file_names.items() if count > SAME_FILE_NAME}
    assert not often


def test_no_modules_import_each_other_in_a_circle(house: House) -> None:
    assert not house.circles


def test_imports_keep_to_the_layers() -> None:
    """The layers are in pyproject.toml, under tool.importlinter."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_tests_lie_where_a_reader_of_the_module_looks(house: House) -> None:
    """``tests/llm/test_retry.py``, or ``test_retry_after.py``, is about ``llm/retry.py``.

    ``tests/cli/test_cli.py`` is about the room as a whole.
    """
    modules = {name.removesuffix(".__init__").replace(".", "/") for name in house.lines}
    modules |= {f"{module}/{module.rpartition('/')[2]}" for module in modules}
    lost = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        folder = path.relative_to(ROOT / "tests").parent.as_posix()
        room = "" if folder == "." else f"{folder}/"
        words = path.stem.removeprefix("test_").split("_")
        starts = ("_".join(words[:count]) for count in range(1, len(words) + 1))
        if room and not any(f"{room}{start}" in modules for start in starts):
            lost.append(f"{room}{path.name}")
    assert not lost


def test_a_circle_and_a_crowd_are_found(tmp_path: Path) -> None:
    package = tmp_path / "made_up"
    for name, text in {
        "__init__.py": "from made_up.low import deep\n",
        "top.py": "def late():\n    from made_up.low.deep import x\n",
        "low/__init__.py": "",
        "low/deep.py": (
            "from typing import TYPE_CHECKING\n"
            "from made_up.top import late\n"
            "if TYPE_CHECKING:\n"
            "    from made_up import low\n"
        ),
    }.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    house = measure(package)
    assert house.circles == [["low.deep", "top"]]
    assert house.imported_once == ["low.deep", "top"]
    assert sorted(house.imports.edges) == [
        ("__init__", "low.deep"),
        ("low.deep", "top"),
        ("top", "low.deep"),
    ]
