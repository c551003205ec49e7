"""What charts, tables and drawings show is what was played, whatever names and node ids are."""

from __future__ import annotations

import json
import math
from collections.abc import Hashable
from typing import Any
from unittest.mock import patch

import networkx as nx
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import graphs, pools, specs

from mesa_llm_norms import NamingGame
from mesa_llm_norms.networks.drawing import GREY, layout, name_colors
from mesa_llm_norms.web.frames import KEPT, POINTS, SPAN, History, drawing_text, encode_shares
from mesa_llm_norms.web.views import chart_lines


def history_of(model: NamingGame, interactions: int) -> History:
    pool = model.game.pool
    nodes = list(model.network.G)
    history = History(pool)
    for row in model.play(interactions):
        history.add(
            row.round,
            nodes.index(row.node_a),
            nodes.index(row.node_b),
            pool.index(row.name_a),
            pool.index(row.name_b),
        )
    return history


@settings(max_examples=30)
@given(specs(), st.integers(1, 4))
def test_the_table_is_that_of_the_model(arguments: dict[str, Any], rounds: int) -> None:
    model = NamingGame(**arguments)
    for _ in range(rounds):
        model.step()
    expected = model.datacollector.get_model_vars_dataframe()
    table = history_of(NamingGame(**arguments), model.interactions).table()
    for column in ("interactions", "success_rate", "distinct_names"):
        assert table[column].tolist() == expected[column].tolist()
    shares = [column for column in expected if column.startswith("share_")]
    if set(shares) <= set(table):
        pd.testing.assert_frame_equal(
            table[shares].reset_index(drop=True), expected[shares], check_dtype=False
        )


@settings(max_examples=20)
@given(specs(), st.integers(1, 40))
def test_interactions_are_counted_by_pair(arguments: dict[str, Any], interactions: int) -> None:
    rows = list(NamingGame(**arguments).play(interactions))
    history = history_of(NamingGame(**arguments), interactions)
    assert sum(met for met, _ in history.pairs.values()) == interactions
    matched = sum(row.name_a == row.name_b for row in rows)
    assert sum(times for _, times in history.pairs.values()) == matched
    assert all(low < high for low, high in history.pairs)


def test_a_chart_of_many_rounds_and_names_stays_small_and_keeps_still() -> None:
    pool = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    history = History(pool)
    for round_ in range(5_000):
        history.add(round_, 0, 1, round_ % 26, (round_ + 1) % 26)
    text = history.share_points()
    assert len(text) < 2 * 2 * POINTS
    before = json.loads(history.success_points())
    history.add(5_000, 0, 1, 3, 3)
    after = json.loads(history.success_points())
    assert after["rounds"] == before["rounds"] + 1
    assert after["y"][0][: len(before["y"][0]) - 2] == before["y"][0][:-2]


