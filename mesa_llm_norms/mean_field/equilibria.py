"""Equilibria of infinite populations: where they are, whether they are stable, what leads to them.

While partners always play by the same probabilities, an agent's memory is a Markov chain, and in
the long run the agent plays by probabilities of its own: its *response*. A population is in
equilibrium where the response to what is played equals what is played. However many memories there
are, that is an equation in the shares of names alone. With two names all its solutions are found,
with more those reached from several starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import filled
from mesa_llm_norms.core.limits import read_whole
from mesa_llm_norms.errors import SpecError, shown
from mesa_llm_norms.mean_field.dynamics import play_continuous
from mesa_llm_norms.mean_field.population import (
    INTERACTIONS_PER_ROUND,
    Floats,
    Population,
    check_name,
    normalized,
    read_population,
)
from mesa_llm_norms.minds.registry import DEFAULT_MIND

SAME = 1e-11
"""Response and what is played are equal if they differ by less."""

STILL = 1e-7
"""A population is in equilibrium if it changes by less per round, in shares of agents."""

MAX_ROUNDS = 20_000
"""Population rounds after which a population that has not reached equilibrium is given up."""

ROUNDS_AT_ONCE = 8, 1024
"""Rounds played between two checks, at first and at most."""

LEVEL = 1e-6
"""Two names are level if their shares differ by no more."""

SAFETY = 3
"""How many times farther from tipping than from its own response a population has to be."""

NEAR = 0.01
"""How far from its own response it may be, times ``SAFETY``, to count as in equilibrium."""

STEPS = 40

SMALLEST_SHARE = 1e-15
"""Nothing is searched below this share; at zero the response may depend on the start."""

APART = 1e-7
"""Two equilibria are the same if no probability of a name differs by more."""

DENSE = 300
"""Up to this many states all eigenvalues are computed."""

EDGE_TOLERANCE = 1e-4
"""How exactly an edge between two basins is found, in shares of the uncommitted."""


@dataclass(frozen=True)
class FixedPoint:
    """An equilibrium of an infinite population.

    Attributes
    ----------
    shares
        The share of each name among those played by all agents, committed ones included.
    growth_rate
        How fast the slowest small disturbance grows, per population round; if negative, every
        disturbance dies out.
    """

    shares: Mapping[str, float]
    growth_rate: float

    @property
    def success_rate(self) -> float:
        """The share of interactions in which the names match."""
        return sum(share**2 for share in self.shares.values())

    @property
    def stable(self) -> bool:
        """Whether every small disturbance dies out."""
        return self.growth_rate < 0


def fixed_points(
    mind: Any = DEFAULT_MIND,
    names: Any = "QM",
    memory: int = 5,
    committed: Mapping[str, float] | None = None,
) -> tuple[FixedPoint, ...]:
    """Return the equilibria of infinitely many agents on the complete graph.

    With two names these are all, except for pairs closer together than a fortieth where one is a
    saddle. With more names they are those reached, by playing on and by Newton's method, from all
    or half of the agents remembering one name, from all names alike and from empty memories;
    unstable ones may be missing.

    Parameters
    ----------
    mind, names, memory, committed : optional
        As for ``mean_field``, with the same defaults.

    Returns
    -------
    tuple of FixedPoint
        By falling share of the first name.

    Raises
    ------
    SpecError
        As for ``mean_field``, and where there are infinitely many equilibria.
    """
    population = read_population(mind, names, memory, committed)
    points = [
        FixedPoint(
            dict(zip(population.pool, population.heard(played).tolist(), strict=True)),
            growth_rate(population, distribution),
        )
        for played, distribution in find_equilibria(Responses(population))
    ]
    return tuple(sorted(points, key=lambda point: -point.shares[population.pool[0]]))


@dataclass(frozen=True)
class Basins:
    """Which starts lead to which equilibrium, if some agents remember one name, the rest another.

    Attributes
    ----------
    between
        The two names.
    table
        One row per start with the columns remembering (the share of the uncommitted that remembers
        the second name; nan for empty memories), winner (the name played most in equilibrium, empty
        if several are level) and ``share_NAME``, what is played in equilibrium.
    edges
        The shares at which the winner changes, each to within 0.0001.
    """

    between: tuple[str, str]
    table: pd.DataFrame
    edges: tuple[float, ...]

    @property
    def from_nothing(self) -> str:
        """The winner if all start with empty memories; empty if there is none."""
        return str(self.table["winner"].iloc[-1])


def basins(
    mind: Any = DEFAULT_MIND,
    names: Any = "QM",
    memory: int = 5,
    committed: Mapping[str, float] | None = None,
    between: Sequence[str] | None = None,
    points: int = 11,
) -> Basins:
    """Return which starts of an infinite population lead to which winner.

    Parameters
    ----------
    mind, names, memory, committed : optional
        As for ``mean_field``, with the same defaults.
    between : sequence of str, optional
        The two names remembered at the start. Default the first two of the pool.
    points : int
        How many shares to try, from 2 to 1,000, evenly between 0 and 1. Default 11. Edges between
        them are found by bisection; two edges between neighboring points cancel out unseen.

    Returns
    -------
    Basins
        The starts and their winners.

    Raises
    ------
    SpecError
        As for ``mean_field``, and if a population does not reach equilibrium.
    """
    population = read_population(mind, names, memory, committed)
    pool = population.pool
    first, second = between = _read_between(between, pool)
    shares = np.linspace(0, 1, read_whole("points", points, limits.MEAN_FIELD_POINTS)).tolist()
    known = known_equilibria(population)

    def outcome(start: Mapping[str, float]) -> Floats:
        return population.heard(settle(population, population.remembering(start), known))

    def mixed(share: float) -> Floats:
        return outcome({first: 1 - share, second: share})

    def winner(played: Floats) -> str:
        second_most, most = np.sort(played)[-2:]
        return pool[int(played.argmax())] if most - second_most > LEVEL else ""

    ends = [mixed(share) for share in shares]
    edges = []
    for (low, before), (high, after) in pairwise(zip(shares, map(winner, ends), strict=True)):
        if before != after:
            while high - low > EDGE_TOLERANCE:
                middle = (low + high) / 2
                here = winner(mixed(middle)) == before
                low, high = (middle, high) if here else (low, middle)
            edges.append((low + high) / 2)
    played = np.array([*ends, outcome({})])
    table = pd.DataFrame(
        {
            "remembering": [*shares, np.nan],
            "winner": [winner(shares) for shares in played],
            **{f"share_{name}": played[:, index] for index, name in enumerate(pool)},
        }
    )
    return Basins(between, table, tuple(edges))


def _read_between(between: Sequence[str] | None, pool: tuple[str, ...]) -> tuple[str, str]:
    names = pool[:2] if between is None else tuple(between)
    for name in names:
        check_name("between", name, pool)
    if len(names) != 2 or names[0] == names[1]:
        raise SpecError(
            "between", between, f"{shown(between)} is not two names", "Give two different names."
        )
    return names[0], names[1]


class Response(NamedTuple):
    """What the uncommitted come to play, by name, and their distribution while they do."""

    played: Floats
    distribution: Floats


class Responses:
    """The responses of a population; each is solved for starting from the one before."""

    def __init__(self, population: Population) -> None:
        if population.states.divided:
            raise SpecError(
                "mind",
                _labels(population),
                "its agents can be confined to a part of their memories, so there are as many "
                "equilibria as starts",
                "Follow a population from each start with mean_field.",
            )
        self.population = population
        self._last: Floats | None = None

    def to_heard(self, heard: Floats) -> Response:
        """Return the response to partners who play names with these probabilities."""
        states, weights = self.population.states, self.population.weights
        self._last = states.stationary(heard, weights, self._last)
        played = self.population.played_by_free(self._last)
        return Response(played, self.population.free * self._last)

    def to_played(self, played: Floats) -> Response:
        """Return the response where the uncommitted play so, and committed agents as they do."""
        return self.to_heard(self.population.heard(played))


def share_grid(steps: int, decades: int = 9) -> Floats:
    """Return shares between 0 and 1, both excluded: evenly, and by powers of ten at the ends."""
    near = np.logspace(-decades, -2, 2 * decades - 3)
    return np.concatenate([near, np.linspace(0, 1, steps + 1)[1:-1], 1 - near[::-1]])


class Equilibrium(NamedTuple):
    """What the uncommitted play in an equilibrium, by name.

    ``attracting`` is whether a little more of either name brings a response of less than that.
    """

    played: Floats
    attracting: bool


class KnownEquilibria(NamedTuple):
    """All equilibria with two names, in order, and the responses they come from."""

    responses: Responses
    equilibria: Sequence[Equilibrium]


def settle(
    population: Population, distribution: Floats, known: KnownEquilibria | None = None
) -> Floats:
    """Return what the uncommitted play, by name, once the population has reached equilibrium.

    If all equilibria are known, it is enough that it is clear which one is approached, since the
    last of the way may be slow. Raises ``SpecError`` if the population keeps moving.
    """
    rounds, step = 0, ROUNDS_AT_ONCE[0]
    while rounds < MAX_ROUNDS:
        distribution = play_continuous(population, distribution, step).distribution
        change = population.change(distribution, population.played(distribution))
        played = population.played_by_free(distribution)
        if np.abs(change).sum() < STILL:
            return played
        approached = None if known is None else _approached(known, distribution, played)
        if approached is not None:
            return approached.played
        rounds += step
        step = min(2 * step, ROUNDS_AT_ONCE[1])
    raise SpecError(
        "mind",
        _labels(population),
        f"its population has not reached equilibrium after {MAX_ROUNDS:,} rounds",
        "Look at it with mean_field; it may be slow, oscillate, or be close to tipping.",
    )


def _approached(known: KnownEquilibria, distribution: Floats, played: Floats) -> Equilibrium | None:
    """Return the equilibrium that a population of two names is bound to reach, if that is clear.

    It is clear once memories are almost those that go with what is played: by much less than the
    distance to any equilibrium that does not attract. On such an equilibrium rounding alone would
    decide, so a population there is said to stay.
    """
    response, stationary = known.responses.to_played(played)
    away = SAFETY * np.abs(distribution - stationary).sum() / known.responses.population.free
    share, rising = float(played[1]), bool(response[1] > played[1])
    every = known.equilibria
    if away < NEAR:
        for one in every:
            if abs(one.played[1] - share) < LEVEL:
                return one
    if any(abs(one.played[1] - share) <= away for one in every if not one.attracting):
        return None
    beyond = [one for one in every if bool(one.played[1] > share) == rising]
    nearest = min(beyond, key=lambda one: abs(float(one.played[1]) - share), default=None)
    return nearest if nearest is not None and nearest.attracting else None


def find_equilibria(responses: Responses) -> list[Response]:
    """Return what the uncommitted play in each equilibrium, and their distribution.

    Raises ``SpecError`` if there are infinitely many.
    """
    search = _between_two if len(responses.population.pool) == 2 else _from_starts
    found: list[Response] = []
    for one in search(responses):
        if all(np.abs(one.played - other.played).max() > APART for other in found):
            found.append(one)
    return found


def known_equilibria(population: Population) -> KnownEquilibria | None:
    """Return all equilibria; None if they are not certain to be all, or infinitely many."""
    if len(population.pool) > 2:
        return None
    try:
        responses = Responses(population)
        found = sorted((one.played for one in find_equilibria(responses)), key=lambda it: it[1])
    except SpecError:
        return None
    rising = [True]
    for one, other in pairwise(found):
        between = (one + other) / 2
        rising.append(bool(responses.to_played(between).played[1] > between[1]))
    before_and_after = pairwise([*rising, False])
    equilibria = [
        Equilibrium(played, before and not after)
        for played, (before, after) in zip(found, before_and_after, strict=True)
    ]
    return KnownEquilibria(responses, equilibria)


def _between_two(responses: Responses) -> Iterator[Response]:
    """Yield all equilibria with two names: the zeros of the gain in the share of the second."""
    from scipy.optimize import brentq

    @cache  # so that a sign stays the same, however close to zero
    def gain(share: float) -> float:
        played = np.array([1 - share, share])
        return float(responses.to_played(played).played[1] - share)

    shares = np.array([SMALLEST_SHARE, *share_grid(STEPS), 1 - SMALLEST_SHARE])
    gains = np.array([gain(share) for share in shares.tolist()])
    if (np.abs(gains) < SAME).all():
        raise SpecError(
            "mind",
            _labels(responses.population),
            "its population is in equilibrium wherever it is",
            "Follow a population from each start with mean_field.",
        )
    yield from _consensus(responses.population)
    dips = np.array(list(_dips(shares, gains, gain)), float).reshape(-1, 2)
    order = np.argsort(np.append(shares, dips[:, 0]))
    shares, gains = np.append(shares, dips[:, 0])[order], np.append(gains, dips[:, 1])[order]
    for index in np.flatnonzero(np.sign(gains[:-1]) != np.sign(gains[1:])):
        low, high = shares[index : index + 2].tolist()
        share = float(brentq(gain, low, high, xtol=1e-15))
        played = np.array([1 - share, share])
        yield Response(played, responses.to_played(played).distribution)


def _dips(
    shares: Floats, gains: Floats, gain: Callable[[float], float]
) -> Iterator[tuple[float, float]]:
    """Yield share and gain where the gain comes close to zero and crosses it between two shares."""
    from scipy.optimize import minimize_scalar

    sizes, signs = np.abs(gains), np.sign(gains)
    for index in range(1, len(shares) - 1):
        near = slice(index - 1, index + 2)
        if sizes[near].argmin() == 1 and abs(signs[near].sum()) == 3:
            ends = (float(shares[index - 1]), float(shares[index + 1]))
            sign = float(signs[index])
            least = minimize_scalar(lambda x, s=sign: s * gain(x), bounds=ends, method="bounded")
            if least.fun < 0:
                yield float(least.x), sign * float(least.fun)


def _from_starts(responses: Responses) -> Iterator[Response]:
    """Yield the equilibria with any number of names that several starts lead to."""
    population, pool = responses.population, responses.population.pool
    yield from _consensus(population)
    starts = [dict.fromkeys(names, 1 / len(names)) for names in (*combinations(pool, 1), pool)]
    starts += [dict.fromkeys(pair, 0.5) for pair in combinations(pool, 2)]
    alike = np.full(len(pool), 1 / len(pool))
    for start in [{}, *starts]:
        reached = settle(population, population.remembering(start))
        begun = np.array([start.get(name, 0.0) for name in pool]) if start else alike
        for played in (reached, 0.95 * begun + 0.05 * alike):
            yield from _polished(responses, played)


def _polished(responses: Responses, played: Floats) -> Iterator[Response]:
    """Yield the equilibrium that Newton's method finds from here, if it finds one."""
    from scipy.optimize import root

    def read(free: Floats) -> Floats:
        return normalized(np.clip(np.append(free, 1 - free.sum()), 0, None))

    def gain(free: Floats) -> Floats:
        gains: Floats = responses.to_played(read(free)).played[:-1] - free
        return gains

    solved = root(gain, played[:-1], tol=1e-12)
    if np.abs(gain(solved.x)).max() < 100 * SAME:
        found = read(solved.x)
        yield Response(found, responses.to_played(found).distribution)


