"""What minds are shown by ``sees=``: in prompts, policies, tables and journals."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from mesa_llm_norms import (
    LLMSettings,
    NamingAgent,
    NetworkGame,
    NormsError,
    Policy,
    run_ensemble,
)
from mesa_llm_norms.core.games import AntiCoordination, PrisonersDilemma
from mesa_llm_norms.minds.mind import Decision, Mind, Sight, Situation
from mesa_llm_norms.simulation.kernel import can_run
from mesa_llm_norms.simulation.serialization import from_json, to_json
from mesa_llm_norms.testing import FakeProvider

GAME = AntiCoordination(memory=2)


def town() -> nx.Graph[Any]:
    graph: nx.Graph[Any] = nx.cycle_graph(6)
    nx.set_node_attributes(graph, {n: "smith" if n == 0 else "farmer" for n in graph}, "job")
    return graph


class Avoiding(Policy):
    """Takes a color that no neighbor holds, as far as it is shown them."""

    label = "avoiding"

    def __init__(self, taken: Sequence[str | None] = ()) -> None:
        self.taken = taken

    def seeing(self, seen: tuple[Sight, ...]) -> Avoiding:
        (name,) = [one for one in seen if one.attribute == "name"]
        return Avoiding(name.neighbors)

    def distribution(self, memory: Any, pool: Sequence[str]) -> Sequence[float]:  # noqa: ARG002
        free = [float(color not in self.taken) for color in pool]
        return [one / sum(free) for one in free]


class Waiting(Mind):
    """The same by the situation alone, as a mind that has to be asked."""

    label = "waiting"

    async def decide(self, situation: Situation) -> Decision:
        pool = situation.game.pool
        shares = Avoiding().seeing(situation.seen).distribution((), pool)
        edges = [sum(shares[: place + 1]) * 2**32 for place in range(len(pool))]
        return Decision(pool[bisect_right(edges, situation.draw)])


def users(sees: Any, graph: Any = None, **others: Any) -> list[str]:
    provider = FakeProvider()
    graph = town() if graph is None else graph
    model = NetworkGame(graph, GAME, provider.mind(), rng=3, sees=sees, **others)
    model.step()
    model.close()
    return [question.prompt.user for question in provider.asked]


def test_a_prompt_shows_nothing_by_itself_and_what_is_chosen_before_what_is_asked() -> None:
    assert all(user.startswith("The moves, in no particular order") for user in users(()))
    head = "What you know of yourself and of your neighbors:\njob: yours "
    smith, by_smith, other = (
        f"{head}{own}; your neighbors' {theirs}\n\n"
        for own, theirs in (
            ("smith", "farmer (2)"),
            ("farmer", "farmer (1), smith (1)"),
            ("farmer", "farmer (2)"),
        )
    )
    shown = users("job")
    for user in shown:
        assert user.startswith((smith, by_smith, other))
        assert user.split("\n\n", 1)[1].startswith("The moves, in no particular order")
    assert any(user.startswith(smith) for user in shown)
    assert any(user.startswith(by_smith) for user in shown)


def test_moves_of_neighbors_are_shown_as_they_are_when_it_is_decided() -> None:
    provider = FakeProvider()
    model = NetworkGame("ring(n=6)", GAME, provider.mind(), rng=3, sees="name")
    held: dict[Any, str] = {}
    expected = []
    for row in model.play(12):
        for node in row.nodes:
            around = sorted((held.get(one) for one in model.network.G[node]), key=str)
            expected.append(sorted(one or "none yet" for one in around))
        held.update(zip(row.nodes, row.names, strict=True))
    model.close()
    asked = sorted(
        sorted(
            value
            for part in question.prompt.user.split("\n")[1].split("neighbors' ")[1].split(", ")
            for value in [part.rsplit(" (", 1)[0]] * int(part.rsplit("(", 1)[1][:-1])
        )
        for question in provider.asked
    )
    assert asked == sorted(expected)


def test_a_policy_and_a_mind_see_the_same_in_models_and_ensembles() -> None:
    arguments: dict[str, Any] = {"pairing": "edge", "rng": 5, "sees": "name"}
    model = NetworkGame("ring(n=12)", GAME, Avoiding(), **arguments)
    rows: list[Any] = []
    for _ in range(10):
        model.step()
        rows += model.rows
    other = NetworkGame("ring(n=12)", GAME, Waiting(), **arguments)
    for row in rows:
        assert next(other.play(1)) == row
    played = run_ensemble(
        "ring(n=12)",
        mind=Avoiding(),
        game=GAME,
        runs=1,
        rounds=10,
        until=None,
        keep_interactions=True,
        **arguments,
    )
    assert played.interactions is not None
    assert played.interactions["name_a"].tolist() == [row.names[0] for row in rows]
    assert not can_run(model)
    colors = model.names_held
    clashes = sum(colors[a] == colors[b] for a, b in model.network.G.edges)
    blind = NetworkGame("ring(n=12)", GAME, "uniform", "edge", rng=5)
    blind.run(rounds=10, until=None)
    assert clashes < sum(
        blind.names_held[a] == blind.names_held[b] for a, b in model.network.G.edges
    )


class Worker(NamingAgent):
    wealth = 10

    def learn(self, past: Any) -> None:
        super().learn(past)
        self.wealth = self.wealth + int(past.payoff)


class Economy(NetworkGame):
    player_type = Worker


@pytest.mark.parametrize("concurrency", [1, 8])
def test_attributes_of_agents_change_in_play_and_are_resumed(
    tmp_path: Path, concurrency: int
) -> None:
    def play(model: Economy) -> list[Any]:
        rows: list[Any] = []
        for _ in range(3):
            model.step()
            rows += model.rows
        model.close()
        return rows

    provider, again, other = FakeProvider(), FakeProvider(), FakeProvider()
    sees = ("wealth", "job")
    llm = LLMSettings(folder=tmp_path / "run", max_concurrency=concurrency)
    rows = play(Economy(town(), GAME, provider.mind(), rng=1, sees=sees, llm=llm))
    assert any("wealth: yours 12" in question.prompt.user for question in provider.asked)
    resumed = Economy.resume(tmp_path / "run", mind=again.mind())
    table = resumed.datacollector
    assert play(resumed) == rows
    assert not again.asked
    agents = table.get_agent_vars_dataframe()
    assert list(agents) == ["wealth", "job", "name", "score"]
    assert agents["job"].tolist().count("smith") == 3
    alone = LLMSettings(max_concurrency=1)
    assert play(Economy(town(), GAME, other.mind(), rng=1, sees=sees, llm=alone)) == rows


def test_an_attribute_changed_between_two_interactions_is_seen_by_the_next() -> None:
    def run(concurrency: int) -> list[Any]:
        provider = FakeProvider()
        llm = LLMSettings(max_concurrency=concurrency)
        model = NetworkGame(town(), GAME, provider.mind(), rng=1, sees="job", llm=llm)
        rows = []
        for number, row in enumerate(model.play(18)):
            rows.append(row)
            model.network.G.nodes[number % 6]["job"] = f"job{number}"
        model.close()
        return rows

    assert run(1) == run(16)


def test_a_spec_holds_what_is_shown() -> None:
    model = NetworkGame(town(), PrisonersDilemma(), "uniform", sees=["job", "name"])
    written = to_json(model.spec)
    assert written["sees"]["attributes"] == ["job", "name"]
    assert [0, {"job": "smith"}] in written["sees"]["nodes"]
    read = from_json(written)
    assert read.sees == ("job", "name")
    assert read.graph.nodes[0]["job"] == "smith"
    assert to_json(read) == written
    assert "sees" not in to_json(NetworkGame(town(), GAME).spec)


@pytest.mark.parametrize("sees", [3, "", [""], ["job", "job"], {"job"}, [None], "\n"])
def test_what_names_no_attribute_is_refused(sees: Any) -> None:
    with pytest.raises(NormsError, match="attribute"):
        NetworkGame(town(), GAME, sees=sees)


def test_an_attribute_that_nobody_has_or_that_is_no_value_is_refused() -> None:
    with pytest.raises(NormsError, match="nor its agent has an attribute 'jobs'"):
        NetworkGame(town(), GAME, sees="jobs").step()
    graph = town()
    graph.nodes[2]["job"] = ["smith"]
    with pytest.raises(NormsError, match="neither a text nor a number"):
        NetworkGame(graph, GAME, sees="job").step()
    with pytest.raises(NormsError, match="would bypass sees"):
        NetworkGame(town(), GAME, sees="job").run(rounds=1, until=None, engine="kernel")


def test_the_naming_game_shows_none() -> None:
    with pytest.raises(NormsError, match="naming game"):
        run_ensemble(town(), "QM", "uniform", sees="job", runs=1)
