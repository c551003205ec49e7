"""What agents come to play who hear the same chances of names for ever.

Where partners always play by the same chances, an agent's memory is a Markov chain, and in the long
run it plays by chances of its own: its *response*. A population is at rest where the response to
what is played is what is played, so that however many memories there are, rest is an equation in
the shares of names alone.

Where a population that is left to itself comes to rest.

The search for states of rest: all of them with two names, from several starts with more.

Whether a population at rest goes back there when it is disturbed a little.

Where a population may rest, and whether it stays there.

From which beginnings a population goes where.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.optimize import brentq, minimize_scalar, root
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigs

from mesa_llm_norms.core.game import filled
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.mean_field.dynamics import play
from mesa_llm_norms.mean_field.population import MEETINGS, Population, check_name, read_population
from mesa_llm_norms.mean_field.states import Floats, shares_of
from mesa_llm_norms.minds.registry import DEFAULT_MIND
from mesa_llm_norms.validation import read_whole

SAME = 1e-11
"""Response and what is played are the same if they differ by less."""


class Answer(NamedTuple):
    """The response, as chances of names, and the spread of the uncommitted that gives it."""

    response: Floats
    spread: Floats


class Responses:
    """The responses of a population; each is solved for from the one before."""

    def __init__(self, population: Population) -> None:
        if population.states.divided:
            raise SpecError(
                "mind",
                [mind.label for mind in population.roster],
                "its agents can be where no interaction brings them back to other memories, so "
                "that there are as many states of rest as beginnings",
                "Look where it goes from each beginning with mean_field.",
            )
        self.population = population
        self._last: Floats | None = None

    def to(self, heard: Floats) -> Answer:
        """Return the response to partners who play by these chances of names."""
        states, weights = self.population.states, self.population.weights
        self._last = states.settle(heard, weights, self._last)
        response = shares_of(self._last @ states.chances)
        return Answer(response, self.population.free * self._last)

    def among(self, own: Floats) -> Answer:
        """Return the response where the uncommitted play by ``own``, and the others as they do."""
        return self.to(self.population.heard(own))


def grid(steps: int, decades: int = 9) -> Floats:
    """Return shares from 0 to 1, both left out: evenly, and by powers of ten at the ends."""
    near = np.logspace(-decades, -2, 2 * decades - 3)
    return np.concatenate([near, np.linspace(0, 1, steps + 1)[1:-1], 1 - near[::-1]])


STILL = 1e-7
"""A population that changes by less per round, in shares of agents, is at rest."""


PATIENCE = 20_000
"""Population rounds after which a population that is not at rest is given up."""


AT_ONCE = 8, 1024
"""Rounds between two looks, at first and at most."""


LEVEL = 1e-6
"""Names are level if they are played in shares that differ by no more."""


CAUTION = 3
"""How many times farther from tipping than from its own response a population has to be."""


NEAR = 0.01
"""How far it may be from its own response to be taken for one at rest, that many times."""


class Rest(NamedTuple):
    """A state of rest: how likely the uncommitted are to play each name.

    ``attracting`` is whether the response to a little more of either name is less than that much.
    """

    own: Floats
    attracting: bool


class Known(NamedTuple):
    """States of rest with two names, none left out between them, and the responses there."""

    responses: Responses
    rests: Sequence[Rest]


def come_to_rest(population: Population, spread: Floats, known: Known | None = None) -> Floats:
    """Return how likely the uncommitted are to play each name once the population is at rest.

    Where states of rest are known, it is enough that it is clear to which one it is going, for
    the last of the way may be slow. Raises ``SpecError`` if the population keeps moving.
    """
    rounds, most = 0, AT_ONCE[0]
    while rounds < PATIENCE:
        spread = play(population, spread, most).spread
        change = population.change(spread, population.played(spread))
        own = population.own(spread)
        if np.abs(change).sum() < STILL:
            return own
        if known is not None:
            for rest in _ahead(known, spread, own):
                return rest.own
        rounds += most
        most = min(2 * most, AT_ONCE[1])
    raise SpecError(
        "mind",
        [mind.label for mind in population.roster],
        f"its population is not at rest after {PATIENCE:,} rounds",
        "Look at it with mean_field; it may be slow, go round in circles, or be close to tipping.",
    )


def _ahead(known: Known, spread: Floats, own: Floats) -> Iterator[Rest]:
    """Yield the state of rest to which a population of two names is bound to go, if that is clear.

    It is where memories are those that go with what is played, but for much less than lies between
    what is played and any state of rest that does not attract. On such a state rounding alone would
    decide, and it is the one to which the population goes.
    """
    response, settled = known.responses.among(own)
    away = CAUTION * np.abs(spread - settled).sum() / known.responses.population.free
    share, rising = float(own[1]), bool(response[1] > own[1])
    if away < NEAR:
        yield from (rest for rest in known.rests if abs(rest.own[1] - share) < LEVEL)
    if any(abs(rest.own[1] - share) <= away for rest in known.rests if not rest.attracting):
        return
    beyond = [rest for rest in known.rests if bool(rest.own[1] > share) == rising]
    if beyond:
        nearest = min(beyond, key=lambda rest: abs(float(rest.own[1]) - share))
        if nearest.attracting:
            yield nearest


STEPS = 40


NEXT_TO_NOTHING = 1e-15
"""A share below which nothing is looked for; at zero the response may depend on the beginning."""


APART = 1e-7
"""Two states of rest are the same if no chance of a name differs by more."""


def find_rests(responses: Responses) -> list[Answer]:
    """Return what the uncommitted play at rest, and their spread, wherever there is rest.

    Raises ``SpecError`` where there is no end of it.
    """
    search = _between_two if len(responses.population.pool) == 2 else _from_starts
    found: list[Answer] = []
    for own, spread in search(responses):
        if all(np.abs(own - other.response).max() > APART for other in found):
            found.append(Answer(own, spread))
    return found


def know_rests(population: Population) -> Known | None:
    """Return all states of rest, None where they are not known for certain or without end."""
    if len(population.pool) > 2:
        return None
    try:
        responses = Responses(population)
        found = sorted((rest.response for rest in find_rests(responses)), key=lambda own: own[1])
    except SpecError:
        return None
    rising = [True]
    for one, other in pairwise(found):
        between = (one + other) / 2
        rising.append(bool(responses.among(between).response[1] > between[1]))
    before_and_after = pairwise([*rising, False])
    rests = [
        Rest(own, before and not after)
        for own, (before, after) in zip(found, before_and_after, strict=True)
    ]
    return Known(responses, rests)


def _between_two(responses: Responses) -> Iterator[tuple[Floats, Floats]]:
    """Yield what the uncommitted play at rest, and their spread, with two names."""

    @cache  # so that a sign once found is found again, however close to zero
    def gain(share: float) -> float:
        own = np.array([1 - share, share])
        return float(responses.among(own).response[1] - share)

    shares = np.array([NEXT_TO_NOTHING, *grid(STEPS), 1 - NEXT_TO_NOTHING])
    gains = np.array([gain(share) for share in shares.tolist()])
    if (np.abs(gains) < SAME).all():
        raise SpecError(
            "mind",
            [mind.label for mind in responses.population.roster],
            "its population rests wherever it is",
            "Look where it goes from each beginning with mean_field.",
        )
    yield from _consensus(responses.population)
    dips = np.array(list(_dips(shares, gains, gain)), float).reshape(-1, 2)
    order = np.argsort(np.append(shares, dips[:, 0]))
    shares, gains = np.append(shares, dips[:, 0])[order], np.append(gains, dips[:, 1])[order]
    for place in np.flatnonzero(np.sign(gains[:-1]) != np.sign(gains[1:])):
        low, high = shares[place : place + 2].tolist()
        share = float(brentq(gain, low, high, xtol=1e-15))
        own = np.array([1 - share, share])
        yield own, responses.among(own).spread


def _dips(
    shares: Floats, gains: Floats, gain: Callable[[float], float]
) -> Iterator[tuple[float, float]]:
    """Yield share and gain where the gain comes close to zero and crosses it between two shares."""
    sizes, signs = np.abs(gains), np.sign(gains)
    for place in range(1, len(shares) - 1):
        near = slice(place - 1, place + 2)
        if sizes[near].argmin() == 1 and abs(signs[near].sum()) == 3:
            ends = (float(shares[place - 1]), float(shares[place + 1]))
            sign = float(signs[place])
            least = minimize_scalar(lambda x, s=sign: s * gain(x), bounds=ends, method="bounded")
            if least.fun < 0:
                yield float(least.x), sign * float(least.fun)


def _from_starts(responses: Responses) -> Iterator[tuple[Floats, Floats]]:
    """Yield the same with any number of names, as far as it is found from several starts."""
    population, pool = responses.population, responses.population.pool
    yield from _consensus(population)
    starts = [dict.fromkeys(names, 1 / len(names)) for names in (*combinations(pool, 1), pool)]
    starts += [dict.fromkeys(pair, 0.5) for pair in combinations(pool, 2)]
    for start in [{}, *starts]:
        reached = come_to_rest(population, population.remembering(start))
        alike = np.full(len(pool), 1 / len(pool))
        begun = np.array([start.get(name, 0.0) for name in pool]) if start else alike
        for own in (reached, 0.95 * begun + 0.05 * alike):
            yield from _polished(responses, own)


def _polished(responses: Responses, own: Floats) -> Iterator[tuple[Floats, Floats]]:
    """Yield the state of rest that Newton's method finds from ``own``, if it finds one."""

    def read(free: Floats) -> Floats:
        return shares_of(np.clip(np.append(free, 1 - free.sum()), 0, None))

    def gain(free: Floats) -> Floats:
        gains: Floats = responses.among(read(free)).response[:-1] - free
        return gains

    solved = root(gain, own[:-1], tol=1e-12)
    if np.abs(gain(solved.x)).max() < 100 * SAME:
        yield read(solved.x), responses.among(read(solved.x)).spread