def _consensus(population: Population) -> Iterator[Response]:
    """Yield the equilibria in which everybody plays one name for ever, exactly."""
    states, reachable = population.states, population.states.reachable
    for index, name in enumerate(population.pool):
        played = np.eye(len(population.pool))[index]
        memory = filled(name, reachable.length)
        sure = [reachable.index(mind, memory) for mind in range(reachable.minds)]
        if (states.probabilities[sure, index] == 1).all() and not (
            population.committed * (1 - played)
        ).any():
            yield Response(played, population.remembering({name: 1.0}))


def growth_rate(population: Population, distribution: Floats) -> float:
    """Return how fast the slowest small disturbance of an equilibrium grows, per population round.

    That is the largest real part of an eigenvalue of the Jacobian; if it is negative, every
    disturbance dies out. The shares of minds cannot be disturbed.
    """
    states, size = population.states, len(population.states)
    heard = population.played(distribution)
    arriving = states.arriving(distribution)
    masses = states.mind_masks @ distribution
    # moves the eigenvalues that stand for more agents of a mind from zero to where they do no harm
    shares = (states.mind_masks * distribution).T / masses

    def change(disturbance: Floats) -> Floats:
        disturbance = disturbance.ravel()
        moved = states.interact(disturbance, heard)
        heard_more = disturbance @ states.probabilities - heard * disturbance.sum()
        hears = states.hear(arriving, heard_more)
        held = shares @ (states.mind_masks @ disturbance)
        changed: Floats = INTERACTIONS_PER_ROUND * (moved + hears - disturbance - held)
        return changed

    if size > DENSE:
        jacobian = LinearOperator((size, size), matvec=change, dtype=float)
        try:
            found = eigs(
                jacobian, k=1, which="LR", v0=np.linspace(1, 2, size), return_eigenvectors=False
            )
            return float(found.real.max())
        except ArpackNoConvergence:
            pass
    columns = np.array([change(unit) for unit in np.eye(size)]).T
    return float(np.linalg.eigvals(columns).real.max())


def _labels(population: Population) -> list[str]:
    return [mind.label for mind in population.minds]
