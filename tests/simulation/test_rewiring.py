"""Adaptive networks: what is dropped and made, the same in every run, live without look-ahead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs

from mesa_llm_norms import NamingGame, run_ensemble
from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.rewiring import Change, Rewiring, read_rewire, rewired
from mesa_llm_norms.simulation.serialization import from_json, to_json
from mesa_llm_norms.simulation.spec import Spec
from mesa_llm_norms.testing import FakeProvider


def see(rewiring: Rewiring, number: int, a: Any, b: Any, matched: bool) -> None:
    row = Interaction(0, number, 0, a, b, "Q", "Q" if matched else "M", 0)
    rewiring.saw(row, matched)


def changed(graph: nx.Graph[Any], changes: list[Change], nodes: Any) -> nx.Graph[Any]:
    """Return a graph after changes, by networkx."""
    made = graph.copy()
    for change in changes:
        agent, dropped, new = (nodes[place] for place in change)
        data = dict(made.edges[agent, dropped])
        made.remove_edge(agent, dropped)
        made.add_edge(agent, new, **data)
    return made


def same(one: Neighbors, other: Neighbors) -> bool:
    weights = [it if it is not None else np.ones(0) for it in (one.weights, other.weights)]
    return all(
        np.array_equal(*pair)
        for pair in ((one.indptr, other.indptr), (one.indices, other.indices), weights)
    )


def test_an_edge_is_dropped_after_so_many_misses_in_a_row() -> None:
    path = nx.path_graph(5)
    neighbors = Neighbors(path)
    rewiring = Rewiring((3, 1.0), RandomStream(1), directed=False)
    for number, matched in enumerate([False, False, True, False, False]):
        see(rewiring, number, 1 + number % 2, 2 - number % 2, matched)
        assert not rewiring.changes(neighbors)
    see(rewiring, 5, 1, 2, False)
    (change,) = rewiring.changes(neighbors)
    assert {change.agent, change.dropped} == {1, 2}
    assert change.made not in (1, 2)
    assert not path.has_edge(change.agent, change.made)
    assert not rewiring.changes(neighbors)


def test_nobody_loses_the_only_edge_and_all_to_all_stays_so() -> None:
    for graph in (nx.path_graph(2), nx.complete_graph(4)):
        rewiring = Rewiring((1, 1.0), RandomStream(1), directed=False)
        see(rewiring, 0, 0, 1, False)
        assert not rewiring.changes(Neighbors(graph))


def test_the_rate_is_the_probability_after_every_miss_from_then_on() -> None:
    dropped: list[int] = []
    for seed in range(2_000):
        rewiring = Rewiring((1, 0.25), RandomStream(seed), directed=False)
        neighbors = Neighbors(nx.cycle_graph(6))
        misses = 0
        while not dropped or len(dropped) <= seed:
            see(rewiring, misses, 0, 1, False)
            misses += 1
            if rewiring.changes(neighbors):
                dropped.append(misses)
    # Geometric: mean 4, standard error 0.077; false once in a million.
    assert abs(np.mean(dropped) - 4) < 0.4


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(0, 2**64 - 1), st.lists(st.booleans(), min_size=1, max_size=40))
def test_changes_keep_the_graph_and_are_made_as_networkx_makes_them(
    graph: nx.Graph[Any], seed: int, outcomes: list[bool]
) -> None:
    neighbors, stream = Neighbors(graph), RandomStream(seed)
    rewiring = Rewiring((1, 0.8), stream, graph.is_directed())
    for number, matched in enumerate(outcomes):
        drawn = stream.of("pair", number)
        a, b = neighbors.edges[drawn % len(neighbors.edges)]
        see(rewiring, number, neighbors.nodes[a], neighbors.nodes[b], matched)
        if number % 3 == 2:
            changes = rewiring.changes(neighbors)
            graph = changed(graph, changes, neighbors.nodes)
            after = rewired(neighbors, changes)
            assert same(after, Neighbors(graph))
            assert len(after.indices) == len(neighbors.indices)
            assert after.degrees.min() >= min(1, neighbors.degrees.min())
            neighbors = after


@pytest.mark.parametrize(
    "graph",
    [
        "ring(n=12, k=4)",
        "barabasi_albert(n=12, m=2)",
        nx.DiGraph([(u, (u + d) % 9) for u in range(9) for d in (1, 2)]),
    ],
)
def test_model_and_ensemble_play_the_same_rows_on_the_same_networks(graph: Any) -> None:
    given: dict[str, Any] = {"graph": graph, "names": "QMX", "rng": 7, "rewire": (2, 0.7)}
    played = run_ensemble(**given, runs=1, rounds=12, until=None, keep_interactions=True)
    model = NamingGame(**given)
    rows = []
    for _ in range(12):
        model.step()
        rows += model.rows
    assert played.interactions is not None
    pd.testing.assert_frame_equal(
        pd.DataFrame(rows, columns=Interaction._fields), played.interactions
    )
    start = Spec(graph=graph, names="QMX", seed=7).initial_state(0).neighbors
    now = Neighbors(model.network.G)
    assert same(now, model._engine.neighbors)
    assert not same(now, start)
    for node in model.network.G:
        near = {cell.coordinate for cell in model.network[node].neighborhood}
        assert near == set(model.network.G[node])
    static = run_ensemble(
        **{**given, "rewire": None}, runs=1, rounds=12, until=None, keep_interactions=True
    )
    assert static.interactions is not None
    assert not played.interactions.equals(static.interactions)


def test_what_is_reported_of_the_end_is_of_the_network_at_the_end() -> None:
    spec = Spec(graph="ring(n=20)", names="QM", seed=3, rewire=1)
    found = play_run(spec, 0, Goal(None), 30)
    model = NamingGame(**spec.arguments())
    model.run(rounds=30, until=None)
    held = model.names_held
    agreeing = [held[u] == held[v] for u, v in model.network.G.edges if held[u] and held[v]]
    assert found.local_agreement == np.mean(agreeing)


def test_live_minds_play_the_same_and_are_asked_the_same_at_every_concurrency(
    tmp_path: Path,
) -> None:
    rows, asked = [], []
    for concurrency in (1, 2, 8):
        provider = FakeProvider()
        model = NamingGame(
            graph="ring(n=8)",
            names="QM",
            mind=provider.mind(),
            rng=5,
            rewire=2,
            llm=LLMSettings(folder=tmp_path / str(concurrency), max_concurrency=concurrency),
        )
        played = []
        for _ in range(6):
            model.step()
            played += model.rows
        rows.append(played)
        asked.append(provider.seen)
        assert model.discarded == 0
        model.close()
    assert rows[0] == rows[1] == rows[2]
    assert asked[0] == asked[1] == asked[2]
    again = NamingGame.resume(tmp_path / "8", mind=FakeProvider([]).mind())
    replayed = []
    for _ in range(6):
        again.step()
        replayed += again.rows
    assert replayed == rows[0]
    again.close()


@pytest.mark.parametrize("value", [0, -1, 2.5, "x", "3:", (3, 0), (3, 1.5), (1, 2, 3), True, ()])
def test_what_is_no_rewiring_is_refused(value: Any) -> None:
    with pytest.raises(SpecError, match="rewire"):
        Spec(rewire=value)


def test_it_is_read_from_numbers_and_text_and_written_only_where_it_is_given() -> None:
    assert read_rewire("3:0.5") == read_rewire([3, 0.5]) == (3, 0.5)
    assert read_rewire(2) == read_rewire("2") == (2, 1.0)
    assert "rewire" not in to_json(Spec())
    assert from_json(to_json(Spec(rewire="2:0.25"))).rewire == (2, 0.25)


def test_the_kernel_says_why_it_does_not_play_it() -> None:
    with pytest.raises(SpecError, match="rewire"):
        run_ensemble(graph="ring(n=6)", names="QM", runs=2, rewire=2, engine="kernel")
    with pytest.raises(SpecError, match="rewire"):
        NamingGame(graph="ring(n=6)", names="QM", rewire=2).run(engine="kernel")
