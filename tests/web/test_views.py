"""The views as components: on their own, in Mesa's page, and after the model has changed."""

from __future__ import annotations

import json
from typing import Any

import networkx as nx
import pytest
import solara

from mesa_llm_norms import NamingGame
from mesa_llm_norms.networks.drawing import GREY, name_colors
from mesa_llm_norms.web import names_chart, names_network
from mesa_llm_norms.web.views import chart_lines


def widgets(component: Any, model: NamingGame) -> list[Any]:
    """Return the Vue widgets that a component draws for a model."""
    box, context = solara.render(component(model), handle_error=False)
    found = [widget for widget in every(box) if hasattr(widget, "template")]
    context.close()
    return found


def every(widget: Any) -> list[Any]:
    """Return a widget and all in it."""
    inside = [child for child in getattr(widget, "children", ()) if not isinstance(child, str)]
    return [widget, *(one for child in inside for one in every(child))]


@pytest.fixture
def model() -> NamingGame:
    graph = nx.Graph([("<b>", (1, 2)), ((1, 2), 3), (3, "<b>")])
    return NamingGame(graph=graph, names="QM", committed={"M": [3]}, rng=3)


def test_the_network_shows_what_the_agents_hold(model: NamingGame) -> None:
    (before,) = widgets(names_network, model)
    assert json.loads(before.drawing)["ids"] == ["<b>", "(1, 2)", "3"]
    assert (before.codes, before.marks) == ("  1", "  c")
    model.step()
    (after,) = widgets(names_network, model)
    held = ["QM"[ord(code) - 48] if code != " " else None for code in after.codes]
    *played, committed = model.names_held.values()
    assert held == [*played, committed or "M"]
    assert len(after.recent.split()) == 1


def test_an_empty_node_and_a_new_edge_are_shown(model: NamingGame) -> None:
    model.agent_on("<b>").remove()
    model.network.G.add_node("new")
    model.network.G.add_edge("new", 3)
    (drawn,) = widgets(names_network, model)
    assert drawn.marks == "x cx"
    assert len(json.loads(drawn.drawing)["edges"]) == 4


def test_nodes_that_come_and_go_are_drawn_while_it_plays(model: NamingGame) -> None:
    pytest.importorskip("mesa.visualization", reason="Mesa's own page is not installed")
    from mesa.visualization.utils import force_update

    model.step()
    box, context = solara.render(names_network(model), handle_error=False)
    model.agent_on("<b>").remove()
    model.network.G.remove_node("<b>")
    model.network.G.add_edge("new", 3)
    model.network.G.add_edge("newer", "new")
    force_update()
    (network,) = (widget for widget in every(box) if hasattr(widget, "template"))
    drawing = json.loads(network.drawing)
    context.close()
    assert drawing["ids"] == ["(1, 2)", "3", "new", "newer"]
    assert network.marks[2:] == "xx"
    assert len(set(zip(drawing["x"], drawing["y"], strict=True))) == 4


def test_the_charts_show_what_was_collected(model: NamingGame) -> None:
    for _ in range(3):
        model.step()
    success, shares = widgets(names_chart, model)
    assert json.loads(success.points)["rounds"] == 3
    assert len(json.loads(shares.points)["y"]) == 2
    assert json.loads(shares.lines)["names"] == ["Q", "M"]


def test_they_are_components_of_the_page_of_mesa() -> None:
    pytest.importorskip("mesa.visualization", reason="Mesa's own page is not installed")
    from mesa.visualization import SolaraViz

    page = SolaraViz(
        NamingGame(graph="ring(n=6)", names="QM", rng=3), components=[names_network, names_chart]
    )
    _, context = solara.render(page, handle_error=False)
    assert context.find().widgets
    context.close()


def test_26_names_have_colors_of_their_own_or_dashes_that_tell_them_apart() -> None:
    pool = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    lines = json.loads(chart_lines(pool))
    assert lines["colors"] == list(name_colors(pool).values())
    assert len(set(zip(lines["colors"], lines["dashes"], strict=True))) == 26
    assert GREY.lower() not in lines["colors"]
    assert set(lines["dashes"][:8]) == {""}
    assert "" not in lines["dashes"][8:]


def test_a_line_alone_is_no_name_and_has_no_colour_of_one() -> None:
    lines = json.loads(chart_lines(["success"]))
    assert lines["colors"] == ["#222222"]
    assert lines["colors"][0] not in name_colors("QM").values()
