"""What charts, tables and drawings show is what was played, whatever names and node ids are."""

from __future__ import annotations

import json
import math
from typing import Any
from unittest.mock import patch

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from shares import decode
from strategies import specs

from mesa_llm_norms import NamingGame
from mesa_llm_norms.web.frames import KEPT, POINTS, History, Renderer, encode_shares
from mesa_llm_norms.web.model_source import ModelSource
from mesa_llm_norms.web.setting import Setting


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
    assert json.loads(history.share_points())["rounds"] == 0
    assert history.table().empty


def test_who_is_committed_or_used_to_a_name_is_drawn_with_it_from_the_start() -> None:
    setting = Setting(names="QM", topology="complete(n=9)", incumbent="Q", committed=("M=3",))
    source = ModelSource(setting)
    renderer = Renderer(source)
    frame = renderer.frame(source, "paused")
    assert [code for code, mark in zip(frame.codes, frame.marks, strict=True) if mark == "c"] == (
        ["1"] * 3
    )
    assert (frame.codes.count("0"), frame.codes.count("1")) == (6, 3)
    assert (frame.leader, frame.distinct) == ("Q", 2)
    for row in source.model.play(40):
        renderer.add(row, source.converged, source.agreed)
    held = ["QM"[int(code)] for code in renderer.frame(source, "paused").codes]
    assert held == list(source.model.names_held.values())


@settings(max_examples=10)
@given(st.integers(2, 12), st.integers(1, 50), st.sampled_from(["node", "matching"]))
def test_the_success_rate_is_that_of_as_many_interactions_as_there_are_agents(
    n: int, interactions: int, pairing: str
) -> None:
    source: Any = ModelSource(Setting(names="QM", topology=f"complete(n={n})", pairing=pairing))
    renderer = Renderer(source)
    assert renderer.frame(source, "paused").success_rate is None
    rows = list(source.model.play(interactions))
    for row in rows:
        renderer.add(row, False, False)
    last = [row.name_a == row.name_b for row in rows[-n:]]
    assert renderer.frame(source, "paused").success_rate == sum(last) / len(last)


def test_a_noisy_commitment_is_not_shown_as_certain() -> None:
    source = ModelSource(Setting(names="QMX", committed=("M=24:noise=0.2",)))
    details = source.details(0, History(source.pool))
    assert details is not None
    assert (details.committed, details.noise) == ("M", 0.2)
    assert [round(choice.probability, 6) for choice in details.choices or ()] == [0.1, 0.8, 0.1]
    source.model.agent_on(0).commit("X")
    details = source.details(0, History(source.pool))
    assert details is not None
    assert details.noise == 0
    assert [choice.probability for choice in details.choices or ()] == [0, 0, 1]


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
