"""Uniform, committed, scripted and table minds keep the contract and play what they say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from chances import copying
from mind_conformance import TEN, MindConformance, situation

from mesa_llm_norms import Game, Mind, ScriptedMind, TableMind
from mesa_llm_norms.core.event_loop import wait_for
from mesa_llm_norms.core.game import read_memory
from mesa_llm_norms.errors import DecisionError, MindError
from mesa_llm_norms.minds import CommittedMind, Situation, UniformMind


class TestUniformMind(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:  # noqa: ARG002
        return UniformMind()


class TestCommittedMind(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:
        return CommittedMind(pool[-1])


class TestTableMind(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:
        return copying(pool)


def first_name(situation: Situation) -> str:
    return situation.game.pool[0]


class TestScriptedMind(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:  # noqa: ARG002
        return ScriptedMind(first_name)


class TestScriptedMindOnASequence(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:
        return ScriptedMind(list(pool))


def test_the_uniform_mind_prefers_nothing() -> None:
    assert UniformMind().distribution(read_memory([("Q", "Q")] * 5), TEN) == [0.1] * 10


def test_a_committed_mind_plays_its_name_and_no_game_without_it() -> None:
    mind = CommittedMind("M")
    assert mind.distribution(read_memory([("Q", "Q")] * 5), "QMX") == [0, 1, 0]
    with pytest.raises(MindError, match="'M' is not in the pool"):
        mind.check(Game(("Q", "X")))


def test_a_table_is_looked_up_by_the_longest_recent_part_it_has() -> None:
    table = {
        (): [0.5, 0.5],
        read_memory(["QM"]): [0.9, 0.1],
        read_memory(["QQ", "QM"]): [0.2, 0.8],
        read_memory(["MM", "MM", "MM"]): [0.0, 1.0],
    }
    mind = TableMind("measured", "QM", table)
    cases = {
        (): 0.5,
        ("QM",): 0.9,
        ("QQ", "QM"): 0.2,
        ("MQ", "QQ", "QM"): 0.2,
        ("MM", "QM"): 0.9,
        ("QM", "QQ"): 0.5,
        ("MM", "MM"): 0.5,
        ("QM", "MM", "MM", "MM"): 0.0,
    }
    for pairs, expected in cases.items():
        assert mind.distribution(read_memory(pairs), "QM")[0] == expected
        assert mind.distribution(read_memory(pairs), "MQ")[1] == expected


def test_a_table_plays_only_the_pool_it_was_measured_for() -> None:
    mind = TableMind("measured", "QM", {(): [0.5, 0.5]})
    mind.check(Game(("M", "Q")))
    for names in ("QX", "QMX"):
        with pytest.raises(MindError, match="measured for"):
            mind.check(Game(tuple(names)))


BAD_ROWS: list[list[Any]] = [[1.0], [0.5, 0.6], [-0.5, 1.5], [0, 0], [math.nan, 1], [0.4, 0.3, 0.3]]


@pytest.mark.parametrize("row", BAD_ROWS)
def test_a_row_that_is_not_a_distribution_is_refused(row: list[float]) -> None:
    with pytest.raises(MindError, match="not a distribution"):
        TableMind("bad", "QM", {(): row})


def test_a_table_needs_a_row_for_the_first_interaction() -> None:
    with pytest.raises(MindError, match="empty memory"):
        TableMind("bad", "QM", {read_memory(["QM"]): [0.5, 0.5]})


def test_a_script_is_a_function_a_mapping_or_a_sequence() -> None:
    memory = read_memory(["QM", "QM"])
    by_memory = ScriptedMind("QMXQ")
    assert [wait_for(by_memory.decide(situation(memory[:n]))).name for n in range(3)] == [*"QMX"]
    assert wait_for(by_memory.decide(situation(memory * 4))).name == "Q"
    by_number = ScriptedMind({(3, 0): "Q", (3, 1): "M"})
    assert wait_for(by_number.decide(situation(number=3, seat=1))).name == "M"
    by_function = ScriptedMind(lambda it: it.game.pool[it.interaction % 2])
    assert wait_for(by_function.decide(situation(number=5))).name == "M"


@pytest.mark.parametrize("script", [{}, {(0, 1): "Q"}, [], ""])
def test_where_the_script_says_nothing_no_decision_is_made(script: Any) -> None:
    with pytest.raises(DecisionError, match="interaction 0, seat 0"):
        wait_for(ScriptedMind(script).decide(situation()))


def test_a_table_takes_memories_of_plain_pairs() -> None:
    memory: Any = (("Q", "M"),)
    mind = TableMind("table", "QM", {(): [0.5, 0.5], memory: [0.2, 0.8]})
    assert mind.distribution(memory, "QM") == [0.2, 0.8]
