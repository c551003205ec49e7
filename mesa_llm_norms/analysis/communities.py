"""Names that coexist: the conventions of communities, and metastable states of runs.

A community of a network may have its own convention. A metastable state is a stretch of a run in
which several names coexist and none gains.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mesa_llm_norms.analysis.agreement import Edges, plain_graph
from mesa_llm_norms.analysis.convergence import read_table
from mesa_llm_norms.analysis.intervals import Floats
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_seed, read_whole
from mesa_llm_norms.errors import SpecError, shown, some

LEAST = 20
SHARE = 0.1
TOLERANCE = 0.2
SMOOTH = 5

_ROUNDING = 1e-9
_PREFIX = "share_"


class Community(NamedTuple):
    """Nodes that belong together.

    Attributes
    ----------
    label : hashable
        What the community is called.
    nodes : tuple
        Its nodes.
    """

    label: Hashable
    nodes: tuple[Any, ...]


@dataclass(frozen=True)
class CommunityConventions:
    """Which conventions the communities of a network hold.

    Edges with an end that has not played, or that is in no community, do not count.

    Attributes
    ----------
    table : pandas.DataFrame
        One row per community. Columns: community (its label), size (agents), players (those who
        have played), convention (the name most players hold), share (of the players who hold it),
        entropy (of the names held, in bits), tied (whether another name has as many), agreement
        (the share of the edges inside it whose ends hold the same name). Without players the
        convention is None and the numbers are nan.
    conventions : int
        How many different names lead somewhere.
    within, between : float
        The share of agreeing edges inside communities, and across two; nan without such edges.
    """

    table: pd.DataFrame
    conventions: int
    within: float
    between: float


def read_communities(graph: Any, by: Any = None, rng: Any = 0) -> list[Community]:
    """Return the communities of a network.

    Parameters
    ----------
    graph : networkx.Graph, scipy sparse array or Edges
        The network.
    by : str, list of sets or mapping, optional
        A node attribute, such as "block" of ``stochastic_block`` or "club" of ``karate``
        (communities in the order of the graph); sets of nodes or ``{label: nodes}``, which need
        not cover the graph; or None for the Louvain method on the graph without directions and
        weights (largest community first).
    rng : int or generator, default 0
        The seed of the Louvain method.

    Returns
    -------
    list of Community
        The communities.

    Raises
    ------
    SpecError
        For an attribute that some nodes lack, and for sets that overlap, are empty, or contain
        unknown nodes.

    References
    ----------
    V. D. Blondel et al., "Fast unfolding of communities in large networks", J. Stat. Mech. P10008
    (2008).
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
            problem = f"more than once: {some(twice)}" if twice else f"{shown(label)} is empty"
            raise SpecError("by", by, problem, "Put every node in one community at most.")
        taken.update(nodes)
    if not found:
        raise SpecError("by", by, "no communities", "Give an attribute, sets of nodes, or None.")
    return found


