"""Replays of games other than the naming game: as they were in the model, move by move."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from recorded_rows import record_of

from mesa_llm_norms import MatrixGame, NetworkGame
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.simulation import (
    AntiCoordination,
    BattleOfTheSexes,
    GameRules,
    PublicGoods,
)
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.results import write_run
from mesa_llm_norms.testing import FakeProvider
from mesa_llm_norms.web.explained import explain
from mesa_llm_norms.web.frames import Renderer
from mesa_llm_norms.web.replay import FolderSource, read_recorded_run

GAMES: list[GameRules] = [
    MatrixGame({"HH": 4, "HS": 3, "SH": 0, "SS": 5}, outcomes={"SS": "a stag"}, successes=["SS"]),
    BattleOfTheSexes(memory=2),
    AntiCoordination(),
    PublicGoods(factor=2, memory=3),
]


def played(folder: Path, game: GameRules, mind: Any = "uniform") -> NetworkGame:
    pairing: Any = "neighborhood" if game.seats is None else "node"
    llm = LLMSettings(folder=folder)
    return NetworkGame(
        "ring(n=6)", game, mind, pairing, committed={game.pool[1]: [0]}, rng=7, llm=llm
    )


def check(model: NetworkGame, folder: Path, interactions: int) -> None:
    """Compare what a folder shows with a model that plays the same from its start."""
    recorded = read_recorded_run(folder)
    source = FolderSource(recorded)
    renderer = Renderer(source)
    assert type(model.game).__name__ in recorded.heading
    assert len(recorded.rows) == interactions
    for row, expected in zip(source.play(), model.play(interactions), strict=True):
        assert row == expected
        renderer.add(row, source.converged, source.agreed)
        assert (source.converged, source.agreed) == (model.converged, model.agreed)
        assert source.committed() == {0: model.game.pool[1]}
        for place, node in enumerate(source.nodes):
            agent, details = model.agent_on(node), source.details(place, renderer.history)
            past: list[Any] = list(agent.memory)
            assert details.name == agent.name
            assert details.score == agent.score
            assert details.memory == tuple((it.own, ", ".join(it.others), it.payoff) for it in past)
    assert renderer.frame(source, "paused").success_name == model.game.success_name


@pytest.mark.parametrize("game", GAMES, ids=lambda game: type(game).__name__)
def test_a_folder_shows_the_moves_and_payoffs_of_its_game(tmp_path: Path, game: GameRules) -> None:
    model = played(tmp_path / "unused", game)
    run = play_run(model.spec, 0, Goal(None), 4, keep=True)
    write_run(
        tmp_path,
        model.spec,
        goal=Goal(None),
        most=4,
        rounds=run.rounds,
        record=record_of(model.spec, tmp_path, run.rows),
        outcome=run.outcome,
    )
    check(model, tmp_path, 24)


def test_a_journal_shows_the_exchanges_of_a_game_in_groups(tmp_path: Path) -> None:
    model = played(tmp_path / "run", PublicGoods(), FakeProvider().mind())
    model.run(rounds=2, until=None)
    model.close()
    check(played(tmp_path / "again", PublicGoods(), FakeProvider().mind()), tmp_path / "run", 12)
    source = FolderSource(read_recorded_run(tmp_path / "run"))
    renderer = Renderer(source)
    for row in source.play():
        renderer.add(row, source.converged, source.agreed)
    exchange = source.details(3, renderer.history).exchange
    assert exchange is not None
    assert "To contribute costs you" in exchange.system
    encounter = source.encounter()
    assert encounter is not None
    told = explain(encounter, source.referee, source.answers(encounter))
    assert PublicGoods().outcome(*encounter.row.names) in told["summary"]
    assert len(told["agents"]) == 3


def test_a_game_of_a_users_own_is_not_looked_up_where_it_is_shown(tmp_path: Path) -> None:
    class Own(PublicGoods):
        pass

    model = played(tmp_path / "run", Own(), FakeProvider().mind())
    model.run(rounds=1, until=None)
    model.close()
    with pytest.raises(FileFormatError, match="not looked up where a run is only shown"):
        read_recorded_run(tmp_path / "run")
