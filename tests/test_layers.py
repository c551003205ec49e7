"""Imports point down only: the layers of the package, and the proof that nothing breaks them.

Every import counts, at the top of a module or inside a function, except what only a type checker
reads (``if TYPE_CHECKING:``). The packages above a module, which Python imports on its way to it,
do not count as imported by it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "mesa_llm_norms"

LAYERS: Sequence[Sequence[str]] = [
    # Top to bottom. A module may import from its own row and from the rows under it. A name stands
    # for the module or the whole package of that name; a dotted name, for that module of a package.
    ["cli", "__main__"],
    ["viz.server"],
    ["viz.page", "viz.components"],
    ["viz.views"],
    ["viz"],
    ["__init__"],
    ["study", "plots", "audits.report", "tipping.report", "reproduction"],
    ["audits", "tipping"],
    ["classical", "sweeps"],
    ["ensemble", "forecast", "markup", "mean_field", "recording"],
    ["model"],
    ["kernel"],
    ["automaton"],
    ["agents", "course", "run_tables", "saved", "side_by_side", "testing", "typed"],
    ["execution", "spec", "networked"],
    ["lookahead"],
    ["minds"],
    ["minds.mind"],
    ["statistics"],
    ["pairing", "neighbors", "topologies", "metrics", "placement"],
    ["background", "compiled", "errand", "journal", "window", "workers"],
    ["game", "memory", "draws", "palette", "places", "text_files"],
    ["errors"],
]

FORBIDDEN = {
    # What the rows alone would allow.
    ("__init__", "plots"): "importing the package must not import a plotting library",
}

Graph = Mapping[str, frozenset[str]]
"""For each module, dotted and without the package's own name, the modules it imports."""


def modules(package: Path) -> dict[str, Path]:
    """Return the modules of a package: ``__init__``, ``game``, ``minds``, ``minds.mind``."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package).with_suffix("").parts
        if len(parts) > 1 and parts[-1] == "__init__":
            parts = parts[:-1]
        found[".".join(parts)] = path
    return found


def import_graph(package: Path) -> Graph:
    """Return what every module of a package imports from the package."""
    found = modules(package)
    graph = {}
    for module, path in found.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        reached = {
            resolve(target, module, path.name == "__init__.py", package.name, found)
            for target in imports(tree, package.name)
        }
        graph[module] = frozenset(name for name in reached if name not in (None, module))
    return graph


def imports(tree: ast.AST, package: str) -> Iterator[tuple[int, str, str]]:
    """Yield ``(dots, module, name)`` for every import that runs; the name may be empty."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imports(ast.Module([other], []), package)
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.level, node.module or "", alias.name
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and str(argument.value).startswith(package):
                    yield 0, str(argument.value), ""
        yield from imports(node, package)


def resolve(
    target: tuple[int, str, str],
    importer: str,
    inside: bool,
    package: str,
    found: Mapping[str, Path],
) -> str | None:
    """Return the module of the package that an import reaches, or None where it reaches none."""
    dots, module, name = target
    parts = [part for part in module.split(".") if part]
    if dots:
        here = [] if importer == "__init__" else importer.split(".")
        climb = dots - 1 if inside else dots
        parts = here[: len(here) - climb] + parts
    elif parts[:1] == [package]:
        parts = parts[1:]
    else:
        return None
    for candidate in ([*parts, name], parts) if name else (parts,):
        dotted = ".".join(candidate) or "__init__"
        if dotted in found:
            return dotted
    raise AssertionError(f"{importer} imports {'.'.join(parts)}, which is nowhere in {package}")


