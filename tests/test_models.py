"""The models that come with the package: they run, and they measure what their README says."""

from __future__ import annotations

import importlib
import math
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import pandas as pd
import pytest
import solara
from messages_server import MessagesServer
from scipy import stats

from mesa_llm_norms import (
    LLM,
    Intervention,
    Neighbors,
    NormsError,
    Policy,
    ScriptedMind,
    run_ensemble,
)
from mesa_llm_norms.analysis.intervals import Estimate
from mesa_llm_norms.core.game import Memory
from mesa_llm_norms.core.randomness import RandomStream
from mesa_llm_norms.llm.provider import Question
from mesa_llm_norms.llm.settings import LLMSettings
from mesa_llm_norms.minds import CommittedMind
from mesa_llm_norms.networks.adjacency import graph_size
from mesa_llm_norms.networks.reading import read_graph
from mesa_llm_norms.simulation.pairing import NodePairing
from mesa_llm_norms.testing import FakeProvider, check_pairing
from models.intervention.model import Done, InterventionModel
from models.mixed_population import model as mixed
from models.naming_game.model import NamingGameModel, leading_share, local_agreement, main
from models.segregation.model import Segregation, schelling
from models.tipping_point.model import TippingPointModel, challenger_share
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
    """Two halves of a ring that hold different names: all but two edges agree, and half the agents.

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
        assert graph_size(read_graph(graph, random.Random(1)))[0] == topologies.AGENTS


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
        (("--out", "topologies.pdf"), "not a .png or .svg"),
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
    (row,) = topologies.tabulate({"a": finding(4, Q=1)}).to_dict("records")
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
    neighbors, stream = Neighbors(graph), RandomStream(7)
    rule = mixed.LateBridge(size=4, apart=10)
    check_pairing(rule, graph)
    crossed = []
    for number in range(40):
        pairs = list(rule.pairs(neighbors, number, 8 * number, stream))
        assert len(pairs) == 8
        if number >= 10:
            assert pairs == list(NodePairing().pairs(neighbors, number, 8 * number, stream))
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
    nobody = mixed.meet("uniform", "uniform", runs=3, setting=SMALL)
    assert nobody.met == 0


def test_three_quarters_of_a_group_make_a_convention() -> None:
    assert mixed.convention(["Q", "Q", "Q", "M"]) == "Q"
    assert mixed.convention(["Q", "Q", "M", None]) is None
    assert mixed.convention([None, None, None, "Q"]) is None


def test_the_share_comes_with_its_interval_and_is_held_against_a_coin() -> None:
    found = mixed.Contests("a", "b", 20, 15, left_won=1, right_won=9, third_won=2)
    assert found.undecided == 3
    assert [round(it, 2) for it in found.share] == [0.1, 0.02, 0.4]
    assert found.p_value == pytest.approx(2 * (1 + 10) / 2**10)
    assert mixed.answer(found) == (
        "b wins more often: 9 of 10 that were decided (p = 0.021 against 1/2)."
    )
    assert "could not be shown" in mixed.answer(found._replace(left_won=7))
    (row,) = mixed.table([found]).to_dict("records")
    assert (row["undecided"], row["left's share"]) == (3, "10% (2 to 40)")


def test_groups_that_cannot_be_joined_are_refused() -> None:
    for wrong in ((4, 0), (4, 5), (1, 1)):
        with pytest.raises(ValueError, match="bridges"):
            mixed.two_groups(*wrong)


def agreeable(question: Question, _: int) -> str:
    """Answer with the name its partner played last, or with Q."""
    _before, picked, last = question.prompt.user.rpartition("the other player picked ")
    return last[0] if picked else "Q"


def test_a_live_mind_can_be_one_side_of_it() -> None:
    calls = LLMSettings(max_concurrency=8)
    minds = FakeProvider(agreeable).mind(), CommittedMind("M")
    found = mixed.meet(*minds, names="QM", runs=3, setting=SMALL, llm=calls)
    assert (found.met, found.right_won) == (3, 3)
    assert found.usage is not None
    assert 0 < found.usage.calls < 3 * 2 * 8 * 70
    assert mixed.remaining(LLMSettings(budget_calls=10_000), found.usage) == LLMSettings(
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


# Tipping point


class Insistent(Policy):
    """Plays one name, as a committed mind does, without being called committed."""

    def __init__(self, name: str) -> None:
        self.label = f"insists on {name}"
        self.name = name

    def distribution(self, memory: Memory, pool: Sequence[str]) -> list[float]:  # noqa: ARG002
        return [float(name == self.name) for name in pool]


def test_the_share_that_plays_the_challenger_is_that_of_the_free() -> None:
    model = TippingPointModel("complete(n=12)", mind=Insistent("Q"), minority=6, rng=7)
    assert math.isnan(challenger_share(model))
    model.run(rounds=5, until=None)
    assert challenger_share(model) == 0
    table = model.datacollector.get_model_vars_dataframe()
    assert table["challenger_share"].tolist() == [0] * 5
    assert table["share_M"].mean() > 0.3


def test_a_minority_that_has_left_plays_by_its_own_mind_from_the_next_round_on() -> None:
    """All but one are committed, so the flip is certain; and all would rather play the old name."""
    model = TippingPointModel("complete(n=30)", mind=Insistent("Q"), minority=29, rng=7)
    while model.flipped_at is None:
        model.step()
    assert model.round is not None
    assert model.round.shares["M"] > 0.9
    model.step()
    assert model.round.shares["Q"] == 1


def test_chance_decides_near_the_critical_mass_as_the_readme_of_the_tipping_point_says() -> None:
    flipped = {seed: TippingPointModel(minority=4, rng=seed) for seed in (5, 7)}
    for model in flipped.values():
        model.run(rounds=40, until=None)
    assert {seed: model.flipped_at for seed, model in flipped.items()} == {5: 24, 7: None}
    assert set(flipped[5].names_held.values()) == {"M"}


# Intervention


def committed_in(model: InterventionModel) -> set[Any]:
    return {agent.node for agent in model.players if agent.committed is not None}


def test_who_is_committed_stays_so_and_more_join_them() -> None:
    model = InterventionModel(rng=7)
    model.intervene(Intervention(committed=2, placement="hubs"))
    first = committed_in(model)
    model.run(rounds=3, until=None)
    model.intervene(
        Intervention(committed=2, placement="hubs", other=ScriptedMind(["Q"]), other_share=1)
    )
    assert len(first) == 2
    assert len(committed_in(model)) == 4
    assert first < committed_in(model)
    assert [done.rounds for done in model.done] == [0, 3]
    model.withdraw()
    assert not committed_in(model)
    assert len({id(agent.mind) for agent in model.players}) == 1
    model.run(rounds=5, until=None)
    assert set(model.names_held.values()) == {"Q"}


@pytest.mark.parametrize(
    "what",
    [
        Intervention(committed=9),
        Intervention(committed=9, rewired=0.5),
        Intervention(rewired=0.5, other="nobody", other_share=0.5),
        Intervention(committed=2, memory=3),
    ],
)
def test_an_intervention_that_cannot_be_made_changes_nothing(what: Intervention) -> None:
    model = InterventionModel("ring(n=8, k=2)", rng=7)
    edges, minds = set(model.network.G.edges), [agent.mind for agent in model.players]
    with pytest.raises(NormsError):
        model.intervene(what)
    assert set(model.network.G.edges) == edges
    assert [agent.mind for agent in model.players] == minds
    assert model.done == []


def test_the_same_interventions_in_the_same_rounds_make_the_same_run() -> None:
    def played(rng: int, run: int) -> tuple[Any, ...]:
        model = InterventionModel(rng=rng, run=run)
        what = Intervention(
            committed=3, rewired=0.3, other="llama-3.1-70b-instruct", other_share=0.3
        )
        for _ in range(2):
            model.run(rounds=4, until=None)
            model.intervene(what)
        model.run(rounds=4, until=None)
        return committed_in(model), set(model.network.G.edges), tuple(model.rows)

    assert played(7, 0) == played(7, 0)
    assert played(7, 0)[0] != played(7, 1)[0]
    assert played(7, 0)[0] != played(8, 0)[0]


def test_a_mind_handed_out_is_the_same_as_if_the_run_had_begun_with_it() -> None:
    """Llama 3.1 differs from run to run; those who get it later get that of this run."""
    other = "llama-3.1-70b-instruct"
    begun = InterventionModel(mind=other, rng=7, run=3)
    handed = InterventionModel(rng=7, run=3)
    handed.intervene(Intervention(other=other, other_share=1))
    begun.run(rounds=5, until=None)
    handed.run(rounds=5, until=None)
    assert begun.rows == handed.rows


def test_hubs_undo_what_the_periphery_leaves_alone() -> None:
    """Three hubs do so in 95% of the runs, three of low degree in 1%.

    With five fresh seeds this would fail in fewer than one of 40 cases: by 3 or fewer of the
    first, or 2 or more of the second.
    """
    flipped = {}
    for placement in ("hubs", "periphery"):
        flipped[placement] = 0
        for seed in range(5):
            model = InterventionModel(rng=seed)
            model.intervene(Intervention(committed=3, placement=placement))
            flipped[placement] += model.run(rounds=30, until="flipped").flipped
    assert flipped["hubs"] >= 4
    assert flipped["periphery"] <= 1


# Their pages. Solara asks for the event loop of a thread that has none, as a page's own always has.


def test_residents_who_want_few_of_their_kind_end_up_among_them() -> None:
    """Schelling's point; the same town at every concurrency, and again from its journal."""
    found = []
    for concurrency in (1, 16):
        with LLM(schelling(), max_concurrency=concurrency) as llm:
            town = Segregation(llm, rng=1)
            while town.running:
                town.step()
            found.append((town.datacollector.get_model_vars_dataframe(), llm.usage))
            assert all(
                alike >= 0.3 * others for others, alike in (it.seen for it in town.residents)
            )
    (table, used), (again, used_again) = found
    assert table.equals(again)
    assert used == used_again
    assert used.calls == 80 * len(table)
    assert table["alike"].iloc[-1] > 0.7
    assert table["moved"].iloc[-1] == 0


