"""Which nodes are committed: random ones, hubs, the periphery, or a cluster of nearby ones."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.limits import read_percentage
from mesa_llm_norms.errors import SpecError, shown, some
from mesa_llm_norms.networks.adjacency import Neighbors

PLACEMENTS = ("random", "hubs", "periphery", "cluster")


def read_committed(committed: Any) -> dict[str, Any]:
    """Return who is committed, by name, percentages as shares; None is nobody.

    Raises ``SpecError`` for what is not a mapping.
    """
    if committed is None:
        return {}
    if not isinstance(committed, Mapping):
        raise _unreadable(committed)
    return {name: _read_share(where) for name, where in committed.items()}


def _read_share(where: Any) -> Any:
    pair = isinstance(where, tuple) and len(where) == 2 and isinstance(where[1], str)
    if pair and where[1] not in PLACEMENTS:
        return where
    return (read_percentage(where[0]), where[1]) if pair else read_percentage(where)


def place_committed(
    committed: Mapping[str, Any], neighbors: Neighbors, rng: random.Random
) -> dict[int, str]:
    """Return which nodes are committed, and to which name.

    Nodes that are listed are taken first, then counts and shares in the order given. Half an agent
    is rounded up, and shares that add up to 1.0 are everybody.

    Parameters
    ----------
    committed : mapping
        Name to a count (int), a share of all agents (float from 0.0 to 1.0), either of them with a
        placement, such as ``(5, "hubs")``, or the nodes themselves. Placements are ``random``;
        ``hubs``, the nodes of highest degree, and ``periphery``, those of lowest, equals in random
        order; and ``cluster``, a random node and those nearest to it.
    neighbors : Neighbors
        The graph.
    rng : random.Random
        Where the draws come from.

    Returns
    -------
    dict
        Index in ``neighbors.nodes`` to name.

    Raises
    ------
    SpecError
        If a value says nothing of the kind, nodes are unknown or committed twice, or there are too
        few agents.
    """
    taken: dict[int, str] = {}
    for name, where, count, placement in _in_order(committed, len(neighbors)):
        if placement is None:
            places = _listed(where, neighbors)
        else:
            free = [place for place in range(len(neighbors)) if place not in taken]
            if not 0 <= count <= len(free):
                amount = _read_amount(where)
                assert amount is not None
                raise SpecError(
                    "committed",
                    where,
                    f"{shown(amount[0])} of {len(neighbors)} agents cannot be committed "
                    f"({len(taken)} already committed)",
                    f"Use 0 to {len(free)}, or a share from 0.0 to 1.0; all shares together at "
                    "most 1.",
                )
            rng.shuffle(free)
            places = _placed(neighbors, free, count, placement)
        for place in places:
            if place in taken:
                node = neighbors.nodes[place]
                raise SpecError(
                    "committed",
                    node,
                    f"node {shown(node)} is committed to {some([taken[place], name])}",
                    "List every node under one name.",
                )
            taken[place] = name
    return taken


def place_together(
    committed: Mapping[str, Any], networks: Sequence[Neighbors], seeds: Sequence[int]
) -> NDArray[np.int64] | None:
    """Return which nodes are committed in several runs, as ``place_committed`` does for each.

    Parameters
    ----------
    committed : mapping
        What ``place_committed`` has read without an error on one of the networks.
    networks : sequence of Neighbors
        The graph of each run, all with the same nodes.
    seeds : sequence of int
        The seeds of the ``random.Random`` objects that ``place_committed`` would be given.

    Returns
    -------
    numpy.ndarray of int64, or None
        For each run and node the index of a name in ``committed``, -1 for none, of shape (runs,
        nodes). None for clusters, which have to be found network by network.
    """
    first = networks[0]
    row = np.full(len(first), -1, np.int64)
    number = {name: place for place, name in enumerate(committed)}
    drawn = []
    for name, where, count, placement in _in_order(committed, len(first)):
        if placement is None:
            row[_listed(where, first)] = number[name]
        elif placement == "cluster" and not all(one.is_complete for one in networks):
            return None
        else:
            drawn.append((number[name], count, _BY_DEGREE.get(placement, 0)))
    taken = np.repeat(row[None, :], len(seeds), axis=0)
    if drawn:
        degrees = np.zeros((1, len(first)), np.int64)
        if any(by_degree for *_, by_degree in drawn):
            same = all(one is first for one in networks)
            degrees = np.array([one.degrees for one in networks[: 1 if same else None]], np.int64)
        load("small_graphs").place(np.array(seeds, np.uint64), np.array(drawn), degrees, taken)
    return taken


def shuffled(size: int, seeds: Sequence[int]) -> NDArray[np.int64]:
    """Return ``range(size)`` as ``random.Random`` of each seed shuffles it: shape (seeds, size)."""
    orders = np.repeat(np.arange(size)[None, :], len(seeds), axis=0)
    load("small_graphs").shuffle_rows(np.array(seeds, np.uint64), orders)
    return orders


_BY_DEGREE = {"hubs": -1, "periphery": 1}
"""Placements by degree, and how degrees are sorted then."""


class _Item(NamedTuple):
    """Who is committed to a name: so many agents there, or, with no placement, those listed."""

    name: str
    where: Any
    agents: int
    placement: str | None


def _in_order(committed: Mapping[str, Any], size: int) -> Iterator[_Item]:
    """Yield those listed, then counts and shares of so many agents; -1 for no valid amount."""
    amounts = {name: _read_amount(where) for name, where in committed.items()}
    share = 0.0
    for name, amount in sorted(amounts.items(), key=lambda item: item[1] is not None):
        if amount is None:
            yield _Item(name, committed[name], 0, None)
            continue
        number, placement = amount
        before = share
        if isinstance(number, float):
            share += number if 0 <= number <= 1 else 0.0
        yield _Item(name, committed[name], _count(number, size, before, share), placement)


def _read_amount(where: Any) -> tuple[int | float, str] | None:
    """Return a count (int) or share (float) and its placement; None for nodes."""
    placement = "random"
    pair = isinstance(where, tuple) and len(where) == 2 and isinstance(where[1], str)
    if pair and where[1] in PLACEMENTS:
        where, placement = where
    if isinstance(where, (float, np.floating)):
        return float(where), placement
    if isinstance(where, (int, np.integer)) and not isinstance(where, bool):
        return int(where), placement
    return None


def _count(number: int | float, size: int, before: float, share: float) -> int:
    """Return how many agents a count or share is, given all shares before and with it; or -1."""
    if isinstance(number, int):
        return number
    if not 0 <= number <= 1:
        return -1
    return math.floor(share * size + 0.5) - math.floor(before * size + 0.5)


def _listed(where: Any, neighbors: Neighbors) -> list[int]:
    """Return the indices of nodes that are listed."""
    if isinstance(where, np.ndarray):
        where = where.tolist()
    names_placement = (
        isinstance(where, tuple)
        and len(where) == 2
        and isinstance(where[1], str)
        and where[1] not in neighbors.index
    )
    nodes = isinstance(where, Sequence | set | frozenset) and not isinstance(where, (str, bytes))
    if not nodes or names_placement:
        raise _unreadable(where)
    strangers = list(islice((node for node in where if not _is_node(node, neighbors)), 1_000))
    if strangers:
        raise SpecError(
            "committed",
            where,
            f"no node {some(strangers)} in the graph",
            "Name nodes of the graph.",
        )
    return sorted({neighbors.index[node] for node in where})


def _is_node(node: Any, neighbors: Neighbors) -> bool:
    try:
        return node in neighbors.index
    except TypeError:  # not hashable
        return False


def _placed(neighbors: Neighbors, free: list[int], count: int, placement: str) -> list[int]:
    """Return ``count`` of the free places, which are in random order."""
    if placement in _BY_DEGREE:
        degrees = neighbors.degrees.tolist()
        free.sort(key=lambda place: degrees[place], reverse=placement == "hubs")
    if placement != "cluster" or neighbors.is_complete:
        return free[:count]
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order

    size = len(neighbors)
    ones = np.ones(len(neighbors.indices), np.int8)
    graph = csr_array((ones, neighbors.indices, neighbors.indptr), shape=(size, size))
    allowed, found = set(free), dict[int, None]()
    for start in free:
        if len(found) >= count:
            break
        if start not in found:
            nearest = breadth_first_order(graph, start, directed=False, return_predecessors=False)
            found.update({place: None for place in nearest.tolist() if place in allowed})
    return list(found)[:count]


def _unreadable(value: Any) -> SpecError:
    return SpecError(
        "committed",
        value,
        f"{shown(value)} does not say who is committed",
        'Use {"M": 5}, {"M": 0.1}, {"M": "10%"}, {"M": (5, "hubs")} or {"M": [nodes]}; placements '
        "are " + ", ".join(PLACEMENTS) + ".",
    )
