"""What users import: few names at the door, each of them in the documentation, none from inside."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import mesa_llm_norms

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mesa_llm_norms"

MOST_NAMES = 30
ROOMS = {
    "analysis",
    "classical",
    "errors",
    "experiments",
    "llm",
    "mean_field",
    "minds",
    "networks",
    "plots",
    "reproduction",
    "simulation",
    "study",
    "testing",
    "web",
}
"""The parts of the package that users may import from."""

_IMPORT = re.compile(r"^\s*from (mesa_llm_norms[\w.]*) import \(?([^#\n]*)", re.MULTILINE)


def shown() -> Iterator[tuple[Path, str]]:
    """Yield the text of what users read and copy: the documentation and the example models."""
    for pattern in ("README.md", "docs/*.md", "models/*/*.md", "models/*/*.py"):
        for path in sorted(ROOT.glob(pattern)):
            yield path.relative_to(ROOT), path.read_text(encoding="utf-8")


def test_the_names_at_the_door_are_few_sorted_and_there() -> None:
    names = mesa_llm_norms.__all__
    assert list(names) == sorted(set(names))
    assert not [name for name in names if not hasattr(mesa_llm_norms, name)]
    assert len(names) <= MOST_NAMES
    assert set(names) <= set(dir(mesa_llm_norms))


def test_every_name_at_the_door_is_shown_in_the_documentation() -> None:
    text = "\n".join(text for _, text in shown())
    unknown = [name for name in mesa_llm_norms.__all__ if not re.search(rf"\b{name}\b", text)]
    assert not unknown


def test_nothing_that_users_read_imports_from_deep_inside() -> None:
    deep = [
        f"{path}: {module}"
        for path, text in shown()
        for module, _ in _IMPORT.findall(text)
        if module.count(".") > 1 or (module.count(".") == 1 and module.split(".")[1] not in ROOMS)
    ]
    assert not deep


def test_what_users_import_is_listed() -> None:
    missing = []
    for path, text in shown():
        for module, names in _IMPORT.findall(text):
            listed = getattr(importlib.import_module(module), "__all__", None)
            for name in re.findall(r"(\w+)(?: as \w+)?", names):
                submodule = module == "mesa_llm_norms" and name in ROOMS
                if listed is not None and name not in listed and not submodule:
                    missing.append(f"{path}: {module}.{name}")
    assert not missing


def test_no_function_shadows_a_module() -> None:
    hidden = []
    for path in sorted(PACKAGE.rglob("__init__.py")):
        dotted = ".".join(path.relative_to(PACKAGE.parent).parent.parts)
        package = importlib.import_module(dotted)
        for name in getattr(package, "__all__", ()):
            beside = (path.parent / f"{name}.py").exists() or (path.parent / name).is_dir()
            if beside and not inspect.ismodule(getattr(package, name)):
                hidden.append(f"{dotted}.{name}")
    assert not hidden
