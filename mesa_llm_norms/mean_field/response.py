"""What agents come to play who hear the same chances of names for ever.

Where partners always play by the same chances, an agent's memory is a Markov chain, and in the long
run it plays by chances of its own: its *response*. A population is at rest where the response to
what is played is what is played, so that however many memories there are, rest is an equation in
the shares of names alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.mean_field.population import Population
from mesa_llm_norms.mean_field.states import Floats, shares_of

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
