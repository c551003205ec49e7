"""Who follows whom: whose names others adopt after a miss, and their places on the network.

An agent *follows* its partner if, after an interaction in which the two played different names (a
miss), the next name it plays, with whichever partner, is the one its partner had played. Copying a
name says nothing about the reason: an agent may adopt it because it did better elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, NamedTuple, TypeAlias

import networkx as nx
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.analysis.agreement import Edges, Indices, plain_graph
from mesa_llm_norms.analysis.convergence import read_table
from mesa_llm_norms.analysis.intervals import (
    LEVEL,
    RESAMPLES,
    Estimate,
    Floats,
    Resampling,
    damped_interval,
    percentile_interval,
    read_level,
    wilson_interval,
)
from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_seed, read_whole
from mesa_llm_norms.errors import SpecError, some

COLUMNS = ("run", "interaction", "node_a", "node_b", "name_a", "name_b")

EXACT = 2_000
"""The largest network whose betweenness is computed from every node."""

SAMPLES = 200
"""From how many nodes, drawn by seed, betweenness is estimated on a larger network."""

PLACES = ("degree", "core", "distance")
"""What ``adoption`` sets rounds against."""

STEP = 0.3
"""How far towards a resample the runs are moved to see how a correlation moves."""

Truths: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True)
class Following:
    """Who followed whom, and whether following goes with the place on the network.

    Attributes
    ----------
    runs, interactions : int
        How many there are.
    level : float
        The level of all intervals.
    nodes : pandas.DataFrame
        One row per node of the graph, all runs taken together. Columns:

        - node, degree, betweenness (of the graph without directions and weights);
        - missed: its interactions in which the names differed;
        - chances: the misses after which it played again; followed: those after which it then
          played its partner's name; ``susceptibility``: their ratio;
        - exposed: the misses after which its *partner* played again; copied: those after which the
          partner then played this node's name; ``influence``: their ratio.

        ``_low`` and ``_high`` are Wilson's bounds, which take decisions as independent; nan without
        any chance.
    correlations : pandas.DataFrame
        One row per rate and centrality. Columns: rate, centrality, spearman, low, high, nodes (how
        many have the rate). The correlation is nan if, say, all degrees are equal.
    upward : Estimate
        Of the followings between nodes of different degree, the share in which the follower had the
        lower degree. This and the next two count only interactions after which both played again,
        and are nan if nobody followed anybody of another degree.
    by_chance : Estimate
        What that share and its interval would be if, in each of the same interactions, either end
        had been as likely to do what the other did.
    p_value : float
        The two-sided sign test between the two.
    """

    runs: int
    interactions: int
    level: float
    nodes: pd.DataFrame
    correlations: pd.DataFrame
    upward: Estimate
    by_chance: Estimate
    p_value: float


def followings(interactions: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each time an agent played again after a miss.

    Parameters
    ----------
    interactions : pandas.DataFrame
        The table of that name of an ensemble, in any order.

    Returns
    -------
    pandas.DataFrame
        Columns: run, interaction (the miss), node, partner, name and partner_name (as played then),
        next_name (what the agent played next), follows (whether that is its partner's name).

    Raises
    ------
    SpecError
        For a table without rows or columns, or with an interaction twice.
    """
    seen = _read(interactions)
    rows, seats = np.nonzero(seen.judged)
    nodes, names = seen.node_ids, seen.names
    return pd.DataFrame(
        {
            "run": seen.run_ids[seen.runs[rows]],
            "interaction": seen.numbers[rows],
            "node": nodes[seen.nodes[rows, seats]],
            "partner": nodes[seen.nodes[rows, 1 - seats]],
            "name": names[seen.played[rows, seats]],
            "partner_name": names[seen.played[rows, 1 - seats]],
            "next_name": names[seen.next[rows, seats]],
            "follows": seen.follows[rows, seats],
        }
    )


