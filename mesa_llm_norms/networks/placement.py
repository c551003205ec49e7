"""Which nodes are committed: random ones, hubs, the periphery, or a cluster of nearby ones."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

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
    share = 0.0
    in_order = sorted(committed.items(), key=lambda item: _read_amount(item[1]) is not None)
    for name, where in in_order:
        amount = _read_amount(where)
        if amount is None:
            places = _listed(where, neighbors)
        else:
            before, number = share, amount[0]
            if isinstance(number, float):
                share += number if 0 <= number <= 1 else 0.0
            free = [place for place in range(len(neighbors)) if place not in taken]
            count = _count(number, len(neighbors), before, share)
            if not 0 <= count <= len(free):
                raise SpecError(
                    "committed",
                    where,
                    f"{shown(number)} of {len(neighbors)} agents cannot be committed "
                    f"({len(taken)} already committed)",
                    f"Use 0 to {len(free)}, or a share from 0.0 to 1.0; all shares together at "
                    "most 1.",
                )
            rng.shuffle(free)
            places = _placed(neighbors, free, count, amount[1])
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
    if placement in ("hubs", "periphery"):
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
