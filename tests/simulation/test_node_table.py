"""The table of nodes, and the network with it, as other programs read it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import networkx as nx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.simulation.ensemble import play_ensemble, play_run
from mesa_llm_norms.simulation.node_table import (
    add_committed,
    ensemble_nodes,
    run_nodes,
    write_nodes,
)
from mesa_llm_norms.simulation.run_record import RunRecord, node_name
from mesa_llm_norms.simulation.spec import Spec

NO_XML = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")
"""Characters that no XML file can hold."""


@settings(max_examples=8, deadline=None)
@given(arguments=specs(), rounds=st.integers(0, 8))
def test_gephi_gets_the_network_with_what_the_rows_say_of_every_node(
    arguments: dict[str, Any], rounds: int
) -> None:
    spec = Spec(seed=arguments.pop("rng"), **arguments)
    played = play_run(spec, 0, Goal(), rounds, keep=True)
    initial, winner = spec.initial_state(), played.outcome.winner
    record = RunRecord(initial)
    for row in played.rows:
        record.append(row)
    neighbors, pool = initial.neighbors, spec.game.pool
    with TemporaryDirectory() as folder:
        table = run_nodes(neighbors, pool, record.history, winner)
        write_nodes(Path(folder), table, neighbors, pool)
        table = pd.read_parquet(Path(folder) / "nodes.parquet")
        read: nx.Graph[Any] = nx.read_gexf(Path(folder) / "network.gexf")
    lines = table.to_dict(orient="records")
    for place, (node, line) in enumerate(zip(neighbors.nodes, lines, strict=True)):
        said = [
            (row.round, name)
            for row in played.rows
            for who, name in ((row.node_a, row.name_a), (row.node_b, row.name_b))
            if who == node
        ]
        assert str(line["node"]) == node_name(node)
        assert line["degree"] == neighbors.degrees[place]
        assert line["name"] == said[-1][1] if said else pd.isna(line["name"])
        wins = [round_ for round_, name in said if name == winner]
        assert line["first_with_winner"] == wins[0] if wins else pd.isna(line["first_with_winner"])
    assert read.is_directed() == neighbors.directed
    assert read.number_of_edges() == len(neighbors.edges)
    texts = [NO_XML.sub("\N{REPLACEMENT CHARACTER}", node_name(it)) for it in neighbors.nodes]
    ids = texts if len(set(texts)) == len(texts) else list(map(str, range(len(texts))))
    assert list(read) == ids
    weights = neighbors.edge_weights
    for place, (a, b) in enumerate(neighbors.edges):
        weight = 1 if weights is None else weights[place]
        assert math.isclose(read.edges[ids[a], ids[b]].get("weight", 1), weight)
    for name, line in zip(ids, lines, strict=True):
        given_too = {key: value for key, value in line.items() if key != "node" and pd.notna(value)}
        found = {key: read.nodes[name][str(key)] for key in map(str, given_too)}
        assert found == given_too


def test_names_that_xml_could_take_for_its_own_come_through(tmp_path: Path) -> None:
    nodes = ["<a&b>", 'say "c"', "d\te\nf", "Zoë 名前", "\x01"]
    spec = Spec(graph=nx.cycle_graph(nodes), names=["<x>", "a&b"], seed=1)
    initial = spec.initial_state()
    record = RunRecord(initial)
    for row in play_run(spec, 0, Goal(), 4, keep=True).rows:
        record.append(row)
    table = run_nodes(initial.neighbors, spec.game.pool, record.history, "<x>")
    write_nodes(tmp_path, table, initial.neighbors, spec.game.pool)
    read: nx.Graph[Any] = nx.read_gexf(tmp_path / "network.gexf")
    assert list(read) == [*nodes[:4], "\N{REPLACEMENT CHARACTER}"]
    assert [read.nodes[node]["name"] for node in read] == list(table["name"])


@settings(max_examples=6, deadline=None)
@given(arguments=specs(), rounds=st.integers(1, 6), runs=st.integers(1, 5))
def test_means_over_runs_are_those_of_the_single_runs_on_either_engine(
    arguments: dict[str, Any], rounds: int, runs: int
) -> None:
    spec = Spec(seed=arguments.pop("rng"), **arguments)
    neighbors, pool = spec.initial_state().neighbors, spec.game.pool
    every = []
    for run in range(runs):
        played = play_run(spec, run, Goal(), rounds, nodes=True)
        assert played.history is not None
        every.append(run_nodes(neighbors, pool, played.history, played.outcome.winner))
    means = {
        column: pd.concat([one[column] for one in every]).groupby(level=0).mean()
        for column in ("last_change", "first_with_winner")
    }
    for engine in ("python", "kernel"):
        found = play_ensemble(
            spec, runs=runs, goal=Goal(), rounds=rounds, keep_nodes=True, engine=engine
        )
        assert found.nodes is not None
        table = ensemble_nodes(neighbors, pool, found.nodes)
        for column, mean in means.items():
            pd.testing.assert_series_equal(table[column], mean, check_dtype=False)
        for name in pool:
            share = sum((one["name"] == name).astype(int) for one in every) / table["runs"]
            known = table["runs"] > 0
            pd.testing.assert_series_equal(
                table[f"share_{name}"][known], share[known], check_names=False, check_dtype=False
            )


def test_a_network_drawn_anew_for_every_run_has_no_table_of_nodes() -> None:
    for graph, there in (("ring(n=8)", True), ("watts_strogatz(n=8, k=4, p=0.5)", False)):
        spec = Spec(graph=graph, names="QM", seed=1)
        found = play_ensemble(spec, runs=3, goal=Goal("converged"), keep_nodes=True)
        assert (found.nodes is not None) is there


@pytest.mark.parametrize("mind", ["uniform", "classical"])
@pytest.mark.parametrize("where", [3, (3, "hubs"), [0, 33]])
def test_the_table_says_who_was_committed(mind: str, where: Any) -> None:
    spec = Spec(graph="karate", names="QM", mind=mind, committed={"M": where}, seed=3)
    found = play_ensemble(spec, runs=20, goal=Goal(), rounds=30, keep_nodes=True)
    assert found.nodes is not None
    table = ensemble_nodes(spec.initial_state().neighbors, "QM", found.nodes)
    table = add_committed(table, spec, 20)
    agents = len(where) if isinstance(where, list) else 3
    assert table["committed"].sum() == pytest.approx(agents)
    always = table[table["committed"] == 1]
    assert len(always) == (0 if where == 3 else agents)
    assert (always["share_M"] == 1).all()
    assert (table["share_M"] >= table["committed"]).all()


def test_the_table_of_one_run_names_what_nodes_were_committed_to() -> None:
    spec = Spec(graph="karate", names="QM", committed={"M": [0], "Q": [5, 7]}, seed=1)
    table = add_committed(pd.DataFrame({"node": range(34), "degree": 1, "name": "Q"}), spec)
    assert list(table.columns) == ["node", "degree", "committed", "name"]
    assert table["committed"].dropna().to_dict() == {0: "M", 5: "Q", 7: "Q"}
    plain = Spec(graph="karate", names="QM", seed=1)
    assert "committed" not in add_committed(table.drop(columns="committed"), plain)
