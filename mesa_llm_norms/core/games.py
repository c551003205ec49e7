"""Games that ship: any two-player game as a table, three well-known ones, and public goods.

All are frozen dataclasses, so a journal holds them by name and arguments. Payoffs are in points.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import import_module
from operator import attrgetter
from typing import Any

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import GameRules, read_pool
from mesa_llm_norms.core.limits import read_number
from mesa_llm_norms.errors import SpecError, shown


@dataclass(frozen=True)
class MatrixGame(GameRules):
    """A game of two players, given as a table of payoffs.

    Parameters
    ----------
    table : mapping
        For each pair of moves what it pays: ``{("stag", "stag"): 4, ("stag", "hare"): 0, ...}``.
        A number is what a player gets who makes the first move against the second; a pair
        ``(1, 2)`` is what the player drawn first, who made the first move, and its partner get.
        For moves of one letter a key may be ``"SH"``.
    memory : int, default 5
        How many of its last interactions an agent remembers.
    successes : iterable of pairs, optional
        The pairs of moves that count as a success. Default: those of equal moves.
    outcomes : mapping, optional
        What pairs of moves are called. Default: the moves.

    Raises
    ------
    SpecError
        If the table lacks a pair, or numbers and pairs are mixed.
    """

    table: Any
    memory: int = 5
    successes: Any = None
    outcomes: Any = ()
    pool: tuple[str, ...] = field(init=False)
    symmetric: bool = field(init=False)

    def __post_init__(self) -> None:
        given = dict(_pairs("table", self.table))
        pool = tuple(dict.fromkeys(move for moves in given for move in moves))
        missing = [(own, other) for own in pool for other in pool if (own, other) not in given]
        if missing or len(pool) < 2:
            raise SpecError(
                "table",
                self.table,
                f"there is no payoff for {shown(missing[0] if missing else ())}",
                "Give every pair of moves its payoff, in both orders.",
            )
        single = [not isinstance(value, (tuple, list)) for value in given.values()]
        if any(single):
            if not all(single):
                problem = "some payoffs are numbers and others are pairs"
                raise SpecError("table", self.table, problem, "Give numbers throughout, or pairs.")
            given = {moves: (given[moves], given[moves[::-1]]) for moves in given}
        table = {moves: tuple(value) for moves, value in given.items()}
        for payoff in (payoff for value in table.values() for payoff in value):
            read_number("table", payoff, limits.POINTS)
        symmetric = all(table[moves[::-1]] == value[::-1] for moves, value in table.items())
        kept = {
            "pool": read_pool(pool),
            "symmetric": symmetric,
            "table": tuple(table.items()),
            "outcomes": tuple(_pairs("outcomes", self.outcomes)),
            "_payoffs": table,
        }
        if self.successes is not None:
            named = tuple(
                moves for moves, _ in _pairs("successes", ((it, 0) for it in self.successes))
            )
            if not set(named) <= set(table):
                problem = f"{shown(named)} are not pairs of moves"
                raise SpecError("successes", self.successes, problem, "Name pairs of the table.")
            kept["successes"] = named
        for name, value in kept.items():
            object.__setattr__(self, name, value)

    @property
    def success_name(self) -> str:  # type: ignore[override]
        """What a success is called."""
        if self.successes is None:
            return "equal moves"
        return " or ".join(dict.fromkeys(self.outcome(*moves) for moves in self.successes))

    def payoffs(self, *moves: str) -> Sequence[float]:
        """Return what the table says of these two moves."""
        return self._payoffs[moves]  # type: ignore[attr-defined,no-any-return]

    def success(self, *moves: str) -> bool:
        """Return whether these moves are among the ``successes``."""
        return super().success(*moves) if self.successes is None else moves in self.successes

    def outcome(self, *moves: str) -> str:
        """Return what ``outcomes`` calls these moves, or the moves."""
        return str(dict(self.outcomes).get(moves, super().outcome(*moves)))


def _pairs(argument: str, given: Any) -> Iterable[tuple[tuple[str, ...], Any]]:
    """Yield pairs of moves with what is said of each, from a mapping or a list of both."""
    try:
        items = list(given.items() if isinstance(given, Mapping) else given)
        for moves, value in items:
            pair = tuple(moves)
            if len(pair) != 2 or not all(isinstance(move, str) for move in pair):
                raise ValueError
            yield pair, value
    except (TypeError, ValueError) as error:
        problem = f"{shown(given)} does not say something of pairs of moves"
        raise SpecError(argument, given, problem, 'Name them as ("stag", "hare").') from error


@dataclass(frozen=True)
class PrisonersDilemma(GameRules):
    """Two players cooperate or defect: defecting always pays more, cooperating together best.

    A success is an interaction in which both cooperate.

    Parameters
    ----------
    temptation, reward, punishment, sucker : float
        What a player gets who defects on a cooperator (default 5); if both cooperate (3); if both
        defect (1); and who cooperates with a defector (0). In this order they must fall.
    memory : int, default 5
        How many of its last interactions an agent remembers.

    Raises
    ------
    SpecError
        If the payoffs are not those of a dilemma.

    References
    ----------
    M. A. Nowak and R. M. May, "Evolutionary games and spatial chaos", Nature 359, 826 (1992).
    """

    temptation: float = 5
    reward: float = 3
    punishment: float = 1
    sucker: float = 0
    memory: int = 5

    pool = ("cooperate", "defect")
    success_name = "mutual cooperation"

    def __post_init__(self) -> None:
        _check_points(self)
        if not self.temptation > self.reward > self.punishment > self.sucker:
            raise SpecError(
                "game",
                self,
                "these payoffs are no dilemma",
                "Give temptation > reward > punishment > sucker, or use MatrixGame.",
            )

    def payoffs(self, *moves: str) -> Sequence[float]:
        """Return the payoffs of both."""
        if moves[0] == moves[1]:
            return (self.reward if moves[0] == "cooperate" else self.punishment,) * 2
        pays = self.sucker, self.temptation
        return pays if moves[0] == "cooperate" else pays[::-1]

    def success(self, *moves: str) -> bool:
        """Return whether both cooperate."""
        return moves == ("cooperate", "cooperate")

    def outcome(self, *moves: str) -> str:
        """Return ``mutual cooperation``, ``mutual defection`` or ``exploitation``."""
        if moves[0] != moves[1]:
            return "exploitation"
        return "mutual cooperation" if self.success(*moves) else "mutual defection"


@dataclass(frozen=True)
class BattleOfTheSexes(GameRules):
    """Two players want to do the same, and each has a favorite: the seat says whose it is.

    The player drawn first prefers the opera, its partner football. A success is an interaction in
    which they do the same.

    Parameters
    ----------
    favorite, other, apart : float
        What a player gets if both do what it prefers (default 3), if both do the other thing (2),
        and if they part (0). In this order they must fall.
    memory : int, default 5
        How many of its last interactions an agent remembers.

    Raises
    ------
    SpecError
        If the payoffs do not fall.

    References
    ----------
    R. D. Luce and H. Raiffa, Games and Decisions (Wiley, 1957), chapter 5.
    """

    favorite: float = 3
    other: float = 2
    apart: float = 0
    memory: int = 5

    pool = ("opera", "football")
    symmetric = False
    success_name = "together"

    def __post_init__(self) -> None:
        _check_points(self)
        if not self.favorite > self.other > self.apart:
            remedy = "Give favorite > other > apart, or use MatrixGame."
            raise SpecError("game", self, "these payoffs are not of this game", remedy)

    def payoffs(self, *moves: str) -> Sequence[float]:
        """Return the payoffs of the player drawn first and of its partner."""
        if moves[0] != moves[1]:
            return self.apart, self.apart
        pays = self.favorite, self.other
        return pays if moves[0] == "opera" else pays[::-1]

    def outcome(self, *moves: str) -> str:
        """Return ``opera``, ``football`` or ``apart``."""
        return moves[0] if moves[0] == moves[1] else "apart"


@dataclass(frozen=True)
class AntiCoordination(GameRules):
    """Two players want different colors: on a network, graph coloring by its own nodes.

    A success is an interaction in which the colors differ.

    Parameters
    ----------
    colors : tuple of str, default ("red", "green", "blue")
        The moves.
    reward, penalty : float, default 1 and 0
        What each of the two gets for different and for equal colors.
    memory : int, default 5
        How many of its last interactions an agent remembers.

    References
    ----------
    M. Kearns, S. Suri and N. Montfort, "An experimental study of the coloring problem on human
    subject networks", Science 313, 824 (2006).
    """

    colors: tuple[str, ...] = ("red", "green", "blue")
    reward: float = 1
    penalty: float = 0
    memory: int = 5

    success_name = "different colors"

    def __post_init__(self) -> None:
        object.__setattr__(self, "colors", read_pool(self.colors))
        _check_points(self, "colors")

    @property
    def pool(self) -> tuple[str, ...]:  # type: ignore[override]
        """The colors."""
        return self.colors

    def payoffs(self, *moves: str) -> Sequence[float]:
        """Return what both get, which is the same."""
        return (self.reward if self.success(*moves) else self.penalty,) * 2

    def success(self, *moves: str) -> bool:
        """Return whether the colors differ."""
        return moves[0] != moves[1]

    def outcome(self, *moves: str) -> str:
        """Return ``different`` or ``conflict``."""
        return "different" if self.success(*moves) else "conflict"


@dataclass(frozen=True)
class PublicGoods(GameRules):
    """Everybody who meets contributes or keeps; what is contributed grows and is shared by all.

    For any number of players: a node and its neighbors under ``pairing="neighborhood"``. A success
    is an interaction in which all contribute.

    Parameters
    ----------
    factor : float, default 3
        What each point contributed grows to. Alone in keeping pays while it is below the number of
        players; all contributing pays while it is above 1.
    cost : float, default 1
        What a contribution costs, in points.
    memory : int, default 5
        How many of its last interactions an agent remembers.

    References
    ----------
    F. C. Santos, M. D. Santos and J. M. Pacheco, "Social diversity promotes the emergence of
    cooperation in public goods games", Nature 454, 213 (2008).
    """

    factor: float = 3
    cost: float = 1
    memory: int = 5

    pool = ("contribute", "keep")
    seats = None
    success_name = "all contribute"

    def __post_init__(self) -> None:
        _check_points(self)

    def payoffs(self, *moves: str) -> Sequence[float]:
        """Return everybody's share of the pot, less the cost for those who contributed."""
        share = self.factor * self.cost * moves.count("contribute") / len(moves)
        return [share - self.cost * (move == "contribute") for move in moves]

    def success(self, *moves: str) -> bool:
        """Return whether all contribute."""
        return "keep" not in moves

    def outcome(self, *moves: str) -> str:
        """Return how many contribute: ``2 of 5 contribute``."""
        return f"{moves.count('contribute')} of {len(moves)} contribute"

    def rules(self, seat: int = 0) -> str:  # noqa: ARG002  (all seats are alike)
        """Return the rules as a player is told them."""
        return (
            "You and all other players of your group each choose at the same moment, without "
            "seeing what the others choose.\n"
            f"To contribute costs you {self.cost:.15g} points; to keep costs nothing.\n"
            f"All contributions are added up and multiplied by {self.factor:.15g}. The result is "
            "shared equally by all players of the group, whether they contributed or not."
        )


