"""Preferences for names, and minds without any.

A *preference* compares how often every name of a pool is chosen, or wins, with what is expected:
shares, effect sizes with intervals, corrected tests.

A mind made *symmetric* treats all names alike. A memory has a *pattern*: its names numbered in the
order in which they are met. A mind without preferences answers all memories of a pattern in the
same way: with some probability the first name met, with some the second, and all names never met
with equal ones. A mind made symmetric does that, with the probabilities that the mind has on
average over the pattern's memories. So no name has an advantage, on any network, and each is as
likely to win as any other; how much agents insist, copy and forget stays as it was.
"""

from __future__ import annotations

import itertools
import math
import random
from abc import abstractmethod
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias, TypeVar

from mesa_llm_norms.analysis.intervals import (
    Estimate,
    chi_square_test,
    cohens_h,
    exact_interval,
    exact_test,
    holm,
    total_variation,
    variation_from,
)
from mesa_llm_norms.core.game import GameRules, Memory, Remembered
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.minds.recorded import RecordedMind, sharpen


class NameShare(NamedTuple):
    """How often one name is chosen, and how often it would be if all went as ``expected``.

    ``effect`` is Cohen's h. ``p_value`` is that of the exact binomial test, corrected for the
    number of names (Holm); None where the share is known and nothing is to be tested.
    """

    name: str
    chosen: int | None
    share: Estimate
    expected: float
    effect: Estimate
    p_value: float | None


@dataclass(frozen=True)
class Preference:
    """How often every name of a pool is chosen, against expected shares.

    ``trials`` is None where the shares are known, without sampling error: intervals then are points
    and there are no p-values. ``p_value`` is from the exact test of all names together,
    ``chi_square`` that of Pearson's test, nan where it is not to be trusted. ``variation`` is the
    total variation: what part of the choices would have to change.
    """

    names: tuple[NameShare, ...]
    trials: int | None
    variation: Estimate
    p_value: float | None
    chi_square: float | None

    @property
    def shares(self) -> tuple[float, ...]:
        """The share of every name, in the order of the pool."""
        return tuple(one.share.value for one in self.names)

    @property
    def counts(self) -> tuple[int, ...]:
        """How often every name was counted, in the order of the pool; 0 where nothing was."""
        return tuple(one.chosen or 0 for one in self.names)

    @property
    def favorite(self) -> NameShare:
        """The name that is most frequent; of several, the one furthest above what is expected."""
        return max(self.names, key=lambda one: (one.share.value, one.effect.value))

    def of(self, name: str) -> NameShare:
        """Return the numbers of one name."""
        return next(one for one in self.names if one.name == name)

    def as_object(self) -> dict[str, Any]:
        """Return the preference as plain data, for JSON."""
        return {
            "trials": self.trials,
            "p_value": self.p_value,
            "chi_square_p_value": finite(self.chi_square),
            "total_variation": estimate_object(self.variation),
            "names": [
                {
                    "name": one.name,
                    "count": one.chosen,
                    "share": estimate_object(one.share),
                    "expected": one.expected,
                    "cohens_h": estimate_object(one.effect),
                    "p_value": one.p_value,
                }
                for one in self.names
            ],
        }


def counted(
    pool: Sequence[str], counts: Sequence[int], expected: Sequence[float], level: float
) -> Preference:
    """Return the preference that counts show; each interval holds as often as ``level`` says."""
    trials = sum(counts)
    p_values = [
        exact_test([count, trials - count], [due, 1 - due])
        for count, due in zip(counts, expected, strict=True)
    ]
    # Two names are one question: what one has, the other has not.
    corrected = holm(p_values) if len(pool) > 2 else p_values
    names = []
    for name, count, due, p_value in zip(pool, counts, expected, corrected, strict=True):
        share = count / trials if trials else math.nan
        low, high = exact_interval(count, trials, level)
        effect = Estimate(
            cohens_h(share, due) if trials else math.nan, cohens_h(low, due), cohens_h(high, due)
        )
        names.append(NameShare(name, count, Estimate(share, low, high), due, effect, p_value))
    return Preference(
        tuple(names),
        trials,
        variation_from(counts, expected, level),
        exact_test(counts, expected),
        chi_square_test(counts, expected),
    )


