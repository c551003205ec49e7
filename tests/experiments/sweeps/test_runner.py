"""What a sweep plays, and what it leaves to be gone on with."""

from __future__ import annotations

import json
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from chances import FixedPolicy
from pandas.testing import assert_frame_equal

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.analysis.convergence import compare_convergence, convergence_time
from mesa_llm_norms.analysis.intervals import wilson_interval
from mesa_llm_norms.core.stopping import WINDOW, Goal
from mesa_llm_norms.errors import FileFormatError, MindError, SpecError
from mesa_llm_norms.experiments.sweeps import cells as cells_module
from mesa_llm_norms.experiments.sweeps import read_sweep, runner, sweep
from mesa_llm_norms.networks import registry
from mesa_llm_norms.networks.adjacency import Neighbors
from mesa_llm_norms.networks.descriptors import describe_network
from mesa_llm_norms.networks.registry import topology
from mesa_llm_norms.simulation.ensemble import play_ensemble
from mesa_llm_norms.simulation.node_table import ensemble_nodes
from mesa_llm_norms.simulation.spec import Spec

GRID: dict[str, Any] = {
    "graph": ["ring(n={size})", "complete(n={size})"],
    "size": [6, 8],
}
FIXED: dict[str, Any] = {"names": "QM", "mind": "llama-3-70b-instruct", "rounds": 12, "rng": 5}


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> list[range]:
    """Return the runs that are played, batch by batch."""
    found: list[range] = []
    real = cells_module.CellPlayer.play

    def watched(self: Any, runs: range) -> Any:
        found.append(runs)
        return real(self, runs)

    monkeypatch.setattr(cells_module.CellPlayer, "play", watched)
    return found


def count(played: list[range]) -> int:
    total = sum(map(len, played))
    played.clear()
    return total


