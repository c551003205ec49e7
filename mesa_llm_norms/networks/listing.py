"""What files that name their nodes and edges have in common, such as GraphML, JSON and Pajek."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from mesa_llm_norms.errors import some
from mesa_llm_norms.networks.columns import NONE, Options, weight_name
from mesa_llm_norms.networks.tables import check_count, directions, numbers, whole_ids
from mesa_llm_norms.networks.validation import EdgeTable, UnreadableError, option_remedy


class Listing:
    """The nodes and edges found in a file, in its order."""

    def __init__(self) -> None:
        self.index: dict[Hashable, int] = {}
        self.labels: dict[Hashable, Any] = {}
        self.ends: list[tuple[Any, Any]] = []
        self.kinds: list[str] = []
        self.weights: dict[str, dict[int, Any]] = {}
        self.ignored: dict[str, None] = {}
        self.positions: dict[Hashable, Any] = {}
        self.notes: list[str] = []
        self.says = True
        """Whether the file says anything about directions."""

    def add_node(self, node: Any, label: Any = None) -> None:
        """Add a node, with its label if it has one."""
        if node is None:
            raise UnreadableError(f"node {len(self.index) + 1} has no id")
        if node in self.index:
            raise UnreadableError(f"the node {node!r} is listed twice")
        self.index[node] = len(self.index)
        if label is not None:
            self.labels[node] = label

    def add_edge(self, source: Any, target: Any, kind: str, attributes: Mapping[str, Any]) -> None:
        """Add an edge of a kind that ``directions`` knows, with its attributes by name."""
        if source is None or target is None:
            raise UnreadableError(
                f"edge {len(self.ends) + 1} has no {'source' if source is None else 'target'}"
            )
        for name, value in attributes.items():
            self.weights.setdefault(name, {})[len(self.ends)] = value
        self.ends.append((source, target))
        self.kinds.append(kind)

    def table(self, options: Options, *, whole: bool = True) -> EdgeTable:
        """Return the edges; ids as ints if ``whole`` and all of them are whole numbers."""
        unlisted = [end for ends in self.ends for end in ends if end not in self.index]
        if unlisted:
            raise UnreadableError(
                f"edges lead to nodes that are not listed: {some(list(dict.fromkeys(unlisted)))}",
                "List them, or correct the ends of the edges.",
            )
        check_count(len(self.index), len(self.ends))
        name = self._weight_name(options)
        weights = None
        if name is not None:
            values = self.weights[name]
            weights = numbers(
                [values.get(place) for place in range(len(self.ends))],
                lambda place: "the edge from {!r} to {!r}".format(*self.ends[place]),
            )
        pairs = [(self.index[u], self.index[v]) for u, v in self.ends]
        ends = np.array(pairs, np.int64).reshape(-1, 2)
        directed = bool(options.get("directed", False))
        if self.kinds and (self.says or "directed" not in options):
            ends, weights, directed = directions(ends, weights, self.kinds, options)
        nodes: Iterable[Any] = self._named() if options.get("nodes") == "label" else self.index
        return EdgeTable(
            nodes=whole_ids(nodes) if whole else list(nodes),
            ends=ends,
            weights=weights,
            directed=directed,
            weight_name=name if name is not None and weights is not None else "",
            positions=self.positions,
            ignored=[it for it in (*self.weights, *self.ignored) if it != name],
            notes=self.notes,
        )

    def _weight_name(self, options: Options) -> str | None:
        name = weight_name(self.weights, options)
        if name is None and options.get("weight", NONE) != NONE:
            raise UnreadableError(
                f"no edge has the attribute {options['weight']!r}",
                f"Edges have {some(list(self.weights)) or 'no attributes'}.",
            )
        return name

    def _named(self) -> Iterable[Any]:
        unnamed = [node for node in self.index if node not in self.labels]
        if unnamed:
            raise UnreadableError(f"nodes have no label: {some(unnamed)}", "Leave out nodes=label.")
        names = list(self.labels.values())
        if len(set(names)) < len(names):
            twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
            raise UnreadableError(
                f"nodes have the same label: {some(twice)}", "Leave out nodes=label."
            )
        return names


def direction(directed: bool) -> str:
    """Return the kind of an edge that has a direction, or has none."""
    return "directed" if directed else "undirected"


def choose(graphs: Sequence[Any], options: Options) -> Any:
    """Return the graph of a file that may hold several."""
    wanted = options.get("graph", 1)
    if len(graphs) > 1 and "graph" not in options:
        raise UnreadableError(
            f"it holds more than one graph ({len(graphs)})",
            option_remedy("graph=1", what=f"or up to {len(graphs)}"),
        )
    if not 1 <= wanted <= len(graphs):
        raise UnreadableError(f"it holds {len(graphs)} graphs", "Choose one of them with graph=.")
    return graphs[wanted - 1]
