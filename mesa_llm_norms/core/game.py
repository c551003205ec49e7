"""The naming game on one page: a pool of names, two simultaneous choices, one payoff.

Rules after Ashery, Aiello and Baronchelli (Science Advances 11, eadu9368, 2025): two neighbors
each choose a name from the pool without seeing the other's choice. Both gain ``reward`` when the
names are equal, and both get ``penalty`` when they differ. Each agent remembers its own last
``memory`` interactions and nothing else; nobody sees the population.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.limits import read_number, read_whole
from mesa_llm_norms.errors import PoolError, shown, some

NAME_RULE = f"A name is {limits.NAME_LENGTH.range} printable characters without spaces around it."


class Interaction(NamedTuple):
    """One row of what happened: everything that metrics, files, plots and pages are made from.

    Parameters
    ----------
    run : int
        The number of the run.
    interaction : int
        Its number in the run, from 0.
    round : int
        The population round it fell in, from 0.
    node_a, node_b : hashable
        The node drawn first, and its partner.
    name_a, name_b : str
        The names they played.
    payoff : float
        What each of the two got, in points.
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
    """The rules under which two agents interact.

    Parameters
    ----------
    pool : tuple of str
        The allowed names in a fixed order; anything that ``names=`` may be.
    reward : float, default 100
        Payoff to each of the two for equal names, in points.
    penalty : float, default -50
        Payoff to each of the two for different names, in points.
    memory : int, default 5
        How many of its last interactions an agent remembers, 1 to 1,000.

    Raises
    ------
    PoolError, SpecError
        For a pool or a number that is not valid.
    """

    pool: tuple[str, ...]
    reward: float = 100
    penalty: float = -50
    memory: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "pool", read_pool(self.pool))
        for argument in ("reward", "penalty"):
            read_number(argument, getattr(self, argument), limits.POINTS)
        object.__setattr__(self, "memory", read_whole("memory", self.memory, limits.MEMORY))

    def payoff(self, own: str, partner: str) -> float:
        """Return what each of two agents gets.

        Parameters
        ----------
        own : str
            The name one plays.
        partner : str
            The name the other plays.

        Returns
        -------
        float
            ``reward`` for equal names, ``penalty`` otherwise.
        """
        return self.reward if own == partner else self.penalty


def read_pool(names: Any) -> tuple[str, ...]:
    """Return the pool that ``names`` stands for.

    Parameters
    ----------
    names : str or sequence of str
        Letters or symbols in a string (``"QM"`` or ``"Q M"``), or a sequence of names. A name is 1
        to 32 printable characters without surrounding spaces; a pool is 2 to 1,000 different names
        in a fixed order, so not a set.

    Returns
    -------
    tuple of str
        The names in order.

    Raises
    ------
    PoolError
        If a name or the pool is not valid.
    """
    if isinstance(names, np.ndarray):
        names = names.tolist()
    if isinstance(names, (bytes, Mapping, Set)) or not isinstance(names, Iterable):
        raise PoolError(
            "names", names, f"{shown(names)} is not a pool", 'Try names="QM" or ["yes", "no"].'
        )
    if isinstance(names, str):
        words = separated(names)
        if words:
            raise PoolError(
                "names",
                names,
                f"{shown(names)} is neither letters nor a list",
                f"Write names={shown(words)}, or letters alone.",
            )
        names = "".join(names.split())
    pool = tuple(islice(names, limits.POOL.high + 1))
    bad = [name for name in pool if not is_name(name)]
    if bad:
        raise PoolError(
            "names",
            names,
            f"not usable as a name: {some(bad)}",
            NAME_RULE,
        )
    twice = (
        sorted({name for name in pool if pool.count(name) > 1})
        if len(pool) <= limits.POOL.high
        else []
    )
    if twice:
        raise PoolError("names", names, f"named twice: {some(twice)}", "List every name once.")
    if len(pool) not in limits.POOL:
        raise PoolError(
            "names", names, f"a pool of {len(pool)}", f"Give {limits.POOL.range} different names."
        )
    return pool


def separated(text: str) -> list[str]:
    """Return the names that marks or spaces separate in a text; none if it is letters alone.

    Punctuation separates letters; among symbols it is a name as any of them.
    """
    letters = any(map(str.isalnum, text))
    marks = {it for it in set(text) if it == "," or (letters and _is_mark(it))}
    words = "".join(" " if it in marks else it for it in text).split()
    if not marks and (len(words) < 2 or max(map(len, words)) == 1):
        return []
    return words if len(words) > 1 else [it for it in text if not it.isspace()]


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "P" or character in "|\uff5c\u00a6\u2502\u2223"


def is_name(name: Any) -> bool:
    """Whether ``name`` may stand in a pool."""
    return (
        isinstance(name, str)
        and len(name) in limits.NAME_LENGTH
        and name == name.strip()
        and not any(
            unicodedata.category(character)[0] in "CZ" for character in name if character != " "
        )
    )


class Remembered(NamedTuple):
    """One remembered interaction, seen from one side.

    Parameters
    ----------
    own : str
        The name I played.
    partner : str
        The name my partner played.
    """

    own: str
    partner: str


Memory: TypeAlias = tuple[Remembered, ...]
"""Oldest first, at most ``Game.memory`` long; empty for an agent that has not interacted."""


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
