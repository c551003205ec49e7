"""The search for states of rest: all of them with two names, from several starts with more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations, pairwise

import numpy as np
from scipy.optimize import brentq, minimize_scalar, root

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.mean_field.population import Population
from mesa_llm_norms.mean_field.response import SAME, Answer, Responses, grid
from mesa_llm_norms.mean_field.rest import Known, Rest, come_to_rest
from mesa_llm_norms.mean_field.states import Floats, shares_of
from mesa_llm_norms.memory import filled

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