def who_follows_whom(
    interactions: pd.DataFrame,
    graph: Any,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    samples: int = SAMPLES,
    rng: Any = 0,
) -> Following:
    """Return who followed whom in interactions that were all played on one graph.

    Parameters
    ----------
    interactions : pandas.DataFrame
        The table of that name of an ensemble, in any order.
    graph : networkx.Graph, scipy sparse array or Edges
        The graph of every run. An ensemble on a random topology has another one in each run, so
        draw it once and play on that.
    level : float, default 0.95
        The level of all intervals.
    resamples : int, default 2000
        How many bootstrap resamples to draw.
    samples : int, default 200
        From how many nodes betweenness is estimated above 2,000 nodes, which takes long on very
        large networks; 0 leaves it out (nan).
    rng : int or generator, default 0
        The seed of the bootstrap and of those nodes.

    Returns
    -------
    Following
        Rates by node, their correlations with centrality, and the direction of followings.

    Raises
    ------
    SpecError
        For a table without rows or columns, an interaction twice, or a pair that is not an edge.

    Notes
    -----
    Intervals of the correlations and of ``upward`` come from a bootstrap over runs. With a single
    run it is over nodes (for ``upward``, over the followers), which holds only so far as nodes can
    be taken as drawn from more of their kind. For correlations over runs the data are moved only
    part of the way to each resample (the numerical bootstrap [1]_), since whole resamples of noisy
    rates are noisier still. Noise in the rates pulls the correlation itself to 0: few chances per
    node cannot show a strong one.

    Under ``pairing="node"`` and ``"edge"`` hubs play more often than others. That gives them more
    interactions, not a higher rate; but agents that have played more also remember more, and most
    names change hands in the first rounds.

    References
    ----------
    .. [1] H. Hong, J. Li, "The numerical bootstrap", Ann. Stat. 48, 397 (2020).
    .. [2] L. C. Freeman, "A set of measures of centrality based on betweenness", Sociometry 40, 35
       (1977); as a share of the pairs.
    """
    seen = _read(interactions)
    edges = Edges.read(graph)
    read_level(level)
    samples = read_whole("samples", samples, limits.SAMPLES)
    at = _locate(seen, edges)
    size = len(edges.nodes)
    degree = np.bincount(np.concatenate([edges.first, edges.second]), minlength=size)
    betweenness = _betweenness(edges, samples, rng)

    nodes = pd.DataFrame({"node": pd.Series(_objects(edges.nodes, size)).infer_objects()})
    missed = np.bincount(at[seen.missed].ravel(), minlength=size)
    nodes = nodes.assign(degree=degree, betweenness=betweenness, missed=missed)
    runs = len(seen.run_ids)
    rows = []
    for rate, who, tried, done in (
        ("susceptibility", at, "chances", "followed"),
        ("influence", at[:, ::-1], "exposed", "copied"),
    ):
        nodes[tried] = np.bincount(who[seen.judged], minlength=size)
        nodes[done] = np.bincount(who[seen.follows], minlength=size)
        nodes[rate] = _ratio(nodes[done], nodes[tried])
        low, high = wilson_interval(nodes[done], nodes[tried], level)
        nodes[f"{rate}_low"], nodes[f"{rate}_high"] = low, high
        tries = _by_run(seen.runs, who, seen.judged, runs, size)
        hits = _by_run(seen.runs, who, seen.follows, runs, size)
        for centrality, place in (("degree", degree), ("betweenness", betweenness)):
            found, known = _correlate(tries, hits, place.astype(float), level, resamples, rng)
            rows.append((rate, centrality, *found, known))
    upward, by_chance, p_value = _direction(seen, at, degree, level, resamples, rng)
    return Following(
        runs=runs,
        interactions=len(seen.runs),
        level=level,
        nodes=nodes,
        correlations=pd.DataFrame(
            rows, columns=["rate", "centrality", "spearman", "low", "high", "nodes"]
        ),
        upward=upward,
        by_chance=by_chance,
        p_value=p_value,
    )


@dataclass(frozen=True)
class Adoption:
    """Who took up the winning name when, and whether that goes with the place on the network.

    Attributes
    ----------
    nodes : pandas.DataFrame
        One row per node: ``node``; ``degree``; ``core``, the highest k of a k-core that it is in
        (Seidman 1983); ``distance``, the number of edges to the nearest committed node, nan without
        any; and ``first``, the round in which it first played the name that won, a mean over runs
        for an ensemble, nan where it never did.
    correlations : pandas.DataFrame
        For each ``place`` of degree, core and distance Spearman's correlation with ``first`` over
        the nodes that are not committed: ``spearman``, ``low``, ``high``, and ``nodes``, how many
        have both. nan with fewer than four nodes, or where all places or rounds are the same.
    level : float
        The level of the intervals.
    """

    nodes: pd.DataFrame
    correlations: pd.DataFrame
    level: float


