"""Where a population that is left to itself comes to rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.mean_field.motion import play
from mesa_llm_norms.mean_field.population import Population
from mesa_llm_norms.mean_field.response import Responses
from mesa_llm_norms.mean_field.states import Floats

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
