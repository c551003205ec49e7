"""A recording keeps what a live mind answered, order by order, and plays it again."""

from __future__ import annotations

import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from mind_conformance import MindConformance

from mesa_llm_norms import load_mind, run_ensemble
from mesa_llm_norms.core.game import Game, Remembered
from mesa_llm_norms.errors import FileFormatError, MindError
from mesa_llm_norms.minds.files import write_recorded
from mesa_llm_norms.minds.mind import Mind
from mesa_llm_norms.minds.recorded import FAMILIES, RecordedMind
from mesa_llm_norms.minds.recording import Recording

QM, MQ = ("Q", "M"), ("M", "Q")
SHARES = Recording(
    Game(QM, memory=1),
    True,
    {
        (): {QM: (0.9, 0.1), MQ: (0.2, 0.8)},
        (Remembered("Q", "M"),): {QM: (0.5, 0.5)},
    },
)
CHOICES = Recording(Game(QM, memory=1), False, {(): {QM: (3, 1), MQ: (0, 4)}})


def mind_of(recording: Recording, prior_strength: float = 1e-6) -> RecordedMind:
    weights: Any = {family: {} for family in FAMILIES}
    weights["name"] = {"Q": 0.0, "M": 0.0}
    return RecordedMind("mine", weights, prior_strength=prior_strength, recordings=[recording])


class TestMindOfARecording(MindConformance):
    def mind(self, pool: Sequence[str]) -> Mind:  # noqa: ARG002
        return mind_of(SHARES)


def test_a_policy_is_the_mean_over_orders() -> None:
    assert mind_of(SHARES).distribution((), "QM") == pytest.approx([0.55, 0.45], abs=1e-5)
    assert mind_of(CHOICES).distribution((), "MQ") == pytest.approx([5 / 8, 3 / 8], abs=1e-5)


def test_what_was_never_asked_is_the_logits() -> None:
    assert mind_of(SHARES).distribution((Remembered("M", "M"),), "QM") == [0.5, 0.5]
    assert mind_of(CHOICES, 8.0).distribution((), "QM") == [(3 + 8 * 0.5) / 16, (5 + 8 * 0.5) / 16]


@pytest.mark.parametrize("recording", [SHARES, CHOICES])
def test_a_file_holds_all_of_it(recording: Recording, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_recorded(mind_of(recording), path)
    found = load_mind(path)
    assert isinstance(found, RecordedMind)
    assert found.recordings == (recording,)
    assert found.counts == mind_of(recording).counts
    write_recorded(pickle.loads(pickle.dumps(found)), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_with_orders_each_order_has_its_own_answers() -> None:
    mind = mind_of(SHARES).with_orders("QM")
    assert mind.shares((), QM) == (0.9, 0.1)
    assert mind.shares((), MQ) == (0.2, 0.8)
    assert mind.shares((Remembered("M", "M"),), MQ) == [0.5, 0.5]
    counted = mind_of(CHOICES).with_orders("QM")
    assert counted.shares((), QM) == [0.75, 0.25]
    first = run_ensemble("complete(n=20)", "QM", mind, memory=1, runs=200, rounds=1, rng=1)
    assert len(first.runs) == 200
    with pytest.raises(MindError, match="another game"):
        run_ensemble("complete(n=20)", "QM", mind, memory=2, runs=1, rng=1)
    with pytest.raises(MindError, match="no answers"):
        mind_of(SHARES).with_orders("AB")


BAD: list[tuple[str, Any]] = [
    ("names", "QQ"),
    ("names", None),
    ("memory", 0),
    ("memory", True),
    ("reward", "much"),
    ("answers_are", "guesses"),
    ("answers", []),
    ("answers", {"": {}}),
    ("answers", {"Q/M Q/M": {"Q M": [0.5, 0.5]}}),
    ("answers", {"Q/X": {"Q M": [0.5, 0.5]}}),
    ("answers", {"": {"Q": [0.5, 0.5]}}),
    ("answers", {"": {"Q Q": [0.5, 0.5]}}),
    ("answers", {"": {"Q M": [0.5, 0.6]}}),
    ("answers", {"": {"Q M": [0.5]}}),
    ("answers", {"": {"Q M": [-0.5, 1.5]}}),
    ("answers", {"": {"Q M": "ab"}}),
    ("answers", {"": {"Q M": [10**400, 1]}}),
    ("answers", {"": {"Q M": [True, False]}}),
]


@pytest.mark.parametrize(("field", "value"), BAD, ids=lambda value: repr(value)[:40])
def test_a_bad_field_is_refused(field: str, value: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_recorded(mind_of(SHARES), path)
    content = json.loads(path.read_text(encoding="utf-8"))
    content["recordings"][0][field] = value
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FileFormatError, match=r"mine\.json"):
        load_mind(path)


@pytest.mark.parametrize("recordings", [{}, [1], "all", [None]])
def test_so_is_what_is_no_list_of_recordings(recordings: Any, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_recorded(mind_of(SHARES), path)
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, "recordings": recordings}), encoding="utf-8")
    with pytest.raises(FileFormatError):
        load_mind(path)


def test_counts_are_whole_numbers(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    write_recorded(mind_of(CHOICES), path)
    path.write_text(path.read_text(encoding="utf-8").replace("     3,", "     3.5,"), "utf-8")
    with pytest.raises(FileFormatError, match="counts"):
        load_mind(path)
