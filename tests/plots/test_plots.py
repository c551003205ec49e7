"""Figures: what they show, for any names and graphs, the same bytes for the same run."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.collections import LineCollection, PathCollection, PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from mesa_llm_norms import plots, run_ensemble
from mesa_llm_norms.core.metrics import Round
from mesa_llm_norms.core.stopping import Goal
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.networks.drawing import layout
from mesa_llm_norms.plots import style
from mesa_llm_norms.simulation.ensemble import play_run
from mesa_llm_norms.simulation.spec import Spec

ODD_NAMES = ("_hidden", "$x_1$", "50%", "a\\b", "{", "\N{PARTY POPPER}", "very long name indeed")


def rounds_of(pool: str, shares: list[dict[str, float]]) -> list[Round]:
    return [
        Round(number, 24 * (number + 1), 0.5, {name: share.get(name, 0.0) for name in pool})
        for number, share in enumerate(shares)
    ]


def texts(figure: Figure) -> list[str]:
    found: list[str] = []
    for axes in figure.axes:
        legend = axes.get_legend()
        found += [text.get_text() for text in axes.texts]
        found += [text.get_text() for text in legend.get_texts()] if legend else []
    return found


def nodes_drawn(figure: Figure) -> list[PathCollection]:
    return [it for it in figure.axes[0].collections if isinstance(it, PathCollection)]


def test_the_leading_names_are_told_apart_and_the_others_are_grey() -> None:
    pool = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    shares = {name: (place + 1) / 351 for place, name in enumerate(pool)}
    figure = plots.plot_rounds(rounds_of(pool, [shares, shares]), pool)
    labels = texts(figure)
    assert [label for label in labels if label in "SZ"] == ["S", "Z", "Z", "S"]
    assert "18 other names" in labels
    lines = figure.axes[1].get_lines()
    assert len(lines) == 26
    assert sum(line.get_color() == plots.GREY for line in lines) == 18


def test_names_never_played_are_left_out() -> None:
    figure = plots.plot_rounds(rounds_of("QMX", [{"Q": 1.0}]), "QMX")
    assert len(figure.axes[1].get_lines()) == 1


def test_every_node_is_drawn_in_its_name_s_colour_and_labelled() -> None:
    graph: nx.Graph[Any] = nx.path_graph(4)
    held: dict[Hashable, str | None] = {0: "Q", 1: "M", 2: None, 3: "M"}
    figure = plots.plot_network(graph, held, "QM", {3: "M"})
    circles, squares = nodes_drawn(figure)
    colours = plots.name_colors("QM")
    drawn = [to_hex(colour).upper() for colour in np.asarray(circles.get_facecolor())]
    assert drawn == [colours["Q"].upper(), colours["M"].upper(), plots.GREY]
    assert len(np.asarray(squares.get_offsets())) == 1
    labels = texts(figure)
    assert [label for label in labels if label in ("Q", "M")] == ["Q", "M", "M"]
    assert {"M  2", "Q  1", "not played yet  1", "committed  1"} <= set(labels)


@pytest.mark.parametrize(
    "graph",
    [
        nx.complete_graph(2),
        nx.disjoint_union(nx.complete_graph(3), nx.complete_graph(2)),
        nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")]),
        nx.gnm_random_graph(450, 4_000, seed=1),
    ],
    ids=["two", "parts", "directed", "large"],
)
def test_any_graph_can_be_drawn(graph: nx.Graph[Any], tmp_path: Path) -> None:
    figure = plots.plot_network(graph, dict.fromkeys(graph, "Q"), "QM")
    plots.write_figure(figure, tmp_path / "network.png")
    assert len(np.asarray(nodes_drawn(figure)[0].get_offsets())) == len(graph)
    plots.write_figure(plots.plot_graph(graph), tmp_path / "graph.png")


def collections(figure: Figure, kind: type[Any]) -> list[Any]:
    return [it for it in figure.axes[0].collections if isinstance(it, kind)]


def test_edges_with_a_direction_have_an_arrowhead_at_the_node_they_lead_to() -> None:
    graph = nx.DiGraph([("a", "b"), ("b", "a"), ("b", "c")])
    figure = plots.plot_graph(graph)
    (heads,) = collections(figure, PolyCollection)
    places = layout(graph)
    assert heads.get_offsets().tolist() == [list(places[v]) for _, v in graph.edges]
    for path, (u, v) in zip(heads.get_paths(), graph.edges, strict=True):
        away = np.subtract(places[u], places[v])  # the head lies between the two nodes
        assert (path.vertices[:3] @ away > 0).all()
    assert not collections(plots.plot_graph(graph.to_undirected()), PolyCollection)


def test_edges_are_as_wide_as_their_weights_say() -> None:
    graph: nx.Graph[Any] = nx.Graph()
    graph.add_weighted_edges_from([(0, 1, 1), (1, 2, 4), (2, 3, 9), (3, 0, 4)])
    for figure in (plots.plot_graph(graph), plots.plot_network(graph, {0: "Q"}, "QM")):
        (lines,) = collections(figure, LineCollection)
        by_weight = dict[Any, set[float]]()
        weights = [graph.edges[edge]["weight"] for edge in graph.edges]
        for width, weight in zip(lines.get_linewidths(), weights, strict=True):
            by_weight.setdefault(weight, set()).add(width)
        assert len(by_weight[4]) == 1
        assert max(by_weight[1]) < max(by_weight[4]) < max(by_weight[9])
        assert {"weight 1", "weight 9"} <= set(texts(figure))
    nx.set_edge_attributes(graph, dict.fromkeys(graph.edges, 4), "weight")
    (lines,) = collections(plots.plot_graph(graph), LineCollection)
    assert len(set(lines.get_linewidths())) == 1


def test_labels_beside_nodes_cover_no_node_and_no_other_label() -> None:
    graph = nx.les_miserables_graph()
    figure = plots.plot_network(graph, dict.fromkeys(graph, "Q"), "QM")
    figure.canvas.draw()
    labels = [it for it in figure.axes[0].texts if it.get_text() in graph]
    boxes = [label.get_window_extent() for label in labels]
    assert 40 < len(boxes) < len(graph)
    assert {"Valjean", "MotherPlutarch"} <= {label.get_text() for label in labels}
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
        assert figure.bbox.containsx(box.x0)
        assert figure.bbox.containsx(box.x1)


def test_ids_that_fit_are_inside_their_nodes_and_those_of_large_networks_are_left_out() -> None:
    assert set(map(str, range(9))) <= set(texts(plots.plot_graph(nx.path_graph(9))))
    assert not texts(plots.plot_graph(nx.path_graph(500)))


@pytest.mark.filterwarnings("ignore:figures show boxes")
def test_labels_may_be_in_any_script(tmp_path: Path) -> None:
    graph = nx.relabel_nodes(nx.path_graph(4), {0: JAPANESE})
    figure = plots.plot_network(graph, {1: JAPANESE}, [JAPANESE, "M"])
    plots.write_figure(figure, tmp_path / "network.svg")


@pytest.mark.filterwarnings("ignore:figures show boxes")
def test_any_names_can_be_drawn(tmp_path: Path) -> None:
    spec = Spec(graph="ring(n=8)", names=ODD_NAMES, mind="uniform", seed=1)
    played = play_run(spec, 0, Goal(), 4, keep=True)
    held: dict[Hashable, str | None] = dict(enumerate((*ODD_NAMES, None)))
    ensemble = run_ensemble(
        graph="ring(n=8)", names=ODD_NAMES, mind="uniform", rng=1, runs=4, rounds=3
    )
    figures = {
        "rounds": plots.plot_rounds(played.rounds, ODD_NAMES),
        "network": plots.plot_network(to_networkx(spec.initial_state().graph), held, ODD_NAMES),
        "ensemble": plots.plot_ensemble(ensemble.runs, ensemble.rounds, ODD_NAMES),
    }
    for name, figure in figures.items():
        png, svg = plots.save_figure(figure, tmp_path / name)
        assert png.read_bytes().startswith(b"\x89PNG")
        assert "<svg" in svg.read_text(encoding="utf-8")
    assert "_hidden" in texts(figures["rounds"])


JAPANESE = "\u6771\u4eac"


def a_title(text: str) -> Figure:
    figure = Figure()
    figure.add_subplot().set_title(text)
    return figure


def test_what_no_font_has_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    manager = font_manager.fontManager
    usual = ("DejaVu", "Last Resort")
    dejavu = [entry for entry in manager.ttflist if entry.name.startswith(usual)]
    monkeypatch.setattr(manager, "ttflist", dejavu)
    style._fonts_with.cache_clear()
    with pytest.warns(UserWarning, match="boxes instead of '\u4eac', '\u6771'"):
        plots.figure_bytes(a_title(JAPANESE), "png")
    style._fonts_with.cache_clear()


def test_another_script_is_drawn_with_an_installed_font() -> None:
    families, boxes = style._fonts_with(JAPANESE)
    if boxes:
        pytest.skip("no font on this computer has Japanese")
    figure = a_title(JAPANESE)
    assert plots.figure_bytes(figure, "svg").startswith(b"<?xml")
    assert figure.axes[0].title.get_fontfamily()[-len(families) :] == families


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    def draw(name: str) -> list[bytes]:
        ensemble = run_ensemble(graph="complete(n=6)", names="QM", rng=1, runs=5)
        figure = plots.plot_ensemble(ensemble.runs, ensemble.rounds, "QM")
        network = plots.plot_network(nx.petersen_graph(), {0: "Q"}, "QM")
        written = [
            *plots.save_figure(figure, tmp_path / name),
            *plots.save_figure(network, tmp_path / f"{name}-network"),
        ]
        return [path.read_bytes() for path in written]

    assert draw("first") == draw("second")


def test_an_ensemble_in_which_nothing_converged_says_so() -> None:
    ensemble = run_ensemble(graph="ring(n=8)", names="QM", mind="uniform", rng=1, runs=3, rounds=4)
    figure = plots.plot_ensemble(ensemble.runs, ensemble.rounds, "QM")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["Success rate", "Interactions, none converged", "Played most at the end"]


def test_drawing_leaves_pyplot_alone() -> None:
    modules = sorted(Path(plots.__file__).parent.glob("*.py"))
    assert len(modules) > 1
    for module in modules:
        assert "pyplot" not in module.read_text(encoding="utf-8").split('"""', 2)[2], module.name
    assert sys.modules["mesa_llm_norms.plots"] is plots
