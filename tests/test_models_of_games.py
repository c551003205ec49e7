"""The example models of other games: what their READMEs say, and their pages."""

from __future__ import annotations

import importlib
from itertools import islice
from typing import Any

import pytest
import solara

from mesa_llm_norms import NetworkGame
from mesa_llm_norms.simulation import AntiCoordination
from mesa_llm_norms.web.frames import Renderer
from mesa_llm_norms.web.model_source import ModelSource, usual_setting
from mesa_llm_norms.web.views import names_chart, names_network, success_title
from models.battle_of_the_sexes.model import BattleOfTheSexesModel
from models.graph_coloring.model import GraphColoringModel
from models.prisoners_dilemma.model import PrisonersDilemmaModel
from models.public_goods.model import PublicGoodsModel

MODELS: list[type[Any]] = [
    BattleOfTheSexesModel,
    GraphColoringModel,
    PrisonersDilemmaModel,
    PublicGoodsModel,
]


@pytest.mark.parametrize("kind", MODELS)
def test_the_page_shows_moves_outcomes_and_what_the_game_paid(kind: type[NetworkGame]) -> None:
    source: Any = ModelSource(usual_setting(kind), kind)
    renderer = Renderer(source)
    rows = list(islice(source.play(), 60))
    for row in rows:
        renderer.add(row, source.converged, source.agreed)
    frame, game = renderer.frame(source, "paused"), source.model.game
    assert frame.pool == game.pool
    assert game.success_name in success_title(frame.success_name)
    last = rows[-source.agents :]
    assert frame.success_rate == sum(game.success(*row.names) for row in last) / len(last)
    for index, node in enumerate(source.nodes):
        mine = [(row, row.nodes.index(node)) for row in rows if node in row.nodes][-game.memory :]
        details = source.details(index, renderer.history)
        paid = [row.payoffs[seat] for row, seat in mine]
        assert [payoff for *_, payoff in details.memory] == paid
        assert details.score == sum(paid)
    source.close()


@pytest.mark.parametrize("kind", MODELS)
def test_the_program_of_the_model_prints_its_results(
    kind: type[NetworkGame], capsys: pytest.CaptureFixture[str]
) -> None:
    importlib.import_module(kind.__module__).main(rounds=10)
    assert len(capsys.readouterr().out.splitlines()) in (1, 2, 3)


def test_enough_colors_end_all_conflicts_and_two_do_not() -> None:
    three = GraphColoringModel(rng=7)
    three.run(rounds=100)
    assert three.converged
    assert three.conflicts == 0
    two = GraphColoringModel("ring(n=5)", rng=7, game=AntiCoordination(("red", "green")))
    two.run(rounds=30, until=None)
    assert two.conflicts >= 1  # an odd ring has no coloring in two


def test_those_who_defect_are_paid_back() -> None:
    rates = []
    for defectors in (0, 4):
        committed = {"defect": defectors} if defectors else None
        model = PrisonersDilemmaModel(rng=7, committed=committed)
        model.run(rounds=40, until=None)
        table = model.datacollector.get_model_vars_dataframe()
        rates.append(table["success_rate"].mean())
    assert rates[1] < rates[0]


def test_the_favorite_of_the_seat_that_wins_is_paid_best() -> None:
    model = BattleOfTheSexesModel(rng=7)
    model.run(rounds=60)
    assert model.converged
    first, second = map(sum, zip(*(row.payoffs for row in model.rows), strict=True))
    assert (first > second) == (model.outcome.winner == "opera")


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.usefixtures("thread_with_loop")
def test_the_components_for_mesas_own_page_show_it_too(kind: type[NetworkGame]) -> None:
    model = kind(rng=7)
    model.step()
    for component in (names_network, names_chart):
        _, context = solara.render(component(model), handle_error=False)
        context.close()