def files(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


def test_the_runs_of_a_cell_are_those_of_run_ensemble() -> None:
    found = sweep(None, GRID, runs=4, **FIXED)
    expected = run_ensemble("ring(n=8)", runs=4, **FIXED).runs
    assert_frame_equal(found.select(graph="ring(n={size})", size=8), expected, check_dtype=False)
    assert list(found.runs.columns) == ["graph", "size", *expected.columns]
    assert len(found.runs) == 16
    assert found.folder is None


def test_a_cell_in_numbers_is_what_statistics_say_of_its_runs() -> None:
    found = sweep(None, GRID, runs=12, **FIXED)
    assert found.cells[["graph", "size"]].to_numpy().tolist() == [
        ["ring(n={size})", 6],
        ["ring(n={size})", 8],
        ["complete(n={size})", 6],
        ["complete(n={size})", 8],
    ]
    for row in found.cells.to_dict(orient="records"):
        runs = found.select(graph=row["graph"], size=row["size"])
        done = runs[runs["converged"]]
        low, high = wilson_interval(len(done), 12)
        time = convergence_time(runs)
        assert (row["runs"], row["agents"], row["event"]) == (12, row["size"], "converged")
        assert (row["share"], row["share_low"], row["share_high"]) == (len(done) / 12, low, high)
        assert (row["median"], row["median_low"], row["median_high"]) == time.median
        assert row["censored"] == time.censored == 12 - len(done)
        assert row["wins_Q"] == (done["winner"] == "Q").sum()
        assert row["won_M"] == pytest.approx((done["winner"] == "M").mean())
        for column in ("one_name", "local_agreement", "names_left", "clusters", "largest_cluster"):
            assert row[column] == pytest.approx(runs[column].mean())


def test_cells_share_their_seeds_and_compare_in_pairs() -> None:
    found = sweep(None, {"penalty": [-50, 0]}, runs=10, graph="ring(n=6)", **FIXED)
    one, other = found.select(penalty=-50), found.select(penalty=0)
    assert_frame_equal(one, other)  # a recorded mind does not look at points
    assert compare_convergence(one, other).paired
    assert compare_convergence(one, other).ratio == (1, 1, 1)


def test_a_flip_is_timed_and_no_goal_is_not() -> None:
    committed = {"M": 0.5}
    common = {**FIXED, "graph": "complete(n=8)", "incumbent": "Q", "committed": committed}
    found = sweep(None, {"until": ["flipped", None]}, runs=6, **common).cells
    assert found["event"].tolist() == ["flipped", "converged"]
    assert found["censored"].tolist()[1] == 0
    assert found["median"].notna().tolist() == [True, False]
    assert found["wins_Q"].sum() + found["wins_M"].sum() == 6 + round(found["share"][0] * 6)


def test_pools_may_differ_between_cells() -> None:
    found = sweep(None, {"names": ["QM", "QX"]}, runs=3, mind="uniform", rounds=2, rng=1)
    assert found.cells["wins_M"].isna().tolist() == [False, True]
    assert found.cells["wins_X"].isna().tolist() == [True, False]


# Folders


def test_cells_have_their_networks_in_numbers() -> None:
    """Exactly for one network, and as means over the first ten where every run has its own."""
    graphs = {"path": nx.path_graph(7), "drawn": "erdos_renyi(n=9, p=0.4)"}
    cells = sweep(None, {"graph": graphs}, runs=12, **FIXED).cells.set_index("graph")
    path = describe_network(Neighbors(graphs["path"]))
    assert cells.loc["path", "mean_path"] == path["mean_path"]
    assert cells.loc["path", "mean_degree"] == 12 / 7
    spec = Spec(graph=graphs["drawn"], names="QM", seed=FIXED["rng"])
    drawn = [Neighbors(spec.initial_state(run).graph) for run in range(10)]
    clustering: Any = [describe_network(one)["clustering"] for one in drawn]
    assert cells.loc["drawn", "clustering"] == pytest.approx(np.mean(clustering))
    assert np.isnan(
        sweep(None, {"graph": ["ring(n=6)"]}, runs=2, **FIXED).cells["assortativity"][0]
    )


def test_cells_on_one_network_keep_what_its_nodes_did(tmp_path: Path, played: list[range]) -> None:
    """As an ensemble sums it up, also where runs are added later; for Gephi too."""
    grid = {"graph": ["star(n=8)", "erdos_renyi(n=8, p=0.6)"], "mind": ["uniform", "classical"]}
    fixed: dict[str, Any] = {"names": "QM", "rounds": 12, "rng": 5}
    sweep(tmp_path, grid, runs=4, **fixed)
    count(played)
    found = sweep(tmp_path, grid, runs=9, **fixed)
    assert count(played) == 4 * 5
    for mind in grid["mind"]:
        table = found.nodes(graph="star(n=8)", mind=mind)
        spec = Spec(graph="star(n=8)", mind=mind, names="QM", seed=5)
        goal = Goal("converged", WINDOW, 1.0)
        nodes = play_ensemble(spec, runs=9, goal=goal, rounds=12, keep_nodes=True).nodes
        assert nodes is not None
        expected = ensemble_nodes(spec.initial_state().neighbors, "QM", nodes)
        assert_frame_equal(table, expected, check_dtype=False)
        cells = found.cells.set_index(["graph", "mind"])
        cell = str(cells["cell"]["star(n=8)", mind])
        network = nx.read_gexf(tmp_path / "nodes" / f"{cell}.gexf")
        assert network.nodes["0"]["share_M"] == pytest.approx(table["share_M"][0])
        with pytest.raises(SpecError, match="different networks"):
            found.nodes(graph="erdos_renyi(n=8, p=0.6)", mind=mind)
    assert len(list((tmp_path / "nodes").iterdir())) == 4
    kept = sweep(None, grid, runs=9, **fixed).nodes(graph="star(n=8)", mind="classical")
    assert_frame_equal(kept, table, check_dtype=False)


def test_a_cell_whose_nodes_are_lost_is_played_again(tmp_path: Path, played: list[range]) -> None:
    sweep(tmp_path, {"graph": ["ring(n=6)"]}, runs=4, **FIXED)
    count(played)
    (path,) = (tmp_path / "nodes").glob("*.parquet")
    path.unlink()
    sweep(tmp_path, {"graph": ["ring(n=6)"]}, runs=4, **FIXED)
    assert count(played) == 4
    assert path.exists()


def test_what_is_there_is_not_played_again(tmp_path: Path, played: list[range]) -> None:
    folder = tmp_path / "mine"
    first = sweep(folder, GRID, runs=4, **FIXED)
    assert count(played) == 16
    again = sweep(folder, GRID, runs=4, **FIXED)
    assert count(played) == 0
    assert_frame_equal(first.runs, again.runs)
    assert_frame_equal(first.cells, read_sweep(folder).cells)
    names = files(folder)
    assert [name for name in names if not name.startswith(("cells/", "nodes/"))] == [
        "summary.csv",
        "summary.parquet",
        "sweep.json",
    ]
    assert len(names) == 15


def test_more_values_and_more_runs_play_only_what_is_new(
    tmp_path: Path, played: list[range]
) -> None:
    sweep(tmp_path, GRID, runs=4, **FIXED)
    count(played)
    wider = {**GRID, "size": [6, 8, 10]}
    sweep(tmp_path, wider, runs=4, **FIXED)
    assert count(played) == 8
    longer = sweep(tmp_path, wider, runs=6, **FIXED)
    assert {run for runs in played for run in runs} == {4, 5}
    assert count(played) == 12
    assert_frame_equal(longer.runs, sweep(None, wider, runs=6, **FIXED).runs)
    count(played)
    shorter = sweep(tmp_path, wider, runs=3, **FIXED)
    assert count(played) == 0
    assert_frame_equal(shorter.runs, sweep(None, wider, runs=3, **FIXED).runs)
    count(played)
    assert len(sweep(tmp_path, wider, runs=6, **FIXED).runs) == 36
    assert count(played) == 0


def test_a_cell_says_what_it_is_in_its_file(tmp_path: Path) -> None:
    sweep(tmp_path, {}, graph="ring(n=6)", runs=2, **FIXED)
    (path,) = (tmp_path / "cells").iterdir()
    meta = json.loads(pq.read_schema(path).metadata[b"mesa_llm_norms"])
    assert meta["key"] == path.stem
    assert meta["cell"]["graph"] == "ring(n=6)"
    assert meta["cell"]["seed"] == 5
    assert "mesa-llm-norms" in meta["cell"]["versions"]


@pytest.mark.parametrize("harm", ["cut", "changed", "renamed", "emptied"])
def test_a_damaged_file_is_put_aside_and_played_again(
    tmp_path: Path, played: list[range], harm: str
) -> None:
    first = sweep(tmp_path, GRID, runs=4, **FIXED).runs
    count(played)
    one, other, *_ = sorted((tmp_path / "cells").iterdir())
    content = one.read_bytes()
    if harm == "renamed":
        shutil.copy(other, one)
    else:
        middle = len(content) // 3
        one.write_bytes(
            {
                "cut": content[:-20],
                "changed": content[:middle] + bytes(30) + content[middle + 30 :],
                "emptied": b"",
            }[harm]
        )
    harmed = one.read_bytes()
    with pytest.warns(
        UserWarning, match=r"is damaged; its runs are played again, and it is kept as"
    ):
        again = sweep(tmp_path, GRID, runs=4, **FIXED)
    assert count(played) == 4
    assert_frame_equal(first, again.runs)
    (aside,) = (tmp_path / "damaged").iterdir()
    assert aside.read_bytes() == harmed


def test_rounds_are_kept_where_they_are_asked_for(tmp_path: Path, played: list[range]) -> None:
    assert sweep(tmp_path, GRID, runs=2, **FIXED).rounds is None
    count(played)
    found = sweep(tmp_path, GRID, runs=3, keep_rounds=True, **FIXED)
    assert count(played) == 12  # rounds that were not kept have to be played again
    assert found.rounds is not None
    expected = run_ensemble("complete(n=8)", runs=3, **FIXED).rounds
    some = found.rounds[(found.rounds["graph"] == GRID["graph"][1]) & (found.rounds["size"] == 8)]
    assert_frame_equal(
        some.drop(columns=["graph", "size"]).reset_index(drop=True), expected, check_dtype=False
    )
    sweep(tmp_path, GRID, runs=3, keep_rounds=True, **FIXED)
    assert count(played) == 0


def test_an_error_stops_the_sweep_and_keeps_what_is_finished(
    tmp_path: Path, played: list[range]
) -> None:
    minds = {"good": FixedPolicy(0.5, 0.5), "bad": FixedPolicy(0.5, 0.6)}
    common: dict[str, Any] = {"graph": "ring(n=4)", "names": "QM", "rng": 1, "rounds": 2}
    with pytest.raises(MindError, match="one probability per name"):
        sweep(tmp_path, {"mind": minds}, runs=3, **common)
    assert len(list((tmp_path / "cells").iterdir())) == 1
    count(played)
    kept = read_sweep(tmp_path)
    assert kept.cells["mind"].tolist() == ["good"]
    with pytest.raises(SpecError, match="not played yet"):
        kept.select(mind="bad")
    sweep(tmp_path, {"mind": {"good": minds["good"]}}, runs=3, **common)
    assert count(played) == 0


def test_an_interrupt_keeps_the_runs_of_unfinished_cells_too(
    tmp_path: Path, played: list[range]
) -> None:
    def interrupt(done: int, total: int) -> None:
        assert total == 400
        if done > 120:
            raise KeyboardInterrupt

    common: dict[str, Any] = {"mind": "uniform", "rounds": 1, "rng": 1}
    grid = {"graph": ["ring(n=4)", "ring(n=5)"]}
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, grid, runs=200, progress=interrupt, **common)
    there = count(played)
    assert 120 < there < 200
    assert read_sweep(tmp_path).cells["runs"].tolist() == [there]
    found = sweep(tmp_path, grid, runs=200, **common)
    assert count(played) == 400 - there
    assert_frame_equal(found.runs, sweep(None, grid, runs=200, **common).runs)