SHIPPED: Mapping[str, type[GameRules]] = {
    kind.__name__: kind
    for kind in (MatrixGame, PrisonersDilemma, BattleOfTheSexes, AntiCoordination, PublicGoods)
}
"""The games that a journal names by class."""


def _check_points(game: Any, *apart: str) -> None:
    """Check every number of a game but its memory."""
    for one in fields(game):
        if one.name not in ("memory", *apart):
            read_number(one.name, getattr(game, one.name), limits.POINTS)


def write_game(game: GameRules) -> dict[str, Any]:
    """Return a game as JSON data: its class, and the fields it is made from.

    Parameters
    ----------
    game : GameRules
        A game that ships, or one of your own: a dataclass, or an object without state.

    Returns
    -------
    dict
        ``"class"``, the name of a game that ships or ``module:class``, and ``"fields"``.

    Raises
    ------
    SpecError
        If the game holds what JSON cannot.
    """
    kind = type(game)
    name = kind.__name__ if SHIPPED.get(kind.__name__) is kind else None
    values = (
        {one.name: getattr(game, one.name) for one in fields(game) if one.init}
        if (is_dataclass(game))
        else dict(vars(game))
    )
    try:
        written = json.loads(json.dumps(values, allow_nan=False))
        if values and not is_dataclass(game):
            raise TypeError("it is no dataclass")
    except (TypeError, ValueError) as error:
        raise SpecError(
            "game",
            game,
            f"what {kind.__name__} holds cannot be put on record ({error})",
            "Make it a frozen dataclass of numbers, texts, tuples and mappings.",
        ) from error
    return {"class": name or f"{kind.__module__}:{kind.__qualname__}", "fields": written}


def read_game(written: Any, own: bool = True) -> GameRules:
    """Return the game that ``write_game`` wrote.

    Parameters
    ----------
    written : dict
        What it returned.
    own : bool, default True
        Whether the module of a game of your own may be imported.

    Returns
    -------
    GameRules
        An equal game.

    Raises
    ------
    SpecError
        If it cannot be made again.
    """
    name, values = written["class"], written["fields"]
    kind: Any = SHIPPED.get(name)
    problem = "it is not looked up where a run is only shown"
    if kind is None and own:
        module, _, path = name.partition(":")
        try:
            kind = attrgetter(path)(sys.modules.get(module) or import_module(module))
            problem = "that is no class derived from GameRules"
        except Exception as error:
            problem = f"it cannot be imported ({type(error).__name__}: {error})"
    if not (isinstance(kind, type) and issubclass(kind, GameRules)):
        raise SpecError(
            "game",
            name,
            f"the game is {shown(name)}: {problem}",
            "Put its module where Python finds it, or pass the game again: game=...",
        )
    return kind(**{name: _frozen(value) for name, value in values.items()})


def _frozen(value: Any) -> Any:
    return tuple(map(_frozen, value)) if isinstance(value, list) else value