def find_cycle(graph: Graph) -> list[str]:
    """Return the modules of one import cycle in order, the first again at the end, or nothing."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for imported in sorted(graph[module]):
            cycle = visit(imported, [*path, module])
            if cycle:
                return cycle
        done.add(module)
        return []

    for module in sorted(graph):
        cycle = visit(module, [])
        if cycle:
            return cycle
    return []


def place(module: str, layers: Sequence[Sequence[str]]) -> tuple[int, str] | None:
    """Return the row (0 is the top) and the entry of the table that a module falls under."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        entry = ".".join(parts[:length])
        for row, names in enumerate(layers):
            if entry in names:
                return row, entry
    return None


def upward(graph: Graph, layers: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for every import that points up the table or is forbidden by name."""
    wrong = []
    for module, imported in graph.items():
        for other in sorted(imported):
            here, there = place(module, layers), place(other, layers)
            if here is None or there is None:
                continue
            if there[0] < here[0]:
                wrong.append(f"{module} imports {other}, which is in a layer above it")
            reason = FORBIDDEN.get((here[1], there[1]))
            if reason:
                wrong.append(f"{module} imports {other}: {reason}")
    return wrong


@pytest.fixture(scope="module")
def graph() -> Graph:
    return import_graph(PACKAGE)


def test_every_module_is_in_the_table_of_layers(graph: Graph) -> None:
    unknown = [module for module in graph if place(module, LAYERS) is None]
    assert not unknown, f"add {', '.join(unknown)} to LAYERS in {Path(__file__).name}"


def test_the_package_has_no_import_cycle(graph: Graph) -> None:
    cycle = find_cycle(graph)
    assert not cycle, "import cycle: " + " -> ".join(cycle)


def test_imports_point_down_only(graph: Graph) -> None:
    wrong = upward(graph, LAYERS)
    assert not wrong, "\n".join(wrong)


def made_up(folder: Path, files: Mapping[str, str]) -> Path:
    """Write a package with these files."""
    package = folder / "made_up"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return package


def test_a_cycle_is_found_and_named_even_through_functions_and_relative_imports(
    tmp_path: Path,
) -> None:
    package = made_up(
        tmp_path,
        {
            "__init__.py": "from made_up.top import start\n",
            "top.py": "from . import middle\n",
            "middle.py": "def late():\n    from made_up.low.deep import x\n",
            "low/__init__.py": "",
            "low/deep.py": "from ..top import start\n",
        },
    )
    cycle = find_cycle(import_graph(package))
    assert cycle == ["top", "middle", "low.deep", "top"]


def test_a_package_without_a_cycle_passes_and_type_checking_does_not_count(tmp_path: Path) -> None:
    package = made_up(
        tmp_path,
        {
            "__init__.py": "import made_up.top\n",
            "top.py": "import json\nfrom made_up.low import deep\n",
            "low/__init__.py": "from .deep import x\n",
            "low/deep.py": (
                "from typing import TYPE_CHECKING\n"
                "x = 1\n"
                "if TYPE_CHECKING:\n"
                "    from made_up.top import start\n"
            ),
        },
    )
    graph = import_graph(package)
    assert graph == {
        "__init__": {"top"},
        "top": {"low.deep"},
        "low": {"low.deep"},
        "low.deep": set(),
    }
    assert find_cycle(graph) == []


def test_an_upward_and_a_forbidden_import_are_reported() -> None:
    graph = {
        "errors": frozenset({"game"}),
        "game": frozenset[str](),
        "minds.mind": frozenset({"minds.recorded"}),
        "minds.recorded": frozenset({"minds.mind"}),
        "__init__": frozenset({"plots"}),
        "plots": frozenset[str](),
    }
    assert upward(graph, LAYERS) == [
        "errors imports game, which is in a layer above it",
        "minds.mind imports minds.recorded, which is in a layer above it",
        "__init__ imports plots: importing the package must not import a plotting library",
    ]


def test_a_module_missing_from_the_table_has_no_place() -> None:
    assert place("utils", LAYERS) is None
    assert place("minds.recorded", LAYERS) == place("minds", LAYERS)
    assert place("minds.mind", LAYERS) != place("minds", LAYERS)
