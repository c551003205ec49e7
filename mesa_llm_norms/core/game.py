"""The rules of games: the moves, what each player gets for them, and what it remembers.

``GameRules`` is what any game says. ``Game`` is the naming game: a pool of names, two simultaneous
choices, one payoff. Its rules are after Ashery, Aiello and Baronchelli (Science Advances 11,
eadu9368, 2025): two neighbors each choose a name from the pool without seeing the other's choice.
Both gain ``reward`` when the names are equal, and both get ``penalty`` when they differ. Each agent
remembers its own last ``memory`` interactions and nothing else; nobody sees the population.
"""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.formatting import signed
from mesa_llm_norms.core.limits import read_number, read_whole
from mesa_llm_norms.errors import PoolError, SpecError, shown, some

SPELLED_OUT = 12
"""Moves of a game whose payoffs are told a player one by one, at most."""

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

    @property
    def nodes(self) -> tuple[Hashable, ...]:
        """The nodes by seat, as in ``GameInteraction``."""
        return self.node_a, self.node_b

    @property
    def names(self) -> tuple[str, ...]:
        """The names by seat, as in ``GameInteraction``."""
        return self.name_a, self.name_b

    @property
    def payoffs(self) -> tuple[float, ...]:
        """The payoffs by seat, as in ``GameInteraction``."""
        return self.payoff, self.payoff


class GameInteraction(NamedTuple):
    """One row of any other game: what an ``Interaction`` is for the naming game.

    Parameters
    ----------
    run, interaction, round : int
        As in ``Interaction``.
    nodes : tuple of hashable
        Who met, one node per seat; the one drawn first has seat 0.
    names : tuple of str
        The moves they played, by seat.
    payoffs : tuple of float
        What each of them got, by seat.
    """

    run: int
    interaction: int
    round: int
    nodes: tuple[Hashable, ...]
    names: tuple[str, ...]
    payoffs: tuple[float, ...]


SUCCESS_RATE = "success rate"
"""What the share of interactions that matched is called in the naming game."""

Row: TypeAlias = Interaction | GameInteraction
"""Both have ``nodes``, ``names`` and ``payoffs`` by seat."""


class GameRules(ABC):
    """What a game says; derive your own from it, as a frozen dataclass if it has parameters.

    Attributes
    ----------
    pool : tuple of str
        The moves that a player can make, in a fixed order: 2 to 1,000 names.
    memory : int, default 5
        How many of its last interactions an agent remembers, 1 to 1,000.
    seats : int or None, default 2
        How many agents meet at once; None for any number, which ``payoffs`` is then called with.
    symmetric : bool, default True
        Whether payoffs depend on the moves alone, and not on who sits where.
    success_name : str, default "equal moves"
        What a success is called, on the page.
    """

    __slots__ = ()

    pool: tuple[str, ...]
    memory: int = 5
    seats: int | None = 2
    symmetric: bool = True
    success_name: str = "equal moves"

    @abstractmethod
    def payoffs(self, *moves: str) -> Sequence[float]:
        """Return what each player gets; a function of the moves alone.

        Parameters
        ----------
        *moves : str
            The move of each seat, that of the agent drawn first in front.

        Returns
        -------
        sequence of float
            The payoff of each seat, in points, shape (seats,).
        """

    def success(self, *moves: str) -> bool:
        """Return whether the interaction counts as a success; by default, if all moves are equal.

        ``success_rate`` is the share of successes, and ``converged`` counts on them.

        Parameters
        ----------
        *moves : str
            The move of each seat.

        Returns
        -------
        bool
            Whether it does.
        """
        return len(set(moves)) == 1

    def outcome(self, *moves: str) -> str:
        """Return what these moves together are called; by default, the moves themselves.

        Parameters
        ----------
        *moves : str
            The move of each seat.

        Returns
        -------
        str
            A few words, for tables and the page.
        """
        return " / ".join(moves)

    def rules(self, seat: int = 0) -> str:
        """Return the rules as a player is told them; by default, every payoff in a line of its own.

        Parameters
        ----------
        seat : int, default 0
            The player's seat; the rules name it only where the payoffs depend on it.

        Returns
        -------
        str
            Sentences for a prompt.

        Raises
        ------
        SpecError
            Where there is no default: for other than two seats, or for more than 12 moves.
        """
        if self.seats != 2 or len(self.pool) > SPELLED_OUT:
            raise SpecError(
                "game",
                self,
                f"{type(self).__name__} does not say how a player is told its rules",
                "Override rules(seat): sentences that state what each player gets.",
            )
        lines = ["Two players each choose a move at the same moment, without seeing the other's."]
        if not self.symmetric:
            lines[0] += f" You are player {seat + 1} of 2."
        for own in self.pool:
            for partner in self.pool:
                moves = (own, partner) if seat == 0 else (partner, own)
                given = self.payoffs(*moves)
                lines.append(
                    f"If you choose {own} and the other player chooses {partner}, you get "
                    f"{signed(given[seat])} points and the other player gets "
                    f"{signed(given[1 - seat])} points."
                )
        return "\n".join(lines)

    def worded(self, past: Experience) -> str:
        """Return a remembered interaction as the player is told it, its payoff apart.

        Parameters
        ----------
        past : Experience
            The interaction.

        Returns
        -------
        str
            Words for a prompt, in one line.
        """
        if len(past.others) == 1:
            role = "" if self.symmetric else f" as player {past.seat + 1}"
            return f"You chose {past.own}{role}, the other player chose {past.others[0]}"
        counts = ", ".join(
            f"{past.others.count(move)} chose {move}" for move in self.pool if move in past.others
        )
        return f"You chose {past.own}; of the {len(past.others)} other players {counts}"


