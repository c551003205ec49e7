"""Validation accepts the truth and rejects another mind."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from recordings import known

from mesa_llm_norms import TableMind
from mesa_llm_norms.reports.reproduction import draw_validation, write_validation
from mesa_llm_norms.simulation import Remembered
from mesa_llm_norms.study.recordings import (
    Condition,
    Recordings,
)
from mesa_llm_norms.study.validate import recorded_populations, summary, validate, winners_test

BOTH, MISS = Remembered("Q", "Q"), Remembered("M", "Q")


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
    write_validation(found, tmp_path)
    draw_validation(found, tmp_path, runs=200, seed=1)
    assert len(pd.read_csv(tmp_path / "conditions.csv")) == 1
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
