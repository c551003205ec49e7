"""Graphs as they are given: by name, in a file, or as an object of networkx or scipy.

::

    read_graph("watts_strogatz(n=24, k=4, p=0.1)", rng)
    read_graph("friendships.graphml", rng)
    read_graph("rewired(friendships.graphml)", rng)
    read_graph('file("friendships.gml", part="largest", weight="value")', rng)
    read_graph(nx.path_graph(5), rng)
    read_graph(scipy.sparse.csr_array([[0, 1], [1, 0]]), rng)

The suffix of a file says its format. Options say how to read it and how to clean it; they are part
of the string.
"""

from __future__ import annotations

import hashlib
import random
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from scipy import sparse

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.files import read_bytes
from mesa_llm_norms.errors import FileFormatError, GraphWarning, SpecError, TopologyError
from mesa_llm_norms.networks.adjacency import (
    Adjacency,
    Graph,
    is_sparse,
    read_adjacency,
)
from mesa_llm_norms.networks.columns import NONE, Options
from mesa_llm_norms.networks.kinds import CLEAN, FORMATS, KINDS, MAX_SPARSE_BYTES, OPTIONS, Format
from mesa_llm_norms.networks.numbered import adjacency_of, table_of
from mesa_llm_norms.networks.registry import find_topology, read_topology
from mesa_llm_norms.networks.strings import parse, write_call
from mesa_llm_norms.networks.validation import (
    CLEANING,
    EdgeTable,
    UnreadableError,
    clean,
    option_remedy,
)

_PACKED = (".gz", ".bz2", ".xz")
MAX_BYTES = limits.GRAPH_FILE.high

_CALL = re.compile(
    r"""\s*file\s*\(\s*(?:"([^"]*)"|'([^']*)'|([^\s,()"']+))((?:\s*,.*)?)\)\s*""", re.DOTALL
)
_OPTION = re.compile(r"""\s*,\s*(\w+)\s*=\s*("[^"]*"|'[^']*'|[^\s,()"']+)\s*""")


def read_graph(graph: Any, rng: random.Random) -> Graph:
    """Return the graph that a ``graph=`` argument stands for.

    ``check_graph`` says whether the game can be played on it.

    Parameters
    ----------
    graph : networkx.Graph, scipy sparse array, str, pathlib.Path, list, mapping, or Mesa's Network
        A networkx graph is returned as it is, not copied, and so is that of a ``Network``. A list
        of edges ``(u, v)`` or ``(u, v, weight)`` and a mapping of nodes to their neighbors are
        undirected graphs, and a square numpy array is read as a sparse one. In a sparse array or
        matrix the value in row u and column v is the weight of u -> v; it is undirected if
        symmetric. A path is a file.
        A string is a file if it has a suffix of ``FORMATS`` or is ``'file("PATH", ...)'``, with
        ``OPTIONS``; else a topology if it starts with the name of one (``"ring"``,
        ``"ring(n=12, k=4)"``), else a file if one is there.
    rng : random.Random
        Where random topologies get their draws: the same state gives the same graph.

    Returns
    -------
    networkx.Graph or scipy.sparse.csr_array
        The graph; sparse arrays as ``read_adjacency`` returns them.

    Raises
    ------
    TopologyError
        If the argument stands for no graph.
    FileFormatError
        If a file cannot be read.
    GraphError
        If a sparse array is not an adjacency.
    """
    if isinstance(graph, nx.Graph):
        return graph
    if is_sparse(graph):
        return read_adjacency(graph)
    file = graph_file(graph)
    if file is not None:
        return read_file(file.path, **file.options)
    if isinstance(graph, str):
        return read_topology(graph, rng, _read_within)
    return _of_parts(graph)


def _of_parts(graph: Any) -> Graph:
    """Return the graph that a list of edges, a mapping to neighbors, a matrix or a space is."""
    space = getattr(graph, "G", None)
    if isinstance(space, nx.Graph):  # Mesa's Network
        return space
    if isinstance(graph, np.ndarray) and graph.ndim == 2 and graph.shape[0] == graph.shape[1]:
        return read_adjacency(sparse.csr_array(graph))
    lists = (list, tuple, set, frozenset)
    edges = graph if isinstance(graph, lists) else ()
    if edges and all(isinstance(it, (list, tuple)) and len(it) in (2, 3) for it in edges):
        made: nx.Graph[Any] = nx.Graph()
        with suppress(TypeError, ValueError):  # a node that cannot be hashed, or None
            for u, v, *weight in edges:
                made.add_edge(u, v, **({"weight": weight[0]} if weight else {}))
            return made
    near = graph.values() if isinstance(graph, Mapping) else ()
    if near and all(isinstance(it, (*lists, Mapping)) for it in near):
        with suppress(TypeError, ValueError, nx.NetworkXError):
            return nx.Graph({node: {other: {} for other in it} for node, it in graph.items()})
    raise TopologyError(
        "graph",
        graph,
        f"a {type(graph).__name__} is not a graph",
        'Give a networkx graph, a scipy sparse array, a topology such as "ring(n=24)", the path of '
        "a graph file, a list of edges [(0, 1), ...], or neighbors by node {0: [1, 2], ...}.",
    )


