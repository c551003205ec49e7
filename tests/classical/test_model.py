"""The classical game as a Mesa model."""

from __future__ import annotations

from typing import Any

import networkx as nx
import pytest
from classical_cases import players
from mesa_batches import batch_run
from scipy import sparse

from mesa_llm_norms.classical.ensemble import run_classical
from mesa_llm_norms.classical.model import ClassicalAgent, ClassicalGame
from mesa_llm_norms.errors import GraphError, SpecError


def test_a_step_is_a_round_of_as_many_interactions_as_agents_and_is_collected() -> None:
    model = ClassicalGame(graph="ring(n=30)", rng=1)
    assert (model.round, model.interactions, model.converged) == (None, 0, False)
    model.step()
    model.step()
    assert model.interactions == 60
    assert [row.interaction for row in model.rows] == list(range(30, 60))
    assert {row.round for row in model.rows} == {1}
    table = model.datacollector.get_model_vars_dataframe()
    assert list(table) == ["interactions", "success_rate", "total_words", "distinct_words"]
    assert table["interactions"].tolist() == [30, 60]
    last = table.iloc[-1]
    matches = sum(row.matched for row in model.rows)
    assert last["success_rate"] == pytest.approx(matches / 30)
    assert last["total_words"] == sum(len(agent.inventory) for agent in players(model))


def test_a_run_stops_at_consensus_within_a_round() -> None:
    model = ClassicalGame(rng=1)
    outcome = model.run(rounds=500)
    assert outcome.converged
    assert outcome.interactions == model.interactions == model.rows[-1].interaction + 1
    assert outcome.interactions % 24 > 0
    assert {agent.inventory for agent in players(model)} == {(outcome.winner,)}
    assert model.rows[-1].matched
    assert outcome.rounds == len(model.datacollector.model_vars["interactions"])


def test_names_held_are_the_words_last_uttered_or_agreed_on() -> None:
    model = ClassicalGame(graph="star(n=9)", rng=2)
    assert set(model.names_held.values()) == {None}
    held: dict[Any, str | None] = dict.fromkeys(range(9))
    for _ in range(5):
        model.step()
        for row in model.rows:
            held[row.speaker] = row.word
            if row.matched:
                held[row.hearer] = row.word
    assert model.names_held == held


def test_any_node_ids_weights_and_directions_will_do() -> None:
    graph = nx.DiGraph([("Ann", ("Bob", 1)), (("Bob", 1), 3.5)])
    graph.edges["Ann", ("Bob", 1)]["weight"] = 2
    model = ClassicalGame(graph=graph, names=["yes", "no"], rng=1)
    model.run(rounds=20)
    assert {(row.speaker, row.hearer) for row in model.rows} <= set(graph.edges)
    assert model.agent_on(3.5).inventory
    assert all(row.word in ("yes", "no") for row in model.rows)
    with pytest.raises(KeyError):
        model.agent_on("nobody")


def test_incumbents_and_committed_agents_start_out_with_their_words() -> None:
    model = ClassicalGame(
        names="QM", incumbent="Q", committed={"M": (3, "hubs")}, graph="star(n=10)", rng=1
    )
    assert model.agent_on(0).committed == "M"
    held = [agent.inventory for agent in players(model)]
    assert (held.count(("M",)), held.count(("Q",))) == (3, 7)
    outcome = model.run(rounds=500)
    assert (outcome.converged, outcome.winner) == (True, "M")


def test_a_share_of_the_agents_can_be_committed() -> None:
    model = ClassicalGame(committed={"M": 0.25}, rng=1)
    assert [agent.committed for agent in players(model)].count("M") == 6


def test_agents_can_be_put_on_empty_nodes_only_and_words_are_checked() -> None:
    model = ClassicalGame(names="QM", rng=1)
    cell = next(iter(model.network))
    with pytest.raises(SpecError, match="is taken"):
        ClassicalAgent(model, cell)
    model.agent_on(cell.coordinate).remove()
    with pytest.raises(SpecError, match="not in the pool"):
        ClassicalAgent(model, cell, committed="Z")
    ClassicalAgent(model, cell, committed="M")
    model.step()
    assert model.agent_on(cell.coordinate).inventory == ("M",)


def test_agents_and_models_are_for_subclassing() -> None:
    class Forgetful(ClassicalAgent):
        def agree(self, word: str) -> None:
            super().agree(word)
            if self.model.interactions % 2:
                self.update((), self.name)

    class Watched(ClassicalGame):
        seen = 0

        def step(self) -> None:
            super().step()
            self.seen += len(self.rows)

    model = Watched(graph="complete(n=10)", rng=1)
    cell = next(iter(model.network))
    model.agent_on(cell.coordinate).remove()
    Forgetful(model, cell)
    for engine in ("python", "auto"):
        model.run(rounds=5, until=None, engine=engine)
    assert model.seen == model.interactions == 100


def test_a_batch_run_varies_it() -> None:
    parameters: dict[str, Any] = {"graph": ["ring(n=8)", "complete(n=8)"], "names": "QM"}
    rows = batch_run(ClassicalGame, parameters, seed=1, max_steps=10)
    assert {row["graph"] for row in rows} == {"ring(n=8)", "complete(n=8)"}
    for row in rows:
        rounds = row["interactions"] // 8
        assert rounds in (10, 11)  # Mesa 3.3 counts max_steps from 0
        expected = ClassicalGame(graph=row["graph"], names="QM", rng=1)
        expected.run(rounds=rounds, until=None)
        assert expected.round is not None
        assert row["total_words"] == expected.round.total_words


def test_a_sparse_array_is_a_graph_too() -> None:
    listed = nx.circulant_graph(12, [1, 2])
    array = sparse.csr_array(nx.to_scipy_sparse_array(listed, format="csr"))
    expected = run_classical(graph=listed, runs=3, rng=1).runs
    assert run_classical(graph=array, runs=3, rng=1).runs.equals(expected)
    model = ClassicalGame(graph=array, rng=1, run=2)
    assert model.run().interactions == expected["interactions"].iloc[2]
    assert not model.network.G.is_directed()
    with pytest.raises(GraphError):
        run_classical(graph=sparse.csr_array((3, 4)), runs=1)


def test_the_winner_of_a_run_without_consensus_is_the_word_most_hold() -> None:
    model = ClassicalGame(graph="ring(n=40)", rng=1)
    outcome = model.run(rounds=3, until=None)
    words = [word for agent in players(model) for word in agent.inventory]
    most = max(words.count(word) for word in words)
    best = min((int(word[1:]) for word in words if words.count(word) == most), default=None)
    assert (outcome.winner, outcome.share) == (f"w{best}", most / 40)
    assert not outcome.converged
