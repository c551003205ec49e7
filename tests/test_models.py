"""The models that come with the package: they run, and they measure what their README says."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import networkx as nx
import pytest

from mesa_llm_norms import CommittedMind, ScriptedMind
from models.naming_game.model import NamingGameModel, leading_share, local_agreement, main

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
