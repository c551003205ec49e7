"""What charts and tables show is what was played."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from mesa_llm_norms import NamingGame
from mesa_llm_norms.web.frames import POINTS, History


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


def test_nothing_played_is_nothing_shown() -> None:
    history = History("QM")
    assert history.success_rate is None
    assert json.loads(history.share_points())["rounds"] == 0
    assert history.table().empty
