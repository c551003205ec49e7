"""The naming game on one page: a pool of names, two simultaneous choices, one payoff.

Rules after Ashery, Aiello and Baronchelli (Science Advances 11, eadu9368, 2025): two neighbours
each choose a name from the pool without seeing the other's choice. Both gain ``reward`` when the
names are equal and both get ``penalty`` when they differ. Each agent remembers its own last
``memory`` interactions and nothing else; nobody sees the population.

What an agent remembers: its last few interactions, oldest first, and nothing else.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from mesa_llm_norms.errors import PoolError, SpecError, some
from mesa_llm_norms.validation import read_whole

MAX_NAME_LENGTH = 32


MAX_POOL = 1_000


MAX_MEMORY = 1_000


MAX_POINTS = 1e9


class Interaction(NamedTuple):
    """One row of what happened: everything that metrics, files, plots and pages are made from.

    ``interaction`` counts from 0 within a run and ``round`` is the population round it fell in,
    from 0. ``node_a`` is the node drawn first and ``node_b`` its partner.
    """

    run: int
    interaction: int
    round: int
    node_a: Hashable
    node_b: Hashable
    name_a: str
    name_b: str
    payoff: float

    @property
    def matched(self) -> bool:
        """Whether both played the same name."""
        return self.name_a == self.name_b


@dataclass(frozen=True, slots=True)
class Game:
    """The rules two agents meet under.

    ``pool`` is the allowed names in a fixed order, ``reward`` and ``penalty`` the payoff to each of
    the two (points, not money), ``memory`` how many of its last interactions an agent remembers.
    """

    pool: tuple[str, ...]
    reward: float = 100
    penalty: float = -50
    memory: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool", read_pool(self.pool))
        for argument in ("reward", "penalty"):
            value: Any = getattr(self, argument)
            number = isinstance(value, (int, float, np.integer, np.floating))
            if not number or isinstance(value, bool):
                raise SpecError(argument, value, f"{value!r} is not a number", "Give points.")
            if not -MAX_POINTS <= value <= MAX_POINTS:
                raise SpecError(
                    argument, value, "out of range", f"Use at most {MAX_POINTS:,.0f} points."
                )
        object.__setattr__(self, "memory", read_whole("memory", self.memory, 1, MAX_MEMORY))

    def payoff(self, own: str, partner: str) -> float:
        """Return what each of the two gets: ``reward`` for equal names, ``penalty`` otherwise."""
        return self.reward if own == partner else self.penalty


def read_pool(names: Any) -> tuple[str, ...]:
    """Return the pool that ``names`` stands for: the letters of a string, or a sequence of names.

    A name is 1 to 32 printable characters without surrounding spaces, a pool 2 to 1,000 different
    names in an order of their own, so no set. Raises ``PoolError`` saying which name is in the way.
    """
    if isinstance(names, np.ndarray):
        names = names.tolist()
    if isinstance(names, (bytes, Mapping, Set)) or not isinstance(names, Iterable):
        raise PoolError(
            "names", names, f"{names!r} is not a pool", 'Try names="QM" or ["yes", "no"].'
        )
    pool = (
        tuple(character for character in names if character != " ")
        if isinstance(names, str)
        else ()
    )
    pool = pool or tuple(names)
    bad = [name for name in pool if not is_name(name)]
    if bad:
        raise PoolError(
            "names",
            names,
            f"not usable as a name: {some(bad)}",
            f"A name is 1 to {MAX_NAME_LENGTH} printable characters without spaces around it.",
        )
    twice = sorted({name for name in pool if pool.count(name) > 1}) if len(pool) <= MAX_POOL else []
    if twice:
        raise PoolError("names", names, f"named twice: {some(twice)}", "List every name once.")
    if not 2 <= len(pool) <= MAX_POOL:
        raise PoolError(
            "names", names, f"a pool of {len(pool)}", f"Give 2 to {MAX_POOL} different names."
        )
    return pool


def is_name(name: Any) -> bool:
    """Whether ``name`` may stand in a pool."""
    return (
        isinstance(name, str)
        and 1 <= len(name) <= MAX_NAME_LENGTH
        and name == name.strip()
        and not any(
            unicodedata.category(character)[0] in "CZ" for character in name if character != " "
        )
    )


class Remembered(NamedTuple):
    """One remembered interaction, seen from one side: what I played, what my partner played."""

    own: str
    partner: str


Memory: TypeAlias = tuple[Remembered, ...]
"""Oldest first, at most ``Game.memory`` long; empty for an agent that has not met anyone."""


def remember(memory: Memory, own: str, partner: str, length: int) -> Memory:
    """Return ``memory`` with one more interaction, keeping the last ``length``."""
    return (*memory, Remembered(own, partner))[-length:]


def filled(name: str, length: int) -> Memory:
    """Return the memory of an agent whose last ``length`` interactions all matched on ``name``."""
    return (Remembered(name, name),) * length


def read_memory(pairs: Iterable[Iterable[str]]) -> Memory:
    """Return the memory made of ``(own, partner)`` pairs, oldest first."""
    return tuple(Remembered(*pair) for pair in pairs)


def score(memory: Memory, game: Game) -> float:
    """Return the points an agent sees as its score: the payoffs of what it remembers, added up."""
    return sum(game.payoff(own, partner) for own, partner in memory)
