"""The models that come with the package: they run, and they measure what their README says."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest
from messages_server import MessagesServer
from scipy import stats

from mesa_llm_norms import CommittedMind, Contacts, Policy, ScriptedMind, run_ensemble
from mesa_llm_norms.draws import Draws
from mesa_llm_norms.memory import Memory
from mesa_llm_norms.minds.live import Calls, LiveMind, Question, Reply, Server, Usage
from mesa_llm_norms.pairing import NodePairing
from mesa_llm_norms.statistics import Estimate
from mesa_llm_norms.testing import check_pairing
from mesa_llm_norms.topologies import read_graph, size
from models.mixed_population import model as mixed
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


@pytest.mark.slow
def test_the_topologies_script_prints_tables_answers_and_draws(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a script, on two names; the same in two processes, and progress on standard error."""
    minds = ("claude-3.5-sonnet", "llama-3-70b-instruct")
    arguments = ["--names", "QM", "--runs", "2", "--mind", minds[0], "--mind", minds[1], "--out"]
    topologies.main([*arguments, str(tmp_path / "1.png")])
    shown = capsys.readouterr().out.replace(str(tmp_path / "1.png"), "")
    out = tmp_path / "2.png"
    ran = subprocess.run(
        [
            *(sys.executable, "-W", "error", str(ROOT / "models" / "topologies" / "model.py")),
            *(*arguments, str(out), "--workers", "2"),
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
    assert ran.stdout.replace(str(out), "") == shown
    for player in (*minds, "classical game"):
        assert f"\n{player}\n" in shown
        assert f"\n{player}: " in shown


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


# Mixed population

SMALL = mixed.Setting(size=4, bridges=2, apart=10, together=60)


class Follower(Policy):
    """Plays what its last partner played, at first one name."""

    def __init__(self, first: str) -> None:
        self.label = f"follower of {first}"
        self.first = first

    def distribution(self, memory: Memory, pool: Sequence[str]) -> list[float]:
        chosen = memory[-1].partner if memory else self.first
        return [float(name == chosen) for name in pool]


def test_nobody_crosses_the_bridge_before_it_opens_and_then_the_rule_is_that_of_the_study() -> None:
    graph = mixed.two_groups(4, 2)
    contacts, draws = Contacts(graph), Draws(7)
    rule = mixed.LateBridge(size=4, apart=10)
    check_pairing(rule, graph)
    crossed = []
    for number in range(40):
        pairs = list(rule.pairs(contacts, number, 8 * number, draws))
        assert len(pairs) == 8
        if number >= 10:
            assert pairs == list(NodePairing().pairs(contacts, number, 8 * number, draws))
        crossed += [number for a, b in pairs if (a < 4) != (b < 4)]
    assert crossed
    assert min(crossed) >= 10


def test_the_name_of_those_who_never_give_in_wins_on_whichever_side_they_are() -> None:
    minds = CommittedMind("Q"), Follower("M")
    found = mixed.meet(*minds, names="QM", runs=8, setting=SMALL)
    assert (found.left, found.right) == (minds[0].label, minds[1].label)
    assert (found.met, found.left_won, found.undecided) == (8, 8, 0)
    found = mixed.meet(*minds[::-1], names="QM", runs=8, setting=SMALL)
    assert (found.met, found.right_won, found.undecided) == (8, 8, 0)
    assert found.usage is None


def test_only_groups_with_different_conventions_meet_and_two_names_are_no_winner() -> None:
    same = mixed.meet(CommittedMind("Q"), Follower("Q"), names="QM", runs=3, setting=SMALL)
    assert (same.runs, same.met) == (3, 0)
    apart = mixed.meet(CommittedMind("Q"), CommittedMind("M"), names="QM", runs=3, setting=SMALL)
    assert (apart.met, apart.left_won + apart.right_won, apart.undecided) == (3, 0, 3)
    assert math.isnan(apart.share.value)
    assert apart.p_value == 1
    nobody = mixed.meet("unbiased", "unbiased", runs=3, setting=SMALL)
    assert nobody.met == 0


def test_three_quarters_of_a_group_make_a_convention() -> None:
    assert mixed.convention(["Q", "Q", "Q", "M"]) == "Q"
    assert mixed.convention(["Q", "Q", "M", None]) is None
    assert mixed.convention([None, None, None, "Q"]) is None


def test_the_share_comes_with_its_interval_and_is_held_against_a_coin() -> None:
    found = mixed.Meetings("a", "b", 20, 15, left_won=1, right_won=9, third_won=2)
    assert found.undecided == 3
    assert [round(it, 2) for it in found.share] == [0.1, 0.02, 0.4]
    assert found.p_value == pytest.approx(2 * (1 + 10) / 2**10)
    assert mixed.answer(found) == (
        "b wins more often: 9 of 10 that were decided (p = 0.021 against 1/2)."
    )
    assert "could not be shown" in mixed.answer(found._replace(left_won=7))
    (row,) = mixed.tell([found]).to_dict("records")
    assert (row["undecided"], row["left's share"]) == (3, "10% (2 to 40)")


def test_groups_that_cannot_be_joined_are_refused() -> None:
    for wrong in ((4, 0), (4, 5), (1, 1)):
        with pytest.raises(ValueError, match="bridges"):
            mixed.two_groups(*wrong)


class Agreeable(Server):
    """A live model in this process: it answers with the name its partner played last, or with Q."""

    label = "agreeable:model"
    model = "model"
    place = "here"
    max_tokens = 16
    free = True

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {"model": self.model}

    async def ask(self, question: Question) -> Reply:
        _, picked, last = question.prompt.user.rpartition("the other player picked ")
        name = last[0] if picked else "Q"
        return Reply(name, Usage(100, 2), name=name)


def test_a_live_mind_can_be_one_side_of_it() -> None:
    calls = Calls(max_concurrency=8)
    minds = LiveMind(Agreeable()), CommittedMind("M")
    found = mixed.meet(*minds, names="QM", runs=3, setting=SMALL, calls=calls)
    assert (found.met, found.right_won) == (3, 3)
    assert found.usage is not None
    assert 0 < found.usage.calls < 3 * 2 * 8 * 70
    assert mixed.remaining(Calls(budget_calls=10_000), found.usage) == Calls(
        budget_calls=10_000 - found.usage.calls
    )


QUICK = ("--runs", "2", "--size", "3", "--bridges", "1", "--apart", "4", "--together", "4")


def test_the_mixed_population_prints_three_populations_and_an_answer() -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "models.mixed_population.model", *QUICK],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    assert "(3 of 3)" in ran.stderr
    header, *rows, empty, _ = ran.stdout.splitlines()
    assert header.split()[:4] == ["left", "right", "runs", "met"]
    assert (len(rows), empty) == (3, "")


def test_one_argument_makes_a_side_live_and_the_same_command_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through the real SDK, to a server on this machine; the budget is that of all populations."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "a-key-that-nobody-may-see")
    command = [*QUICK, "--names", "QM", "--runs", "1", "--left", "claude:claude-test-1"]
    with MessagesServer() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        mixed.main(command)
        whole = capsys.readouterr().out
        calls = len(server.answered)
        kept = [*command, "--folder", str(tmp_path / "kept")]
        with pytest.raises(SystemExit) as caught:
            mixed.main([*kept, "--budget-calls", str(calls - 10)])
        assert caught.value.code == 2
        assert "calls are used" in capsys.readouterr().err
        assert {path.name for path in (tmp_path / "kept").iterdir()} == {"both", "left"}
        mixed.main([*kept, "--budget-calls", "10000"])
        assert capsys.readouterr().out.splitlines()[:5] == whole.splitlines()[:5]
        assert len(server.answered) == 2 * calls
        mixed.main(kept)
        assert len(server.answered) == 2 * calls


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("--right", "nobody"), "nobody"),
        (("--bridges", "13"), "bridges"),
        (("--apart", "0"), "--apart"),
        (("--runs", "0"), "runs"),
        (("--left", "claude:x", "--names", "a b", "--budget-usd", "-1"), "budget_usd"),
    ],
)
def test_the_mixed_population_refuses_in_one_line(
    arguments: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        mixed.main(arguments)
    assert caught.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "error: " in last
    assert problem in last