def adoption(
    nodes: pd.DataFrame, graph: Any, *, committed: Iterable[Hashable] = (), level: float = LEVEL
) -> Adoption:
    """Return who took up the winning name when, from ``nodes.parquet``.

    Parameters
    ----------
    nodes : pandas.DataFrame
        ``nodes.parquet`` of a run, of an ensemble or of a cell of a sweep.
    graph : networkx.Graph, scipy sparse array or Edges
        The network of that run; edges count without directions and weights.
    committed : iterable of nodes, default ()
        Nodes that always played one name, in all runs; they are left out of the correlations.
    level : float, default 0.95
        The level of all intervals.

    Returns
    -------
    Adoption
        Rounds and places by node, and how they go together.

    Raises
    ------
    SpecError
        For a table without the columns ``node`` and ``first_with_winner`` or of another network,
        and for committed nodes that are not in it.

    Notes
    -----
    Intervals are those of Bonett and Wright [1]_ for independent nodes. Neighbors are not
    independent, so they are too narrow where names spread from node to node.

    References
    ----------
    .. [1] D. G. Bonett, T. A. Wright, "Sample size requirements for estimating Pearson, Kendall and
       Spearman correlations", Psychometrika 65, 23 (2000).
    """
    table = read_table("nodes", nodes, ("node", "first_with_winner"))
    read_level(level)
    edges = Edges.read(graph)
    ids = list(edges.nodes)
    if list(map(str, ids)) != list(map(str, table["node"])):
        raise SpecError(
            "graph",
            graph,
            "its nodes are not those of the table, in the same order",
            "Give the graph that was played on.",
        )
    place = {node: index for index, node in enumerate(ids)}
    wanted = list(committed)
    strange = [node for node in wanted if node not in place]
    if strange:
        problem = f"no such node: {some(strange)}"
        raise SpecError("committed", wanted, problem, "Name nodes of the graph.")
    plain = plain_graph(edges)
    cores, sources = nx.core_number(plain), {place[node] for node in wanted}
    away = nx.multi_source_dijkstra_path_length(plain, sources) if sources else {}
    first = (
        pd.to_numeric(table["first_with_winner"]).astype("Float64").to_numpy(float, na_value=np.nan)
    )
    found = pd.DataFrame(
        {
            "node": table["node"].to_numpy(),
            "degree": [plain.degree[index] for index in range(len(ids))],
            "core": [cores[index] for index in range(len(ids))],
            "distance": [float(away.get(index, math.nan)) for index in range(len(ids))],
            "first": first,
        }
    )
    others = found.drop(index=sorted(sources))
    rows = [(name, *_go_together(others[name], others["first"], level)) for name in PLACES]
    columns = ["place", "spearman", "low", "high", "nodes"]
    return Adoption(found, pd.DataFrame(rows, columns=columns), level)


class _Interactions(NamedTuple):
    """Interactions in order, as codes; arrays of two columns have the two seats side by side."""

    run_ids: NDArray[Any]
    node_ids: NDArray[Any]
    names: NDArray[Any]
    runs: Indices
    numbers: NDArray[Any]
    nodes: Indices
    played: Indices
    next: Indices
    """What each agent played the next time, -1 if it did not play again."""

    @property
    def missed(self) -> Truths:
        """Whether the names differed, per interaction."""
        return np.not_equal(self.played[:, 0], self.played[:, 1])

    @property
    def judged(self) -> Truths:
        """Whether a seat missed and its agent played again."""
        return np.logical_and(self.missed[:, None], self.next >= 0)

    @property
    def follows(self) -> Truths:
        """Whether a seat's agent then played its partner's name."""
        follows: Truths = self.judged & (self.next == self.played[:, ::-1])
        return follows


def _read(interactions: Any) -> _Interactions:
    """Return the interactions of a table in order of run and number."""
    table = read_table("interactions", interactions, COLUMNS)
    runs, run_ids = pd.factorize(table["run"].to_numpy())
    numbers = table["interaction"].to_numpy()
    if (runs < 0).any():
        raise SpecError("run", None, "a run is missing", "Leave such interactions out.")
    same = runs[1:] == runs[:-1]
    if (runs[1:] < runs[:-1]).any() or (same & (numbers[1:] < numbers[:-1])).any():
        order = np.lexsort((numbers, runs))
        table, runs, numbers = table.iloc[order], runs[order], numbers[order]
        same = runs[1:] == runs[:-1]
    if (same & (numbers[1:] == numbers[:-1])).any():
        raise SpecError(
            "interactions",
            interactions,
            "an interaction is in it twice",
            "Give every interaction once.",
        )
    nodes, node_ids = _codes(table, "node_a", "node_b")
    played, names = _codes(table, "name_a", "name_b")
    owner = (runs[:, None] * len(node_ids) + nodes).ravel()
    order = np.argsort(owner, kind="stable")
    again = owner[order[1:]] == owner[order[:-1]]
    after = np.full(owner.shape, -1, dtype=np.intp)
    after[order[:-1][again]] = played.ravel()[order[1:][again]]
    return _Interactions(
        np.asarray(run_ids), node_ids, names, runs, numbers, nodes, played, after.reshape(-1, 2)
    )


