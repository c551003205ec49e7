"""What a saved notebook keeps: tables and pictures without scripts or a kernel."""

from __future__ import annotations

import base64
import re
from typing import Any

import networkx as nx
import pytest

from mesa_llm_norms import ClassicalGame, NamingGame, NetworkGame, run_ensemble
from mesa_llm_norms.plots.notebook import MOST_NODES
from mesa_llm_norms.simulation import PublicGoods
from mesa_llm_norms.web import names_chart, names_network

IMAGE = re.compile(r'<img src="data:image/png;base64,([^"]+)"')


def pictures(html: str) -> int:
    """How many pictures are in a piece of HTML, each of them checked to be one."""
    found = IMAGE.findall(html)
    assert all(base64.b64decode(one).startswith(b"\x89PNG") for one in found)
    return len(found)


@pytest.mark.parametrize("played", [0, 2])
def test_a_model_is_a_table_and_its_network(played: int) -> None:
    models: list[Any] = [
        NamingGame("ring(n=6)", "QM", committed={"M": [2]}, rng=1),
        NetworkGame("star(n=5)", PublicGoods(), pairing="neighborhood", rng=1),
        ClassicalGame("ring(n=6)", rng=1),
    ]
    for model in models:
        for _ in range(played):
            model.step()
        html = model._repr_html_()
        assert type(model).__name__ in html
        assert f"<th>interactions</th><td>{model.interactions}</td>" in html
        assert pictures(html) == 1


def test_a_large_network_is_not_drawn() -> None:
    model = NamingGame(f"ring(n={MOST_NODES + 1})", "QM", "uniform", rng=1)
    assert pictures(model._repr_html_()) == 0


def test_an_agent_is_what_it_holds_and_remembers() -> None:
    model = NamingGame(nx.Graph([("<b>&", "two")]), "QM", rng=1)
    model.step()
    html = model.agent_on("<b>&")._repr_html_()
    assert "&lt;b&gt;&amp;" in html
    assert "<b>&" not in html.replace("<b>NamingAgent", "")
    assert "while others played" in html
    assert "points" in html
    classical = ClassicalGame("ring(n=4)", rng=1)
    classical.step()
    assert "inventory" in classical.agent_on(0)._repr_html_()


def test_an_ensemble_is_its_figure_and_first_runs() -> None:
    played = run_ensemble("ring(n=6)", "QM", "uniform", rng=1, runs=7, rounds=3, until=None)
    html = played._repr_html_()
    assert pictures(html) == 1
    assert "<th>runs</th><td>7</td>" in html
    assert html.count("<tr") > 5


@pytest.mark.parametrize("component", [names_network, names_chart])
def test_a_component_leaves_its_picture(component: Any) -> None:
    model = NamingGame("ring(n=6)", "QM", rng=1)
    empty = dict(component(model).mime_bundle)
    assert "Cannot show" not in empty["text/html"]
    model.step()
    model.step()
    kept = dict(component(model).mime_bundle)
    assert pictures(kept["text/html"]) == 1
    assert "NamingGame" in kept["text/plain"]