def test_a_file_with_more_runs_is_never_replaced_by_one_with_fewer(tmp_path: Path) -> None:
    from mesa_llm_norms.experiments.sweeps.cells import Folder, Tables

    few = run_ensemble("ring(n=6)", runs=2, **FIXED).runs
    many = run_ensemble("ring(n=6)", runs=5, **FIXED).runs
    folder = Folder(tmp_path)
    folder.write("k", Tables(many, None), {})
    folder.write("k", Tables(few, None), {})
    found = folder.read("k")
    assert found is not None
    assert len(found.runs) == 5


def test_two_at_once_in_one_folder_agree(tmp_path: Path) -> None:
    def one(_: int) -> pd.DataFrame:
        return sweep(tmp_path, GRID, runs=30, **FIXED).runs

    with ThreadPoolExecutor(2) as threads, warnings.catch_warnings():
        first, second = threads.map(one, range(2))
    assert_frame_equal(first, second)
    assert not list(tmp_path.rglob(".unfinished*"))


def circle() -> None:
    @topology("ever_new(n=8)", n=(3, 50))
    def ever_new(n: int = 8) -> Any:
        """A circle."""
        return nx.cycle_graph(n)


def everybody() -> None:
    @topology("ever_new(n=8)", n=(3, 50))
    def ever_new(n: int = 8) -> Any:
        """Everybody."""
        return nx.complete_graph(n)


