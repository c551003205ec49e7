"""Where nodes are drawn, and the colors of names."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesa_llm_norms.networks.drawing import GREY, ink_on, layout, name_colors


def test_the_same_name_has_the_same_color_and_neighbours_in_the_pool_differ() -> None:
    colors = name_colors("QMXYFJPRCD")
    assert colors["M"] == name_colors("QM")["M"]
    alphabet = name_colors("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert len(set(alphabet.values())) == 26
    assert GREY not in alphabet.values()


def contrast(color: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2."""

    def luminance(text: str) -> float:
        parts = [int(text[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(color), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@given(st.text("0123456789abcdef", min_size=6, max_size=6).map(lambda digits: "#" + digits))
def test_ink_can_be_read_on_any_color(color: str) -> None:
    assert contrast(color, ink_on(color)) >= 4.5


@pytest.mark.parametrize(
    ("graph", "round_layout"),
    [
        (nx.cycle_graph(24), True),
        (nx.watts_strogatz_graph(24, 4, 0.1, seed=1), True),
        (nx.complete_graph(24), True),
        (nx.grid_2d_graph(5, 6), False),
        (nx.star_graph(20), False),
        (nx.barabasi_albert_graph(40, 2, seed=1), False),
    ],
)
def test_rings_small_worlds_and_complete_graphs_are_drawn_on_a_circle(
    graph: nx.Graph[Any], round_layout: bool
) -> None:
    places = layout(graph)
    assert list(places) == list(graph)
    on_circle = all(abs(np.hypot(*place) - 1) < 1e-9 for place in places.values())
    assert on_circle is round_layout
    assert layout(graph) == places


def test_places_of_the_graph_itself_count_and_bad_ones_do_not() -> None:
    graph: nx.Graph[Any] = nx.path_graph(2)
    nx.set_node_attributes(graph, {0: (3, 4), 1: [5.0, 6.0]}, "pos")
    assert layout(graph) == {0: (3.0, 4.0), 1: (5.0, 6.0)}
    for bad in ("up", None, (1, 2, 3), (float("nan"), 0)):
        graph.nodes[0]["pos"] = bad
        assert layout(graph)[1] != (5.0, 6.0)