class GraphFile(NamedTuple):
    """A file that a ``graph=`` argument means, and how it is to be read: values of ``OPTIONS``."""

    path: Path
    options: Mapping[str, Any] = {}

    def __str__(self) -> str:
        """Return the ``graph=`` argument that means the same."""
        if not self.options:
            return str(self.path)
        quoted = f"'{self.path}'" if '"' in str(self.path) else f'"{self.path}"'
        values = (
            f"{name}={str(it).lower()}" if isinstance(it, int) else f'{name}="{it}"'
            for name, it in self.options.items()
        )
        return f"file({', '.join((quoted, *values))})"


def graph_file(graph: Any) -> GraphFile | None:
    """Return the file that a ``graph=`` argument means, by the rule of ``read_graph``, or None.

    Raises ``TopologyError`` for ``file(...)`` with options that are not known.
    """
    if isinstance(graph, Path):
        return GraphFile(graph)
    if not isinstance(graph, str):
        return None
    if _is_call(graph):
        return _parse_call(graph)
    return GraphFile(Path(graph)) if names_file(graph) else None


def refer_to(path: Path) -> dict[str, str]:
    """Return where a graph file is, and a hash of what it holds."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"file": path.name, "path": str(path.absolute()), "sha256": digest}


def referred(written: Mapping[str, Any]) -> Path:
    """Return the path of a graph file that holds what it held when it was referred to."""
    path, problem = Path(written["path"]), ""
    try:
        if refer_to(path)["sha256"] != written["sha256"]:
            problem = "has changed since the run began"
    except OSError as error:
        problem = f"cannot be read ({error.strerror})"
    if problem:
        raise SpecError("graph", str(path), f"{path} {problem}", "Put the original file back.")
    return path


def names_file(graph: Any) -> bool:
    """Return whether a ``graph=`` argument means a file, by the rule of ``read_graph``."""
    if isinstance(graph, Path):
        return True
    if not isinstance(graph, str):
        return False
    if _is_call(graph) or _suffix(Path(graph)) in FORMATS:
        return True
    try:
        return find_topology(graph) is None and bool(graph) and Path(graph).exists()
    except (OSError, ValueError):
        return False


def file_within(graph: Any) -> GraphFile | None:
    """Return the file in a topology string such as ``"rewired(friends.csv)"``, or None."""
    inner = _graph_within(graph)
    return None if inner is None else graph_file(inner) or file_within(inner)


def move_file_within(graph: str, path: Path) -> str:
    """Return a topology string with another path of the file in it."""
    inner = _graph_within(graph)
    if inner is None:
        return graph
    file, call = graph_file(inner), parse(graph)
    moved = move_file_within(inner, path) if file is None else str(file._replace(path=path))
    args = tuple(moved if it == inner else it for it in call.args)
    kwargs = {name: moved if it == inner else it for name, it in call.kwargs.items()}
    return write_call(call.name, args, kwargs)


def _graph_within(graph: Any) -> str | None:
    """Return the graph, as text, that a topology string takes; None if it takes none."""
    topology = find_topology(graph) if isinstance(graph, str) and not names_file(graph) else None
    name = None if topology is None else topology.takes_graph
    if topology is None or name is None:
        return None
    call = parse(graph)
    with suppress(ValueError):  # which says what is wrong where the graph is read
        return str(topology.read(call.args, call.kwargs)[name])
    return None


def _read_within(graph: str, rng: random.Random) -> Graph:
    """Read the graph in a topology string: a file only once, however many runs draw from it."""
    file = graph_file(graph)
    if file is None:
        return read_topology(graph, rng, _read_within)
    status = file.path.stat() if file.path.is_file() else None
    return _read_once(graph, (status.st_mtime_ns, status.st_size) if status else ())


@lru_cache(maxsize=4)
def _read_once(graph: str, _version: tuple[int, ...]) -> Graph:
    return read_graph(graph, random.Random(0))


def is_random(graph: Any) -> bool:
    """Return whether a ``graph=`` argument means another graph each time it is read."""
    if not isinstance(graph, str) or names_file(graph):
        return False
    kind = find_topology(graph)
    return kind is not None and kind.takes_rng


def with_options(graph: str, typed: Mapping[str, str], *, clean: bool = False) -> str:
    """Return the ``graph=`` string of a file with more options, given as text.

    Raises ``TopologyError`` if it means no file, or an option is not known.
    """
    if not typed and not clean:
        return graph
    file = graph_file(graph)
    if file is None:
        raise TopologyError(
            "graph", graph, f"{graph!r} is not a file, and has no such options", "Leave them out."
        )
    options = {**file.options, **{name: _value(graph, name, it) for name, it in typed.items()}}
    return str(GraphFile(file.path, {**options, **({"clean": True} if clean else {})}))


def read_file(path: Path, **options: Any) -> Graph:
    """Return the graph in a file.

    Warns ``GraphWarning`` of what a user might not expect, and of what cleaning did. Parallel edges
    that no option merges are kept, in a multigraph, for ``check_graph`` to refuse. Nothing in a
    file is evaluated or unpickled.

    Parameters
    ----------
    path : pathlib.Path
        The file, with a suffix of ``FORMATS``, and perhaps ``.gz``, ``.bz2`` or ``.xz``. A text is
        UTF-8, or UTF-16 with a byte order mark, or as the option ``encoding`` or its XML says. How
        large it may be is in ``core.limits``.
    **options
        Values of ``OPTIONS``.

    Returns
    -------
    networkx.Graph or scipy.sparse.csr_array
        Node ids are strings, or ints if all of them are whole numbers (JSON states the type
        itself). The ``weight`` of an edge is a number; edges without one have none.

    Raises
    ------
    FileFormatError
        If the file is missing, empty, too large, not text or not of its format, can be read in two
        ways, or is XML that declares entities, which can expand without bound.
    TopologyError
        If an option is not known or has another value.
    """
    graph, found = open_file(path, **options)
    if found is not None and (found.notes or found.done):
        said = "; ".join((*found.notes, *found.done))
        warnings.warn(f"graph: {path.name}: {said}.", GraphWarning, stacklevel=2)
    return graph


def open_file(path: Path, **options: Any) -> tuple[Graph, EdgeTable | None]:
    """Return the graph in a file as ``read_file`` does, without warnings, and what was read.

    That is None for a sparse array that is not cleaned.
    """
    found = open_table(path, **options)
    if not isinstance(found, EdgeTable):
        return found, None
    return (adjacency_of(found) if found.format == KINDS["npz"].name else found.graph()), found


def open_table(path: Path, **options: Any) -> EdgeTable | Adjacency:
    """Return what a file holds, cleaned: a sparse array if it is one that was not cleaned."""
    path = Path(path)
    known = {name: _checked(path, name, value) for name, value in options.items()}
    if known.pop("clean", False):
        known = {**CLEAN, **known}
    kind = _format(path, known)
    unfit = [name for name in known if name not in (*CLEANING, *kind.options, "format")]
    if unfit:
        raise TopologyError(
            "graph",
            str(path),
            f"the option {unfit[0]} is not for {kind.name}",
            f"Options for it are {', '.join((*kind.options, *CLEANING))}.",
        )
    contents: Any = read_bytes(path, MAX_BYTES if kind.is_text else MAX_SPARSE_BYTES)
    if kind.is_text:
        contents = _text(path, contents, kind, known)
    try:
        found = kind.read(contents, known)
        del contents  # It takes memory that the graph will need.
        if not isinstance(found, EdgeTable):
            if not known.keys() & CLEANING.keys():
                return found
            found = table_of(found)
        if known.get("weight") == NONE:
            found.weights, found.weight_name = None, ""
        clean(found, known)
        found.format = kind.name
        return found
    except Exception as error:  # On bad input parsers raise nearly every kind there is.
        problem, remedy = str(error), ""
        if isinstance(error, UnreadableError):
            remedy = error.remedy.replace("NAME", path.name)
        elif type(error) is not ValueError:
            problem = f"{type(error).__name__}: {problem}"
        usual = "Check that the file is complete and has the right suffix"
        raise FileFormatError(
            path,
            f"cannot be read as {kind.name} ({' '.join(problem.split())[:300]})",
            remedy or f"{usual}; {kind.write} writes one.",
        ) from error


# Options


def _is_call(text: str) -> bool:
    return bool(re.fullmatch(r"\s*file\s*\(.*\)\s*", text, re.DOTALL))


def _parse_call(text: str) -> GraphFile:
    """Return the file and the options of ``file("PATH", name="value")``."""
    found = _CALL.fullmatch(text) if len(text) <= 10 * limits.TOPOLOGY_TEXT.high else None
    if found is None:
        raise _unreadable(text, f"cannot read {text[:60]!r}")
    options: dict[str, Any] = {}
    rest, position = found[4].rstrip().rstrip(","), 0
    while position < len(rest):
        one = _OPTION.match(rest, position)
        if one is None:
            raise _unreadable(text, f"cannot read {rest[position:].strip()[:60]!r}")
        if one[1] in options:
            raise _unreadable(text, f"{one[1]} is given twice")
        quoted = one[2][0] in "\"'"
        options[one[1]] = one[2][1:-1] if quoted else _value(text, one[1], one[2])
        position = one.end()
    return GraphFile(Path(found[1] or found[2] or found[3] or ""), options)


def _unreadable(text: str, problem: str) -> TopologyError:
    remedy = 'Write file("polblogs.gml", part="largest", directed=false).'
    return TopologyError("graph", text, problem, remedy)


def _value(graph: str, name: str, typed: str) -> Any:
    """Return a value that was typed without quotation marks."""
    if name not in OPTIONS:
        raise _unknown(graph, name)
    if typed.lower() in ("true", "false") and True in OPTIONS[name].values:
        return typed.lower() == "true"
    return int(typed) if re.fullmatch(r"\d{1,9}", typed) else typed


def _unknown(graph: Any, name: str) -> TopologyError:
    problem = f"no option of files is called {name!r}"
    return TopologyError("graph", str(graph), problem, f"Options are {', '.join(OPTIONS)}.")


def _checked(path: Path, name: str, value: Any) -> Any:
    """Return the value of an option, or raise ``TopologyError``."""
    if name not in OPTIONS:
        raise _unknown(path, name)
    allowed = OPTIONS[name].values
    fits = any(value == it and type(value) is type(it) for it in allowed)
    if not allowed:
        fits = isinstance(value, (str, int)) and not isinstance(value, bool) and value != ""
        fits = fits and (name != "graph" or isinstance(value, int))
    if not fits:
        words = " or ".join(str(it).lower() if isinstance(it, bool) else str(it) for it in allowed)
        raise TopologyError(
            "graph",
            str(path),
            f"{name}={value!r} is not a value of the option {name}",
            f"Use {words or 'a name or a number'}.",
        )
    return value


def _suffix(path: Path) -> str:
    """Return the suffix that says the format of a file, perhaps one within a packed file."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix in _PACKED else suffix


