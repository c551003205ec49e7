"""The games that ship, and any game as a table."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms import (
    MatrixGame,
    NormsError,
)
from mesa_llm_norms.core.formatting import signed
from mesa_llm_norms.core.game import Experience, GameRules
from mesa_llm_norms.core.games import (
    AntiCoordination,
    BattleOfTheSexes,
    PrisonersDilemma,
    PublicGoods,
    read_game,
    write_game,
)
from mesa_llm_norms.core.referee import Referee, check_game

STAG_HUNT = {"SS": 4, "SH": 0, "HS": 3, "HH": 2}
SHIPPED = [
    PrisonersDilemma(),
    BattleOfTheSexes(memory=3),
    AntiCoordination(("red", "green")),
    PublicGoods(factor=2.5),
    MatrixGame(STAG_HUNT),
]


@dataclass(frozen=True)
class Chicken(GameRules):
    crash: float = -10
    pool = ("swerve", "straight")

    def payoffs(self, *moves: str) -> Any:
        if moves == ("straight", "straight"):
            return self.crash, self.crash
        return [float(move == "straight") for move in moves]


@pytest.mark.parametrize("game", [*SHIPPED, Chicken(-5)], ids=lambda game: type(game).__name__)
def test_a_game_comes_back_from_json_and_keeps_the_contract(game: GameRules) -> None:
    check_game(game)
    assert read_game(json.loads(json.dumps(write_game(game)))) == game


@given(st.lists(st.floats(-100, 100), min_size=8, max_size=8), st.booleans())
def test_a_table_pays_what_it_says(numbers: list[float], pairs: bool) -> None:
    moves = [(own, other) for own in "AB" for other in "AB"]
    if pairs:
        table: Any = dict(zip(moves, zip(numbers[::2], numbers[1::2], strict=True), strict=True))
        expected = table
    else:
        table = dict(zip(moves, numbers, strict=False))
        expected = {(own, other): (table[own, other], table[other, own]) for own, other in moves}
    game = MatrixGame(table)
    check_game(game)
    assert {pair: game.payoffs(*pair) for pair in moves} == expected
    told = game.rules()
    for own, other in moves:
        paid = signed(expected[own, other][0])
        assert f"choose {own} and the other player chooses {other}, you get {paid} points" in told


def test_every_seat_is_told_its_own_payoffs() -> None:
    game = BattleOfTheSexes()
    first, second = game.rules(0), game.rules(1)
    assert "you get +3 points and the other player gets +2" in first.split("football")[0]
    assert "you get +2 points and the other player gets +3" in second.split("football")[0]
    past = Referee(game).experience(("opera", "opera"), 1)
    assert past == Experience("opera", ("opera",), 2.0, 1)
    assert "as player 2" in game.worded(past)


def test_a_public_good_is_shared_and_its_cost_is_not() -> None:
    game = PublicGoods(factor=3)
    assert list(game.payoffs("contribute", "keep", "keep")) == [0, 1, 1]
    assert sum(game.payoffs(*["contribute"] * 5)) == pytest.approx(10)
    assert game.outcome("contribute", "keep", "keep") == "1 of 3 contribute"


@dataclass(frozen=True)
class Odd(GameRules):
    pays: Any = (1, 1)
    pool: Any = ("a", "b")
    seats: Any = 2
    memory: Any = 5

    def payoffs(self, *moves: str) -> Any:
        return self.pays(*moves) if callable(self.pays) else self.pays


@pytest.mark.parametrize(
    "game",
    [
        Odd((1,)),
        Odd(1),
        Odd((1, True)),
        Odd((1, "2")),
        Odd((1, float("nan"))),
        Odd((1, 1e12)),
        Odd((1, 2)),  # says that it is symmetric
        Odd(lambda *_: 1 / 0),
        Odd(pool="ab"),
        Odd(pool=("a",)),
        Odd(pool=None),
        Odd(seats=1),
        Odd(memory=0),
        "naming",
    ],
)
def test_a_game_that_cannot_be_played_is_refused_in_our_words(game: Any) -> None:
    with pytest.raises(NormsError):
        check_game(game)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PrisonersDilemma(temptation=1),
        lambda: BattleOfTheSexes(other=9),
        lambda: MatrixGame({"AA": 1, "AB": 2, "BB": 0}),
        lambda: MatrixGame({"AA": 1, "AB": (2, 1), "BA": 1, "BB": 0}),
        lambda: MatrixGame({"AAA": 1}),
        lambda: MatrixGame(7),
        lambda: MatrixGame(STAG_HUNT, successes=["SX"]),
        lambda: AntiCoordination(("red",)),
        lambda: PublicGoods(factor=float("inf")),
    ],
)
def test_bad_payoffs_are_refused(make: Any) -> None:
    with pytest.raises(NormsError):
        make()


def test_a_game_that_cannot_be_found_again_says_so() -> None:
    for name in ("no.such:Game", "json:dumps", "mesa_llm_norms:Missing", "nothing"):
        with pytest.raises(NormsError, match="pass the game again"):
            read_game({"class": name, "fields": {}})
    with pytest.raises(NormsError, match="only shown"):
        read_game(write_game(Chicken()), own=False)
    with pytest.raises(NormsError, match="on record"):
        write_game(Odd(lambda *_: (1, 1)))
