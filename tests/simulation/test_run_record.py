"""Rows of a run on their way into its folder, and what they tell of its nodes."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import specs

from mesa_llm_norms.core.game import Interaction
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.simulation import ensemble, run_record
from mesa_llm_norms.simulation.ensemble import SingleRun, play_run, start_run
from mesa_llm_norms.simulation.run import interaction_table
from mesa_llm_norms.simulation.run_record import NodeHistory, RunRecord
from mesa_llm_norms.simulation.spec import Spec

GOAL = Goal("converged")


def recorded(spec: Spec, engine: str, rounds: int) -> tuple[pd.DataFrame, NodeHistory]:
    """Play a run; return the table of rows that comes out of its record, and its history."""
    initial = spec.initial_state()
    with (
        TemporaryDirectory() as folder,
        closing(RunRecord(initial, Path(folder) / "run")) as record,
    ):
        for _ in start_run(spec, initial, engine).each_round(GOAL, rounds, record):
            pass
        record.write_rows(Path(folder) / "rows.parquet")
        return pd.read_parquet(Path(folder) / "rows.parquet"), record.history


@settings(max_examples=8, deadline=None)
@given(arguments=specs(), rounds=st.integers(1, 12), at_once=st.sampled_from([1, 7, 1 << 16]))
def test_what_is_streamed_are_the_rows_of_the_run_on_either_engine(
    arguments: dict[str, Any], rounds: int, at_once: int
) -> None:
    spec = Spec(seed=arguments.pop("rng"), **arguments)
    every = play_run(spec, 0, GOAL, rounds, keep=True).rows
    expected = interaction_table(every)
    nodes = run_record.node_ids(spec.initial_state().neighbors.nodes)
    for column in ("node_a", "node_b"):
        if nodes.dtype == object:
            expected[column] = [run_record.node_name(node) for node in expected[column]]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_record, "ROWS_AT_ONCE", at_once)
        for engine in ("python", "kernel"):
            table, history = recorded(spec, engine, rounds)
            pd.testing.assert_frame_equal(table, expected, check_dtype=False)
            check_history(spec, history, every)


def check_history(spec: Spec, history: NodeHistory, every: list[Interaction]) -> None:
    """Compare with what the rows themselves say, node by node."""
    index = spec.initial_state().neighbors.index
    pool = list(spec.game.pool)
    for node, place in index.items():
        said = [
            (row.round, pool.index(name))
            for row in every
            for who, name in ((row.node_a, row.name_a), (row.node_b, row.name_b))
            if who == node
        ]
        names = [name for _, name in said]
        held = names[-1] if names else -1
        since = max((k for k in range(len(names)) if names[k] != held), default=-1) + 1
        assert history.held[place] == held
        assert history.changed[place] == (said[since][0] if said else -1)
        for name in range(len(pool)):
            first = next((round_ for round_, it in said if it == name), -1)
            assert history.first[place, name] == first


@pytest.mark.parametrize("long", [1, 50, 10**9])
def test_a_run_that_proves_long_goes_on_compiled_with_the_same_rows(
    long: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    spec = Spec(graph="ring(n=20)", names="QM", seed=5)
    expected = play_run(spec, 0, GOAL, 40, keep=True)
    monkeypatch.setattr(ensemble, "worthwhile", lambda _: False)
    monkeypatch.setattr(ensemble, "WORTHWHILE", long)
    initial = spec.initial_state()
    with closing(RunRecord(initial, tmp_path / "run")) as record:
        playing = SingleRun(spec, initial, GOAL, 40, record)
        assert list(playing) == expected.rounds
        record.write_rows(tmp_path / "rows.parquet")
    assert playing.run.outcome == expected.outcome
    assert np.array_equal(playing.run.engine.names_held, expected.held)
    table = pd.read_parquet(tmp_path / "rows.parquet")
    pd.testing.assert_frame_equal(table, interaction_table(expected.rows), check_dtype=False)
    compiled = type(playing.run.engine).__name__ == "Kernel"
    assert compiled is (long < 10**9)


def test_rows_that_nobody_fetches_leave_no_file(tmp_path: Path) -> None:
    initial = Spec(graph="ring(n=6)", names="QM").initial_state()
    record = RunRecord(initial, tmp_path / "run")
    start_run(Spec(graph="ring(n=6)", names="QM"), initial).play(30, record)
    assert list(tmp_path.iterdir()) == []
    record.close()
    assert list(tmp_path.iterdir()) == []
