"""One budget and one folder over models that play one after another, and Mesa's batch runs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import mesa
import pytest

from mesa_llm_norms import NamingGame, NetworkGame, NormsError
from mesa_llm_norms.errors import BudgetError, JournalError
from mesa_llm_norms.simulation import SharedCalls
from mesa_llm_norms.testing import FakeProvider

RING = "ring(n=4)"


class Noted(NamingGame):
    """A subclass with a step of its own."""

    def __init__(self, bonus: int = 1, **game: Any) -> None:
        super().__init__(**game)
        self.bonus = bonus

    def step(self) -> None:
        super().step()
        self.bonus += 1


def play(shared: SharedCalls, provider: FakeProvider, seeds: range) -> list[Any]:
    rows = []
    for seed in seeds:
        model = Noted(graph=RING, names="QM", mind=provider.mind(), rng=seed, llm=shared)
        model.step()
        rows.append(list(model.rows))
    return rows


def test_models_share_a_budget_and_nothing_is_paid_for_twice(tmp_path: Path) -> None:
    provider, again, more = FakeProvider(), FakeProvider(), FakeProvider()
    settings = {"folder": tmp_path / "runs", "budget_calls": 20}
    with SharedCalls(settings) as shared:
        rows = play(shared, provider, range(2))
        assert shared.usage.calls == len(provider.asked) == 16
    assert sorted(it.name for it in (tmp_path / "runs").iterdir()) == ["model-0", "model-1"]
    with SharedCalls(settings) as shared:
        assert shared.usage.calls == 16
        assert play(shared, again, range(2)) == rows
        assert not again.asked
        with pytest.raises(BudgetError, match="20 of 20 calls"):
            play(shared, again, range(2, 3))
        assert shared.usage.calls <= 20
    with SharedCalls({**settings, "budget_calls": 24}) as shared:
        assert play(shared, more, range(3))[:2] == rows
        assert shared.usage.calls == 24


def test_what_a_later_model_used_before_counts_while_an_earlier_one_plays(tmp_path: Path) -> None:
    provider = FakeProvider()
    settings = {"folder": tmp_path / "runs", "budget_calls": 16}
    with SharedCalls(settings) as shared:
        play(shared, provider, range(2))
    with SharedCalls(settings) as shared:
        model = Noted(graph=RING, names="QM", mind=provider.mind(), rng=0, llm=shared)
        model.step()
        with pytest.raises(BudgetError):
            model.step()
    assert len(provider.asked) == 16


def test_another_model_in_the_place_of_one_on_record_is_refused(tmp_path: Path) -> None:
    settings = {"folder": tmp_path / "runs"}
    with SharedCalls(settings) as shared:
        play(shared, FakeProvider(), range(1))
    with SharedCalls(settings) as shared, pytest.raises(JournalError, match="spec was"):
        play(shared, FakeProvider(), range(5, 6))


@pytest.mark.skipif(not hasattr(mesa, "batch_run"), reason="Mesa 4 has no batch runs")
def test_batch_runs_of_mesa_share_it() -> None:
    provider = FakeProvider()
    with SharedCalls({"budget_calls": 100}) as shared:
        given = {"llm": shared, "mind": provider.mind(), "graph": RING, "names": "QM"}
        given |= {"rng": 1, "memory": [2, 5]}
        found = mesa.batch_run(Noted, given, max_steps=2, display_progress=False)
        assert shared.usage.calls == len(provider.asked) > 16
    assert {row["memory"] for row in found} == {2, 5}


def test_it_stays_in_its_process_and_reads_its_settings() -> None:
    with pytest.raises(NormsError, match="process"):
        pickle.dumps(SharedCalls())
    with pytest.raises(NormsError, match="budget"):
        SharedCalls({"budget_call": 3})
    model = NetworkGame(RING, mind="uniform", llm=SharedCalls())
    model.step()
