"""Conventions by community: which name leads in each part of a network, and how far."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.draws import read_seed
from mesa_llm_norms.errors import SpecError, some
from mesa_llm_norms.statistics.edges import Edges


class Community(NamedTuple):
    """Nodes that belong together, and what they are called."""

    label: Hashable
    nodes: tuple[Any, ...]


@dataclass(frozen=True)
class CommunityConventions:
    """Which conventions the communities of a network hold.

    ``table`` has one row per community: community (its label), size (agents), players (those who
    have played), convention (the name most of them hold), share (of the players, those holding
    it), entropy (of the names held, in bits), tied (whether another name has as many), agreement
    (share of the edges inside it whose ends hold the same name). Without players the convention is
    None and the numbers are nan.

    ``conventions`` is how many different names lead somewhere; ``within`` and ``between`` are the
    share of agreeing edges inside communities and across two; nan where there are no such edges.
    Edges with an end that has not played, or that is in no community, do not count.
    """

    table: pd.DataFrame
    conventions: int
    within: float
    between: float


def read_communities(graph: Any, by: Any = None, rng: Any = 0) -> list[Community]:
    """Return the communities of a network.

    ``by`` is the name of a node attribute, such as "block" of ``stochastic_block`` or "club" of the
    karate club (communities in the order of the graph); a list of sets of nodes, or ``{label:
    nodes}``, which need not cover the graph; or None, for those that the Louvain method finds on
    the graph without directions and weights (Blondel et al., J. Stat. Mech. P10008, 2008; largest
    first, ``rng`` its seed).

    Raises ``SpecError`` for an attribute some nodes lack, and for sets that overlap, are empty, or
    have nodes which the graph does not.
    """
    if by is None:
        return _louvain(Edges.read(graph), rng)
    if isinstance(by, str):
        return _by_attribute(graph, by)
    edges = Edges.read(graph)
    labelled = by.items() if isinstance(by, Mapping) else enumerate(by if _lists(by) else ())
    found = [Community(label, tuple(nodes)) for label, nodes in labelled]
    known, taken = set(edges.nodes), set[Any]()
    for label, nodes in found:
        strange = [node for node in nodes if node not in known]
        if strange:
            raise SpecError("by", by, f"no such node: {some(strange)}", "Name nodes of the graph.")
        twice = [node for node in nodes if node in taken] or (
            list(nodes) if len(set(nodes)) < len(nodes) else []
        )
        if twice or not nodes:
            problem = f"more than once: {some(twice)}" if twice else f"{label!r} is empty"
            raise SpecError("by", by, problem, "Put every node in one community at most.")
        taken.update(nodes)
    if not found:
        raise SpecError("by", by, "no communities", "Give an attribute, sets of nodes, or None.")
    return found


def community_conventions(
    graph: Any, names: Any, by: Any = None, rng: Any = 0
) -> CommunityConventions:
    """Return the conventions of communities; ``by`` and ``rng`` as in ``read_communities``.

    ``graph`` and ``names`` are those of ``local_agreement``. Of names that as many players hold,
    the one held by more agents of the whole network leads, then the alphabetically earlier, so that
    ties do not make conventions look more different than they are.
    """
    communities = read_communities(graph, by, rng)
    edges = Edges.read(graph)
    held = edges.hold(names)
    place = {node: index for index, node in enumerate(edges.nodes)}
    member: NDArray[np.intp] = np.full(len(edges.nodes), -1, dtype=np.intp)
    for number, community in enumerate(communities):
        member[[place[node] for node in community.nodes]] = number
    kinds, codes = np.unique(held.codes, return_inverse=True)
    if len(kinds) and kinds[0] < 0:
        kinds, codes = kinds[1:], codes - 1
    labels = [held.name(kind) for kind in kinds.tolist()]
    everywhere = np.bincount(codes[codes >= 0], minlength=len(kinds))
    order = sorted(range(len(kinds)), key=lambda kind: (-everywhere[kind], labels[kind]))
    rank = np.empty(len(kinds), dtype=np.intp)
    rank[order] = np.arange(len(kinds))
    labels = [labels[kind] for kind in order]
    codes = np.where(codes >= 0, rank[codes], -1) if len(kinds) else codes

    a, b = codes[edges.first], codes[edges.second]
    spoken = (a >= 0) & (b >= 0)
    side, other = member[edges.first], member[edges.second]
    inside = spoken & (side == other) & (side >= 0)
    across = spoken & (side != other) & (side >= 0) & (other >= 0)
    count = len(communities)
    judged = np.bincount(side[inside], minlength=count)
    agreed = np.bincount(side[inside & (a == b)], minlength=count)

    by_community = codes[np.argsort(member, kind="stable")]
    ends = np.cumsum(np.bincount(member + 1, minlength=count + 1))
    rows = []
    for number, community in enumerate(communities):
        mine = by_community[ends[number] : ends[number + 1]]
        mine = mine[mine >= 0]
        counts = np.bincount(mine, minlength=1)
        leader = int(counts.argmax())
        shares = counts[counts > 0] / max(len(mine), 1)
        rows.append(
            (
                community.label,
                len(community.nodes),
                len(mine),
                labels[leader] if len(mine) else None,
                counts[leader] / len(mine) if len(mine) else math.nan,
                float(-(shares * np.log2(shares)).sum()) + 0.0 if len(mine) else math.nan,
                bool(len(mine) and (counts == counts[leader]).sum() > 1),
                agreed[number] / judged[number] if judged[number] else math.nan,
            )
        )
    columns = [
        "community",
        "size",
        "players",
        "convention",
        "share",
        "entropy",
        "tied",
        "agreement",
    ]
    table = pd.DataFrame(rows, columns=columns)
    # Kept as objects, or pandas would make a number of the None.
    table["convention"] = pd.Series([row[3] for row in rows], dtype=object)
    return CommunityConventions(
        table=table,
        conventions=len({row[3] for row in rows if row[2]}),
        within=_share(inside, a == b),
        between=_share(across, a == b),
    )


def _share(counted: NDArray[np.bool_], agree: NDArray[np.bool_]) -> float:
    total = np.count_nonzero(counted)
    return np.count_nonzero(counted & agree) / total if total else math.nan


def _lists(by: Any) -> bool:
    """Whether ``by`` lists collections of nodes."""
    return isinstance(by, Iterable) and all(
        isinstance(nodes, Iterable) and not isinstance(nodes, (str, bytes)) for nodes in by
    )


def _by_attribute(graph: Any, attribute: str) -> list[Community]:
    if not isinstance(graph, nx.Graph):
        raise SpecError(
            "by", attribute, "only a networkx graph has node attributes", "Give sets of nodes."
        )
    lacking = [node for node, data in graph.nodes(data=True) if attribute not in data]
    if lacking or not len(graph):
        raise SpecError(
            "by",
            attribute,
            f"no {attribute!r} on node {some(lacking)}",
            "Use an attribute that every node has, or by=None to find communities.",
        )
    found: dict[Hashable, list[Any]] = {}
    for node, label in graph.nodes(data=attribute):
        found.setdefault(label, []).append(node)
    return [Community(label, tuple(nodes)) for label, nodes in found.items()]


def _louvain(edges: Edges, rng: Any) -> list[Community]:
    plain: nx.Graph[int] = nx.Graph()
    plain.add_nodes_from(range(len(edges.nodes)))
    plain.add_edges_from(zip(edges.first.tolist(), edges.second.tolist(), strict=True))
    found = nx.community.louvain_communities(plain, weight=None, seed=read_seed(rng) % 2**32)
    parts = sorted((sorted(part) for part in found), key=lambda part: (-len(part), part[0]))
    return [
        Community(number, tuple(edges.nodes[index] for index in part))
        for number, part in enumerate(parts)
    ]
