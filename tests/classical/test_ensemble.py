"""Many runs of the classical game, as tables."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest

from mesa_llm_norms.classical.ensemble import run_classical
from mesa_llm_norms.classical.model import ClassicalGame
from mesa_llm_norms.networks.reading import read_graph


def test_an_ensemble_has_a_row_per_run_and_one_per_round() -> None:
    result = run_classical(graph="ring(n=12)", runs=6, rng=3)
    assert list(result.runs) == [
        *("run", "interactions", "rounds", "converged", "winner", "share", "success_rate"),
        *("peak_words", "peak_time", "agreed", "names_left"),
        *("one_name", "clusters", "largest_cluster"),
    ]
    assert result.runs["one_name"].all()
    assert result.runs["run"].tolist() == list(range(6))
    last = result.rounds.groupby("run").last()
    assert last["interactions"].tolist() == result.runs["interactions"].tolist()
    assert last["success_rate"].tolist() == result.runs["success_rate"].tolist()
    assert (last["total_words"] == 12).all()
    assert (last["distinct_words"] == 1).all()
    counts = result.rounds.groupby("run")["round"].agg(["count", "max"])
    assert (counts["count"] == result.runs["rounds"].to_numpy()).all()
    assert (counts["max"] == counts["count"] - 1).all()
    peaks = result.rounds.groupby("run")["total_words"].max().to_numpy()
    assert (result.runs["peak_words"].to_numpy() >= peaks).all()
    assert (result.runs["peak_time"] <= result.runs["interactions"]).all()


@pytest.mark.parametrize("graph", ["complete(n=40)", "barabasi_albert(n=40, m=1)", "ring(n=24)"])
def test_a_run_ends_at_the_first_interaction_after_which_95_percent_hold_and_utter_one_name(
    graph: str,
) -> None:
    for run in range(4):
        model = ClassicalGame(graph=graph, rng=5, run=run)
        size, held, words, first = 3 * len(model.agents), dict[Any, str](), list[str](), None
        while first is None and model.interactions < 300 * len(model.agents):
            model.step()
            for row in model.rows:
                words.append(row.word)
                held |= {row.speaker: row.word} | ({row.hearer: row.word} if row.matched else {})
                name, holders = Counter(held.values()).most_common(1)[0]
                most = 0.95 * len(model.agents) <= holders
                if most and len(words) >= size and words[-size:].count(name) >= 0.95 * size:
                    first = first or row.interaction + 1
        found = run_classical(graph=graph, rng=5, runs=run + 1, rounds=300, until="agreed").runs
        assert found["agreed"][run] == (first is not None)
        assert found["interactions"][run] == (first or model.interactions)
        again = ClassicalGame(graph=graph, rng=5, run=run)
        assert again.run(300, "agreed", "python").interactions == found["interactions"][run]


def test_rounds_need_not_be_kept() -> None:
    kept = run_classical(runs=4, rng=3)
    bare = run_classical(runs=4, rng=3, keep_rounds=False)
    assert bare.runs.equals(kept.runs)
    assert bare.rounds.empty
    assert list(bare.rounds) == list(kept.rounds)


def test_long_runs_are_pieced_together() -> None:
    arguments: dict[str, Any] = {"graph": "ring(n=6)", "runs": 1, "rng": 3, "until": None}
    long = run_classical(**arguments, rounds=10_000)
    assert long.rounds["interactions"].tolist() == list(range(6, 60_001, 6))
    bare = run_classical(**arguments, rounds=10_000, keep_rounds=False)
    assert bare.runs.equals(long.runs)


@pytest.mark.slow
def test_the_results_are_the_same_in_threads_and_processes_and_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    arguments: dict[str, Any] = {"graph": "erdos_renyi(n=30, p=0.2)", "runs": 9, "rng": 5}
    alone = run_classical(**arguments, progress=lambda done, total: told.append((done, total)))
    assert told == sorted(set(told))
    assert told[0] == (1, 9)
    assert told[-1] == (9, 9)
    with ThreadPoolExecutor(2) as pool:
        threads = run_classical(**arguments, executor=pool)
    processes = run_classical(**arguments, workers=2)
    for other in (threads, processes):
        assert other.runs.equals(alone.runs)
        assert other.rounds.equals(alone.rounds)


def test_random_graphs_are_drawn_for_every_run_and_others_read_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    read: list[Any] = []

    def watched(graph: Any, rng: random.Random) -> Any:
        read.append(graph)
        return read_graph(graph, rng)

    monkeypatch.setattr("mesa_llm_norms.classical.game.read_graph", watched)
    path = tmp_path / "path.graphml"
    nx.write_graphml(nx.path_graph(4), path)
    for graph, times in (
        ("barabasi_albert(n=10, m=5)", 5),  # which is not drawn for several runs at once
        ("ring(n=10)", 1),
        (nx.cycle_graph(5), 1),
        (str(path), 1),
        ("complete(n=5)", 0),
    ):
        read.clear()
        run_classical(graph=graph, runs=5, rng=1)
        assert len(read) == times, graph


def test_runs_differ_and_a_seed_repeats_them() -> None:
    first, again = (run_classical(runs=20, rng=8).runs for _ in range(2))
    assert first.equals(again)
    assert first["interactions"].nunique() > 10
    assert not run_classical(runs=20, rng=9).runs.equals(first)
    assert run_classical(runs=2, rng=np.random.default_rng(1)).spec.seed > 0
