"""The models ``tipping_point`` and ``intervention``: they flip, let go, and do what is said."""

from __future__ import annotations

import pytest

from mesa_llm_norms import Intervention
from mesa_llm_norms.errors import SpecError
from models.intervention import model as intervention
from models.tipping_point import model as tipping_point


def test_the_minority_leaves_once_it_has_won_and_the_flip_holds() -> None:
    model = tipping_point.TippingPointModel("complete(n=12)", minority=5, rng=7)
    assert sum(agent.committed == "M" for agent in model.players) == 5
    model.run(rounds=40, until=None)
    assert model.flipped_at is not None
    assert not any(agent.committed for agent in model.players)
    table = model.datacollector.get_model_vars_dataframe()
    assert table["challenger_share"].iloc[-1] == 1
    assert len(table) == 40


def test_the_minority_stays_if_it_is_told_to() -> None:
    model = tipping_point.TippingPointModel("complete(n=12)", minority=5, leave=False, rng=7)
    model.run(rounds=40, until=None)
    assert model.flipped_at is not None
    assert sum(agent.committed == "M" for agent in model.players) == 5


def test_an_intervention_in_the_middle_of_a_run_does_what_it_says() -> None:
    model = intervention.InterventionModel(rng=7)
    before = dict(model.network.G.degree)
    edges = set(model.network.G.edges)
    model.run(rounds=2, until=None)
    what = Intervention(
        committed=4, placement="hubs", rewired=0.2, other="llama-2-70b-chat", other_share=0.25
    )
    model.intervene(what)
    assert dict(model.network.G.degree) == before
    assert set(model.network.G.edges) != edges
    hubs = sorted(before, key=lambda node: -before[node])
    committed = [agent.node for agent in model.players if agent.committed == "M"]
    assert len(committed) == 4
    assert min(before[node] for node in committed) >= before[hubs[3]]
    minds = [agent.uncommitted.label for agent in model.players]
    assert minds.count("llama-2-70b-chat") <= 6
    model.run(rounds=2, until=None)
    model.withdraw()
    assert not any(agent.committed for agent in model.players)
    with pytest.raises(SpecError, match="fixed for a run"):
        model.intervene(Intervention(memory=2))


def test_both_programs_say_what_they_found(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--graph", "complete(n=8)", "--runs", "200"]
    tipping_point.main([*small, "--minority", "3"])
    assert "of 8 agents" in capsys.readouterr().out
    intervention.main(["--graph", "barabasi_albert(n=12, m=2)", "--runs", "5"])
    assert "To undo Q" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        tipping_point.main([*small, "--placement", "middle"])