def test_the_town_resumes_from_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.segregation import model as segregation

    said = []
    for _ in range(2):
        segregation.main(["--steps", "3", "--folder", str(tmp_path / "town")])
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    assert "240 calls" in said[0]
    with pytest.raises(SystemExit):
        segregation.main(["--seed", "2", "--folder", str(tmp_path / "town")])
    assert "was another one" in capsys.readouterr().err


@pytest.mark.llama
def test_smollm2_decides_in_a_town_alike_at_every_concurrency() -> None:
    found = []
    for concurrency in (1, 8):
        with LLM("smollm2", max_concurrency=concurrency) as llm:
            town = Segregation(llm, size=5, rng=1)
            town.step()
            town.step()
            found.append((town.datacollector.get_model_vars_dataframe().to_dict(), llm.usage))
            assert 0 < llm.usage.calls < 40
            assert llm.usage.cost == 0
    assert found[0][0] == found[1][0]
    assert found[0][1].calls == found[1][1].calls


on_a_page = pytest.mark.usefixtures("thread_with_loop")


def page_of(folder: str) -> Any:
    """Return the module of a model's page."""
    pytest.importorskip("altair", reason="Mesa's own page is not installed")
    return importlib.import_module(f"models.{folder}.app")


def every(thing: Any) -> Iterator[Any]:
    """Yield all widgets and all words in a widget."""
    if isinstance(thing, str):
        yield thing
    elif isinstance(thing, Mapping):
        for inside in thing.values():
            yield from every(inside)
    elif isinstance(thing, Sequence):
        for inside in thing:
            yield from every(inside)
    else:
        yield thing
        for trait in ("children", "v_slots", "items"):
            yield from every(getattr(thing, trait, ()))


