"""Who is tied to whom and what each holds, as arrays: what every count on a network starts from."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.contacts import Contacts
from mesa_llm_norms.errors import SpecError, some

Indices = NDArray[np.intp]


class Held(NamedTuple):
    """The name each node holds: ``codes[i]`` for node i, -1 for an agent that has not played.

    ``names[code]`` is the name; None where names were given as codes, which then are the names.
    """

    codes: NDArray[np.integer[Any]]
    names: tuple[str, ...] | None

    def name(self, code: int) -> Hashable:
        """Return the name that a code stands for."""
        return int(code) if self.names is None else self.names[code]


@dataclass(frozen=True, eq=False, slots=True)
class Edges:
    """The edges of a network: edge e joins ``nodes[first[e]]`` and ``nodes[second[e]]``.

    Every tie is in it once: directions, weights, parallel edges and loops are left out. Reading a
    graph takes longer than counting on it, so read it once where many runs share it, with
    ``Edges.read``; every function here takes the result in the place of the graph.
    """

    nodes: Sequence[Any]
    first: Indices
    second: Indices

    def __len__(self) -> int:
        return len(self.first)

    @classmethod
    def read(cls, graph: Any) -> Edges:
        """Return the edges of a networkx graph, or of a square scipy sparse adjacency.

        The nodes of an adjacency are 0 to n - 1, and what is not zero in it is an edge. Raises
        ``SpecError`` for anything else.
        """
        if isinstance(graph, cls):
            return graph
        if isinstance(graph, nx.Graph):
            nodes = tuple(graph)
            place = {node: index for index, node in enumerate(nodes)}
            count = graph.number_of_edges()
            first = np.fromiter((place[u] for u, _ in graph.edges()), np.intp, count)
            second = np.fromiter((place[v] for _, v in graph.edges()), np.intp, count)
            simple = not graph.is_directed() and not graph.is_multigraph()
            return cls(nodes, *_once(first, second, len(nodes), known_unique=simple))
        matrix: Any = graph
        shape: tuple[int, ...] = matrix.shape if sparse.issparse(graph) else ()
        if len(shape) == 2 and shape[0] == shape[1]:
            entries = matrix.tocoo()
            tied = entries.data != 0
            rows, columns = (side[tied].astype(np.intp) for side in (entries.row, entries.col))
            return cls(range(shape[0]), *_once(rows, columns, shape[0]))
        raise SpecError(
            "graph",
            graph,
            f"{type(graph).__name__} is no network",
            "Give a networkx graph, or a square scipy sparse adjacency.",
        )

    @classmethod
    def of_contacts(cls, contacts: Contacts) -> Edges:
        """Return the edges of a graph that is already read as contacts."""
        first, second = contacts.tails.astype(np.intp), contacts.heads.astype(np.intp)
        unique = not contacts.directed
        return cls(contacts.nodes, *_once(first, second, len(contacts), known_unique=unique))

    def hold(self, names: Any) -> Held:
        """Return what each node holds, from ``{node: name or None}`` or an array of codes.

        A node that is not in the mapping has not played. An array has one whole number per node in
        their order, -1 for one that has not played. Raises ``SpecError`` for names on nodes that
        the network does not have, and for arrays of another shape or kind.
        """
        if isinstance(names, np.ndarray):
            if names.shape != (len(self.nodes),) or names.dtype.kind not in "iu":
                raise SpecError(
                    "names",
                    names,
                    f"{names.dtype} of shape {names.shape} for {len(self.nodes)} nodes",
                    "Give one whole number per node, -1 where nothing was played.",
                )
            if len(names) and names.min() < -1:
                raise SpecError("names", names, "numbers below -1", "Use -1 for no name.")
            return Held(names, None)
        if not isinstance(names, Mapping):
            raise SpecError(
                "names",
                names,
                f"{type(names).__name__} does not say who holds what",
                "Give {node: name or None}, or an array of whole numbers.",
            )
        found: dict[str, int] = {}
        present = 0
        codes = np.full(len(self.nodes), -1, dtype=np.intp)
        for index, node in enumerate(self.nodes):
            if node in names:
                present += 1
                name = names[node]
                if name is not None:
                    codes[index] = found.setdefault(name, len(found))
        if present < len(names):
            known = set(self.nodes)
            strange = [node for node in names if node not in known]
            raise SpecError("names", names, f"no such node: {some(strange)}", "Name nodes of it.")
        return Held(codes, tuple(found))


def _once(
    first: Indices, second: Indices, size: int, known_unique: bool = False
) -> tuple[Indices, Indices]:
    """Return every tie once, the way round it came first, without loops."""
    apart = first != second
    if not apart.all():
        first, second = first[apart], second[apart]
    if known_unique:
        return first, second
    keys = np.minimum(first, second) * size + np.maximum(first, second)
    kept = np.sort(np.unique(keys, return_index=True)[1])
    return first[kept], second[kept]