def _consensus(population: Population) -> Iterator[tuple[Floats, Floats]]:
    """Yield the states in which everybody plays one name for ever, exactly."""
    memories = population.states.memories
    for place, name in enumerate(population.pool):
        own = np.eye(len(population.pool))[place]
        sure = [
            memories.number(seat, filled(name, memories.length)) for seat in range(memories.minds)
        ]
        if (population.states.chances[sure, place] == 1).all() and not (
            population.committed * (1 - own)
        ).any():
            yield own, population.remembering({name: 1.0})


DENSE = 300
"""Up to so many states all eigenvalues are worked out."""


def growth_rate(population: Population, spread: Floats) -> float:
    """Return how fast the slowest small disturbance of ``spread`` grows, per population round.

    That is the largest real part of an eigenvalue of the Jacobian at a spread at rest, where
    negative means that every disturbance dies. The shares of minds cannot be disturbed.
    """
    states, size = population.states, len(population.states)
    heard = population.played(spread)
    arriving = states.arriving(spread)
    masses = states.marks @ spread
    # Moves the eigenvalues that stand for more agents of a mind from zero to where they do no harm.
    shares = (states.marks * spread).T / masses

    def change(disturbance: Floats) -> Floats:
        disturbance = disturbance.ravel()
        moved = states.meet(disturbance, heard)
        heard_more = disturbance @ states.chances - heard * disturbance.sum()
        hears = states.hear(arriving, heard_more)
        held = shares @ (states.marks @ disturbance)
        changed: Floats = MEETINGS * (moved + hears - disturbance - held)
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


