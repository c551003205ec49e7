"""Random networks of many runs drawn at once: what each run would draw by itself.

Small ones are drawn in compiled code, with the chance of Python and as networkx draws them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.errors import TopologyError
from mesa_llm_norms.networks import generators
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.registry import (
    MAX_DRAWS,
    check_size,
    find_topology,
    is_limited,
)
from mesa_llm_norms.networks.strings import parse

MOST_TOGETHER = 256
"""Up to so many nodes, networks are drawn at once."""

_ROOM = 1 << 20
"""Neighbors that one call has room for, at least."""

_ORDERED = 4
"""Up to so many edges of a newcomer, their order in a Python set is known."""

_Kind = tuple[int, int, int, float, float, Sequence[int]]
"""Kind, nodes, degree, probability, the one across blocks, and the sizes of blocks."""


def draw_together(graph: Any, seeds: Sequence[int]) -> list[Neighbors] | None:
    """Return the networks that a topology draws from generators with these seeds, at once.

    Parameters
    ----------
    graph : object
        A topology.
    seeds : sequence of int
        The seeds of the ``random.Random`` objects that ``read_graph`` would be given.

    Returns
    -------
    list of Neighbors or None
        The same networks as ``read_graph`` draws; None where that has to draw them, for the
        topology is another, the networks are large, or one cannot be drawn.
    """
    kind = _read(graph)
    if kind is None:
        return None
    number, n, degree, p, across, sizes = kind
    blocks = np.repeat(np.arange(len(sizes)), np.array(sizes, np.int64))
    given = np.array(seeds, np.uint64)
    draw = _graphs().draw
    found: list[Neighbors] = []
    while len(found) < len(given):
        rest = given[len(found) :]
        indptr = np.zeros((len(rest), n + 1), np.int64)
        indices = np.zeros(max(n * n, min(_ROOM, len(rest) * n * n)), np.int32)
        drawn = draw(number, rest, degree, p, across, blocks, MAX_DRAWS, indptr, indices)
        if not drawn:
            return None
        for places in indptr[:drawn]:
            first, end = int(places[0]), int(places[-1])
            found.append(Neighbors.of_rows(places - first, indices[first:end].copy()))
            if sizes:
                found[-1].blocks = blocks
    return found


def complete_network(graph: Any) -> Neighbors | None:
    """Return the network of the topology ``complete``, without making a graph first.

    Parameters
    ----------
    graph : object
        A topology.

    Returns
    -------
    Neighbors or None
        The same network as that of ``read_graph``; None for any other topology, and where that has
        to say what is wrong.
    """
    kind = find_topology(graph) if isinstance(graph, str) else None
    if kind is None or kind.function is not generators.complete:
        return None
    call = parse(graph)
    try:
        n = int(kind.read(call.args, call.kwargs)["n"])  # type: ignore[arg-type]
        check_size(n, n * (n - 1) / 2)
    except (ValueError, TopologyError):
        return None
    others = np.broadcast_to(np.arange(n - 1, dtype=np.int32), (n, n - 1))
    others = others + (others >= np.arange(n, dtype=np.int32)[:, None])
    return Neighbors.of_rows(np.arange(n + 1) * (n - 1), others.ravel())


def _read(graph: Any) -> _Kind | None:
    """Return what is drawn, None where that is for ``read_graph``."""
    kind = find_topology(graph) if isinstance(graph, str) else None
    reader = None if kind is None else _READERS.get(kind.function)
    if kind is None or reader is None or is_limited():
        return None
    call = parse(graph)
    try:
        found = reader(**kind.read(call.args, call.kwargs))
    except ValueError:
        return None
    return found if found is not None and 2 <= found[1] <= MOST_TOGETHER else None


def _small_world(n: int, k: int, p: float) -> _Kind | None:
    return None if k >= n or k % 2 else (_graphs().SMALL_WORLD, n, k // 2, p, 0.0, ())


def _by_chance(n: int, p: float) -> _Kind | None:
    if generators.is_hopeless(n, p):
        return None
    return _graphs().CHANCE, n, 0, generators.possible(p), 0.0, ()


def _regular(n: int, d: int) -> _Kind | None:
    return None if d >= n or n * d % 2 else (_graphs().REGULAR, n, d, 0.0, 0.0, ())


def _grown(n: int, m: int) -> _Kind | None:
    return None if m >= n or m > _ORDERED else (_graphs().GROWN, n, m, 0.0, 0.0, ())


def _blocks(sizes: tuple[int, ...], p_in: float, p_out: float) -> _Kind:
    inside, across = generators.possible(p_in), generators.possible(p_out)
    return _graphs().BLOCKS, sum(sizes), 0, inside, across, sizes


def _graphs() -> Any:
    return load("small_graphs")


_READERS: Mapping[Callable[..., Any], Callable[..., _Kind | None]] = {
    generators.watts_strogatz: _small_world,
    generators.erdos_renyi: _by_chance,
    generators.random_regular: _regular,
    generators.barabasi_albert: _grown,
    generators.stochastic_block: _blocks,
}
