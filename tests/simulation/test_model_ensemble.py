"""Ensembles of a model of a user's own: its step, arguments and reporters, in many runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mesa_llm_norms import NamingGame, NetworkGame, run_ensemble
from mesa_llm_norms.errors import BudgetError, NormsError, SpecError
from mesa_llm_norms.simulation import PublicGoods, SharedCalls
from mesa_llm_norms.testing import FakeProvider

PLAYED: dict[str, Any] = {"names": "QM", "rng": 7, "runs": 3, "rounds": 6, "until": None}


class Patient(NamingGame):
    """A subclass with an argument, a step and a column of its own, and a default of the game's."""

    def __init__(self, patience: int = 3, graph: Any = "ring(n=8)", **game: Any) -> None:
        super().__init__(graph, reporters={"waited": lambda model: model.patience}, **game)
        self.patience = patience

    def step(self) -> None:
        super().step()
        self.patience += 1


class Counting(NamingGame):
    def __init__(self, **game: Any) -> None:
        super().__init__("ring(n=4)", reporters={"round": lambda model: model.steps}, **game)


def by_seed(rng: int, graph: Any = "ring(n=4)") -> NamingGame:
    return NamingGame(graph, "QM", rng=rng)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"engine": "kernel"},
        pytest.param({"workers": 2}, marks=pytest.mark.slow),
        {"until": "converged", "rounds": 100},
    ],
    ids=lambda given: str(given),
)
def test_runs_of_a_model_are_those_of_an_ensemble_with_columns_of_its_own(
    given: dict[str, Any],
) -> None:
    asked = {**PLAYED, **given}
    done: list[tuple[int, int]] = []
    plain = run_ensemble("ring(n=8)", keep_interactions=True, **asked)
    found = run_ensemble(
        model=Patient,
        patience=5,
        keep_interactions=True,
        progress=lambda *counts: done.append(counts),
        **asked,
    )
    pd.testing.assert_frame_equal(found.runs, plain.runs)
    pd.testing.assert_frame_equal(found.rounds[list(plain.rounds)], plain.rounds)
    assert list(found.rounds["waited"]) == [5 + it for it in plain.rounds["round"]]
    assert found.interactions is not None
    assert plain.interactions is not None
    assert found.interactions.equals(plain.interactions)
    assert [it.tolist() for it in found.held] == [it.tolist() for it in plain.held]
    assert done[-1] == (3, 3)
    assert "<img" in found._repr_html_()
    assert found._repr_png_()[:4] == b"\x89PNG"


def test_a_function_that_takes_only_a_seed_gets_another_one_for_each_run() -> None:
    found, again = (run_ensemble(model=by_seed, runs=4, rng=3, rounds=9).runs for _ in range(2))
    pd.testing.assert_frame_equal(found, again)
    assert found["interactions"].nunique() > 1
    assert not found.equals(run_ensemble(model=by_seed, runs=4, rng=4, rounds=9).runs)


def test_other_games_and_groups_are_played() -> None:
    asked: dict[str, Any] = {"game": PublicGoods(), "pairing": "neighborhood", "mind": "uniform"}
    asked |= {"rng": 7, "runs": 2, "rounds": 3, "until": None, "keep_interactions": True}
    plain = run_ensemble("ring(n=6)", **asked)
    found = run_ensemble("ring(n=6)", model=NetworkGame, **asked)
    assert plain.interactions is not None
    assert found.interactions is not None
    assert plain.interactions.equals(found.interactions)


def test_live_runs_have_one_budget_and_one_folder_and_go_on(tmp_path: Path) -> None:
    first, later = FakeProvider(), FakeProvider()
    asked: dict[str, Any] = {
        **PLAYED,
        "graph": "ring(n=4)",
        "model": Patient,
        "keep_interactions": True,
    }
    llm = {"folder": tmp_path / "runs", "budget_calls": 60}
    with pytest.raises(BudgetError, match="60 of 60 calls"):
        run_ensemble(mind=first.mind(), llm=llm, **asked)
    assert len(first.asked) == 60
    found = run_ensemble(mind=later.mind(), llm={**llm, "budget_calls": 200}, **asked)
    assert found.usage is not None
    assert found.usage.calls == 3 * 6 * 4 * 2 == 60 + len(later.asked)
    assert sorted(it.name for it in (tmp_path / "runs").iterdir()) == [
        f"model-{run}" for run in range(3)
    ]
    del asked["model"]
    plain = run_ensemble(mind=FakeProvider().mind(), **asked)
    assert found.interactions is not None
    assert plain.interactions is not None
    assert found.interactions.equals(plain.interactions)
    with SharedCalls({"budget_calls": 100}) as shared:
        asked |= {"runs": 2, "rounds": 2, "mind": later.mind(), "llm": shared}
        run_ensemble(model=Patient, **asked)
        assert shared.usage.calls == 32


def stubborn(**given: Any) -> NamingGame:
    return NamingGame("ring(n=4)", "QM", FakeProvider().mind(), rng=given["rng"], run=given["run"])


@pytest.mark.parametrize(
    ("model", "own", "said"),
    [
        (3, {}, "3 makes no models"),
        (Patient, {"patince": 3}, "does not take these arguments: .*'patince'"),
        (lambda: 3, {}, "takes no rng"),
        (lambda rng: rng, {}, "Give a class derived from NetworkGame"),
        (lambda **given: NamingGame("ring(n=4)", "QM"), {}, "without its rng="),  # noqa: ARG005
        (lambda **given: NamingGame("ring(n=4)", rng=given["rng"]), {}, "without its run="),
        (stubborn, {}, "without its llm="),
        (Patient, {"run": 3}, "Leave run= out"),
        (Counting, {}, "has a reporter called round"),
        (
            lambda **given: NamingGame("ring(n=4)", **given),
            {"workers": 2},
            "lambda.* cannot be sent",
        ),
    ],
)
def test_what_makes_no_such_model_is_refused(model: Any, own: Any, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        run_ensemble(model=model, rng=7, runs=2, rounds=1, **own)


def test_an_argument_that_nobody_takes_is_refused() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'patience'"):
        run_ensemble(patience=3)
    with pytest.raises(NormsError, match="called from this process"):
        run_ensemble(model=Patient, mind=FakeProvider().mind(), engine="kernel")
