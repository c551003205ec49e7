"""The measures of a mind card that no other experiment has.

How a mind reacts to a miss, how its response to a constant world looks beside a magnet's, whether
what committed agents have brought about lasts, and which memories were measured at all.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np

from mesa_llm_norms.core.game import Memory, Remembered, remember
from mesa_llm_norms.experiments.audits.individual import IndividualBias
from mesa_llm_norms.experiments.tipping.conditions import play_runs, read_phases
from mesa_llm_norms.mean_field.equilibria import Responses
from mesa_llm_norms.mean_field.population import read_population
from mesa_llm_norms.minds.mind import Mind, Policy
from mesa_llm_norms.minds.policies import TableMind
from mesa_llm_norms.minds.recorded import DEPTH, RecordedMind, pool_key
from mesa_llm_norms.minds.recording import Recording
from mesa_llm_norms.simulation.ensemble import Ensemble
from mesa_llm_norms.simulation.spec import Spec

HEARD = np.linspace(0.025, 0.975, 39)
"""The probabilities of hearing the first name at which the response is fitted."""

STRONGEST = 50.0
"""The largest conformity and field that a fit may give: the response is a step."""

COMMITTED = 2
"""How many times the critical share is committed before it is seen whether a change lasts."""


class Reaction(NamedTuple):
    """How likely a mind is to keep its name, and to copy its partner's, after some misses.

    Means over all ordered pairs of different names of the pool: one is the agent's own, one its
    partner's. ``pairs`` is how many of them were measured.
    """

    keep: float
    copy: float
    pairs: int


def reaction_alone(individual: IndividualBias, misses: int) -> Reaction | None:
    """Return how a mind reacts when it remembers only so many misses with the same two names."""
    shares = {one.memory: one.shares for one in individual.choices if one.answers != 0}
    return _reaction(individual.pool, lambda own, partner: shares.get(_miss(own, partner) * misses))


def reaction_in_convention(
    policy: Policy, pool: tuple[str, ...], memory: int, misses: int
) -> Reaction | None:
    """Return how a mind reacts to misses after matches with its own name fill its memory.

    None if the memory is not longer than the misses.
    """
    if memory <= misses:
        return None
    return _reaction(
        pool,
        lambda own, partner: policy.distribution(
            _miss(own, own) * (memory - misses) + _miss(own, partner) * misses, pool
        ),
    )


def _miss(own: str, partner: str) -> Memory:
    return (Remembered(own, partner),)


def _reaction(
    pool: tuple[str, ...], chosen: Callable[[str, str], Sequence[float] | None]
) -> Reaction | None:
    found = [
        (shares[pool.index(own)], shares[pool.index(partner)])
        for own, partner in permutations(pool, 2)
        if (shares := chosen(own, partner)) is not None
    ]
    if not found:
        return None
    keep, copy = np.mean(found, axis=0).tolist()
    return Reaction(keep, copy, len(found))


class Conformity(NamedTuple):
    """The magnet that responds most as a mind does: f(m) = (1 + tanh(beta m + field)) / 2.

    ``beta`` and ``field`` have the least squared distance to the mind's response where partners
    play the first name with a constant probability q, m = 2 q - 1. ``error`` is the root of its
    mean; where that is large, the mind is no magnet. Without a field, a convention is stable for
    beta above one. The field is positive towards the first name. ``response`` is the mind's own,
    at ``HEARD``.
    """

    beta: float
    field: float
    error: float
    response: tuple[float, ...]

    def fitted(self, heard: Any) -> Any:
        """Return the magnet's response to hearing the first name with such probabilities."""
        return (1 + np.tanh(self.beta * (2 * heard - 1) + self.field)) / 2


def fit_conformity(mind: Policy, pool: tuple[str, ...], memory: int) -> Conformity:
    """Fit the response of a mind with two names; raise ``SpecError`` where there is none.

    Notes
    -----
    The form is that of G. De Marzo, C. Castellano and D. Garcia, arXiv 2409.02822 (2024), who ask
    models about groups of a given opinion; C. De Nobili, arXiv 2605.10528 (2026), adds the field.
    Here an opinion is met one partner at a time and remembered, so the response is that of the
    memory's stationary distribution.
    """
    from scipy.optimize import least_squares

    responses = Responses(read_population(mind, pool, memory, heard=pool))
    played = np.array([responses.to_heard(np.array([q, 1 - q])).played[0] for q in HEARD])

    def distance(x: Any) -> Any:
        return Conformity(x[0], x[1], 0.0, ()).fitted(HEARD) - played

    found = least_squares(distance, (1.0, 0.0), bounds=(-STRONGEST, STRONGEST))
    beta, field = found.x.tolist()
    error = float(np.sqrt(np.mean(found.fun**2)))
    return Conformity(beta, field, error, tuple(played.tolist()))