def _codes(table: pd.DataFrame, *columns: str) -> tuple[Indices, NDArray[Any]]:
    """Return the columns side by side as codes, and what the codes stand for."""
    both = pd.concat([table[column] for column in columns], ignore_index=True)
    try:
        codes, found = pd.factorize(both.to_numpy())
    except TypeError:
        raise SpecError(
            columns[0],
            both.iloc[0],
            f"{columns[0]} and {columns[1]} hold values that cannot be compared",
            "Use hashable ones: tuples, not lists.",
        ) from None
    if (codes < 0).any():
        raise SpecError(columns[0], None, "a value is missing", "Leave such interactions out.")
    return codes.reshape(len(columns), -1).T.astype(np.intp), _objects(found, len(found))


def _objects(items: Iterable[Any], size: int) -> NDArray[Any]:
    """Return an array of objects, which are not unpacked even if they are tuples."""
    made = np.empty(size, dtype=object)
    made[:] = list(items)
    return made


def _locate(seen: _Interactions, edges: Edges) -> Indices:
    """Return the index in the graph of every agent that met; each pair must be an edge."""
    place = {node: index for index, node in enumerate(edges.nodes)}
    strange = [node for node in seen.node_ids if node not in place]
    if strange:
        raise SpecError(
            "graph", edges, f"no such node: {some(strange)}", "Give the graph that was played on."
        )
    at = np.array([place[node] for node in seen.node_ids], dtype=np.intp)[seen.nodes]
    size = len(edges.nodes)
    joined = np.minimum(edges.first, edges.second) * size + np.maximum(edges.first, edges.second)
    pairs = at.min(axis=1) * size + at.max(axis=1)
    wrong = np.flatnonzero(~np.isin(pairs, joined))
    if len(wrong):
        a, b = seen.node_ids[seen.nodes[wrong[0]]]
        raise SpecError(
            "graph",
            edges,
            f"{a!r} and {b!r} met, but no edge joins them",
            "Give the graph that was played on; draw a random one once, and play all runs on it.",
        )
    return at


def _betweenness(edges: Edges, samples: int, rng: Any) -> Floats:
    size = len(edges.nodes)
    if size > EXACT and not samples:
        return np.full(size, np.nan)
    drawn = min(samples, size) if size > EXACT else None
    seed = read_seed(rng) % 2**32
    found = nx.betweenness_centrality(plain_graph(edges), k=drawn, seed=seed)
    return np.array([found[node] for node in range(size)])


def _ratio(done: Any, tried: Any) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        rate: Floats = np.asarray(done, dtype=float) / np.asarray(tried, dtype=float)
    return rate


def _by_run(
    runs: Indices, who: Indices, which: NDArray[np.bool_], count: int, size: int
) -> sparse.csr_array:
    """Return how often each node (columns) was one of ``which`` in each run (rows)."""
    rows = np.broadcast_to(runs[:, None], who.shape)[which]
    ones = np.ones(len(rows))
    return sparse.coo_array((ones, (rows, who[which])), shape=(count, size)).tocsr()


def _correlate(
    tried: sparse.csr_array,
    done: sparse.csr_array,
    place: Floats,
    level: float,
    resamples: int,
    rng: Any,
) -> tuple[Estimate, int]:
    """Return Spearman's correlation of the rate done / tried with a place on the network."""
    runs, size = tried.shape
    nothing = Estimate(math.nan, math.nan, math.nan)
    rate = _ratio(done.sum(axis=0), tried.sum(axis=0))
    known = np.flatnonzero(~np.isnan(rate) & ~np.isnan(place))
    if len(known) < 2:
        return nothing, len(known)
    value = float(_spearman(rate[None, known], place[known])[0])
    if math.isnan(value):
        return nothing, len(known)
    if runs == 1:
        ranks = (_Ranks(rate[known]), _Ranks(place[known]))
        samples = [
            _pearson(ranks[0].weighted(weights), ranks[1].weighted(weights), weights)
            for weights in Resampling(len(known), resamples, rng).counts()
        ]
        low, high = percentile_interval(np.concatenate(samples), level)
    else:
        samples = []
        for weights in Resampling(runs, resamples, rng).counts(2 * size):
            moved = (1 + STEP * (weights - 1)).T
            rates = _ratio((done.T @ moved).T, (tried.T @ moved).T)
            samples.append(_spearman(rates[:, known], place[known]))
        low, high = damped_interval(np.concatenate(samples), value, level, STEP)
    return Estimate(value, max(low, -1.0), min(high, 1.0)), len(known)


