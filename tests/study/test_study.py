"""Recordings, the fit, drift and validation, on made-up recordings whose truth is known."""

from __future__ import annotations

import contextlib
import pickle
import pickletools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recordings import STUDY, needs_study, record, study

from mesa_llm_norms import FileFormatError, Remembered, TableMind
from mesa_llm_norms.minds.files import read_mind, write_recorded
from mesa_llm_norms.minds.recorded import RecordedMind, sharpen
from mesa_llm_norms.reports.reproduction import write_validation
from mesa_llm_norms.study.fit import fit_mind, measure_drift
from mesa_llm_norms.study.recordings import (
    Condition,
    Recordings,
    decisions,
    read_original,
    read_recordings,
)
from mesa_llm_norms.study.validate import recorded_populations, summary, validate, winners_test

BOTH, MISS = Remembered("Q", "Q"), Remembered("M", "Q")


def known() -> TableMind:
    """Return a mind that stays with success, wavers after failure, and begins with M more often."""
    rows: dict[tuple[Remembered, ...], list[float]] = {
        (): [0.35, 0.65],
        (Remembered("Q", "Q"),): [0.998, 0.002],
        (Remembered("M", "M"),): [0.002, 0.998],
        (Remembered("Q", "M"),): [0.3, 0.7],
        (Remembered("M", "Q"),): [0.7, 0.3],
    }
    return TableMind("known", "QM", rows)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    return read_recordings(record(known(), tmp_path_factory.mktemp("made-up"), runs=40))


def only(recordings: Recordings) -> tuple[Condition, pd.DataFrame]:
    return next(recordings.of("made-up"))


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


@pytest.mark.slow
def test_the_fit_finds_the_policy_that_made_the_recordings(recordings: Recordings) -> None:
    """On memories met often, fitted and true probabilities differ by less than 0.05."""
    mind = fit_mind(recordings, "made-up", "0")
    for memory in ((), (BOTH,) * 5, (MISS,), (BOTH, BOTH, BOTH, BOTH, Remembered("Q", "M"))):
        assert mind.distribution(memory, "QM") == pytest.approx(
            known().distribution(memory, "QM"), abs=0.05
        )


@pytest.mark.slow
def test_the_same_recordings_give_the_same_bytes(recordings: Recordings, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_recorded(fit_mind(recordings, "made-up", "0"), tmp_path / f"{name}.json")
    written = (tmp_path / "one.json").read_bytes()
    assert written == (tmp_path / "two.json").read_bytes()
    again = read_mind(tmp_path / "one.json")
    assert isinstance(again, RecordedMind)
    write_recorded(again, tmp_path / "three.json")
    assert written == (tmp_path / "three.json").read_bytes()


def test_drift_is_found_where_it_was_planted(tmp_path: Path) -> None:
    """Half of the runs are of a much less decided model."""

    def moving(run: int) -> TableMind:
        table = {m: sharpen(row, 0.4 if run % 2 else 1.6) for m, row in known().table.items()}
        return TableMind("moving", "QM", table)

    condition, rows = only(read_recordings(record(moving, tmp_path, runs=30)))
    drift = measure_drift(known(), [(condition, rows)], samples=99)
    assert drift.p_value == 0.01
    assert drift.spread > 0.2
    by_run = drift.inverse_temperatures.to_numpy()
    assert np.median(by_run[::2]) > np.median(by_run[1::2])


def test_drift_is_not_found_in_runs_of_one_policy(tmp_path: Path) -> None:
    """False-alarm rate: p below 0.01 in one of a hundred such tests; this seed is fixed."""
    condition, rows = only(read_recordings(record(known(), tmp_path, runs=30)))
    assert measure_drift(known(), [(condition, rows)], samples=99).p_value > 0.01


def test_recorded_runs_converge_at_the_first_streak_of_three_rounds() -> None:
    """Longer recordings of a consensus do not count as slower ones."""
    condition = Condition("m", "baseline", ("Q", "M"), 5, 2)
    names = ["Q", "M", *["Q"] * 20]
    rows = pd.DataFrame({"run": 0, "name_a": names, "name_b": ["M", *names[1:]]})
    found = recorded_populations(condition, rows)
    assert found.interactions.tolist() == [7]
    assert found.winners.to_dict() == {"Q": 1, "M": 0}


def test_validation_accepts_the_truth_and_writes_its_report(
    recordings: Recordings, tmp_path: Path
) -> None:
    found = validate(recordings, {"made-up": known()}, runs=200)
    (row,) = summary(found).to_dict(orient="records")
    assert row["time_p"] > 0.001
    assert row["winners_p"] > 0.001
    assert row["calibration_error"] < 0.02
    write_validation(found, tmp_path, runs=200, seed=1)
    assert "does not match" in (tmp_path / "validation.md").read_text()
    assert (tmp_path / "validation.png").stat().st_size > 10_000


def test_validation_rejects_another_mind(recordings: Recordings) -> None:
    stubborn = {
        memory: [0.97, 0.03] if memory == (Remembered("Q", "M"),) else row
        for memory, row in known().table.items()
    }
    stubborn[MISS,] = [0.03, 0.97]
    found = validate(recordings, {"made-up": TableMind("stubborn", "QM", stubborn)}, runs=100)
    (row,) = summary(found).to_dict(orient="records")
    (truth,) = summary(validate(recordings, {"made-up": known()}, runs=100)).to_dict(
        orient="records"
    )
    assert row["time_p"] < 0.001
    assert row["log_loss"] > truth["log_loss"] + 0.02


def test_winners_of_the_same_shares_are_not_told_apart() -> None:
    one, other = pd.Series({"Q": 26, "M": 14}), pd.Series({"Q": 640, "M": 360})
    assert winners_test(one, other) > 0.5
    assert winners_test(one[::-1].set_axis(["Q", "M"]), other) < 0.01


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
