"""The compiled loop and plain Python play the same game, row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import networkx as nx
import numpy as np
import pytest
from classical_cases import games, players
from hypothesis import given, settings
from hypothesis import strategies as st

from mesa_llm_norms.analysis.agreement import name_clusters
from mesa_llm_norms.classical.engine import (
    CAPACITY,
    Agreement,
    ClassicalEngine,
    ClassicalKernel,
    PackedPlayers,
    WordTally,
)
from mesa_llm_norms.classical.ensemble import run_classical
from mesa_llm_norms.classical.game import ClassicalSpec, WellMixed
from mesa_llm_norms.classical.model import ClassicalAgent, ClassicalGame
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.networks.adjacency import Neighbors

GOALS = st.sampled_from(["converged", "agreed", None])


def both(arguments: dict[str, Any], run: int = 0) -> tuple[ClassicalEngine, ClassicalKernel]:
    """Return the two engines at the start of the same run."""
    given = {**arguments, "seed": arguments["rng"]}
    del given["rng"]
    initial = ClassicalSpec(**given).initial_state(run)
    plain = ClassicalEngine(
        initial.rules, initial.neighbors, initial.players(), initial.stream, WordTally()
    )
    packed = PackedPlayers.of_initial_state(initial)
    kernel = ClassicalKernel(initial.rules, initial.neighbors, packed, initial.stream, WordTally())
    return plain, kernel


def assert_same(plain: ClassicalEngine, kernel: ClassicalKernel) -> None:
    places = range(len(plain.players))
    assert kernel.rows == plain.rows
    assert replace(kernel.tally, spoken=kernel.spoken()) == plain.tally
    assert kernel.agreed == Agreement(plain.players, plain.tally.spoken).reached
    assert [kernel.packed.inventory(n) for n in places] == [p.inventory for p in plain.players]
    assert [kernel.packed.name(n) for n in places] == [p.name for p in plain.players]


@settings(max_examples=250)
@given(games(), st.integers(0, 5), st.integers(1, 12), GOALS)
def test_the_kernel_plays_what_plain_python_plays(
    arguments: dict[str, Any], run: int, rounds: int, until: str | None
) -> None:
    plain, kernel = both(arguments, run)
    for _ in range(rounds):
        ended = plain.play_round(until)
        assert kernel.play_round(until) == ended
        assert_same(plain, kernel)
        if ended is None:
            break


@settings(max_examples=60)
@given(games(), st.integers(0, 40), GOALS)
def test_a_model_is_the_same_on_both_engines_and_is_the_run_of_an_ensemble(
    arguments: dict[str, Any], rounds: int, until: str | None
) -> None:
    outcomes, models = [], []
    for engine in ("python", "kernel"):
        model = ClassicalGame(**arguments, run=1)
        outcomes.append(model.run(rounds=rounds, until=until, engine=engine))
        models.append(model)
    plain, kernel = models
    assert outcomes[0] == outcomes[1]
    assert plain.rows == kernel.rows
    assert plain.names_held == kernel.names_held
    tables = [model.datacollector.get_model_vars_dataframe() for model in models]
    assert tables[0].equals(tables[1])
    ensemble = run_classical(**arguments, runs=2, rounds=rounds, until=until)
    found = ensemble.runs.iloc[1].to_dict()
    clusters = name_clusters(plain.network.G, plain.names_held)
    largest = pytest.approx(clusters.largest_share, nan_ok=True)
    assert found == {
        **{"run": 1, **outcomes[0]._asdict(), "one_name": outcomes[0].one_name},
        **{"clusters": len(clusters), "largest_cluster": largest},
    }
    kept = ensemble.rounds[ensemble.rounds["run"] == 1].reset_index()[tables[0].columns]
    assert kept.to_numpy().tolist() == tables[0].to_numpy().tolist()


def test_inventories_outgrow_their_room_without_a_trace() -> None:
    arguments: dict[str, Any] = {"graph": "complete(n=900)", "names": None, "rng": 5}
    plain, kernel = both(arguments)
    for _ in range(40):
        assert kernel.play_round("converged") == plain.play_round("converged")
    assert_same(plain, kernel)
    assert kernel.packed.rows.shape[1] > 2 * (CAPACITY + 2)
    whole = run_classical(**arguments, runs=1, rounds=40)
    assert whole.runs["peak_words"].item() == plain.tally.peak_words
    assert len(whole.rounds) == 40


def test_engines_may_take_turns() -> None:
    whole = ClassicalGame(graph="barabasi_albert(n=60, m=2)", rng=3)
    turns = ClassicalGame(graph="barabasi_albert(n=60, m=2)", rng=3)
    whole.run(rounds=20, until=None, engine="python")
    for engine, rounds in (("python", 3), ("kernel", 7), ("python", 5), ("kernel", 4)):
        turns.run(rounds=rounds, until=None, engine=engine)
    turns.step()
    assert whole.outcome == turns.outcome
    assert whole.rows == turns.rows
    assert whole.names_held == turns.names_held


def test_changes_between_rounds_are_seen_by_the_kernel() -> None:
    """Agents leave and come, and edges change, between two runs of either engine."""

    def changed(engine: str) -> ClassicalGame:
        model = ClassicalGame(graph="ring(n=30, k=4)", rng=2)
        model.run(rounds=5, until=None, engine=engine)
        for node in (3, 17, 18):
            model.agent_on(node).remove()
        model.network.G.add_edge(0, 15)
        model.run(rounds=5, until=None, engine=engine)
        cell = next(cell for cell in model.network if cell.coordinate == 17)
        newcomer = ClassicalAgent(model, cell)
        assert newcomer.invention == "w30"
        model.agent_on(4).agree("other")
        model.run(rounds=5, until=None, engine=engine)
        return model

    plain, kernel = changed("python"), changed("kernel")
    assert plain.outcome == kernel.outcome
    assert plain.rows == kernel.rows
    assert [a.inventory for a in players(plain)] == [a.inventory for a in players(kernel)]


@pytest.mark.parametrize("n", [2, 3, 7])
def test_well_mixed_neighbors_are_those_of_the_complete_graph(n: int) -> None:
    listed, mixed = Neighbors(nx.complete_graph(n)), WellMixed(n)
    for part in ("indptr", "indices", "starts", "degrees", "tails", "heads"):
        assert getattr(mixed, part).tolist() == getattr(listed, part).tolist()
        assert getattr(mixed, part).dtype == getattr(listed, part).dtype
    assert [mixed.of(i) for i in range(n)] == [listed.of(i) for i in range(n)]
    assert (mixed.directed, mixed.weights, len(mixed)) == (False, None, n)
    assert list(mixed.nodes) == list(listed.nodes)


def test_a_complete_graph_by_name_is_the_same_as_one_from_networkx() -> None:
    named = run_classical(graph="complete(n=40)", committed={"M": 0.1}, runs=5, rng=1)
    given = run_classical(graph=nx.complete_graph(40), committed={"M": 0.1}, runs=5, rng=1)
    assert named.runs.equals(given.runs)
    assert named.rounds.equals(given.rounds)


def test_more_agents_than_a_list_of_edges_could_hold_can_mix_well() -> None:
    result = run_classical(graph="complete(n=50_000)", runs=1, rounds=1, until=None)
    assert result.runs["interactions"].item() == 50_000


def test_the_kernel_refuses_what_it_would_bypass_and_auto_does_not_take_it() -> None:
    class Stubborn(ClassicalAgent):
        def hear(self, word: str) -> bool:
            return len(self.inventory) < 3 and super().hear(word)

    model = ClassicalGame(rng=1)
    model.agent_on(0).remove()
    Stubborn(model, next(cell for cell in model.network if cell.coordinate == 0))
    with pytest.raises(SpecError, match=r"bypass Stubborn\.hear"):
        model.run(engine="kernel")
    model.run(rounds=30, until=None)
    assert len(model.agent_on(0).inventory) <= 3
    with pytest.raises(SpecError, match="no engine"):
        model.run(engine="fast")


def test_what_agents_hold_can_be_collected_while_the_kernel_plays() -> None:
    def longest(model: ClassicalGame) -> int:
        return max(len(agent.inventory) for agent in players(model))

    found = []
    for engine in ("python", "kernel"):
        model = ClassicalGame(rng=4)
        model.datacollector.model_reporters["longest"] = longest
        model.datacollector.model_vars["longest"] = []
        model.run(engine=engine)
        found.append(model.datacollector.get_model_vars_dataframe()["longest"].tolist())
    assert found[0] == found[1]
    assert max(found[0]) > 1


def test_the_draws_of_the_loop_are_those_of_python_far_into_a_run() -> None:
    _, kernel = both({"graph": "ring(n=50)", "names": None, "rng": 2**64 - 1}, run=9)
    kernel.tally.interactions = 2**40
    kernel.play_round(None)
    starts = [RandomStream(2**64 - 1, 9).interaction(2**40 + n).node * 50 >> 32 for n in range(50)]
    assert [row.speaker for row in kernel.rows] == starts
    assert np.array_equal([row.interaction for row in kernel.rows], np.arange(50) + 2**40)
