"""``python tests/support/house.py [REVISION]``: the layout of the package in figures.

Without a revision the package as it is on disk; with one, as git has it.
"""

from __future__ import annotations

import ast
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import networkx as nx

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "mesa_llm_norms"


class House(NamedTuple):
    """The layout of a package.

    ``lines`` are those of each module, by dotted name without the package's, and ``documentation``
    those of them that belong to docstrings. ``imports`` has an edge from every module to those of
    the package that it imports, at the top or in a function, but not to those that only a type
    checker reads.
    """

    lines: dict[str, int]
    documentation: dict[str, int]
    imports: nx.DiGraph[str]

    @property
    def root_modules(self) -> list[str]:
        """The modules directly in the package."""
        return [name for name in self.lines if "." not in name]

    @property
    def largest(self) -> tuple[str, int]:
        """The longest module and its lines."""
        return max(self.lines.items(), key=lambda item: item[1])

    @property
    def file_names(self) -> Counter[str]:
        """How often each file name is used, ``__init__`` apart."""
        names = (name.rpartition(".")[2] for name in self.lines)
        return Counter(name for name in names if name != "__init__")

    @property
    def circles(self) -> list[list[str]]:
        """The modules that import each other in a circle."""
        found = nx.strongly_connected_components(self.imports)
        return [sorted(circle) for circle in found if len(circle) > 1]

    @property
    def imported_once(self) -> list[str]:
        """The modules that exactly one other module imports, facades not counted."""
        return sorted(
            module
            for module in self.lines
            if not module.endswith("__init__") and len(self._users(module)) == 1
        )

    def _users(self, module: str) -> set[str]:
        users = self.imports.predecessors(module) if module in self.imports else ()
        return {user for user in users if not user.endswith("__init__")}


def measure(package: Path) -> House:
    """Return the layout of the package in this folder."""
    paths = {_dotted(path, package): path for path in sorted(package.rglob("*.py"))}
    trees = {name: path.read_text(encoding="utf-8") for name, path in paths.items()}
    known = {name.removesuffix("__init__").rstrip("."): name for name in trees}
    imports: nx.DiGraph[str] = nx.DiGraph()
    for name, text in trees.items():
        for module, item in _imported(ast.parse(text), package.name):
            inner = f"{module}.{item}".lstrip(".")
            found = known.get(inner) or known[module]
            if found != name:
                imports.add_edge(name, found)
    lines = {name: text.count("\n") for name, text in trees.items()}
    return House(lines, {name: _documented(text) for name, text in trees.items()}, imports)


def at(revision: str) -> House:
    """Return the layout at a revision of the repository."""
    command = ["git", "archive", revision, PACKAGE.name]
    packed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        return measure(Path(folder) / PACKAGE.name)


def describe(house: House) -> Iterator[str]:
    """Yield the figures, one in a line."""
    modules, lines = len(house.lines), sum(house.lines.values())
    name, longest = house.largest
    often = [f"{name} ({count})" for name, count in house.file_names.most_common() if count > 2]
    yield f"modules                      {modules}"
    yield f"lines                        {lines:,}, {lines / modules:.0f} a module"
    yield f"lines without docstrings     {lines - sum(house.documentation.values()):,}"
    yield f"modules in the root          {len(house.root_modules)}"
    yield f"longest module               {name}, {longest} lines"
    yield f"modules imported by one      {len(house.imported_once)}"
    yield f"import circles               {len(house.circles)}"
    yield f"file names used over twice   {', '.join(often) or 'none'}"


def _documented(text: str) -> int:
    """Return how many lines belong to docstrings."""
    texts = (
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
    return sum((node.end_lineno or node.lineno) - node.lineno + 1 for node in texts)


def _dotted(path: Path, package: Path) -> str:
    return ".".join(path.relative_to(package).with_suffix("").parts)


def _imported(tree: ast.AST, package: str) -> Iterator[tuple[str, str]]:
    """Yield what is imported from the package: the module named, and the name taken from it."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == package:
            module = (node.module or "").partition(".")[2]
            yield from ((module, alias.name) for alias in node.names)
        yield from _imported(node, package)


if __name__ == "__main__":
    print("\n".join(describe(at(sys.argv[1]) if sys.argv[1:] else measure(PACKAGE))))
