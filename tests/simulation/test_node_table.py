"""The table of nodes, and the network with it, as other programs read it."""

from __future__ import annotations

import math
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import networkx as nx
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.node_table import run_nodes, write_nodes
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
        found = {key: read.nodes[name][key] for key in given_too}
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