def _spearman(rates: Floats, place: Floats) -> Floats:
    """Return Spearman's correlation of each row with ``place``."""
    from scipy import stats

    ours = stats.rankdata(rates, axis=1)
    theirs = np.broadcast_to(stats.rankdata(place), ours.shape)
    return _pearson(ours, theirs, np.ones_like(ours))


def _pearson(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Return weighted correlations row by row; nan where one side does not vary."""
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        x = x - (weights * x).sum(axis=1, keepdims=True) / total
        y = y - (weights * y).sum(axis=1, keepdims=True) / total
        spread = (weights * x * x).sum(axis=1) * (weights * y * y).sum(axis=1)
        found = (weights * x * y).sum(axis=1) / np.sqrt(spread)
    return np.where(spread > 1e-9, found, np.nan)


class _Ranks:
    """Values to be ranked many times, each counting as often as a resample has it."""

    def __init__(self, values: Floats) -> None:
        self.order = np.argsort(values, kind="stable")
        self.starts = np.flatnonzero(np.diff(values[self.order], prepend=-np.inf) != 0)
        self.lengths = np.diff(self.starts, append=len(values))

    def weighted(self, weights: Floats) -> Floats:
        """Return the mid-ranks of every value, one row per resample."""
        equal = np.add.reduceat(weights[:, self.order], self.starts, axis=1)
        middle = np.cumsum(equal, axis=1) - equal / 2
        ranks = np.empty_like(weights)
        ranks[:, self.order] = np.repeat(middle, self.lengths, axis=1)
        return ranks


def _direction(
    seen: _Interactions, at: Indices, degree: Indices, level: float, resamples: int, rng: Any
) -> tuple[Estimate, Estimate, float]:
    """Return the share of upward followings, the same by chance, and the p-value."""
    from scipy import stats

    degrees = degree[at]
    both_chose = seen.judged.all(axis=1) & (degrees[:, 0] != degrees[:, 1])
    follows = seen.follows[both_chose]
    lower = degrees[both_chose] < degrees[both_chose][:, ::-1]
    total = int(follows.sum())
    if not total:
        nothing = Estimate(math.nan, math.nan, math.nan)
        return nothing, nothing, math.nan
    up = follows & lower
    single = follows.sum(axis=1) == 1
    ones = int(single.sum())
    one_up = int(up[single].sum())
    mutual = (total - ones) // 2
    tail = (1 - level) / 2
    chance = [(mutual + float(stats.binom.ppf(q, ones, 0.5))) / total for q in (tail, 1 - tail)]
    p_value = float(stats.binomtest(one_up, ones).pvalue) if ones else 1.0

    if len(seen.run_ids) > 1:
        groups = np.broadcast_to(seen.runs[both_chose][:, None], follows.shape)[follows]
        count = len(seen.run_ids)
    else:
        followers, groups = np.unique(at[both_chose][follows], return_inverse=True)
        count = len(followers)
    ups = np.bincount(groups, weights=lower[follows], minlength=count)
    alls = np.bincount(groups, minlength=count).astype(float)
    samples = [
        _ratio(weights @ ups, weights @ alls)
        for weights in Resampling(count, resamples, rng).counts()
    ]
    return (
        Estimate(int(up.sum()) / total, *percentile_interval(np.concatenate(samples), level)),
        Estimate(0.5, *chance),
        p_value,
    )


def _go_together(place: Any, first: Any, level: float) -> tuple[float, float, float, int]:
    """Return Spearman's correlation, its interval, and of how many nodes it is."""
    both = place.notna() & first.notna()
    count = int(both.sum())
    ranks = place[both].rank(), first[both].rank()
    if count < 4 or any(it.nunique() < 2 for it in ranks):
        return math.nan, math.nan, math.nan, count
    value = float(np.clip(np.corrcoef(*ranks)[0, 1], -1, 1))
    if abs(value) > 1 - 1e-12:
        return value, value, value, count
    spread = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt((1 + value**2 / 2) / (count - 3))
    low, high = (math.tanh(math.atanh(value) + side * spread) for side in (-1, 1))
    return value, low, high, count
