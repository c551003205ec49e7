"""Which agents are committed: how many, where they sit, how firmly, and for how long."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.limits import choose, read_number, read_percentage, read_whole
from mesa_llm_norms.errors import SpecError, shown, some
from mesa_llm_norms.networks.adjacency import Neighbors

PLACEMENTS = (
    *("random", "hubs", "periphery", "cluster"),
    *("betweenness", "eigenvector", "k-core", "bridges", "block"),
)

AGENTS, PLACEMENT, NOISE, UNTIL = KEYS = ("agents", "placement", "noise", "until")
"""What a mapping that says who is committed may hold."""


def read_committed(committed: Any) -> dict[str, Any]:
    """Return who is committed, by name; None is nobody.

    Parameters
    ----------
    committed : mapping or None
        Name to how many agents, and where (see ``place_committed``); or to a mapping of ``agents``
        and, as far as wanted, ``placement``, ``noise`` (the chance from 0.0 to 1.0 that a committed
        agent plays another name, default 0) and ``until`` (the population round, from 1, from which
        on it is not committed any more; default never).

    Returns
    -------
    dict
        The same with percentages as shares, and mappings only where there is noise or an end.

    Raises
    ------
    SpecError
        For what says nothing of the kind.
    """
    if committed is None:
        return {}
    if not isinstance(committed, Mapping):
        raise _unreadable(committed)
    return {name: _read_one(where) for name, where in committed.items()}


def _read_one(where: Any) -> Any:
    if not isinstance(where, Mapping):
        return _read_share(where)
    unknown = [key for key in where if key not in KEYS]
    if unknown or AGENTS not in where or isinstance(where[AGENTS], Mapping):
        raise _unreadable(where, f"{some(unknown)} is not known here" if unknown else "")
    agents = _read_share(where[AGENTS])
    if PLACEMENT in where:
        (placement,) = choose(PLACEMENT, (where[PLACEMENT],), PLACEMENTS)
        if _read_amount(agents) is None or isinstance(agents, tuple):
            raise _unreadable(where, "a placement is for a number or a share of agents")
        agents = (agents, placement)
    noise = read_number(NOISE, read_percentage(where.get(NOISE, 0.0)), limits.SHARE)
    how = {NOISE: float(noise)} if noise else {}
    if where.get(UNTIL) is not None:
        how[UNTIL] = read_whole(UNTIL, where[UNTIL], limits.FLIPPING_ROUNDS)
    return {AGENTS: agents, **how} if how else agents


def _read_share(where: Any) -> Any:
    pair = isinstance(where, tuple) and len(where) == 2 and isinstance(where[1], str)
    if pair and where[1] not in PLACEMENTS:
        return where
    return (read_percentage(where[0]), where[1]) if pair else read_percentage(where)


_AMOUNT = r"(?:\d{1,9}%?|\d{0,9}\.\d{1,9}%?)"

_COMMITTED = re.compile(
    rf"(?P<name>.+?)=(?:(?P<amount>{_AMOUNT})(?::(?P<placement>[a-z][\w-]*))??|\[(?P<nodes>.*)\])"
    rf"(?P<how>(?::(?:noise={_AMOUNT}|until=\d{{1,9}}))*)"
)

Nodes: TypeAlias = Callable[[], Mapping[str, Hashable]]
"""Returns the nodes of the graph by their text."""


def parse_committed(given: Sequence[str], nodes: Nodes) -> dict[str, Any]:
    """Return a ``committed=`` argument from texts.

    Parameters
    ----------
    given : sequence of str
        ``NAME=5`` agents, ``NAME=10%`` or ``NAME=0.1`` of them, either with a placement as in
        ``NAME=5:hubs``, or ``NAME=[NODE,...]``; nodes that hold a comma are quoted. After these,
        ``:noise=0.1`` or ``:noise=10%``, and ``:until=20``.
    nodes : callable
        Returns the nodes of the graph by their text; called if nodes are named.

    Raises
    ------
    SpecError
        If a text is none of these, or a name is there twice.
    """
    committed: dict[str, Any] = {}
    for text in given:
        found = _COMMITTED.fullmatch(text)
        if found is None or (found["placement"] and found["placement"] not in PLACEMENTS):
            raise SpecError(
                "committed",
                text,
                f"{shown(text)} does not say who is committed",
                "Write M=5, M=10%, M=5:hubs, M=[0,1,2] or M=5:hubs:noise=10%:until=20; placements "
                f"are {', '.join(PLACEMENTS)}.",
            )
        name = found["name"]
        if name in committed:
            raise SpecError(
                "committed", text, f"{shown(name)} is given twice", "Give each name once."
            )
        if found["nodes"] is not None:
            known = nodes()
            committed[name] = [known.get(node, node) for node in _split(found["nodes"])]
        else:
            amount = _amount(found["amount"])
            committed[name] = (amount, found["placement"]) if found["placement"] else amount
        if found["how"]:
            how = dict(part.split("=") for part in found["how"][1:].split(":"))
            read = {key: _amount(it) if key == NOISE else int(it) for key, it in how.items()}
            committed[name] = {AGENTS: committed[name], **read}
    return committed


def _amount(text: str) -> int | float:
    """Return a count, or a share where there is a decimal point or a percent sign."""
    share = read_percentage(text)
    if share is not text:
        return float(share)
    return float(text) if "." in text else int(text)


def _split(text: str) -> list[str]:
    """Return the nodes between the brackets, quoted where they hold a comma."""
    try:
        items = json.loads(f"[{text}]")
    except (ValueError, RecursionError):
        items = [item.strip().strip("'\"") for item in text.split(",")]
    return [item if isinstance(item, str) else json.dumps(item) for item in items]


class Commitment(NamedTuple):
    """How firmly agents are committed: the chance of another name, and until which round."""

    noise: float = 0.0
    until: int | None = None

    @classmethod
    def of(cls, where: Any) -> Commitment:
        """Return how firm a value that ``read_committed`` has returned says agents are."""
        if not isinstance(where, Mapping):
            return cls()
        return cls(where.get(NOISE, 0.0), where.get(UNTIL))

    @property
    def words(self) -> str:
        """What differs from always and for ever, as it is typed: ``:noise=0.1:until=20``."""
        noise = f":{NOISE}={self.noise:g}" if self.noise else ""
        return noise + (f":{UNTIL}={self.until}" if self.until is not None else "")


def whereabouts(where: Any) -> Any:
    """Return how many agents there are and where, or the nodes, without how firm they are."""
    return where[AGENTS] if isinstance(where, Mapping) else where


def needs_blocks(committed: Mapping[str, Any]) -> bool:
    """Return whether the blocks of nodes matter to where committed agents sit."""
    places = (whereabouts(where) for where in committed.values())
    return any(isinstance(it, tuple) and it[-1:] in (("block",), ("bridges",)) for it in places)


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
        placement, such as ``(5, "hubs")``, or the nodes themselves; or to a mapping of these, see
        ``read_committed``. Placements look at edges without weights and, apart from degrees,
        directions. Equals are taken in random order:

        - ``random``;
        - ``hubs``, the nodes of highest degree, and ``periphery``, those of lowest;
        - ``cluster``, a random node and those nearest to it;
        - ``betweenness``, those on most shortest paths between others (Freeman 1977; Brandes 2001),
          estimated from evenly spaced sources where nodes times neighbors are over 400 million;
        - ``eigenvector``, those with the largest eigenvector centrality (Bonacich 1972);
        - ``k-core``, those of the innermost core (Seidman 1983);
        - ``bridges``, those with most edges into other blocks if every node has a ``block``, and
          else with most local bridges, edges whose ends share no neighbor (Granovetter 1973);
        - ``block``, a random block, then another, if every node has a ``block``; else a random node
          and, again and again, the one joined most closely to those taken: an edge to one of them
          counts once, and once more for each neighbor that its ends share.
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

    References
    ----------
    L. C. Freeman, Sociometry 40, 35 (1977). U. Brandes, J. Math. Sociol. 25, 163 (2001).
    P. Bonacich, J. Math. Sociol. 2, 113 (1972). S. B. Seidman, Soc. Networks 5, 269 (1983).
    M. S. Granovetter, Am. J. Sociol. 78, 1360 (1973).
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
        nodes). None for clusters on directed networks, which have to be found one by one.
    """
    first = networks[0]
    row = np.full(len(first), -1, np.int64)
    number = {name: place for place, name in enumerate(committed)}
    drawn, keys, places = [], [], load("places")
    same = all(one is first for one in networks)
    different = networks[:1] if same else networks
    for name, where, count, placement in _in_order(committed, len(first)):
        if placement is None:
            row[_listed(where, first)] = number[name]
            continue
        if placement == "cluster" and any(one.directed for one in networks):
            return None
        drawn.append((number[name], count, _how(placement, first)))
        keys.append([_keys(placement, one) for one in different])
    taken = np.repeat(row[None, :], len(seeds), axis=0)
    if drawn:
        spreading = any(how in (places.CLUSTER, places.BLOCK) for *_, how in drawn)
        edges = [one.undirected for one in (different if spreading else different[:1])]
        entries = np.cumsum([0, *(len(indices) for _, indices in edges)])
        starts = np.array([indptr + at for (indptr, _), at in zip(edges, entries, strict=False)])
        indices = np.concatenate([indices for _, indices in edges])
        given = np.array(seeds, np.uint64), np.array(drawn, np.int64), np.array(keys, np.int64)
        places.place(*given, starts, indices.astype(np.int32), taken)
    return taken