@dataclass(frozen=True)
class FixedPoint:
    """A state in which a population may rest.

    ``shares`` is of the names played by all agents, committed ones included. ``growth_rate`` is how
    fast the slowest small disturbance grows, per population round; negative means that it dies.
    """

    shares: Mapping[str, float]
    growth_rate: float

    @property
    def success_rate(self) -> float:
        """The share of interactions in which the names match."""
        return sum(share**2 for share in self.shares.values())

    @property
    def stable(self) -> bool:
        """Whether every small disturbance dies."""
        return self.growth_rate < 0


def fixed_points(
    mind: Any = DEFAULT_MIND,
    names: Any = "QM",
    memory: int = 5,
    committed: Mapping[str, float] | None = None,
) -> tuple[FixedPoint, ...]:
    """Return the states of rest of infinitely many agents, by the share of the first name, falling.

    With two names they are all there are, but for two that are closer together than a fortieth and
    a saddle; with more, those reached from every name remembered by all or by half, from all names
    alike and from nothing, by moving on and by Newton's method, so that unstable ones may be
    missing. Raises ``SpecError`` where there is no end of them.
    """
    population = read_population(mind, names, memory, committed)
    points = [
        FixedPoint(
            dict(zip(population.pool, population.heard(own).tolist(), strict=True)),
            growth_rate(population, spread),
        )
        for own, spread in find_rests(Responses(population))
    ]
    return tuple(sorted(points, key=lambda point: -point.shares[population.pool[0]]))


