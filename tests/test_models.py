"""The models that come with the package: they run, and they measure what their README says."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pandas as pd
import pytest
from scipy import stats

from mesa_llm_norms import CommittedMind, ScriptedMind, run_ensemble
from mesa_llm_norms.statistics import Estimate
from mesa_llm_norms.topologies import read_graph, size
from models.naming_game.model import NamingGameModel, leading_share, local_agreement, main
from models.topologies import model as topologies

ROOT = Path(__file__).parents[1]


def test_every_model_has_what_a_model_needs() -> None:
    folders = [path for path in (ROOT / "models").iterdir() if path.name[0] not in "._"]
    assert folders
    for folder in folders:
        assert {"model.py", "README.md"} <= {path.name for path in folder.iterdir()}


def test_the_naming_game_collects_its_two_measures_beside_the_usual_ones() -> None:
    model = NamingGameModel(graph="ring(n=24, k=4)", names="QM", rng=7)
    model.run(rounds=5, until=None)
    table = model.datacollector.get_model_vars_dataframe()
    assert len(table) == 5
    assert {"success_rate", "share_Q", "local_agreement", "leading_share"} <= set(table)
    assert table["local_agreement"].between(0, 1).all()
    assert table["leading_share"].between(0.5, 1).all()
    agents = model.datacollector.get_agent_vars_dataframe()
    assert {"name", "score"} <= set(agents)
    assert len(agents) == 5 * 24


def test_neighbours_agree_before_the_population_does() -> None:
    """Two halves of a ring that hold different names: all but two ties agree, and half the agents.

    Nothing is left to chance but who meets whom, and every agent has played after 20 rounds.
    """
    graph = nx.cycle_graph(12)
    minds = {node: CommittedMind("Q" if node < 6 else "M") for node in graph}
    model = NamingGameModel(graph=graph, names="QM", mind=minds, rng=7)
    model.run(rounds=20, until=None)
    assert None not in model.names_held.values()
    assert local_agreement(model) == 10 / 12
    assert leading_share(model) == 1 / 2


def test_before_the_first_round_there_is_nothing_to_measure() -> None:
    model = NamingGameModel(names="QM", rng=7)
    assert math.isnan(local_agreement(model))
    assert math.isnan(leading_share(model))


def test_the_model_stops_running_when_it_has_converged() -> None:
    model = NamingGameModel(graph="complete(n=4)", names="QM", mind=ScriptedMind(["M"]), rng=7)
    steps = 0
    while model.running:
        model.step()
        steps += 1
    assert (steps, model.converged) == (3, True)
    assert (local_agreement(model), leading_share(model)) == (1, 1)


def test_agents_that_left_do_not_count() -> None:
    model = NamingGameModel(graph="star(n=5)", names="QM", mind=ScriptedMind(["M"]), rng=7)
    model.run(rounds=10, until=None)
    model.agent_on(4).remove()
    assert (local_agreement(model), leading_share(model)) == (1, 1)


def test_the_naming_game_prints_both_networks(capsys: pytest.CaptureFixture[str]) -> None:
    main(rounds=2)
    shown = capsys.readouterr().out
    assert "complete(n=24)" in shown
    assert "ring(n=24, k=4)" in shown
    assert shown.count("local_agreement") == 2


def test_the_naming_game_runs_as_its_readme_says() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "models.naming_game.model"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "leading_share" in ran.stdout


# Topologies


def test_all_topologies_have_as_many_agents() -> None:
    assert len(topologies.TOPOLOGIES) >= 12
    for graph in topologies.TOPOLOGIES.values():
        assert size(read_graph(graph, random.Random(1)))[0] == topologies.AGENTS


def made_up_rounds(*runs: list[float]) -> pd.DataFrame:
    """Return rounds in which Q has these shares, run by run."""
    rows = [(run, share, 1 - share) for run, shares in enumerate(runs) for share in shares]
    return pd.DataFrame(rows, columns=["run", "share_Q", "share_M"])


def test_a_name_has_won_when_it_makes_up_95_percent_of_three_rounds() -> None:
    rounds = made_up_rounds(
        [0.5, 1, 1, 1, 0.5],  # Q, after four rounds, whatever comes later
        [0.1, 0.05, 0.0, 0.0, 1],  # M: 5% in the mean of three rounds, from the first
        [1, 1, 0.84, 1, 1],  # nobody
        [0.5, 0.5, 0, 0, 0],  # M, at the very end
    )
    times, won, winners = topologies.find_winners(rounds, "QM")
    assert won.tolist() == [True, True, False, True]
    assert (times / topologies.AGENTS).tolist() == [4, 3, 5, 5]
    assert winners[won].tolist() == ["Q", "M", "M"]


def test_side_by_side_is_not_won_though_the_rule_of_the_study_is_met() -> None:
    graph = "barbell(clique=10, path=4)"
    study = run_ensemble(graph=graph, names="QM", runs=20, rng=7).runs
    assert study["converged"].mean() > 0.9
    found = topologies.play("claude-3.5-sonnet", graph, "QM", runs=20, rng=7)
    assert 0 < found.settled < 0.9
    assert found.agreement > 0.9
    assert sum(found.wins.values()) == round(found.settled * found.runs)


def test_the_classical_game_is_a_player_too() -> None:
    found = topologies.play(topologies.CLASSICAL, "complete(n=24)", "QM", runs=20, rng=7)
    assert found.settled == 1
    assert 100 < found.time.value < 400
    assert math.isnan(found.agreement)
    assert list(found.wins) == ["Q", "M"]


def test_winners_are_compared_as_the_chi_square_test_does() -> None:
    wins = [{"Q": 60, "M": 40, "X": 0}, {"Q": 45, "M": 55, "X": 0}, {"Q": 0, "M": 0, "X": 0}]
    found = topologies.compare_winners(wins)
    expected = stats.chi2_contingency([[60, 40], [45, 55]], correction=False)
    assert found.chi_square == pytest.approx(expected.statistic)
    assert found.effect == pytest.approx(math.sqrt(expected.statistic / 200))
    assert found.p_value == pytest.approx(expected.pvalue, abs=0.02)
    assert topologies.compare_winners(wins, tests=3).p_value == pytest.approx(3 * found.p_value)
    assert topologies.compare_winners(wins, tests=1_000).p_value == 1


@pytest.mark.parametrize("wins", [[], [{"Q": 3, "M": 1}], [{"Q": 3, "M": 0}, {"Q": 9, "M": 0}]])
def test_there_is_nothing_to_compare_without_two_topologies_and_two_winners(
    wins: list[dict[str, int]],
) -> None:
    assert topologies.compare_winners(wins).p_value == 1


def finding(settled: int, **wins: int) -> topologies.Finding:
    time = Estimate(100.0, 90.0, math.inf)
    return topologies.Finding(settled, time, 1.0, wins)


def test_the_answer_says_whether_and_leaves_out_where_few_runs_were_won() -> None:
    few = finding(100, Q=0, M=50)
    apart = {"a": finding(100, Q=90, M=10), "b": finding(100, Q=10, M=90), "c": few}
    said = topologies.answer("x", apart, 1)
    assert "depends on the topology" in said
    assert "2 topologies" in said
    assert "Q wins 10% on b, 90% on a" in said
    alike = {"a": finding(100, Q=51, M=49), "b": finding(100, Q=50, M=50)}
    assert "could not be shown to depend" in topologies.answer("x", alike, 1)
    assert "too few" in topologies.answer("x", {"c": few}, 1)


def test_the_topologies_script_prints_tables_answers_and_draws(tmp_path: Path) -> None:
    """As a script, on two names; the same in two processes, and progress on standard error."""
    shown = []
    for workers in ("1", "2"):
        out = tmp_path / f"{workers}.png"
        ran = subprocess.run(
            [
                *(sys.executable, "-W", "error", str(ROOT / "models" / "topologies" / "model.py")),
                *("--names", "QM", "--runs", "4", "--workers", workers, "--out", str(out)),
                *("--mind", "claude-3.5-sonnet", "--mind", "llama-3-70b-instruct"),
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert ran.returncode == 0, ran.stderr
        assert "llama-3-70b-instruct: barbell (14 of 14)" in ran.stderr
        assert out.read_bytes().startswith(b"\x89PNG")
        shown.append(ran.stdout.replace(str(out), ""))
    assert shown[0] == shown[1]
    for player in ("claude-3.5-sonnet", "llama-3-70b-instruct", "classical game"):
        assert f"\n{player}\n" in shown[0]
        assert f"\n{player}: " in shown[0]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--runs", "0"), "runs"),
        (("--mind", "nobody"), "nobody"),
        (("--names", "Q"), "names"),
        (("--out", "topologies.pdf"), "no .png or .svg"),
        (("--out", "nowhere/topologies.png"), "folder"),
    ],
)
def test_the_topologies_script_refuses_in_one_line(
    arguments: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        topologies.main(arguments)
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: " in last
    assert problem in last


def test_shares_of_winners_come_with_intervals() -> None:
    assert topologies.share_of({"Q": 1, "M": 3, "X": 0}) == ["M 75% (30 to 95)", "Q 25% (5 to 70)"]
    (row,) = topologies.tell({"a": finding(4, Q=1)}).to_dict("records")
    assert list(row.values()) == ["100 (90 to inf)", "25%", "100%", "Q 100% (21 to 100)"]
