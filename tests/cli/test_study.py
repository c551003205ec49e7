"""``fit`` as typed."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
from commands import invoke, printed, refused

from mesa_llm_norms import run_ensemble
from mesa_llm_norms.minds.files import read_mind as read_mind_file
from mesa_llm_norms.study.recordings import COLUMNS, NAMES

SMALL = ("--topology", "ring(n=6)", "--names", "QM")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Recordings of a made-up model, as the unbiased mind would have left them; quick to fit."""
    monkeypatch.setattr("mesa_llm_norms.study.fit.RIDGES", (20.0,))
    ensemble = run_ensemble(
        graph="complete(n=6)",
        names="QM",
        mind="uniform",
        runs=12,
        rounds=4,
        rng=1,
        keep_interactions=True,
    )
    rows = ensemble.interactions
    assert rows is not None
    constant: dict[str, str | int] = {
        "model": "made-up",
        "kind": "baseline",
        "pool": "Q M",
        "memory": 5,
        "population": 6,
    }
    renamed = {"interaction": "t", "node_a": "player_a", "node_b": "player_b"}
    table = rows.rename(columns=renamed)
    for column, value in constant.items():
        table[column] = value
    path = Path("recordings.csv")
    table[[*COLUMNS, *NAMES]].to_csv(path, index=False)
    return path


def test_a_mind_is_fitted_written_and_playable(recordings: Path) -> None:
    found = printed("fit", str(recordings), "--out", "minds", "--refits", "2")
    assert list(found) == ["made-up"]
    assert found["made-up"]["decisions"] == 12 * 4 * 6 * 2
    mind = read_mind_file("minds/made-up.json")
    assert mind.distribution((), "QM")[0] == pytest.approx(0.5, abs=0.2)
    unsure = ("--mind", "minds/made-up.json~", "--rounds", "3", "--no-files")
    assert printed("run", *SMALL, *unsure)["mind"] == "made-up~"
    assert sorted(one.name for one in Path("minds").iterdir()) == ["made-up.json", "made-up.refits"]
    first = Path("minds/made-up.json").read_bytes()
    assert "--force" in refused("fit", str(recordings), "--out", "minds")
    Path("minds/made-up.json").unlink()
    assert "--force" in refused("fit", str(recordings), "--out", "minds")
    assert Path("minds/made-up.refits").exists()
    result = invoke("fit", str(recordings), "--out", "minds", "--force", "--model", "made-up")
    assert re.search(r"made-up +baseline +QM +576", result.stdout)
    assert "Written to minds/made-up.json" in result.stdout
    assert Path("minds/made-up.json").read_bytes() == first
    assert [path.name for path in Path("minds").iterdir()] == ["made-up.json"]
    found = printed("run", *SMALL, "--mind", "minds/made-up.json", "--rounds", "3", "--no-files")
    assert found["mind"] == "made-up"


def test_fit_refuses_what_it_cannot_fit(recordings: Path) -> None:
    told = refused("fit", str(recordings), "--out", "m", "--model", "made_up")
    assert "did you mean 'made-up'" in told
    assert "interactions.csv.gz" in refused("fit", "nowhere", "--out", "m")
    table = pd.read_csv(recordings).assign(model="../../escape")
    table.to_csv("evil.csv", index=False)
    assert "cannot be a file name" in refused("fit", "evil.csv", "--out", "m")


def test_a_recording_that_ships_is_validated_by_its_name() -> None:
    for name, problem in (
        ("smollm2-135m-memory-1", "compared with its live mind"),
        ("claude-3.5-sonnet", "claude-3.5-sonnet"),
    ):
        assert problem in refused("validate", name, "--mind", "uniform")