class Persistence(NamedTuple):
    """Whether a name that committed agents have brought about outlasts them.

    Of ``runs`` populations in which so many agents were ``committed``, ``flipped`` turned, and in
    ``lasted`` of these the name was still played most as many rounds after they were released.
    """

    incumbent: str
    challenger: str
    committed: int
    runs: int
    flipped: int
    lasted: int


def persistence(
    spec: Spec, incumbent: str, challenger: str, critical: float, runs: int, rounds: int
) -> Persistence:
    """Play what ``Persistence`` says, as ``tip`` does, with twice the critical share committed."""
    agents = len(spec.initial_state().neighbors)
    committed = min(agents - 1, max(1, math.ceil(COMMITTED * critical * agents)))
    phases = read_phases(challenger, rounds, None, "auto")
    game = Spec(
        graph=spec.graph,
        names=spec.game.pool,
        mind=spec.mind,
        memory=spec.game.memory,
        incumbent=incumbent,
        committed={challenger: committed},
        seed=spec.seed,
    )
    played = play_runs(game, range(runs), phases)
    flipped = [one for one in played if one.flipped]
    lasted = sum(bool(one.lasts) for one in flipped)
    return Persistence(incumbent, challenger, committed, runs, len(flipped), lasted)


def place_shares(recording: Recording) -> tuple[float, ...] | None:
    """Return how often the name in each place is chosen on the empty memory, whatever it is.

    Every name counts the same in every place. None where some name was never asked about in some
    place.
    """
    pool = recording.game.pool
    found: dict[tuple[int, str], list[float]] = defaultdict(list)
    for order, numbers in recording.answers.get((), {}).items():
        if sum(numbers) > 0:
            for place, name in enumerate(order):
                found[place, name].append(numbers[pool.index(name)] / sum(numbers))
    if len(found) < len(pool) ** 2:
        return None
    each = [[float(np.mean(found[place, name])) for name in pool] for place in range(len(pool))]
    return tuple(np.mean(each, axis=1).tolist())


class Coverage(NamedTuple):
    """Which memories a mind was measured on in the very pool that is played.

    Of ``memories`` that an agent can have, ``measured``; of the decisions in populations, the share
    ``visits`` was on such a memory. On the others a mind plays by ``otherwise``.
    """

    measured: int
    memories: int
    visits: float
    otherwise: str


def measured_memories(mind: Mind, pool: tuple[str, ...]) -> tuple[frozenset[Memory], str] | None:
    """Return the memories that a mind was measured on, and what it plays by on others.

    None for minds that say nothing of it.
    """
    if isinstance(mind, RecordedMind):
        rows: Mapping[Memory, Any] = mind.counts.get(pool_key(pool), {})
        return frozenset(rows), "the logit fitted to all recorded decisions"
    if isinstance(mind, TableMind):
        return frozenset(mind.table), "the row of the longest recent part that has one"
    return None


def coverage(mind: Mind, pool: tuple[str, ...], memory: int, played: Ensemble) -> Coverage | None:
    """Return which memories were measured; ``played`` are populations with interactions kept."""
    found = measured_memories(mind, pool)
    if found is None:
        return None
    rows, otherwise = found
    length = min(memory, DEPTH) if isinstance(mind, RecordedMind) else memory
    possible = sum(len(pool) ** (2 * k) for k in range(length + 1))
    seen = [recent[-length:] in rows for recent in _memories(played, memory)]
    measured = sum(len(row) <= length for row in rows)
    return Coverage(measured, possible, float(np.mean(seen)), otherwise)


def _memories(played: Ensemble, length: int) -> list[Memory]:
    """Return the memory of every decision in populations."""
    assert played.interactions is not None
    found = []
    for _, rows in played.interactions.groupby("run", sort=True):
        memories: dict[Any, Memory] = {}
        columns = (rows[name] for name in ("node_a", "node_b", "name_a", "name_b"))
        for a, b, name_a, name_b in zip(*columns, strict=True):
            found += [memories.get(a, ()), memories.get(b, ())]
            memories[a] = remember(memories.get(a, ()), name_a, name_b, length)
            memories[b] = remember(memories.get(b, ()), name_b, name_a, length)
    return found