def community_conventions(
    graph: Any, names: Any, by: Any = None, rng: Any = 0
) -> CommunityConventions:
    """Return the conventions that communities hold.

    Parameters
    ----------
    graph, names : see ``local_agreement``
        The network, and what each node holds.
    by : str, list of sets or mapping, optional
        The communities, as in ``read_communities``.
    rng : int or generator, default 0
        The seed of the Louvain method.

    Returns
    -------
    CommunityConventions
        One row per community, and agreement within and between them. Of names with equally many
        players, the one held by more agents of the whole network leads, then the alphabetically
        earlier, so that ties do not make conventions look more different than they are.
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
    columns = "community size players convention share entropy tied agreement"
    table = pd.DataFrame(rows, columns=columns.split())
    # As objects, or pandas would turn None into a number.
    table["convention"] = pd.Series([row[3] for row in rows], dtype=object)
    return CommunityConventions(
        table=table,
        conventions=len({row[3] for row in rows if row[2]}),
        within=_share(inside, a == b),
        between=_share(across, a == b),
    )


def metastable_states(
    rounds: pd.DataFrame,
    *,
    least: int = LEAST,
    share: float = SHARE,
    tolerance: float = TOLERANCE,
    smooth: int = SMOOTH,
) -> pd.DataFrame:
    """Return the stretches of rounds in which names coexist stably.

    A *metastable state* is a stretch of at least ``least`` rounds in which at least two names, the
    same throughout, hold at least ``share`` of the plays in every round, and the share of no name
    moves by more than ``tolerance`` between its highest and its lowest. Each run is read from its
    start: a stretch begins at the first round from which this holds for ``least`` rounds, and lasts
    as long as it holds; the next one is looked for after its end.

    Parameters
    ----------
    rounds : pandas.DataFrame
        The ``rounds`` table of an ensemble: run, round and a column ``share_NAME`` for each name.
        Under ``until="converged"`` a run ends when the last matches are in, whatever their names;
        play with ``until=None`` to see how long coexistence lasts.
    least : int, default 20
        The fewest rounds of a stretch.
    share : float, default 0.1
        The least share of a name that coexists, up to 0.5.
    tolerance : float, default 0.2
        How far shares may move, up to 1. Shares are of the names *played* in a round: where players
        are drawn they go up and down though nobody changes, more so with fewer agents, and
        ``tolerance`` must leave room for that.
    smooth : int, default 5
        Shares are first averaged over so many rounds centred on each, fewer at the ends of a run.

    Returns
    -------
    pandas.DataFrame
        One row per stretch. Columns: run, start and end (rounds, inclusive), length (in rounds),
        names (those that coexist, the strongest first), shares (their mean shares in the stretch,
        not smoothed), open (whether it lasts to the end of the run, so that it may have continued).

    Raises
    ------
    SpecError
        For a table without rows or columns, and numbers out of range.
    """
    table = read_table("rounds", rounds, ("run", "round"))
    columns = [column for column in table.columns if str(column).startswith(_PREFIX)]
    if not columns:
        raise SpecError(
            "rounds", list(table.columns), "no shares of names", "Give the rounds of an ensemble."
        )
    least = read_whole("least", least, limits.STRETCH)
    smooth = read_whole("smooth", smooth, limits.STRETCH)
    _check_share("share", share, 0.5)
    _check_share("tolerance", tolerance, 1)
    runs, numbers = table["run"].to_numpy(), table["round"].to_numpy()
    shares: Floats = table[columns].to_numpy(dtype=np.float64)
    same = runs[1:] == runs[:-1]
    if (runs[1:] < runs[:-1]).any() or (same & (numbers[1:] < numbers[:-1])).any():
        order = np.lexsort((numbers, runs))
        runs, numbers, shares = runs[order], numbers[order], shares[order]
        same = runs[1:] == runs[:-1]
    if (same & (numbers[1:] == numbers[:-1])).any():
        raise SpecError("rounds", rounds, "a round is in it twice", "Give every round once.")
    if not np.isfinite(shares).all():
        raise SpecError("rounds", rounds, "shares that are not numbers", "Leave such rounds out.")
    starts = np.flatnonzero(np.concatenate([[True], ~same]))
    ends = np.append(starts[1:], len(runs))
    smoothed = _smooth(
        shares, np.repeat(starts, ends - starts), np.repeat(ends, ends - starts), smooth
    )
    search = _Search(smoothed, share - _ROUNDING, tolerance + _ROUNDING, least)
    found = []
    names = [str(column).removeprefix(_PREFIX) for column in columns]
    for first, last, end in search.stretches(starts, ends):
        lows = smoothed[:, first:last].min(axis=1)
        means = shares[first:last].mean(axis=0)
        held = [k for k in np.argsort(-means, kind="stable").tolist() if lows[k] >= search.share]
        found.append(
            (
                runs[first],
                numbers[first],
                numbers[last - 1],
                last - first,
                tuple(names[k] for k in held),
                tuple(float(means[k]) for k in held),
                last == end,
            )
        )
    return pd.DataFrame(found, columns=["run", "start", "end", "length", "names", "shares", "open"])


def _share(counted: NDArray[np.bool_], agree: NDArray[np.bool_]) -> float:
    total = np.count_nonzero(counted)
    return np.count_nonzero(counted & agree) / total if total else math.nan


def _lists(by: Any) -> bool:
    """Return whether ``by`` lists collections of nodes."""
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
            f"no {shown(attribute)} on node {some(lacking)}",
            "Use an attribute that every node has, or by=None to find communities.",
        )
    found: dict[Hashable, list[Any]] = {}
    for node, label in graph.nodes(data=attribute):
        found.setdefault(label, []).append(node)
    return [Community(label, tuple(nodes)) for label, nodes in found.items()]


def _louvain(edges: Edges, rng: Any) -> list[Community]:
    seed = read_seed(rng) % 2**32
    found = nx.community.louvain_communities(plain_graph(edges), weight=None, seed=seed)
    parts = sorted((sorted(part) for part in found), key=lambda part: (-len(part), part[0]))
    return [
        Community(number, tuple(edges.nodes[index] for index in part))
        for number, part in enumerate(parts)
    ]


def _check_share(argument: str, value: Any, high: float) -> None:
    number = isinstance(value, (int, float, np.floating)) and not isinstance(value, bool)
    if not number or not 0 < value <= high:
        raise SpecError(
            argument, value, f"{shown(value)} is out of range", f"Use 0 to {high}, not 0."
        )


def _smooth(shares: Floats, start: NDArray[np.intp], end: NDArray[np.intp], width: int) -> Floats:
    """Return centred means over ``width`` rounds within runs, one row per name."""
    here = np.arange(len(shares))
    low = np.maximum(start, here - (width - 1) // 2)
    high = np.minimum(end, here + width // 2 + 1)
    sums = np.zeros((shares.shape[1], len(shares) + 1))
    np.cumsum(shares.T, axis=1, out=sums[:, 1:])
    means: Floats = (sums[:, high] - sums[:, low]) / (high - low)
    return means


class _Search:
    """Looks for stretches in smoothed shares, one row per name."""

    def __init__(self, smoothed: Floats, share: float, tolerance: float, least: int) -> None:
        self.smoothed, self.share, self.tolerance, self.least = smoothed, share, tolerance, least

    def holds(self, high: Floats, low: Floats) -> NDArray[np.bool_]:
        """Return whether shares with these highest and lowest values make a metastable state."""
        still: NDArray[np.bool_] = np.all(high - low <= self.tolerance, axis=0)
        several: NDArray[np.bool_] = np.sum(low >= self.share, axis=0) >= 2
        return still & several

    def stretches(
        self, starts: NDArray[np.intp], ends: NDArray[np.intp]
    ) -> list[tuple[int, int, int]]:
        """Return first row, the row after the last, and the end of the run, of every stretch."""
        from scipy.ndimage import maximum_filter1d, minimum_filter1d

        total = self.smoothed.shape[1]
        if self.least > (ends - starts).max():
            return []
        shift = self.least // 2  # the filters' windows begin this far before their centres
        high = maximum_filter1d(self.smoothed, self.least, axis=1, mode="nearest")
        low = minimum_filter1d(self.smoothed, self.least, axis=1, mode="nearest")
        good = np.zeros(total, dtype=bool)
        good[: total - shift] = self.holds(high, low)[shift:]
        room = np.repeat(ends, ends - starts) - np.arange(total) >= self.least
        begin = np.flatnonzero(good & room)
        found = []
        place = 0
        while place < len(begin):
            first = int(begin[place])
            end = int(ends[np.searchsorted(ends, first, side="right")])
            last = self.follow(first, end)
            found.append((first, last, end))
            place = int(np.searchsorted(begin, last))
        return found

    def follow(self, first: int, end: int) -> int:
        """Return the row after the last of the stretch that begins at ``first``."""
        size = 4 * self.least
        while True:
            part = self.smoothed[:, first : min(first + size, end)]
            fine = self.holds(
                np.maximum.accumulate(part, axis=1), np.minimum.accumulate(part, axis=1)
            )
            if not fine.all():
                return first + int(fine.argmin())
            if first + size >= end:
                return end
            size *= 4
