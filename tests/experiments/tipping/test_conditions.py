"""Runs in two phases that are played at once are those that are played one by one."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from mesa_llm_norms.experiments.tipping import Intervention
from mesa_llm_norms.experiments.tipping.conditions import Phases, play_phases, play_runs
from mesa_llm_norms.simulation import batch as module
from mesa_llm_norms.simulation.spec import Spec

RUNS = range(3, 15)

SMALL_WORLD = "watts_strogatz(n=16, k=4, p=0.2)"

POPULATIONS: dict[str, dict[str, Any]] = {
    "a complete graph": {},
    "small worlds": {"graph": SMALL_WORLD},
    "hubs": {"graph": "barabasi_albert(n=16, m=2)", "committed": {"M": (4, "hubs")}},
    "clusters": {"graph": SMALL_WORLD, "committed": {"M": (4, "cluster")}},
    "noise": {"committed": {"M": {"agents": 8, "placement": "hubs", "noise": 0.1}}},
    "edges": {"graph": "star(n=16)", "pairing": "edge", "committed": {"M": 8}},
    "matchings": {"graph": "torus(rows=4, columns=4)", "pairing": "matching"},
    "drifting minds": {"mind": "llama-3.1-70b-instruct"},
    "a mix": {"mind": {"claude-3.5-sonnet": 0.5, "llama-3-70b-instruct": 0.25, "uniform": 0.25}},
    "ten names": {"names": "QMXYFJPRCD", "committed": {"M": 8}},
    "empty memories": {"incumbent": None},
    "nobody committed": {"committed": {"M": 0}},
    "a long memory": {"memory": 40, "mind": "uniform"},
}


@pytest.mark.parametrize("kind", POPULATIONS)
@pytest.mark.parametrize("after", [0, 2, 15])
def test_runs_at_once_are_those_one_by_one(kind: str, after: int) -> None:
    given: dict[str, Any] = {"graph": "complete(n=16)", "names": "QM", "incumbent": "Q", "seed": 8}
    spec = Spec(**given | {"committed": {"M": 5}} | POPULATIONS[kind])
    phases = Phases("M", 20, after)
    found = play_runs(spec, RUNS, phases)
    assert found == [play_phases(spec, run, phases._replace(engine="python")) for run in RUNS]


def test_runs_flip_and_fall_back_and_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Spec(graph="complete(n=16)", names="QM", mind="uniform", committed={"M": 14}, seed=8)
    phases = Phases("M", 4, 40)
    found = play_runs(spec, range(60), phases)
    assert {one.lasts for one in found} == {None, True, False}
    monkeypatch.setattr(module, "INTERACTIONS_PER_CALL", 30)
    monkeypatch.setattr(module, "ROUNDS_AT_ONCE", 3)
    assert play_runs(spec, range(60), phases) == found


def test_every_run_may_have_edges_of_its_own() -> None:
    one = Intervention(committed=5, rewired=0.5)
    spec = Spec(graph=SMALL_WORLD, names="QM", incumbent="Q", committed={"M": 5}, seed=8)
    rewired = partial(one._rewire, spec)
    phases = Phases("M", 20, 10)
    found = play_runs(spec, RUNS, phases, rewired)
    assert found == [
        play_phases(rewired(run), run, phases._replace(engine="python")) for run in RUNS
    ]
    assert found != play_runs(spec, RUNS, phases)
