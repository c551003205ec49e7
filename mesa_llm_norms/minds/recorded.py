"""Recorded minds: policies fitted to published decisions of real models, playing any pool.

The policy is a conditional logit over the names of the pool. For each name the memory is read as a
*profile*, newest interaction first, with one letter per interaction: ``B`` both played the name,
``O`` only I did, ``P`` only my partner did, ``N`` neither did. A name's utility is the sum of the
weights of its features, which come in these families::

    name            the name, anywhere
    name_in_pool    the name, in this very pool
    first           the name, nothing remembered
    first_in_pool   the same, in this very pool
    met             whether the name was ever met, by how much is remembered
    lag             one interaction of the profile
    recent          the newest 2 to 5 letters
    whole           a profile shorter than 5
    many_*          lag, recent and whole again, for pools of three or more
    name_recent     the name and its newest letters
    name_whole      the name and its short profile

and ``P(name) = exp(utility) / sum over the pool``. Apart from the weights of names, nothing depends
on which name it is, so a pool of names that were never recorded is played without preference; a
feature that the fit did not see has weight zero. A memory longer than five counts by its last five;
a shorter one is what the recorded agents had in their first interactions.

Where a memory was met often in the very pool that is played, the recorded counts come first:
``P = (n(memory, name) + a * P_logit) / (n(memory) + a)``, with ``a`` the mind's *prior strength*.
This makes a consensus as lasting as it was recorded to be.

Some recorded models differed from run to run by more than chance (``study.fit``). For a pool where
this was found, each run draws an *inverse temperature* b, shared by all agents of the mind, from a
lognormal distribution measured over runs, and plays P**b, renormalized.

Where a mind has ``minds.refits``, each run is played by one of them, drawn for the run, so that
populations vary as much as the fit is uncertain.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import product
from statistics import NormalDist
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core.compiled import load
from mesa_llm_norms.core.game import Game, GameRules, Memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import MindError, some
from mesa_llm_norms.minds.mind import Policy, only_naming
from mesa_llm_norms.minds.recording import OrderedMind, Recording
from mesa_llm_norms.minds.refits import Refits

DEPTH = 5
"""How many interactions the recorded agents remembered."""

MOST_KNOWN = 50_000
"""For how many memories a mind keeps the distribution."""

MOST_POOLS = 1_000
"""For how many pools it keeps what does not depend on a memory."""

MOST_TABLES = 8
"""For how many pools it keeps the tables of its utilities."""

Weights: TypeAlias = dict[str, dict[str, float]]
"""family -> feature -> weight; a feature of two parts joins them with a space."""

Seen: TypeAlias = Mapping[str, Mapping[Memory, Mapping[str, float]]]
"""pool's key -> memory -> how often each name was chosen on it"""

FAMILIES = (
    *("name", "name_in_pool", "first", "first_in_pool", "met", "lag", "recent", "whole"),
    *("many_lag", "many_recent", "many_whole", "name_recent", "name_whole"),
)