def known(pool: Sequence[str], shares: Sequence[float], expected: Sequence[float]) -> Preference:
    """Return the preference of shares that are known, without sampling error."""
    names = tuple(
        NameShare(name, None, _exactly(share), due, _exactly(cohens_h(share, due)), None)
        for name, share, due in zip(pool, shares, expected, strict=True)
    )
    return Preference(names, None, _exactly(total_variation(shares, expected)), None, None)


def equal(pool: Sequence[str]) -> tuple[float, ...]:
    """Return equal shares for the names of a pool."""
    return (1 / len(pool),) * len(pool)


def finite(number: float | None) -> float | None:
    """Return a number for JSON: None for one that is infinite or missing."""
    return number if number is not None and math.isfinite(number) else None


def estimate_object(estimate: Estimate) -> dict[str, float | None]:
    """Return an estimate as plain data, for JSON."""
    return {field: finite(number) for field, number in estimate._asdict().items()}


def _exactly(number: float) -> Estimate:
    return Estimate(number, number, number)


N = TypeVar("N", bound=Hashable)

Pattern: TypeAlias = tuple[tuple[int, int], ...]
"""A memory with its names numbered as they are met: ``((0, 1), (1, 1))``."""

Roles: TypeAlias = tuple[float, ...]
"""The probability of every name met, in the order met, and of all others together."""

EVERY_WAY = 4
"""Up to this many names, all their permutations are averaged over; with more, the rotations of
a shuffled pool, which put every name into every role equally often."""

_KNOWN = 50_000


def pattern_of(memory: Sequence[tuple[N, N]]) -> tuple[Pattern, tuple[N, ...]]:
    """Return the pattern of a memory, or of part of a pattern, and the names met, in order."""
    met = tuple(dict.fromkeys(name for pair in memory for name in pair))
    number = {name: place for place, name in enumerate(met)}
    return tuple((number[own], number[partner]) for own, partner in memory), met


def put(pattern: Pattern, names: Sequence[str]) -> Memory:
    """Return the memory that a pattern becomes with these names."""
    return tuple(Remembered(names[own], names[partner]) for own, partner in pattern)


def roles_of(shares: Sequence[float], met: Sequence[str], pool: Sequence[str]) -> Roles:
    """Return shares by name as shares by role."""
    by_name = dict(zip(pool, shares, strict=True))
    known = [by_name[name] for name in met]
    return (*known, max(0.0, math.fsum(shares) - math.fsum(known)))


def spread(roles: Roles, met: Sequence[str], pool: Sequence[str]) -> list[float]:
    """Return shares by role as shares by name: what the others have together, divided equally."""
    *known, rest = roles
    place = dict(zip(met, known, strict=True))
    others = len(pool) - len(met)
    total = math.fsum(known) + (rest if others else 0.0)
    return [place.get(name, rest / others if others else 0.0) / total for name in pool]


class Symmetric(Policy):
    """A mind that answers by the pattern of its memory alone; subclasses give ``roles``."""

    @abstractmethod
    def roles(self, pattern: Pattern, pool: tuple[str, ...]) -> Roles:
        """Return how often names are chosen on a pattern, by their role in it."""

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        """Return the probability of each name of ``pool``, in its order."""
        pattern, met = pattern_of(memory)
        return spread(self.roles(pattern, tuple(pool)), met, pool)


