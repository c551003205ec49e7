"""Where committed agents sit: so many anywhere, on hubs, on the periphery, close together."""

from __future__ import annotations

import math
import random
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from mesa_llm_norms.errors import SpecError, some
from mesa_llm_norms.networks.adjacency import Neighbors

PLACEMENTS = ("random", "hubs", "periphery", "cluster")


def read_committed(committed: Any) -> dict[str, Any]:
    """Return who is committed, by name; ``SpecError`` for what is no mapping. None is nobody."""
    if committed is None:
        return {}
    if not isinstance(committed, Mapping):
        raise _bad(committed)
    return dict(committed)


def place_committed(
    committed: Mapping[str, Any], neighbors: Neighbors, chance: random.Random
) -> dict[int, str]:
    """Return the places of committed agents in ``neighbors.nodes``, and the name of each.

    ``committed`` gives for a name a count, a share of all agents (a number with a decimal point,
    from 0.0 to 1.0), either of them with a placement, such as ``(5, "hubs")``, or the nodes. Nodes
    are taken first, then counts and shares in the order given; half an agent is rounded up, and
    shares that add up to 1.0 are everybody. ``hubs`` are the nodes of highest
    degree, ``periphery`` those of lowest, equals in random order; a ``cluster`` is a random node
    and those nearest to it.
    """
    taken: dict[int, str] = {}
    shares = 0.0
    for name, where in sorted(committed.items(), key=lambda item: _is_amount(item[1])):
        before, shares = shares, shares + _share(where)
        for place in _places(where, neighbors, taken, chance, (before, shares)):
            if place in taken:
                node = neighbors.nodes[place]
                raise SpecError(
                    "committed",
                    node,
                    f"node {node!r} is committed to both {taken[place]!r} and {name!r}",
                    "List every node under one name.",
                )
            taken[place] = name
    return taken


def describe_committed(committed: Mapping[str, Any]) -> dict[str, Any]:
    """Return who is committed as plain data, for a file."""
    return {name: _plain(where) for name, where in committed.items()}


def _places(
    where: Any,
    neighbors: Neighbors,
    taken: Mapping[int, str],
    chance: random.Random,
    shares: tuple[float, float],
) -> list[int]:
    if isinstance(where, np.ndarray):
        where = where.tolist()
    if not _is_amount(where):
        return _named(where, neighbors)
    amount, placement = where if isinstance(where, tuple) else (where, "random")
    free = [place for place in range(len(neighbors)) if place not in taken]
    size = len(neighbors)
    if not _is_share(amount):
        count = amount
    elif 0 <= amount <= 1:
        low, high = (math.floor(share * size + 0.5) for share in shares)
        count = high - low
    else:
        count = -1
    if not 0 <= count <= len(free):
        raise SpecError(
            "committed",
            where,
            f"{amount} of {size} agents cannot be committed, {len(taken)} being so already",
            f"Use 0 to {len(free)}, or a share from 0.0 to 1.0; all shares together at most 1.",
        )
    chance.shuffle(free)
    if placement == "cluster":
        return _cluster(neighbors, free, count)
    if placement != "random":
        degrees = neighbors.degrees.tolist()
        free.sort(key=lambda place: degrees[place], reverse=placement == "hubs")
    return free[:count]


def _share(where: Any) -> float:
    """Return the share of all agents that is asked for, 0 where that is not how it is said."""
    amount = where[0] if _is_amount(where) and isinstance(where, tuple) else where
    return float(amount) if _is_share(amount) and 0 <= amount <= 1 else 0.0


def _named(where: Any, neighbors: Neighbors) -> list[int]:
    if (
        isinstance(where, (str, bytes))
        or not isinstance(where, Sequence | set | frozenset)
        or (isinstance(where, tuple) and _names_a_placement(where, neighbors))
    ):
        raise _bad(where)
    strangers = [node for node in where if not _is_node(node, neighbors)]
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


def _names_a_placement(where: tuple[Any, ...], neighbors: Neighbors) -> bool:
    """Whether ``where`` looks like a count and a placement, though the placement is unknown."""
    return len(where) == 2 and isinstance(where[1], str) and where[1] not in neighbors.index


def _is_amount(where: Any) -> bool:
    """Whether ``where`` is a count or a share, perhaps with a placement, and not nodes."""
    if isinstance(where, tuple) and len(where) == 2 and _is_placement(where[1]):
        where = where[0]
    return _is_share(where) or (
        isinstance(where, (int, np.integer)) and not isinstance(where, bool)
    )


def _is_placement(where: Any) -> bool:
    return isinstance(where, str) and where in PLACEMENTS


def _is_share(amount: Hashable) -> bool:
    return isinstance(amount, (float, np.floating))


def _cluster(neighbors: Neighbors, free: Sequence[int], count: int) -> list[int]:
    """Return ``count`` free places, nearest to the first first; elsewhere when no more are near."""
    if neighbors.is_complete:
        return list(free[:count])
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


def _plain(where: Any) -> Any:
    if _is_amount(where) and not isinstance(where, tuple):
        return float(where) if _is_share(where) else int(where)
    return [node if isinstance(node, (int, float)) else str(node) for node in where]


def _bad(value: Any) -> SpecError:
    return SpecError(
        "committed",
        value,
        f"{value!r} does not say who is committed",
        'Use {"M": 5}, {"M": 0.1}, {"M": (5, "hubs")} or {"M": [nodes]}; placements are '
        + ", ".join(PLACEMENTS)
        + ".",
    )