def shuffled(size: int, seeds: Sequence[int]) -> NDArray[np.int64]:
    """Return ``range(size)`` as ``random.Random`` of each seed shuffles it: shape (seeds, size)."""
    orders = np.repeat(np.arange(size)[None, :], len(seeds), axis=0)
    load("small_graphs").shuffle_rows(np.array(seeds, np.uint64), orders)
    return orders


def _how(placement: str, neighbors: Neighbors) -> int:
    """Return how compiled code takes places."""
    places = load("places")
    if placement == "cluster" and not neighbors.is_complete:
        return int(places.CLUSTER)
    if placement == "block":
        return int(places.BLOCK if neighbors.blocks is None else places.GROUPS)
    return int(places.BY_KEY)


def _keys(placement: str, neighbors: Neighbors) -> NDArray[np.int64]:
    """Return for every node what it is sorted by, lowest first, or its block."""
    if placement in ("hubs", "periphery"):
        return neighbors.degrees * (-1 if placement == "hubs" else 1)
    if placement == "block" and neighbors.blocks is not None:
        return neighbors.blocks
    indptr, indices = neighbors.undirected
    if placement == "bridges" and neighbors.blocks is not None:
        tails = np.repeat(np.arange(len(neighbors)), np.diff(indptr))
        across = neighbors.blocks[tails] != neighbors.blocks[indices]
        return -np.bincount(tails[across], minlength=len(neighbors))
    measure = _MEASURES.get(placement)
    if measure is None:
        return np.zeros(len(neighbors), np.int64)
    keys: NDArray[np.int64] = getattr(load("places"), measure)(indptr, indices)
    return keys


