"""A sweep with live minds: each is asked once for each game, and played for ever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal

from mesa_llm_norms import load_mind, record
from mesa_llm_norms.errors import BudgetError, SpecError
from mesa_llm_norms.experiments.sweeps import sweep
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.testing import FakeProvider

TRUTH: Any = load_mind("llama-3-70b-instruct")
SMALL: dict[str, Any] = {"graph": "ring(n=6)", "names": "QM", "runs": 3, "rounds": 3, "rng": 1}
QUESTIONS = 10
"""Both orders of the names on the 5 memories of at most one interaction."""
MORE = 42
"""On the 21 of at most two."""


def fake(**options: Any) -> FakeProvider:
    return FakeProvider(TRUTH, distributions=True, **options)


def swept(
    provider: FakeProvider,
    folder: Path | None,
    mind: Any = None,
    memories: Sequence[int] = (1,),
    **more: Any,
) -> Any:
    minds = {"live": mind or provider.mind(), "uniform": "uniform"}
    return sweep(folder, {"mind": minds, "memory": list(memories)}, **{**SMALL, **more})


def test_a_live_mind_is_recorded_once_for_each_game_and_its_recording_plays(
    tmp_path: Path,
) -> None:
    provider, told = fake(), []
    both: dict[str, Any] = {"memories": (1, 2), "recording": lambda *done: told.append(done)}
    found = swept(provider, tmp_path / "out", **both)
    assert len(provider.asked) == QUESTIONS + MORE
    assert told[-1] == ("asking", 41, 41)  # the first question comes alone
    for memory in (1, 2):
        recorded = record(fake().mind(), "QM", memory).mind
        (expected,) = [sweep(None, {"mind": {"live": recorded}}, memory=memory, **SMALL).runs]
        played = found.runs.query("mind == 'live' and memory == @memory")
        assert_frame_equal(
            played.drop(columns="memory").reset_index(drop=True), expected, check_dtype=False
        )
    files = {f"{name}.json" for name in found.record["recorded"]}
    assert files == {path.name for path in (tmp_path / "out" / "minds").glob("*.json")}
    again = swept(provider, tmp_path / "out", runs=4, **both)
    assert len(provider.asked) == QUESTIONS + MORE
    assert_frame_equal(again.runs.query("run < 3").reset_index(drop=True), found.runs)


def test_live_minds_in_a_mixture_are_recorded_too() -> None:
    provider = fake()
    mixed = swept(provider, None, mind={provider.mind(): 0.5, "uniform": 0.5})
    assert len(provider.asked) == QUESTIONS
    assert len(mixed.cells) == 2


def test_a_mind_that_costs_money_needs_a_budget_before_anything_is_asked(tmp_path: Path) -> None:
    provider = fake(free=False)
    with pytest.raises(SpecError, match=r"no budget for fake:model.*--forecast"):
        swept(provider, tmp_path / "out")
    assert not provider.asked
    swept(provider, tmp_path / "out", llm=LLMSettings(budget_calls=QUESTIONS))
    assert len(provider.asked) == QUESTIONS


@pytest.mark.parametrize("enough", [0, 3])
def test_a_budget_that_ends_a_recording_ends_the_sweep_which_can_go_on(
    tmp_path: Path, enough: int
) -> None:
    provider = fake()
    with pytest.raises((SpecError, BudgetError), match="budget"):
        swept(provider, tmp_path / "out", llm=LLMSettings(budget_calls=enough))
    assert len(provider.asked) == enough
    assert not (tmp_path / "out" / "cells").exists()
    assert len(swept(provider, tmp_path / "out").cells) == 2
    assert len(provider.asked) == QUESTIONS


def test_a_memory_too_long_to_record_is_refused_before_anything_is_asked() -> None:
    provider = fake()
    with pytest.raises(SpecError, match="memory"):
        sweep(None, {"memory": [1, 9]}, mind=provider.mind(), **SMALL)
    assert not provider.asked
