"""The fit and the test of drift, on made-up recordings whose truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import known, only, record

from mesa_llm_norms import TableMind
from mesa_llm_norms.minds.files import read_mind, write_recorded
from mesa_llm_norms.minds.recorded import RecordedMind, sharpen
from mesa_llm_norms.simulation import Remembered
from mesa_llm_norms.study.fit import fit_mind, measure_drift
from mesa_llm_norms.study.recordings import (
    Recordings,
    read_recordings,
)

BOTH, MISS = Remembered("Q", "Q"), Remembered("M", "Q")


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
