"""A recording is compared with its live mind: row by row, and in distribution."""

from __future__ import annotations

from pathlib import Path

import pytest

from mesa_llm_norms import load_mind, record
from mesa_llm_norms.errors import MindError
from mesa_llm_norms.experiments import check_recording
from mesa_llm_norms.minds.mind import Policy
from mesa_llm_norms.minds.recorded import RecordedMind
from mesa_llm_norms.testing import FakeProvider

FEW = {"graph": "complete(n=8)", "live_runs": 6, "runs": 60, "rounds": 6}


def policy(name: str) -> Policy:
    mind = load_mind(name)
    assert isinstance(mind, Policy)
    return mind


def test_a_faithful_recording_holds_row_by_row() -> None:
    live = FakeProvider(policy("llama-3-70b-instruct"), distributions=True).mind()
    found = check_recording(record(live, "QM", 2).mind, live, **FEW)  # type: ignore[arg-type]
    assert found.holds
    assert found.rows == found.equal_rows > 50
    assert found.usage is not None
    assert "rows are equal" in found.sentence


@pytest.mark.slow
def test_one_of_counted_choices_is_compared_in_distribution() -> None:
    """A fixed seed; the level of the tests is one in a hundred for all three together."""
    live = FakeProvider(policy("llama-3-70b-instruct")).mind()
    found = check_recording(record(live, "QM", 1, asks=60).mind, live, **FEW)  # type: ignore[arg-type]
    assert found.rows == 0
    assert found.holds


@pytest.mark.slow
def test_a_recording_of_another_mind_does_not_hold() -> None:
    live = FakeProvider(policy("uniform"), distributions=True).mind()
    other = FakeProvider(policy("llama-3-70b-instruct"), distributions=True).mind()
    found = check_recording(record(other, "QM", 2).mind, live, **FEW)  # type: ignore[arg-type]
    assert not found.holds
    assert found.equal_rows < found.rows
    assert found.p_values["success"] < 0.01


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    mind = policy("llama-3-70b-instruct")
    assert isinstance(mind, RecordedMind)
    with pytest.raises(MindError, match="record wrote"):
        check_recording(mind, FakeProvider().mind())
    assert not list(tmp_path.iterdir())
