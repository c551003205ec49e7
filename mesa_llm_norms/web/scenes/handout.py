"""A scene on paper: a page for the class, and one for the teacher, each of one sheet (A4)."""

from __future__ import annotations

import base64
from collections.abc import Hashable
from pathlib import Path

from mesa_llm_norms.minds.policies import CommittedMind
from mesa_llm_norms.networks.adjacency import to_networkx
from mesa_llm_norms.plots.network import plot_network
from mesa_llm_norms.plots.style import figure_bytes
from mesa_llm_norms.reports import render
from mesa_llm_norms.web.languages import Language
from mesa_llm_norms.web.scenes.scene import Scene
from mesa_llm_norms.web.setting import Setting


def handout_files(folder: Path, scene: Scene) -> tuple[Path, Path]:
    """Return where the page for the class is written, and the one for the teacher."""
    return folder / f"{scene.key}.html", folder / f"{scene.key}-teacher.html"


def write_handouts(scene: Scene, for_class: Path, for_teacher: Path, language: Language) -> None:
    """Write both pages of a scene; they need nothing from elsewhere.

    Parameters
    ----------
    scene : Scene
        The scene.
    for_class : pathlib.Path
        The file with the text, the networks, the question, and room to write: no answer is in it.
    for_teacher : pathlib.Path
        The file with what comes true, why, what people did, questions and notes.
    language : Language
        That of the scene, for the words around it.
    """
    settings = scene.settings(1)
    pictures = [(scene.heading(side), _picture(it)) for side, it in enumerate(settings)]
    shown = {"scene": scene, "say": language.say, "language": language.code}
    for_class.write_text(render("handout.html", pictures=pictures, **shown), encoding="utf-8")
    seconds = round(scene.setting.rounds / scene.speed)
    teachers = render("handout_teacher.html", seconds=seconds, **shown)
    for_teacher.write_text(teachers, encoding="utf-8")


def _picture(setting: Setting) -> str:
    """Return the network before anybody has played, with the names that are drawn then."""
    spec = setting.spec()
    initial = spec.initial_state()
    graph = to_networkx(initial.graph)
    committed: dict[Hashable, str] = {
        node: mind.name
        for node, mind in initial.minds_by_node.items()
        if isinstance(mind, CommittedMind)
    }
    held = {node: committed.get(node) or setting.incumbent or None for node in graph}
    figure = plot_network(graph, held, initial.game.pool, committed)
    figure.set_size_inches(5, 5)
    legend = figure.axes[0].get_legend()
    if legend is not None:  # too small to be read on paper; names are in the nodes
        legend.remove()
    svg = base64.b64encode(figure_bytes(figure, "svg")).decode("ascii")
    return f"data:image/svg+xml;base64,{svg}"
