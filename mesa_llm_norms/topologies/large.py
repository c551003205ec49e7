"""Topologies of many nodes: those of the catalogue, made as sparse arrays instead of by networkx.

Each is the same graph, or has the same distribution, as the one of its name in the catalogue, at
any size. All give a symmetric ``csr_array`` of ``uint8`` ones, indices sorted, nothing twice and
nothing on the diagonal: 5 bytes for each end of an edge. Parameters are those that the catalogue
has checked; random ones need not come out connected.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from mesa_llm_norms.compiled import load
from mesa_llm_norms.topologies.adjacency import Adjacency

Nodes = NDArray[np.int32]


def ring(n: int, k: int) -> Adjacency:
    """Return the circle of n where everyone meets the k nearest, half of them on each side."""
    half = np.arange(1, k // 2 + 1, dtype=np.int32)
    return _from_rows((_all(n)[:, None] + np.concatenate([-half, half])) % np.int32(n))


def lattice(rows: int, columns: int) -> Adjacency:
    """Return the grid with borders, numbered row by row."""
    grid = _all(rows * columns).reshape(rows, columns)
    before = np.concatenate([grid[:, :-1].ravel(), grid[:-1].ravel()])
    after = np.concatenate([grid[:, 1:].ravel(), grid[1:].ravel()])
    return _from_edges(grid.size, before, after)


def torus(rows: int, columns: int) -> Adjacency:
    """Return the grid that wraps around, numbered row by row; both sides are at least 3."""
    grid = _all(rows * columns).reshape(rows, columns)
    shifted = [np.roll(grid, shift, axis).ravel() for shift in (-1, 1) for axis in (0, 1)]
    return _from_rows(np.stack(shifted, axis=1))


def random_regular(n: int, d: int, rng: random.Random) -> Adjacency:
    """Return a random graph where everyone has d neighbours; d is below n / 2, n times d even.

    Half-edges are paired at random (the configuration model, Bollobás 1980), and each self-loop or
    double edge then trades ends with a random edge until there are none. That is nearly uniform
    over all such graphs: with n growing and d fixed, the total variation distance goes to 0
    (Janson, arXiv:1901.09744). Above half of n the ties drawn are the absent ones.
    """
    ends = _all(n * d)
    _generator(rng).shuffle(ends)
    mates = np.empty_like(ends)
    mates[ends[::2]], mates[ends[1::2]] = ends[1::2], ends[::2]
    del ends
    return _from_rows(load("graphs").simple(mates, d, _seed(rng)).reshape(n, d))


def erdos_renyi(n: int, p: float, rng: random.Random) -> Adjacency:
    """Return the graph where every pair is tied with probability p, not 0.

    The pairs in order, the gaps between those that are tied are geometric (Batagelj and Brandes,
    Physical Review E 2005).
    """
    chance = _generator(rng)
    pairs = n * (n - 1) // 2
    found: list[NDArray[np.int64]] = []
    last = -1
    while last < pairs:
        missing = p * (pairs - last)
        gaps = chance.geometric(p, int(missing + 4 * missing**0.5) + 10)
        # Their sum must not overflow; a gap past the last pair ends the list wherever it leads.
        np.minimum(gaps, pairs + 1, out=gaps)
        places = last + np.cumsum(gaps)
        last = int(places[-1])
        found.append(places[: np.searchsorted(places, pairs)])
    places = np.concatenate(found)
    del found
    firsts = np.arange(n, dtype=np.int64)
    firsts = firsts * (n - 1) - firsts * (firsts - 1) // 2  # The place of the pair (u, u + 1).
    u = np.repeat(_all(n), np.diff(np.searchsorted(places, firsts), append=len(places)))
    v = (places - firsts[u]).astype(np.int32) + u + np.int32(1)
    del places
    return _from_edges(n, u, v)


def watts_strogatz(n: int, k: int, p: float, rng: random.Random) -> Adjacency:
    """Return a ring with k neighbours each, where each tie is moved with probability p.

    Ties from u to the next one, from the first u to the last, then those to the next but one, and
    so on: each is moved to a random node that u is not tied to, as in networkx.
    """
    heads = load("graphs").rewired(n, k // 2, p, _seed(rng))
    return _from_edges(n, np.repeat(_all(n), k // 2), heads.ravel())


def barabasi_albert(n: int, m: int, rng: random.Random) -> Adjacency:
    """Return a star of m + 1 nodes, grown by newcomers who tie to m different nodes each.

    A node is met in proportion to the ties it has, twice drawn ones being drawn again: networkx's
    list of repeated nodes, which is how Batagelj and Brandes (Physical Review E 2005) do it.
    """
    ends = load("graphs").grown(n, m, _seed(rng))
    return _from_edges(n, ends[::2].copy(), ends[1::2].copy())


def _all(n: int) -> Nodes:
    return np.arange(n, dtype=np.int32)


def _generator(rng: random.Random) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(rng.getrandbits(128)))


def _seed(rng: random.Random) -> np.uint64:
    return np.uint64(rng.getrandbits(64))


def _from_rows(neighbours: Nodes) -> Adjacency:
    """Return the graph where row u lists the neighbours of u, which it sorts in place."""
    n, d = neighbours.shape
    neighbours.sort(axis=1)
    starts = np.arange(0, n * d + 1, d, dtype=np.int32)
    return _made(n, neighbours.ravel(), starts)


def _from_edges(n: int, u: Nodes, v: Nodes) -> Adjacency:
    """Return the graph of the edges u[i] - v[i], each given once."""
    starts = np.zeros(n + 1, np.int32)
    np.cumsum(np.bincount(u, minlength=n) + np.bincount(v, minlength=n), out=starts[1:])
    return _made(n, load("graphs").neighbours(u, v, starts), starts)


def _made(n: int, indices: Nodes, starts: Nodes) -> Adjacency:
    made: Adjacency = sparse.csr_array(
        (np.ones(len(indices), np.uint8), indices, starts), shape=(n, n)
    )
    made.has_canonical_format = True  # Else found out by looking.
    return made
