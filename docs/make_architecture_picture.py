"""Draw ``docs/pictures/architecture.png``: the layers, and four walks through them.

``python docs/make_architecture_picture.py`` reads the layers from ``pyproject.toml``, where the
checks hold the imports to them. A walk names the main modules that it passes, which must exist.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mesa_llm_norms.plots import write_figure

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "pictures" / "architecture.png"
PACKAGE = ROOT / "mesa_llm_norms"

HOLDS: Mapping[str, str] = {
    "cli": "commands",
    "web": "the page, its server, scenes",
    "classroom": "a class that votes and plays",
    "reports": "pages of HTML and Markdown",
    "plots": "figures",
    "reproduction": "the study's results again",
    "study": "recordings, fits, validation",
    "experiments": "sweeps, tipping points, audits, cost forecasts",
    "classical": "the classical game",
    "mean_field": "infinitely many agents",
    "model": "NamingGame",
    "agents": "NamingAgent",
    "network_model": "Mesa agents on networkx nodes",
    "testing": "checks for minds and pairings",
    "simulation": "spec, engine, kernel, run, ensemble",
    "llm": "providers, client, budget, journal",
    "minds": "policies, recorded minds, registry",
    "analysis": "convergence, clusters, intervals",
    "networks": "topologies, files, neighbors",
    "core": "game, randomness, limits, compiled loops",
    "compat": "private APIs of others",
    "errors": "every error",
}

WALKS: Mapping[str, tuple[str, Sequence[str]]] = {
    "a decision": (
        "#1B6CA8",
        [
            "model",
            "simulation/run",
            "simulation/engine",
            "minds/recorded",
            "core/game",
        ],
    ),
    "an ensemble": (
        "#2E8B57",
        [
            "simulation/ensemble",
            "simulation/backends",
            "simulation/run",
            "simulation/kernel",
            "core/compiled/interactions",
        ],
    ),
    "a live call": (
        "#B5651D",
        [
            "model",
            "simulation/run",
            "simulation/engine",
            "simulation/pipeline",
            "llm/provider",
            "llm/client",
            "llm/concurrency",
            "llm/anthropic",
        ],
    ),
    "a click": (
        "#8E44AD",
        ["web/page", "web/session", "web/player", "web/model_source", "model"],
    ),
}

INK = "#222222"
PALE = "#F3F3F1"


def layers() -> list[list[str]]:
    """Return the layers from the top down, each with the rooms that may stand in it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    contracts = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
    rows = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return [[room.strip() for room in row.split("|")] for row in rows if row != "__main__"]


def draw() -> Figure:
    """Return the picture."""
    rows = layers()
    figure = Figure(figsize=(11, 0.62 * len(rows) + 0.9), layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, 11)
    axes.set_ylim(len(rows) + 0.1, -0.9)
    height = {room: at for at, row in enumerate(rows) for room in row}
    for at, row in enumerate(rows):
        for place, room in enumerate(row):
            width = 4.6 / len(row)
            draw_room(axes, room, place * width, at, width)
    for place, (walk, (color, stops)) in enumerate(WALKS.items()):
        draw_walk(axes, walk, color, stops, 5.2 + 1.55 * place, height)
    return figure


def draw_room(axes: Axes, room: str, left: float, row: int, width: float) -> None:
    """Draw one package, or module of the root, in its layer."""
    corners = (left + 0.03, row + 0.06), width - 0.06, 0.86
    axes.add_patch(rectangle(*corners))
    axes.text(left + 0.14, row + 0.36, room, color=INK, fontsize=9.5, weight="bold", va="center")
    axes.text(left + 0.14, row + 0.7, HOLDS[room], color="#555555", fontsize=7.5, va="center")


def rectangle(corner: tuple[float, float], width: float, height: float) -> object:
    """Return a pale box."""
    from matplotlib.patches import FancyBboxPatch

    style = "round,pad=0,rounding_size=0.08"
    return FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=PALE, edgecolor="none")


def draw_walk(
    axes: Axes, walk: str, color: str, stops: Sequence[str], left: float, height: Mapping[str, int]
) -> None:
    """Draw the modules that a walk passes, each in the layer of its room."""
    axes.text(left, -0.45, walk, color=color, fontsize=10, weight="bold", va="center")
    rows = [height[stop.partition("/")[0]] for stop in stops]
    spots = []
    for at, (row, stop) in enumerate(zip(rows, stops, strict=True)):
        assert (PACKAGE / f"{stop}.py").exists(), stop
        here = [other for other in range(len(rows)) if rows[other] == row]
        spot = row + (here.index(at) + 1) / (len(here) + 1)
        spots.append(spot)
        axes.text(left + 0.14, spot, stop.rpartition("/")[2], color=INK, fontsize=8, va="center")
    axes.plot([left] * len(spots), spots, color=color, linewidth=2, marker="o", markersize=5)


def main() -> None:
    """Draw and write the picture."""
    write_figure(draw(), PICTURE)


if __name__ == "__main__":
    main()
