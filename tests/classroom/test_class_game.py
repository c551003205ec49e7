"""The game of a class is a run of the naming game in which some choices were students'."""

from __future__ import annotations

import pytest

from mesa_llm_norms.classroom.class_game import ClassGame
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.model import NamingGame


def test_without_students_the_rows_are_those_of_the_mind_alone() -> None:
    game = ClassGame("ring(n=8)", "QMX", "claude-3.5-sonnet", 5)
    alone = NamingGame("ring(n=8)", "QMX", pairing="matching", rng=5, until=None)
    for _ in range(6):
        game.play_round({})
        alone.step()
        assert game.rows[-len(alone.rows) :] == alone.rows


def test_the_plan_says_who_plays_in_the_round_that_follows() -> None:
    game = ClassGame("complete(n=7)", "QM", "uniform", 2)
    for _ in range(4):
        turns = dict(game.turns)
        played = {
            (row.interaction, seat): node
            for row in game.play_round({})
            for seat, node in enumerate((row.node_a, row.node_b))
        }
        assert played == {tuple(turn): game.nodes[index] for index, turn in turns.items()}


def test_a_choice_changes_what_others_remember_and_nothing_that_was_drawn() -> None:
    game, other = (ClassGame("complete(n=6)", "QM", "claude-3.5-sonnet", 2) for _ in range(2))
    turn = next(iter(game.turns.values()))
    (own,) = [row for row in other.play_round({}) if row.interaction == turn.interaction]
    another = "M" if own[5 + turn.seat] == "Q" else "Q"
    (row,) = [it for it in game.play_round({turn: another}) if it.interaction == turn.interaction]
    assert row[5 + turn.seat] == another
    assert row[6 - turn.seat] == own[6 - turn.seat]
    assert game.turns == other.turns


@pytest.mark.parametrize("mind", ["claude:claude-haiku-5-5", "classical"])
def test_minds_that_cost_money_or_play_another_game_are_refused(mind: str) -> None:
    with pytest.raises(SpecError, match="recorded mind"):
        ClassGame("complete(n=6)", "QM", mind, 1)


def test_agents_are_shown_names_in_different_orders_that_stay() -> None:
    game = ClassGame("complete(n=40)", "QM", "uniform", 1)
    orders = [game.order_of_names(i) for i in range(40)]
    assert 5 < orders.count([0, 1]) < 35
    assert orders == [game.order_of_names(i) for i in range(40)]
    assert sorted(game.order_of_agents()) == list(range(40))