class RecordedMind(Policy):
    """A policy fitted to recorded decisions, which plays any pool.

    The module's text defines it. ``load_mind`` returns those that ship with the package.

    Parameters
    ----------
    label : str
        What the mind is called in results and messages.
    weights : dict
        Family, then feature, to weight; every family is there.
    counts : dict, optional
        Pool (its names sorted, with spaces between), then memory, then name, to how often it was
        chosen.
    prior_strength : float, default 10.0
        How many choices the logit counts for, on a memory with recorded counts.
    drift : mapping, optional
        Pool to the median of the inverse temperature over runs and the standard deviation of its
        logarithm; pools that are not listed do not drift.
    provenance : mapping, optional
        What it was fitted to, by what, and how well.
    inverse_temperature : float, default 1.0
        The power to which probabilities are raised.
    recordings : sequence of Recording, default ()
        The answers of a live model that it was made from. They are added to ``counts``: for a
        model that gives probabilities, these count as one choice for each order of names.
    refits : Refits, optional
        Fits to runs drawn again, one of which plays each run. Default: this fit plays them all.

    References
    ----------
    A. F. Ashery, L. M. Aiello, A. Baronchelli, "Emergent social conventions and collective bias in
    LLM populations", Science Advances 11, eadu9368 (2025), whose published decisions were fitted.
    """

    def __init__(
        self,
        label: str,
        weights: Weights,
        counts: Seen | None = None,
        prior_strength: float = 10.0,
        drift: Mapping[str, Sequence[float]] | None = None,
        provenance: Mapping[str, Any] | None = None,
        inverse_temperature: float = 1.0,
        recordings: Sequence[Recording] = (),
        refits: Refits | None = None,
    ) -> None:
        self.label = label
        self.weights = weights
        self.fitted_counts: dict[str, Mapping[Memory, Mapping[str, float]]] = dict(counts or {})
        self.recordings: tuple[Recording, ...] = tuple(recordings)
        self.counts: dict[str, Mapping[Memory, Mapping[str, float]]] = {
            **self.fitted_counts,
            **{pool_key(it.game.pool): it.counts() for it in self.recordings},
        }
        self.prior_strength = prior_strength
        self.drift: dict[str, tuple[float, float]] = {
            pool: (mean, spread) for pool, (mean, spread) in (drift or {}).items()
        }
        self.inverse_temperature = inverse_temperature
        self.provenance: dict[str, Any] = dict(provenance or {})
        self.refits = refits
        self._refit = cache(self._refitted)
        self._shared = cache(self._shared_utility)
        self._own = lru_cache(MOST_KNOWN)(self._own_utility)
        self._alone = lru_cache(MOST_POOLS)(self._utilities_alone)
        self._fitted = lru_cache(MOST_KNOWN)(self._fitted_distribution)
        self._tables = lru_cache(MOST_TABLES)(self._utility_tables)

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        """Return the probabilities of the names on a memory.

        Parameters
        ----------
        memory, pool : see ``Policy.distribution``
            Only the last five interactions of the memory count.

        Returns
        -------
        list of float
            One probability per name of ``pool``, in its order.
        """
        probabilities = self._fitted(memory[-DEPTH:], tuple(pool))
        if self.inverse_temperature == 1:
            return probabilities
        return sharpen(probabilities, self.inverse_temperature)

    def check(self, game: GameRules) -> None:
        """Check that the game is the naming game, which the decisions were made in.

        Parameters
        ----------
        game : GameRules
            The game to be played.

        Raises
        ------
        MindError
            If it is another.
        """
        if not isinstance(game, Game):
            raise only_naming(self, game)

    def for_run(self, game: GameRules, stream: RandomStream) -> RecordedMind:
        """Return the mind as it plays in one run.

        Parameters
        ----------
        game : GameRules
            The game to be played.
        stream : RandomStream
            The run's random numbers.

        Returns
        -------
        RecordedMind
            Itself, or a copy with an inverse temperature drawn for this run if it drifts in this
            pool; the same of the refit drawn for this run if it has refits.
        """
        if self.refits is not None:
            return self._refit(self.number_of_refit(stream)).for_run(game, stream)
        if pool_key(game.pool) not in self.drift:
            return self
        mean, spread = self.drift[pool_key(game.pool)]
        # The wording is a key of the random stream: another one would draw other numbers.
        uniform = ((stream.of(f"sharpness of {self.label}") >> 12) + 0.5) / 2**52
        drawn = mean * math.exp(spread * NormalDist().inv_cdf(uniform))
        mind = object.__new__(type(self))  # shares the cached distributions
        mind.__dict__.update(self.__dict__, drift={}, inverse_temperature=drawn)
        return mind

    def number_of_refit(self, stream: RandomStream) -> int:
        """Return which of its refits plays a run; all are equally likely.

        Parameters
        ----------
        stream : RandomStream
            The run's random numbers.

        Returns
        -------
        int
            The number, from 0; 0 for a mind without refits.
        """
        if self.refits is None:
            return 0
        return stream.of(f"refit of {self.label}") * len(self.refits) >> 64

    def known(self, pool: Sequence[str]) -> tuple[str, ...]:
        """Return the names that were recorded, and so have their own weights.

        Parameters
        ----------
        pool : sequence of str
            Names.

        Returns
        -------
        tuple of str
            Those of them that have weights.
        """
        return tuple(name for name in pool if name in self.weights["name"])

    def tables(self, pool: Sequence[str]) -> UtilityTables:
        """Return the utilities of a pool's names as arrays, for compiled loops.

        Parameters
        ----------
        pool : sequence of str
            The names that can be played.

        Returns
        -------
        UtilityTables
            What ``distribution`` adds up, number for number.
        """
        return self._tables(tuple(pool))

    def with_orders(self, pool: Sequence[str]) -> OrderedMind:
        """Return the mind that is shown the names as the recorded live mind would be.

        Parameters
        ----------
        pool : sequence of str
            The pool of the recording.

        Returns
        -------
        OrderedMind
            Plays row by row what the live mind does, where it gave probabilities. No kernel plays
            it, as what it does depends on more than the memory.

        Raises
        ------
        MindError
            If the answers to this pool are not in the file of this mind.
        """
        for recording in self.recordings:
            if recording.game.pool == tuple(pool):
                return OrderedMind(self, recording)
        raise MindError(
            "mind",
            self.label,
            f"it has no answers of a live mind for the names {some(tuple(pool), 26)}",
            "Record one with these names in this order (mesa-llm-norms record).",
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (
            *(self.label, self.weights, self.fitted_counts, self.prior_strength, self.drift),
            *(self.provenance, self.inverse_temperature, self.recordings, self.refits),
        )

    def _refitted(self, number: int) -> RecordedMind:
        assert self.refits is not None
        return RecordedMind(
            self.label,
            self.refits.weights_of(number, self.weights),
            self.refits.counts_of(number, self.fitted_counts),
            self.prior_strength,
            self.refits.drift_of(number),
            {**self.provenance, "refit": number},
        )

    def _fitted_distribution(self, recent: Memory, pool: tuple[str, ...]) -> Sequence[float]:
        size = len(pool)
        utilities = list(self._alone(pool, not recent))
        stranger = self._shared("N" * len(recent), size)
        met = {name for pair in recent for name in pair}
        for place, name in enumerate(pool):
            if name in met:
                letters = profile(name, recent)
                utilities[place] += self._shared(letters, size) + self._own(name, letters)
            else:
                utilities[place] += stranger
        highest = max(utilities)
        weights = [math.exp(utility - highest) for utility in utilities]
        total = math.fsum(weights)
        probabilities = [weight / total for weight in weights]
        counted = self.counts.get(pool_key(pool), {}).get(recent)
        if counted is not None:
            total = sum(counted.values()) + self.prior_strength
            probabilities = [
                (counted.get(name, 0) + self.prior_strength * probability) / total
                for name, probability in zip(pool, probabilities, strict=True)
            ]
        return probabilities

    def _utilities_alone(self, pool: tuple[str, ...], first: bool) -> list[float]:
        key = pool_key(pool)
        return [self._sum(alone_features(name, key, first)) for name in pool]

    def _shared_utility(self, letters: str, size: int) -> float:
        return self._sum(shared_features(letters, size > 2))

    def _own_utility(self, name: str, letters: str) -> float:
        return self._sum(own_features(name, letters))

    def _utility_tables(self, pool: tuple[str, ...]) -> UtilityTables:
        profiles, weights = _profiles(), self.weights
        lags = [f"{len(letters)}{letters[-1:]}" for letters in profiles]

        def of(family: str, keys: Sequence[str], least: int, most: int = DEPTH) -> list[float]:
            found = weights[family]
            return [
                found.get(key, 0.0) if least <= len(letters) <= most else 0.0
                for key, letters in zip(keys, profiles, strict=True)
            ]

        none = [0.0] * len(profiles)
        shared = []
        for kind in ("", "many_") if len(pool) > 2 else ("",):
            shared += [of(f"{kind}recent", profiles, 2), of(f"{kind}whole", profiles, 1, DEPTH - 1)]
            shared += [of(f"{kind}lag", lags, 1), none]
        by_name = []
        for name in pool:
            keys = [f"{name} {letters}" for letters in profiles]
            by_name.append([of("name_recent", keys, 1), of("name_whole", keys, 1, DEPTH - 1)])
        met = [
            [weights["met"].get(f"{length} {met}", 0.0) if length else 0.0 for met in ("no", "yes")]
            for length in range(DEPTH + 1)
        ]
        own, strangers = np.zeros((len(pool), len(profiles))), np.zeros(DEPTH + 1)
        load("logit").add_up(
            *(np.array(met), np.array(shared), np.array(by_name)),
            *(np.zeros(64), np.zeros(64), own, strangers),
        )
        alone = np.array([self._alone(pool, first) for first in (False, True)])
        return UtilityTables(alone, own, strangers)

    def _sum(self, features: Iterator[tuple[str, str]]) -> float:
        return math.fsum(self.weights[family].get(feature, 0.0) for family, feature in features)


class UtilityTables(NamedTuple):
    """The utilities of the names of a pool.

    Parameters
    ----------
    alone
        Those that a name has whatever it met: with something remembered, and with nothing, shape
        (2, names).
    own
        What a name that was met has besides, by its profile, shape (names, 1365): shorter profiles
        first, and within a length by the letters B, O, P, N as digits to base 4, the newest lowest.
    strangers
        What a name that was not met has besides, by how much is remembered, shape (6,).
    """

    alone: NDArray[np.float64]
    own: NDArray[np.float64]
    strangers: NDArray[np.float64]


@cache
def _profiles() -> list[str]:
    """Return all profiles in the order of ``UtilityTables.own``."""
    return [
        "".join(reversed(letters))
        for length in range(DEPTH + 1)
        for letters in product("BOPN", repeat=length)
    ]


def sharpen(probabilities: Sequence[float], inverse_temperature: float) -> list[float]:
    """Return the probabilities raised to the power ``inverse_temperature``, renormalized."""
    highest = max(probabilities)  # so that not all powers underflow to zero
    powers = [(probability / highest) ** inverse_temperature for probability in probabilities]
    total = math.fsum(powers)
    return [power / total for power in powers]


def profile(name: str, memory: Memory) -> str:
    """Return how ``name`` fared in ``memory``, newest first, as letters B, O, P and N."""
    return "".join(
        "B" if own == partner == name else "O" if own == name else "P" if partner == name else "N"
        for own, partner in reversed(memory)
    )


def pool_key(pool: Sequence[str]) -> str:
    """Return how a pool is written in the weights: sorted, because order carries no meaning."""
    return " ".join(sorted(pool))


def alone_features(name: str, pool: str, first: bool) -> Iterator[tuple[str, str]]:
    """Yield the features a name has whatever it met; ``pool`` is the pool's key."""
    yield "name", name
    yield "name_in_pool", f"{name} {pool}"
    if first:
        yield "first", name
        yield "first_in_pool", f"{name} {pool}"


def shared_features(letters: str, many: bool) -> Iterator[tuple[str, str]]:
    """Yield the features of a profile that do not depend on which name it is."""
    length = len(letters)
    if not length:
        return
    yield "met", f"{length} {'no' if letters == 'N' * length else 'yes'}"
    for kind in ("", "many_") if many else ("",):
        for lag, letter in enumerate(letters, start=1):
            yield f"{kind}lag", f"{lag}{letter}"
        for depth in range(2, length + 1):
            yield f"{kind}recent", letters[:depth]
        if length < DEPTH:
            yield f"{kind}whole", letters


def own_features(name: str, letters: str) -> Iterator[tuple[str, str]]:
    """Yield the features that join a name that was met with how it fared."""
    for depth in range(1, len(letters) + 1):
        yield "name_recent", f"{name} {letters[:depth]}"
    if len(letters) < DEPTH:
        yield "name_whole", f"{name} {letters}"
