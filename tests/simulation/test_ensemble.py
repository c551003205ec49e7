"""Ensembles: run k is the model's run k, whoever computes it and in whatever order."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest
from chances import FixedPolicy, LoggedGame, copying
from counting import summarise
from hypothesis import given, settings
from pandas.testing import assert_frame_equal
from strategies import specs

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.analysis.agreement import local_agreement, name_clusters
from mesa_llm_norms.errors import GraphError, GraphWarning, MindError, SpecError
from mesa_llm_norms.networks.adjacency import Graph
from mesa_llm_norms.networks.reading import read_file
from mesa_llm_norms.simulation import Ensemble, Interaction

GAME: dict[str, Any] = {
    "graph": "watts_strogatz(n=8, k=4, p=0.3)",
    "names": "QMX",
    "mind": {copying("QMX"): 2, "uniform": 1},
    "committed": {"M": (2, "hubs")},
    "rng": 11,
}


def rows_of(ensemble: Ensemble, run: int) -> list[Interaction]:
    assert ensemble.interactions is not None
    table = ensemble.interactions[ensemble.interactions.run == run]
    return [Interaction(*row) for row in table.itertuples(index=False)]


@settings(max_examples=40)
@given(specs())
def test_run_k_is_the_models_run_k_row_by_row(arguments: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        ensemble = run_ensemble(
            **arguments, runs=3, rounds=4, until="converged", window=1, keep_interactions=True
        )
    for run in range(3):
        game = LoggedGame(**arguments, run=run)
        outcome = game.run(rounds=4, window=1)
        assert rows_of(ensemble, run) == game.log
        found = ensemble.runs.iloc[run].to_dict()
        expected = {"run": run, **outcome._asdict(), "one_name": outcome.one_name}
        del expected["success_rate"]
        network, held = game.network.G, game.names_held
        clusters = name_clusters(network, held)
        expected["local_agreement"] = local_agreement(network, held)
        expected["clusters"] = len(clusters.sizes)
        expected["largest_cluster"] = clusters.largest_share
        assert found == expected


def test_the_tables_say_what_the_rows_say() -> None:
    ensemble = run_ensemble(**GAME, runs=4, rounds=5, until=None, keep_interactions=True)
    assert list(ensemble.runs.columns) == [
        "run",
        "interactions",
        "rounds",
        "converged",
        "winner",
        "share",
        "flipped",
        "agreed",
        "one_name",
        "names_left",
        "local_agreement",
        "clusters",
        "largest_cluster",
    ]
    assert list(ensemble.rounds.columns) == [
        "run",
        "round",
        "interactions",
        "success_rate",
        "distinct_names",
        "entropy",
        "share_Q",
        "share_M",
        "share_X",
    ]
    assert ensemble.interactions is not None
    assert list(ensemble.interactions.columns) == list(Interaction._fields)
    assert ensemble.runs.run.tolist() == [0, 1, 2, 3]
    assert ensemble.runs.interactions.tolist() == [40] * 4
    assert ensemble.runs.rounds.tolist() == [5] * 4
    assert len(ensemble.rounds) == 20
    for values in ensemble.rounds.itertuples(index=False):
        rows = [row for row in rows_of(ensemble, values[0]) if row.round == values[1]]
        expected = summarise(rows, "QMX")
        assert values[2:] == (
            expected.interactions,
            expected.success_rate,
            expected.distinct_names,
            expected.entropy,
            *expected.shares.values(),
        )
    for run, winner, share in zip(
        ensemble.runs.run, ensemble.runs.winner, ensemble.runs.share, strict=True
    ):
        last = rows_of(ensemble, run)[-24:]
        names = [name for row in last for name in (row.name_a, row.name_b)]
        assert share == names.count(winner) / 48 == max(map(names.count, "QMX")) / 48


def test_interactions_are_kept_only_when_asked_for() -> None:
    assert run_ensemble(**GAME, runs=1, rounds=1).interactions is None


class Backwards(Executor):
    """Computes in reverse: what was handed in last is done first."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: fn(*args, **kwargs)))
        if len(self.waiting) == 4:
            for later, call in reversed(self.waiting):
                later.set_result(call())
        return future