@given(st.integers(2, 60), st.integers(1, 3_000))
@settings(max_examples=30)
def test_rounds_kept_are_bounded_and_what_is_shown_is_right(names: int, rounds: int) -> None:
    """However long it plays, and whatever its charts and table leave out."""
    history = History([f"name{i}" for i in range(names)])
    with patch.object(history, "_most", min(330, KEPT // (4 + names))):
        for number in range(rounds):
            history.add(number, 0, 1, number % names, 0)
        table = history.table()
        assert len(table) <= 332
        assert list(table["interactions"]) == [it + 1 for it in table["round"]]
        assert table["round"].iloc[[0, -1]].tolist() == [0, rounds - 1]
        shown = json.loads(history.success_points())
        values = decode(shown["y"][0])
        first, last = shown["x"]
        step = (last - first) // max(1, len(values) - 1)
        assert shown["rounds"] == history.rounds == rounds
        assert values == [float((first - 1 + i * step) % names == 0) for i in range(len(values))]
        assert last + max(1, step) > rounds or len(values) == 1


def test_nothing_played_is_nothing_shown() -> None:
    history = History("QM")
    assert history.success_rate is None
    assert json.loads(history.share_points())["rounds"] == 0
    assert history.table().empty


DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_"


def decode(text: str) -> list[float | None]:
    """Return the shares of a text, as the chart reads it."""
    pairs = [text[start : start + 2] for start in range(0, len(text), 2)]
    return [
        None if pair == "  " else (64 * DIGITS.index(pair[0]) + DIGITS.index(pair[1])) / 4095
        for pair in pairs
    ]


@given(st.lists(st.one_of(st.none(), st.floats(0, 1))))
def test_shares_come_back_to_within_half_a_step_of_4095(shares: list[float | None]) -> None:
    text = encode_shares(shares)
    assert len(text) == 2 * len(shares)
    for share, found in zip(shares, decode(text), strict=True):
        if share is None or found is None:
            assert share is found
        else:
            assert abs(share - found) <= 0.5 / 4095 + 1e-12


def test_the_ends_are_exact_and_what_lies_beyond_is_drawn_there() -> None:
    assert encode_shares([0, 1, -0.1, 1.0000001]) == "00__00__"
    assert encode_shares([math.nan, None]) == "    "


@given(graphs(), pools())
def test_a_drawing_has_every_node_edge_and_name(
    graph: nx.Graph[Any], pool: tuple[str, ...]
) -> None:
    drawing = json.loads(drawing_text(graph, pool))
    nodes = list(graph)
    assert drawing["ids"] == [str(node) for node in nodes]
    assert [(nodes[i], nodes[j]) for i, j in drawing["edges"]] == list(graph.edges)
    assert drawing["directed"] is graph.is_directed()
    assert drawing["degrees"] == [graph.degree[node] for node in nodes]
    assert tuple(drawing["names"]) == pool
    assert drawing["colors"] == [name_colors(pool)[name] for name in pool]
    assert len(drawing["inks"]) == len(pool)
    for axis in "xy":
        assert len(drawing[axis]) == len(nodes)
        assert all(isinstance(value, int) and 0 <= value <= SPAN for value in drawing[axis])


@pytest.mark.parametrize("node", ["</script><script>alert(1)</script>", ("a", 1), frozenset({2})])
def test_ids_of_any_kind_are_written_as_they_are(node: Hashable) -> None:
    graph: nx.Graph[Any] = nx.Graph([(node, "other")])
    assert json.loads(drawing_text(graph, "QM"))["ids"] == [str(node), "other"]


def test_a_drawing_keeps_its_proportions_and_its_y_points_downwards() -> None:
    graph: nx.Graph[Any] = nx.path_graph(3)
    nx.set_node_attributes(graph, {0: (0, 0), 1: (2, 1), 2: (4, 0)}, "pos")
    drawing = json.loads(drawing_text(graph, "QM"))
    assert drawing["x"] == [0, 500, 1000]
    assert drawing["y"] == [625, 375, 625]


def test_nodes_stay_in_places_that_are_given_while_edges_change() -> None:
    graph: nx.Graph[Any] = nx.petersen_graph()
    places = layout(graph)
    before = json.loads(drawing_text(graph, "QM", places))
    graph.add_edge(0, 2)
    after = json.loads(drawing_text(graph, "QM", places))
    assert (after["x"], after["y"]) == (before["x"], before["y"])
    assert [0, 2] in after["edges"]


def test_nodes_are_smaller_where_there_is_less_room() -> None:
    sizes = [json.loads(drawing_text(nx.cycle_graph(n), "QM"))["size"] for n in (4, 24, 60, 300)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) > 2


def test_26_names_have_colors_of_their_own_or_dashes_that_tell_them_apart() -> None:
    pool = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    lines = json.loads(chart_lines(pool))
    assert lines["colors"] == list(name_colors(pool).values())
    assert len(set(zip(lines["colors"], lines["dashes"], strict=True))) == 26
    assert GREY.lower() not in lines["colors"]
    assert set(lines["dashes"][:8]) == {""}
    assert "" not in lines["dashes"][8:]


def test_a_line_alone_is_no_name_and_has_no_colour_of_one() -> None:
    lines = json.loads(chart_lines(["success"]))
    assert lines["colors"] == ["#222222"]
    assert lines["colors"][0] not in name_colors("QM").values()