def test_a_topology_of_ones_own_that_is_defined_anew_is_another(tmp_path: Path) -> None:
    found = []
    try:
        for definition in (circle, everybody):
            definition()
            given: dict[str, Any] = {"grid": {"graph": ["ever_new(n=8)"]}, "names": "QM"}
            kept = sweep(tmp_path / "kept", **given, mind="uniform", runs=3, rng=1, rounds=5)
            fresh = sweep(None, **given, mind="uniform", runs=3, rng=1, rounds=5)
            assert_frame_equal(kept.runs, fresh.runs)
            found.append(kept.runs["local_agreement"].tolist())
    finally:
        registry._TOPOLOGIES.pop("ever_new", None)
    assert found[0] != found[1]


def test_a_record_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    played = sweep(tmp_path, grid={"memory": [2]}, mind="uniform", runs=1, rng=1, rounds=1)
    record = json.loads((tmp_path / "sweep.json").read_text(encoding="utf-8"))
    assert played.axes
    for key in ("axes", "cells", "seed", "runs", "keep_rounds"):
        less = {name: value for name, value in record.items() if name != key}
        (tmp_path / "sweep.json").write_text(json.dumps(less), encoding="utf-8")
        with pytest.raises(FileFormatError, match="not complete"):
            read_sweep(tmp_path)


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SpecError, match="something that is not a sweep"):
        sweep(tmp_path, {}, runs=1, rounds=1)
    with pytest.raises(FileFormatError, match="Name a sweep's folder"):
        read_sweep(tmp_path / "nowhere")
    assert files(tmp_path) == ["thesis.tex"]


# Who plays


@pytest.mark.parametrize("how", ["two processes", "threads"])
def test_the_results_are_the_same_whoever_plays(how: str) -> None:
    expected = sweep(None, GRID, runs=10, **FIXED)
    if how == "threads":
        with ThreadPoolExecutor(3) as threads:
            found = sweep(None, GRID, runs=10, executor=threads, **FIXED)
    else:
        found = sweep(None, GRID, runs=10, workers=2, **FIXED)
    assert_frame_equal(found.runs, expected.runs)
    assert_frame_equal(found.cells, expected.cells)


def test_a_worker_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def versions() -> tuple[tuple[str, str], ...]:
        seen.append(1)
        return (("networkx", str(len(seen))),)

    monkeypatch.setattr(runner, "versions", versions)
    with pytest.raises(SpecError, match="a worker has networkx 2, not networkx 1"):
        sweep(None, {}, runs=1, rounds=1)


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({"size": 6}, "2 cells match"),
        ({"size": 7, "graph": "ring(n={size})"}, "0 cells match"),
        ({"mind": "uniform"}, "no axis 'mind'"),
    ],
)
def test_one_cell_is_selected_or_none(at: dict[str, Any], said: str) -> None:
    found = sweep(None, GRID, runs=1, **FIXED)
    with pytest.raises(SpecError, match=said):
        found.select(**at)


def test_bad_arguments_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for bad in (
        {"runs": 0},
        {"workers": 0},
        {"mind": "nobody"},
        {"nmaes": "QM"},
        {"until": "flipped"},
        {"scheduler": "tcp://127.0.0.1:1", "executor": ThreadPoolExecutor(1)},
    ):
        with pytest.raises(SpecError):
            sweep(folder, GRID, **bad)
    assert not folder.exists()
