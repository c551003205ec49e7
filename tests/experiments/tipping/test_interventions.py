"""Interventions: degrees that stay, costs that count, and which is cheapest."""

from __future__ import annotations

from typing import Any

import pytest

from mesa_llm_norms import Intervention, compare_interventions
from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments.tipping.interventions import Cost
from mesa_llm_norms.simulation.spec import Spec

STAR_LIKE: dict[str, Any] = {"graph": "barabasi_albert(n=16, m=2)", "rounds": 20, "rng": 3}


def test_what_is_touched_is_counted() -> None:
    spec = Spec(graph="ring(n=20, k=4)", names="QM", memory=5)
    assert Intervention().cost(spec) == Cost(0, 0)
    assert Intervention(committed=3).cost(spec) == Cost(3, 0)
    assert Intervention(committed=3, memory=2).cost(spec) == Cost(20, 0)
    assert Intervention(memory=5).cost(spec) == Cost(0, 0)
    assert Intervention(rewired=0.1).cost(spec) == Cost(0, 4)
    other = Intervention(other="llama-2-70b-chat", other_share=0.25, committed=2)
    assert other.cost(spec) == Cost(7, 0)


def test_hubs_undo_a_convention_that_rewiring_does_not_touch() -> None:
    found = compare_interventions(
        "Q",
        "M",
        [Intervention(rewired=0.2), Intervention(committed=4, placement="hubs")],
        runs=60,
        **STAR_LIKE,
    )
    rows = found.table.set_index("intervention")
    assert rows.index.tolist() == ["nothing", "20% rewired", "4 committed (hubs)"]
    assert found.cheapest == "4 committed (hubs)"
    assert "4 committed (hubs)" in found.sentence
    assert rows["p"].to_dict()["4 committed (hubs)"] < 0.001
    assert rows["p"].to_dict()["20% rewired"] == 1
    assert rows["cost"].to_dict() == {"nothing": 0, "20% rewired": 6, "4 committed (hubs)": 4}
    assert len(found.runs) == 180


def test_prices_decide_what_is_cheapest() -> None:
    given_ = [Intervention(committed=16), Intervention(committed=15, rewired=0.2)]
    dear, cheap = (
        compare_interventions("Q", "M", given_, runs=20, edge_price=price, **STAR_LIKE)
        for price in (1.0, 0.0)
    )
    assert dear.cheapest == "16 committed"
    assert cheap.cheapest == "15 committed, 20% rewired"


def test_where_nothing_works_nothing_is_called_cheapest() -> None:
    found = compare_interventions("Q", "M", [Intervention(memory=3)], runs=20, **STAR_LIKE)
    assert found.cheapest is None
    assert "none of these" in found.sentence


def test_a_convention_is_prevented_where_it_does_not_lead_in_the_end() -> None:
    found = compare_interventions(
        "Q", "M", [Intervention(committed=8)], goal="prevent", runs=40, **STAR_LIKE
    )
    share = found.table.set_index("intervention")["worked"]
    assert 0 < float(share["nothing"]) < 1
    assert float(share["8 committed"]) == 1


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"committed": -1}, "committed"),
        ({"placement": "middle"}, "no 'middle'"),
        ({"rewired": 2}, "out of range"),
        ({"committed": 3, "noise": -0.1}, "out of range"),
        ({"noise": 0.1}, "there are none"),
        ({"other": "llama-2-70b-chat"}, "needs a share"),
        ({"other_share": 0.5}, "needs a share"),
    ],
)
def test_what_is_no_intervention_is_refused(given_: dict[str, Any], said: str) -> None:
    with pytest.raises(SpecError, match=said):
        Intervention(**given_)


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        ({"goal": "stop"}, "unknown"),
        ({"interventions": []}, "there is none"),
        ({"alternative": "X"}, "not a pair"),
        ({"mind": {"uniform": 1}}, "one mind for all"),
    ],
)
def test_what_cannot_be_compared_is_refused(given_: dict[str, Any], said: str) -> None:
    one = Intervention(other="llama-2-70b-chat", other_share=0.5)
    told: dict[str, Any] = {
        "convention": "Q",
        "alternative": "M",
        "interventions": [one],
        "runs": 2,
    } | given_
    with pytest.raises(SpecError, match=said):
        compare_interventions(**told)
