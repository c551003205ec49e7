"""The run folder: whole or not there, nothing overwritten, nothing of the machine in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest
from recorded_rows import record_of

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.core.files import check_folder, new_file, new_folder
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.results import default_folder, write_ensemble, write_run
from mesa_llm_norms.simulation.run import RunResult
from mesa_llm_norms.simulation.serialization import from_json, to_json
from mesa_llm_norms.simulation.spec import Spec


def play(spec: Spec, rounds: int = 3) -> RunResult:
    return play_run(spec, 0, Goal(), rounds, keep=True)


def rows_of(spec: Spec) -> list[Any]:
    return play(spec).rows


def write(folder: Path, spec: Spec, played: RunResult) -> None:
    write_run(
        folder,
        spec,
        goal=Goal(),
        most=3,
        rounds=played.rounds,
        record=record_of(spec, folder, played.rows),
        outcome=played.outcome,
    )


def read_spec(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    return content


def test_a_run_is_written_with_its_spec_outcome_and_versions(tmp_path: Path) -> None:
    spec = Spec(graph="ring(n=6)", names="QM", committed={"M": (2, "hubs")}, seed=4)
    played = play(spec)
    write(tmp_path, spec, played)
    content = read_spec(tmp_path)
    assert content["spec"] == to_json(spec)
    assert rows_of(from_json(content["spec"])) == rows_of(spec)
    assert content["run"] == {
        "rounds": 3,
        "until": None,
        "window": 3,
        "threshold": 1.0,
        "runs": None,
    }
    assert content["outcome"] == played.outcome._asdict()
    assert set(content["versions"]) == {"mesa_llm_norms", "mesa", "networkx", "numpy"}
    rows = pd.read_parquet(tmp_path / "interactions.parquet")
    assert [tuple(row) for row in rows.itertuples(index=False)] == played.rows
    rounds = pd.read_parquet(tmp_path / "rounds.parquet")
    assert list(rounds["round"]) == [one.number for one in played.rounds]
    assert list(rounds["share_M"]) == [one.shares["M"] for one in played.rounds]


@pytest.mark.parametrize(
    ("ids", "written"),
    [
        ((10, 20, 30), {10, 20, 30}),
        (("a", "b", "c"), {"a", "b", "c"}),
        ((1, "b", (2, 3)), {"1", "b", "(2, 3)"}),
        ((1, True + 1, 2**70), {"1", "2", str(2**70)}),
    ],
)
def test_node_ids_stay_whole_numbers_if_all_are(
    tmp_path: Path, ids: tuple[Any, ...], written: set[Any]
) -> None:
    graph: nx.Graph[Any] = nx.relabel_nodes(
        nx.complete_graph(3), dict(zip(range(3), ids, strict=True))
    )
    spec = Spec(graph=graph, names="QM", seed=1)
    write(tmp_path, spec, play(spec, 10))
    rows = pd.read_parquet(tmp_path / "interactions.parquet")
    assert set(rows["node_a"]) | set(rows["node_b"]) == written


def test_a_run_without_interactions_can_be_written(tmp_path: Path) -> None:
    spec = Spec(graph="ring(n=6)", names="QM")
    write(tmp_path, spec, play(spec, 0))
    assert len(pd.read_parquet(tmp_path / "interactions.parquet")) == 0
    assert read_spec(tmp_path)["outcome"]["winner"] is None


def test_an_ensemble_is_written_with_its_interactions_where_they_were_kept(tmp_path: Path) -> None:
    for keep in (False, True):
        ensemble = run_ensemble(
            graph="ring(n=6)", names="QM", runs=3, rng=1, rounds=5, keep_interactions=keep
        )
        folder = tmp_path / str(keep)
        with new_folder(folder) as inside:
            write_ensemble(inside, ensemble, goal=Goal(), most=5)
        pd.testing.assert_frame_equal(
            pd.read_parquet(folder / "runs.parquet"), ensemble.runs, check_dtype=False
        )
        assert (folder / "interactions.parquet").exists() is keep
        assert read_spec(folder)["run"]["runs"] == 3


def test_a_graph_file_is_named_without_the_folder_it_is_in(tmp_path: Path) -> None:
    path = tmp_path / "friends.txt"
    path.write_text("1 2\n2 3\n")
    spec = Spec(graph=str(path), names="QM", seed=1)
    with new_folder(tmp_path / "run") as inside:
        write(inside, spec, play(spec))
    assert read_spec(tmp_path / "run")["spec"]["graph"] == {
        "directed": False,
        "nodes": [1, 2, 3],
        "edges": [[1, 2], [2, 3]],
        "file": "friends.txt",
    }
    assert str(tmp_path) not in (tmp_path / "run" / "spec.json").read_text(encoding="utf-8")
    assert default_folder(spec, 3).name == "claude-3.5-sonnet-friends-3-seed1"


def test_the_default_folder_tells_what_is_in_it_and_is_free(tmp_path: Path) -> None:
    spec = Spec(seed=1)
    first = default_folder(spec, 24, within=tmp_path)
    assert first == tmp_path / "claude-3.5-sonnet-watts_strogatz-24-seed1"
    first.mkdir()
    assert default_folder(spec, 24, within=tmp_path).name == first.name + "-2"
    assert default_folder(spec, 24, 400, tmp_path).name == first.name + "-400runs"
    mixed = Spec(mind={"uniform": 1, "claude-3.5-sonnet": 1}, graph=nx.path_graph(3))
    assert default_folder(mixed, 3).name == "mixed-graph-3-seed0"


def test_the_folder_appears_only_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    with new_folder(folder) as inside:
        (inside / "x").write_text("1")
        assert not folder.exists()
        assert inside.name.startswith(".")
    assert [path.name for path in folder.parent.iterdir()] == ["b"]
    assert (folder / "x").read_text() == "1"


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_when_writing_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def write_half() -> None:
        with new_folder(tmp_path / "a" / "b") as inside:
            (inside / "x").write_text("1")
            raise error

    with pytest.raises(error):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_anything_else_is_not_overwritten(tmp_path: Path) -> None:
    empty, full, file = tmp_path / "empty", tmp_path / "full", tmp_path / "file"
    empty.mkdir()
    full.mkdir()
    (full / "mine").write_text("1")
    file.write_text("2")
    with new_folder(empty) as inside:
        (inside / "x").write_text("1")
    assert (empty / "x").exists()
    for taken in (full, file):
        with pytest.raises(SpecError, match="nothing is overwritten"):
            check_folder(taken)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full"]


@pytest.mark.parametrize("place", ["file/run", "run\0", "x" * 300])
def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpecError, match="cannot be written"):
        check_folder(tmp_path / place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_takes_its_place_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mind.json"
    with new_file(path) as hidden:
        hidden.write_text("1")
    assert path.read_text() == "1"

    def write_half() -> None:
        with new_file(path) as hidden:
            hidden.write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "1"
    assert list(path.parent.iterdir()) == [path]
    with pytest.raises(SpecError, match="cannot be written"), new_file(path / "below"):
        pass