@dataclass(frozen=True, slots=True)
class Game(GameRules):
    """The rules of the naming game, under which two agents interact.

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

    def payoffs(self, *moves: str) -> tuple[float, ...]:
        """Return what each of the two gets, which is the same."""
        return (self.payoff(*moves),) * 2


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


class Experience(NamedTuple):
    """One remembered interaction of any other game than the naming game, seen from one seat.

    Parameters
    ----------
    own : str
        The move I made.
    others : tuple of str
        The moves of the other players, by seat.
    payoff : float
        What I got for it, as the game gave it.
    seat : int, default 0
        Where I sat; always 0 where the payoffs do not depend on it.
    """

    own: str
    others: tuple[str, ...]
    payoff: float
    seat: int = 0

    @property
    def partner(self) -> str:
        """The move of the only other player; ``ValueError`` if there were more."""
        (partner,) = self.others
        return partner


Memory: TypeAlias = tuple[Remembered, ...]
"""Oldest first, at most ``GameRules.memory`` long; empty for an agent that has not interacted.

In games other than the naming game each entry is an ``Experience``, which has ``own`` and
``partner`` as well.
"""


def remember(memory: Memory, own: str, partner: str, length: int) -> Memory:
    """Return ``memory`` with one more interaction, keeping the last ``length``."""
    return keep(memory, Remembered(own, partner), length)


def keep(memory: Memory, past: Remembered | Experience, length: int) -> Memory:
    """Return ``memory`` with one more interaction of any game, keeping the last ``length``."""
    return (*memory, cast(Remembered, past))[-length:]


def filled(name: str, length: int) -> Memory:
    """Return the memory of an agent whose last ``length`` interactions all matched on ``name``."""
    return (Remembered(name, name),) * length


def read_memory(pairs: Iterable[Iterable[str]]) -> Memory:
    """Return the memory made of ``(own, partner)`` pairs, oldest first."""
    return tuple(Remembered(*pair) for pair in pairs)


def score(memory: Memory, game: GameRules) -> float:
    """Return the points an agent sees as its score: the payoffs of what it remembers, added up."""
    return sum(payoff_of(past, game) for past in memory)


def success_label(game: GameRules) -> str:
    """Return what a chart or a column of ``success_rate`` is called, which depends on the game."""
    return SUCCESS_RATE if isinstance(game, Game) else game.success_name


def others_of(past: Remembered | Experience) -> tuple[str, ...]:
    """Return the moves of the others in a remembered interaction."""
    return past.others if isinstance(past, Experience) else (past[1],)


def as_pairs(memory: Any) -> Memory:
    """Return a memory of a game of two as own moves and partners', whatever else is in it."""
    return tuple(
        Remembered(past.own, past.partner) if isinstance(past, Experience) else past
        for past in memory
    )


def payoff_of(past: Remembered | Experience, game: GameRules) -> float:
    """Return what a remembered interaction brought."""
    if isinstance(past, Experience):
        return past.payoff
    assert isinstance(game, Game)
    return game.payoff(*past)