def texts(widget: Any) -> str:
    return " ".join(one for one in every(widget) if isinstance(one, str))


def press(widget: Any, label: str) -> None:
    """Press the button with a label."""
    buttons = [one for one in every(widget) if type(one).__name__ == "Btn"]
    next(button for button in buttons if texts(button).strip() == label).click()


@pytest.fixture
def draw() -> Iterator[Any]:
    """Draw a component in the layout that Solara gives a page, and take it away in the end."""
    contexts = []

    def drawn(component: Any) -> Any:
        box, context = solara.render(solara.AppLayout(children=[component]), handle_error=False)
        contexts.append(context)
        return box

    yield drawn
    for context in contexts:
        context.close()


@on_a_page
@pytest.mark.parametrize(
    "folder", sorted(path.parent.name for path in ROOT.glob("models/*/app.py"))
)
def test_the_page_of_every_model_can_be_drawn(folder: str, draw: Any) -> None:
    assert any(type(one).__name__ == "Btn" for one in every(draw(page_of(folder).Page())))


@on_a_page
def test_the_page_of_the_tipping_point_tells_how_it_stands(draw: Any) -> None:
    app = page_of("tipping_point")
    box = draw(app.Page())
    assert "4 of 24 agents always play M." in texts(box)
    press(box, "Step")
    assert "% of the free played M last." in texts(box)
    model = TippingPointModel(minority=4, rng=5)
    model.run(rounds=30, until=None)
    said = "Flipped in round 24. All are free. 100% of the free played M last."
    assert app.story(model) == said