class SymmetricMind(Symmetric):
    """A policy made symmetric: on every pattern, what ``mind`` does on average over names.

    A recorded mind that is sharper in some runs than in others stays so, and one with refits is
    each of them made symmetric.
    """

    def __init__(self, mind: Policy) -> None:
        self.mind = mind
        self.inverse_temperature: float = 1.0
        self.label: str = f"{mind.label}, made symmetric"
        self._known = lru_cache(_KNOWN)(self._average)
        self._of_refits: dict[int, SymmetricMind] = {}

    def roles(self, pattern: Pattern, pool: tuple[str, ...]) -> Roles:
        """Return how often names are chosen on a pattern, by their role in it."""
        return self._known(pattern, pool)

    def _average(self, pattern: Pattern, pool: tuple[str, ...]) -> Roles:
        met = 1 + max((number for pair in pattern for number in pair), default=-1)
        ways = Counter(order[:met] for order in _orders(pool))
        sums = [0.0] * (met + 1)
        for names, times in ways.items():
            shares = self.mind.distribution(put(pattern, names), pool)
            for role, share in enumerate(roles_of(shares, names, pool)):
                sums[role] += times * share
        return tuple(total / ways.total() for total in sums)

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        """Return the probability of each name of ``pool``, in its order."""
        shares = super().distribution(memory, pool)
        return (
            sharpen(shares, self.inverse_temperature) if self.inverse_temperature != 1 else shares
        )

    def for_run(self, game: GameRules, stream: RandomStream) -> SymmetricMind:
        """Return this mind for one run, in which a recorded mind may be sharper than in others."""
        mind = self.mind.for_run(game, stream)
        if mind is self.mind or not isinstance(mind, Policy):
            return self
        if not isinstance(mind, RecordedMind):
            return SymmetricMind(mind)
        fit = self
        if isinstance(self.mind, RecordedMind) and self.mind.refits is not None:
            number = self.mind.number_of_refit(stream)
            fit = self._of_refits.setdefault(number, SymmetricMind(mind))
        sharper = object.__new__(type(self))  # shares what is known of the averages
        sharper.__dict__.update(fit.__dict__, inverse_temperature=mind.inverse_temperature)
        return sharper

    def check(self, game: GameRules) -> None:
        """Raise ``MindError`` where the mind itself would."""
        self.mind.check(game)

    def __reduce__(self) -> tuple[type, tuple[Policy]]:
        return type(self), (self.mind,)


class MeasuredSymmetric(Symmetric):
    """A symmetric mind from answers that were counted, by pattern.

    A pattern that was not measured is answered as the longest recent part of it that was.
    """

    label = "as measured, made symmetric"

    def __init__(self, measured: Mapping[Pattern, Roles]) -> None:
        self.measured: dict[Pattern, Roles] = dict(measured)

    def roles(self, pattern: Pattern, pool: tuple[str, ...]) -> Roles:
        """Return what was measured on the pattern, or on the longest part of it that was."""
        for start in range(len(pattern) + 1):
            recent, met = pattern_of(pattern[start:])
            if recent in self.measured:
                *known, rest = self.measured[recent]
                roles = [0.0] * (1 + max((n for pair in pattern for n in pair), default=-1))
                for number, share in zip(met, known, strict=True):
                    roles[number] = share
                forgotten = len(roles) - len(met)
                others = len(pool) - len(met)
                for number in set(range(len(roles))) - set(met):
                    roles[number] = rest / others
                return (*roles, rest * (others - forgotten) / others if others else rest)
        raise KeyError(pattern)


class FirstChoices(Policy):
    """Chooses first as was measured, and after that as another mind does."""

    def __init__(self, first: Sequence[float], pool: Sequence[str], rest: Policy) -> None:
        self.first: dict[str, float] = dict(zip(pool, first, strict=True))
        self.rest = rest
        self.label: str = f"first choices as measured, then {rest.label}"

    def distribution(self, memory: Memory, pool: Sequence[str]) -> Sequence[float]:
        """Return the probability of each name of ``pool``, in its order."""
        return self.rest.distribution(memory, pool) if memory else [self.first[n] for n in pool]

    def for_run(self, game: GameRules, stream: RandomStream) -> FirstChoices:
        """Return this mind for one run, with the other mind of that run."""
        rest = self.rest.for_run(game, stream)
        if rest is self.rest or not isinstance(rest, Policy):
            return self
        return FirstChoices(list(self.first.values()), list(self.first), rest)

    def check(self, game: GameRules) -> None:
        """Raise ``MindError`` where the other mind would."""
        self.rest.check(game)


@lru_cache(16)
def _orders(pool: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the orders of a pool to average over; every name is in every place equally often."""
    if len(pool) <= EVERY_WAY:
        return tuple(itertools.permutations(pool))
    order = tuple(random.Random(len(pool)).sample(pool, len(pool)))
    return tuple(order[turn:] + order[:turn] for turn in range(len(order)))
