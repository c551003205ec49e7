"""The figure of a sweep."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mesa_llm_norms.errors import SpecError
from mesa_llm_norms.experiments.sweeps import Sweep, sweep
from mesa_llm_norms.plots.sweeps import Dimension, arrange, plot_sweep


def dimension(column: str, labels: list[Any], numbers: bool = False) -> Dimension:
    return Dimension(column, tuple(labels), tuple(map(float, labels)) if numbers else None, "")


def test_numbers_go_from_left_to_right_and_the_rest_by_size() -> None:
    size = dimension("size", [10, 20, 30], numbers=True)
    graph = dimension("graph", list("abcdefghij"))
    mind = dimension("mind", list("abcd"))
    pairing = dimension("pairing", list("ab"))
    memory = dimension("memory", [2, 5], numbers=True)
    alone = dimension("names", ["QM"])
    assert arrange([graph, mind, size, pairing]) == (size, mind, graph, pairing)
    assert arrange([mind, graph, memory]) == (graph, mind, memory, None)
    assert arrange([mind, alone]) == (mind, None, None, None)
    assert arrange([memory]) == (memory, None, None, None)
    assert len(arrange([alone]).x.labels) == 1
    with pytest.raises(SpecError, match="more axes"):
        arrange([graph, mind, size, pairing, memory])


GRIDS: dict[str, dict[str, Any]] = {
    "one cell": {},
    "categories": {
        "mind": ["uniform", "llama-3-70b-instruct"],
        "graph": ["ring(n=6)", "star(n=6)"],
    },
    "numbers": {"memory": [1, 2, 5], "graph": ["ring(n=6)", "star(n=6)"]},
    "panels": {
        "memory": [1, 2, 5],
        "mind": ["uniform", "llama-3-70b-instruct"],
        "graph": ["ring(n=6)", "star(n=6)"],
        "pairing": ["node", "edge"],
    },
    "no goal": {"until": [None], "names": ["QM", "$_"]},
}


def shown(grid: dict[str, Any], **fixed: Any) -> Sweep:
    fixed = {"names": "QM", "rounds": 20, **fixed}
    others: dict[str, Any] = {name: it for name, it in fixed.items() if name not in grid}
    return sweep(None, grid, **others, runs=3, rng=1)


@pytest.mark.parametrize(
    ("name", "panels"),
    [("one cell", 3), ("categories", 3), ("numbers", 3), ("panels", 12), ("no goal", 2)],
)
def test_every_shape_of_grid_is_drawn(name: str, panels: int, tmp_path: Path) -> None:
    fixed = {"mind": "uniform"} if name == "no goal" else {}
    figure = plot_sweep(shown(GRIDS[name], **fixed))
    figure.savefig(tmp_path / "figure.png")
    assert len(figure.axes) == panels


def test_a_median_beyond_what_was_played_is_an_open_triangle_at_the_top() -> None:
    figure = plot_sweep(shown({"memory": [1, 2, 5]}, mind="uniform", rounds=1))
    (marks,) = [line for line in figure.axes[0].lines if line.get_marker() == "^"]
    x, y = map(np.asarray, marks.get_data())
    assert len(x) == 3
    assert marks.get_markerfacecolor() == "white"
    assert y.max() <= 1


def test_panels_without_cells_are_left_out_and_the_lowest_of_a_column_has_its_labels() -> None:
    whole = shown(GRIDS["panels"], rounds=5)
    left = whole.cells
    gone = (left["graph"] == "star(n=6)") & (left["pairing"] == "edge")
    whole.__dict__["cells"] = left[~gone]
    figure = plot_sweep(whole)
    hidden = [axes for axes in figure.axes if not axes.get_visible()]
    assert len(hidden) == 3
    assert sum(bool(axes.get_xlabel()) for axes in figure.axes if axes.get_visible()) == 2
    assert not any(axes.get_xlabel() for axes in hidden)


def test_names_that_are_not_told_apart_are_counted() -> None:
    names = string.ascii_uppercase
    for grid, most in (({"graph": ["ring(n=6)"]}, 12), ({"memory": [1, 2, 5]}, 4)):
        found = sweep(None, grid, names=names, until=None, mind="uniform", runs=40, rounds=1, rng=1)
        won = sum(found.cells[f"wins_{name}"].sum() > 0 for name in names)
        legend = [text.get_text() for text in plot_sweep(found).legends[-1].get_texts()]
        assert len(legend) == most + 1
        assert legend[-1] == f"{won - most} other names"


def test_nothing_played_is_no_figure() -> None:
    with pytest.raises(SpecError, match="nothing was played"):
        plot_sweep(Sweep({**shown({}).record, "cells": []}, shown({})._store))