@pytest.mark.slow
def test_the_results_are_the_same_for_any_workers() -> None:
    expected = run_ensemble(**GAME, runs=7, rounds=6, keep_interactions=True)
    assert expected.interactions is not None
    with ThreadPoolExecutor(3) as threads:
        others = [
            run_ensemble(**GAME, runs=7, rounds=6, keep_interactions=True, **how)
            for how in ({"workers": 2}, {"executor": threads}, {"executor": Backwards()})
        ]
    for other in others:
        assert_frame_equal(other.runs, expected.runs)
        assert_frame_equal(other.rounds, expected.rounds)
        assert other.interactions is not None
        assert_frame_equal(other.interactions, expected.interactions)
        assert asdict(other)["spec"]["seed"] == 11


def test_fewer_or_more_runs_do_not_change_those_there_are() -> None:
    few = run_ensemble(**GAME, runs=2, rounds=3).runs
    many = run_ensemble(**GAME, runs=6, rounds=3).runs
    assert_frame_equal(many.head(2), few)
    assert len(set(many.share)) > 2


def test_a_run_ends_at_its_goal() -> None:
    ensemble = run_ensemble(
        graph="complete(n=8)",
        names="QM",
        mind=copying("QM", 0.7),
        incumbent="Q",
        committed={"M": 4},
        rounds=100,
        until="flipped",
        runs=10,
        rng=2,
    )
    assert ensemble.runs.flipped.any()
    for one in ensemble.runs.to_dict("records"):
        assert one["flipped"] or one["rounds"] == 100
        assert not one["flipped"] or (one["winner"] == "M" and one["share"] >= 0.95)
        assert (ensemble.rounds.run == one["run"]).sum() == one["rounds"]


def test_no_rounds_at_all_are_runs_without_a_winner() -> None:
    ensemble = run_ensemble(**GAME, runs=2, rounds=0)
    assert ensemble.runs.interactions.tolist() == [0, 0]
    assert ensemble.runs.winner.tolist() == [None, None]
    assert ensemble.rounds.empty


def test_progress_counts_the_runs_that_are_done() -> None:
    seen: list[tuple[int, int]] = []

    def report(done: int, total: int) -> None:
        seen.append((done, total))

    run_ensemble(**GAME, runs=3, rounds=1, progress=report)
    assert seen == sorted(set(seen))
    assert seen[0] == (1, 3)
    assert seen[-1] == (3, 3)


def test_a_graph_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ring.graphml"
    nx.write_graphml(nx.cycle_graph(5), path)
    read: list[Path] = []

    def counted(path: Path) -> Graph:
        read.append(path)
        return read_file(path)

    for module in ("simulation.ensemble", "networks.reading"):
        monkeypatch.setattr(
            importlib.import_module(f"mesa_llm_norms.{module}"), "read_file", counted
        )
    ensemble = run_ensemble(graph=str(path), mind="uniform", runs=5, rounds=1, rng=1)
    assert ensemble.runs.interactions.tolist() == [5] * 5
    assert ensemble.spec.graph == str(path)
    assert read == [path]


def test_what_goes_wrong_in_a_run_is_the_packages_own_error_also_from_a_worker() -> None:
    with pytest.raises(GraphError) as caught:
        run_ensemble(graph=nx.Graph([("a", "a"), ("a", "b")]), mind="uniform", runs=2)
    assert caught.value.nodes == ("a",)
    bad: dict[str, Any] = {"graph": "ring(n=4)", "names": "QM", "mind": FixedPolicy(0.5, 0.6)}
    for workers in (1, 2):
        with pytest.raises(MindError, match="one probability per name") as refused:
            run_ensemble(**bad, runs=2, workers=workers)
        assert refused.value.value == "fixed"


def test_parts_that_never_meet_are_warned_of() -> None:
    with pytest.warns(GraphWarning, match="2 components"):
        run_ensemble(graph=nx.Graph([(0, 1), (2, 3)]), mind="uniform", runs=1, rounds=1)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("runs", 0),
        ("runs", -1),
        ("runs", 2.0),
        ("runs", True),
        ("workers", 0),
        ("workers", "2"),
        ("workers", 10**6),
        ("rounds", -1),
        ("rounds", 1.5),
        ("until", "never"),
        ("window", 0),
        ("threshold", 2),
        ("rng", "x"),
    ],
)
def test_a_bad_argument_is_refused_by_its_name(argument: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        run_ensemble(**{**GAME, "runs": 2, argument: value})
    assert caught.value.argument == argument


def test_the_seed_that_was_drawn_is_told() -> None:
    first = run_ensemble(**{**GAME, "rng": None}, runs=2, rounds=2)
    again = run_ensemble(**{**GAME, "rng": first.spec.seed}, runs=2, rounds=2)
    pd.testing.assert_frame_equal(first.rounds, again.rounds)
