"""Reading recordings, and refusing files that hold none or would run code."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import STUDY, needs_study, only, study

from mesa_llm_norms.errors import FileFormatError
from mesa_llm_norms.simulation import Remembered
from mesa_llm_norms.study.recordings import (
    Recordings,
    decisions,
    read_original,
    read_recordings,
)

BOTH, MISS = Remembered("Q", "Q"), Remembered("M", "Q")


def test_every_decision_comes_with_the_memory_it_was_made_on(recordings: Recordings) -> None:
    """The memory of a player is its last five rows, seen from its own side, oldest first."""
    condition, rows = only(recordings)
    seen = list(decisions(condition, rows))
    assert len(seen) == 2 * len(rows)
    run = rows[rows["run"] == 0]
    history: dict[int, list[Remembered]] = {}
    played = run[["player_a", "player_b", "name_a", "name_b"]].to_numpy().tolist()
    for (a, b, name_a, name_b), first, second in zip(played, seen[::2], seen[1::2], strict=False):
        assert first.memory == tuple(history.setdefault(a, [])[-5:])
        assert second.memory == tuple(history.setdefault(b, [])[-5:])
        assert (first.name, second.name) == (name_a, name_b)
        history[a].append(Remembered(name_a, name_b))
        history[b].append(Remembered(name_b, name_a))


def test_a_stability_run_starts_from_remembered_successes(recordings: Recordings) -> None:
    condition, rows = only(recordings)
    first = next(decisions(condition._replace(kind="stability"), rows))
    assert first.memory == (BOTH,) * 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "model,kind\na,b\n",
        "a" * 10,
        "model,kind,pool,memory,population,run,t,player_a,player_b,name_a,name_b\n",
    ],
)
def test_a_file_that_is_no_recording_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "recordings.csv"
    path.write_text(text)
    with pytest.raises(FileFormatError, match=r"recordings\.csv"):
        read_recordings(path)


@needs_study
def test_the_study_s_own_file_reads_as_its_table() -> None:
    read = read_original(STUDY / "original_sample.pkl", "llama-3.1-70b-instruct", pool=["F", "J"])
    recorded = next(
        rows
        for condition, rows in study().of("llama-3.1-70b-instruct", "baseline")
        if condition.pool == ("F", "J")
    )
    pd.testing.assert_frame_equal(read, recorded.reset_index(drop=True), check_dtype=False)


def plain_run() -> dict[Any, Any]:
    return {
        "rules": "text",
        0: {
            "simulation": {1: {}, 2: {}},
            "tracker": {"players": [[1, 2]], "answers": [["Q", "M"]], "outcome": [0]},
        },
    }


def test_an_original_file_of_plain_data_is_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.pkl"
    path.write_bytes(pickle.dumps(plain_run()))
    (row,) = read_original(path, "m").to_dict(orient="records")
    assert (row["population"], row["player_a"], row["name_b"], row["pool"]) == (2, 1, "M", "M Q")


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("touched"),))


def test_a_pickle_that_would_run_code_is_refused_unrun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for protocol in range(6):
        path = tmp_path / f"hostile-{protocol}.pkl"
        path.write_bytes(pickle.dumps({0: Hostile()}, protocol=protocol))
        with pytest.raises(FileFormatError, match=r"hostile|plain data"):
            read_original(path, "m")
    assert not (tmp_path / "touched").exists()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_damaged_pickle_gives_the_package_s_own_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    good = bytearray(pickletools.optimize(pickle.dumps(plain_run())))
    for _ in range(data.draw(st.integers(1, 4))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "runs.pkl"
    path.write_bytes(bytes(good[: data.draw(st.integers(0, len(good)))]))
    with contextlib.suppress(FileFormatError):
        read_original(path, "m")