_MEASURES = {
    "betweenness": "betweenness",
    "eigenvector": "eigenvector",
    "k-core": "cores",
    "bridges": "bridges",
}
"""Placements by a measure that is worked out in compiled code, and the function that does."""


class _Item(NamedTuple):
    """Who is committed to a name: so many agents there, or, with no placement, those listed."""

    name: str
    where: Any
    agents: int
    placement: str | None


def _in_order(committed: Mapping[str, Any], size: int) -> Iterator[_Item]:
    """Yield those listed, then counts and shares of so many agents; -1 for no valid amount."""
    places = {name: whereabouts(where) for name, where in committed.items()}
    amounts = {name: _read_amount(where) for name, where in places.items()}
    share = 0.0
    for name, amount in sorted(amounts.items(), key=lambda item: item[1] is not None):
        if amount is None:
            yield _Item(name, places[name], 0, None)
            continue
        number, placement = amount
        before = share
        if isinstance(number, float):
            share += number if 0 <= number <= 1 else 0.0
        yield _Item(name, places[name], _count(number, size, before, share), placement)


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
    if placement == "random" or (placement == "cluster" and neighbors.is_complete):
        return free[:count]
    if placement == "block":
        left = np.array(free, np.int64)
        if neighbors.blocks is None:
            load("places").grow(*neighbors.undirected, left, count)
        else:
            load("places").by_group(neighbors.blocks, left, count)
        return list(map(int, left[:count]))
    if placement != "cluster":
        return sorted(free, key=_keys(placement, neighbors).tolist().__getitem__)[:count]
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


def _unreadable(value: Any, problem: str = "") -> SpecError:
    return SpecError(
        "committed",
        value,
        problem or f"{shown(value)} does not say who is committed",
        'Use {"M": 5}, {"M": 0.1}, {"M": "10%"}, {"M": (5, "hubs")}, {"M": [nodes]} or {"M": '
        '{"agents": 5, "placement": "hubs", "noise": 0.1, "until": 20}}; placements are '
        + ", ".join(PLACEMENTS)
        + ".",
    )
