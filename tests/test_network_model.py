"""What the Mesa models share: the columns that a user adds to the data they collect."""

from __future__ import annotations

import pickle
from typing import Any

import mesa
import pytest
from mesa_batches import batch_run

from mesa_llm_norms import ClassicalGame, NamingGame
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.network_model import NetworkModel

GAMES = pytest.mark.parametrize("game", [NamingGame, ClassicalGame])


def population(model: NetworkModel[Any]) -> int:
    return len(model.players)


class Crowd(NamingGame):
    """A game with a column of its own, beside those it is given."""

    def __init__(self, *, reporters: Any = None, **arguments: Any) -> None:
        own = {"population": population}
        super().__init__(reporters={**own, **(reporters or {})}, **arguments)


@GAMES
def test_reporters_are_added_to_the_columns_of_the_game(game: Any) -> None:
    before = game("ring(n=6)", "QM", rng=1)
    before.step()
    model = game(
        "ring(n=6)",
        "QM",
        rng=1,
        reporters={
            "agents": population,
            "left": "converged",
            "twice": [lambda number: 2 * number, [21]],
        },
        agent_reporters={"node": "node", "known": lambda agent: agent.unique_id},
    )
    model.step()
    table = model.datacollector.get_model_vars_dataframe()
    own = before.datacollector.get_model_vars_dataframe()
    assert list(table) == [*own, "agents", "left", "twice"]
    assert table[list(own)].equals(own)
    assert table.iloc[0][["agents", "twice"]].tolist() == [6, 42]
    agents = model.datacollector.get_agent_vars_dataframe()
    assert list(agents)[-2:] == ["node", "known"]
    assert agents["node"].tolist() == list(range(6))


def test_a_subclass_adds_its_own_and_passes_on_those_it_is_given() -> None:
    model = Crowd(graph="ring(n=6)", names="QM", rng=1, reporters={"length": "interactions"})
    model.run(rounds=2, until=None)
    table = model.datacollector.get_model_vars_dataframe()
    assert table[["population", "length"]].to_numpy().tolist() == [[6, 6], [6, 12]]


def test_a_batch_run_of_mesa_has_the_columns() -> None:
    parameters = {"graph": "ring(n=6)", "names": "QM", "reporters": [{"agents": population}]}
    rows = batch_run(NamingGame, parameters, seed=1, max_steps=2)
    assert {row["agents"] for row in rows} == {6}


def test_an_attribute_is_missing_for_agents_who_are_no_players() -> None:
    model = NamingGame("ring(n=4)", "QM", rng=1, agent_reporters={"node": "node"})
    other = mesa.Agent(model)
    model.step()
    table = model.datacollector.get_agent_vars_dataframe().droplevel(0)
    assert table.loc[other.unique_id].isna().all()
    assert table["node"].dropna().tolist() == list(range(4))


def test_an_attribute_that_no_player_has_is_an_error() -> None:
    model = NamingGame("ring(n=4)", "QM", rng=1, agent_reporters={"nod": "nod"})
    with pytest.raises(AttributeError, match="nod"):
        model.step()


@GAMES
def test_a_model_with_reporters_can_be_pickled(game: Any) -> None:
    model = game(
        "ring(n=6)", "QM", rng=1, reporters={"n": population}, agent_reporters={"at": "node"}
    )
    model.step()
    copy = pickle.loads(pickle.dumps(model))
    for one in (model, copy):
        one.step()
    assert copy.datacollector.model_vars == model.datacollector.model_vars


@GAMES
@pytest.mark.parametrize("argument", ["reporters", "agent_reporters"])
@pytest.mark.parametrize("given", [population, "agents", [population], {1: population}, {"n": 3}])
def test_what_gives_no_column_is_refused(game: Any, argument: str, given: Any) -> None:
    with pytest.raises(SpecError) as caught:
        game("ring(n=6)", "QM", **{argument: given})
    assert caught.value.argument == argument


@GAMES
def test_a_column_of_the_game_is_not_replaced(game: Any) -> None:
    with pytest.raises(SpecError, match="'interactions' is a column of the game already"):
        game("ring(n=6)", "QM", reporters={"interactions": population})
