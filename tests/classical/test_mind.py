"""The classical game where a mind is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from mesa_llm_norms import NamingGame, run_ensemble
from mesa_llm_norms.classical.ensemble import run_classical
from mesa_llm_norms.errors import NormsError
from mesa_llm_norms.experiments.sweeps.grid import read_plan
from mesa_llm_norms.experiments.sweeps.runner import play_sweep
from mesa_llm_norms.minds.registry import mind_names

FIRM = {"M": {"agents": (0.3, "k-core"), "noise": 0.2, "until": 6}}


@pytest.mark.parametrize(
    "arguments",
    [
        {"graph": "watts_strogatz(n=24, k=4, p=0.1)"},
        {"graph": "complete(n=12)", "incumbent": "Q", "committed": FIRM},
        {"graph": "barabasi_albert(n=20, m=2)", "incumbent": "Q", "committed": {"M": (3, "hubs")}},
    ],
)
def test_its_runs_are_those_of_run_classical_with_the_same_pool(arguments: dict[str, Any]) -> None:
    same: dict[str, Any] = {**arguments, "names": "QMX", "runs": 12, "rounds": 100, "rng": 5}
    pairings: dict[Literal["node", "edge"], str] = {"node": "direct", "edge": "neutral"}
    for pairing, called in pairings.items():
        for until in ("converged", "agreed", None):
            found = run_ensemble(mind="classical", pairing=pairing, until=until, **same)
            expected = run_classical(pairing=called, until=until, **same)
            columns = ["interactions", "rounds", "converged", "agreed", "names_left", "clusters"]
            assert found.runs[columns].equals(expected.runs[columns])
            rounds = ["run", "round", "interactions", "success_rate"]
            assert found.rounds[rounds].equals(expected.rounds[rounds])
            shares = found.rounds[["share_Q", "share_M", "share_X"]].sum(axis=1)
            assert shares.round(9).eq(1).all()


def test_a_flip_is_a_committed_word_that_is_nearly_all_that_is_uttered() -> None:
    flip: dict[str, Any] = {"names": "QM", "incumbent": "Q", "mind": "classical", "runs": 20}
    many = run_ensemble(committed={"M": 0.3}, until="flipped", rng=1, **flip).runs
    few = run_ensemble(committed={"M": 1}, until="flipped", rounds=20, rng=1, **flip).runs
    assert many["flipped"].all()
    assert (many["share"] >= 0.95).all()
    assert not few["flipped"].any()


def test_it_is_beside_minds_in_one_table(tmp_path: Path) -> None:
    path = tmp_path / "grid.toml"
    path.write_text(
        'runs = 4\nnames = "QM"\nuntil = "agreed"\n[grid]\ngraph = ["ring(n=8)", "star(n=8)"]\n'
        'mind = ["uniform", "classical"]\n'
    )
    cells = play_sweep(read_plan(path)).cells
    assert cells["mind"].tolist() == ["uniform", "classical"] * 2
    assert cells.loc[cells["mind"] == "classical", "one_name"].eq(1).all()
    assert "classical" in mind_names()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"mind": {"classical": 0.5, "uniform": 0.5}}, "mixes with no mind"),
        ({"pairing": "matching"}, "no pairing 'matching'"),
        ({"keep_interactions": True}, "not those of minds"),
        ({"threshold": 0.9}, "has no threshold"),
    ],
)
def test_what_the_classical_game_has_not_is_refused(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(NormsError, match=words):
        run_ensemble(**{"mind": "classical", "runs": 2, **arguments})


def test_agents_with_minds_cannot_have_it() -> None:
    with pytest.raises(NormsError, match="a game of its own, whose agents have no minds"):
        NamingGame(mind="classical")


def test_noise_needs_a_pool() -> None:
    with pytest.raises(NormsError, match="there is no other name for noise"):
        run_classical(committed={"M": {"agents": 2, "noise": 0.1}}, runs=1)
