"""Topologies by name: what one is, how to add one, and how a string becomes a graph.

A topology string is a name and numbers in parentheses: ``"watts_strogatz(n=24, k=4, p=0.1)"``.
Some take another graph, as ``"rewired(karate)"`` does. In a *template* the number of agents is left
open, as in ``"ring(n={size})"``, to be filled in later.
"""

from __future__ import annotations

import difflib
import inspect
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar

import networkx as nx

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_whole
from mesa_llm_norms.errors import FileFormatError, SpecError, TopologyError, shown
from mesa_llm_norms.networks.adjacency import (
    Graph,
    graph_size,
    is_connected,
    is_sparse,
    read_adjacency,
)
from mesa_llm_norms.networks.strings import cut, parse, write_call

MAX_NODES, MAX_EDGES = limits.NODES.high, limits.EDGES.high
"""The largest networkx graph that a topology may make."""

MAX_SPARSE_NODES, MAX_SPARSE_EDGES = limits.SPARSE_NODES.high, limits.SPARSE_EDGES.high
"""The largest sparse array that a topology may make."""

MAX_DRAWS = 100
_MAX_DRAWN, _MAX_SPARSE_DRAWN = 5_000_000, 200_000_000
"""How many nodes and edges may be drawn in search of a connected graph."""

_DRAWN_IN_LIMIT = 10
"""Within ``size_limit``, as many times the limit may be drawn in that search."""

Value: TypeAlias = int | float | str | tuple[int, ...]
Reader: TypeAlias = Callable[[str, random.Random], Graph]
Function = TypeVar("Function", bound=Callable[..., Any])

_KINDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    tuple: f"a list of at most {limits.TOPOLOGY_LIST.high} whole numbers",
    str: "a topology or the path of a graph file",
}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a topology.

    Attributes
    ----------
    name : str
        Its name.
    default : int, float, tuple of int or str
        Its default, whose type is the parameter's.
    low, high : float
        The inclusive range of its value, or of each item of a tuple.
    words : tuple of str, default ()
        The words that it may be. A text is a graph if there are none.
    """

    name: str
    default: Value
    low: float
    high: float
    words: tuple[str, ...] = ()

    @property
    def type(self) -> type[Value]:
        """The type of its values: ``int``, ``float``, ``tuple`` (of whole numbers) or ``str``."""
        return type(self.default)

    @property
    def is_graph(self) -> bool:
        """Whether its values are graphs, as text."""
        return self.type is str and not self.words

    @property
    def allowed(self) -> str:
        """The values it may have, in words."""
        if self.words:
            return f"one of {', '.join(self.words)}"
        bounded = not (math.isinf(self.low) and math.isinf(self.high))
        return _KINDS[self.type] + (f" from {self.low:,} to {self.high:,}" if bounded else "")

    def read(self, value: object) -> Value:
        """Return a value as the type of this parameter, or raise ``ValueError``."""
        if isinstance(self.default, str):
            if not isinstance(value, str) or (self.words and value not in self.words):
                close = difflib.get_close_matches(str(value), self.words, n=1)
                raise ValueError(
                    f"{self.name}={cut(value)} is not {close[0] if close else self.allowed}"
                    + (", which may be meant" if close else "")
                )
            return value
        if isinstance(value, str):
            raise ValueError(f"{cut(value)} is not a number")
        items: tuple[Any, ...] = (value,)
        if isinstance(self.default, tuple):
            items = tuple(value) if isinstance(value, (list, tuple)) else ()
        whole = not isinstance(self.default, float)
        if len(items) not in limits.TOPOLOGY_LIST or not all(
            _is_number(item, whole) and self.low <= item <= self.high for item in items
        ):
            raise ValueError(f"{self.name}={cut(value)} is not {self.allowed}")
        if isinstance(self.default, tuple):
            return items
        return int(items[0]) if whole else float(items[0])


@dataclass(frozen=True, slots=True)
class Topology:
    """A graph that goes by a name.

    Attributes
    ----------
    name, summary : str
        Its name, and a description in one line.
    parameters : mapping from str to Parameter
        Its parameters, in order.
    example : str
        A topology string that works.
    function : callable
        Makes the graph from the parameters, and from ``rng`` if ``takes_rng``.
    takes_rng : bool
        Whether it is random.
    connect_by : str
        If not empty, a random graph is drawn again until it is connected; the text names the
        parameters to raise if it never is.
    """

    name: str
    summary: str
    parameters: Mapping[str, Parameter] = field(hash=False)
    example: str
    function: Callable[..., Graph]
    takes_rng: bool
    connect_by: str

    @property
    def signature(self) -> str:
        """The string that gives the same graph as the bare name: all defaults written out."""
        return write_call(self.name, (), {name: it.default for name, it in self.parameters.items()})

    @property
    def takes_graph(self) -> str | None:
        """The parameter that is another graph, None if there is none."""
        return next((name for name, it in self.parameters.items() if it.is_graph), None)

    def make(self, rng: random.Random, /, *args: object, **kwargs: object) -> Graph:
        """Return the graph for these parameters, in declared order or by name.

        Draws from ``rng`` only if the topology is random. Raises ``TopologyError`` for a parameter
        that is unknown, of the wrong type or out of range, and if 100 draws (fewer for graphs of
        millions of edges) give no connected graph.
        """
        return self._make(rng, args, kwargs, read_topology)

    def _make(
        self,
        rng: random.Random,
        args: tuple[object, ...],
        kwargs: Mapping[str, object],
        read: Reader,
    ) -> Graph:
        try:
            values: dict[str, Any] = self.read(args, kwargs)
            for name, it in self.parameters.items():
                if it.is_graph:
                    values[name] = read(values[name], rng)
            call = partial(self.function, **values)
            return self._draw(partial(call, rng=rng) if self.takes_rng else call)
        except (TopologyError, FileFormatError):
            raise
        except (ValueError, nx.NetworkXException) as error:
            raise TopologyError(
                "graph",
                write_call(self.name, args, kwargs, cut),
                f"{self.name}: {error}",
                f'For example "{self.example}".',
            ) from error

    def read(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, Value]:
        """Return the value of every parameter; ``ValueError`` names one that does not fit."""
        names = list(self.parameters)
        if len(args) > len(names):
            raise ValueError(f"{len(args)} values for {len(names)} parameters ({_listed(names)})")
        given = dict(zip(names, args, strict=False))
        for name, value in kwargs.items():
            if name not in self.parameters:
                raise ValueError(f"no parameter {shown(name)}; it has {_listed(names)}")
            if name in given:
                raise ValueError(f"two values for {name}")
            given[name] = value
        return {name: it.read(given.get(name, it.default)) for name, it in self.parameters.items()}

    def _draw(self, call: Callable[[], Any]) -> Graph:
        draws = drawn = 0
        limit = _size_limit.get()
        most = _MAX_DRAWN
        while draws < MAX_DRAWS and drawn < most:
            made = call()
            if not isinstance(made, nx.Graph) and not is_sparse(made):
                raise ValueError(
                    f"it made a {type(made).__name__}, not a networkx graph or a scipy sparse array"
                )
            graph: Graph = made if isinstance(made, nx.Graph) else read_adjacency(made)
            most = _MAX_DRAWN if isinstance(graph, nx.Graph) else _MAX_SPARSE_DRAWN
            if limit is not None:
                check_size(*graph_size(graph))  # functions of your own may not have called it
                most = min(most, _DRAWN_IN_LIMIT * sum(limit))
            if not self.connect_by or is_connected(graph):
                return graph
            draws += 1
            drawn += sum(graph_size(graph))
        raise ValueError(f"no connected graph in {draws} draws; raise {self.connect_by}")


_TOPOLOGIES: dict[str, Topology] = {}


def topologies() -> tuple[Topology, ...]:
    """Return every known topology.

    Returns
    -------
    tuple of Topology
        In the order in which they were added.
    """
    return tuple(_TOPOLOGIES.values())


def topology(
    example: str, /, *, connect_by: str = "", **ranges: tuple[Any, ...]
) -> Callable[[Function], Function]:
    """Make a function that returns a graph usable by name: ``graph="my_name(n=10)"``.

    The function returns a networkx graph, or a scipy sparse array as ``read_adjacency`` takes it.
    Its name is the topology's, the first line of its docstring the summary. Each of its parameters
    has a default, which sets the type: an int, a float, a tuple of ints, one of some words, or the
    string of a topology; of that the function is given the graph. A parameter ``rng`` is given a
    ``random.Random``. It raises ``ValueError`` for parameters that make no graph, and calls
    ``check_size`` where nodes or edges grow faster than the parameters. Running a definition again
    replaces it.

    Parameters
    ----------
    example : str
        A topology string that works.
    connect_by : str, default ""
        If given, disconnected draws are repeated; names what to raise when none is connected.
    **ranges : tuple of float, or of str
        The inclusive range of a parameter, as in ``p=(0, 1)``, or the words it may be. By default
        ints go from 0 to 100,000, and floats are unbounded.

    Returns
    -------
    callable
        A decorator that returns the function unchanged.

    Raises
    ------
    TopologyError
        When decorating, if the name is taken by another module, a parameter has no usable default,
        or the example does not fit.
    """

    def register(function: Function) -> Function:
        made = _described(function, example, connect_by, ranges)
        taken = _TOPOLOGIES.get(made.name)
        if taken and taken.function.__module__ != function.__module__:
            raise TopologyError(
                "topology", made.name, f"{shown(made.name)} is taken", "Rename the function."
            )
        _TOPOLOGIES[made.name] = made
        return function

    return register


def check_size(nodes: float, edges: float = 0, *, sparse: bool = False) -> None:
    """Check that a graph is not too large to be made.

    Parameters
    ----------
    nodes : float
        The number of nodes, or an estimate.
    edges : float, default 0
        The number of edges, or an estimate.
    sparse : bool, default False
        Whether it is made as a sparse array: at most ``MAX_SPARSE_NODES`` and ``MAX_SPARSE_EDGES``,
        instead of ``MAX_NODES`` and ``MAX_EDGES``.

    Raises
    ------
    ValueError
        If it has more, or more than ``size_limit`` allows; ``topology`` turns this into a
        ``TopologyError``.
    """
    most = (MAX_SPARSE_NODES, MAX_SPARSE_EDGES) if sparse else (MAX_NODES, MAX_EDGES)
    most = _size_limit.get() or most
    if nodes > most[0] or edges > most[1]:
        raise ValueError(
            f"{nodes:,.0f} nodes and about {edges:,.0f} edges are too many; the most are "
            f"{most[0]:,} and {most[1]:,}"
        )


def is_limited() -> bool:
    """Whether the size of graphs is limited here, as in pages."""
    return _size_limit.get() is not None


_size_limit: ContextVar[tuple[int, int] | None] = ContextVar("size_limit", default=None)


@contextmanager
def size_limit(nodes: int, edges: int) -> Iterator[None]:
    """Within the block, refuse larger graphs by their parameters, before they are made.

    Parameters
    ----------
    nodes, edges : int
        The most nodes and edges, instead of the usual limits of ``check_size``.
    """
    token = _size_limit.set((nodes, edges))
    try:
        yield
    finally:
        _size_limit.reset(token)


def find_topology(text: str) -> Topology | None:
    """Return the topology whose name a string starts with, whatever is in parentheses, or None."""
    return _TOPOLOGIES.get(text.partition("(")[0].strip())


def read_topology(text: str, rng: random.Random, read: Reader | None = None) -> Graph:
    """Return the graph that a topology string stands for. Never touches a file by itself.

    Parameters
    ----------
    text : str
        A name, and perhaps parameters: ``"watts_strogatz(n=24, k=4, p=0.1)"``.
    rng : random.Random
        Where the draws come from; the same string and state give the same graph.
    read : callable, optional
        Reads a graph within the string, such as the one that is rewired; by default as a topology,
        never as a file.

    Returns
    -------
    networkx.Graph or scipy.sparse.csr_array
        The graph.

    Raises
    ------
    TopologyError
        If the string is not a known name with fitting parameters.
    """
    call = parse(text)
    if call.name not in _TOPOLOGIES:
        close = difflib.get_close_matches(call.name.lower().replace("-", "_"), _TOPOLOGIES, n=1)
        suggestion = f"Did you mean {_TOPOLOGIES[close[0]].signature}? " if close else ""
        raise TopologyError(
            "graph",
            text,
            f"no topology is called {cut(call.name)}",
            f"{suggestion}Known are {_listed(sorted(_TOPOLOGIES))}, and the paths of graph files.",
        )
    return _TOPOLOGIES[call.name]._make(rng, call.args, call.kwargs, read or read_topology)


def _described(
    function: Callable[..., Any],
    example: str,
    connect_by: str,
    ranges: Mapping[str, tuple[Any, ...]],
) -> Topology:
    name = function.__name__
    signature = inspect.signature(function).parameters
    numbers = {key: it.default for key, it in signature.items() if key != "rng"}
    try:
        if ranges.keys() - numbers.keys():
            raise ValueError(f"it has no {_listed(sorted(ranges.keys() - numbers.keys()))}")
        parameters = {
            key: _parameter(key, default, ranges.get(key)) for key, default in numbers.items()
        }
        made = Topology(
            name=name,
            summary=(inspect.getdoc(function) or "").partition("\n")[0],
            parameters=MappingProxyType(parameters),
            example=example,
            function=function,
            takes_rng="rng" in signature,
            connect_by=connect_by,
        )
        call = parse(example)
        if call.name != name or not name.isidentifier():
            raise ValueError(f"its example is {shown(example)}")
        made.read(call.args, call.kwargs)
    except ValueError as error:
        raise TopologyError(
            "topology",
            function,
            f"{shown(name)} cannot be used by name: {error}",
            "Give an example, and every parameter a default: a number, ints or a topology.",
        ) from error
    return made


def _parameter(name: str, default: object, bounds: tuple[Any, ...] | None) -> Parameter:
    default = tuple(default) if isinstance(default, list) else default
    if isinstance(default, str):
        if not bounds and find_topology(default) is None:
            raise ValueError(f"the default of {name} is not a topology, and no words are given")
        parameter = Parameter(name, default, -math.inf, math.inf, bounds or ())
        parameter.read(default)
        return parameter
    if isinstance(default, bool) or not isinstance(default, (int, float, tuple)):
        raise ValueError(f"the default of {name} is not a number")
    unbounded = (-math.inf, math.inf) if isinstance(default, float) else (0, MAX_NODES)
    parameter = Parameter(name, default, *(bounds or unbounded))
    parameter.read(default)
    return parameter


def _is_number(item: object, whole: bool) -> bool:
    if isinstance(item, bool) or not isinstance(item, int if whole else (int, float)):
        return False
    return not isinstance(item, float) or math.isfinite(item)


def _listed(names: list[str]) -> str:
    return ", ".join(names) if names else "none"


# Templates

_MOST_STRETCHED = 4
"""How many times longer than wide the grid of a template may be."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_FORM = re.compile(r"\s*(size|rows|columns)\s*(?:([-+*/])\s*(\d{1,9})\s*)?")
_REMEDY = "Write {size}, {rows} or {columns}, alone or with one operation, such as {size / 2}."