def _format(path: Path, options: Options) -> Format:
    if "format" in options:
        return KINDS[options["format"]]
    kind = FORMATS.get(_suffix(path))
    if kind is None and path.name.lower().startswith("out."):
        kind = KINDS["edges"]
    if kind is None:
        raise FileFormatError(
            path,
            f"the suffix {_suffix(path)!r} is of no known format",
            f"Known are {', '.join(FORMATS)}; or "
            + option_remedy("format=edges", what="(or another format)", lower=True).replace(
                "NAME", path.name
            ),
        )
    return kind


# Bytes and text


def _text(path: Path, data: bytes, kind: Format, options: Options) -> str:
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    encoding = options.get("encoding") or ("utf-16" if marked else "utf-8-sig")
    declared = re.match(rb"""\s*<\?xml[^>]*\bencoding\s*=\s*["']([\w.-]+)["']""", data[:200])
    if declared and kind.is_xml and not marked and "encoding" not in options:
        name = declared[1].decode("ascii").lower()
        encoding = (
            name
            if re.match(r"iso-8859|latin|windows-125|cp125|us-ascii|koi8", name)
            else (encoding)
        )
    try:
        text = data.decode(encoding)
    except LookupError as error:
        raise TopologyError(
            "graph",
            str(path),
            f"encoding={encoding!r} is not an encoding of text",
            'Use a name that Python knows, such as "latin-1".',
        ) from error
    except UnicodeDecodeError as error:
        shown = "UTF-8" if encoding == "utf-8-sig" else encoding.upper()
        raise FileFormatError(
            path,
            f"not {shown} text",
            "Save it as UTF-8, or "
            + option_remedy("encoding=latin-1", what="(or another)", lower=True).replace(
                "NAME", path.name
            ),
        ) from error
    if "\0" in text:
        raise FileFormatError(
            path, "binary, not text", "Save it as UTF-8, or give encoding=utf-16-le."
        )
    if not text.strip():
        raise FileFormatError(path, "empty", "Save the graph again.")
    return text