TOLERANCE = 1e-4
"""How exactly an edge between two basins is found, in shares of the uncommitted."""


@dataclass(frozen=True)
class Basins:
    """Where populations go that begin with some remembering one name and the others another.

    ``table`` has a row per beginning: remembering (the share of the uncommitted that remembers the
    second of the two names, nan for a population that remembers nothing), winner (the name played
    most at rest, empty where several are level) and ``share_NAME``, what is played at rest.
    ``edges`` are the shares at which the winner changes, each within 0.0001.
    """

    between: tuple[str, str]
    table: pd.DataFrame
    edges: tuple[float, ...]

    @property
    def from_nothing(self) -> str:
        """The winner where nobody remembers anything at the start, empty where none is."""
        return str(self.table["winner"].iloc[-1])


def basins(
    mind: Any = DEFAULT_MIND,
    names: Any = "QM",
    memory: int = 5,
    committed: Mapping[str, float] | None = None,
    between: Sequence[str] | None = None,
    points: int = 11,
) -> Basins:
    """Return which beginnings lead to which winner, at ``points`` shares and between them.

    ``between`` are the two names remembered at the start, the first two of the pool if not given.
    Two edges between neighbouring points go unseen. Raises ``SpecError`` for a population that does
    not come to rest.
    """
    population = read_population(mind, names, memory, committed)
    pool = population.pool
    first, second = between = _read_between(between, pool)
    shares = np.linspace(0, 1, read_whole("points", points, 2, 1_000)).tolist()
    known = know_rests(population)

    def outcome(start: Mapping[str, float]) -> Floats:
        own = come_to_rest(population, population.remembering(start), known)
        return population.heard(own)

    def mixed(share: float) -> Floats:
        return outcome({first: 1 - share, second: share})

    def winner(played: Floats) -> str:
        second_most, most = np.sort(played)[-2:]
        return pool[int(played.argmax())] if most - second_most > LEVEL else ""

    ends = [mixed(share) for share in shares]
    edges = []
    for place in range(len(shares) - 1):
        low, high = shares[place : place + 2]
        before = winner(ends[place])
        if before != winner(ends[place + 1]):
            while high - low > TOLERANCE:
                middle = (low + high) / 2
                here = winner(mixed(middle)) == before
                low, high = (middle, high) if here else (low, middle)
            edges.append((low + high) / 2)
    played = np.array([*ends, outcome({})])
    table = pd.DataFrame(
        {
            "remembering": [*shares, np.nan],
            "winner": [winner(shares) for shares in played],
            **{f"share_{name}": played[:, place] for place, name in enumerate(pool)},
        }
    )
    return Basins(between, table, tuple(edges))


def _read_between(between: Sequence[str] | None, pool: tuple[str, ...]) -> tuple[str, str]:
    names = pool[:2] if between is None else tuple(between)
    for name in names:
        check_name("between", name, pool)
    if len(names) != 2 or names[0] == names[1]:
        raise SpecError("between", between, "these are not two names", "Give two of the pool.")
    return names[0], names[1]
