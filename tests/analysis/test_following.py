"""Who follows whom: counted by hand, planted, and absent."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from chances import FALSE_ALARM
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from strategies import graphs

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.analysis.agreement import Edges
from mesa_llm_norms.analysis.following import (
    Following,
    _pearson,
    _Ranks,
    followings,
    who_follows_whom,
)
from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.errors import SpecError

FEW = 50
COLUMNS = ["run", "interaction", "round", "node_a", "node_b", "name_a", "name_b", "payoff"]


def played(*rows: tuple[Any, Any, str, str], run: int = 0) -> pd.DataFrame:
    """Return a table of (node, node, name, name)."""
    return pd.DataFrame(
        [
            (run, number, 0, a, b, name_a, name_b, 100 if name_a == name_b else -50)
            for number, (a, b, name_a, name_b) in enumerate(rows)
        ],
        columns=COLUMNS,
    )


# Hub h and leaves x, y. x takes up Q from h at once; h takes up M from y; y never plays again.
STAR = nx.Graph([("h", "x"), ("h", "y")])
STORY = played(
    ("h", "x", "Q", "M"),  # both miss; h next plays Q (no), x next plays Q (follows h)
    ("x", "h", "Q", "Q"),  # a match
    ("y", "h", "M", "Q"),  # both miss; h next plays M (follows y), y has no next
    ("h", "x", "M", "Q"),  # both miss, nobody plays again
)


def test_a_worked_example() -> None:
    found = who_follows_whom(STORY, STAR, resamples=FEW)
    assert (found.runs, found.interactions) == (1, 4)
    nodes = found.nodes.set_index("node")
    assert nodes["degree"].to_dict() == {"h": 2, "x": 1, "y": 1}
    assert nodes["betweenness"].to_dict() == {"h": 1, "x": 0, "y": 0}
    assert nodes["missed"].to_dict() == {"h": 3, "x": 2, "y": 1}
    assert nodes["chances"].to_dict() == {"h": 2, "x": 1, "y": 0}
    assert nodes["followed"].to_dict() == {"h": 1, "x": 1, "y": 0}
    assert nodes["exposed"].to_dict() == {"h": 1, "x": 1, "y": 1}
    assert nodes["copied"].to_dict() == {"h": 1, "x": 0, "y": 1}
    assert nodes["susceptibility"].to_dict() == pytest.approx(
        {"h": 0.5, "x": 1, "y": math.nan}, nan_ok=True
    )
    assert nodes["influence"].to_dict() == {"h": 1, "x": 0, "y": 1}
    assert nodes.loc["h", "susceptibility_low"] == pytest.approx(0.0945, abs=1e-4)  # 1 of 2
    # Only after the first interaction did both choose again: the leaf followed the hub.
    assert found.upward.value == 1
    assert found.by_chance == Estimate(0.5, 0, 1)
    assert found.p_value == 1


def test_every_choice_after_a_miss_is_a_row() -> None:
    rows = followings(STORY).drop(columns="run").itertuples(index=False, name=None)
    assert list(rows) == [
        (0, "h", "x", "Q", "M", "Q", False),
        (0, "x", "h", "M", "Q", "Q", True),
        (2, "h", "y", "Q", "M", "M", True),
    ]


@st.composite
def stories(draw: st.DrawFn) -> tuple[nx.Graph[Any], pd.DataFrame]:
    """Draw a graph and up to three runs on it, with any node ids."""
    graph = draw(graphs(directed=False))
    edges = st.sampled_from(list(graph.edges))
    name = st.sampled_from(["Q", "M", "X"])
    runs = [
        played(*((*edge, a, b) for edge, a, b in rows), run=run)
        for run, rows in enumerate(
            draw(
                st.lists(
                    st.lists(st.tuples(edges, name, name), min_size=1, max_size=12),
                    min_size=1,
                    max_size=3,
                )
            )
        )
    ]
    return graph, pd.concat(runs, ignore_index=True)


def by_hand(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    """Return (run, interaction, node, partner, follows), straight from the definition."""
    rows = list(table.itertuples(index=False, name=None))
    found = []
    for run, number, _, a, b, name_a, name_b, _ in rows:
        for node, partner, own, other in ((a, b, name_a, name_b), (b, a, name_b, name_a)):
            later = [
                row[5] if row[3] == node else row[6]
                for row in rows
                if row[0] == run and row[1] > number and node in (row[3], row[4])
            ]
            if own != other and later:
                found.append((run, number, node, partner, later[0] == other))
    return found


@settings(max_examples=40)
@given(stories(), st.randoms(use_true_random=False))
def test_followings_are_those_of_the_definition_in_any_order_of_rows(
    story: tuple[nx.Graph[Any], pd.DataFrame], chance: Any
) -> None:
    graph, table = story
    expected = by_hand(table)
    order = list(range(len(table)))
    chance.shuffle(order)
    for given_table in (table, table.iloc[order]):
        found = followings(given_table)
        chosen = found[["run", "interaction", "node", "partner", "follows"]]
        got = list(chosen.itertuples(index=False, name=None))
        assert sorted(got, key=repr) == sorted(expected, key=repr)
    counted = who_follows_whom(table, graph, resamples=FEW).nodes
    for _, row in counted.iterrows():
        node = row["node"]
        assert row["chances"] == sum(event[2] == node for event in expected)
        assert row["followed"] == sum(event[2] == node and event[4] for event in expected)
        assert row["exposed"] == sum(event[3] == node for event in expected)
        assert row["copied"] == sum(event[3] == node and event[4] for event in expected)


@settings(max_examples=25)
@given(stories())
def test_other_ids_and_names_change_nothing(story: tuple[nx.Graph[Any], pd.DataFrame]) -> None:
    graph, table = story
    found = who_follows_whom(table, graph, resamples=FEW)
    called = {node: f"node {number}" for number, node in enumerate(graph)}
    other = table.assign(
        node_a=[called[node] for node in table["node_a"]],
        node_b=[called[node] for node in table["node_b"]],
        name_a=table["name_a"].map({"Q": "A", "M": "Q", "X": "M"}),
        name_b=table["name_b"].map({"Q": "A", "M": "Q", "X": "M"}),
    )
    moved = who_follows_whom(other, nx.relabel_nodes(graph, called), resamples=FEW)
    pd.testing.assert_frame_equal(
        found.nodes.drop(columns="node"), moved.nodes.drop(columns="node")
    )
    pd.testing.assert_frame_equal(found.correlations, moved.correlations)
    assert found.upward == pytest.approx(moved.upward, nan_ok=True)
    assert found.nodes["copied"].sum() == found.nodes["followed"].sum()


def simulate(
    graph: nx.Graph[Any],
    follow: Callable[[int, int], float],
    *,
    seed: int,
    runs: int = 20,
    interactions: int = 400,
) -> pd.DataFrame:
    """Play runs in which ``follow(own degree, partner's degree)`` is the chance to follow."""
    chance = np.random.default_rng(seed)
    edges = list(graph.edges)
    degree = dict(graph.degree)
    rows = []
    for run in range(runs):
        plan = dict(zip(graph, chance.integers(0, 9, len(graph)).tolist(), strict=True))
        picks = chance.integers(0, len(edges), interactions).tolist()
        draws = chance.random((interactions, 4)).tolist()
        for number, (pick, draw) in enumerate(zip(picks, draws, strict=True)):
            ends = edges[pick]
            names = [
                plan[node] if luck > 0.3 else int(luck * 30)
                for node, luck in zip(ends, draw[2:], strict=True)
            ]
            rows.append((run, number, 0, *ends, *(f"n{name}" for name in names), 0))
            for seat in (0, 1):
                own, other = ends[seat], ends[1 - seat]
                plan[own] = names[seat]
                if draw[seat] < follow(degree[own], degree[other]):
                    plan[own] = names[1 - seat]
    return pd.DataFrame(rows, columns=COLUMNS)


def one(found: Following, rate: str, centrality: str) -> dict[str, Any]:
    table: Any = found.correlations.set_index(["rate", "centrality"])
    return dict(zip(table.columns, table.loc[(rate, centrality), :].tolist(), strict=True))


HUBS = nx.barabasi_albert_graph(30, 2, seed=3)


def test_hubs_that_are_copied_more_are_found() -> None:
    table = simulate(HUBS, lambda _, other: min(0.1 + 0.05 * other, 0.9), seed=1)
    found = who_follows_whom(table, HUBS, resamples=400)
    copied = one(found, "influence", "degree")
    assert copied["spearman"] > 0.6
    assert copied["low"] > 0.3
    assert copied["nodes"] == 30
    assert one(found, "influence", "betweenness")["low"] > 0.2
    assert found.upward.low > found.by_chance.high
    assert found.p_value < FALSE_ALARM
    alone = who_follows_whom(table[table["run"] == 0], HUBS, resamples=400)
    assert alone.runs == 1
    assert alone.correlations["nodes"].max() <= 30
    assert alone.upward.low < found.upward.value < alone.upward.high


def test_where_place_does_not_matter_little_is_found_and_rarely() -> None:
    """The rates are the same for everybody: intervals hold 0, and 1/2, as often as they say."""
    cases = 30
    hits = dict.fromkeys(["correlation", "upward", "sign"], 0)
    for case in range(cases):
        table = simulate(HUBS, lambda *_: 0.3, seed=100 + case, runs=12, interactions=250)
        found = who_follows_whom(table, HUBS, resamples=150, rng=case)
        row = one(found, "influence", "degree")
        hits["correlation"] += row["low"] <= 0 <= row["high"]
        hits["upward"] += found.upward.low <= 0.5 <= found.upward.high
        hits["sign"] += found.p_value > 0.05
    for name, count in hits.items():
        chance = stats.binomtest(count, cases, 0.95, alternative="less").pvalue
        assert chance > FALSE_ALARM, f"{name}: {count} of {cases}"


def test_the_correlation_is_scipys_and_weighing_nodes_is_having_them_as_often() -> None:
    table = simulate(HUBS, lambda own, _: 1 / own, seed=2, runs=3, interactions=300)
    found = who_follows_whom(table, HUBS, resamples=FEW)
    nodes = found.nodes.dropna(subset=["susceptibility"])
    for centrality in ("degree", "betweenness"):
        theirs = stats.spearmanr(nodes["susceptibility"], nodes[centrality]).statistic
        assert one(found, "susceptibility", centrality)["spearman"] == pytest.approx(theirs)
    chance = np.random.default_rng(1)
    x, y = chance.integers(0, 4, (2, 12)).astype(float)
    weights = chance.integers(0, 3, (5, 12)).astype(float)
    ours = _pearson(_Ranks(x).weighted(weights), _Ranks(y).weighted(weights), weights)
    for row, got in zip(weights.astype(int), ours, strict=True):
        theirs = stats.spearmanr(np.repeat(x, row), np.repeat(y, row)).statistic
        assert got == pytest.approx(theirs)


def test_where_all_nodes_are_alike_there_is_nothing_to_correlate() -> None:
    ring = nx.cycle_graph(8)
    found = who_follows_whom(
        simulate(ring, lambda *_: 0.5, seed=4, runs=2, interactions=50), ring, resamples=FEW
    )
    assert found.correlations[["spearman", "low", "high"]].isna().all(axis=None)
    assert np.isnan([*found.upward, *found.by_chance, found.p_value]).all()
    assert found.nodes["susceptibility"].notna().all()


def test_a_run_that_only_matched_has_rates_of_nothing() -> None:
    found = who_follows_whom(played(("h", "x", "Q", "Q")), STAR, resamples=FEW)
    assert found.nodes["influence"].isna().all()
    assert found.correlations["nodes"].tolist() == [0] * 4
    assert followings(played(("h", "x", "Q", "Q"))).empty


def test_the_interactions_of_an_ensemble_and_the_edges_of_its_graph_are_read_as_they_are() -> None:
    graph = nx.relabel_nodes(nx.star_graph(7), {node: (node, "x") for node in range(8)})
    result = run_ensemble(
        graph=graph, names="QMX", runs=4, rounds=10, until=None, rng=1, keep_interactions=True
    )
    assert result.interactions is not None
    found = who_follows_whom(result.interactions, Edges.read(graph), resamples=FEW)
    assert found.nodes["node"].tolist() == list(graph)
    assert found.runs == 4
    again = who_follows_whom(result.interactions, graph, resamples=FEW)
    pd.testing.assert_frame_equal(found.nodes, again.nodes)
    other = who_follows_whom(result.interactions, graph, resamples=FEW, rng=9)
    assert found.correlations["spearman"].tolist() == other.correlations["spearman"].tolist()


def test_betweenness_of_a_large_network_is_estimated_or_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mesa_llm_norms.analysis.following.EXACT", 10)
    table = simulate(HUBS, lambda *_: 0.5, seed=4, runs=2, interactions=100)
    whole = nx.betweenness_centrality(HUBS)
    rough = who_follows_whom(table, HUBS, samples=15, resamples=FEW).nodes["betweenness"]
    assert rough.tolist() != pytest.approx(list(whole.values()))
    assert stats.spearmanr(rough, list(whole.values())).statistic > 0.7
    without = who_follows_whom(table, HUBS, samples=0, resamples=FEW)
    assert without.nodes["betweenness"].isna().all()
    assert one(without, "influence", "betweenness")["nodes"] == 0


@pytest.mark.parametrize(
    ("table", "graph", "named"),
    [
        (STORY.iloc[:0], STAR, "interactions"),
        (None, STAR, "interactions"),
        (STORY.drop(columns="name_a"), STAR, "interactions"),
        (pd.concat([STORY, STORY]), STAR, "interactions"),
        (STORY.assign(run=pd.Series([0, 0, None, 0])), STAR, "run"),
        (STORY.assign(name_a=pd.Series(["Q", None, "M", "M"])), STAR, "name_a"),
        (STORY.assign(node_a=pd.Series([["h"]] * 4)), STAR, "node_a"),
        (STORY, nx.path_graph(3), "graph"),
        (STORY, nx.Graph([("h", "x"), ("x", "y")]), "graph"),
        (STORY, "star(n=3)", "graph"),
    ],
)
def test_what_cannot_be_used_is_refused(table: Any, graph: Any, named: str) -> None:
    with pytest.raises(SpecError) as caught:
        who_follows_whom(table, graph)
    assert caught.value.argument == named


def test_numbers_out_of_range_are_refused() -> None:
    for change in ({"level": 1}, {"resamples": 0}, {"samples": -1}, {"rng": -1}):
        with pytest.raises(SpecError) as caught:
            who_follows_whom(STORY, STAR, **change)
        assert caught.value.argument in change
