"""What happens when moves meet in a game: payoffs, successes, the row, and what each remembers.

Engines ask a ``Referee`` and never a game itself. So whatever a game says is checked once, and a
payoff that a mind is told is the payoff that was given.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import cached_property
from itertools import islice, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mesa_llm_norms.core import limits
from mesa_llm_norms.core.game import (
    Experience,
    Game,
    GameInteraction,
    GameRules,
    Interaction,
    Memory,
    Remembered,
    Row,
    keep,
    read_pool,
)
from mesa_llm_norms.core.limits import read_whole
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import NormsError, SpecError, shown

_MOST_KEPT = 100_000
"""Combinations of moves whose payoffs are kept."""

_TRIED = 10_000
"""Combinations of moves that are tried when a game is checked, at most."""

_TRIED_SEATS = range(2, 7)
"""How many players a game for any number of them is tried with."""


class Referee:
    """Applies the rules of one game.

    Parameters
    ----------
    game : GameRules
        The rules.
    """

    def __init__(self, game: GameRules) -> None:
        self.game = game
        self.length: int = game.memory
        self.naming: bool = isinstance(game, Game)
        self._payoffs: dict[tuple[str, ...], tuple[float, ...]] = {}
        self._successes: dict[tuple[str, ...], bool] = {}

    def payoffs(self, moves: tuple[str, ...]) -> tuple[float, ...]:
        """Return what each seat gets; ``SpecError`` if the game says nothing usable."""
        found = self._payoffs.get(moves)
        if found is None:
            if len(self._payoffs) >= _MOST_KEPT:
                self._payoffs.clear()
            found = self._payoffs[moves] = _read_payoffs(self.game, moves)
        return found

    def success(self, moves: tuple[str, ...]) -> bool:
        """Return whether the game counts these moves as a success."""
        found = self._successes.get(moves)
        if found is None:
            if len(self._successes) >= _MOST_KEPT:
                self._successes.clear()
            found = self._successes[moves] = bool(self.game.success(*moves))
        return found

    def row(
        self, run: int, number: int, round_: int, nodes: Sequence[Hashable], moves: tuple[str, ...]
    ) -> Row:
        """Return the row of an interaction."""
        payoffs = self.payoffs(moves)
        if self.naming:
            (node_a, node_b), (name_a, name_b) = nodes, moves
            return Interaction(run, number, round_, node_a, node_b, name_a, name_b, payoffs[0])
        return GameInteraction(run, number, round_, tuple(nodes), moves, payoffs)

    def experience(self, moves: tuple[str, ...], seat: int) -> Remembered | Experience:
        """Return an interaction as it is remembered at a seat: ``Remembered`` or ``Experience``."""
        own, others = moves[seat], moves[:seat] + moves[seat + 1 :]
        if self.naming:
            return Remembered(own, *others)
        payoff = self.payoffs(moves)[seat]
        return Experience(own, others, payoff, 0 if self.game.symmetric else seat)

    def filled(self, move: str) -> Memory:
        """Return a memory in which everybody made this move, every time."""
        seats = self.game.seats
        if seats is None:
            raise SpecError(
                "incumbent",
                move,
                "nobody can remember a game of any number of players without having met them",
                "Leave it out.",
            )
        past = self.experience((move,) * seats, 0)
        return keep((), past, 1) * self.length

    @cached_property
    def successes(self) -> NDArray[np.bool_]:
        """For games of two seats, which pairs of moves are successes, shape (moves, moves)."""
        pool = self.game.pool
        if self.naming:
            return np.eye(len(pool), dtype=np.bool_)
        return np.array([[self.success((own, other)) for other in pool] for own in pool])


def check_game(game: GameRules) -> None:
    """Check that a game says all that has to be known of it.

    Parameters
    ----------
    game : GameRules
        The rules, of the naming game or any other.

    Raises
    ------
    SpecError
        If a move, the memory, the seats or a payoff cannot be used.
    """
    if isinstance(game, Game):
        return
    if not isinstance(game, GameRules):
        raise SpecError(
            "game",
            game,
            f"{shown(game)} is not a game",
            "Give a MatrixGame, a game that ships, or an object derived from GameRules.",
        )
    name = type(game).__name__
    pool = getattr(game, "pool", None)
    if pool is None or isinstance(pool, str) or read_pool(pool) != pool:
        problem = f"the pool of {name} is {shown(pool)}"
        raise SpecError("game", game, problem, 'Set pool to a tuple of moves: ("stag", "hare").')
    read_whole("memory", game.memory, limits.MEMORY)
    if game.seats is not None:
        read_whole("seats", game.seats, limits.SEATS)
    for seats in _TRIED_SEATS if game.seats is None else [game.seats]:
        most = max(1, _TRIED // seats)
        for moves in islice(product(pool, repeat=seats), most):
            payoffs = _read_payoffs(game, moves)
            if payoffs != _read_payoffs(game, moves):
                problem = f"{name}.payoffs{shown(moves)} differs when asked again"
                raise SpecError("game", game, problem, "Make it a function of the moves alone.")
            if game.symmetric and _read_payoffs(game, moves[::-1]) != payoffs[::-1]:
                raise SpecError(
                    "game",
                    game,
                    f"{name} pays {shown(payoffs)} for {shown(moves)}, and not the same the other "
                    "way round",
                    "Set symmetric = False where the payoffs depend on the seat.",
                )
            _ask(game, "success", moves)
            _ask(game, "outcome", moves)


def game_draws(stream: RandomStream, number: int, seats: int) -> tuple[int, ...]:
    """Return the draw of each seat of an interaction, from 0 to 2**32 - 1."""
    drawn: tuple[int, ...] = stream.interaction(number)[2:]
    if seats > 2:
        drawn += tuple(stream.of("seat", number, seat) >> 32 for seat in range(2, seats))
    return drawn[:seats]


def _read_payoffs(game: GameRules, moves: tuple[str, ...]) -> tuple[float, ...]:
    given = _ask(game, "payoffs", moves)
    if isinstance(game, Game):
        return tuple(given)
    try:
        payoffs = tuple(given)
    except TypeError:
        payoffs = ()
    fits = len(payoffs) == len(moves) and all(
        isinstance(one, (int, float, np.number))
        and not isinstance(one, bool)
        and math.isfinite(one)
        and one in limits.POINTS
        for one in payoffs
    )
    if not fits:
        raise SpecError(
            "game",
            game,
            f"{type(game).__name__}.payoffs{shown(moves)} is {shown(given)}",
            f"Return {len(moves)} numbers, the payoff of each seat.",
        )
    return tuple(map(float, payoffs))


def _ask(game: GameRules, method: str, moves: tuple[str, ...]) -> Any:
    try:
        return getattr(game, method)(*moves)
    except NormsError:
        raise
    except Exception as error:
        raise SpecError(
            "game",
            game,
            f"{type(game).__name__}.{method}{shown(moves)} failed: {type(error).__name__}, {error}",
            "It must answer for every combination of moves.",
        ) from error
