"""A network in numbers, such as its mean path length, clustering and spectral gap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph, linalg

from mesa_llm_norms.networks.adjacency import Neighbors

MEASURED_WHOLE = 2_000
"""From so many nodes clustering is measured at most, and up to so many paths from all."""

NETWORK = (
    *("mean_degree", "largest_part", "mean_path", "clustering"),
    *("assortativity", "heterogeneity", "spectral_gap"),
)
"""The columns of a network in numbers, in tables of several."""

_DENSE = 300
_MOST_STEPS = 200_000_000
"""How many edges are followed, about, at most."""

_STEPS = 20_000_000
"""How many edges are followed, about, where paths or clustering are those of a sample."""


def describe_network(neighbors: Neighbors) -> dict[str, float | int | None]:
    """Return a network in numbers. Directions and weights are ignored.

    Parameters
    ----------
    neighbors : Neighbors
        The network.

    Returns
    -------
    dict
        ``largest_part``, the share of the nodes in the largest part; ``mean_path``, the mean number
        of edges between two nodes of that part; ``clustering``, the mean over all nodes of the
        share of pairs of neighbors that are joined (Watts and Strogatz 1998); ``assortativity``,
        the correlation of the degrees at both ends of an edge (Newman 2002), None where all degrees
        are the same; ``heterogeneity``, the mean squared degree over the squared mean degree, 1
        where all are the same; ``spectral_gap``, how far the second eigenvalue of the random walk
        on the largest part is below 1, None above 2,000 nodes; and ``sampled``, from how many nodes
        paths were measured, clustering then being that of up to 2,000, None where both are of all.
        These are samples above 2,000 nodes, and below where there are very many edges.
    """
    size = len(neighbors)
    if size > 1 and neighbors.is_complete:
        return {
            **dict.fromkeys(("largest_part", "mean_path", "heterogeneity"), 1.0),
            "clustering": float(size > 2),
            "assortativity": None,
            "spectral_gap": size / (size - 1),
            "sampled": None,
        }
    indptr, indices = neighbors.undirected
    ones = np.ones(len(indices), np.float64)
    joined: Any = sparse.csr_array((ones, indices, indptr), shape=(size, size))
    joined.data[:] = 1
    degrees = np.diff(joined.indptr).astype(np.float64)
    _, part_of = csgraph.connected_components(joined, directed=False)
    inside = np.flatnonzero(part_of == np.argmax(np.bincount(part_of)))
    part = joined if len(inside) == size else joined[inside][:, inside]
    steps = max(len(indices) + size, 1)
    whole = size <= MEASURED_WHOLE and size * steps <= _MOST_STEPS
    starts = size if whole else min(max(5, _STEPS // steps), 500)
    chance = np.random.default_rng(0)
    return {
        "largest_part": len(inside) / size,
        "mean_path": _mean_path(part, starts, chance),
        "clustering": _clustering(joined, degrees, whole, chance),
        "assortativity": _assortativity(joined, degrees),
        "heterogeneity": float((degrees**2).mean() / degrees.mean() ** 2),
        "spectral_gap": _spectral_gap(part) if size <= MEASURED_WHOLE else None,
        "sampled": None if starts == size else starts,
    }


def _mean_path(part: Any, wanted: int, chance: np.random.Generator) -> float:
    size = part.shape[0]
    starts = np.arange(size) if wanted >= size else np.sort(chance.permutation(size)[:wanted])
    together = max(1, 4_000_000 // size)
    total = 0.0
    for first in range(0, len(starts), together):
        some = starts[first : first + together]
        total += csgraph.dijkstra(part, directed=False, indices=some, unweighted=True).sum()
    return float(total / (len(starts) * (size - 1)))


def _clustering(
    joined: Any, degrees: np.ndarray[Any, Any], whole: bool, chance: np.random.Generator
) -> float:
    nodes = np.arange(len(degrees))
    if not whole:
        nodes = chance.permutation(nodes)[:MEASURED_WHOLE]
        steps = np.cumsum((joined @ degrees)[nodes])
        nodes = np.sort(nodes[: max(5, np.searchsorted(steps, _STEPS))])
    total, measured = 0.0, nodes[degrees[nodes] > 1]
    for first in range(0, len(measured), 50):
        rows = joined[measured[first : first + 50]]
        triangles = np.asarray((rows @ joined).multiply(rows).sum(axis=1)).ravel()
        pairs = degrees[measured[first : first + 50]]
        total += float((triangles / (pairs * (pairs - 1))).sum())
    return total / len(nodes)


def _assortativity(joined: Any, degrees: np.ndarray[Any, Any]) -> float | None:
    here, there = np.repeat(degrees, np.diff(joined.indptr)), degrees[joined.indices]
    spread = float(here.var())
    if math.isclose(spread, 0, abs_tol=1e-12):
        return None
    return float(((here - here.mean()) * (there - there.mean())).mean() / spread)


def _spectral_gap(part: Any) -> float | None:
    size = part.shape[0]
    scale = sparse.diags_array(1 / np.sqrt(np.diff(part.indptr)))
    walk = scale @ part @ scale
    if size <= _DENSE:
        second = np.linalg.eigvalsh(walk.toarray())[-2]
    else:
        try:
            start = np.linspace(1, 2, size)
            second = min(linalg.eigsh(walk, k=2, which="LA", v0=start, return_eigenvectors=False))
        except linalg.ArpackError:
            return None
    return float(1 - second)