@on_a_page
def test_every_viewer_has_a_population_of_their_own(draw: Any) -> None:
    app = page_of("tipping_point")
    mine, yours = draw(app.Page()), draw(app.Page())
    assert "of the free played" not in texts(mine)
    press(mine, "Step")
    assert "of the free played" in texts(mine)
    assert "of the free played" not in texts(yours)


@on_a_page
def test_a_button_on_the_page_intervenes_and_another_withdraws(draw: Any) -> None:
    app = page_of("intervention")
    box = draw(app.Page())
    assert "Nobody has intervened." in texts(box)
    press(box, "Step")
    press(box, "Intervene")
    assert "Intervention 1, after round 1: 3 committed (hubs)." in texts(box)
    model = app.PlayedOnPage(rng=1)
    hands = draw(app.hands(model))
    press(hands, "Intervene")
    assert len(committed_in(model)) == 3
    press(hands, "Withdraw")
    assert not committed_in(model)


@on_a_page
def test_the_page_says_why_an_intervention_cannot_be_made(draw: Any) -> None:
    app = page_of("intervention")
    box = draw(app.hands(app.PlayedOnPage(graph="complete(n=2)", rng=1)))
    press(box, "Intervene")
    assert "3 of 2 agents cannot be committed" in texts(box)


def test_on_the_page_nobody_intervenes_in_the_middle_of_a_round() -> None:
    clicks: list[threading.Thread] = []

    class Clicked(Policy):
        """While it decides, a button is pressed."""

        label = "clicked"

        def distribution(self, memory: Memory, pool: Sequence[str]) -> list[float]:  # noqa: ARG002
            if not clicks:
                what = Intervention(committed=1)
                clicks.append(threading.Thread(target=model.intervene, args=[what]))
                clicks[0].start()
                clicks[0].join(0.05)
                assert not committed_in(model)
            return [1.0, 0.0]

    arguments = {"graph": "complete(n=6)", "mind": Clicked(), "rng": 1}
    model = page_of("intervention").PlayedOnPage(**arguments)
    model.step()
    clicks[0].join()
    assert model.done == [Done(1, Intervention(committed=1))]
    assert len(committed_in(model)) == 1


def test_an_app_is_found_by_the_solara_command_from_anywhere(tmp_path: Path) -> None:
    """That command has neither the top folder nor the current one on its path."""
    program = (
        "import runpy, sys; from pathlib import Path; import mesa_llm_norms.web.page; "
        "sys.path[:] = [it for it in sys.path if not (Path(it or '.') / 'models').is_dir()]; "
        "runpy.run_path(sys.argv[1])"
    )
    app = ROOT / "models/naming_game/app.py"
    command = [sys.executable, "-I", "-c", program, str(app)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
