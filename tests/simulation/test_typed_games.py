"""Games by name, wherever one is taken."""

from __future__ import annotations

from typing import Any

import pytest

from mesa_llm_norms import NetworkGame, run_ensemble
from mesa_llm_norms.core.games import (
    AntiCoordination,
    BattleOfTheSexes,
    PrisonersDilemma,
    PublicGoods,
)
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.simulation.typed import parse_game


@pytest.mark.parametrize(
    ("text", "game"),
    [
        ("prisoners_dilemma", PrisonersDilemma()),
        ("Prisoners-Dilemma(6, memory=3)", PrisonersDilemma(6, memory=3)),
        ("BattleOfTheSexes(favorite=5)", BattleOfTheSexes(5)),
        ("anti_coordination(colors=RGB, reward=2)", AntiCoordination(("R", "G", "B"), 2)),
        ("anti_coordination('red, green')", AntiCoordination(("red", "green"))),
        ("public goods(factor=1.5)", PublicGoods(1.5)),
    ],
)
def test_a_game_is_typed_by_its_name_and_what_is_not_as_usual(text: str, game: Any) -> None:
    assert parse_game(text) == game


@pytest.mark.parametrize(
    "text",
    [
        *("", "(", "prisoners_dilemma(", "prisoners_dilemma(1,2,3,4,5,6)", "prisoners_dilemma(x)"),
        *("prisoners_dilemma(6, temptation=7)", "public_goods(cost=(1,2))", "naming_game"),
        *("anti_coordination(colors=3)", "anti_coordination(colors=R)", "x" * 100_000),
    ],
)
def test_a_game_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(SpecError):
        parse_game(text)


def test_a_name_does_wherever_a_game_is_taken() -> None:
    name = "prisoners_dilemma(temptation=9)"
    assert NetworkGame("ring(n=4)", name).game == PrisonersDilemma(9)
    given: dict[str, Any] = {"mind": "uniform", "runs": 1, "rounds": 1, "until": None}
    assert run_ensemble("ring(n=4)", game=name, **given).spec.rules == PrisonersDilemma(9)
    with pytest.raises(SpecError, match="there is no game 'stag'"):
        NetworkGame(game="stag")