def is_open(graph: Any) -> bool:
    """Return whether a ``graph=`` argument is a template, with a size to be filled in."""
    return isinstance(graph, str) and "{" in graph


def fill(graph: Any, size: Any) -> str:
    """Return a template with ``size`` agents filled in.

    ``{rows}`` and ``{columns}`` are the sides of the grid of that many nodes that is nearest to a
    square. Raises ``SpecError`` for a size that gives no whole number, or no grid.
    """
    if not is_open(graph):
        raise SpecError(
            "size",
            size,
            f"there is nothing to fill in in the graph {shown(graph)}",
            'Write "ring(n={size})" or the like, or leave size out.',
        )
    if size is None:
        raise SpecError("size", size, f"{shown(graph)} needs one", "Give size, or write a number.")
    number = read_whole("size", size, limits.SPARSE_NODES)
    return _PLACE.sub(lambda found: str(_value(found[1], number)), graph)


def sides(size: int) -> tuple[int, int]:
    """Return rows and columns of the grid of ``size`` nodes that is nearest to a square."""
    rows = _rows(size)
    if size > _MOST_STRETCHED * rows * rows:
        near = [
            other
            for other in range(max(4, size - 6), size + 7)
            if other <= _MOST_STRETCHED * _rows(other) ** 2
        ]
        raise SpecError(
            "size",
            size,
            f"the only grid of {size} nodes is {rows} by {size // rows}",
            f"Use {', '.join(map(str, near))} or the like.",
        )
    return rows, size // rows


def _rows(size: int) -> int:
    return next(rows for rows in range(math.isqrt(size), 0, -1) if size % rows == 0)


def _value(form: str, size: int) -> int:
    found = _FORM.fullmatch(form)
    if found is None:
        raise SpecError("graph", f"{{{form}}}", f"cannot read {{{form}}}", _REMEDY)
    value = size if found[1] == "size" else sides(size)[found[1] == "columns"]
    if found[2] is None:
        return value
    other = int(found[3])
    if found[2] == "/":
        if not other or value % other:
            raise SpecError(
                "size",
                size,
                f"{{{form}}} is not a whole number for {size}",
                "Use another size.",
            )
        return value // other
    return {"+": value + other, "-": value - other, "*": value * other}[found[2]]
